"""Shape of the linear power below an emulator's lowest wavenumber, from the cosmology alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FEATURES",
    "N_S",
    "OMEGA_B",
    "OMEGA_M",
    "POWERS_OF_B",
    "POWERS_OF_M",
    "features",
    "linear_shape",
]

Array = NDArray[np.float64]

_DEGREE = 4  # degree of the polynomial in both densities; `features` has these powers
OMEGA_M, OMEGA_B = 0.14, 0.02  # densities about which the polynomial is expanded
POWERS_OF_M, POWERS_OF_B = np.array(
    [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i) if i + j]
).T
_ABOUT = np.array([OMEGA_M, OMEGA_B, 1.0])
# Each feature is a product of two columns: 1, n_s, and the powers of three logarithms
_ONE, _N_S, _LN_H, _U = 0, 1, 4, 2
_LEFT, _RIGHT = (
    np.array([*(3 * powers - 1 + i).clip(0) * (powers > 0), *others])
    for i, powers, others in (
        (0, POWERS_OF_M, (_N_S, _LN_H, _LN_H)),
        (1, POWERS_OF_B, (_ONE, _ONE, _U)),
    )
)

FEATURES = len(_LEFT)
"""Number of `features`."""
N_S = FEATURES - 3
"""Index of the spectral index in the features."""


def features(cosmology: Mapping[str, Any], xp: Any = np) -> Any:
    """Features of a cosmology of which ln P_lin(k) / P_lin(k_0) at z = 0 is linear, to 1e-4.

    Monomials of ln Om_m h^2 and ln Om_b h^2 up to the fourth degree; n_s; and ln h, which enters
    through the density of dark energy.

    Args:
        cosmology: ``Om_c``, ``Om_b``, ``h``, ``n_s`` by name, each (N,).
        xp: Array module, numpy or jax.numpy.

    Returns:
        Features, shape (N, `FEATURES`).
    """
    Om_c, Om_b, h, n_s = (xp.asarray(cosmology[n], float) for n in ("Om_c", "Om_b", "h", "n_s"))
    of_h = h**2
    x = xp.log(xp.stack([(Om_c + Om_b) * of_h, Om_b * of_h, h], axis=1) / _ABOUT)
    square = x * x  # products, whose derivatives exist at 0
    one = xp.stack([xp.ones_like(h), n_s], axis=1)
    columns = xp.concatenate([one, x, square, square * x, square * square], axis=1)
    return columns[:, _LEFT] * columns[:, _RIGHT]


def linear_shape(k: Array, cosmology: Mapping[str, Any]) -> Array:
    """Shape of the linear power without wiggles, k^n_s T(k)^2.

    Eisenstein & Hu 1998 (ApJ 496, 605), eqs. 26 and 28 to 31, at a temperature of the microwave
    background of 2.7255 K.

    Args:
        k: Wavenumbers [1/Mpc], shape (K',).
        cosmology: ``Om_c``, ``Om_b``, ``h``, ``n_s`` by name, each (N,).

    Returns:
        Power up to a constant, shape (N, K').
    """
    Om_c, Om_b, h, n_s = (
        np.asarray(cosmology[name], np.float64)[:, None] for name in ("Om_c", "Om_b", "h", "n_s")
    )
    Om_m = Om_c + Om_b
    omega_m, omega_b, fraction = Om_m * h**2, Om_b * h**2, Om_b / Om_m
    theta = 2.7255 / 2.7
    s = 44.5 * np.log(9.83 / omega_m) / np.sqrt(1 + 10 * omega_b**0.75)  # sound horizon [Mpc]
    suppression = 1 - 0.328 * np.log(431 * omega_m) * fraction
    suppression += 0.38 * np.log(22.3 * omega_m) * fraction**2
    gamma = omega_m * (suppression + (1 - suppression) / (1 + (0.43 * k * s) ** 4))
    q = k * theta**2 / gamma
    L = np.log(2 * np.e + 1.8 * q)
    T = L / (L + (14.2 + 731 / (1 + 62.5 * q)) * q**2)
    shape: Array = k**n_s * T**2
    return shape
