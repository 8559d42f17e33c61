r"""Matrices from power spectra to functions of separation.

A spectrum on a logarithmic grid of wavenumbers is a sum of complex powers of k, and the transform
of each power has a closed form (Hamilton 2000, MNRAS 312, 257): with s complex,

- int_0^inf x^s j_l(x) dx = 2^(s - 1) sqrt(pi) Gamma((l + s + 1) / 2) / Gamma((l - s + 2) / 2),
- int_0^inf x^s J_m(x) dx = 2^s Gamma((m + s + 1) / 2) / Gamma((m - s + 1) / 2).

So a statistic only needs to be known for powers of r: at a radius, averaged over a bin, or
integrated along the line of sight. All steps are linear in the spectrum.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.interpolate import spline_matrix

__all__ = ["Modes", "Rows", "Transform", "ln_gamma", "projected", "spherical"]

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Transform = Callable[[Complex], tuple[Complex, float]]
"""Function of a power of k that returns the factor, and the dimension of the result."""

_BIAS = 1.1  # P k^1.1 falls off at both ends, and images of the period are far away
_LOW, _HIGH = 1e-6, 1e6  # 1/Mpc; period of the complex powers
_TAPER = 1e4  # 1/Mpc; a Gaussian, without which the end of the grid rings
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
_SHIFT = 12  # real part from which Stirling's series has all digits


def ln_gamma(z: Complex) -> Complex:
    """Logarithm of the gamma function, for real parts above -10.

    The imaginary part may be off by multiples of 2 pi. Uses Stirling's series, after a recurrence.
    """
    shift = np.sum([np.log(z + i) for i in range(_SHIFT)], axis=0)
    z = z + _SHIFT
    series = sum(c / z ** (2 * n + 1) for n, c in enumerate(_STIRLING))
    result: Complex = (z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi) + series - shift
    return result


def spherical(order: int) -> Transform:
    """The transform int k^2 dk / (2 pi^2) j_l(k r), of powers of k."""

    def of(power: Complex) -> tuple[Complex, float]:
        s = power + 2
        ln = (s - 1) * np.log(2) + ln_gamma((order + s + 1) / 2) - ln_gamma((order - s + 2) / 2)
        return np.exp(ln) * np.sqrt(np.pi) / (2 * np.pi**2), -3.0

    return of


def projected(order: int) -> Transform:
    """The transform int k dk / (2 pi) J_m(k R), of powers of k."""

    def of(power: Complex) -> tuple[Complex, float]:
        s = power + 1
        ln = s * np.log(2) + ln_gamma((order + s + 1) / 2) - ln_gamma((order - s + 1) / 2)
        return np.exp(ln) / (2 * np.pi), -2.0

    return of


class Modes:
    """A spectrum at nodes as a sum of complex powers of k.

    Args:
        k: Nodes [1/Mpc], increasing, shape (K,). P is a cubic spline of k^1.1 P in ln k between
            the nodes, and 0 beyond.
        count: Number of points of the logarithmic grid.

    Attributes:
        powers: Powers of k, shape (M,): P(k) is the real part of the sum of ``A @ P`` times k to
            the powers.
        amplitudes: Real and negative imaginary parts of A, shape (2 M, K).
    """

    def __init__(self, k: Array, count: int = 2048) -> None:
        ln_k, period = np.log(k), np.log(_HIGH / _LOW)
        grid = np.log(_LOW) + period / count * np.arange(count)
        inside = (grid >= ln_k[0]) & (grid <= ln_k[-1])
        values = np.zeros((count, len(k)))
        values[inside] = spline_matrix(ln_k, grid[inside]) * k**_BIAS
        values *= np.exp(-((np.exp(grid[:, None]) / _TAPER) ** 2))
        amplitudes = np.fft.rfft(values, axis=0) / count
        amplitudes[1:-1] *= 2
        frequency = 2 * np.pi / period * np.arange(len(amplitudes))
        self.powers: Complex = -_BIAS + 1j * frequency
        amplitudes *= np.exp(-1j * frequency * np.log(_LOW))[:, None]
        self.amplitudes: Array = np.concatenate([amplitudes.real, -amplitudes.imag])

    def rows(self, transform: Transform, radii: Array, weights: Array) -> "Rows":
        """Sums of a transform at radii.

        Args:
            transform: A transform of `spherical` or `projected`.
            radii: Radii in any unit of length, shape (R, Q).
            weights: Weights of the radii in each sum, shape (R, Q).
        """
        factors, dimension = transform(self.powers)
        powers = dimension - self.powers
        rows = np.empty((len(radii), len(powers)), np.complex128)
        for row, ln_r, weight in zip(rows, np.log(radii), weights, strict=True):
            row[:] = weight @ np.exp(ln_r[:, None] * powers)
        return Rows(rows * factors, powers, self.amplitudes)


@dataclass(frozen=True)
class Rows:
    """Sums of a transform of powers of k at radii, for any unit of the radii.

    Attributes:
        rows: Sums for each power of k, shape (R, M).
        powers: Powers of the unit of the radii, shape (M,).
        amplitudes: Amplitudes of `Modes`, shape (2 M, K).
    """

    rows: Complex
    powers: Complex
    amplitudes: Array

    def matrix(self, scale: float = 1.0) -> Array:
        """Matrix from P at the nodes to the sums, shape (R, K).

        Args:
            scale: Unit of the radii [Mpc].
        """
        scaled = self.rows * np.exp(self.powers * np.log(scale))
        result: Array = np.concatenate([scaled.real, scaled.imag], axis=1) @ self.amplitudes
        return result
