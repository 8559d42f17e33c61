"""Read JSON lists of points one by one, for files that do not fit into memory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from datagen.messages import shortened
from datagen.texts import TableError, open_text

__all__ = ["read_points", "records", "unique_keys"]

Array = NDArray[np.float64]

_CHUNK = 1 << 20  # characters read at once, about fifty points
_LONGEST_TOKEN = 64  # characters; no key and no number is longer
_NONE: Mapping[str, float] = MappingProxyType({})


class _FormatError(Exception):
    """Error in the content of a file."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Convert a JSON object to a dictionary, for ``object_pairs_hook``.

    Raises:
        ValueError: A key is duplicate.
    """
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has {twice} twice")
    return record


_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys)


def read_points(
    path: Path,
    keys: tuple[str, ...],
    shape: tuple[int, ...],
    defaults: Mapping[str, float] = _NONE,
) -> Iterator[Array]:
    """Read the points of a file.

    Args:
        path: JSON list of objects.
        keys: Keys of each object.
        shape: Shape of each value, ``()`` for a number.
        defaults: Values of keys that an object may omit.

    Yields:
        The values of an object in the order of the keys, shape ``(len(keys), *shape)``.

    Raises:
        ValueError: The file is damaged, or an object has other keys or values; the message names
            the point.
    """
    for i, record in enumerate(records(path)):
        where = f"{path}, point {i}"
        if not isinstance(record, dict) or {*defaults, *record} != set(keys):
            have = ", ".join(record) if isinstance(record, dict) else type(record).__name__
            needed = ", ".join(key for key in keys if key not in defaults)
            more = f", and may have {', '.join(defaults)}" if defaults else ""
            raise ValueError(f"{where} must have the keys {needed}{more}; it has {have}")
        record = {**defaults, **record}
        values = {key: _numbers(record[key], f"{where}: {key}") for key in keys}
        for key, value in values.items():
            if value.shape != shape:
                wanted = f"{shape[0]} numbers, one for each k; see --k" if shape else "one number"
                raise ValueError(f"{where}: {key} has shape {value.shape}, expected {wanted}")
            if not np.isfinite(value).all():
                raise ValueError(f"{where}: {key} is not finite; take the point out of both files")
        yield np.array(list(values.values()))


def _numbers(value: Any, where: str) -> Array:
    """Convert a number or a list of numbers, but not strings, to an array."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in "iuf":
        shown = shortened(json.dumps(value), 40)
        raise ValueError(f"{where} is something other than numbers: {shown}")
    return array.astype(np.float64)


def records(path: Path) -> Iterator[Any]:
    """Read the elements of a JSON list.

    Raises:
        TableError: The file is not a JSON list, truncated or damaged; the message begins with its
            path.
    """
    with open_text(path, "strict") as file:
        try:
            yield from _elements(file)
        except UnicodeDecodeError as error:
            raise TableError(f"{path} is damaged: {error}") from error
        except RecursionError as error:
            raise TableError(f"{path} is damaged: lists within lists without an end") from error
        except _FormatError as error:
            raise TableError(f"{path} {error}") from error


def _elements(file: TextIO) -> Iterator[Any]:
    buffer = file.read(_CHUNK).lstrip()
    if not buffer.startswith("["):
        raise _FormatError("is not a JSON list of points")
    buffer = buffer[1:].lstrip()
    while not buffer.startswith("]"):
        try:
            found = _first(buffer)
        except ValueError as error:
            raise _FormatError(f"is damaged: {getattr(error, 'msg', error)}") from error
        if found:
            record, buffer = found
            yield record
        elif more := file.read(_CHUNK):
            buffer = (buffer + more).lstrip()
        else:
            raise _FormatError("ends before its list does; it was cut off")
    rest = buffer[1:].lstrip()
    while not rest and (more := file.read(_CHUNK)):
        rest = more.lstrip()
    if rest:
        raise _FormatError(f"goes on after its list, with {rest[:20]!r}")


def _first(buffer: str) -> tuple[Any, str] | None:
    """First element of a buffer, and the rest of the buffer; None if it may be incomplete."""
    try:
        record, end = _DECODER.raw_decode(buffer)
    except json.JSONDecodeError as error:
        # an incomplete element fails within the last token of the buffer, a damaged one before
        if error.pos < len(buffer) - _LONGEST_TOKEN:
            raise
        return None
    rest = buffer[end:].lstrip()
    if not rest:
        return None
    if rest[0] not in ",]":
        raise json.JSONDecodeError("no comma between two points", buffer, end)
    return record, rest.removeprefix(",").lstrip()
