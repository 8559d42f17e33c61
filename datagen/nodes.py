"""Haloes on a fixed grid of Lagrangian radii: what an emulator of the mass integrals tabulates.

The grid is even in ``x = 3 ln R_L`` with ``M = 4 pi / 3 rho_m R_L^3``, so that dx = dlnM. On it
sigma(R_L) needs no matter density, the halo radius is the same for every cosmology, and the
profile u(k, x) depends on the cosmology by one number, the amplitude q of the concentration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from datagen.ccl import matter_density
from datagen.haloes import TableHaloes, table_haloes
from datagen.halomodel import HaloModelConfig, nfw_fourier
from datagen.linear_power import LinearPowerTable, TableBox
from datagen.space import COSMOLOGY, Space

__all__ = ["HaloNodes", "ProfileTable", "check_model", "nu_exponent"]

Array = NDArray[np.float64]

_DELTA_C = 1.686  # only splits ln n into two smooth parts, so its digits do not matter
_CONCENTRATION_TOLERANCE = 1e-6  # of ln c; the form is exact for power laws in M h
_FINE = 64  # points per grid interval that the profile is averaged over
_NARROWEST = 1e-3  # half the range of the amplitude q, of its middle, where q is all but fixed
_PAD = 14  # intervals beyond both ends, so that the end conditions of the spline do not matter


@dataclass(frozen=True)
class ProfileTable:
    """Profiles averaged over the grid, as polynomials in the amplitude of the concentration.

    The amplitude is ``q = Om_m^slopes[0] h^slopes[1]`` in units of its value at the reference;
    the polynomials are in ``t = (q - middle) / half``, which runs over [-1, 1].

    Attributes:
        u: Coefficients of u(k, x), shape (m, Q, K), in powers of t.
        u2: Coefficients of u(k, x)^2.
        slopes: dln q / dln Om_m and dln q / dln h.
        middle: Middle of the range of q.
        half: Half its width.
    """

    u: Array
    u2: Array
    slopes: Array
    middle: float
    half: float


def nu_exponent(sigma: Array) -> Array:
    """``ln(0.707 nu^2 / 2)`` with nu = delta_c / sigma: the cutoff of n(M) is exp(-exp(it))."""
    result: Array = np.log(0.5 * 0.707 * (_DELTA_C / sigma) ** 2)
    return result


def check_model(config: HaloModelConfig) -> None:
    """Refuse a halo model whose haloes cannot stand on a grid.

    Raises:
        ValueError: It is of another kind, or has no table of linear power.
    """
    if config.model != "standard" or config.linear_power != "table":
        raise ValueError(
            f"model = {config.model!r} with linear_power = {config.linear_power!r}: haloes on "
            f"a grid need model: standard and linear_power: table"
        )


class HaloNodes:
    """The haloes of a halo model on a grid.

    Args:
        config: The choices that define the spectra; the ``standard`` model.
        space: The box of the parameters.
        x: The grid, 3 ln(R_L / Mpc), even, shape (Q,).
    """

    def __init__(self, config: HaloModelConfig, space: Space, x: Array) -> None:
        check_model(config)
        self.config, self.space, self.x = config, space, x
        self.k = config.k.values()
        self.rho_unit = float(matter_density(1.0, 1.0))  # of Om_m h^2 = 1
        self._fits = config.fits()
        self._table = LinearPowerTable.load_or_build(TableBox.of(space, config.table_nodes))

    def masses(self, rho_m: float) -> Array:
        """Halo masses [Msun] of the grid, shape (Q,)."""
        result: Array = 4 * np.pi / 3 * rho_m * np.exp(self.x)
        return result

    def functions(self, cosmology: Array) -> Array:
        """What the mass integrals need to know of each cosmology, as smooth functions.

        Args:
            cosmology: Columns `datagen.space.COSMOLOGY`, shape (B, 5).

        Returns:
            Side by side ``y``, ``g`` and ``ln b`` at the nodes and ``ln P_lin`` [ln Mpc^3] at
            the wavenumbers, shape (B, 3 Q + K); a node stands for ``exp(g - exp(y))`` haloes
            per Mpc^3, dn/dlnM times the spacing.
        """
        rows, ln_step = [], np.log(self.x[1] - self.x[0])
        for start in range(0, len(cosmology), 64):
            for h in self._haloes(cosmology[start : start + 64]):
                n, b = h.dn_dlnM_and_bias(self.masses(h.rho_m))
                y = nu_exponent(h.sigma(self.x / 3))
                with np.errstate(divide="ignore"):
                    ln_n = np.log(n)
                g = np.where(n > 1e-250, ln_n + ln_step + np.exp(y), np.nan)
                rows.append(np.concatenate([y, _continued(g), np.log(b), np.log(h.P_lin)]))
        return np.array(rows)

    def profiles(self, powers: int = 3) -> ProfileTable:
        """The profile, averaged over the grid so that its oscillations integrate exactly.

        Between the nodes the other factors of an integrand follow a quintic spline; its cardinal
        functions are what u is averaged with.

        Args:
            powers: Coefficients of the polynomial in the concentration's amplitude.

        Raises:
            ValueError: A concentration that is not a power law of mass and density.
        """
        slopes, ends, ln_c = self._concentration()
        middle = float(ends.mean())
        half = max(0.5 * float(ends[1] - ends[0]), _NARROWEST * middle)
        t = np.cos(np.pi * (np.arange(powers) + 0.5) / powers)
        step = self.x[1] - self.x[0]
        wide = self.x[0] + step * np.arange(-_PAD, len(self.x) + _PAD)
        fine = np.linspace(wide[0], wide[-1], (len(wide) - 1) * _FINE + 1)
        cardinal = make_interp_spline(wide, np.eye(len(wide)), k=5)(fine)[:, _PAD:-_PAD] / _FINE
        R = self._halo_radius(fine)
        ln_c_fine = np.poly1d(np.polyfit(self.x, ln_c, 1))(fine)
        u = np.array([nfw_fourier(self.k, R, (middle + half * v) * np.exp(ln_c_fine)) for v in t])
        powers_of_t = np.linalg.inv(np.vander(t, increasing=True))
        u, u2 = (
            np.einsum("pv,vfk,fq->pqk", powers_of_t, w, cardinal, optimize=True) for w in (u, u**2)
        )
        return ProfileTable(u, u2, slopes, middle, half)

    def _halo_radius(self, x: Array) -> Array:
        """Comoving halo radius [Mpc], which is the same for every cosmology."""
        (haloes,) = self._haloes(np.array([[self.space[name].low for name in COSMOLOGY]]))
        M = 4 * np.pi / 3 * haloes.rho_m * np.exp(x)
        radius: Array = haloes.radius(M)
        return radius

    def _haloes(self, cosmology: Array) -> Iterator[TableHaloes]:
        return table_haloes(cosmology, self._fits, self.config.z, self.k, self._table)

    def _concentration(self) -> tuple[Array, Array, Array]:
        """Slopes of q, its least and largest value, and ln c(x) at q = 1."""
        corners = np.array(
            list(product(*((self.space[n].low, self.space[n].high) for n in COSMOLOGY)))
        )
        ln_c = np.array([h.concentration(self.masses(h.rho_m)) for h in self._haloes(corners)])
        ln_c = np.log(ln_c)
        Om_m, h = corners[:, 0] + corners[:, 1], corners[:, 2]
        design = np.stack([np.log(Om_m), np.log(h), np.ones_like(h)], axis=1)
        fit = np.linalg.lstsq(design, ln_c - ln_c[0], rcond=None)[0].mean(axis=1)
        ln_q = design[:, :2] @ fit[:2]
        at_one = (ln_c - ln_q[:, None]).mean(axis=0)
        straight = np.poly1d(np.polyfit(self.x, at_one, 1))(self.x)
        miss = np.abs(ln_c - ln_q[:, None] - straight).max()
        if miss > _CONCENTRATION_TOLERANCE:
            raise ValueError(
                f"concentration = {self.config.concentration!r} is no power law of mass and "
                f"density (off by {miss:.1g} in ln c); the closed form needs one, such as Duffy08"
            )
        return fit[:2], np.exp([ln_q.min(), ln_q.max()]), at_one


def _continued(g: Array) -> Array:
    """G beyond the masses whose number underflows, on a straight line: nothing sees it."""
    bad = np.isnan(g)
    if bad.any():
        i = np.arange(len(g))
        last = np.flatnonzero(~bad)[-2:]
        line = g[last[1]] + (g[last[1]] - g[last[0]]) * (i - last[1])
        g = np.where(bad, line, g)
    return g
