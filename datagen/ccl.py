"""Interface to pyccl: cosmology, CAMB's linear power, and fits for haloes.

Only this module of the package imports pyccl.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyccl
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from datagen.boltzmann import converged_power
from datagen.ingredients import KINDS, check_fit, check_partners

__all__ = [
    "KEYS",
    "Background",
    "Fits",
    "Tabulated",
    "camb_cosmology",
    "camb_power",
    "ishiyama21",
    "matter_density",
    "radiation_density",
]

Array = NDArray[np.float64]

# pyccl's names of the cosmological inputs
KEYS = {
    "Om_c": "Omega_c", "Om_b": "Omega_b", "h": "h", "sigma_8": "sigma8", "n_s": "n_s",
    "w0": "w0", "wa": "wa",
}  # fmt: skip
# grid of the converged power; pyccl interpolates to 2e-6
_SCALE_FACTORS, _WAVENUMBERS = np.linspace(1 / 11, 1.0, 41), np.geomspace(5e-5, 1e3, 1200)
# range of ln c of Ishiyama21; Newton's steps begin at the upper end
_LN_C, _NEWTON_STEPS = (np.log(0.05), np.log(1e3)), 25
_BASES = {
    "mass_function": pyccl.halos.MassFunc,
    "halo_bias": pyccl.halos.HaloBias,
    "concentration": pyccl.halos.Concentration,
}
_ANY = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96}  # arbitrary cosmology


def _arguments(cosmology: dict[str, float]) -> dict[str, Any]:
    """Cosmological parameters of a point, by pyccl's names."""
    return {KEYS[name]: value for name, value in cosmology.items() if name in KEYS}


def camb_cosmology(cosmology: dict[str, float], camb: str = "pyccl") -> Any:
    """Return a pyccl cosmology with CAMB's linear power.

    Args:
        cosmology: `datagen.space.COSMOLOGY` by name.
        camb: ``converged``, up to z = 10, or ``pyccl``: pyccl's defaults, CAMB up to 10 1/Mpc with
            the accuracy of CAMB before version 2, continued as a parabola of ln P in ln k. Dark
            energy with wa that crosses w = -1 is ``ppf``, as pyccl requires.
    """
    arguments: dict[str, Any] = _arguments(cosmology)
    if camb == "pyccl":
        w0, wa = cosmology.get("w0", -1.0), cosmology.get("wa", 0.0)
        if wa and min(w0, w0 + wa) < -1:
            arguments["extra_parameters"] = {"camb": {"dark_energy_model": "ppf"}}
        return pyccl.Cosmology(**arguments)
    power = converged_power(cosmology, _WAVENUMBERS, 1 / _SCALE_FACTORS - 1)
    named = {"a": _SCALE_FACTORS, "k": _WAVENUMBERS, "delta_matter:delta_matter": power}
    return pyccl.CosmologyCalculator(**arguments, pk_linear=named)


def camb_power(cosmology: dict[str, float], k: Array, z: float = 0.0, camb: str = "pyccl") -> Array:
    """Return CAMB's linear matter power [Mpc^3] at k [1/Mpc], shape (K,); see `camb_cosmology`."""
    if camb == "converged":
        return converged_power(cosmology, k, [z])[0]
    power: Array = camb_cosmology(cosmology).linear_matter_power(k, 1.0 / (1.0 + z))
    return power


def matter_density(Om_m: Array | float, h: Array | float) -> Any:
    """Comoving mean matter density [Msun / Mpc^3], rho_crit Om_m h^2."""
    return pyccl.physical_constants.RHO_CRITICAL * Om_m * h**2


@lru_cache
def radiation_density() -> float:
    """Omega_r h^2 of photons and massless neutrinos, at pyccl's default temperatures."""
    cosmo = Background(_ANY).cosmo
    parts = (cosmo.omega_x(1.0, species) for species in ("radiation", "neutrinos_rel"))
    return float(sum(parts)) * _ANY["h"] ** 2


class Background:
    """A pyccl cosmology without a power spectrum, for radii and most concentrations."""

    def __init__(self, cosmology: dict[str, float]) -> None:
        self.cosmo = pyccl.CosmologyCalculator(**_arguments(cosmology))


class Tabulated:
    """A pyccl cosmology with tabulated sigma(M) and linear power at one redshift.

    It has the methods that pyccl's fits for haloes call: sigma(M), its slope, and that of P_lin.

    Args:
        cosmology: Cosmology by name.
        ln_sigma: ln sigma at z = 0 over ln R [ln Mpc].
        ln_P: ln P_lin at z = 0 [ln Mpc^3] over ln k [ln 1/Mpc].
        growth: Linear growth factor D(z) / D(0).
    """

    def __init__(
        self, cosmology: dict[str, float], ln_sigma: PPoly, ln_P: PPoly, growth: float
    ) -> None:
        self._background = Background(cosmology).cosmo
        self._ln_sigma, self._ln_P, self._growth = ln_sigma, ln_P, growth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._background, name)

    def __getitem__(self, name: str) -> Any:
        return self._background[name]

    def growth_factor(self, a: float) -> float:
        """D(z) / D(0) at the redshift of the table; a is ignored."""
        return self._growth

    def sigmaM(self, M: Array, a: float) -> Array:
        """RMS density on the scale of masses M [Msun]."""
        ln_R = np.log(self._background.mass2radius_lagrangian(M))
        result: Array = np.exp(self._ln_sigma(ln_R)) * self._growth
        return result

    def sigma_slope(self, M: Array) -> Array:
        """Dln sigma / dln R on the scale of masses M [Msun], constant beyond the table."""
        ln_R = np.log(self._background.mass2radius_lagrangian(M))
        result: Array = self._ln_sigma(np.clip(ln_R, *self._ln_sigma.x[[0, -1]]), 1)
        return result

    def compute_linear_power(self) -> None:
        """Do nothing: the power is tabulated."""

    def get_linear_power(self) -> Any:
        """Return a function for dln P_lin / dln k at k [1/Mpc], with pyccl's arguments."""
        return lambda k, a, derivative: self._ln_P(np.log(k), int(derivative))


def ishiyama21(fit: Any, cosmo: Tabulated, M: Array, a: float) -> Array:
    """Concentrations of pyccl's relation for all masses at once; pyccl inverts G(c) one by one.

    Args:
        fit: Concentration object of pyccl.
        cosmo: Cosmology.
        M: Halo masses [Msun], shape (M,).
        a: Scale factor.
    """
    nu = pyccl.halos.get_delta_c(cosmo, a, "EdS_approx") / cosmo.sigmaM(M, a)
    n = -2 * cosmo.sigma_slope(M * fit.kappa**3) - 3
    A, B = fit.a0 * (1 + fit.a1 * (n + 3)), fit.b0 * (1 + fit.b1 * (n + 3))
    ln_G, power = np.log(A / nu * (1 + nu**2 / B)), (5 + n) / 6
    # ln c - (5 + n) / 6 ln[ln(1 + c) - c / (1 + c)] = ln G is convex in ln c: Newton's steps from
    # above converge to the larger root
    ln_c = np.full_like(M, _LN_C[1])
    for _ in range(_NEWTON_STEPS):
        c = np.exp(ln_c)
        f = np.log1p(c) - c / (1 + c)
        slope = 1 - power * c**2 / ((1 + c) ** 2 * f)
        ln_c = np.clip(ln_c - (ln_c - power * np.log(f) - ln_G) / slope, *_LN_C)
    return (1 - fit.c_alpha * (1 - cosmo.growth_rate(a))) * np.exp(ln_c)


@dataclass(frozen=True)
class Fits:
    """Mass function, halo bias and concentration of pyccl, by name.

    Attributes:
        mass_function: Name after ``MassFunc``, for example ``Sheth99``.
        halo_bias: Name after ``HaloBias``, for example ``Sheth01``.
        concentration: Name after ``Concentration``, for example ``Duffy08``.
        mass_def: Mass definition of all three, for example ``200m``; empty for each fit's own
            default, as in the published code.

    Raises:
        ValueError: A name is unknown, or the fits do not go together.
    """

    mass_function: str
    halo_bias: str
    concentration: str
    mass_def: str

    def __post_init__(self) -> None:
        for kind, known in KINDS.items():
            check_fit(kind, getattr(self, kind), self.mass_def, known)
        check_partners(self.mass_function, self.halo_bias)
        for kind, base in _BASES.items():
            fit = base.from_name(getattr(self, kind))
            options: dict[str, Any] = {"mass_def": self.mass_def} if self.mass_def else {}
            if self.mass_def and not fit._mass_def_strict_always:
                options["mass_def_strict"] = False  # `check_fit` decides
            object.__setattr__(self, f"_{kind}", fit(**options))

    def radius_of(self, cosmo: Any, M: Array, a: float) -> Array:
        """Comoving halo radius [Mpc] of masses M [Msun], in the mass definition of the fits."""
        fit: Any = self._concentration  # type: ignore[attr-defined]
        radius: Array = fit.mass_def.get_radius(cosmo, M, a) / a
        return radius

    def concentration_of(self, cosmo: Any, M: Array, a: float) -> Array:
        """Concentration of masses M [Msun]."""
        fit: Any = self._concentration  # type: ignore[attr-defined]
        if isinstance(cosmo, Tabulated) and self.concentration == "Ishiyama21":
            return ishiyama21(fit, cosmo, M, a)
        values: Array = fit(cosmo, M, a)
        return values

    def dn_dlnM_and_bias(self, cosmo: Any, M: Array, a: float) -> tuple[Array, Array]:
        """Mass function dn/dlnM [1/Mpc^3] and bias, with pyccl's own sigma(M)."""
        mass_function: Any = self._mass_function  # type: ignore[attr-defined]
        halo_bias: Any = self._halo_bias  # type: ignore[attr-defined]
        return mass_function(cosmo, M, a) / np.log(10), halo_bias(cosmo, M, a)

    def dn_dlnM_and_bias_of_sigma(
        self, cosmo: Any, M: Array, a: float, sigma: Array, slope: Array, rho_m: float
    ) -> tuple[Array, Array]:
        """Mass function dn/dlnM [1/Mpc^3] and bias for a given sigma(M).

        ``dn/dlnM = f(sigma) (rho_m / M) |dln sigma / dlnM|``.

        Args:
            cosmo: pyccl cosmology.
            M: Halo masses [Msun], shape (M,).
            a: Scale factor.
            sigma: RMS density on the scale of M, shape (M,).
            slope: dln sigma / dlnM, shape (M,).
            rho_m: Comoving mean matter density [Msun / Mpc^3].
        """
        mass_function: Any = self._mass_function  # type: ignore[attr-defined]
        halo_bias: Any = self._halo_bias  # type: ignore[attr-defined]
        f = mass_function._get_fsigma(cosmo, sigma, a, np.log(M))
        return f * rho_m / M * np.abs(slope), halo_bias._get_bsigma(cosmo, sigma, a)
