"""Steps and peaks that a sum over an even grid integrates as if they were sharp.

A sum over an even grid integrates functions that are smooth on the scale of the spacing. A sharp
function is replaced by a few smooth shapes, shifted by whole nodes, whose combination has the same
moments: against a smooth function both have the same integral up to a high derivative. All lengths
here are in units of the spacing.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["VARIANCE", "combination", "gaussian_moment", "slab_moment"]

Array = NDArray[np.float64]

VARIANCE = 0.7  # of the smooth shapes: a sum resolves them to 1e-7


def gaussian_moment(p: int, shift: float) -> float:
    """The p-th moment of a normal density of variance `VARIANCE` around a shift."""
    return sum(
        math.comb(p, j) * VARIANCE ** (j // 2) * math.prod(range(1, j, 2)) * shift ** (p - j)
        for j in range(0, p + 1, 2)
    )


def slab_moment(p: int, shift: float) -> float:
    """The p-th moment of the same density, averaged over one spacing."""
    return sum(
        math.comb(p, j) * gaussian_moment(p - j, shift) / (2**j * (j + 1))
        for j in range(0, p + 1, 2)
    )


def combination(shifts: Array, moment: Callable[[int, float], float], wanted: Array) -> Array:
    """Weights of shifted shapes whose sum has given moments.

    Args:
        shifts: Shifts, as many as moments, shape (n,).
        moment: Moment of one shape, as a function of order and shift.
        wanted: Moments 0 .. n - 1, shape (n,), or several sets as columns, (n, m).
    """
    each = [[moment(p, float(shift)) for shift in shifts] for p in range(len(shifts))]
    weights: Array = np.linalg.solve(np.array(each), wanted)
    return weights
