"""Emulators as power spectra of pyccl, so that it projects them: angular spectra, correlations.

For example, angular clustering of galaxies at z = 0.5::

    galaxies = HaloModelPk("gg_total", alpha=0.9, sigma=0.3, Mth=1e12, Mprime=2e13, beta=1.0)
    C_ell = pyccl.angular_cl(cosmo, tracer, tracer, ell, p_of_k_a=galaxies.get_pk2d(cosmo))
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyccl
from numpy.typing import NDArray

from export.redshifts import Redshifts
from export.runtime import OnnxEmulator

__all__ = ["HaloModelPk"]

Array = NDArray[np.float64]

_K = np.geomspace(1e-4, 1e2, 400)  # below the emulators' 1e-2 1/Mpc, linear theory
_SPLINE = 4  # nodes in a that pyccl's spline needs
_COSMOLOGY = {"Om_c": "Omega_c", "Om_b": "Omega_b", "h": "h", "n_s": "n_s"}
_TRAINED = {"Omega_k": 0.0, "m_nu": 0.0, "w0": -1.0, "wa": 0.0}  # flat LCDM


class HaloModelPk(pyccl.EmulatorPk):
    """A spectrum of the halo model with its occupation held fixed, at any flat LCDM cosmology.

    Args:
        output: Name of the spectrum: ``gg_total``, ``gm_1h``, ``P_lin``, ...
        emulators: Files or names, of several redshifts; by default the shipped ``standard`` and
            its likes. Between them P(k, a) is interpolated by pyccl, at higher redshifts it is
            continued by pyccl with linear growth.
        occupation: ``alpha``, ``sigma``, ``Mth``, ``Mprime`` [Msun], ``beta``.

    Raises:
        ValueError: A parameter of the occupation that is missing, or an output there is not.
    """

    def __init__(
        self,
        output: str,
        emulators: Sequence[str | Path | OnnxEmulator] = (),
        **occupation: float,
    ) -> None:
        self.redshifts = Redshifts(emulators)
        self.output, self.occupation = output, occupation
        expected = [n for n in self.redshifts.names if n not in (*_COSMOLOGY, "sigma_8")]
        if sorted(occupation) != sorted(expected):
            raise ValueError(
                f"occupation has {', '.join(occupation) or 'nothing'}; expected "
                f"{', '.join(expected)}"
            )
        if output not in self.redshifts.emulators[0].outputs:
            known = ", ".join(self.redshifts.emulators[0].outputs)
            raise ValueError(f"no output {output}; there are {known}")

    def _point(self, cosmo: pyccl.Cosmology) -> dict[str, float]:
        for name, value in _TRAINED.items():
            if not np.allclose(np.sum(cosmo[name]), value, atol=1e-12):
                raise ValueError(
                    f"{name} = {cosmo[name]}: the emulators know flat LCDM without massive "
                    f"neutrinos, {name} = {value:g}"
                )
        point = {ours: float(cosmo[theirs]) for ours, theirs in _COSMOLOGY.items()}
        # pyccl needs its own linear power if the amplitude was given as A_s
        sigma_8 = cosmo["sigma8"] if np.isfinite(cosmo["sigma8"]) else cosmo.sigma8()
        return {**point, "sigma_8": float(sigma_8), **self.occupation}

    def _get_pk_at_a(self, cosmo: pyccl.Cosmology, a: Any) -> tuple[Array, Any]:
        """Wavenumbers [1/Mpc] and the spectrum [Mpc^3] at scale factors of the emulators."""
        z = 1 / np.atleast_1d(a) - 1
        near = [int(np.argmin(np.abs(self.redshifts.z - one))) for one in z]
        if not np.allclose(self.redshifts.z[near], z, atol=1e-9):
            raise ValueError(f"a = {a} is not of an emulator, which are at z = {self.redshifts.z}")
        Pk = self.redshifts(self._point(cosmo), self.output, _K)[self.output][near]
        return _K, Pk[0] if np.ndim(a) == 0 else Pk

    def _get_pk2d(self, cosmo: pyccl.Cosmology) -> pyccl.Pk2D:
        if len(self.redshifts.z) < _SPLINE:
            raise ValueError(
                f"pyccl interpolates between {_SPLINE} redshifts or more, the emulators have "
                f"{len(self.redshifts.z)}; make files at others, or use get_pk_at_a"
            )
        a = 1 / (1 + self.redshifts.z)[::-1]  # ascending
        _, Pk = self._get_pk_at_a(cosmo, a)
        return pyccl.Pk2D(a_arr=a, lk_arr=np.log(_K), pk_arr=np.log(Pk), is_logp=True)
