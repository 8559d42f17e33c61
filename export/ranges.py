"""The ranges that an emulator holds in, and what happens to a point outside of them."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from datagen.domain import Domain
from datagen.occupations import OCCUPATIONS
from datagen.space import SumBelow

__all__ = [
    "OutOfRange",
    "OutOfRangeWarning",
    "Parameter",
    "Policy",
    "Ranges",
    "is_inside",
    "read_only",
]

Policy = Literal["raise", "warn", "nan", "clip"]

_FLOATS = {float, np.float64}
_ROUNDING = 1e-5  # so near to a limit, numbers are looked at as float32
_NAMED = 5  # values that a message names, of all that are outside


class OutOfRange(ValueError):  # noqa: N818 (it says what happened)
    """A value outside the trained range, or one that is not a number."""


class OutOfRangeWarning(UserWarning):
    """As `OutOfRange`, of points that were evaluated all the same."""


def is_inside(values: NDArray[Any], low: Any, high: Any) -> NDArray[np.bool_]:
    """Where values lie in a closed interval, compared as float32; NaN is nowhere.

    That is what emulators compute with, and what many tables hold: a value that is beyond an end
    by the rounding of float32 is the end.

    Args:
        values: Of any shape.
        low: Lower ends, of a shape that goes with it.
        high: Upper ends.
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is outside
        x, low, high = (np.asarray(each).astype(np.float32) for each in (values, low, high))
    inside: NDArray[np.bool_] = (x >= low) & (x <= high)
    return inside


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that nobody can write to, nor make writable."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


@dataclass(frozen=True)
class Parameter:
    """One input: its name, unit, and the range that the emulator was trained on.

    Attributes:
        name: For example ``Mth``.
        unit: ``1`` or ``Msun``.
        low: Smallest trained value.
        high: Largest trained value.
        sampling: ``linear`` or ``log10``: how training points were spread.
        group: ``cosmology``, ``redshift``, or the name of an occupation.
        symbol: For figures, in TeX.
        default: What a point has that leaves it out; None if it must be given.
    """

    name: str
    unit: str
    low: float
    high: float
    sampling: Literal["linear", "log10"]
    group: str
    symbol: str
    default: float | None

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"{self.name} has the range [{self.low}, {self.high}]")

    @property
    def is_occupation(self) -> bool:
        """Whether it is one of the occupation."""
        return self.group not in ("cosmology", "redshift")

    @property
    def limits(self) -> str:
        """Both ends and the unit, for messages."""
        return f"[{self.low:g}, {self.high:g}]{'' if self.unit == '1' else f' {self.unit}'}"

    def hint(self, value: float) -> str:
        """What a value outside of them may have meant, or what the parameter is, for messages."""
        if self.unit == "Msun" and value < 300 and self.low <= 10.0**value <= self.high:
            return f" (did you mean 10**{value:g} Msun?)"
        if self.unit == "log10 Msun" and value > 0 and self.low <= math.log10(value) <= self.high:
            return f" (did you mean its log10, {math.log10(value):g}?)"
        known = OCCUPATIONS.get(self.group)
        for p in known.parameters if known else ():
            if self.name == p.name or self.name.endswith(f"_{p.name}"):  # of a population
                return f" ({p.text.rstrip('.')})"
        return ""


class Ranges:
    """The ranges of all parameters, and where in them the emulator holds.

    Both ends belong to them; see `is_inside`. Domains say in which part of the box the emulator
    holds, where that is not all of it: where dark energy is negligible at early times, and where
    spectra are positive, if a training left out the other points.

    Args:
        parameters: The inputs, in the order of columns.
        domains: In all of which a point must lie.

    Attributes:
        parameters: As given.
        low: Lower ends, float32, shape (P,), read-only.
        high: Upper ends, likewise.
    """

    def __init__(
        self, parameters: Sequence[Parameter], domains: Sequence[Domain | SumBelow] = ()
    ) -> None:
        self.parameters = tuple(parameters)
        self.low = read_only(np.array([p.low for p in parameters], np.float32))
        self.high = read_only(np.array([p.high for p in parameters], np.float32))
        self._domains = tuple(domains)
        self._defaults = {p.name: p.default for p in parameters if p.default is not None}
        self._ends = [(p.low, p.high) for p in parameters]
        self._names = names = [p.name for p in parameters]
        sums = [domain for domain in domains if isinstance(domain, SumBelow)]
        self._sums = [([names.index(n) for n in one.names], one.below) for one in sums]
        self._others = [domain for domain in domains if domain not in sums]

    def single(self, theta: Any) -> list[float] | None:
        """Return the values of one point inside the ranges, or None if the full checks are needed.

        The fast path of samplers, for a plain dictionary of floats or a float array (P,).
        """
        if type(theta) is dict:
            point = {**self._defaults, **theta}
            if len(point) != len(self.parameters):
                return None
            given: list[Any] = [point.get(name) for name in self._names]
        elif type(theta) is np.ndarray and theta.ndim == 1 and theta.dtype.kind == "f":
            given = theta.tolist()
            if len(given) != len(self.parameters):
                return None
        else:
            return None
        values = []
        for value, (low, high) in zip(given, self._ends, strict=True):
            if type(value) not in _FLOATS or not low <= value <= high:
                return None
            values.append(value)
        for columns, below in self._sums:
            if not sum(values[i] for i in columns) < below - _ROUNDING:
                return None
        if self._others:
            x = np.array([values], np.float32)
            if not all(domain.is_inside(x)[0] for domain in self._others):
                return None
        return values

    def apply(
        self, points: NDArray[Any], policy: Policy
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """The points to evaluate, and the rows whose results are to be NaN.

        Args:
            points: Shape (N, P).
            policy: ``raise`` refuses points that are outside; ``warn`` warns and evaluates
                them as they are; ``nan`` marks their rows; ``clip`` moves them to the nearest
                end, but refuses what has none: NaN, and points where a spectrum is negative.

        Raises:
            OutOfRange: See above; names row, parameter, value and limits.
            ValueError: No such policy.
        """
        if policy not in get_args(Policy):
            raise ValueError(f"out_of_range = {policy!r} must be one of {get_args(Policy)}")
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which is outside
            x = points.astype(np.float32)
        inside = is_inside(x, self.low, self.high)
        if policy == "clip" and not np.isnan(x).any():
            x, inside = np.clip(x, self.low, self.high), np.ones_like(inside)
        within = np.asarray(inside.all(axis=1))
        evaluable = x if within.all() else np.where(inside, x, self.low)
        left_out = np.where(within, self._left_out(evaluable), -1)
        rows = np.flatnonzero(~within | (left_out >= 0))
        if not len(rows):
            return x, rows
        if policy == "nan":
            return evaluable, rows
        message = "; ".join(self._outside(points, inside) + self._negative(left_out))
        if policy == "warn":
            # through this and `OnnxEmulator.__call__`, to who called it
            warnings.warn(message, OutOfRangeWarning, stacklevel=4)
            return x, rows[:0]
        raise OutOfRange(message)

    def _left_out(self, x: NDArray[np.float32]) -> NDArray[np.intp]:
        """The domain that a row of the box does not lie in, by its index, else -1, shape (N,)."""
        found = np.full(len(x), -1)
        for i, domain in enumerate(self._domains):
            found[~domain.is_inside(x) & (found < 0)] = i
        return found

    def _outside(self, points: NDArray[Any], inside: NDArray[np.bool_]) -> list[str]:
        """What is the matter with values outside of their ranges."""
        texts = []
        where = np.argwhere(~inside)
        for row, column in where[:_NAMED]:
            p, value = self.parameters[column], points[row, column]
            text = f"{value:g}"
            if p.low <= float(text) <= p.high:  # outside by less than %g shows
                text = repr(float(value))
            hint = p.hint(float(value))
            texts.append(
                f"row {row}: {p.name} = {text} is outside the trained range {p.limits}{hint}"
            )
        return texts + _rest(len(where), "values")

    def _negative(self, left_out: NDArray[np.intp]) -> list[str]:
        """What is the matter with rows of the box that lie outside of a domain."""
        rows = np.flatnonzero(left_out >= 0)
        reasons = [(row, self._domains[left_out[row]].reason) for row in rows[:_NAMED]]
        texts = [
            f"row {row} lies where {reason}; the emulator was not trained there"
            for row, reason in reasons
        ]
        return texts + _rest(len(rows), "such rows")


def _rest(count: int, what: str) -> list[str]:
    """How many there are that a message does not name."""
    return [f"and {count - _NAMED} more {what}"] if count > _NAMED else []
