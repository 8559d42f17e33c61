"""Functions of separation by scipy's FFTLog, which is not the transform of `export.statistics`."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fht, fhtoffset
from scipy.interpolate import CubicSpline

__all__ = ["transformed"]

Array = NDArray[np.float64]

_POINTS, _LOW, _HIGH = 8192, 1e-6, 3e4  # of the grid [1/Mpc]
_TAIL = 0.5  # e-folds at the end of a spectrum whose slope goes on


def transformed(ln_k: Array, ln_P: Array, order: float, power: float) -> tuple[Array, Array]:
    """Int k^power P(k) J_order(k r) r dk by FFTLog, at increasing r.

    Args:
        ln_k: Increasing, shape (K,); P goes on below and above as it begins and ends.
        ln_P: Shape (K,).
        order: Of the Bessel function.
        power: Of k.

    Returns:
        Separations, and the transform at these.
    """
    step = np.log(_HIGH / _LOW) / (_POINTS - 1)
    x = np.log(_LOW) + step * np.arange(_POINTS)
    spline = CubicSpline(ln_k, ln_P)
    tail = ln_k > ln_k[-1] - _TAIL
    end = np.polyfit(ln_k[tail] - ln_k[-1], ln_P[tail], 1)[0]
    y = spline(np.clip(x, ln_k[0], ln_k[-1]))
    y += spline(ln_k[0], 1) * np.minimum(x - ln_k[0], 0) + end * np.maximum(x - ln_k[-1], 0)
    k = np.exp(x)
    values = k**power * np.exp(y - (k / 1e4) ** 2)
    bias = -0.2
    offset = fhtoffset(step, order, bias=bias)
    r = np.exp(offset - x[::-1])
    return r, fht(values, step, order, offset=offset, bias=bias)
