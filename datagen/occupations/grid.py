"""Integrals over galaxies on a uniform grid of ln M that does not resolve the occupation.

An integral over ln M of the halo abundance n(M), moments of an occupation, and functions that are
smooth on the grid becomes a sum over nodes. The weights of the nodes are computed on a finer grid:
ln n is interpolated, and n times the moments is summed with the polynomials that interpolate
smooth functions between nodes. So neither the moments nor n, which may fall steeply, need to be
smooth.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["REACH", "OnGrid", "are_resolved", "between", "cardinal", "cells_of", "kernel"]

Array = NDArray[np.floating[Any]]

_RESOLVED = 0.83  # width of a normal distribution, in spacings, that a sum resolves to 1e-6
_CELLS = (4, 16)  # smallest and largest number of cells per interval
REACH = 4  # intervals to each side of a node on which its polynomials are not 0


def cells_of(width: float, spacing: float) -> int:
    """Return the number of cells per interval between nodes, at most 16.

    Args:
        width: Width of the narrowest feature, a standard deviation in ln M; 0 for a step.
        spacing: Spacing of the nodes in ln M.
    """
    least, most = _CELLS
    return min(max(math.ceil(_RESOLVED * spacing / width), least), most) if width > 0 else most


def are_resolved(width: float, spacing: float) -> bool:
    """Return whether the cells resolve a feature; arguments as in `cells_of`."""
    return width > 0 and _RESOLVED * spacing / width <= _CELLS[1]


def cardinal(t: Array) -> Array:
    """Cardinal function of a node: 1 at 0, 0 at the other nodes and beyond `REACH`.

    Made of Lagrange polynomials of degree 7 through the four nodes on each side.

    Args:
        t: Distances from the node, in intervals, any shape.
    """
    t = np.abs(np.asarray(t, np.float64))
    first = np.floor(t) - (REACH - 1)  # of the eight nodes around t
    value = np.ones_like(t)
    for j in range(2 * REACH):
        other = first + j
        there = other != 0
        value *= np.where(there, (t - other) / np.where(there, -other, 1.0), 1.0)
    return np.where(t < REACH, value, 0.0)


def kernel(cells: int) -> Array:
    """Weights of the cells around a node, from ``-REACH`` to ``REACH`` intervals.

    Args:
        cells: Number of cells per interval.

    Returns:
        Weights, shape (2 REACH cells + 1,).
    """
    return cardinal(np.arange(-REACH * cells, REACH * cells + 1) / cells) / cells


def between(nodes: int, cells: int) -> Array:
    """Matrix that interpolates values at nodes to all cells.

    At both ends, the polynomials through the first and last eight nodes are used.

    Args:
        nodes: Number of nodes, at least 8.
        cells: Number of cells per interval.

    Returns:
        Shape (nodes, (nodes - 1) cells + 1); values (B, nodes) are multiplied from the left.
    """
    t = np.arange((nodes - 1) * cells + 1) / cells
    first = np.clip(np.floor(t) - (REACH - 1), 0, nodes - 2 * REACH).astype(int)
    matrix = np.zeros((nodes, len(t)))
    for j in range(2 * REACH):
        value = np.ones_like(t)
        for other in range(2 * REACH):
            if other != j:
                value *= (t - first - other) / (j - other)
        matrix[first + j, np.arange(len(t))] = value
    return matrix


class OnGrid(ABC):
    """`datagen.occupations.functions.Functions` for masses on a uniform grid of ln M.

    A sum over a grid with spacing s misses the integral of ``y^a g(y)`` from an edge at y = 0 by
    ``sum_m zeta(-a - m, q) s^(a + m + 1) g^(m)(0) / m!``, with the first point at ``y = q s``
    (Hurwitz' zeta function; Navot 1961, J. Math. Phys. 40, 271). For a parabola g, this error is
    added to the three points next to the edge.

    Args:
        ln_M: Origin of the grid in ln M [ln Msun], shape (B, 1).
        start: First ln M, relative to the origin.
        cell: Spacing in ln M.
        count: Number of masses.
    """

    def __init__(self, ln_M: Any, start: float, cell: float, count: int) -> None:
        self._ln_M, self._start, self._cell, self._count = ln_M, start, cell, count

    @abstractmethod
    def exp(self, x: Any) -> Any:
        """e^x."""

    @abstractmethod
    def log(self, x: Any) -> Any:
        """The natural logarithm."""

    @abstractmethod
    def power(self, x: Any, a: Any) -> Any:
        """x^a where x > 0, else 0."""

    @abstractmethod
    def clip(self, x: Any, low: float, high: float) -> Any:
        """x, not below and not above limits."""

    @abstractmethod
    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + e^-x)."""

    @abstractmethod
    def weighted_sum(
        self,
        function: Callable[[Any], Any],
        at: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> Any:
        """Sum of ``weights * function(at)``."""

    @abstractmethod
    def ceil(self, x: Any) -> Any:
        """The smallest integer that is not below x."""

    @abstractmethod
    def constant(self, values: Array) -> Any:
        """Numbers as an array of this type."""

    @abstractmethod
    def equal(self, x: Any, y: Any) -> Any:
        """1 where x == y, else 0."""

    @abstractmethod
    def beside(self, x: Any, y: Any) -> Any:
        """Concatenate the columns of two arrays."""

    @abstractmethod
    def times(self, x: Any, matrix: Array) -> Any:
        """Product of an array (B, m) and a matrix (m, n)."""

    @abstractmethod
    def rows(self, x: Any, length: int) -> Any:
        """Reshape an array to rows of another length."""

    @abstractmethod
    def halves(self, x: Any) -> tuple[Any, Any]:
        """The first three and the last three columns."""

    @abstractmethod
    def add_at(self, values: Any, index: Any, added: Any) -> Any:
        """Add numbers (B, n) to values (B, F) at indices (B, n)."""

    def step(self, M: Any, M0: Any) -> Any:
        """1 for M >= M0, else 0."""
        first, q, index, inside = self._edge(self.log(M0))
        missed = self._missed_of_q(q, 0.0) - self.constant(_FIRST)
        return self.add_at(self._from(first), index, missed * inside)

    def beyond(self, M: Any, M0: Any, M1: Any, a: Any) -> tuple[Any, Any]:
        """((M - M0) / M1)^a for M > M0, else 0; and its square."""
        a = self.clip(a, _SMALL, _HUGE)  # 0^0 is not a number in a graph
        ln_M0 = self.log(self.clip(M0, _SMALL, _HUGE))
        first, q, index, inside = self._edge(ln_M0)
        plain = self.power((M - M0) / M1, a) * self._from(first + 1.0)  # the first is in `missed`
        logs = self.beside(self.log(self.clip(a, *_EXPONENTS)), self.log(q + _SMALL))
        missed = self.times(self.exp(self.times(logs, _POWERS)), _missed())
        y = (q + self.constant(np.tile(np.arange(3.0), 2)[None])) * self._cell
        ln_slope = ln_M0 - self.log(M1) + y * (0.5 + y * (1 / 24))  # ln[(M - M0) / (M1 y)]
        scale = self.exp(a * (ln_slope + math.log(self._cell)) * self.constant(_BOTH))
        one, two = self.halves(missed * scale * inside)
        return self.add_at(plain, index, one), self.add_at(plain * plain, index, two)

    def ramp(self, M: Any, M1: Any, slope: Any) -> Any:
        """1 + slope ln(M / M1), limited to [0, 1]."""
        ln_M1 = self.log(M1)
        plain = self.clip(1.0 + slope * (self.log(M) - ln_M1), 0.0, 1.0)
        lowest = ln_M1 - 1.0 / self.clip(slope, _SMALL, _HUGE)
        ends = self.rows(self.beside(lowest, ln_M1), 1)  # (B, 2) -> (2 B, 1)
        _, q, index, inside = self._edge(ends, self.rows(self.beside(self._ln_M, self._ln_M), 1))
        missed = (self._missed_of_q(q, 1.0) - q * self.constant(_FIRST)) * inside
        signs = self.constant(np.repeat([[1.0, -1.0]], 3, axis=1) * self._cell)
        return self.add_at(plain, self.rows(index, 6), self.rows(missed, 6) * signs * slope)

    def _from(self, first: Any) -> Any:
        """1 from the mass with an index (B, 1) on, 0 before."""
        return self.clip(self.constant(np.arange(self._count)[None] + 1.0) - first, 0.0, 1.0)

    def _edge(self, ln_M0: Any, ln_M: Any = None) -> tuple[Any, Any, Any, Any]:
        """Position of an edge on the grid.

        Args:
            ln_M0: ln of the mass of the edge [ln Msun], shape (B, 1).
            ln_M: Origin of the grid in ln M [ln Msun], shape (B, 1); by default that of the class.

        Returns:
            Index of the first mass that is not below the edge, (B, 1); its distance q from the
            edge in cells, (B, 1); indices of three masses from there on, (B, 3); and 1 if they lie
            on the grid, else 0, (B, 1).
        """
        ln_M = self._ln_M if ln_M is None else ln_M
        cells = (ln_M0 - ln_M) * (1 / self._cell) - self._start / self._cell
        place = self.clip(cells, -4.0, self._count + 4.0)
        first = self.ceil(place)
        within = self.clip(first, 0.0, self._count - 3.0)
        index = within + self.constant(np.arange(3.0)[None])
        return first, first - place, index, self.equal(first, within)

    def _missed_of_q(self, q: Any, a: float) -> Any:
        """Values of three points of y^a in units of cells, for a number a; see `_three`."""
        logs = self.times(self.log(q + _SMALL), np.arange(_DEGREE_Q + 1.0)[None])
        weights = np.linalg.lstsq(_monomials(_PLACES, _DEGREE_Q), _three(a), rcond=None)[0]
        return self.times(self.exp(logs), weights)


_DEGREE_A, _DEGREE_Q = 9, 5  # degrees in a and q of the polynomials for the missed part
_EXPONENTS = 0.05, 2.5  # smallest and largest a; that of squares is twice as large
_SMALL, _HUGE = 1e-6, 1e30  # compared with other numbers here; within single precision
_FIRST = np.array([[1.0, 0.0, 0.0]])
_BOTH = np.array([[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]])  # exponents of a function and of its square
_PLACES = np.linspace(0.0, 1.0, 21)
_POWERS = np.array(
    [[i, j] for i in range(_DEGREE_A + 1) for j in range(_DEGREE_Q + 1)], np.float64
).T  # exponents of a and q
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730)


def _monomials(x: Array, degree: int) -> Array:
    return np.vander(x, degree + 1, increasing=True)


def _three(a: float) -> Array:
    """Corrections of y^a at the points q, 1 + q, 2 + q, shape (places, 3).

    For the first point, the sum of y^a and its correction, since that is smooth in q.
    """
    wanted = np.stack([-_zeta(a + m, 1 + _PLACES) for m in range(3)], axis=-1)
    powers = (np.arange(3) + _PLACES[:, None, None]) ** np.arange(3.0)[:, None]  # (q, m, point)
    return np.linalg.solve(powers, wanted[..., None])[..., 0]


@lru_cache
def _missed() -> Array:
    """Coefficients of products of powers of a and q, for `_three` of y^a and y^(2 a), (_, 6)."""
    a = np.linspace(*_EXPONENTS, 60)
    values = np.array([np.hstack([_three(x), _three(2 * x)]) for x in a])  # (a, q, 6)
    both = np.einsum("ai,qj->aqij", _monomials(a, _DEGREE_A), _monomials(_PLACES, _DEGREE_Q))
    rows = both.reshape(len(a) * len(_PLACES), -1)
    result: Array = np.linalg.lstsq(rows, values.reshape(-1, 6), rcond=None)[0]
    return result


def _zeta(p: float, x: Array) -> Array:
    """Hurwitz' zeta(-p, x) for p >= 0 and x > 0, by the Euler-Maclaurin formula."""
    more = 8
    total = sum((x + k) ** p for k in range(more))
    w = x + more
    total = total - w ** (p + 1) / (p + 1) + 0.5 * w**p
    term, factorial = -p * w ** (p - 1), 2.0
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        total = total + bernoulli / factorial * term
        term = term * (2 * k - 1 - p) * (2 * k - p) / w**2
        factorial *= (2 * k + 1) * (2 * k + 2)
    result: Array = total
    return result
