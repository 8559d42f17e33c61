"""What is taken from pyccl: cosmology, CAMB's linear power, and the fits for haloes.

The only file of the library that imports pyccl.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyccl
from numpy.typing import NDArray

__all__ = [
    "KEYS",
    "Background",
    "Fits",
    "camb_cosmology",
    "camb_power",
    "matter_density",
    "radiation_density",
]

Array = NDArray[np.float64]

# pyccl's names of the cosmological inputs
KEYS = {
    "Om_c": "Omega_c", "Om_b": "Omega_b", "h": "h", "sigma_8": "sigma8", "n_s": "n_s",
    "w0": "w0", "wa": "wa",
}  # fmt: skip
_ANY = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96}  # where any will do


def _arguments(cosmology: dict[str, float]) -> dict[str, float]:
    """Of all parameters of a point, those of its cosmology, by pyccl's names."""
    return {KEYS[name]: value for name, value in cosmology.items() if name in KEYS}


def camb_cosmology(cosmology: dict[str, float]) -> Any:
    """A pyccl cosmology with CAMB's linear power (pyccl's defaults: CAMB up to 10 1/Mpc).

    Beyond 10 1/Mpc pyccl continues ln P as a parabola in ln k.

    Args:
        cosmology: `datagen.space.COSMOLOGY` by name.
    """
    return pyccl.Cosmology(**_arguments(cosmology))


def camb_power(cosmology: dict[str, float], k: Array, z: float = 0.0) -> Array:
    """CAMB's linear matter power [Mpc^3] at k [1/Mpc], shape of k."""
    power: Array = camb_cosmology(cosmology).linear_matter_power(k, 1.0 / (1.0 + z))
    return power


def matter_density(Om_m: Array | float, h: Array | float) -> Any:
    """Comoving mean matter density [Msun / Mpc^3], rho_crit Om_m h^2."""
    return pyccl.physical_constants.RHO_CRITICAL * Om_m * h**2


@lru_cache
def radiation_density() -> float:
    """Omega_r h^2 of photons and massless neutrinos, of pyccl's default temperatures."""
    cosmo = Background(_ANY).cosmo
    parts = (cosmo.omega_x(1.0, species) for species in ("radiation", "neutrinos_rel"))
    return float(sum(parts)) * _ANY["h"] ** 2


class Background:
    """A pyccl cosmology without a power spectrum, for what needs none: c(M), radii."""

    def __init__(self, cosmology: dict[str, float]) -> None:
        self.cosmo = pyccl.CosmologyCalculator(**_arguments(cosmology))


@dataclass(frozen=True)
class Fits:
    """The three fits for haloes, as pyccl's classes, by pyccl's names.

    Attributes:
        mass_function: Name after ``MassFunc``, for example ``Sheth99``.
        halo_bias: Name after ``HaloBias``, for example ``Sheth01``.
        concentration: Name after ``Concentration``, for example ``Duffy08``.
        mass_def: Mass definition handed to all three, for example ``200m``; empty leaves each
            fit at its own default, as the published code did.
    """

    mass_function: str
    halo_bias: str
    concentration: str
    mass_def: str

    def __post_init__(self) -> None:
        kinds = {
            "mass_function": pyccl.halos.MassFunc,
            "halo_bias": pyccl.halos.HaloBias,
            "concentration": pyccl.halos.Concentration,
        }
        for field, base in kinds.items():
            object.__setattr__(self, f"_{field}", self._build(field, base))

    def _build(self, field: str, base: Any) -> Any:
        """The fit that a field names, or an error that says why it cannot be used."""
        name = getattr(self, field)
        known = {
            fit.name: fit
            for fit in base.__subclasses__()
            # emulated mass functions know no f(sigma)
            if base is not pyccl.halos.MassFunc or "_get_fsigma" in vars(fit)
        }
        if name not in known:
            raise ValueError(f"{field} = {name!r} must be one of {', '.join(sorted(known))}")
        options: dict[str, Any] = {"mass_def": self.mass_def} if self.mass_def else {}
        if self.mass_def and not known[name]._mass_def_strict_always:
            options["mass_def_strict"] = False
        try:
            return known[name](**options)
        except ValueError as error:  # a concentration for other masses
            raise ValueError(f"{field} = {name!r}: {error}") from None

    def concentration_needs_power(self) -> bool:
        """Whether the concentration asks the cosmology for a power spectrum."""
        try:
            self.concentration_of(Background(_ANY).cosmo, np.array([1e13]), 1.0)
        except KeyError:  # pyccl's way to say that there is none
            return True
        return False

    def radius_of(self, cosmo: Any, M: Array, a: float) -> Array:
        """Comoving halo radius [Mpc] of masses M [Msun] in this mass definition."""
        fit: Any = self._concentration  # type: ignore[attr-defined]
        radius: Array = fit.mass_def.get_radius(cosmo, M, a) / a
        return radius

    def concentration_of(self, cosmo: Any, M: Array, a: float) -> Array:
        """Concentration of masses M [Msun]."""
        fit: Any = self._concentration  # type: ignore[attr-defined]
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
        """Mass function dn/dlnM [1/Mpc^3] and bias for a sigma(M) computed elsewhere.

        ``dn/dlnM = f(sigma) (rho_m / M) |dln sigma / dlnM|``.

        Args:
            cosmo: pyccl cosmology; fits that ask it for a power spectrum are refused.
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
