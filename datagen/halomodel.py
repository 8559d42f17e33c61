r"""The halo model: from ten parameters to the 1-halo and 2-halo power spectra.

With the mass function n(M), bias b(M), the normalised Fourier profile u(k, M), the occupations
N_c(M), N_s(M), and the mean matter density rho_m (m = matter, g = galaxies):

- n_g = int n (N_c + N_s) dM
- P_gg^1h = int n [2 N_c N_s u + N_s^2 u^2] dM / n_g^2
- P_gm^1h = int n (N_c + N_s u) M u dM / (n_g rho_m)
- P_mm^1h = int n M^2 u^2 dM / rho_m^2
- P_xy^2h = I_x I_y P_lin, with I_g = int n b (N_c + N_s u) dM / n_g and
  I_m = [int n b M u dM + (rho_m - A) u(k, M_min)] / rho_m, A = int n b M dM.

The last term stands for the haloes below M_min (Mead et al. 2020, A&A 641, A130, appendix B).
Occupations and the galaxy terms follow Linke et al. 2022 (A&A 665, A38).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import erf, sici

from datagen.ccl import Fits
from datagen.fields import from_record
from datagen.haloes import Haloes, haloes_of
from datagen.linear_power import LinearPowerTable
from datagen.space import PARAMETERS, check_theta

__all__ = ["CORRELATIONS", "DERIVED", "TERMS", "HaloModel", "HaloModelConfig", "KGrid"]

Array = NDArray[np.float64]

CORRELATIONS: tuple[str, ...] = ("mm", "gm", "gg")
TERMS: tuple[str, ...] = ("1h", "2h", "total")
DERIVED: dict[str, str] = {"n_g": "1/Mpc^3", "b_eff": "1", "f_sat": "1", "mean_mass": "Msun"}

_CHUNK = 64  # points whose linear power is computed at once; keeps the matrices in cache
_G3LHALO_MASSES = 128
_PUBLISHED_RTOL = 1e-4
_STEP_CUTS = np.array([-6.0, 0.0, 6.0])  # around Mth, in units of sigma


@dataclass(frozen=True)
class KGrid:
    """Wavenumbers, evenly spaced in ln k.

    Attributes:
        low: Smallest wavenumber [1/Mpc].
        high: Largest wavenumber [1/Mpc].
        points: How many.
    """

    low: float = 1e-2
    high: float = 1e2
    points: int = 50

    def __post_init__(self) -> None:
        if not 1e-4 <= self.low < self.high <= 1e3:
            raise ValueError(
                f"k grid [{self.low:g}, {self.high:g}] 1/Mpc must increase within [1e-4, 1e3]"
            )
        if self.points < 2:
            raise ValueError(f"k grid points = {self.points} must be at least 2")

    def values(self) -> Array:
        """The wavenumbers [1/Mpc], shape (points,)."""
        return np.geomspace(self.low, self.high, self.points)


@dataclass(frozen=True)
class HaloModelConfig:
    """The choices that define the spectra.

    Attributes:
        model: ``standard`` uses one mass definition (200m) throughout, Poisson satellites and
            converged integrals. ``g3lhalo`` follows the code behind the published emulators:
            each fit at its own mass definition, N_s (N_s - 1) satellite pairs, no bias in the
            matter integral of gm, and a trapezoid in M over 128 masses.
        mass_function: One of pyccl's mass functions that are functions of sigma(M), by its name.
        halo_bias: One of pyccl's halo biases.
        concentration: One of pyccl's concentrations that are defined for 200m and, with a table of
            linear power, need no power spectrum of their own: ``Duffy08``, ``Constant``.
        z: Redshift.
        log10M_min: log10 of the lowest halo mass of the integrals [Msun].
        log10M_max: log10 of the highest.
        k: Wavenumbers of the spectra.
        linear_power: ``table`` interpolates CAMB runs over the box, ``camb`` runs CAMB for every
            point (some hundred times slower) and takes sigma(M) from pyccl.
        table_nodes: CAMB runs of the table along Om_c h^2 and Om_b h^2.
        panels: Panels in ln M that the ``standard`` integrals are cut into; further cuts follow
            the threshold Mth.
        panel_nodes: Gauss-Legendre nodes per panel.
    """

    model: Literal["standard", "g3lhalo"] = "standard"
    mass_function: str = "Sheth99"
    halo_bias: str = "Sheth01"
    concentration: str = "Duffy08"
    z: float = 0.0
    log10M_min: float = 10.0
    log10M_max: float = 17.0
    k: KGrid = KGrid()
    linear_power: Literal["table", "camb"] = "table"
    table_nodes: tuple[int, int] = (32, 10)
    panels: int = 26
    panel_nodes: int = 16

    def __post_init__(self) -> None:
        if self.model not in ("standard", "g3lhalo"):
            raise ValueError(f"model = {self.model!r} must be 'standard' or 'g3lhalo'")
        if self.linear_power not in ("table", "camb"):
            raise ValueError(f"linear_power = {self.linear_power!r} must be 'table' or 'camb'")
        if not 0 <= self.z <= 10:
            raise ValueError(f"z = {self.z:g} must lie in [0, 10]")
        if not 8 <= self.log10M_min < self.log10M_max <= 17:
            raise ValueError(
                f"halo masses 10^{self.log10M_min:g}..10^{self.log10M_max:g} Msun must increase "
                f"within 10^8..10^17 Msun"
            )
        if min(self.table_nodes) < 2:
            raise ValueError(f"table_nodes = {self.table_nodes} must each be at least 2")
        fits = self.fits()  # refuses unknown names
        if self.linear_power == "table" and fits.concentration_needs_power():
            raise ValueError(
                f"concentration = {self.concentration!r} needs a power spectrum of its own; "
                f"choose another, or linear_power: camb"
            )
        if self.panels < 1 or self.panel_nodes < 2:
            raise ValueError(
                f"panels = {self.panels}, panel_nodes = {self.panel_nodes} must be at least 1 and 2"
            )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "HaloModelConfig":
        """The choices that a file's metadata hold, the inverse of ``dataclasses.asdict``.

        Raises:
            ValueError: A choice is missing, unknown or impossible; the message names it.
        """
        return from_record(cls, data, "halo model")

    def fits(self) -> Fits:
        """The fits for haloes that these choices name."""
        return Fits(
            mass_function=self.mass_function,
            halo_bias=self.halo_bias,
            concentration=self.concentration,
            mass_def="200m" if self.model == "standard" else "",
        )


def occupation(M: Array, hod: dict[str, float]) -> tuple[Array, Array]:
    """Mean numbers of centrals N_c and satellites N_s in haloes of mass M [Msun].

    ``e = [1 + erf(ln(M / Mth) / (sqrt(2) sigma))] / 2``, ``N_c = alpha e``,
    ``N_s = e (M / Mprime)^beta``; ln is the natural logarithm.
    """
    e = 0.5 * (1 + erf(np.log(M / hod["Mth"]) / (np.sqrt(2) * hod["sigma"])))
    return hod["alpha"] * e, e * (M / hod["Mprime"]) ** hod["beta"]


def nfw_fourier(k: Array, R: Array, c: Array) -> Array:
    """Fourier transform of the truncated NFW profile, 1 at k -> 0, shape (M, K).

    Cooray & Sheth 2002 (Phys. Rep. 372), eq. 81, with x = k r_s and r_s = R / c.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        R: Halo radii [Mpc], shape (M,).
        c: Concentrations R / r_s, shape (M,).
    """
    c = c[:, None]
    x = k * (R[:, None] / c)  # (M, K)
    y = (1 + c) * x
    Si_x, Ci_x = sici(x)
    Si_y, Ci_y = sici(y)
    shape = np.sin(x) * (Si_y - Si_x) + np.cos(x) * (Ci_y - Ci_x) - np.sin(c * x) / y
    return shape / (np.log1p(c) - c / (1 + c))


def panel_edges(ln_min: float, ln_max: float, panels: int) -> Array:
    """Edges of panels in ln M for integrals over u(k, M), shape (panels + 1,).

    u oscillates with the phase k R, R ~ M^(1/3), so equal panels in ln M would need thousands of
    nodes: at k = 100 1/Mpc a halo of 1e16 Msun turns through 35 cycles per unit of ln M. The
    edges are even in a mixture of ln M and R instead (R up to 10^16.5 Msun, above which no halo
    counts); `benchmarks.convergence` shows what that buys.
    """
    ln_M = np.linspace(ln_min, ln_max, 4096)
    even = (ln_M - ln_min) / (ln_max - ln_min)
    even += 4.0 * np.exp((np.minimum(ln_M, 16.5 * np.log(10)) - 16.5 * np.log(10)) / 3)
    return np.interp(np.linspace(even[0], even[-1], panels + 1), even, ln_M)


_leggauss = lru_cache(np.polynomial.legendre.leggauss)  # 0.1 ms, the same at every point


def mass_nodes(edges: Array, ln_th: float, sigma: float, nodes: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes in ln M and their weights, resolving a step of any width.

    The panels are cut further at fixed multiples of sigma around the threshold, so that no
    panel sees more of the step than its nodes resolve.

    Args:
        edges: Panel edges [ln Msun], shape (P + 1,).
        ln_th: ln of the threshold mass Mth.
        sigma: Width of the threshold in ln M.
        nodes: Nodes per panel.

    Returns:
        ln M and weights, each of shape ((P + 3) * nodes,).
    """
    cuts = np.clip(ln_th + sigma * _STEP_CUTS, edges[0], edges[-1])
    edges = np.sort(np.concatenate([edges, cuts]))
    x, w = _leggauss(nodes)
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    return (middle + half * x).ravel(), (half * w).ravel()


@lru_cache
def published_masses(M_min: float, M_max: float) -> tuple[float, ...]:
    """Masses [Msun] at which the published quadrature evaluates a steep mass function.

    It halves the lowest interval again and again, whatever the cosmology. So all values can be
    computed at once, which takes a thirtieth of the time.
    """
    seen = []

    def steep(M: float) -> float:
        seen.append(M)
        return 1 / M

    quad(steep, M_min, M_max, epsrel=_PUBLISHED_RTOL)
    return tuple(seen)


class HaloModel:
    """The halo model of a configuration, as a function of points.

    Args:
        config: The choices that define the spectra.
        table: Linear power; needed for ``linear_power: table``.
    """

    def __init__(self, config: HaloModelConfig, table: LinearPowerTable | None = None) -> None:
        if (config.linear_power == "table") != (table is not None):
            raise ValueError(
                f"linear_power: {config.linear_power} "
                + ("needs a LinearPowerTable" if table is None else "takes no LinearPowerTable")
            )
        self.config = config
        self.k = config.k.values()
        self._table = table
        self._standard = config.model == "standard"
        self._fits = config.fits()
        self._M_min, self._M_max = 10**config.log10M_min, 10**config.log10M_max
        self._edges = panel_edges(np.log(self._M_min), np.log(self._M_max), config.panels)

    def __call__(self, theta: Array) -> dict[str, Array]:
        """Spectra and derived numbers of many points.

        Args:
            theta: Columns `datagen.space.PARAMETERS` (masses in Msun), shape (N, 10).

        Returns:
            ``mm_1h``, ``mm_2h``, ``gm_1h``, ... and ``P_lin`` [Mpc^3], each (N, K); the keys of
            `DERIVED`: galaxy density n_g, effective bias, satellite fraction and mean host halo
            mass, each (N,).

        Raises:
            ValueError: Points of a wrong shape, outside of where the model is defined, or
                without galaxies.
        """
        theta = check_theta(theta)
        rows = []
        for start in range(0, len(theta), _CHUNK):
            chunk = theta[start : start + _CHUNK]
            haloes = haloes_of(chunk[:, :5], self._fits, self.config.z, self.k, self._table)
            rows += [
                self._point(dict(zip(PARAMETERS, map(float, row), strict=True)), cosmology)
                for row, cosmology in zip(chunk, haloes, strict=True)
            ]
        names = rows[0] if rows else ()
        return {name: np.array([row[name] for row in rows]) for name in names}

    def _masses(self, hod: dict[str, float]) -> tuple[Array, Array]:
        """Halo masses [Msun] and the weights of an integral over ln M."""
        if self._standard:
            ln_M, weights = mass_nodes(
                self._edges, np.log(hod["Mth"]), hod["sigma"], self.config.panel_nodes
            )
            return np.exp(ln_M), weights
        M = np.geomspace(self._M_min, self._M_max, _G3LHALO_MASSES)
        weights = np.zeros_like(M)  # trapezoid in M, as published; dM = M dlnM
        weights[:-1] += 0.5 * np.diff(M)
        weights[1:] += 0.5 * np.diff(M)
        return M, weights / M

    def _u(self, haloes: Haloes, M: Array) -> Array:
        """Normalised profile u(k, M), shape (M, K)."""
        if self._standard:
            R = haloes.radius(M)
        else:  # the published radius, whatever the concentration's mass definition
            R = np.cbrt(0.239 * M / 200 / haloes.rho_m)
        return nfw_fourier(self.k, R, haloes.concentration(M))

    def _bias_integral(self, haloes: Haloes, converged: float) -> float:
        """A = int n b M dM: as integrated, or by adaptive quadrature in M as published."""
        if self._standard:
            return converged

        def integrand(M: Array) -> Array:
            dn, b = haloes.dn_dlnM_and_bias(M)
            return dn * b  # n M = dn/dlnM

        ends = self._M_min, self._M_max
        masses = published_masses(*ends)
        known = dict(zip(masses, integrand(np.array(masses)).tolist(), strict=True))

        def value(M: float) -> float:
            found = known.get(M)
            return float(integrand(np.array([M]))[0]) if found is None else found

        return float(quad(value, *ends, epsrel=_PUBLISHED_RTOL)[0])

    def _point(self, hod: dict[str, float], haloes: Haloes) -> dict[str, Any]:
        """All spectra and derived numbers of one point."""
        M, weights = self._masses(hod)
        dn_dlnM, b = haloes.dn_dlnM_and_bias(M)
        n = weights * dn_dlnM  # haloes per node [1/Mpc^3]
        nb = n * b
        N_c, N_s = occupation(M, hod)
        n_g, rho_m, P_lin = n @ (N_c + N_s), haloes.rho_m, haloes.P_lin
        if not n_g**2 > 0:  # the spectra divide by it
            raise ValueError(f"no galaxies (n_g = {n_g:g} 1/Mpc^3) for {hod}")

        u = self._u(haloes, M)
        pairs = N_s**2 if self._standard else (N_s - 1) * N_s
        cs_u, cm_u, bs_u, bm_u, m_u = (
            np.stack([n * 2 * N_c * N_s, n * N_c * M, nb * N_s, nb * M, n * M]) @ u
        )
        ss_uu, sm_uu, mm_uu = np.stack([n * pairs, n * N_s * M, n * M**2]) @ u**2

        A = self._bias_integral(haloes, float(nb @ M))
        below = (rho_m - A) * self._u(haloes, np.array([self._M_min]))[0]
        I_g = (nb @ N_c + bs_u) / n_g
        I_m = (bm_u + below) / rho_m
        I_m_of_gm = I_m if self._standard else (m_u + below) / rho_m  # no bias, as published
        return {
            "mm_1h": mm_uu / rho_m**2,
            "mm_2h": I_m**2 * P_lin,
            "gm_1h": (cm_u + sm_uu) / (n_g * rho_m),
            "gm_2h": I_g * I_m_of_gm * P_lin,
            "gg_1h": (cs_u + ss_uu) / n_g**2,
            "gg_2h": I_g**2 * P_lin,
            "P_lin": P_lin,
            "n_g": n_g,
            "b_eff": nb @ (N_c + N_s) / n_g,
            "f_sat": n @ N_s / n_g,
            "mean_mass": (n * M) @ (N_c + N_s) / n_g,
        }
