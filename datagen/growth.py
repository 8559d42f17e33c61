"""Linear growth of many flat w0wa cosmologies at once, each at its own redshift.

pyccl solves the growth equation of each cosmology for all times, which takes 10 ms per point.
This module solves the same equation, with radiation, for many points side by side.
"""

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.ccl import radiation_density
from datagen.space import W_TODAY_AND_EARLY, Space

__all__ = ["growth_factor", "growth_rate", "matter_fraction", "matter_fractions"]

Array = NDArray[np.float64]

_A_START = 1e-6  # deep in the radiation era, where Meszaros' solution holds
# Runge-Kutta steps up to the redshift and from there to today; errors of D are below 3e-9
_STEPS_BEFORE, _STEPS_AFTER = 200, 80


def growth_factor(
    Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike, z: ArrayLike
) -> Array:
    """Linear growth factor D(z) / D(0).

    Solves ``D'' + (2 + H' / H) D' = 3/2 Om_m(a) D``, with derivatives by ln a, from the growing
    mode ``1 + 3/2 a / a_eq`` of the radiation era (Meszaros 1974, A&A 37, 225). Dark energy, with
    the equation of state ``w = w0 + wa (1 - a)``, does not cluster. Arguments broadcast.

    Args:
        Om_m: Matter density parameters Om_c + Om_b, at z = 0.
        h: Hubble parameters [100 km/s/Mpc].
        w0: Equations of state of dark energy at z = 0.
        wa: Changes of the equations of state, -dw/da.
        z: Redshifts.

    Returns:
        D(z) / D(0), in the common shape of the arguments.

    Example:
        >>> growth_factor(0.3, 0.7, -1.0, 0.0, [0.0, 1.0]).round(4)
        array([1.    , 0.6119])
    """
    universe = _Universe(Om_m, h, w0, wa)
    a = universe.scale_factor(z)
    _, ln_growth = universe.advance(universe.rate_at(a), a, 1.0, _STEPS_AFTER)
    result: Array = np.exp(-ln_growth)
    return result


def growth_rate(Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike, z: ArrayLike) -> Array:
    """Linear growth rate dln D / dln a at z; arguments and shape as in `growth_factor`."""
    universe = _Universe(Om_m, h, w0, wa)
    return universe.rate_at(universe.scale_factor(z))


def matter_fraction(
    Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike, z: ArrayLike
) -> Array:
    """Matter density parameter Om_m(z); arguments and shape as in `growth_factor`."""
    universe = _Universe(Om_m, h, w0, wa)
    radiation, dark_energy = universe.to_matter(universe.scale_factor(z))
    result: Array = 1 / (1 + radiation + dark_energy)
    return result


def matter_fractions(space: Space) -> tuple[float, float]:
    """Return the smallest and the largest Om_m(z) over the corners of a parameter space."""
    names = ("Om_c", "Om_b", "h", "w0", "wa", "z")
    corners = np.array(list(product(*((space[name].low, space[name].high) for name in names))))
    Om_c, Om_b, h, w0, wa, z = corners.T
    shares = matter_fraction(Om_c + Om_b, h, w0, np.minimum(wa, W_TODAY_AND_EARLY - w0), z)
    return float(shares.min()), float(shares.max())


class _Universe:
    """Flat universes of matter, radiation and dark energy; arguments broadcast."""

    def __init__(self, Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike) -> None:
        Om_m, h, self.w0, self.wa = (
            np.asarray(values, dtype=np.float64) for values in (Om_m, h, w0, wa)
        )
        Om_r = radiation_density() / h**2
        self._radiation, self._dark_energy = Om_r / Om_m, (1 - Om_m - Om_r) / Om_m

    def scale_factor(self, z: ArrayLike) -> Array:
        """Scale factor 1 / (1 + z), in the common shape of universes and redshifts."""
        a = 1 / (1 + np.asarray(z, dtype=np.float64))
        shape = np.broadcast_shapes(a.shape, self._dark_energy.shape, self.w0.shape, self.wa.shape)
        return np.broadcast_to(a, shape)

    def to_matter(self, a: Array) -> tuple[Array, Array]:
        """Ratios of the radiation and dark energy densities to the matter density."""
        stretch = -3 * ((self.w0 + self.wa) * np.log(a) + self.wa * (1 - a))
        return self._radiation / a, self._dark_energy * np.exp(stretch)

    def acceleration(self, a: Array, f: Array) -> Array:
        """Derivative of the growth rate f = dln D / dln a by ln a."""
        radiation, dark_energy = self.to_matter(a)
        w = self.w0 + self.wa * (1 - a)
        matter = 1 / (1 + radiation + dark_energy)
        ln_H_slope = -1.5 - matter * (0.5 * radiation + 1.5 * w * dark_energy)
        result: Array = 1.5 * matter - f * (f + 2 + ln_H_slope)
        return result

    def rate_at(self, a: Array) -> Array:
        """Growth rate at the scale factors a."""
        growing = 1.5 * _A_START / self._radiation
        f = np.broadcast_to(growing / (1 + growing), a.shape)
        return self.advance(f, np.full_like(a, _A_START), a, _STEPS_BEFORE)[0]

    def advance(
        self, f: Array, start: Array, end: Array | float, steps: int
    ) -> tuple[Array, Array]:
        """Integrate the growth rate from a = start to a = end.

        Fourth-order Runge-Kutta with even steps in a^(1/3), which are fine in ln a when dark
        energy begins to dominate, and coarse before.

        Returns:
            The growth rate at the end, and ln D(end) / D(start).
        """
        p, last = np.cbrt(start), np.cbrt(end)
        step, ln_growth = (last - p) / steps, np.zeros_like(f)
        for _ in range(steps):
            middle, after = p + 0.5 * step, p + step
            k1 = self.acceleration(p**3, f) * (3 / p)
            f2 = f + 0.5 * step * k1
            k2 = self.acceleration(middle**3, f2) * (3 / middle)
            f3 = f + 0.5 * step * k2
            k3 = self.acceleration(middle**3, f3) * (3 / middle)
            f4 = f + step * k3
            k4 = self.acceleration(after**3, f4) * (3 / after)
            ln_growth = ln_growth + step / 2 * (f / p + 2 * (f2 + f3) / middle + f4 / after)
            f = f + step / 6 * (k1 + 2 * (k2 + k3) + k4)
            p = after
        return f, ln_growth
