"""Draw points and compute their true power spectra: ``python -m datagen.generate``."""

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

# Points computed at once, a second or two of work on a core: a kill loses two shards a core.
SHARD = {"table": 250, "camb": 4}

Array = NDArray[np.float64]


def _one_by_one(work: Any, theta: Array) -> tuple[Shard, dict[int, str]]:
    """A shard that kills its worker: each point in a task of its own, to find out which does."""
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
    """Draw points of a parameter space and compute their true power spectra.

    The points go to Ray in shards. Every finished shard is on disk at once: a run that was
    killed goes on where it was when the same command is given again. The same command with more
    points of a Sobol design extends the label file.

    Args:
        out: The label file to write (HDF5).
        design: How points are spread over the space.
        space: Ranges of the parameters.
        model: The halo model and its ingredients.
        ray: Where the work runs.
        parameters: Parameter file (of ``datagen.design``, or a .csv table whose header names the
            parameters) with the points to take instead of drawing them.
        overwrite: Replace an existing label file, and shards of another request.

    Returns:
        The path of the label file.

    Raises:
        ValueError: Shards of another request, or of other code, lie where this one would resume;
            parameters outside of their ranges; haloes beyond the mass function's densities.
        FileExistsError: The label file exists and holds something that cannot be extended, or is
            something else.
        BusyError: Another process is writing it.
        OSError: The disk is full, for example; finished shards stay.
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
                print(f"{out} is there already and answers this request"  # noqa: T201
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
    """Compute what is missing, and write the label file."""
    TemporaryFile(dir=out.parent).close()  # or an OSError, before anything is computed
    theta = points.theta
    known = known_points(out, base, theta)
    size = SHARD[model.linear_power]
    pieces = {start: theta[start : start + size] for start in range(known, len(theta), size)}
    options = {"occupation": points.space.occupation, "made_by": request["made_by"]}
    work = partial(compute, model=model, **options)
    failed = _compute_missing(shards, pieces, known, work, model, points.space, ray)
    failed = (base.failed if base else {}) | failed
    if len(failed) == len(theta):
        shards.remove()  # worth nothing, and in the way of the next request
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
        raise ValueError(f"space: {path} tells its own, another one; leave space out")
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
    """Compute the shards that are not there yet; all failed points, by index in the design."""
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
    """All rows of the label file: those of the file that is extended, then the shards."""
    if base:
        yield from read_blocks(base)
    for start, theta in pieces.items():
        shard = shards.read(start)
        if shard is None:
            raise OSError(
                f"{shards.folder}: the shard of point {start} was damaged just now; "
                f"give the same command again"
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
