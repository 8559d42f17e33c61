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

_DEGREE = 4  # degree of the polynomial in both densities, as in `_powers`
OMEGA_M, OMEGA_B = 0.14, 0.02  # densities about which the polynomial is expanded
POWERS_OF_M, POWERS_OF_B = np.array(
    [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i) if i + j]
).T

FEATURES = len(POWERS_OF_M) + 3
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
    ln_h = xp.log(h)
    u = xp.log((Om_c + Om_b) / OMEGA_M) + 2 * ln_h
    v = xp.log(Om_b / OMEGA_B) + 2 * ln_h
    powers_m, powers_b = (_powers(x[:, None], xp) for x in (u, v))
    products = powers_m[:, POWERS_OF_M] * powers_b[:, POWERS_OF_B]
    return xp.concatenate([products, xp.stack([n_s, ln_h, ln_h * u], axis=1)], axis=1)


def _powers(x: Any, xp: Any) -> Any:
    """Powers of x (N, 1) up to `_DEGREE`, (N, D + 1); products, which are differentiable at 0."""
    square = x * x
    return xp.concatenate([xp.ones_like(x), x, square, square * x, square * square], axis=1)


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
