"""Files of measurements, CSV with a header, and of covariances; see `export.measurements`."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.columns import check_names, numbers
from datagen.files import atomic
from datagen.json_points import unique_keys
from datagen.text_table import cell_number, split_cells
from datagen.texts import TableError, open_text

__all__ = ["SCHEMA", "Row", "covariance_of", "named", "read_rows", "write_rows"]

Array = NDArray[np.float64]

SCHEMA = "hodspectra-data-1"
_COLUMNS = ("statistic", "x", "low", "high", "value", "error")
_ENTRY = re.compile(r"(\w+)\s*:\s*([{\"].*)")
_COVARIANCE = "covariance"  # entry of the header that names the file of the covariance


@dataclass(frozen=True)
class Row:
    """One measured value.

    Attributes:
        line: Line of the file, from 1.
        name: Name of the statistic or number.
        at: Separation ``(x,)``, or ends of the bin ``(low, high)``; empty for a number.
        value: The measured value.
        error: Standard deviation; None if the file has no such column.
    """

    line: int
    name: str
    at: tuple[float, ...]
    value: float
    error: float | None


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn errors about a file into a `TableError` that begins with its path."""
    try:
        yield
    except TableError:
        raise
    except ValueError as error:
        raise TableError(f"{path}: {error}") from error


def read_rows(path: Path) -> tuple[dict[str, dict[str, Any]], list[Row], Path | None]:
    """Read the entries of the header by name, the rows, and the path of the covariance, if any.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another format; an invalid entry or row, with its line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no measurements at {path}")
    entries: dict[str, Any] = {}
    rows: list[Row] = []
    columns: list[str] = []
    separator, is_ours = "", False
    with open_text(path) as file:
        for line, text in enumerate(file, 1):
            if (note := _note(text)) is not None:
                is_ours = is_ours or _is_schema(note, line)
                _take(entries, note, line)
            elif not text.strip(" \t\r\n,;"):
                continue
            elif not is_ours:
                break
            elif not columns:
                separator = next((one for one in ";\t," if one in text), ",")
                columns = _columns(text, separator, line)
            else:
                rows.append(_row(split_cells(text, separator), columns, line))
    if not is_ours:
        raise ValueError(
            f"it is not a file of measurements; its first line must be # {SCHEMA} (hodspectra "
            f"survey-tables makes one of some published tables)"
        )
    if not rows:
        raise ValueError(f"it has no rows; below the header come {','.join(_COLUMNS)} and numbers")
    beside = entries.pop(_COVARIANCE, None)
    return entries, rows, None if beside is None else path.parent / beside


def _note(text: str) -> str | None:
    """Text of a line that begins with #, also if a spreadsheet has quoted or padded it."""
    text = text.strip("\r\n ")
    if text.startswith('"'):
        text = ",".join(next(csv.reader([text]), []))
    return text[1:].strip(" \t,;") if text.startswith("#") else None


def _is_schema(note: str, line: int) -> bool:
    if note.startswith("hodspectra-data") and note != SCHEMA:
        raise ValueError(f"line {line}: its format is {note}; this version reads {SCHEMA}")
    return note == SCHEMA


def _take(entries: dict[str, Any], note: str, line: int) -> None:
    """Add a line of the header to the entries, if it is one."""
    if not (found := _ENTRY.fullmatch(note)):
        return
    name, text = found.groups()
    if name in entries:
        raise ValueError(f"line {line}: {name} has two entries in the header; leave one")
    try:
        entry = json.loads(text, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise ValueError(f"line {line}: the entry of {name} is not JSON ({error})") from None
    if not isinstance(entry, str if name == _COVARIANCE else dict):
        kind = "the name of a file" if name == _COVARIANCE else "an object, {...}"
        raise ValueError(f"line {line}: the entry of {name} is {text}, expected {kind}")
    entries[name] = entry


def _columns(text: str, separator: str, line: int) -> list[str]:
    columns = split_cells(text, separator)
    while columns and not columns[-1]:
        del columns[-1]
    try:
        check_names(columns, _COLUMNS, optional=("x", "low", "high", "error"))
    except ValueError as error:
        said = str(error).replace("parameters", "columns")
        raise ValueError(f"line {line}: {said}") from None
    return columns


def _row(cells: list[str], columns: Sequence[str], line: int) -> Row:
    if any(cells[len(columns) :]) or len(cells) < len(columns):
        raise ValueError(f"line {line} has {len(cells)} values, the columns are {len(columns)}")
    cell = dict(zip(columns, cells, strict=False))
    name = cell["statistic"]
    where = f"line {line}: {name}"
    given = {one: cell[one] for one in ("x", "low", "high") if cell.get(one)}
    if list(given) not in ([], ["x"], ["low", "high"]):
        raise ValueError(f"{where} has {', '.join(given)}; a row has x, or low and high, or none")
    at = tuple(_finite(text, f"{where}: {one}") for one, text in given.items())
    value = _finite(cell["value"], f"{where}: value")
    if "error" not in cell:
        return Row(line, name, at, value, None)
    error = _finite(cell["error"], f"{where}: error")
    if not error > 0:
        raise ValueError(f"{where}: error = {error:g} must be above 0, a standard deviation")
    return Row(line, name, at, value, error)


def _finite(cell: str, what: str) -> float:
    number = cell_number(cell, what)
    if not np.isfinite(number):
        raise ValueError(f"{what} = {number:g} must be finite; leave such a row out")
    return number


def write_rows(
    path: Path,
    entries: Mapping[str, Mapping[str, Any]],
    rows: Sequence[tuple[str, tuple[float, ...], float]],
    covariance: Array,
) -> None:
    """Write a file of measurements, and a CSV with the covariance if it is not diagonal.

    Args:
        path: The file to write.
        entries: Entries of the header, by name.
        rows: Names, separations or ends of bins, and values.
        covariance: Covariance of the values, shape (D, D).
    """
    independent = np.array_equal(covariance, np.diag(np.diag(covariance)))
    header = [f"# {SCHEMA}", *(f"# {name}: {json.dumps(one)}" for name, one in entries.items())]
    if not independent:
        beside = path.with_name(f"{path.stem}_covariance.csv")
        header.append(f"# {_COVARIANCE}: {json.dumps(beside.name)}")
        _write(beside, "".join(",".join(map(repr, row)) + "\n" for row in covariance.tolist()))
    bins = any(len(at) == 2 for _, at, _ in rows)
    points = any(len(at) == 1 for _, at, _ in rows) or not bins
    columns = ["statistic", *(["x"] if points else []), *(["low", "high"] if bins else []), "value"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns if not independent else [*columns, "error"])
    for (name, at, value), error in zip(rows, np.sqrt(np.diag(covariance)).tolist(), strict=True):
        cells: list[Any] = [name]
        cells += ([at[0] if len(at) == 1 else ""]) if points else []
        cells += (list(at) if len(at) == 2 else ["", ""]) if bins else []
        writer.writerow([*cells, value, *([error] if independent else [])])
    _write(path, "\n".join(header) + "\n" + text.getvalue())


def _write(path: Path, text: str) -> None:
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def covariance_of(given: ArrayLike | Path | str, size: int) -> Array:
    """Return a covariance, checked to be square, symmetric and positive definite.

    Args:
        given: An array, or a file: a table of numbers alone, or an npz with one array or one named
            ``covariance``.
        size: Number of values D.

    Returns:
        The covariance, shape (D, D).

    Raises:
        FileNotFoundError: No such file.
        ValueError: An invalid covariance; the message names the element.
    """
    if isinstance(given, str | Path):
        path = Path(given)
        if not path.is_file():
            raise FileNotFoundError(f"no covariance at {path}")
        with named(path):
            return _checked(_matrix(path), size)
    return _checked(numbers(given, "covariance", ""), size)


def _matrix(path: Path) -> NDArray[Any]:
    """Read the numbers of a file."""
    if zipfile.is_zipfile(path):
        with np.load(path) as archive:
            names = list(archive.files)
            if len(names) != 1 and _COVARIANCE not in names:
                raise ValueError(f"it has {', '.join(names)}; call the covariance {_COVARIANCE}")
            return numbers(archive[_COVARIANCE if _COVARIANCE in names else names[0]], "it", "")
    rows = []
    with open_text(path) as file:
        for line, text in enumerate(file, 1):
            if text.strip() and not text.lstrip().startswith("#"):
                cells = split_cells(text)
                rows.append([cell_number(one, f"line {line}: a value") for one in cells])
                if len(rows[-1]) != len(rows[0]):
                    raise ValueError(f"line {line} has {len(cells)} values, others {len(rows[0])}")
    return np.array(rows)


def _checked(covariance: NDArray[Any], size: int) -> Array:
    if covariance.shape != (size, size):
        raise ValueError(
            f"the covariance has shape {covariance.shape}, expected {(size, size)}: a row and a "
            f"column for each row of the data, before any cut"
        )
    covariance = covariance.astype(np.float64)
    if not np.isfinite(covariance).all():
        i, j = np.argwhere(~np.isfinite(covariance))[0]
        raise ValueError(f"covariance[{i}, {j}] = {covariance[i, j]} must be finite")
    variance = np.diag(covariance)
    if not (variance > 0).all():
        i = int(np.argmax(~(variance > 0)))
        raise ValueError(f"covariance[{i}, {i}] = {variance[i]:g} must be above 0, a variance")
    scale = np.sqrt(np.outer(variance, variance))
    apart = np.abs(covariance - covariance.T) / scale
    if apart.max(initial=0) > 1e-6:
        i, j = np.unravel_index(np.argmax(apart), apart.shape)
        raise ValueError(
            f"covariance[{i}, {j}] = {covariance[i, j]:g} and [{j}, {i}] = {covariance[j, i]:g} "
            f"must be equal: it is not symmetric"
        )
    covariance = (covariance + covariance.T) / 2
    lowest = np.linalg.eigvalsh(covariance / scale)[0] if size else 1.0
    if not lowest > 1e-12:
        raise ValueError(
            f"the covariance is not positive definite: the correlation matrix has the eigenvalue "
            f"{lowest:.3g}; are there more numbers than independent estimates?"
        )
    return covariance
