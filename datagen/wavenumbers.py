"""Wavenumbers that follow the sound horizon, so that acoustic wiggles keep their place."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

__all__ = ["END", "START", "continued", "coordinates", "ln_wavenumbers", "sound_horizon"]

Array = NDArray[np.float64]

START, END = 2.5e-5, 110.0  # first and last coordinate; the last is a wavenumber [1/Mpc]

_HORIZON = 150.0  # of the coordinates [Mpc]
_PER_EFOLD = 3.0  # where there are no wiggles
_PER_WIGGLE = 14.0
_FADED = 0.6  # coordinate from which on wiggles fade
_RELEASED, _RELEASE = np.log(2.5), 0.4  # beyond the wiggles, coordinates become wavenumbers


def sound_horizon(omega_m: ArrayLike, omega_b: ArrayLike) -> Array:
    """Comoving sound horizon [Mpc]; Eisenstein & Hu 1998 (ApJ 496, 605), equation 26."""
    horizon: Array = 44.5 * np.log(9.83 / np.asarray(omega_m))
    return horizon / np.sqrt(1 + 10 * np.asarray(omega_b) ** 0.75)


@cache
def coordinates() -> Array:
    """Logarithms of wavenumbers [1/Mpc] of a universe whose sound horizon is 150 Mpc.

    Dense in ln k where there are wiggles, 14 to a period, and three to an e-fold elsewhere.
    """
    fine = np.linspace(np.log(START), np.log(END), 20001)
    k = np.exp(fine)
    wiggles = _HORIZON * k / (2 * np.pi)  # periods in an e-fold
    density = _PER_EFOLD + _PER_WIGGLE * wiggles / (1 + (k / _FADED) ** 3)
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(fine)
    passed = np.concatenate([[0.0], np.cumsum(steps)])
    return np.interp(np.linspace(0, passed[-1], int(np.ceil(passed[-1])) + 1), passed, fine)


def ln_wavenumbers(omega_c: float, omega_b: float) -> Array:
    """The wavenumbers [ln 1/Mpc] that `coordinates` stand for in a universe, increasing."""
    x = coordinates()
    stretch = np.log(sound_horizon(omega_c + omega_b, omega_b) / _HORIZON)
    result: Array = x - stretch / (1 + np.exp((x - _RELEASED) / _RELEASE))
    return result


def continued(ln_k: Array, ln_P: Array, wanted: Array) -> Array:
    """Ln P at other wavenumbers: a cubic spline, and beyond its end a parabola.

    The parabola serves integrals; as a power it is 1 % off at 200 1/Mpc, and 10 % at 400.

    Args:
        ln_k: Increasing, shape (K,).
        ln_P: Shape (K,).
        wanted: Shape (K',).
    """
    spline, end = CubicSpline(ln_k, ln_P), ln_k[-1]
    beyond = np.maximum(wanted - end, 0.0)
    values: Array = spline(np.minimum(wanted, end))
    return values + spline(end, 1) * beyond + 0.5 * spline(end, 2) * beyond**2
