"""The functions that occupations are written with, for arrays of any kind."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["LN_10", "NUMPY", "Functions", "one_by_one"]

LN_10 = math.log(10)


Array = NDArray[np.float64]


def one_by_one(function: Callable[[Any], Any], at: Array, weights: Array) -> Any:
    """What `Functions.weighted_sum` is, with arrays no larger than that of each number."""
    return sum(float(w) * function(float(x)) for x, w in zip(at, weights, strict=True))


class Functions(Protocol):
    """Functions of arrays, element by element; sums, products and ``**`` are the arrays' own."""

    def exp(self, x: Any) -> Any:
        """e^x."""

    def log(self, x: Any) -> Any:
        """The natural logarithm."""

    def erf(self, x: Any) -> Any:
        """The error function."""

    def power(self, x: Any, a: Any) -> Any:
        """x^a where x > 0, else 0."""

    def clip(self, x: Any, low: float, high: float) -> Any:
        """x, not below and not above limits."""

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + e^-x)."""

    def weighted_sum(self, function: Callable[[Any], Any], at: Array, weights: Array) -> Any:
        """Sum of ``weights * function(at)``, of some numbers, as for an integral."""

    def step(self, M: Any, M0: Any) -> Any:
        """1 for masses M >= M0, else 0.

        This and what follows have edges, which a sum over a grid of masses would see or miss by
        chance; where masses lie on a grid, values next to the edge are such that sums are right.
        """

    def beyond(self, M: Any, M0: Any, M1: Any, a: Any) -> tuple[Any, Any]:
        """((M - M0) / M1)^a for masses M > M0, else 0, and its square."""

    def ramp(self, M: Any, M1: Any, slope: Any) -> Any:
        """``1 + slope ln(M / M1)`` for masses below M1, not below 0; 1 above. The slope is >= 0."""


class _Numpy:
    """Functions of numpy's arrays."""

    exp, log, clip = staticmethod(np.exp), staticmethod(np.log), staticmethod(np.clip)

    def erf(self, x: Any) -> Any:
        """The error function."""
        return _erf()(x)

    def power(self, x: Any, a: Any) -> Any:
        """x^a where x > 0, else 0."""
        there = np.asarray(x) > 0
        return np.where(there, np.where(there, x, 1.0) ** a, 0.0)

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + e^-x)."""
        return 0.5 + 0.5 * np.tanh(0.5 * x)

    def weighted_sum(self, function: Callable[[Any], Any], at: Array, weights: Array) -> Any:
        """Sum of ``weights * function(at)``."""
        return one_by_one(function, at, weights)

    def step(self, M: Any, M0: Any) -> Any:
        """1 for M >= M0, else 0."""
        return np.where(np.asarray(M) >= M0, 1.0, 0.0)

    def beyond(self, M: Any, M0: Any, M1: Any, a: Any) -> tuple[Any, Any]:
        """((M - M0) / M1)^a for M > M0, else 0, and its square."""
        value = self.power((M - M0) / M1, a)
        return value, value * value

    def ramp(self, M: Any, M1: Any, slope: Any) -> Any:
        """1 + slope ln(M / M1) for M < M1, not below 0; 1 above."""
        return np.clip(1.0 + slope * np.log(M / M1), 0.0, 1.0)


@cache
def _erf() -> Callable[[Any], Any]:
    """The error function; scipy is imported where it is first asked for."""
    try:
        from scipy.special import erf
    except ImportError:  # an installation that only evaluates
        slow = np.frompyfunc(math.erf, 1, 1)
        return lambda x: np.asarray(slow(x), np.float64)
    return erf


NUMPY: Functions = _Numpy()
