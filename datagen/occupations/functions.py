"""The functions that occupations are written with, for arrays of any kind."""

import math
from typing import Any, Protocol

import numpy as np

__all__ = ["LN_10", "NUMPY", "Functions"]

LN_10 = math.log(10)


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

    def step(self, t: Any) -> Any:
        """1 for t >= 0, else 0, of a difference t in ln M.

        Where masses lie on a grid, the average of that over the interval of each.
        """


class _Numpy:
    """Functions of numpy's arrays."""

    exp, log, clip = staticmethod(np.exp), staticmethod(np.log), staticmethod(np.clip)

    def __init__(self) -> None:
        try:
            from scipy.special import erf
        except ImportError:  # an installation that only evaluates
            slow = np.frompyfunc(math.erf, 1, 1)

            def erf(x: Any) -> Any:
                return np.asarray(slow(x), np.float64)

        self.erf = erf

    def power(self, x: Any, a: Any) -> Any:
        """x^a where x > 0, else 0."""
        there = np.asarray(x) > 0
        return np.where(there, np.where(there, x, 1.0) ** a, 0.0)

    def step(self, t: Any) -> Any:
        """1 for t >= 0, else 0."""
        return np.where(np.asarray(t) >= 0, 1.0, 0.0)


NUMPY: Functions = _Numpy()
