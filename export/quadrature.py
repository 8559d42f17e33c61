"""Integrals over halo mass for occupations that are Python objects.

Haloes times moments are integrated over ln M against the polynomials that interpolate between the
nodes (`datagen.occupations.grid`). Panels are halved until the integrals converge, wherever an
occupation has a step or a kink, and however sharp. Peaks that are narrow enough to lie between all
points of the first panels, a few hundredths in ln M, are missed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.occupations.grid import REACH
from export.galaxies import Nodes

__all__ = ["MOMENTS", "Quadrature"]

Array = NDArray[np.float64]
Moments = Callable[[Array, Mapping[str, Array]], Sequence[Array]]

MOMENTS = ("<N_c>", "<N_s>", "<N_c N_s>", "<N_s (N_s - 1)>")
_TOLERANCE = 1e-5  # largest relative change of an integral when a panel is halved
_HALVINGS = 16  # of an interval: a step is then located to 3e-6 in ln M
_POINTS = 6  # Gauss-Lobatto nodes of a panel
_ROWS = 64  # points per batch, which limits the memory
_STENCIL = 2 * REACH
_OTHERS = np.arange(_STENCIL)
_SCALED = np.array(
    [1 / np.prod([j - i for i in range(_STENCIL) if i != j]) for j in range(_STENCIL)]
)


def _lobatto(points: int) -> tuple[Array, Array]:
    """Gauss-Lobatto nodes on [0, 1] and their weights, each (points,).

    Both ends are nodes, so that halving a panel changes its integral wherever it has a step. With
    interior nodes alone, a step between the end and the outermost nodes of a panel and of its half
    would be missed.
    """
    P = np.polynomial.Legendre.basis(points - 1)
    x = np.concatenate([[-1.0], np.sort(P.deriv().roots().real), [1.0]])
    return 0.5 + 0.5 * x, 1 / (points * (points - 1) * P(x) ** 2)


_RULE = _lobatto(_POINTS)


@dataclass(frozen=True)
class _Panels:
    """Parts of the intervals of the grid, P of them.

    Attributes:
        row: Index of the point.
        interval: Index of the interval.
        low: Lower end, from 0 to 1 within the interval.
        high: Upper end, from 0 to 1 within the interval.
    """

    row: NDArray[np.intp]
    interval: NDArray[np.intp]
    low: Array
    high: Array

    def halves(self) -> "_Panels":
        """Both halves of each panel: all lower halves, then all upper halves."""
        middle = 0.5 * (self.low + self.high)
        row, interval = np.tile(self.row, 2), np.tile(self.interval, 2)
        low, high = np.r_[self.low, middle], np.r_[middle, self.high]
        return _Panels(row, interval, low, high)

    def where(self, kept: NDArray[np.bool_]) -> "_Panels":
        """The selected panels."""
        return _Panels(self.row[kept], self.interval[kept], self.low[kept], self.high[kept])


class Quadrature:
    """Integrals of haloes times moments over ln M, at the nodes of a grid.

    Args:
        nodes: The grid.
        moments: Function of masses [Msun], shape (P,), and parameters by name, each (P,), that
            returns the moments, each (P,).
    """

    def __init__(self, nodes: Nodes, moments: Moments) -> None:
        self._nodes, self._moments = nodes, moments

    def __call__(self, point: Mapping[str, Array], ln_M: Array, ln_n: Array) -> Array:
        """Density of galaxies per node [1/Mpc^3] for each moment, shape (moments, N, Q).

        Args:
            point: Parameters by name, each (N,).
            ln_M: ln(M / Msun) at x = 0, shape (N,).
            ln_n: ln of the density of haloes per node [1/Mpc^3], shape (N, Q).
        """
        parts = []
        for start in range(0, len(ln_M), _ROWS):
            rows = slice(start, start + _ROWS)
            some = {name: values[rows] for name, values in point.items()}
            parts.append(self._integrals(some, ln_M[rows], ln_n[rows]))
        return np.concatenate(parts, axis=1)

    def _integrals(self, point: Mapping[str, Array], ln_M: Array, ln_n: Array) -> Array:
        N, Q = ln_n.shape
        panels = self._intervals(ln_M)
        values, _ = self._values(panels, point, ln_M, ln_n)  # (moments, P, points)
        sums = np.zeros((len(values), N * Q))
        total = np.array([np.bincount(panels.row, one.sum(axis=1), N) for one in values])
        for depth in range(_HALVINGS + 1):
            finer = panels.halves()
            halved, stencil = self._values(finer, point, ln_M, ln_n)
            coarse, fine = values.sum(axis=2), halved.sum(axis=2)
            both = fine.reshape(len(fine), 2, -1).sum(axis=1)
            there = total[:, panels.row]
            bad = (np.abs(both - coarse) > _TOLERANCE * np.maximum(there, 1e-300)).any(axis=0)
            if depth == _HALVINGS:
                bad[:] = False
            done = np.tile(~bad, 2)
            self._add(sums, finer, halved, stencil, done, Q)
            if not bad.any():
                break
            panels, values = finer.where(~done), halved[:, ~done]
        return sums.reshape(len(sums), N, Q)

    def _intervals(self, ln_M: Array) -> _Panels:
        """The intervals of each point above the lowest halo mass."""
        grid = self._nodes
        lowest = (grid.log10M_min * np.log(10) - ln_M - grid.start) / grid.spacing  # in nodes
        interval = np.arange(grid.nodes - 1)
        low = np.clip(lowest[:, None] - interval, 0.0, 1.0)
        row, which = np.nonzero(low < 1)
        return _Panels(row, which, low[row, which], np.ones(len(row)))

    def _values(
        self, panels: _Panels, point: Mapping[str, Array], ln_M: Array, ln_n: Array
    ) -> tuple[Array, tuple[NDArray[np.intp], Array]]:
        """Weighted values at the points of panels, (moments, P, points), and their stencils."""
        grid, (x, w) = self._nodes, _RULE
        t = panels.low[:, None] + (panels.high - panels.low)[:, None] * x
        first = np.clip(panels.interval - (REACH - 1), 0, grid.nodes - _STENCIL)
        weights = _lagrange(t + (panels.interval - first)[:, None])  # (P, points, 8)
        around = first[:, None] + _OTHERS
        n = np.exp(np.einsum("psj,pj->ps", weights, ln_n[panels.row[:, None], around]))
        place = grid.start + grid.spacing * (panels.interval[:, None] + t)
        M = np.exp(ln_M[panels.row][:, None] + place)
        per_point = {name: np.repeat(one[panels.row], t.shape[1]) for name, one in point.items()}
        moments = [np.reshape(one, t.shape) for one in self._moments(M.ravel(), per_point)]
        n *= (panels.high - panels.low)[:, None] * w  # in units of the spacing, as ln_n is per node
        return np.array(moments) * n, (first, weights)

    def _add(
        self,
        sums: Array,
        panels: _Panels,
        values: Array,
        stencil: tuple[NDArray[np.intp], Array],
        done: NDArray[np.bool_],
        Q: int,
    ) -> None:
        """Add integrals of panels to the nodes of their stencils."""
        first, weights = stencil
        index = ((panels.row * Q + first)[done, None] + _OTHERS).ravel()
        for k, one in enumerate(values):
            added = np.einsum("ps,psj->pj", one[done], weights[done]).ravel()
            sums[k] += np.bincount(index, added, sums.shape[1])


def _lagrange(s: Array) -> Array:
    """Values of the Lagrange polynomials through eight nodes 0 .. 7, shape (*s, 8)."""
    d = s[..., None] - _OTHERS
    ones = np.ones((*s.shape, 1))
    before = np.cumprod(np.concatenate([ones, d[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, d[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    result: Array = before * after * _SCALED
    return result
