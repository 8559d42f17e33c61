"""The haloes of one cosmology as functions of mass, with CAMB or the table behind them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from datagen.ccl import Background, Fits, camb_cosmology, matter_density
from datagen.growth import growth_factor
from datagen.linear_power import LinearPowerTable, lagrangian_radius
from datagen.space import COSMOLOGY

__all__ = ["CambHaloes", "Haloes", "TableHaloes", "haloes_of", "table_haloes"]

Array = NDArray[np.float64]


class Haloes(ABC):
    """Mass function, bias, concentration and radius of the haloes of one cosmology.

    Attributes:
        rho_m: Comoving mean matter density [Msun / Mpc^3].
        P_lin: Linear matter power at the wavenumbers asked for [Mpc^3], shape (K,).
    """

    rho_m: float
    P_lin: Array

    def __init__(self, cosmology: dict[str, float], fits: Fits, z: float, cosmo: Any) -> None:
        self.rho_m = matter_density(cosmology["Om_c"] + cosmology["Om_b"], cosmology["h"])
        self._fits, self._cosmo, self._a = fits, cosmo, 1.0 / (1.0 + z)

    @abstractmethod
    def dn_dlnM_and_bias(self, M: Array) -> tuple[Array, Array]:
        """Mass function dn/dlnM [1/Mpc^3] and bias of masses M [Msun]."""

    def concentration(self, M: Array) -> Array:
        """Concentration of masses M [Msun]."""
        return self._fits.concentration_of(self._cosmo, M, self._a)

    def radius(self, M: Array) -> Array:
        """Comoving radius [Mpc] of masses M [Msun], in the fits' mass definition."""
        return self._fits.radius_of(self._cosmo, M, self._a)


class CambHaloes(Haloes):
    """Everything from pyccl: CAMB's linear power and pyccl's own sigma(M)."""

    def __init__(self, cosmology: dict[str, float], fits: Fits, z: float, k: Array) -> None:
        super().__init__(cosmology, fits, z, camb_cosmology(cosmology))
        self.P_lin = self._cosmo.linear_matter_power(k, self._a)

    def dn_dlnM_and_bias(self, M: Array) -> tuple[Array, Array]:
        """See `Haloes`."""
        return self._fits.dn_dlnM_and_bias(self._cosmo, M, self._a)


class TableHaloes(Haloes):
    """The fits' formulas on sigma(M) from the table of linear power.

    Args:
        cosmology: `datagen.space.COSMOLOGY` by name.
        fits: The fits for haloes.
        z: Redshift.
        P_lin: Linear matter power at z = 0 [Mpc^3], shape (K,).
        ln_sigma: ln sigma at z = 0 over ln R [ln Mpc].
        growth: Linear growth factor D(z) / D(0).
    """

    def __init__(
        self,
        cosmology: dict[str, float],
        fits: Fits,
        z: float,
        P_lin: Array,
        ln_sigma: PPoly,
        growth: float,
    ) -> None:
        super().__init__(cosmology, fits, z, Background(cosmology).cosmo)
        self.P_lin = P_lin * growth**2
        self._ln_sigma, self._growth = ln_sigma, growth

    def sigma(self, ln_R: Array) -> Array:
        """RMS density in spheres of Lagrangian radius exp(ln_R) Mpc."""
        result: Array = np.exp(self._ln_sigma(ln_R)) * self._growth
        return result

    def dn_dlnM_and_bias(self, M: Array) -> tuple[Array, Array]:
        """See `Haloes`."""
        ln_R = np.log(lagrangian_radius(M, self.rho_m))
        sigma = self.sigma(ln_R)
        slope = self._ln_sigma(ln_R, 1) / 3  # dln sigma / dlnM, since R ~ M^(1/3)
        return self._fits.dn_dlnM_and_bias_of_sigma(
            self._cosmo, M, self._a, sigma, slope, self.rho_m
        )


def haloes_of(
    cosmologies: Array, fits: Fits, z: float, k: Array, table: LinearPowerTable | None
) -> Iterator[Haloes]:
    """The haloes of each cosmology, from the table if there is one, else from CAMB.

    Args:
        cosmologies: Columns `datagen.space.COSMOLOGY`, shape (B, 5).
        fits: The fits for haloes.
        z: Redshift.
        k: Wavenumbers of P_lin [1/Mpc], shape (K,).
        table: Linear power, for all B cosmologies at once.
    """
    if table is not None:
        yield from table_haloes(cosmologies, fits, z, k, table)
        return
    for row in cosmologies:
        yield CambHaloes(_named(row), fits, z, k)


def table_haloes(
    cosmologies: Array, fits: Fits, z: float, k: Array, table: LinearPowerTable
) -> Iterator[TableHaloes]:
    """The haloes of each cosmology from the table; arguments as those of `haloes_of`."""
    ln_P, ln_sigma = table(cosmologies)
    P_lin = np.exp(ln_P(np.log(k)))  # (K, B)
    growth = growth_factor(cosmologies[:, 0] + cosmologies[:, 1], cosmologies[:, 2], -1.0, 0.0, z)
    for i, cosmology in enumerate(cosmologies):
        row = PPoly.construct_fast(np.ascontiguousarray(ln_sigma.c[:, :, i]), ln_sigma.x)
        yield TableHaloes(_named(cosmology), fits, z, P_lin[:, i], row, float(growth[i]))


def _named(row: Array) -> dict[str, float]:
    return dict(zip(COSMOLOGY, map(float, row), strict=True))
