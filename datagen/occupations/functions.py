"""Functions of arrays of any type, with which occupations are written."""

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
    """Evaluate `Functions.weighted_sum` term by term, which needs the least memory.

    Args:
        function: Function of a number.
        at: Arguments, shape (n,).
        weights: Weights, shape (n,).
    """
    return sum(float(w) * function(float(x)) for x, w in zip(at, weights, strict=True))


class Functions(Protocol):
    """Protocol of elementwise functions of arrays; ``+``, ``*`` and ``**`` are the arrays' own."""

    def exp(self, x: Any) -> Any:
        """e^x."""

    def log(self, x: Any) -> Any:
        """The natural logarithm."""

    def erf(self, x: Any) -> Any:
        """The error function."""

    def power(self, x: Any, a: Any) -> Any:
        """x^a where x > 0, else 0."""

    def clip(self, x: Any, low: float, high: float) -> Any:
        """x, limited to the interval from low to high."""

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + e^-x)."""

    def weighted_sum(self, function: Callable[[Any], Any], at: Array, weights: Array) -> Any:
        """Sum of ``weights * function(at)`` over arguments, such as nodes of an integral.

        Args:
            function: Function of a number, which returns an array.
            at: Arguments, shape (n,).
            weights: Weights, shape (n,).
        """

    def step(self, M: Any, M0: Any) -> Any:
        """1 for masses M >= M0, else 0.

        `step`, `beyond` and `ramp` have edges, at which a sum over a grid of masses is inaccurate.
        For masses on a grid, the values next to an edge are corrected so that sums are accurate.
        """

    def beyond(self, M: Any, M0: Any, M1: Any, a: Any) -> tuple[Any, Any]:
        """((M - M0) / M1)^a for masses M > M0, else 0; and its square."""

    def ramp(self, M: Any, M1: Any, slope: Any) -> Any:
        """``1 + slope ln(M / M1)``, limited to [0, 1]; the slope is >= 0."""


class _Numpy:
    """Functions of numpy arrays."""

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
        """((M - M0) / M1)^a for M > M0, else 0; and its square."""
        value = self.power((M - M0) / M1, a)
        return value, value * value

    def ramp(self, M: Any, M1: Any, slope: Any) -> Any:
        """1 + slope ln(M / M1), limited to [0, 1]."""
        return np.clip(1.0 + slope * np.log(M / M1), 0.0, 1.0)


@cache
def _erf() -> Callable[[Any], Any]:
    """The error function; scipy is imported when it is first needed."""
    try:
        from scipy.special import erf
    except ImportError:  # a minimal installation, for evaluation only
        slow = np.frompyfunc(math.erf, 1, 1)
        return lambda x: np.asarray(slow(x), np.float64)
    return erf


NUMPY: Functions = _Numpy()
