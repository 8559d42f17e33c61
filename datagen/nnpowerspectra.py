"""Read and write NNPowerspectra's files: ``python -m datagen.nnpowerspectra export | import``.

``GeneratedData_{N}_{time}.json`` is a list of N objects with ten lists of K numbers each [Mpc^3],
``Parameter_{N}_{time}.json`` a list of N objects with ten numbers (masses in Msun). In their names,
s (source) is matter, m here, and l (lens) galaxies, g here. Numbers keep every bit in both
directions.

NNPowerspectra has a cosmological constant and z = 0. If a label file has other values of w0, wa
or z, these are added to the parameters.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from datagen.cli import run
from datagen.files import atomic, exclusive
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.header import check_replaceable
from datagen.json_points import read_points
from datagen.outputs import output
from datagen.record import provenance
from datagen.space import Range, Space, check_theta, columns_by_name
from datagen.store import SCHEMA, Spectra

__all__ = ["KEYS", "PUBLISHED_SPACE", "export_labels", "import_labels"]

Array = NDArray[np.float64]

# their key: our name
KEYS: dict[str, str] = {
    "Pk_ss_1h": "mm_1h",
    "Pk_ss_2h": "mm_2h",
    "Pk_ss": "mm_total",
    "Pk_sl_1h": "gm_1h",
    "Pk_sl_2h": "gm_2h",
    "Pk_sl": "gm_total",
    "Pk_ll_1h": "gg_1h",
    "Pk_ll_2h": "gg_2h",
    "Pk_ll": "gg_total",
    "Pk_lin": "P_lin",
}

# masses were drawn uniformly in M, not in log10 M
PUBLISHED_SPACE = Space(Mth=Range(1e10, 1e15, "linear"), Mprime=Range(1e10, 1e17, "linear"))

_TOTAL_RTOL = 1e-12  # of |1h| + |2h|; a total is one addition, which rounds at 1e-16


def export_labels(labels: Path, folder: Path) -> tuple[Path, Path]:
    """Write a label file as NNPowerspectra's two JSON files.

    The JSON files contain neither wavenumbers nor halo model, derived numbers and failed points;
    keep the label file for those.

    Args:
        labels: Label file of ``datagen.generate``.
        folder: Folder for the two files.

    Returns:
        Paths of ``GeneratedData_{N}_{time}.json`` and ``Parameter_{N}_{time}.json``.

    Raises:
        StoreError: The label file is damaged, or not a label file.
        FileExistsError: The files were written within the same second.
    """
    spectra = Spectra.read(labels)
    name = f"{len(spectra)}_{datetime.now():%Y-%m-%d_%H-%M-%S}.json"
    data, parameters = folder / f"GeneratedData_{name}", folder / f"Parameter_{name}"
    if data.exists() or parameters.exists():
        raise FileExistsError(f"{data} was written in this very second; give the command again")
    columns = [spectra[ours] for ours in KEYS.values()]
    points = (dict(zip(KEYS, row, strict=True)) for row in zip(*columns, strict=True))
    _write(data, tqdm(points, desc="spectra", unit="pt", total=len(spectra)))
    theirs = _their_parameters(spectra.theta)
    rows = zip(*theirs.values(), strict=True)
    _write(parameters, (dict(zip(theirs, row, strict=True)) for row in rows))
    grid = f"{len(spectra.k)} wavenumbers, {spectra.k[0]:g} to {spectra.k[-1]:g} 1/Mpc"
    print(f"{len(spectra)} points ({grid}) in {data} and {parameters}")  # noqa: T201
    return data, parameters


def _their_parameters(theta: Array) -> dict[str, Array]:
    """Columns of points by name, without w0, wa and z if they have their published values."""
    defaults = PUBLISHED_SPACE.defaults
    columns = columns_by_name(theta, PUBLISHED_SPACE.names).items()
    return {n: column for n, column in columns if (column != defaults.get(n, np.nan)).any()}


def import_labels(
    data: Path,
    parameters: Path,
    out: Path,
    space: Space = PUBLISHED_SPACE,
    k: KGrid = KGrid(),
    overwrite: bool = False,
) -> Path:
    """Write NNPowerspectra's two JSON files as a label file.

    All points are kept, including those with a negative 1-halo term. The label file has no derived
    numbers, since the JSON files have none.

    Args:
        data: ``GeneratedData_*.json`` file.
        parameters: ``Parameter_*.json`` file of the same points.
        out: Label file to write (HDF5).
        space: Box of the points; by default the published one.
        k: Wavenumbers of the spectra; by default the published ones.
        overwrite: Replace an existing label file.

    Returns:
        Path of the label file.

    Raises:
        ValueError: A file is damaged or has the wrong shape, or the files do not belong together.
        FileExistsError: The label file exists, or is not a label file.
        BusyError: Another process is writing the label file.
    """
    with exclusive(out):
        check_replaceable(out, SCHEMA, "label file", overwrite)
        spectra = _imported(data, parameters, space, k)
        spectra.write(out)
    print(f"{len(spectra)} points in {out}")  # noqa: T201
    return out


def _imported(data: Path, parameters: Path, space: Space, k: KGrid) -> Spectra:
    """Labels from the two files."""
    theta = _theta(parameters, space)
    points = tqdm(read_points(data, tuple(KEYS), (k.points,)), "spectra", len(theta), unit="pt")
    try:
        rows = np.array(list(points))  # (N, 10, K)
    except MemoryError as error:
        raise ValueError(f"{data} does not fit into memory ({error})") from error
    if len(rows) != len(theta):
        raise ValueError(
            f"{data} holds {len(rows)} points, {parameters} holds {len(theta)}; "
            f"give two files that were written together"
        )
    spectra = {ours: rows[:, i] for i, ours in enumerate(KEYS.values())}
    _check_totals(data, spectra)
    metadata = {
        "model": asdict(HaloModelConfig(model="g3lhalo", linear_power="camb", k=k)),
        "space": space.as_dict(),
        "design": {"method": "imported", "points": len(theta)},
        "imported": {
            "from": "NNPowerspectra",
            "data": _identity(data),
            "parameters": _identity(parameters),
        },
        "provenance": provenance(),
    }
    stored = {name: array for name, array in spectra.items() if not output(name).is_total}
    return Spectra(theta, k.values(), stored, metadata)


def _write(path: Path, points: Iterable[dict[str, Any]]) -> None:
    """Write a JSON list with one object per line, without holding the text in memory."""
    separator = "[\n"
    with atomic(path) as partial, partial.open("w") as file:
        for point in points:
            if wild := [key for key, value in point.items() if not np.isfinite(value).all()]:
                raise ValueError(f"{path}: {wild[0]} is not finite, which JSON cannot hold")
            row = {key: value.tolist() for key, value in point.items()}
            file.write(separator + json.dumps(row))
            separator = ",\n"
        file.write("\n]\n")


def _theta(path: Path, space: Space) -> Array:
    """Read the points of a parameter file, shape (N, P), and check that they lie in the space."""
    rows = list(read_points(path, space.names, (), space.defaults))
    if not rows:
        raise ValueError(f"{path} holds no points")
    theta = np.array(rows)
    try:
        check_theta(theta, space.occupation)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    outside = (theta < space.low) | (theta > space.high)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        name = space.names[column]
        raise ValueError(
            f"{path}, point {row}: {name} = {theta[row, column]:g} is outside the space, "
            f"[{space[name].low:g}, {space[name].high:g}]; give the box that the points were "
            f"drawn from with --space.{name}"
        )
    return theta


def _check_totals(path: Path, spectra: dict[str, Array]) -> None:
    """Raise a ValueError if totals are not the sums of their terms, as in label files."""
    for key, name in KEYS.items():
        if terms := output(name).terms:
            one, two = (spectra[term] for term in terms)
            off = np.abs(spectra[name] - (one + two)) > _TOTAL_RTOL * (np.abs(one) + np.abs(two))
            if off.any():
                raise ValueError(
                    f"{path}, point {np.argwhere(off)[0][0]}: {key} is not {key}_1h + {key}_2h"
                )


def _identity(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def main(argv: list[str] | None = None) -> None:
    """Command line of `export_labels` and `import_labels`."""
    commands = {"export": export_labels, "import": import_labels}
    run(commands, "python -m datagen.nnpowerspectra", argv)


if __name__ == "__main__":
    main()
