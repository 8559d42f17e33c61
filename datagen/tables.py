"""Read points block by block from text tables, JSON, npz and parameter files."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.columns import check_names, numbers, stack
from datagen.json_points import records, unique_keys
from datagen.text_table import notes, text_blocks
from datagen.texts import TableError, open_text

__all__ = ["READ", "ROWS", "TableError", "comments", "read_blocks", "read_table"]

Array = NDArray[np.float64]

_TEXT = (".csv", ".tsv", ".txt", ".dat", ".ecsv")
READ = (*_TEXT, ".json", ".npz", ".h5")
ROWS = 4096  # points in a block
_NONE: Mapping[str, float] = MappingProxyType({})


def read_table(
    path: Path, units: Mapping[str, str], defaults: Mapping[str, float] = _NONE
) -> Array:
    """Read all points of a file at once, shape (N, P); see `read_blocks`."""
    return np.concatenate(list(read_blocks(path, units, defaults)))


def comments(path: Path) -> list[str]:
    """Return the leading lines of a text table that begin with ``#``; empty for other files.

    Raises:
        TableError: The file is damaged.
    """
    if _kind(path) not in _TEXT:
        return []
    with _damage_named(path):
        return notes(path)


def read_blocks(
    path: Path, units: Mapping[str, str], defaults: Mapping[str, float] = _NONE
) -> Iterator[Array]:
    """Read the points of a file in blocks of at most `ROWS` points.

    A text table has the names in its first line, or in a ``#`` comment before the numbers; see
    `datagen.text_table`. JSON is an object of numbers or lists, or a list of objects. An npz file
    has one array per name, or a single array ``theta``, with columns in the order of ``units`` or
    of a second array ``names``. An ``.h5`` file is a parameter file of `datagen.design`.

    Args:
        path: File of points; text and JSON may be compressed with gzip.
        units: Units of the parameters by name, in the order of the returned columns.
        defaults: Values of parameters that the file may omit.

    Yields:
        Points, shape (n, P) with n <= `ROWS`.

    Raises:
        FileNotFoundError: The file does not exist.
        TableError: The kind of file is unknown, or the file is damaged or has no points; a name is
            missing, unknown or duplicate; a value is not a number; a unit differs. The message
            names the file.
    """
    kind = _kind(path)
    if kind not in READ:
        raise TableError(f"{path}: points are read from {', '.join(READ)}")
    if not path.exists():
        raise FileNotFoundError(f"no points at {path}")
    if path.is_dir():
        raise TableError(f"{path} is a folder, not a table of points")
    readers = {".json": _json_blocks, ".npz": _npz_blocks, ".h5": _h5_blocks}
    reader = readers.get(kind, text_blocks)
    count = 0
    with _damage_named(path):
        for block in reader(path, units, defaults):
            count += len(block)
            if len(block):
                yield block
    if not count:
        raise TableError(f"{path} holds no points")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn any error of the block into a `TableError` that names the file."""
    try:
        yield
    except (TableError, ImportError):
        raise
    except Exception as error:  # a damaged file may raise any error of any library
        text = str(error).encode("utf-8", "backslashreplace").decode()  # may contain surrogates
        text = text.removeprefix(str(path)).lstrip(": ")
        reason = " ".join(text.split()) or type(error).__name__
        damaged = "" if isinstance(error, ValueError) else " is damaged, or not what its name says"
        raise TableError(f"{path}{damaged}: {reason}") from error


def _kind(path: Path) -> str:
    """Suffix of a file in lower case, without that of gzip."""
    inner = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else ""
    return inner if inner in (*_TEXT, ".json") else path.suffix.lower()


def _json_blocks(
    path: Path, units: Mapping[str, str], defaults: Mapping[str, float]
) -> Iterator[Array]:
    with open_text(path, "strict") as file:
        if file.read(1024).lstrip().startswith("["):
            yield from _of_records(records(path), units, defaults)
            return
    with open_text(path, "strict") as file:
        try:
            content = json.load(file, object_pairs_hook=unique_keys)
        except json.JSONDecodeError as error:
            raise ValueError(f"it is not JSON, or not all of it ({error})") from None
    if not isinstance(content, dict):
        raise ValueError("it is neither an object of numbers or lists nor a list of objects")
    check_names(content, tuple(units), defaults)
    columns = list(content.values())
    if all(isinstance(c, dict) and list(c) == list(columns[0]) for c in columns):  # of pandas
        content = {name: list(column.values()) for name, column in content.items()}
    yield from _sliced(np.atleast_2d(stack({**defaults, **content}.__getitem__, units)))


def _of_records(
    points: Iterator[Any], units: Mapping[str, str], defaults: Mapping[str, float]
) -> Iterator[Array]:
    """Points from a list of JSON objects."""
    start, names = 0, tuple(units)
    while batch := list(islice(points, ROWS)):
        for i, record in enumerate(batch, start):
            if not isinstance(record, dict):
                raise ValueError(f"point {i} is not an object of {', '.join(names)}")
            try:
                check_names(record, names, defaults)
            except ValueError as error:
                raise ValueError(f"point {i}: {error}") from None
        batch = [{**defaults, **record} for record in batch]
        rows = [[record[name] for name in names] for record in batch]
        if not set(map(type, chain.from_iterable(rows))) <= {float}:
            _check_numbers(batch, start)
        yield np.array(rows, np.float64)
        start += len(batch)


def _check_numbers(batch: list[dict[str, Any]], start: int) -> None:
    for i, record in enumerate(batch, start):
        for name, value in record.items():
            if numbers(value, f"point {i}: {name}", "").ndim:
                raise ValueError(f"point {i}: {name} is a list, expected a number")


def _npz_blocks(
    path: Path, units: Mapping[str, str], defaults: Mapping[str, float]
) -> Iterator[Array]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a whole npz archive")
    names = tuple(units)
    with path.open("rb") as file, np.load(file) as archive:
        given = sorted(archive.files)
        columns: Mapping[str, Any] = archive
        if given in (["theta"], ["names", "theta"]):
            theta = archive["theta"]
            given = list(
                theta.dtype.names or (archive["names"].astype(str) if given[1:] else names)
            )
            columns = theta if theta.dtype.names else _columns(theta, given)
        check_names(given, names, defaults)

        def get(name: str) -> Any:
            return columns[name] if name in given else defaults[name]

        yield from _sliced(np.atleast_2d(stack(get, units)))


def _columns(theta: NDArray[Any], names: list[str]) -> dict[str, Array]:
    """Columns of an array by name."""
    theta = numbers(np.atleast_2d(theta), "theta", "")
    if theta.ndim != 2 or theta.shape[1] != len(names):
        raise ValueError(
            f"theta has shape {theta.shape}, expected (N, {len(names)}) with columns "
            f"{', '.join(names)}"
        )
    return dict(zip(names, theta.T, strict=True))


def _h5_blocks(
    path: Path, units: Mapping[str, str], defaults: Mapping[str, float]
) -> Iterator[Array]:
    from datagen.design import Points  # imports h5py, which no other table needs

    points = Points.read(path)
    names = points.space.names
    check_names(names, tuple(units), defaults)
    yield from _sliced(points.theta[:, [names.index(name) for name in units]])


def _sliced(points: NDArray[Any]) -> Iterator[Array]:
    """Blocks of at most `ROWS` points, whose spectra fit into memory."""
    for start in range(0, len(points), ROWS):
        yield np.asarray(points[start : start + ROWS], np.float64)
