"""pyccl's own halo model, point by point: an independent check, and a code to compare speed with.

The definitions are those of `datagen.halomodel` (``standard``), but none of its code is used:
profiles, occupation moments, mass integrals, sigma(M) and growth are all pyccl's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyccl import halos

from datagen.ccl import camb_cosmology
from datagen.halomodel import HaloModelConfig
from datagen.space import check_theta, parameters_of

__all__ = ["MASSES_CONVERGED", "MASSES_REFERENCE", "OCCUPATION", "PycclHaloModel"]

Array = NDArray[np.float64]

OCCUPATION = "linke22"  # the occupation implemented here
MASSES_CONVERGED = 768  # errors of 1e-3 in every term for a threshold with sigma >= 0.1
MASSES_REFERENCE = 4096  # errors of 1e-4 down to sigma = 0.03


def _fit(base: Any, name: str, mass_def: Any) -> Any:
    """A fit by name, also with a mass definition other than its own (Sheth's is fof)."""
    fit = base.from_name(name)
    loose = {} if fit._mass_def_strict_always else {"mass_def_strict": False}
    return fit(mass_def=mass_def, **loose)


class _Galaxies(halos.HaloProfileHOD):
    """N_c = fc e, N_s = e (M / Mprime)^beta, with pyccl's own e as ``_Nc``."""

    def _Ns(self, M: Array, a: float) -> Any:
        return self._Nc(M, a) * super()._Ns(M, a)


class _ResolvedHaloes(halos.HMCalculator):
    """Integrals over the haloes above M_min only.

    pyccl adds to every integral a term for the haloes below M_min, as if all their mass were in
    haloes of M_min. This is right for matter on large scales, but wrong for galaxies, which do not
    live in such haloes, and it cannot be switched off.
    """

    def _integrate_over_mf(self, f: Array) -> Any:
        return self._integrator(self._mf * f, self._lmass)

    def _integrate_over_mbf(self, f: Array) -> Any:
        return self._integrator(self._mf * self._bf * f, self._lmass)


class PycclHaloModel:
    """The ``standard`` halo model computed by pyccl, with a new cosmology for every point.

    Args:
        config: Fits, mass range, wavenumbers and accuracy of CAMB, which runs for every point;
            quadrature and sigma(M) are pyccl's own.
        masses: Number of halo masses of pyccl's Simpson rule in log10 M.
    """

    def __init__(
        self, config: HaloModelConfig = HaloModelConfig(), masses: int = MASSES_CONVERGED
    ) -> None:
        if config.model != "standard":
            raise ValueError(f"pyccl has the 'standard' model only, not {config.model!r}")
        self.k = config.k.values()
        self._camb = config.camb or "converged"
        mass_def = halos.MassDef.create_instance(config.mass_def)
        calculator = {
            "mass_function": _fit(halos.MassFunc, config.mass_function, mass_def),
            "halo_bias": _fit(halos.HaloBias, config.halo_bias, mass_def),
            "mass_def": mass_def,
            "log10M_min": config.log10M_min,
            "log10M_max": config.log10M_max,
            "nM": masses,
        }
        self._all_matter = halos.HMCalculator(**calculator)
        self._resolved = _ResolvedHaloes(**calculator)
        self._profile = {
            "mass_def": mass_def,
            "concentration": halos.Concentration.from_name(config.concentration)(mass_def=mass_def),
        }
        self._nfw = halos.HaloProfileNFW(**self._profile)

    def __call__(self, theta: Array) -> dict[str, Array]:
        """Compute spectra.

        Args:
            theta: Points with columns `datagen.space.parameters_of` the `OCCUPATION`, shape (N, P).

        Returns:
            Spectra [Mpc^3] ``mm_1h``, ``mm_2h``, ``gm_1h``, ..., and ``P_lin``, each (N, K).
        """
        names, theta = parameters_of(OCCUPATION), check_theta(theta, OCCUPATION)
        rows = [self._point(dict(zip(names, row, strict=True))) for row in theta.tolist()]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _galaxies(self, p: dict[str, float]) -> halos.HaloProfileHOD:
        return _Galaxies(
            **self._profile,
            fc_0=p["alpha"],
            log10Mmin_0=np.log10(p["Mth"]),
            siglnM_0=np.sqrt(2) * p["sigma"],  # pyccl's erf has no sqrt(2)
            log10M0_0=-np.inf,  # no cut-off of the satellites other than e
            log10M1_0=np.log10(p["Mprime"]),
            alpha_0=p["beta"],
            ns_independent=True,
        )

    def _point(self, p: dict[str, float]) -> dict[str, Array]:
        cosmo, a = camb_cosmology(p, self._camb), 1.0 / (1.0 + p["z"])
        matter, galaxies = self._nfw, self._galaxies(p)
        at = (cosmo, self.k, a)
        resolved, pairs = self._resolved, halos.Profile2ptHOD()
        rho_m = matter.get_normalization(cosmo, a, hmc=resolved)
        n_g = galaxies.get_normalization(cosmo, a, hmc=resolved)
        I_m = self._all_matter.I_1_1(*at, matter) / rho_m
        I_g = resolved.I_1_1(*at, galaxies) / n_g
        P_lin = cosmo.linear_matter_power(self.k, a)
        product = halos.Profile2pt()
        mm_1h = resolved.I_0_2(*at, matter, prof_2pt=product)
        gm_1h = resolved.I_0_2(*at, galaxies, prof2=matter, prof_2pt=product)
        gg_1h = resolved.I_0_2(*at, galaxies, prof_2pt=pairs)
        return {
            "mm_1h": mm_1h / rho_m**2,
            "mm_2h": I_m**2 * P_lin,
            "gm_1h": gm_1h / (n_g * rho_m),
            "gm_2h": I_g * I_m * P_lin,
            "gg_1h": gg_1h / n_g**2,
            "gg_2h": I_g**2 * P_lin,
            "P_lin": P_lin,
        }
