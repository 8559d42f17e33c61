"""Galaxies on an even grid of ln M: what is between the nodes counts as it should.

A sum over nodes stands for an integral over ln M of haloes n(M), moments of an occupation, and
functions that are smooth on the grid. On a finer one, ln n is interpolated; haloes times moments
are summed there with the polynomials that interpolate smooth functions between nodes, so that
neither the moments nor n, which may fall off very steeply, need to be smooth.
"""

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["REACH", "OnGrid", "are_resolved", "between", "cardinal", "cells_of", "kernel"]

Array = NDArray[np.float64]

_RESOLVED = 0.84  # widths of a normal distribution, in spacings, that a sum resolves to 1e-6
_CELLS = (4, 16)  # of each interval, at least and at most
REACH = 4  # intervals to each side of a node that its polynomials reach


def cells_of(width: float, spacing: float) -> int:
    """Into how many cells an interval between nodes is cut.

    Args:
        width: Of the narrowest feature in ln M; 0 for a step.
        spacing: Of the nodes in ln M.

    Returns:
        As many as resolve it, or as there are at most.
    """
    least, most = _CELLS
    return min(max(math.ceil(_RESOLVED * spacing / width), least), most) if width > 0 else most


def are_resolved(width: float, spacing: float) -> bool:
    """Whether cells are narrow enough for features of a width in ln M."""
    return width > 0 and _RESOLVED * spacing / width <= _CELLS[1]


def cardinal(t: Array) -> Array:
    """What a node counts between others: 1 at 0, 0 at other whole numbers, and beyond `REACH`.

    Of the Lagrange polynomials of degree 7 through the four nodes on each side.

    Args:
        t: Distances from the node, in intervals, of any shape.
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
        cells: Of each interval.

    Returns:
        Shape (2 REACH cells + 1,).
    """
    return cardinal(np.arange(-REACH * cells, REACH * cells + 1) / cells) / cells


def between(nodes: int, cells: int) -> Array:
    """What takes values at nodes to all cells, shape (nodes, (nodes - 1) cells + 1).

    At both ends, the polynomials of the first and last eight nodes go on.

    Args:
        nodes: How many, at least 8.
        cells: Of each interval.
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
    """`datagen.occupations.functions.Functions` with edges, for masses on an even grid of ln M.

    A sum over a grid with spacing s misses the integral of ``y^a g(y)`` from an edge at y = 0 by
    ``sum_m zeta(-a - m, q) s^(a + m + 1) g^(m)(0) / m!``, with the first point at ``y = q s``
    (Hurwitz' zeta function; Navot 1961, J. Math. Phys. 40, 271). What is missed of a g that is a
    parabola there is added to the three points next to the edge.

    Args:
        ln_M: ln M [ln Msun] that masses are counted from, shape (B, 1).
        start: ln of the first mass, from there on.
        cell: Spacing in ln M.
        count: How many masses.
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
    def ceil(self, x: Any) -> Any:
        """The next whole number."""

    @abstractmethod
    def constant(self, values: Array) -> Any:
        """Numbers as an array of this kind."""

    @abstractmethod
    def monomials(self, x: Any, count: int) -> Any:
        """Powers 0 .. count - 1 of x, shape (B, count)."""

    @abstractmethod
    def products(self, x: Any, y: Any, size: int) -> Any:
        """All products of numbers (B, m) and numbers (B, n), shape (B, size) with size = m n."""

    @abstractmethod
    def times(self, x: Any, matrix: Array) -> Any:
        """Numbers (B, m) times a matrix (m, n)."""

    @abstractmethod
    def add_at(self, values: Any, first: Any, added: Any) -> Any:
        """Values (B, F), with numbers (B, 3) added from an index (B, 1) on."""

    def step(self, M: Any, M0: Any) -> Any:
        """1 for M >= M0, else 0."""
        first, _, inside, missed = self._edge(self.log(M0), None, 0.0)
        places = np.arange(self._count, dtype=np.float64)[None]
        plain = self.clip(self.constant(places) - first + 1.0, 0.0, 1.0)
        return self.add_at(plain, self._within(first), missed - inside * self.constant(_FIRST))

    def beyond(self, M: Any, M0: Any, M1: Any, a: Any) -> Any:
        """((M - M0) / M1)^a for M > M0, else 0."""
        ln_M0 = self.log(M0)
        first, q, inside, missed = self._edge(ln_M0, a)
        plain = self.power((M - M0) / M1, a)
        added = missed - (self.power(q, a) * inside) * self.constant(_FIRST)
        scale = self.exp(a * (ln_M0 - self.log(M1) + math.log(self._cell)))
        return self.add_at(plain, self._within(first), added * scale)

    def ramp(self, M: Any, M1: Any, slope: Any) -> Any:
        """1 + slope ln(M / M1) for M < M1, not below 0; 1 above."""
        ln_M1 = self.log(M1)
        value = self.clip(1.0 + slope * (self.log(M) - ln_M1), 0.0, 1.0)
        for ln_M0, sign in ((ln_M1 - 1.0 / slope, 1.0), (ln_M1, -1.0)):
            first, q, inside, missed = self._edge(ln_M0, None, 1.0)
            added = (missed - q * inside * self.constant(_FIRST)) * (slope * (sign * self._cell))
            value = self.add_at(value, self._within(first), added)
        return value

    def _within(self, first: Any) -> Any:
        return self.clip(first, 0.0, self._count - 3.0)

    def _edge(self, ln_M0: Any, a: Any, fixed: float = 0.0) -> tuple[Any, Any, Any, Any]:
        """What sums miss at an edge, of y^a.

        Args:
            ln_M0: Where it is [ln Msun], shape (B, 1).
            a: Exponents (B, 1), or None if all have a fixed one.
            fixed: That one.

        Returns:
            Index of the first mass that is not below, its distance q in cells, whether the edge
            lies on the grid, each (B, 1), and what three points have to have there, (B, 3), in
            units of the spacing to the power of a, with nothing but the first's y^a replaced.
        """
        ends = -4.0, self._count + 4.0
        place = self.clip((ln_M0 - self._ln_M - self._start) / self._cell, *ends)
        first = self.ceil(place)
        q = first - place
        inside = self.clip(first + 1.0, 0.0, 1.0) * self.clip(self._count - 2.0 - first, 0.0, 1.0)
        of_q = self.monomials(2.0 * q - 1.0, _DEGREE_Q + 1)
        weights = _edge_weights()
        if a is None:
            exponents = (fixed / _MIDDLE - 1.0) ** np.arange(_DEGREE_A + 1)
            missed = self.times(of_q, np.einsum("i,ijk->jk", exponents, weights))
        else:
            of_a = self.monomials(self.clip(a / _MIDDLE - 1.0, -1.0, 1.0), _DEGREE_A + 1)
            both = self.products(of_a, of_q, (_DEGREE_A + 1) * (_DEGREE_Q + 1))
            missed = self.times(both, weights.reshape(-1, 3))
        return first, q, inside, missed * inside


_DEGREE_A, _DEGREE_Q = 9, 5  # of the polynomials for what is missed
_MIDDLE = 2.5  # of the exponents, which go from 0 to 5
_FIRST = np.array([[1.0, 0.0, 0.0]])
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730)


@lru_cache
def _edge_weights() -> Array:
    """Polynomials in exponent and place for what three points are to have, shape (a, q, 3).

    The first has all there is of y^a in its cell, the other two what is missed.
    """
    a, q = np.linspace(0.0, 2 * _MIDDLE, 41)[:, None], np.linspace(0.0, 1.0, 21)
    wanted = np.stack([-_zeta(a + m, 1 + q) for m in range(3)], axis=-1)  # but for the first's q^a
    places = np.arange(3) + q[:, None, None]  # (q, 1, 3)
    matrix = places ** np.arange(3.0)[:, None]  # (q, m, point)
    values = np.linalg.solve(matrix, wanted[..., None])[..., 0]
    of_a = np.vander(a[:, 0] / _MIDDLE - 1, _DEGREE_A + 1, increasing=True)
    of_q = np.vander(2 * q - 1, _DEGREE_Q + 1, increasing=True)
    both = np.einsum("ai,qj->aqij", of_a, of_q).reshape(values[..., 0].size, -1)
    weights = np.linalg.lstsq(both, values.reshape(-1, 3), rcond=None)[0]
    return weights.reshape(_DEGREE_A + 1, _DEGREE_Q + 1, 3)


def _zeta(p: Array, x: Array) -> Array:
    """Hurwitz' zeta(-p, x) for p >= 0 and x > 0, by the formula of Euler and Maclaurin."""
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
