"""Mock measurements of galaxy clustering and galaxy-matter correlation, and their likelihood."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.posterior.chains import Target
from datagen.space import Space, complete

__all__ = [
    "COSMOLOGY",
    "FIDUCIAL",
    "FIXED",
    "OUTPUTS",
    "FreeBox",
    "Likelihood",
    "Mock",
    "Spectra",
    "Survey",
]

Array = NDArray[np.float64]
Spectra = Mapping[str, NDArray[Any]]

# a galaxy sample of 2e-4 1/Mpc^3 with a quarter of satellites, far from the edges of the box
COSMOLOGY: dict[str, float] = {
    "Om_c": 0.26, "Om_b": 0.049, "h": 0.7, "sigma_8": 0.88, "n_s": 0.96,
}  # fmt: skip
FIDUCIAL: dict[str, float] = COSMOLOGY | {
    "alpha": 0.6, "sigma": 0.4, "Mth": 1e13, "Mprime": 2e14, "beta": 1.0,
}  # fmt: skip
FIXED: dict[str, float] = {"w0": -1.0, "wa": 0.0, "z": 0.0}  # fixed in all posteriors
OUTPUTS = ("gg_total", "gm_total", "n_g")  # measured outputs


@dataclass(frozen=True)
class Survey:
    """A survey that measures P_gg and P_gm at an emulator's wavenumbers, and the galaxy density.

    With N = V k^3 dln k / (2 pi^2) modes around each wavenumber, and P_gg + 1/n_g in place of P_gg,
    independent Gaussian modes have the covariance
    ``Cov(P_ab, P_cd) = (P_ac P_bd + P_ad P_bc) / N``
    (Feldman, Kaiser & Peacock 1994, ApJ 426, 23; Smith 2009, MNRAS 400, 851).

    Attributes:
        volume: Volume V [Mpc^3].
        k_min: Smallest wavenumber [1/Mpc].
        k_max: Largest wavenumber [1/Mpc].
        floor: Fraction of each power spectrum that is added to its error in quadrature, for the
            inaccuracy of the halo model.
        density_error: Fractional error of the galaxy density.
    """

    volume: float = 1e9
    k_min: float = 0.02
    k_max: float = 3.0
    floor: float = 0.01
    density_error: float = 0.05

    def __post_init__(self) -> None:
        if not self.volume > 0 or not self.density_error > 0:
            raise ValueError(
                f"volume = {self.volume:g} and density_error = {self.density_error:g} must be "
                f"positive"
            )
        if not 0 < self.k_min < self.k_max:
            raise ValueError(
                f"k_min = {self.k_min:g} must be positive and below k_max = {self.k_max:g}"
            )
        if not self.floor >= 0:
            raise ValueError(f"floor = {self.floor:g} must not be negative")

    def rows(self, k: Array) -> NDArray[np.intp]:
        """Indices of the measured wavenumbers.

        Args:
            k: Wavenumbers [1/Mpc], shape (K,).

        Raises:
            ValueError: No wavenumber is measured.
        """
        rows = np.flatnonzero((k >= self.k_min) & (k <= self.k_max))
        if len(rows) == 0:
            raise ValueError(f"no wavenumber lies in [{self.k_min:g}, {self.k_max:g}] 1/Mpc")
        return rows

    def covariance(self, k: Array, dlnk: float, truth: Spectra) -> Array:
        """Covariance of P_gg, P_gm and n_g, in this order, shape (2 K + 1, 2 K + 1).

        Args:
            k: Wavenumbers [1/Mpc], shape (K,).
            dlnk: Spacing of the wavenumbers in ln k.
            truth: ``gg_total``, ``gm_total``, ``mm_total`` [Mpc^3], each (K,), and ``n_g``.
        """
        modes = self.volume * k**3 * dlnk / (2 * np.pi**2)
        gg, gm, mm = (truth[name] for name in ("gg_total", "gm_total", "mm_total"))
        noisy, K = gg + 1 / truth["n_g"], len(k)
        blocks = [
            [2 * noisy**2 / modes + (self.floor * gg) ** 2, 2 * noisy * gm / modes],
            [2 * noisy * gm / modes, (noisy * mm + gm**2) / modes + (self.floor * gm) ** 2],
        ]
        covariance = np.zeros((2 * K + 1, 2 * K + 1))
        covariance[:-1, :-1] = np.block([[np.diag(block) for block in row] for row in blocks])
        covariance[-1, -1] = (self.density_error * truth["n_g"]) ** 2
        return covariance


class Mock:
    """Mock measurements of a survey, drawn around the truth.

    Args:
        survey: Settings of the survey.
        k: Wavenumbers of the spectra [1/Mpc], evenly spaced in ln k, shape (K,).
        truth: True spectra of one point by name, (K,), and ``n_g``.
        seed: Seed of the noise.
    """

    def __init__(self, survey: Survey, k: Array, truth: Spectra, seed: int) -> None:
        self.rows = survey.rows(k)
        at_k = {name: P[self.rows] if np.ndim(P) else P for name, P in truth.items()}
        covariance = survey.covariance(k[self.rows], float(np.log(k[1] / k[0])), at_k)
        self._whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        noise = np.random.default_rng(seed).standard_normal(len(covariance))
        self.data = np.concatenate([at_k["gg_total"], at_k["gm_total"], [at_k["n_g"]]])
        self.data = self.data + np.linalg.solve(self._whiten, noise)

    def chi2(self, spectra: Spectra, xp: Any = np) -> Any:
        """Return chi^2 of points, shape (N,).

        Args:
            spectra: ``gg_total``, ``gm_total`` [Mpc^3], each (N, K), and ``n_g``, (N,).
            xp: Array library: numpy, or jax.numpy for arrays of JAX.
        """
        gg, gm, n_g = (xp.asarray(spectra[name], np.float64) for name in OUTPUTS)
        vector = xp.concatenate([gg[:, self.rows], gm[:, self.rows], n_g[:, None]], axis=1)
        return xp.square((vector - self.data) @ self._whiten.T).sum(axis=1)


class FreeBox:
    """The sampled parameters of an emulator's box: those that are not fixed.

    Args:
        space: The box of the emulator.
        fixed: Values of fixed parameters, by name. Parameters with a single value in the box are
            fixed, too.
        fiducial: The true point of the mock data, by name.

    Attributes:
        space: The box with these parameters fixed.
        names: Names of the F sampled parameters, in the order of the columns.
        fiducial: The true point, shape (1, P).

    Raises:
        ValueError: The true point is outside the box.
    """

    def __init__(
        self,
        space: Space,
        fixed: Mapping[str, float],
        fiducial: Mapping[str, float] = MappingProxyType(FIDUCIAL),
    ) -> None:
        point = complete({**fiducial, **fixed}, space.occupation)
        self.fiducial = space.check(np.array([[point[name] for name in space.names]]))
        held = {name: replace(space[name], low=value, high=value) for name, value in fixed.items()}
        ranges = {name: space[name] for name in space.names} | held
        self.space = Space(**ranges, occupation=space.occupation)
        self.names = self.space.free
        self._columns = [self.space.names.index(name) for name in self.names]

    def points(self, unit: Array) -> Array:
        """Return points of the box (N, P) from those of the unit cube (N, F)."""
        whole = np.zeros((len(unit), len(self.space.names)))
        whole[:, self._columns] = unit
        return self.space.from_unit(whole)

    def unit(self, theta: Array) -> Array:
        """The inverse of `points`."""
        return self.space.to_unit(theta)[:, self._columns]

    def coordinates(self, unit: Array) -> Array:
        """Return the sampled parameters at points of the unit cube, masses as log10, (N, F)."""
        points, log = self.points(unit), self.space.is_log
        points[:, log] = np.log10(points[:, log])
        return points[:, self._columns]


class Likelihood(Target):
    """Likelihood of mock data; a density on the unit cube, where the prior is flat.

    Args:
        call: Function of points (N, P) that returns spectra, with the `OUTPUTS`.
        mock: The measurements.
        box: The sampled parameters, which define the unit cube.

    Attributes:
        evaluations: Number of points evaluated so far.
        seconds: Wall time of the evaluations [s].
    """

    def __init__(self, call: Callable[[Array], Spectra], mock: Mock, box: FreeBox) -> None:
        super().__init__()
        self._call, self._mock, self._box = call, mock, box

    def ln(self, unit: Array) -> Any:
        """Return ln L at points of the unit cube (N, F), shape (N,); -inf at invalid points."""
        chi2 = self._mock.chi2(self._call(self._box.points(unit)))
        return np.where(np.isfinite(chi2), -0.5 * chi2, -np.inf)
