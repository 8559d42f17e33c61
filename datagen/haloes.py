"""Halo properties of one cosmology as functions of mass, from CAMB or tabulated linear power."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from datagen.ccl import Fits, Tabulated, camb_cosmology, matter_density
from datagen.growth import growth_factor
from datagen.layouts import CambPreset
from datagen.linear_power import LinearPower
from datagen.variance import lagrangian_radius

__all__ = ["CambHaloes", "Haloes", "TableHaloes", "haloes_of", "table_haloes"]

Array = NDArray[np.float64]
Point = dict[str, float]  # cosmology and redshift of one point, by name


class Haloes(ABC):
    """Mass function, bias, concentration and radius of the haloes of one cosmology.

    Attributes:
        rho_m: Comoving mean matter density [Msun / Mpc^3].
        P_lin: Linear matter power at the requested wavenumbers [Mpc^3], shape (K,).
        cosmo: Cosmology, for pyccl's fits.
    """

    rho_m: float
    P_lin: Array

    def __init__(self, point: Point, fits: Fits, cosmo: Any) -> None:
        self.rho_m = matter_density(point["Om_c"] + point["Om_b"], point["h"])
        self._fits, self.cosmo, self._a = fits, cosmo, 1.0 / (1.0 + point["z"])

    @abstractmethod
    def dn_dlnM_and_bias(self, M: Array) -> tuple[Array, Array]:
        """Return the mass function dn/dlnM [1/Mpc^3] and the bias of masses M [Msun]."""

    def concentration(self, M: Array) -> Array:
        """Return the concentration of masses M [Msun]."""
        return self._fits.concentration_of(self.cosmo, M, self._a)

    def radius(self, M: Array) -> Array:
        """Return the comoving radius [Mpc] of masses M [Msun], in the fits' mass definition."""
        return self._fits.radius_of(self.cosmo, M, self._a)


class CambHaloes(Haloes):
    """Haloes with CAMB run for this point, and pyccl's own sigma(M).

    Args:
        point: Cosmology and redshift by name.
        fits: Fits for haloes.
        k: Wavenumbers of P_lin [1/Mpc], shape (K,).
        camb: Accuracy of CAMB.
    """

    def __init__(self, point: Point, fits: Fits, k: Array, camb: CambPreset) -> None:
        super().__init__(point, fits, camb_cosmology(point, camb))
        self.P_lin = self.cosmo.linear_matter_power(k, self._a)

    def dn_dlnM_and_bias(self, M: Array) -> tuple[Array, Array]:
        """See `Haloes`."""
        return self._fits.dn_dlnM_and_bias(self.cosmo, M, self._a)


class TableHaloes(Haloes):
    """Haloes with tabulated linear power and sigma(M).

    Args:
        point: Cosmology and redshift by name.
        fits: Fits for haloes.
        k: Wavenumbers of P_lin [1/Mpc], shape (K,).
        ln_P: ln P_lin at z = 0 [ln Mpc^3] over ln k [ln 1/Mpc].
        ln_sigma: ln sigma at z = 0 over ln R [ln Mpc].
        growth: Linear growth factor D(z) / D(0).
    """

    def __init__(
        self, point: Point, fits: Fits, k: Array, ln_P: PPoly, ln_sigma: PPoly, growth: float
    ) -> None:
        super().__init__(point, fits, Tabulated(point, ln_sigma, ln_P, growth))
        self.P_lin = np.exp(ln_P(np.log(k))) * growth**2
        self._ln_sigma, self._growth = ln_sigma, growth

    def sigma(self, ln_R: Array) -> Array:
        """Return the RMS density in spheres of Lagrangian radius exp(ln_R) Mpc."""
        result: Array = np.exp(self._ln_sigma(ln_R)) * self._growth
        return result

    def dn_dlnM_and_bias(self, M: Array) -> tuple[Array, Array]:
        """See `Haloes`."""
        ln_R = np.log(lagrangian_radius(M, self.rho_m))
        sigma = self.sigma(ln_R)
        slope = self._ln_sigma(ln_R, 1) / 3  # dln sigma / dlnM, since R ~ M^(1/3)
        return self._fits.dn_dlnM_and_bias_of_sigma(
            self.cosmo, M, self._a, sigma, slope, self.rho_m
        )


def haloes_of(
    points: Mapping[str, Array],
    fits: Fits,
    k: Array,
    linear_power: LinearPower | None,
    camb: CambPreset = "converged",
) -> Iterator[Haloes]:
    """Iterate over the haloes of each point, from a linear power if given, else from CAMB.

    Args:
        points: Columns ``Om_c, Om_b, h, sigma_8, n_s, w0, wa, z`` by name, each (B,).
        fits: Fits for haloes.
        k: Wavenumbers of P_lin [1/Mpc], shape (K,).
        linear_power: Linear power at z = 0; None to run CAMB for each point.
        camb: Accuracy of CAMB, if it runs.
    """
    if linear_power is not None:
        yield from table_haloes(points, fits, k, linear_power)
        return
    for point in _rows(points):
        yield CambHaloes(point, fits, k, camb)


def table_haloes(
    points: Mapping[str, Array], fits: Fits, k: Array, linear_power: LinearPower
) -> Iterator[TableHaloes]:
    """Iterate over the haloes of each point, from a linear power; arguments as in `haloes_of`."""
    ln_P, ln_sigma = linear_power(points)
    growth = growth_factor(
        points["Om_c"] + points["Om_b"], *(points[name] for name in ("h", "w0", "wa", "z"))
    )
    for i, point in enumerate(_rows(points)):
        yield TableHaloes(point, fits, k, _row(ln_P, i), _row(ln_sigma, i), growth=float(growth[i]))


def _rows(points: Mapping[str, Array]) -> Iterator[Point]:
    for values in zip(*points.values(), strict=True):
        yield dict(zip(points, map(float, values), strict=True))


def _row(spline: PPoly, i: int) -> PPoly:
    """The spline of one of many points."""
    return PPoly.construct_fast(np.ascontiguousarray(spline.c[:, :, i]), spline.x)
