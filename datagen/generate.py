"""Draw points and compute their true power spectra: ``python -m datagen.generate``."""

import json
import shutil
import zipfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.cli import run
from datagen.design import Design, draw
from datagen.files import atomic
from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.linear_power import LinearPowerTable, TableBox
from datagen.parallel import RayConfig, ray_map, ray_session
from datagen.record import provenance
from datagen.space import Space
from datagen.store import Spectra

__all__ = ["generate", "load_table"]

SHARD = 250  # points computed at once: under a second of work, the most that a kill loses

Array = NDArray[np.float64]
Shard = dict[str, Any]


def load_table(model: HaloModelConfig, space: Space) -> LinearPowerTable | None:
    """The table of linear power that a model needs on a space; computed by Ray if not cached."""
    if model.linear_power == "camb":
        return None
    box = TableBox.of(space, model.table_nodes)

    def node_map(function: Any, points: Any) -> list[Array]:
        done = dict(ray_map(function, list(points), label="CAMB for P_lin", unit="run"))
        return [done[i] for i in range(len(done))]

    return LinearPowerTable.load_or_build(box, node_map)


def compute(
    theta: Array, *, model: HaloModelConfig, table: LinearPowerTable | None
) -> tuple[Shard, dict[int, str]]:
    """Spectra of some points, and the reason for every row that could not be computed."""
    halo_model = HaloModel(model, table)
    failed: dict[int, str] = {}
    try:
        rows = halo_model(theta)
    except Exception:  # find out which of the points it was; a bad point must not cost the rest
        singles: list[Shard] = []
        for i, point in enumerate(theta):
            try:
                singles.append(halo_model(point[None]))
            except Exception as error:
                failed[i] = f"{type(error).__name__}: {error}"
                singles.append({})
        names = next((list(single) for single in singles if single), [])
        good = [single for single in singles if single]
        rows = {name: np.concatenate([single[name] for single in good]) for name in names}
    kept = [i for i in range(len(theta)) if i not in failed]
    bad = {
        row: name
        for name, array in rows.items()
        for row in np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    }
    failed |= {kept[row]: f"{name} is not finite" for row, name in bad.items()}
    finite = np.array([row for row in range(len(kept)) if row not in bad], dtype=int)
    return {name: array[finite] for name, array in rows.items()}, failed


def _read_shard(path: Path) -> tuple[Shard, dict[int, str]] | None:
    """A shard that was written before, or None if it must be computed (again)."""
    try:
        with np.load(path) as file:
            rows = {name: file[name] for name in file.files if name != "failed"}
            return rows, {int(i): why for i, why in json.loads(str(file["failed"])).items()}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write_shard(path: Path, rows: Shard, failed: dict[int, str]) -> None:
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, failed=json.dumps(failed), **rows)


def _check_request(folder: Path, request: dict[str, Any]) -> None:
    """Refuse to mix the shards of two different requests."""
    path = folder / "request.json"
    if path.exists():
        have = json.loads(path.read_text())
        differs = [name for name in request if have.get(name) != request[name]]
        if differs:
            raise ValueError(
                f"{folder} holds shards of another request ({', '.join(differs)} differ); "
                f"repeat that request to finish it, or delete the folder to start anew"
            )
        return
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(request, indent=1))


def generate(
    out: Path,
    design: Design = Design(),
    space: Space = Space(),
    model: HaloModelConfig = HaloModelConfig(),
    ray: RayConfig = RayConfig(),
    overwrite: bool = False,
) -> Path:
    """Draw points of a parameter space and compute their true power spectra.

    The points go to Ray in shards. Every finished shard is on disk at once: a run that was
    killed goes on where it was when the same command is given again.

    Args:
        out: The label file to write (HDF5).
        design: How points are spread over the space.
        space: Ranges of the ten parameters.
        model: The halo model and its ingredients.
        ray: Where the work runs.
        overwrite: Replace an existing label file.

    Returns:
        The path of the label file.

    Raises:
        ValueError: Shards of another request lie where this one would resume.
        FileExistsError: The label file exists and holds something else.
    """
    request = json.loads(
        json.dumps({"design": asdict(design), "space": space.as_dict(), "model": asdict(model)})
    )
    if out.exists() and not overwrite:
        if all(Spectra.read(out).metadata.get(name) == request[name] for name in request):
            print(f"{out} is there already and answers this request")  # noqa: T201
            return out
        raise FileExistsError(
            f"{out} exists and answers another request; pass --overwrite true or another --out"
        )
    theta = draw(design, space)
    starts = list(range(0, len(theta), SHARD))
    folder = out.with_name(out.name + ".shards")
    _check_request(folder, request)
    paths = [folder / f"{start:09d}.npz" for start in starts]
    shards = {i: shard for i, path in enumerate(paths) if (shard := _read_shard(path))}
    todo = [i for i in range(len(paths)) if i not in shards]
    if todo:
        if shards:
            print(f"resuming: {len(shards)} of {len(paths)} shards are there")  # noqa: T201
        with ray_session(ray):
            work = partial(compute, model=model, table=load_table(model, space))
            pieces = [theta[starts[i] : starts[i] + SHARD] for i in todo]
            sizes = [len(piece) for piece in pieces]
            for done, shard in ray_map(work, pieces, label="labels", unit="pt", sizes=sizes):
                _write_shard(paths[todo[done]], *shard)
                shards[todo[done]] = shard
    spectra = _merge(theta, starts, shards, model, {**request, "provenance": provenance()})
    spectra.write(out)
    shutil.rmtree(folder)
    print(f"{len(spectra)} points in {out}" + _failures(spectra))  # noqa: T201
    return out


def _merge(
    theta: Array, starts: list[int], shards: dict[int, Any], model: HaloModelConfig, meta: Any
) -> Spectra:
    failed = {starts[i] + row: why for i in sorted(shards) for row, why in shards[i][1].items()}
    rows = [shards[i][0] for i in sorted(shards) if shards[i][0]]
    if not rows:
        raise ValueError(f"not one of {len(theta)} points could be computed: {failed[0]}")
    arrays = {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}
    kept = np.setdiff1d(np.arange(len(theta)), list(failed))
    return Spectra(theta[kept], model.k.values(), arrays, meta, failed)


def _failures(spectra: Spectra) -> str:
    if not spectra.failed:
        return ""
    index, reason = next(iter(spectra.failed.items()))
    return f"; {len(spectra.failed)} points failed, the first (point {index}): {reason}"


def main(argv: list[str] | None = None) -> None:
    """Command line of `generate`."""
    run(generate, "python -m datagen.generate", argv)


if __name__ == "__main__":
    main()
