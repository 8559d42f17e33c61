"""Wavenumbers that scale with the sound horizon, so that acoustic wiggles keep their place."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

__all__ = ["END", "START", "continued", "coordinates", "ln_wavenumbers", "sound_horizon"]

Array = NDArray[np.float64]

START, END = 2.5e-5, 110.0  # first and last coordinate; the last is a wavenumber [1/Mpc]

_HORIZON = 150.0  # sound horizon of the coordinates [Mpc]
_PER_EFOLD = 3.0  # coordinates per e-fold of k outside of the wiggles
_PER_WIGGLE = 14.0  # coordinates per period of the wiggles
_FADED = 0.6  # coordinate beyond which wiggles fade
_RELEASED, _RELEASE = np.log(2.5), 0.4  # centre and width in ln k of the transition to wavenumbers


def sound_horizon(omega_m: ArrayLike, omega_b: ArrayLike) -> Array:
    """Comoving sound horizon [Mpc]; Eisenstein & Hu 1998 (ApJ 496, 605), eq. 26.

    Args:
        omega_m: Om_m h^2.
        omega_b: Om_b h^2.
    """
    horizon: Array = 44.5 * np.log(9.83 / np.asarray(omega_m))
    return horizon / np.sqrt(1 + 10 * np.asarray(omega_b) ** 0.75)


@cache
def coordinates() -> Array:
    """Wavenumbers [ln 1/Mpc] of a universe with a sound horizon of 150 Mpc, shape (K,).

    14 per period of the acoustic wiggles, and three per e-fold elsewhere.
    """
    fine = np.linspace(np.log(START), np.log(END), 20001)
    k = np.exp(fine)
    wiggles = _HORIZON * k / (2 * np.pi)  # periods per e-fold
    density = _PER_EFOLD + _PER_WIGGLE * wiggles / (1 + (k / _FADED) ** 3)
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(fine)
    passed = np.concatenate([[0.0], np.cumsum(steps)])
    return np.interp(np.linspace(0, passed[-1], int(np.ceil(passed[-1])) + 1), passed, fine)


def ln_wavenumbers(omega_c: float, omega_b: float) -> Array:
    """Wavenumbers [ln 1/Mpc] at `coordinates` in a universe, increasing, shape (K,).

    Args:
        omega_c: Om_c h^2.
        omega_b: Om_b h^2.
    """
    x = coordinates()
    stretch = np.log(sound_horizon(omega_c + omega_b, omega_b) / _HORIZON)
    result: Array = x - stretch / (1 + np.exp((x - _RELEASED) / _RELEASE))
    return result


def continued(ln_k: Array, ln_P: Array, wanted: Array) -> Array:
    """Interpolate ln P by a cubic spline, continued as a parabola beyond its last wavenumber.

    The parabola is accurate enough for integrals; P is off by 1 % at 200 1/Mpc, 10 % at 400.

    Args:
        ln_k: Wavenumbers [ln 1/Mpc], increasing, shape (K,).
        ln_P: Power [ln Mpc^3], shape (K,).
        wanted: New wavenumbers [ln 1/Mpc], shape (K',).

    Returns:
        ln P [ln Mpc^3], shape (K',).
    """
    spline, end = CubicSpline(ln_k, ln_P), ln_k[-1]
    beyond = np.maximum(wanted - end, 0.0)
    values: Array = spline(np.minimum(wanted, end))
    return values + spline(end, 1) * beyond + 0.5 * spline(end, 2) * beyond**2
