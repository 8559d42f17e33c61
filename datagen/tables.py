"""Points in files, for all that read them: tables in text, JSON, npz; block by block."""

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
    """All points of a file, shape (N, P); see `read_blocks`."""
    return np.concatenate(list(read_blocks(path, units, defaults)))


def comments(path: Path) -> list[str]:
    """The lines that begin with ``#`` before all others; JSON and npz have none.

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
    """The points of a file, some thousand at once, each block of shape (n, P).

    A table in text has the names in its first line, or behind a ``#`` before the numbers; see
    `datagen.text_table`. JSON is an object of numbers or lists, or a list of objects. An npz has
    an array for each name, or one, ``theta``, in the order of the units, or with ``names``. An
    ``.h5`` is a parameter file of `datagen.design`.

    Args:
        path: The file; text and JSON may be packed by gzip.
        units: Units of the parameters by name, in the order in which they are wanted.
        defaults: Values of parameters that a file need not have.

    Raises:
        FileNotFoundError: No such file.
        TableError: Another kind of file, one that is damaged or holds no points; names missing,
            unknown or there twice, what is not a number, another unit. Its path is named.
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
    """Whatever reading a file ends in, as a `TableError` that names it."""
    try:
        yield
    except (TableError, ImportError):
        raise
    except Exception as error:  # a damaged file may end in any, of any library
        text = str(error).encode("utf-8", "backslashreplace").decode()  # also what is no UTF-8
        text = text.removeprefix(str(path)).lstrip(": ")
        reason = " ".join(text.split()) or type(error).__name__
        damaged = "" if isinstance(error, ValueError) else " is damaged, or not what its name says"
        raise TableError(f"{path}{damaged}: {reason}") from error


def _kind(path: Path) -> str:
    """The suffix that tells the kind of a file."""
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
    """Points of a list of objects."""
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
    """The columns of an array by name."""
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
    from datagen.design import Points  # h5py, which no other table needs

    points = Points.read(path)
    names = points.space.names
    check_names(names, tuple(units), defaults)
    yield from _sliced(points.theta[:, [names.index(name) for name in units]])


def _sliced(points: NDArray[Any]) -> Iterator[Array]:
    """Blocks, as a few thousand points have spectra that fit into memory."""
    for start in range(0, len(points), ROWS):
        yield np.asarray(points[start : start + ROWS], np.float64)
