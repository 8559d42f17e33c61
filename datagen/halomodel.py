r"""The halo model: 1-halo and 2-halo power spectra at given parameters.

With the mass function n(M), bias b(M), the normalised Fourier profile u(k, M), the mean numbers of
central and satellite galaxies N_c(M), N_s(M) (`datagen.occupations`), and the mean matter density
rho_m (m = matter, g = galaxies):

- n_g = int n (N_c + N_s) dM
- P_gg^1h = int n [2 <N_c N_s> u + <N_s (N_s - 1)> u^2] dM / n_g^2
- P_gm^1h = int n (N_c + N_s u) M u dM / (n_g rho_m)
- P_mm^1h = int n M^2 u^2 dM / rho_m^2
- P_xy^2h = I_x I_y P_lin, with I_g = int n b (N_c + N_s u) dM / n_g and
  I_m = [int n b M u dM + (rho_m - A) u(k, M_min)] / rho_m, A = int n b M dM.

The last term of I_m accounts for haloes below M_min (Mead et al. 2020, A&A 641, A130, app. B).
The galaxy terms follow Linke et al. 2022 (A&A 665, A38).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import sici

from datagen.ccl import Fits
from datagen.fields import from_record
from datagen.haloes import Haloes, haloes_of
from datagen.layouts import LAYOUTS, CambPreset
from datagen.linear_power import LinearPower
from datagen.occupations import occupation
from datagen.occupations.extras import central_profile, damping
from datagen.occupations.functions import NUMPY
from datagen.space import BACKGROUND, check_theta, columns_by_name, parameters_of
from datagen.wavenumbers import END

__all__ = ["G3LHALO_MASSES", "HaloModel", "HaloModelConfig", "KGrid"]

Array = NDArray[np.float64]

_CAMB: dict[str, CambPreset] = {"standard": "converged", "g3lhalo": "pyccl"}
_CHUNK = 64  # points whose linear power is computed at once; keeps the matrices in cache
G3LHALO_MASSES = 128
"""Number of masses in the integrals of g3lhalo, even in ln M."""
_PUBLISHED_RTOL = 1e-4


@dataclass(frozen=True)
class KGrid:
    """Grid of wavenumbers, evenly spaced in ln k.

    Attributes:
        low: Smallest wavenumber [1/Mpc], at least 1e-4.
        high: Largest wavenumber [1/Mpc], at most 1e3.
        points: Number of wavenumbers, at least 2.
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
        """Return the wavenumbers [1/Mpc], shape (points,)."""
        return np.geomspace(self.low, self.high, self.points)


@dataclass(frozen=True)
class HaloModelConfig:
    """Settings of the halo model: ingredients, wavenumbers and numerical accuracy.

    Attributes:
        model: ``standard`` uses one mass definition throughout, the satellite pairs of the
            occupation and converged integrals. ``g3lhalo`` reproduces the code of the published
            emulators: each fit at its own mass definition, N_s (N_s - 1) satellite pairs, no bias
            in the matter integral of gm, and a trapezoid in M over 128 masses.
        mass_function: Mass function, by pyccl's name; one of `datagen.ingredients.MASS_FUNCTIONS`.
        halo_bias: Halo bias, by pyccl's name; one of `datagen.ingredients.PARTNERS` of the mass
            function.
        concentration: Concentration-mass relation, by pyccl's name; one of
            `datagen.ingredients.CONCENTRATIONS`.
        mass_def: Definition of the halo mass, ``200m``, ``200c``, ``500c`` or ``vir``, for mass
            function, bias and concentration; `datagen.ingredients` lists the valid combinations.
            ``g3lhalo`` ignores it and uses each fit's own default.
        log10M_min: log10 of the lowest halo mass [Msun] in the integrals, at least 8.
        log10M_max: log10 of the highest halo mass [Msun] in the integrals, at most 17.
        k: Wavenumbers of the spectra.
        linear_power: ``table`` interpolates CAMB runs over the box, ``camb`` runs CAMB for every
            point (some hundred times slower) and takes sigma(M) from pyccl.
        camb: Accuracy of CAMB: ``converged`` (to 0.1 % up to 100 1/Mpc), or ``pyccl``, pyccl's
            default (CAMB up to 10 1/Mpc, then a parabola in ln k). By default ``converged`` for
            ``standard`` and ``pyccl`` for ``g3lhalo``.
        table_nodes: Numbers of CAMB runs along the densities of dark matter and of baryons, for a
            new table of linear power; by default the table of the package, if it covers the space.
        panels: Number of panels in ln M of the ``standard`` integrals; panels are cut further at
            the features of the occupation, such as its threshold.
        panel_nodes: Gauss-Legendre nodes per panel.
    """

    model: Literal["standard", "g3lhalo"] = "standard"
    mass_function: str = "Sheth99"
    halo_bias: str = "Sheth01"
    concentration: str = "Duffy08"
    mass_def: str = "200m"
    log10M_min: float = 10.0
    log10M_max: float = 17.0
    k: KGrid = KGrid()
    linear_power: Literal["table", "camb"] = "table"
    camb: CambPreset | None = None
    table_nodes: tuple[int, int] | None = None
    panels: int = 26
    panel_nodes: int = 20

    def __post_init__(self) -> None:
        if self.model not in ("standard", "g3lhalo"):
            raise ValueError(f"model = {self.model!r} must be 'standard' or 'g3lhalo'")
        if self.linear_power not in ("table", "camb"):
            raise ValueError(f"linear_power = {self.linear_power!r} must be 'table' or 'camb'")
        if not 8 <= self.log10M_min < self.log10M_max <= 17:
            raise ValueError(
                f"halo masses 10^{self.log10M_min:g}..10^{self.log10M_max:g} Msun must increase "
                f"within 10^8..10^17 Msun"
            )
        if self.camb is None:  # resolved here, so that records contain it
            object.__setattr__(self, "camb", _CAMB[self.model])
        if self.camb not in LAYOUTS:
            raise ValueError(f"camb = {self.camb!r} must be 'converged' or 'pyccl'")
        if self.camb == "converged" and self.k.high > END:
            raise ValueError(
                f"k grid up to {self.k.high:g} 1/Mpc: converged linear power ends at {END:g}, "
                f"where the pressure of baryons sets in; lower k.high, or take camb: pyccl"
            )
        if self.table_nodes is not None and min(self.table_nodes) < 2:
            raise ValueError(f"table_nodes = {self.table_nodes} must each be at least 2")
        self.fits()  # raises for unknown names and invalid combinations
        if self.panels < 1 or self.panel_nodes < 2:
            raise ValueError(
                f"panels = {self.panels}, panel_nodes = {self.panel_nodes} must be at least 1 and 2"
            )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "HaloModelConfig":
        """Return the settings stored in a file's metadata, as by ``dataclasses.asdict``.

        Raises:
            ValueError: A setting is missing, unknown or invalid; the message names it.
        """
        return from_record(cls, data, "halo model")

    def fits(self) -> Fits:
        """Return mass function, halo bias and concentration of these settings."""
        return Fits(
            mass_function=self.mass_function,
            halo_bias=self.halo_bias,
            concentration=self.concentration,
            mass_def=self.mass_def if self.model == "standard" else "",
        )


def nfw_fourier(k: Array, R: Array, c: Array) -> Array:
    """Fourier transform of the NFW profile truncated at R, normalised to 1 at k -> 0.

    Cooray & Sheth 2002 (Phys. Rep. 372, 1), eq. 81, with x = k r_s and r_s = R / c.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        R: Halo radii [Mpc], shape (M,).
        c: Concentrations R / r_s, shape (M,).

    Returns:
        u(k, M), shape (M, K).
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
    nodes: at k = 100 1/Mpc, a halo of 1e16 Msun turns through 35 cycles per unit of ln M. The
    edges are even in a mixture of ln M and R instead (R up to 10^16.5 Msun; more massive haloes
    do not contribute); `benchmarks.studies.convergence` measures the accuracy.

    Args:
        ln_min: Lower end [ln Msun].
        ln_max: Upper end [ln Msun].
        panels: Number of panels.
    """
    ln_M = np.linspace(ln_min, ln_max, 4096)
    even = (ln_M - ln_min) / (ln_max - ln_min)
    even += 4.0 * np.exp((np.minimum(ln_M, 16.5 * np.log(10)) - 16.5 * np.log(10)) / 3)
    return np.interp(np.linspace(even[0], even[-1], panels + 1), even, ln_M)


_leggauss = lru_cache(np.polynomial.legendre.leggauss)  # 0.1 ms, the same at every point


def mass_nodes(edges: Array, cuts: Sequence[float], nodes: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights in ln M, on panels cut at steps and kinks.

    Args:
        edges: Panel edges [ln Msun], shape (P + 1,).
        cuts: C further edges [ln Msun], so that the nodes of each panel resolve its part of a
            step or kink; see `Occupation.cuts`.
        nodes: Nodes per panel.

    Returns:
        ln M [ln Msun] and weights, each of shape ((P + C) * nodes,).
    """
    cut = np.clip(np.array(cuts), edges[0], edges[-1])
    edges = np.sort(np.concatenate([edges, cut]))
    x, w = _leggauss(nodes)
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    return (middle + half * x).ravel(), (half * w).ravel()


@lru_cache
def published_masses(M_min: float, M_max: float) -> tuple[float, ...]:
    """Masses [Msun] at which the published quadrature evaluates a steep mass function.

    The adaptive rule halves the lowest interval repeatedly, in every cosmology. Evaluating all
    masses at once takes a thirtieth of the time.
    """
    seen = []

    def steep(M: float) -> float:
        seen.append(M)
        return 1 / M

    quad(steep, M_min, M_max, epsrel=_PUBLISHED_RTOL)
    return tuple(seen)


class HaloModel:
    """The halo model as a function of points.

    Args:
        config: Settings of the halo model.
        linear_power: Linear power, for ``linear_power: table`` only; see
            `datagen.power.linear_power`.
        galaxies: Name of the occupation.

    Attributes:
        config: Settings of the halo model.
        k: Wavenumbers of the spectra [1/Mpc], shape (K,).

    Raises:
        ValueError: ``linear_power`` is missing or not used by the settings; the occupation is
            unknown, or is not linke22 in a ``g3lhalo`` model.

    Example:
        >>> import numpy as np
        >>> from datagen.power import linear_power
        >>> from datagen.space import Space, complete
        >>> config, space = HaloModelConfig(), Space(occupation="zheng07")
        >>> model = HaloModel(config, linear_power(config, space), "zheng07")
        >>> cosmology = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.85, "n_s": 0.96, "z": 0}
        >>> hod = {"log10Mmin": 12, "sigma_logM": 0.3, "log10M0": 12, "log10M1": 13.2, "alpha": 1}
        >>> point = complete(cosmology | hod, "zheng07")
        >>> arrays = model(np.array([list(point.values())]))
        >>> arrays["gg_1h"].shape, f"{arrays['n_g'][0]:.4f} 1/Mpc^3"
        ((1, 50), '0.0029 1/Mpc^3')
    """

    def __init__(
        self,
        config: HaloModelConfig,
        linear_power: LinearPower | None = None,
        galaxies: str = "linke22",
    ) -> None:
        if (config.linear_power == "table") != (linear_power is not None):
            raise ValueError(
                f"linear_power: {config.linear_power} "
                + ("needs a LinearPower" if linear_power is None else "takes no LinearPower")
            )
        if config.model == "g3lhalo" and galaxies != "linke22":
            raise ValueError(
                f"occupation = {galaxies!r}: the g3lhalo model, which reproduces published code, "
                f"supports linke22 only; use model: standard"
            )
        self.config = config
        self.k = config.k.values()
        self._galaxies, self._names = occupation(galaxies), tuple(parameters_of(galaxies))
        self._linear_power = linear_power
        self._standard = config.model == "standard"
        self._fits = config.fits()
        self._M_min, self._M_max = 10**config.log10M_min, 10**config.log10M_max
        self._edges = panel_edges(np.log(self._M_min), np.log(self._M_max), config.panels)

    def __call__(self, theta: Array) -> dict[str, Array]:
        """Compute spectra and derived numbers.

        Args:
            theta: Points, columns in the order of `datagen.space.parameters_of`, shape (N, P).

        Returns:
            ``mm_1h``, ``mm_2h``, ``gm_1h``, ``gm_2h``, ``gg_1h``, ``gg_2h`` and ``P_lin`` [Mpc^3],
            each (N, K); ``n_g``, the number density of galaxies [1/Mpc^3], ``b_eff``, their
            effective bias, ``f_sat``, the fraction of satellites, and ``mean_mass``, the mean mass
            of their haloes [Msun], each (N,).

        Raises:
            ValueError: The shape is wrong, the model is not defined at a point, or a point has no
                galaxies.
        """
        theta = check_theta(theta, self._galaxies.name)
        rows = []
        for start in range(0, len(theta), _CHUNK):
            chunk = theta[start : start + _CHUNK]
            cosmology = columns_by_name(chunk[:, : len(BACKGROUND)], BACKGROUND)
            points = [dict(zip(self._names, row, strict=True)) for row in chunk.tolist()]
            haloes = haloes_of(
                cosmology, self._fits, self.k, self._linear_power, self.config.camb or "converged"
            )
            rows += [self._point(*one) for one in zip(points, haloes, strict=True)]
        names = rows[0] if rows else ()
        return {name: np.array([row[name] for row in rows]) for name in names}

    def _masses(self, point: dict[str, float]) -> tuple[Array, Array]:
        """Halo masses [Msun] and the weights of an integral over ln M."""
        if self._standard:
            cuts = self._galaxies.cuts(point)
            ln_M, weights = mass_nodes(self._edges, cuts, self.config.panel_nodes)
            return np.exp(ln_M), weights
        M = np.geomspace(self._M_min, self._M_max, G3LHALO_MASSES)
        weights = np.zeros_like(M)  # trapezoid in M, as published; dM = M dlnM
        weights[:-1] += 0.5 * np.diff(M)
        weights[1:] += 0.5 * np.diff(M)
        return M, weights / M

    def _u(self, haloes: Haloes, M: Array, c_ratio: float = 1.0) -> Array:
        """Normalised profile u(k, M), (M, K), at ``c_ratio`` times the halo concentration."""
        if self._standard:
            R = haloes.radius(M)
        else:  # the published radius, whatever the concentration's mass definition
            R = np.cbrt(0.239 * M / 200 / haloes.rho_m)
        return nfw_fourier(self.k, R, c_ratio * haloes.concentration(M))

    def _bias_integral(self, haloes: Haloes, converged: float) -> float:
        """A = int n b M dM: the converged value, or by adaptive quadrature in M as published."""
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

    def _point(self, point: dict[str, float], haloes: Haloes) -> dict[str, Any]:
        """All spectra and derived numbers of one point."""
        M, weights = self._masses(point)
        dn_dlnM, b = haloes.dn_dlnM_and_bias(M)
        n = weights * dn_dlnM  # haloes per node [1/Mpc^3]
        nb = n * b
        N_c, N_s, N_cs, N_ss = self._galaxies.moments(M, point, NUMPY)
        n_g, rho_m, P_lin = n @ (N_c + N_s), haloes.rho_m, haloes.P_lin
        if not n_g**2 > 0:  # the spectra divide by it
            raise ValueError(f"no galaxies (n_g = {n_g:g} 1/Mpc^3) for {point}")

        u, extras = self._u(haloes, M), self._galaxies.extras
        c_sat = point["c_sat"] if "c_sat" in extras else 1.0
        u_s = u if c_sat == 1 else self._u(haloes, M, c_sat)  # of satellites
        u_c = central_profile(self.k, point, NUMPY) if "off_centring" in extras else 1.0
        pairs = N_ss if self._standard else (N_s - 1) * N_s
        cs_u, bs_u = np.stack([n * 2 * N_cs, nb * N_s]) @ u_s
        cm_u, bm_u, m_u = np.stack([n * N_c * M, nb * M, n * M]) @ u
        ss_uu, sm_uu, mm_uu = (n * pairs) @ u_s**2, (n * N_s * M) @ (u_s * u), (n * M**2) @ u**2

        A = self._bias_integral(haloes, float(nb @ M))
        below = (rho_m - A) * self._u(haloes, np.array([self._M_min]))[0]
        I_g = (nb @ N_c * u_c + bs_u) / n_g
        I_m = (bm_u + below) / rho_m
        I_m_of_gm = I_m if self._standard else (m_u + below) / rho_m  # no bias, as published
        one = damping(self.k, point, NUMPY) if "damping" in extras else 1.0
        return {
            "mm_1h": one * mm_uu / rho_m**2,
            "mm_2h": I_m**2 * P_lin,
            "gm_1h": one * (u_c * cm_u + sm_uu) / (n_g * rho_m),
            "gm_2h": I_g * I_m_of_gm * P_lin,
            "gg_1h": one * (u_c * cs_u + ss_uu) / n_g**2,
            "gg_2h": I_g**2 * P_lin,
            "P_lin": P_lin,
            "n_g": n_g,
            "b_eff": nb @ (N_c + N_s) / n_g,
            "f_sat": n @ N_s / n_g,
            "mean_mass": (n * M) @ (N_c + N_s) / n_g,
        }
