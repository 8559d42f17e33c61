"""Galaxies on an even grid of ln M: what is between the nodes counts as it should.

A sum over nodes stands for an integral over ln M of haloes n(M), moments of an occupation, and
functions that are smooth on the grid. On a finer one, ln n is interpolated; haloes times moments
are summed there with the polynomials that interpolate smooth functions between nodes, so that
neither the moments nor n, which may fall off very steeply, need to be smooth.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["REACH", "between", "cardinal", "cells_of", "kernel"]

Array = NDArray[np.float64]

_RESOLVED = 0.84  # widths of a normal distribution, in spacings, that a sum resolves to 1e-6
_CELLS = (4, 8)  # of each interval, at least and at most
REACH = 4  # intervals to each side of a node that its polynomials reach


def cells_of(width: float, spacing: float) -> int:
    """Into how many cells an interval between nodes is cut.

    Args:
        width: Of the narrowest feature in ln M; 0 for a step.
        spacing: Of the nodes in ln M.
    """
    least, most = _CELLS
    return most if width <= 0 else min(max(math.ceil(_RESOLVED * spacing / width), least), most)


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
