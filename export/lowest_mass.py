"""Warnings about galaxies in haloes below the lowest mass of the halo model."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.populations import Population, Populations, Thresholds
from export.ranges import warn_of

__all__ = ["FAR", "SHARE", "SLOPE", "BelowLowestMassWarning", "LowestMass"]

SLOPE = 0.9  # a in dn/dlnM ~ M^-a of small haloes
SHARE = 0.1  # fraction of missing central galaxies above which to warn
FAR = 2.4  # widths from M_min, beyond the shift by the slope, where less than 1 % is missing

_TRIED = 4096  # number of test points in the ranges
_NOWHERE = math.inf, 0.0
_NARROWEST = 1e-9  # threshold; a step is as narrow
_ROOT_2 = math.sqrt(2)


class BelowLowestMassWarning(UserWarning):
    """Galaxies below the lowest halo mass are missing in n_g and in the spectra."""


class LowestMass:
    """The lowest halo mass of an emulator, and the galaxies that it leaves out.

    Args:
        names: Names of the emulator's parameters, in the order of columns.
        M_min: Lowest halo mass [Msun]; 0 switches warnings off.
        populations: The galaxies.
        low: Lower ends of the ranges, shape (P,).
        high: Upper ends of the ranges, shape (P,).
    """

    def __init__(
        self,
        names: Sequence[str],
        M_min: float,
        populations: Populations,
        low: NDArray[Any],
        high: NDArray[Any],
    ) -> None:
        self.M_min, self._names = M_min, tuple(names)
        rng = np.random.default_rng(0)
        inside = low + (high - low) * rng.random((_TRIED, len(low)))
        tried = np.where(rng.random(inside.shape) < 0.5, inside, low)
        tried = np.concatenate([tried, [low], np.where(rng.random(inside.shape) < 0.5, low, high)])
        self._threshold = Thresholds(names, populations)
        self._near = [one for one in populations.each if self._tells(one, tried)]

    def _tells(self, one: Population, tried: NDArray[np.float64]) -> bool:
        """Whether any test point reaches the lowest mass."""
        threshold = self._threshold(one, tried.T)
        return threshold is not None and bool(np.any(self._reaches(*threshold)))

    def _reaches(self, M_th: Any, sigma: Any) -> Any:
        """Whether the transition of centrals reaches the lowest mass."""
        return M_th < self.M_min * np.exp(sigma * (FAR + SLOPE * sigma))

    def is_near(self, point: Sequence[float]) -> bool:
        """Whether a point may need a warning; a fast check."""
        for one in self._near:
            M_th, sigma = self._threshold(one, point) or _NOWHERE
            reaches = M_th < self.M_min * math.exp(sigma * (FAR + SLOPE * sigma))
            if reaches and _missing(M_th / self.M_min, sigma) > SHARE:
                return True
        return False

    def share(self, one: Population, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Fraction of the central galaxies in haloes below the lowest mass, shape (N,).

        It is 0 where there are no centrals.

        Args:
            one: The population.
            x: Points, physical units, shape (N, P).
        """
        columns = x.astype(np.float64).T
        M_th, sigma = self._threshold(one, columns) or (np.full(len(x), np.inf), np.ones(len(x)))
        centrals = one.moments(M_th, dict(zip(self._names, columns, strict=True))).centrals
        share = np.asarray(_all_missing(M_th / self.M_min, sigma), np.float64)
        return np.where(centrals > 0, share, 0.0)

    def warn(self, x: NDArray[np.float32]) -> None:
        """Warn of points where more than a tenth of the central galaxies are missing.

        Args:
            x: Points, physical units, shape (N, P).
        """
        for one in self._near:
            threshold = self._threshold(one, x.astype(np.float64).T)
            near = np.flatnonzero(self._reaches(*threshold)) if threshold else np.empty(0, np.intp)
            if not len(near):
                continue
            share = self.share(one, x[near])
            bad = np.flatnonzero(share > SHARE)
            if len(bad):
                warn_of(
                    near[bad],
                    f"{100 * share[bad[0]]:.0f} % of the central galaxies would live below the "
                    f"lowest halo mass of this halo model, {self.M_min:g} Msun, and are missing in "
                    f"n_g and in the spectra",
                    "raise the threshold or narrow it",
                    BelowLowestMassWarning,
                    stacklevel=4,  # past `OnnxEmulator.__call__`, to the caller
                )


def _missing(threshold: float, sigma: float) -> float:
    """Fraction of the centrals in haloes below a lowest mass M_min.

    For ``e(M) = [1 + erf(ln(M / Mth) / (sqrt(2) sigma))] / 2`` and small haloes with
    dn/dlnM ~ M^-a, it is ``Phi(g / sigma + a sigma) - Phi(g / sigma) exp(-a g - a^2 sigma^2 / 2)``
    with ``g = ln(M_min / Mth)``.

    Args:
        threshold: Mth / M_min.
        sigma: Width in ln M.
    """
    if threshold == math.inf:
        return 0.0
    g, sigma = -math.log(threshold), max(sigma, _NARROWEST)
    below = _normal(g / sigma) * math.exp(-SLOPE * g - 0.5 * (SLOPE * sigma) ** 2)
    return _normal(g / sigma + SLOPE * sigma) - below


def _normal(t: float) -> float:
    """The cumulative normal distribution."""
    return 0.5 + 0.5 * math.erf(t / _ROOT_2)


_all_missing = np.frompyfunc(_missing, 2, 1)
