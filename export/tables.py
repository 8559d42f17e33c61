"""Points read from files, and spectra written to them: CSV, JSON, npz, figures."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.files import atomic

__all__ = ["READ", "WRITTEN", "read_points", "write_results"]

READ = (".csv", ".json", ".npz")
WRITTEN = (".csv", ".npz", ".png", ".pdf")

_LINES = 12  # spectra of a figure that can still be told apart


def read_points(path: Path) -> Any:
    """Points as an emulator takes them, never a single one: columns by name, or an array.

    A CSV has the names in its header, after any lines that start with ``#``. JSON is an object of
    numbers or lists, or a list of objects. An npz has an array for each name, or one, ``theta``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another kind of file, or one that cannot be read.
    """
    if path.suffix not in READ:
        raise ValueError(f"{path}: points are read from {', '.join(READ)}")
    if not path.exists():
        raise FileNotFoundError(f"no points at {path}")
    try:
        found = {".csv": _read_csv, ".json": _read_json, ".npz": _read_npz}[path.suffix](path)
        if set(found) == {"theta"}:
            return np.atleast_2d(found["theta"])
        return {name: np.atleast_1d(column) for name, column in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError) as error:
        raise ValueError(f"{path} holds no points ({error})") from error


def _read_csv(path: Path) -> dict[str, NDArray[np.float64]]:
    with path.open(newline="") as file:
        rows = list(csv.reader(line for line in file if line.strip() and line[0] != "#"))
    if not rows:
        raise ValueError("it is empty; its first line must name the parameters")
    names = [name.strip() for name in rows[0]]
    for i, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise ValueError(f"row {i} has {len(row)} values, the header {len(names)} names")
    table = np.array(rows[1:], dtype=np.float64).reshape(-1, len(names))
    return dict(zip(names, table.T, strict=True))


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    if isinstance(content, list):  # of objects
        return {name: [point[name] for point in content] for name in content[0]}
    return dict(content)


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def write_results(
    path: Path,
    k: NDArray[np.float64],
    results: Mapping[str, NDArray[np.float32]],
    units: Mapping[str, str],
) -> None:
    """Write outputs: a table, arrays, or a figure.

    A CSV has a line for each point and wavenumber, numbers repeated. An npz has ``k`` and an
    array for each output. A figure is written as PNG and as PDF.

    Args:
        path: Its suffix decides; see `WRITTEN`.
        k: Wavenumbers [1/Mpc], shape (K,).
        results: Spectra (N, K) and numbers (N,) by name.
        units: Units of the outputs by name.

    Raises:
        ValueError: Another suffix.
    """
    if path.suffix not in WRITTEN:
        raise ValueError(f"{path}: results are written to {', '.join(WRITTEN)}")
    if path.suffix in (".png", ".pdf"):
        _plot(path, k, results)
        return
    with atomic(path) as partial:
        if path.suffix == ".npz":
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, k=k, **results)
        else:
            _write_csv(partial, k, results, units)


def _write_csv(path: Path, k: Any, results: Mapping[str, Any], units: Mapping[str, str]) -> None:
    N, K = len(next(iter(results.values()))), len(k)
    columns = [np.repeat(np.arange(N), K), np.tile(k, N)]
    for values in results.values():
        columns.append(values.reshape(-1) if values.ndim == 2 else np.repeat(values, K))
    with path.open("w", newline="") as file:
        described = ", ".join(f"{name} [{units[name]}]" for name in results)
        file.write(f"# k [1/Mpc], {described}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["point", "k", *results])
        for point, *values in zip(*columns, strict=True):
            writer.writerow([point, *(f"{value:.8g}" for value in values)])


def _plot(path: Path, k: Any, results: Mapping[str, Any]) -> None:
    """Every spectrum against k, in the colours and strokes of its kind; of the first points."""
    spectra = {name: values for name, values in results.items() if values.ndim == 2}
    if len(k) < 2 or not spectra:
        raise ValueError(f"{path}: a figure needs a spectrum at two wavenumbers at least")
    from datagen.figures import (  # matplotlib, which predictions do not need
        CORRELATION_COLOURS,
        P_LABEL,
        TERM_STYLES,
        k_axis,
        new_figure,
        save_figure,
        spectrum_label,
        style,
    )

    with style():
        figure = new_figure(5, 4)
        axes = figure.subplots()
        for name, values in spectra.items():
            kind, _, term = name.partition("_")
            for i, Pk in enumerate(values[:_LINES]):
                axes.loglog(
                    k,
                    Pk,
                    color=CORRELATION_COLOURS.get(kind, "black"),
                    ls=TERM_STYLES.get(term, "-"),
                    label=None if i else spectrum_label(name),
                )
        k_axis(axes, k)
        axes.set_ylabel(P_LABEL)
        axes.legend()
        save_figure(figure, path.with_suffix(""))
