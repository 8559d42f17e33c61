"""Variance of the linear density in spheres, sigma^2(R), from the linear power."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Variance", "lagrangian_radius", "top_hat"]

Array = NDArray[np.float64]


def top_hat(x: Array) -> Array:
    """Fourier transform of a spherical top-hat, 3 (sin x - x cos x) / x^3, with x = k R."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    return np.where(x < 0.02, 1 - x**2 / 10 + x**4 / 280, exact)


def lagrangian_radius(M: Array | float, rho_m: Array | float) -> Array:
    """Radius [Mpc] of a sphere of density rho_m [Msun / Mpc^3] and mass M [Msun]."""
    return np.cbrt(3 * np.asarray(M) / (4 * np.pi * np.asarray(rho_m)))


class Variance:
    """``sigma^2(R) = int dln k k^3 P(k) W^2(k R) / (2 pi^2)``, as one matrix product.

    By the trapezoidal rule, which is very accurate for integrands that vanish at both ends.

    Args:
        ln_k: Uniform grid of wavenumbers [ln 1/Mpc], shape (K,).
        ln_R: Radii [ln Mpc], shape (R,).
    """

    def __init__(self, ln_k: Array, ln_R: Array) -> None:
        self._k = np.exp(ln_k)
        weights = np.full(len(ln_k), ln_k[1] - ln_k[0])
        weights[[0, -1]] /= 2
        self._kernel = weights * self._k**3 / (2 * np.pi**2)
        self._window = top_hat(self._k[:, None] * np.exp(ln_R)) ** 2  # (K, R)

    def __call__(self, ln_P: Array) -> Array:
        """Return sigma^2 at the radii, shape (B, R), from ln P [ln Mpc^3], shape (B, K)."""
        result: Array = (np.exp(ln_P) * self._kernel) @ self._window
        return result

    def at(self, ln_P: Array, R: Array) -> Array:
        """Return sigma^2 of each row of ln P, (B, K), at its own radius R [Mpc], shape (B,)."""
        window = top_hat(self._k * R[:, None]) ** 2
        result: Array = (np.exp(ln_P) * self._kernel * window).sum(axis=1)
        return result
