"""The ranges that an emulator holds in, and what happens to a point outside of them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["OutOfRange", "OutOfRangeWarning", "Parameter", "Policy", "Ranges"]

Policy = Literal["raise", "warn", "nan", "clip"]

_NAMED = 5  # values that a message names, of all that are outside


class OutOfRange(ValueError):  # noqa: N818 (it says what happened)
    """A value outside the trained range, or one that is not a number."""


class OutOfRangeWarning(UserWarning):
    """As `OutOfRange`, of points that were evaluated all the same."""


@dataclass(frozen=True)
class Parameter:
    """One input: its name, unit, and the range that the emulator was trained on.

    Attributes:
        name: For example ``Mth``.
        unit: ``1`` or ``Msun``.
        low: Smallest trained value.
        high: Largest trained value.
        sampling: ``linear`` or ``log10``: how training points were spread.
    """

    name: str
    unit: str
    low: float
    high: float
    sampling: str


class Ranges:
    """The ranges of all parameters.

    Both ends belong to them, and numbers are compared as float32, which is what the emulator
    computes with: a value that is beyond an end by a rounding error of float64 is the end.

    Args:
        parameters: The inputs, in the order of columns.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = tuple(parameters)
        self.low = np.array([p.low for p in parameters], np.float32)
        self.high = np.array([p.high for p in parameters], np.float32)

    def apply(
        self, points: NDArray[Any], policy: Policy
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """The points to evaluate, and the rows whose results are to be NaN.

        Args:
            points: Shape (N, P).
            policy: ``raise`` refuses points that are outside; ``warn`` warns and evaluates
                them as they are; ``nan`` marks their rows; ``clip`` moves them to the nearest
                end (but refuses NaN, which has none).

        Raises:
            OutOfRange: See above; names row, parameter, value and limits.
            ValueError: No such policy.
        """
        if policy not in get_args(Policy):
            raise ValueError(f"out_of_range = {policy!r} must be one of {get_args(Policy)}")
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which is outside
            x = points.astype(np.float32)
        inside = (x >= self.low) & (x <= self.high)  # NaN is not
        if inside.all():
            return x, np.empty(0, np.intp)
        rows = np.flatnonzero(~inside.all(axis=1))
        if policy == "clip" and not np.isnan(x).any():
            return np.clip(x, self.low, self.high), rows[:0]
        if policy == "nan":
            x = np.where(inside, x, self.low)
            return x, rows
        message = self._message(points, inside)
        if policy == "warn":
            # through this, `OnnxEmulator.__call__`, to who called it
            warnings.warn(message, OutOfRangeWarning, stacklevel=3)
            return x, rows[:0]
        raise OutOfRange(message)

    def _message(self, points: NDArray[Any], inside: NDArray[np.bool_]) -> str:
        where = np.argwhere(~inside)
        named = []
        for row, column in where[:_NAMED]:
            p, value = self.parameters[column], points[row, column]
            unit = "" if p.unit == "1" else f" {p.unit}"
            text = f"{value:g}"
            if p.low <= float(text) <= p.high:  # outside by less than %g shows
                text = repr(float(value))
            named.append(
                f"row {row}: {p.name} = {text} is outside the trained range "
                f"[{p.low:g}, {p.high:g}]{unit}"
            )
        if len(where) > _NAMED:
            named.append(f"and {len(where) - _NAMED} more values")
        return "; ".join(named)
