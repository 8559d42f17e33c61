"""Convert points in any form to one array.

Labels are used wherever they exist: keys, columns, fields, or an index. No library is imported.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.columns import PLAIN, as_array, carry_units, check_names, is_plain, numbers, stack
from datagen.units import check_text, unit_of

__all__ = ["as_points"]

Columns = tuple[list[Any], Callable[[Any], Any]]  # names of columns, and a function to get one

_NAMES = ("_fields", "keys", "column_names", "colnames", "columns")  # attributes with names
_BARE = {*PLAIN, list, np.ndarray}


def as_points(
    theta: Any, units: Mapping[str, str], defaults: Mapping[str, float] = MappingProxyType({})
) -> NDArray[Any]:
    """Return points as an array of numbers, shape (P,) for a single point, else (N, P).

    Args:
        theta: A mapping from names to numbers or arrays (N,); a structured array, or a table or a
            row of one, with these columns (pandas, polars, xarray, pyarrow, astropy, ...); a list
            of points; or a plain array, with columns in the order of the names. Quantities are
            converted to the units.
        units: Units of the parameters by name, in the order of columns.
        defaults: Values of parameters that may be omitted from points with names.

    Raises:
        ValueError: Missing or unknown names; a wrong shape; a unit that cannot be converted; values
            that are not real numbers.
    """
    if type(theta) is dict:  # the fast path for steps of a sampler
        values = [theta.get(name) for name in units]
        if len(theta) == len(units) and set(map(type, values)) == {float}:
            return np.array(values)
    elif is_plain(theta):
        return _shaped(as_array(theta, "theta"), units)
    if (columns := _columns(theta, units)) is not None:
        return _labelled(theta, columns, units, defaults)
    if isinstance(theta, np.ndarray) and theta.dtype.kind == "O":
        return as_points(theta.tolist(), units, defaults)
    if isinstance(theta, list | tuple):
        return _sequence(theta, units, defaults)
    if unit_of(theta) is None:
        array = as_array(theta, "theta")
        if array.dtype.kind == "O" and array.ndim:
            return _sequence(array.tolist(), units, defaults)
    return _plain(theta, units)


def _shaped(points: NDArray[Any], units: Mapping[str, str]) -> NDArray[Any]:
    if points.ndim not in (1, 2) or points.shape[-1] != len(units):
        raise ValueError(
            f"theta has shape {points.shape}, expected (N, {len(units)}) or ({len(units)},) with "
            f"columns {', '.join(units)}"
        )
    return points


def _plain(theta: Any, units: Mapping[str, str]) -> NDArray[Any]:
    """Points with columns in the order of the names."""
    expected = list(dict.fromkeys(units.values()))
    unit = unit_of(theta)
    if unit is not None and len(expected) > 1:
        raise ValueError(
            f"theta has one unit, {str(unit) or 'dimensionless'}, for parameters with the units "
            f"{' and '.join(expected)}; give them by name, each with its own"
        )
    return _shaped(numbers(theta, "theta", expected[0]), units)


def _sequence(
    theta: Sequence[Any], units: Mapping[str, str], defaults: Mapping[str, float]
) -> NDArray[Any]:
    """A list of points, with or without names or units, or the numbers of a single point."""
    odd = (value for value in theta if type(value) not in _BARE)
    if any(_columns(value, units) is not None for value in odd):
        return _rows(theta, units, defaults)
    if not carry_units(theta):
        return _plain(theta, units)
    if any(isinstance(value, list | tuple) or np.ndim(value) for value in theta):
        return _rows(theta, units, defaults)
    _shaped(np.empty(len(theta)), units)
    return stack(dict(zip(units, theta, strict=True)).__getitem__, units)


def _rows(
    theta: Sequence[Any], units: Mapping[str, str], defaults: Mapping[str, float]
) -> NDArray[Any]:
    points = []
    for i, row in enumerate(theta):
        try:
            points.append(as_points(row, units, defaults))
        except ValueError as error:
            raise ValueError(f"row {i}: {error}") from None
        if points[-1].ndim != 1:
            raise ValueError(f"row {i} has shape {points[-1].shape}, expected a single point")
    return np.array(points)


def _labelled(
    theta: Any, columns: Columns, units: Mapping[str, str], defaults: Mapping[str, float]
) -> NDArray[Any]:
    labels, column = columns
    left_out = [name for name in defaults if name not in labels]
    check_names([*labels, *left_out], tuple(units))

    def get(name: str) -> Any:
        if name in left_out:
            return defaults[name]
        try:
            value = column(name)
        except Exception as error:  # libraries raise classes of their own
            reason = " ".join(str(error).split())
            raise ValueError(f"{name} cannot be read from theta ({reason})") from None
        return _with_unit(value, theta, name, units[name])

    return stack(get, units)


def _columns(theta: Any, units: Mapping[str, str]) -> Columns | None:
    """Columns of a table or entries of a row; None if they have no names."""
    if isinstance(theta, list) or type(theta) in PLAIN:
        return None
    if isinstance(theta, Mapping):
        return list(theta), theta.__getitem__
    if hasattr(theta, "dims") and hasattr(theta, "indexes"):
        return _along_a_dimension(theta, units)
    if hasattr(theta, "struct") and str(theta.dtype).startswith("Struct"):  # polars
        theta = theta.struct.unnest()
    labels = _labels(theta)
    if labels is None:
        return None
    if hasattr(theta, "columns") and not set(units) & set(labels):
        index = getattr(theta, "index", ())
        if hasattr(index, "equals") and any(name in index for name in units):
            raise ValueError("theta has the parameters as rows; transpose it")
    if labels == list(range(len(labels))):  # pandas numbers columns without names
        return None
    if hasattr(theta, "_fields"):
        return labels, lambda name: getattr(theta, name)
    return labels, lambda name: theta[name]


def _labels(theta: Any) -> list[Any] | None:
    """Names of the fields of an array, the columns of a table, or the entries of a row."""
    names = getattr(getattr(theta, "dtype", None), "names", None)
    for attribute in _NAMES:
        if names is None:
            names = getattr(theta, attribute, None)
            names = names() if callable(names) else names
    return list(names) if isinstance(names, Iterable) else None


def _along_a_dimension(theta: Any, units: Mapping[str, str]) -> Columns | None:
    """Like `_columns`, for an xarray.DataArray: the dimension along which the names lie."""
    indexes = [
        (along, list(theta.indexes[along])) for along in theta.dims if along in theta.indexes
    ]
    counted = list(range(len(units)))
    others = [
        (coordinate.dims[0], coordinate.values.tolist())
        for coordinate in getattr(theta, "coords", {}).values()  # not only indexes
        if coordinate.ndim == 1
    ]
    found = [each for each in (*indexes, *others) if set(units) & set(each[1])]
    found += [each for each in indexes if len(each[1]) == len(units) and each[1] != counted]
    if not found:
        return None
    along, labels = found[0]
    return labels, lambda name: theta.isel({along: labels.index(name)})


def _with_unit(value: Any, theta: Any, name: str, expected: str) -> Any:
    """A column, with a unit that its table stores separately."""
    if hasattr(theta, "table"):  # rows of astropy have plain numbers
        unit = unit_of(theta.table[name])
        return value if unit is None or unit_of(value) is not None else value * unit
    if hasattr(theta, "schema") and hasattr(theta.schema, "field"):  # pyarrow
        for key, text in (theta.schema.field(name).metadata or {}).items():
            if key in (b"unit", b"units"):
                check_text(text.decode(), name, expected)
    return value
