"""Functions of separation by scipy's FFTLog, an independent check of `export.statistics`."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fht, fhtoffset
from scipy.interpolate import CubicSpline

__all__ = ["correlation", "splined", "surface", "transformed"]

Array = NDArray[np.float64]

_POINTS, _LOW, _HIGH = 8192, 1e-6, 3e4  # number and range of wavenumbers [1/Mpc]
_TAIL = 0.5  # e-folds at the end of a spectrum that determine the extrapolated slope


def transformed(ln_k: Array, ln_P: Array, order: float, power: float) -> tuple[Array, Array]:
    """Compute int k^power P(k) J_order(k r) r dk by FFTLog.

    Args:
        ln_k: ln of k [1/Mpc], increasing, shape (K,). P is extrapolated with its slopes at the
            ends.
        ln_P: ln of P [Mpc^3], shape (K,).
        order: Order of the Bessel function.
        power: Power of k.

    Returns:
        Separations [Mpc], increasing, and the transform at these.
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


def correlation(ln_k: Array, ln_P: Array) -> tuple[Array, Array]:
    """Return separations [Mpc] and xi: int k^2 P(k) j0(k r) dk / (2 pi^2)."""
    r, values = transformed(ln_k, ln_P, 0.5, 1.5)
    return r, values * np.sqrt(np.pi / 2) / (2 * np.pi**2) * r**-1.5


def surface(ln_k: Array, ln_P: Array, order: int) -> tuple[Array, Array]:
    """Return separations R [Mpc] and int k P(k) J_order(k R) dk / (2 pi)."""
    r, values = transformed(ln_k, ln_P, order, 1.0)
    return r, values / (2 * np.pi * r)


def splined(r: Array, values: Array) -> Callable[[Array], Array]:
    """Interpolate a function of separation from 0.01 to 500 Mpc: spline of r f(r) in ln r."""
    inside = (r > 0.01) & (r < 500)
    spline = CubicSpline(np.log(r[inside]), r[inside] * values[inside])
    return lambda wanted: spline(np.log(wanted)) / wanted
