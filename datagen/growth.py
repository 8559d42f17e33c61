"""The linear growth of many cosmologies at once, each at its own redshift and dark energy.

pyccl solves the growth equation of each cosmology for all times, 10 ms a point. This solves the
same equation, of flat w0 wa cosmologies with radiation, for many points side by side.
"""

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.ccl import radiation_density
from datagen.space import W_TODAY_AND_EARLY, Space

__all__ = ["growth_factor", "growth_rate", "matter_fraction", "matter_fractions"]

Array = NDArray[np.float64]

_A_START = 1e-6  # radiation is nearly all by then, and Meszaros' solution holds
# Runge-Kutta steps up to the redshift and from there to today; errors of D are below 3e-9
_STEPS_BEFORE, _STEPS_AFTER = 200, 80


def growth_factor(
    Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike, z: ArrayLike
) -> Array:
    """Linear growth factor D(z) / D(0), of the arguments' common shape.

    ``D'' + (2 + H' / H) D' = 3/2 Om_m(a) D`` with derivatives by ln a, begun in the radiation era
    with the growing mode ``1 + 3/2 a / a_eq`` (Meszaros 1974, A&A 37, 225). Dark energy, of
    pressure ``w = w0 + wa (1 - a)`` times its density, does not cluster.

    Args:
        Om_m: Matter densities.
        h: Hubble parameters [100 km/s/Mpc].
        w0: Equations of state of dark energy today.
        wa: Their change, -dw/da.
        z: Redshifts.
    """
    universe = _Universe(Om_m, h, w0, wa)
    a = universe.scale_factor(z)
    _, ln_growth = universe.advance(universe.rate_at(a), a, 1.0, _STEPS_AFTER)
    result: Array = np.exp(-ln_growth)
    return result


def growth_rate(Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike, z: ArrayLike) -> Array:
    """Linear growth rate dln D / dln a at z; arguments as those of `growth_factor`."""
    universe = _Universe(Om_m, h, w0, wa)
    return universe.rate_at(universe.scale_factor(z))


def matter_fraction(
    Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike, z: ArrayLike
) -> Array:
    """Matter's share of the density at z, Om_m(z); arguments as those of `growth_factor`."""
    universe = _Universe(Om_m, h, w0, wa)
    radiation, dark_energy = universe.to_matter(universe.scale_factor(z))
    result: Array = 1 / (1 + radiation + dark_energy)
    return result


def matter_fractions(space: Space) -> tuple[float, float]:
    """Smallest and largest share of matter in the density, Om_m(z), at a box's corners."""
    names = ("Om_c", "Om_b", "h", "w0", "wa", "z")
    corners = np.array(list(product(*((space[name].low, space[name].high) for name in names))))
    Om_c, Om_b, h, w0, wa, z = corners.T
    shares = matter_fraction(Om_c + Om_b, h, w0, np.minimum(wa, W_TODAY_AND_EARLY - w0), z)
    return float(shares.min()), float(shares.max())


class _Universe:
    """Flat universes of matter, radiation and dark energy, all of shape (N,)."""

    def __init__(self, Om_m: ArrayLike, h: ArrayLike, w0: ArrayLike, wa: ArrayLike) -> None:
        Om_m, h, self.w0, self.wa = (
            np.asarray(values, dtype=np.float64) for values in (Om_m, h, w0, wa)
        )
        Om_r = radiation_density() / h**2
        self._radiation, self._dark_energy = Om_r / Om_m, (1 - Om_m - Om_r) / Om_m

    def scale_factor(self, z: ArrayLike) -> Array:
        """1 / (1 + z), in the common shape of universes and redshifts."""
        a = 1 / (1 + np.asarray(z, dtype=np.float64))
        shape = np.broadcast_shapes(a.shape, self._dark_energy.shape, self.w0.shape, self.wa.shape)
        return np.broadcast_to(a, shape)

    def to_matter(self, a: Array) -> tuple[Array, Array]:
        """Densities of radiation and of dark energy in units of matter's."""
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
        """The growth rate at a = end from that at a = start, and ln D(end) / D(start).

        Runge and Kutta's fourth order, with steps even in a^(1/3): fine in ln a where dark energy
        takes over, coarse before.
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
