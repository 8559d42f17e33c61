"""Trained ranges of an emulator, and the treatment of points outside them."""

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
    "outsider",
    "read_only",
    "warn_of",
]

Policy = Literal["raise", "warn", "nan", "clip"]

_FLOATS = {float, np.float64}
_ROUNDING = 1e-5  # values this close to a limit are compared as float32
_NAMED = 5  # number of outside values that a message names


class OutOfRange(ValueError):  # noqa: N818 (it says what happened)
    """A value that is outside the trained range or not a number."""


class OutOfRangeWarning(UserWarning):
    """Warning about points outside the trained ranges that were evaluated anyway."""


def is_inside(values: NDArray[Any], low: Any, high: Any) -> NDArray[np.bool_]:
    """Whether values lie in a closed interval, compared as float32; False for NaN.

    Emulators compute in float32, and many tables hold it: a value that exceeds an end by the
    rounding of float32 counts as the end.

    Args:
        values: Of any shape.
        low: Lower ends, of a shape that broadcasts with values.
        high: Upper ends, of a shape that broadcasts with values.
    """
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is outside
        x, low, high = (np.asarray(each).astype(np.float32) for each in (values, low, high))
    inside: NDArray[np.bool_] = (x >= low) & (x <= high)
    return inside


def outsider(value: float, low: float, high: float, digits: int = 6) -> str:
    """Text of a number outside an interval; digits that hide that it is outside are not enough."""
    text = f"{value:.{digits}g}"
    return repr(float(value)) if low <= float(text) <= high else text


def warn_of(
    rows: NDArray[np.intp], text: str, advice: str, category: type[Warning], stacklevel: int
) -> None:
    """Warn of rows of the points of a call.

    Args:
        rows: The rows, at least one.
        text: What is wrong with the first of them.
        advice: What to change.
        category: Category of the warning.
        stacklevel: That of `warnings.warn`, in the function that calls this one.
    """
    more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
    warnings.warn(f"row {rows[0]}: {text}; {advice}{more}", category, stacklevel=stacklevel + 1)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that cannot be written to or made writable."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


@dataclass(frozen=True)
class Parameter:
    """One input of an emulator: its name, unit and trained range.

    Attributes:
        name: Name, for example ``Mth``.
        unit: Unit: ``1``, ``Msun`` or ``log10 Msun``.
        low: Smallest trained value.
        high: Largest trained value.
        sampling: Spacing of the training points: ``linear`` or ``log10``.
        group: ``cosmology``, ``redshift``, or the name of an occupation.
        symbol: Symbol for figures, in TeX.
        default: Value for points that omit the parameter; None if it is required.
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
        """Whether this is a parameter of the occupation."""
        return self.group not in ("cosmology", "redshift")

    @property
    def limits(self) -> str:
        """Both ends and the unit, for messages."""
        return f"[{self.low:g}, {self.high:g}]{'' if self.unit == '1' else f' {self.unit}'}"

    def hint(self, value: float) -> str:
        """Hint for messages about a value outside the range: a likely unit, or the meaning."""
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
    """Trained ranges of all parameters, and domains within them.

    Both ends belong to a range; see `is_inside`. Domains restrict the box further: to dark energy
    that is negligible at early times, and to positive spectra if the training left out other
    points.

    Args:
        parameters: The inputs, in the order of columns.
        domains: Domains; a point must lie in all of them.

    Attributes:
        parameters: The inputs, in the order of columns.
        low: Lower ends, float32, shape (P,), read-only.
        high: Upper ends, float32, shape (P,), read-only.
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
        """Apply a policy to points outside the ranges.

        Args:
            points: Shape (N, P).
            policy: ``raise`` raises an error; ``warn`` warns and evaluates the points as they are;
                ``nan`` marks their rows; ``clip`` moves them to the nearest end, but raises an
                error for NaN and for points outside a domain.

        Returns:
            The points to evaluate, float32, shape (N, P), and the indices of rows whose results
            are to be NaN.

        Raises:
            OutOfRange: A point outside, for ``raise`` and ``clip``; the message names row,
                parameter, value and limits.
            ValueError: Unknown policy.
        """
        if policy not in get_args(Policy):
            raise ValueError(f"out_of_range = {policy!r} must be one of {get_args(Policy)}")
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is outside
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
            # past this method and `OnnxEmulator.__call__`, to the caller
            warnings.warn(message, OutOfRangeWarning, stacklevel=4)
            return x, rows[:0]
        raise OutOfRange(message)

    def _left_out(self, x: NDArray[np.float32]) -> NDArray[np.intp]:
        """Index of the first domain that each point of the box lies outside of, else -1, (N,)."""
        found = np.full(len(x), -1)
        for i, domain in enumerate(self._domains):
            found[~domain.is_inside(x) & (found < 0)] = i
        return found

    def _outside(self, points: NDArray[Any], inside: NDArray[np.bool_]) -> list[str]:
        """Messages about values outside their ranges."""
        texts = []
        where = np.argwhere(~inside)
        for row, column in where[:_NAMED]:
            p, value = self.parameters[column], points[row, column]
            text, hint = outsider(value, p.low, p.high), p.hint(float(value))
            texts.append(
                f"row {row}: {p.name} = {text} is outside the trained range {p.limits}{hint}"
            )
        return texts + _rest(len(where), "values")

    def _negative(self, left_out: NDArray[np.intp]) -> list[str]:
        """Messages about points of the box that lie outside a domain."""
        rows = np.flatnonzero(left_out >= 0)
        reasons = [(row, self._domains[left_out[row]].reason) for row in rows[:_NAMED]]
        texts = [
            f"row {row} lies where {reason}; the emulator was not trained there"
            for row, reason in reasons
        ]
        return texts + _rest(len(rows), "such rows")


def _rest(count: int, what: str) -> list[str]:
    """Text for the items that a message does not name."""
    return [f"and {count - _NAMED} more {what}"] if count > _NAMED else []
