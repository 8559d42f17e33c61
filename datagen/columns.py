"""Columns of points by name: check names, convert units, and stack them to an array."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.messages import shortened
from datagen.synonyms import hint
from datagen.units import in_unit, unit_of

__all__ = ["PLAIN", "as_array", "carry_units", "check_names", "is_plain", "numbers", "stack"]

PLAIN = {float, int, np.float64, np.float32}  # types of numbers without a unit
_NESTED = (list, tuple, np.ndarray)  # exact types: quantities are subclasses of arrays


def check_names(given: Iterable[Any], names: Sequence[str], optional: Container[str] = ()) -> None:
    """Check the names of columns; their order does not matter.

    Args:
        given: Names of the columns.
        names: Expected names.
        optional: Expected names that may be missing.

    Raises:
        ValueError: A name is missing, unknown or duplicate; the message lists all of them.
    """
    given = list(given)
    missing = [name for name in names if name not in given and name not in optional]
    if not missing and len(set(given)) == len(given) and set(given) <= set(names):
        return
    unknown = [name for name in dict.fromkeys(given) if name not in names]
    faults = {
        "missing parameters": missing,
        "unknown parameters": [f"{name}{hint(name, names)}" for name in unknown],
        "given twice": [str(name) for name in names if given.count(name) > 1],
    }
    text = "; ".join(f"{fault}: {', '.join(odd)}" for fault, odd in faults.items() if odd)
    raise ValueError(f"{text}; expected {', '.join(names)}")


def stack(get: Callable[[str], Any], units: Mapping[str, str]) -> NDArray[Any]:
    """Stack columns to an array, shape (P,) if all are numbers, else (N, P).

    Args:
        get: Function that returns a column by name: a number or an array (N,).
        units: Expected units by name, in the order of columns.

    Raises:
        ValueError: A value is not a real number, or has another unit or shape; columns differ in
            length or in the labels of their rows.
    """
    values = {name: get(name) for name in units}
    if set(map(type, values.values())) <= PLAIN:
        return numbers(list(values.values()), "theta", "")
    _check_rows(values)
    arrays = [numbers(value, name, units[name]) for name, value in values.items()]
    for name, array in zip(units, arrays, strict=True):
        if array.ndim > 1:
            raise ValueError(f"{name} has shape {array.shape}, expected a number or (N,)")
    lengths = {name: len(a) for name, a in zip(units, arrays, strict=True) if a.ndim == 1}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"parameters differ in length: {lengths}")
    rows = list(lengths.values())[:1]
    table = np.empty((*rows, len(arrays)), np.result_type(*arrays))
    for i, array in enumerate(arrays):
        table[..., i] = array
    return table


def numbers(value: Any, what: str, unit: str) -> NDArray[Any]:
    """Convert numbers to an array in an expected unit; masked values become NaN.

    Args:
        value: Numbers with or without a unit: an array, list, or column of any library.
        what: Name of the numbers, for messages.
        unit: Expected unit, such as ``Msun``.

    Raises:
        ValueError: A value is not a real number, or has another unit.
    """
    if is_plain(value):
        return as_array(value, what)
    value = in_unit(value, what, unit)
    mask = getattr(value, "mask", None)
    if not isinstance(value, list | tuple):
        value = as_array(value, what)
    if carry_units(value):
        return as_array([numbers(element, what, unit) for element in value], what)
    array = as_array(value, what)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{what} = {_short(value)} is not a real number or an array of them")
    if isinstance(mask, np.ndarray | np.bool_) and mask.any():
        return np.where(mask, np.nan, array)
    return array


def is_plain(value: Any) -> bool:
    """Return whether a value is plain numbers, without labels, units or mask."""
    kind = type(value)
    if kind is np.ndarray:
        return value.dtype.kind in "fiu"
    if kind is not list:
        return kind in PLAIN
    kinds = set(map(type, value))
    return kinds <= PLAIN or (
        kinds == {list} and set(map(type, chain.from_iterable(value))) <= PLAIN
    )


def as_array(value: Any, what: str) -> NDArray[Any]:
    """Convert a value to an array, numeric if all elements are real numbers.

    Args:
        value: Any object.
        what: Name of the value, for messages.

    Raises:
        ValueError: The value cannot be converted.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and all(_is_real(element) for element in array.flat):
            array = array.astype(np.float64)
    except Exception as error:  # each library raises classes of its own
        raise ValueError(f"{what} is not an array of numbers ({error})") from None
    return array


def carry_units(values: Any) -> bool:
    """Return whether any element of a (nested) list or object array has a unit."""
    if isinstance(values, np.ndarray):
        return values.dtype.kind == "O" and carry_units(values.ravel().tolist())
    return not set(map(type, values)) <= PLAIN and any(
        carry_units(part) if type(part) in _NESTED else unit_of(part) is not None for part in values
    )


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return shortened(repr(value.tolist() if isinstance(value, np.ndarray) else value), 60)


def _check_rows(values: Mapping[str, Any]) -> None:
    """Raise a ValueError if columns of pandas or xarray differ in the labels of their rows."""
    labelled = [(name, labels) for name in values if (labels := _row_labels(values[name]))]
    for name, labels in labelled:
        first, expected = labelled[0]
        if list(labels) != list(expected) or any(
            other is not (index := labels[along]) and (index is None or not index.equals(other))
            for along, other in expected.items()
        ):
            raise ValueError(
                f"rows of {first} and {name} are labelled differently; align the two, or give "
                f"plain arrays"
            )


def _row_labels(value: Any) -> dict[Any, Any]:
    """Labels of the rows of a column, by dimension; None for a dimension without labels."""
    if type(value) in PLAIN or isinstance(value, list | np.ndarray):
        return {}
    if hasattr(value, "dims") and hasattr(value, "indexes"):  # of xarray
        return {along: value.indexes.get(along) for along in value.dims}
    index = getattr(value, "index", None)  # of pandas
    return {"index": index} if hasattr(index, "equals") else {}
