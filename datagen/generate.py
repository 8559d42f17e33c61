"""Draw points and compute their spectra with the halo model: ``python -m datagen.generate``."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.cli import run
from datagen.compute import compute, gather
from datagen.design import Design, Points
from datagen.files import exclusive
from datagen.growth import matter_fractions
from datagen.halomodel import HaloModelConfig
from datagen.ingredients import check_densities
from datagen.parallel import RayConfig, ray_map, ray_session
from datagen.power import linear_power
from datagen.record import provenance
from datagen.request import (
    LIBRARIES,
    MODULES,
    answers,
    extension,
    known_points,
    labels_request,
    other_makers,
    request_of,
    standing_labels,
)
from datagen.shards import Shard, Shards, remove_shards
from datagen.space import Space
from datagen.store import Block, Spectra, read_blocks, write_blocks

__all__ = ["compute", "generate"]

# Points per shard, one or two seconds of work on a core; a kill loses at most two shards a core
SHARD = {"table": 250, "camb": 4}

Array = NDArray[np.float64]


def _one_by_one(work: Any, theta: Array) -> tuple[Shard, dict[int, str]]:
    """Recompute a shard that kills its worker, one task per point, to find the points that do."""
    singles: dict[int, Shard | str] = {}
    points = [point[None] for point in theta]
    for row, result in ray_map(work, points, label="one by one", unit="pt"):
        if isinstance(result, ChildProcessError):
            singles[row] = str(result)
        else:
            rows, failed = result
            singles[row] = failed.get(0, rows)
    return gather([singles[row] for row in range(len(theta))])


def generate(
    out: Path,
    design: Design = Design(),
    space: Space = Space(),
    model: HaloModelConfig = HaloModelConfig(),
    ray: RayConfig = RayConfig(),
    parameters: Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw points of a parameter space and compute their power spectra with the halo model.

    Ray computes the points in shards, each written to disk when it is finished. To resume an
    interrupted run, rerun the command. To extend a label file of a Sobol design, run the command
    with a larger number of points.

    Args:
        out: Label file to write (HDF5).
        design: Number of points and method of sampling.
        space: Ranges of the parameters.
        model: Halo model and its ingredients.
        ray: Where the computation runs.
        parameters: File of points to use instead of drawing them: a parameter file of
            ``datagen.design``, or a table (.csv) whose header names the parameters.
        overwrite: Replace an existing label file, and shards of other settings.

    Returns:
        Path of the label file.

    Raises:
        ValueError: Shards of other settings or of other code are in the way; points are outside of
            their ranges; halo densities are outside of the range of the mass function.
        FileExistsError: The label file exists and cannot be extended, or is not a label file.
        BusyError: Another process is writing the label file.
        OSError: The file cannot be written, for example on a full disk; finished shards are kept.
    """
    points = _given_points(parameters, design, space) if parameters else None
    chosen = (points.design, points.space) if points else (asdict(design), space)
    if model.model == "standard":
        check_densities(model.mass_function, model.mass_def, matter_fractions(chosen[1]))
    request = labels_request(*chosen, model)
    folder = out.with_name(out.name + ".shards")
    with exclusive(out):
        base = standing_labels(out, overwrite)
        if base is not None:
            if answers(base, request):
                remove_shards(folder, request_of(base))  # of a run that was killed at its very end
                print(f"{out} is complete already"  # noqa: T201
                      f"{other_makers(base, request)}")  # fmt: skip
                return out
            request["extends"] = extension(out, base, request)
        shards = Shards(folder, request, discard=overwrite)
        _generate(out, shards, request, base, points or Points.of(design, space), model, ray)
    return out


def _generate(
    out: Path,
    shards: Shards,
    request: dict[str, Any],
    base: Spectra | None,
    points: Points,
    model: HaloModelConfig,
    ray: RayConfig,
) -> None:
    """Compute missing shards, and write the label file."""
    TemporaryFile(dir=out.parent).close()  # raises OSError before anything is computed
    theta = points.theta
    known = known_points(out, base, theta)
    size = SHARD[model.linear_power]
    pieces = {start: theta[start : start + size] for start in range(known, len(theta), size)}
    options = {"occupation": points.space.occupation, "made_by": request["made_by"]}
    work = partial(compute, model=model, **options)
    failed = _compute_missing(shards, pieces, known, work, model, points.space, ray)
    failed = (base.failed if base else {}) | failed
    if len(failed) == len(theta):
        shards.remove()  # useless, and in the way of the next request
        raise ValueError(f"not one of {len(theta)} points could be computed: {failed[0]}")
    blocks = _blocks(out if base else None, shards, pieces)
    metadata = {name: value for name, value in request.items() if name != "made_by"}
    metadata["provenance"] = provenance(("hodspectra", *LIBRARIES), MODULES)
    write_blocks(out, blocks, len(theta) - len(failed), model.k.values(), metadata, failed)
    shards.remove()
    print(f"{len(theta) - len(failed)} points in {out}{_failures(failed)}")  # noqa: T201


def _given_points(path: Path, design: Design, space: Space) -> Points:
    points = Points.read(path, space)
    if design != Design():
        raise ValueError(f"design: the points come from {path}; leave one of the two out")
    if space not in (Space(), points.space):
        raise ValueError(f"space: {path} has its own, which differs; leave space out")
    return points


def _compute_missing(
    shards: Shards,
    pieces: dict[int, Array],
    known: int,
    work: Any,
    model: HaloModelConfig,
    space: Space,
    ray: RayConfig,
) -> dict[int, str]:
    """Compute missing shards; return the reasons of failed points, by index in the design."""
    failed: dict[int, dict[int, str]] = {}
    for start in pieces:
        if (shard := shards.read(start)) is not None:
            failed[start] = shard[1]
    todo = [start for start in pieces if start not in failed]
    if todo:
        if failed:
            print(f"resuming: {len(failed)} of {len(pieces)} shards are there")  # noqa: T201
        items = [pieces[start] for start in todo]
        done = known + sum(len(pieces[start]) for start in failed)
        with ray_session(ray):
            work = partial(work, table=linear_power(model, space, ray))
            results = ray_map(work, items, label="labels", unit="pt", sizes=list(map(len, items)),
                              done=done)  # fmt: skip
            for i, result in results:
                if isinstance(result, ChildProcessError):
                    result = _one_by_one(work, items[i])
                shards.write(todo[i], *result)
                failed[todo[i]] = result[1]
    return {start + row: failed[start][row] for start in pieces for row in sorted(failed[start])}


def _blocks(base: Path | None, shards: Shards, pieces: dict[int, Array]) -> Iterator[Block]:
    """All rows of the label file: those of the extended file, then those of the shards."""
    if base:
        yield from read_blocks(base)
    for start, theta in pieces.items():
        shard = shards.read(start)
        if shard is None:
            raise OSError(
                f"{shards.folder}: the shard of point {start} was damaged just now; "
                f"rerun the command"
            )
        rows, failed = shard
        if rows:
            yield {**rows, "theta": np.delete(theta, list(failed), axis=0)}


def _failures(failed: dict[int, str]) -> str:
    if not failed:
        return ""
    index, reason = next(iter(failed.items()))
    return f"; {len(failed)} points failed, the first (point {index}): {reason}"


def main(argv: list[str] | None = None) -> None:
    """Command line of `generate`."""
    run(generate, "python -m datagen.generate", argv)


if __name__ == "__main__":
    main()
