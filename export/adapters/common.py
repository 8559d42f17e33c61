"""Shared parts of the adapters: lists of words, omitted parameters, and redshifts."""

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
    """Return names as a list; a string is one name, or several separated by spaces.

    Raises:
        ValueError: Anything else.
    """
    names = value.split() if isinstance(value, str) else value
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{value!r} must be a name or a list of names")
    return list(names)


def left_out(parameters: Sequence[Parameter]) -> dict[str, float]:
    """Parameters that a host may omit, with their values.

    Dark energy is a cosmological constant by default, also if the emulator has another default.
    All other parameters of cosmology are required, even if the emulator has only one value of them,
    because the host may use another one. Redshifts are required; fixed occupations are not.
    """
    unsaid = {}
    for p in parameters:
        default = parameters_of()[p.name].default if p.name in BACKGROUND else p.default
        if default is not None:
            unsaid[p.name] = default
    return unsaid


def centre(emulator: OnnxEmulator) -> dict[str, float]:
    """A point in the middle of an emulator's box, by name.

    Parameters have their default, else the middle of their range, in the logarithm if they were
    sampled so. Parameters whose sum is limited take their lower ends if the middle exceeds the
    limit.
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
    """Evaluate the emulator once, to raise errors about outputs and k at set-up.

    Args:
        emulator: An emulator.
        outputs: Names and statistics.
        k: Wavenumbers [1/Mpc], shape (K,); None: those of the emulator.
        extrapolate: Allow k below those of the emulator.
        known: Values of parameters that are already known.

    Raises:
        ValueError: Unknown outputs; wavenumbers or separations outside the supported range.
    """
    own = {n: 0.0 for one in outputs if isinstance(one, Statistic) for n in one.parameters}
    point = centre(emulator) | own | known
    # the middle may lie outside the emulator's domain, which is no error of the caller
    emulator(point, outputs, k, extrapolate=extrapolate, out_of_range="nan")


def redshift(emulator: OnnxEmulator) -> Parameter:
    """The parameter z, with its range; both ends are equal for a single redshift."""
    return next(p for p in emulator.parameters if p.group == "redshift")


def redshifts(z: ArrayLike, emulator: OnnxEmulator, said: str = "z") -> Array:
    """Return redshifts as float64 of shape (Z,), checked against an emulator's range.

    Args:
        z: A number, or a list of numbers.
        emulator: The emulator.
        said: Name of the argument in messages: ``z``, or what it was computed from.

    Raises:
        ValueError: An empty list, or a redshift outside the range; the message names it.
    """
    values = np.atleast_1d(numbers(z, said, "1")).astype(np.float64)
    if values.ndim > 1 or not values.size:
        raise ValueError(f"{said} must be a number or a list of numbers, at least one")
    p = redshift(emulator)
    inside = is_inside(values, p.low, p.high) | np.isclose(values, 0, atol=1e-9) & (p.low == 0)
    if not inside.all():
        value = values[np.argmin(inside)]
        known = f"z = {p.low:g} only" if p.low == p.high else f"z = {p.low:g} to {p.high:g}"
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
    """Outputs of one point at several redshifts.

    Args:
        emulator: An emulator.
        point: Parameters by name, without z.
        z: Redshifts, shape (Z,).
        outputs: Names and statistics.
        k: Wavenumbers [1/Mpc], shape (K,); None: those of the emulator.
        extrapolate: Allow k below those of the emulator.

    Returns:
        By name, spectra (Z, K), statistics (Z, R) and numbers (Z,).

    Raises:
        OutOfRange: The point is outside the trained ranges.
    """
    try:
        return emulator({**point, "z": z}, outputs, k, extrapolate=extrapolate)
    except OutOfRange:  # one row per redshift; name one row only
        emulator({**point, "z": float(z[0])}, outputs, k, extrapolate=extrapolate)
        raise
