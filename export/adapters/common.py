"""What adapters share: lists that may be one word, what hosts leave unsaid, and redshifts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.columns import numbers
from datagen.space import BACKGROUND, SumBelow, parameters_of
from export.ranges import OutOfRange, Parameter, is_inside
from export.runtime import OnnxEmulator
from export.statistics import Statistic

__all__ = ["at_redshifts", "centre", "left_out", "redshift", "redshifts", "rehearse", "words"]

Array = NDArray[np.float64]


def words(value: str | Iterable[str]) -> list[str]:
    """Names as a list; a single text is one name, or several with spaces between them.

    Raises:
        ValueError: Neither.
    """
    names = value.split() if isinstance(value, str) else value
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{value!r} must be a name or a list of names")
    return list(names)


def left_out(parameters: Sequence[Parameter]) -> dict[str, float]:
    """What a host need not say, and what holds then, by name.

    Dark energy that nobody speaks of is a cosmological constant, also where an emulator is made for
    another. All else of the cosmology has to be said, even if the emulator knows one value alone:
    the host has it too, and may have another. So are redshifts; occupations that are held fixed are
    not.
    """
    unsaid = {}
    for p in parameters:
        default = parameters_of()[p.name].default if p.name in BACKGROUND else p.default
        if default is not None:
            unsaid[p.name] = default
    return unsaid


def centre(emulator: OnnxEmulator) -> dict[str, float]:
    """A point in the middle of an emulator's box.

    Defaults where there are, else the middle of the range, in the logarithm where points were drawn
    so; the lower ends of parameters whose sum is limited, where the middle leaves the limit.
    """
    point = {p.name: _middle(p) for p in emulator.parameters}
    low = {p.name: p.low for p in emulator.parameters}
    for limit in emulator.domains:
        if isinstance(limit, SumBelow) and sum(point[n] for n in limit.names) >= limit.below:
            point |= {name: low[name] for name in limit.names}
    return point


def _middle(p: Parameter) -> float:
    if p.default is not None:
        return p.default
    return float((p.low * p.high) ** 0.5 if p.sampling == "log10" else (p.low + p.high) / 2)


def rehearse(
    emulator: OnnxEmulator,
    outputs: Sequence[str | Statistic],
    k: Array | None,
    extrapolate: bool = True,
    **known: Any,
) -> None:
    """Make the call of every point for a first time, so that errors in outputs and k come now.

    Args:
        emulator: An emulator.
        outputs: Names and statistics.
        k: Wavenumbers [1/Mpc], shape (K,); the emulator's if None.
        extrapolate: Whether k may lie below the emulator's.
        known: Values of parameters, where they are known by then.

    Raises:
        ValueError: Outputs, wavenumbers or separations that there are not.
    """
    own = {n: 0.0 for one in outputs if isinstance(one, Statistic) for n in one.parameters}
    point = centre(emulator) | own | known
    # the middle may be a point without an answer, which is no error of the caller
    emulator(point, outputs, k, extrapolate=extrapolate, out_of_range="nan")


def redshift(emulator: OnnxEmulator) -> Parameter:
    """The parameter z, with its range; equal ends if there is one redshift."""
    return next(p for p in emulator.parameters if p.group == "redshift")


def redshifts(z: ArrayLike, emulator: OnnxEmulator, said: str = "z") -> Array:
    """Redshifts as float64 of shape (Z,), checked to be an emulator's.

    Args:
        z: One or several.
        emulator: Which has to answer there.
        said: What the user gave, for messages: ``z``, or what they were made of.

    Raises:
        ValueError: None, or one that the emulator does not have; the message names it.
    """
    values = np.atleast_1d(numbers(z, said, "1")).astype(np.float64)
    if values.ndim > 1 or not values.size:
        raise ValueError(f"{said} must be a number or a list of numbers, at least one")
    p = redshift(emulator)
    inside = is_inside(values, p.low, p.high) | np.isclose(values, 0, atol=1e-9) & (p.low == 0)
    if not inside.all():
        value = values[np.argmin(inside)]
        known = f"z = {p.low:g} alone" if p.low == p.high else f"z = {p.low:g} to {p.high:g}"
        raise ValueError(f"{said} = {value:g}: {emulator.path.stem} is for {known}")
    return np.clip(values, p.low, p.high)


def at_redshifts(
    emulator: OnnxEmulator,
    point: Mapping[str, float],
    z: Array,
    outputs: str | Sequence[str | Statistic],
    k: Array | None,
    extrapolate: bool = True,
) -> dict[str, NDArray[Any]]:
    """Outputs of one point at some redshifts: spectra (Z, K), statistics (Z, R), numbers (Z,).

    Args:
        emulator: An emulator.
        point: Parameters by name, but for z.
        z: Redshifts, shape (Z,).
        outputs: Names and statistics.
        k: Wavenumbers [1/Mpc], shape (K,); the emulator's if None.
        extrapolate: Whether k may lie below the emulator's.

    Raises:
        OutOfRange: The point is outside of the trained ranges.
    """
    try:
        return emulator({**point, "z": z}, outputs, k, extrapolate=extrapolate)
    except OutOfRange:  # of as many rows as redshifts: one says it
        emulator({**point, "z": float(z[0])}, outputs, k, extrapolate=extrapolate)
        raise
