"""Points in whatever form a caller has them, as one array; mistakes named."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_points"]


def as_points(theta: Any, names: tuple[str, ...]) -> NDArray[Any]:
    """The points as an array of numbers, shape (P,) for a single one, else (N, P).

    Args:
        theta: A mapping from the names to numbers or arrays (N,); a structured array with these
            fields; or a plain array, columns in the order of the names.
        names: The parameters.

    Raises:
        ValueError: Names missing or unknown, a wrong shape, or what is not a real number.
    """
    if isinstance(theta, Mapping):
        return _columns(theta, names, theta.keys())
    fields = getattr(getattr(theta, "dtype", None), "names", None)
    if fields:
        return _columns(theta, names, fields)
    points = _array(theta, "theta")
    if points.ndim not in (1, 2) or points.shape[-1] != len(names):
        raise ValueError(
            f"theta has shape {points.shape}, expected (N, {len(names)}) or ({len(names)},) with "
            f"columns {', '.join(names)}"
        )
    return points


def _columns(theta: Any, names: tuple[str, ...], given: Any) -> NDArray[Any]:
    if len(given) != len(names) or any(name not in given for name in names):
        for kind, odd in (
            ("missing", [name for name in names if name not in given]),
            ("unknown", [str(name) for name in given if name not in names]),
        ):
            if odd:
                raise ValueError(
                    f"{kind} parameters: {', '.join(odd)}; expected {', '.join(names)}"
                )
    values = [theta[name] for name in names]
    if all(type(value) is float for value in values):  # the call in every step of a sampler
        return np.array(values)
    arrays = [_array(value, name) for name, value in zip(names, values, strict=True)]
    lengths = {name: len(a) for name, a in zip(names, arrays, strict=True) if a.ndim == 1}
    for name, array in zip(names, arrays, strict=True):
        if array.ndim > 1:
            raise ValueError(f"{name} has shape {array.shape}, expected a number or (N,)")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"parameters differ in length: {lengths}")
    return np.stack(np.broadcast_arrays(*arrays), axis=-1)


def _array(value: Any, what: str) -> NDArray[Any]:
    """An array of real numbers; masked ones are NaN."""
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{what} is not an array of numbers ({error})") from None
    if array.size == 0 and array.dtype.kind == "O":
        array = array.astype(np.float64)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{what} = {_short(value)} is not a real number or an array of them")
    return array


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
