"""Emulators as power spectra of pyccl, so that it projects them: angular spectra, correlations.

For example, angular clustering of galaxies at z = 0.5::

    galaxies = HaloModelPk("gg_total", alpha=0.9, sigma=0.3, Mth=1e12, Mprime=2e13, beta=1.0)
    C_ell = pyccl.angular_cl(cosmo, tracer, tracer, ell, p_of_k_a=galaxies.get_pk2d(cosmo))

Units are pyccl's, without h: k in 1/Mpc, spectra in Mpc^3, masses in Msun.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyccl
from numpy.typing import ArrayLike, NDArray

from datagen.ccl import KEYS
from export.adapters.pyccl_physics import cosmology_of
from export.redshifts import Redshifts
from export.runtime import OnnxEmulator

__all__ = ["HaloModelPk"]

Array = NDArray[np.float64]

_K_MIN, _K_POINTS = 1e-4, 400  # below the emulators' k, linear theory
_SPLINE = 4  # nodes in a that pyccl's spline needs
_NO_GROWTH, _GROWTH = 404, 401  # pyccl's flags of what happens beyond the last redshift


class HaloModelPk(pyccl.EmulatorPk):
    """A spectrum of the halo model with its occupation held fixed, at any flat LCDM cosmology.

    A cosmology of other physics than that is refused by name: all that defines a pyccl cosmology
    is compared with one that is made as for the labels.

    Args:
        output: Name of the spectrum: ``gg_total``, ``gm_1h``, ``P_lin``, ...
        emulators: One or several files or names, of several redshifts; by default the shipped
            ``standard`` and its likes. Between them P(k, a) is pyccl's spline. Half-way, at 60
            random points of their box and k from 1e-3 to 50 1/Mpc, 95 % (99 %) of the errors are
            below 0.7 % (1.4 %) in ``gg_total``, 0.5 % (0.7 %) in ``gm_total`` and ``mm_total``; for
            k from 1e-4 to 1e-3 1/Mpc, below 1.5 % (1.8 %) in all of them.
        extrapolate: Whether the Pk2D may be asked for k and z beyond the emulators, where pyccl
            goes on with straight lines in ln k and with linear growth. Otherwise a call is an
            error that names them, and a projection ends in pyccl's "integration error" where it
            reaches higher redshifts; of k, projections always take more than there is.
        occupation: ``alpha``, ``sigma``, ``Mth`` [Msun], ``Mprime`` [Msun], ``beta``.

    Raises:
        ValueError: A parameter of the occupation that is missing, or a spectrum there is not.
    """

    def __init__(
        self,
        output: str,
        emulators: str | Path | OnnxEmulator | Sequence[str | Path | OnnxEmulator] = (),
        *,
        extrapolate: bool = False,
        **occupation: float,
    ) -> None:
        self.redshifts = Redshifts(emulators)
        self.output, self.extrapolate, self.occupation = output, extrapolate, dict(occupation)
        expected = [n for n in self.redshifts.names if n not in KEYS]
        if sorted(occupation) != sorted(expected):
            raise ValueError(
                f"occupation has {', '.join(occupation) or 'nothing'}; expected "
                f"{', '.join(expected)}"
            )
        if several := [name for name, value in occupation.items() if np.ndim(value)]:
            raise ValueError(
                f"{several[0]} = {occupation[several[0]]} must be one number; make a HaloModelPk "
                f"for each occupation"
            )
        spectra = [name for name, unit in self.redshifts.units.items() if unit == "Mpc^3"]
        if output not in spectra:
            number = output in self.redshifts.units
            what = f"{output} is a number, no spectrum" if number else f"no output {output}"
            raise ValueError(f"{what}; there are {', '.join(spectra)}")
        k_max = min(emulator.k[-1] for emulator in self.redshifts.emulators)
        self._k = np.geomspace(_K_MIN, k_max, _K_POINTS)

    def _get_pk_at_a(self, cosmo: pyccl.Cosmology, a: Any) -> tuple[Array, Array]:
        """Wavenumbers [1/Mpc] and the spectrum [Mpc^3] at scale factors of the emulators."""
        scale = np.atleast_1d(np.asarray(a, np.float64))
        if not ((scale > 0) & (scale <= 1)).all():
            raise ValueError(f"a = {a} must be above 0 and at most 1")
        z = 1 / scale - 1
        near = [int(np.argmin(np.abs(self.redshifts.z - one))) for one in z]
        if not np.allclose(self.redshifts.z[near], z, atol=1e-9):
            raise ValueError(f"a = {a} is not of an emulator, which are at z = {self.redshifts.z}")
        Pk = self._at_redshifts(cosmo)[near]
        return self._k.copy(), Pk[0] if np.ndim(a) == 0 else Pk

    def _get_pk2d(self, cosmo: pyccl.Cosmology) -> pyccl.Pk2D:
        if len(self.redshifts.z) < _SPLINE:
            raise ValueError(
                f"pyccl interpolates between {_SPLINE} redshifts or more, the emulators have "
                f"{len(self.redshifts.z)}; make files at others, or use get_pk_at_a"
            )
        Pk = self._at_redshifts(cosmo)[::-1]  # ascending in a
        positive = bool((Pk > 0).all())  # the 1-halo term of g3lhalo may not be
        cosmo.compute_growth()  # a projection beyond the redshifts takes it
        return _Spectrum(
            cosmo,
            self.extrapolate,
            a_arr=1 / (1 + self.redshifts.z)[::-1],
            lk_arr=np.log(self._k),
            pk_arr=np.log(Pk) if positive else Pk,
            is_logp=positive,
        )

    def _at_redshifts(self, cosmo: pyccl.Cosmology) -> Array:
        """The spectrum [Mpc^3] at all redshifts, shape (Z, K)."""
        point = cosmology_of(cosmo, self.redshifts.names, HaloModelPk) | self.occupation
        return self.redshifts(point, self.output, self._k)[self.output]


class _Spectrum(pyccl.Pk2D):
    """A Pk2D that names k and z that it does not have.

    Args:
        cosmo: The cosmology of the spectrum, with its growth.
        extrapolate: Whether it goes on there as others do.
        arrays: Of `pyccl.Pk2D`.
    """

    def __init__(self, cosmo: pyccl.Cosmology, extrapolate: bool, **arrays: Any) -> None:
        super().__init__(**arrays)
        self._cosmo, self._extrapolate = cosmo, extrapolate
        self._k = np.exp(arrays["lk_arr"][[0, -1]])  # [1/Mpc]
        self._a = arrays["a_arr"][0]
        self.psp.extrap_linear_growth = _GROWTH if extrapolate else _NO_GROWTH

    def __call__(
        self,
        k: ArrayLike,
        a: ArrayLike,
        cosmo: pyccl.Cosmology | None = None,
        *,
        derivative: bool = False,
    ) -> Any:
        """The spectrum [Mpc^3] at k [1/Mpc] and a.

        Raises:
            ValueError: Beyond the emulators, unless `extrapolate` was set.
        """
        if not self._extrapolate:
            _within("k", k, self._k[0], self._k[1], "1/Mpc")
            _within("a", a, self._a, 1.0, f"(z up to {1 / self._a - 1:g})")
        values = super().__call__(
            k, a, self._cosmo if cosmo is None else cosmo, derivative=derivative
        )
        self.psp.extrap_linear_growth = _GROWTH if self._extrapolate else _NO_GROWTH
        return values


def _within(name: str, values: ArrayLike, low: float, high: float, unit: str) -> None:
    array = np.atleast_1d(np.asarray(values, np.float64))
    bad = ~((array >= low * (1 - 1e-9)) & (array <= high * (1 + 1e-9)))
    if bad.any():
        raise ValueError(
            f"{name} = {array[np.argmax(bad)]:g} is outside [{low:.4g}, {high:.4g}] {unit}, where "
            f"the emulators are; HaloModelPk(..., extrapolate=True) goes on as pyccl does"
        )
