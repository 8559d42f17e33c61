"""A warning where galaxies would live in haloes that the halo model leaves out."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.populations import Population, Populations

__all__ = ["FAR", "SHARE", "SLOPE", "BelowLowestMassWarning", "LowestMass"]

SLOPE = 0.9  # of small haloes: dn/dlnM ~ M^-0.9
SHARE = 0.1  # of the central galaxies that may be missing without a word
FAR = 2.4  # e^2 widths: so many, and the slope's shift, and less than a hundredth is missing

_TRIED = 4096  # points of the ranges
_NOWHERE = math.inf, 0.0

_erf = np.frompyfunc(math.erf, 1, 1)


class BelowLowestMassWarning(UserWarning):
    """Galaxies below the lowest halo mass are missing in n_g and in the spectra."""


class LowestMass:
    """The lowest halo mass of an emulator's halo model.

    Args:
        names: The emulator's parameters, in the order of columns.
        M_min: The lowest halo mass [Msun]; 0 if there is nothing to warn of.
        populations: Whose galaxies it predicts.
        low: Smallest values of the parameters, shape (P,).
        high: Largest values.
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
        places = {name: i for i, name in enumerate(names)}
        self._places = {
            one.prefix: {p.name: places[n] for n, p in one.parameters.items()}
            for one in populations.each
        }
        self._near = [one for one in populations.each if self._tells(one, tried)]

    def _tells(self, one: Population, tried: NDArray[np.float64]) -> bool:
        """Whether there is something to tell of a population anywhere."""
        threshold = self._threshold(one, tried.T)
        return threshold is not None and bool(np.any(self._reaches(*threshold)))

    def _threshold(self, one: Population, columns: Any) -> tuple[Any, Any] | None:
        """Threshold mass [Msun] and width in ln M of a population."""
        places = self._places[one.prefix].items()
        return one.occupation.threshold({name: columns[i] for name, i in places})

    def _reaches(self, M_th: Any, sigma: Any) -> Any:
        """Whether a threshold reaches down to the lowest mass."""
        return M_th < self.M_min * np.exp(sigma * (FAR + SLOPE * sigma))

    def is_near(self, point: Sequence[float]) -> bool:
        """Whether a point could be one to warn of; told in no time."""
        for one in self._near:
            M_th, sigma = self._threshold(one, point) or _NOWHERE
            if M_th < self.M_min * math.exp(sigma * (FAR + SLOPE * sigma)):
                return True
        return False

    def share(self, one: Population, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Share of the central galaxies that live in smaller haloes, shape (N,).

        Of a threshold ``e(M) = [1 + erf(ln(M / Mth) / (sqrt(2) sigma))] / 2`` and small haloes,
        dn/dlnM ~ M^-a, it is ``Phi(g / sigma + a sigma) - Phi(g / sigma) exp(-a g - a^2 sigma^2
        / 2)`` with ``g = ln(M_min / Mth)``; none where there are no centrals.

        Args:
            one: Whose.
            x: Points, physical units, shape (N, P).
        """
        columns = x.astype(np.float64).T
        M_th, sigma = self._threshold(one, columns) or (np.full(len(x), np.inf), np.ones(len(x)))
        g = np.log(self.M_min / M_th)
        below = _normal(g / sigma) * np.exp(-SLOPE * g - 0.5 * (SLOPE * sigma) ** 2)
        centrals = one.moments(M_th, dict(zip(self._names, columns, strict=True))).centrals
        return np.where(centrals > 0, _normal(g / sigma + SLOPE * sigma) - below, 0.0)

    def warn(self, x: NDArray[np.float32]) -> None:
        """Warn of points where more than a tenth of the central galaxies are missing.

        Args:
            x: Points, physical units, shape (N, P).
        """
        for one in self._near:
            threshold = self._threshold(one, x.astype(np.float64).T)
            near = np.flatnonzero(self._reaches(*threshold)) if threshold else ()
            if not len(near):
                continue
            share = self.share(one, x[near])
            bad = np.flatnonzero(share > SHARE)
            if len(bad):
                more = f", and in {len(bad) - 1} more rows" if len(bad) > 1 else ""
                warnings.warn(
                    f"row {near[bad[0]]}: {100 * share[bad[0]]:.0f} % of the central galaxies "
                    f"would live below the lowest halo mass of this halo model, {self.M_min:g} "
                    f"Msun, and are missing in n_g and in the spectra{more}; raise the threshold "
                    f"or narrow it",
                    BelowLowestMassWarning,
                    stacklevel=4,  # through `OnnxEmulator.__call__`, to who called it
                )


def _normal(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cumulative normal distribution."""
    erf: NDArray[np.float64] = np.asarray(_erf(t / math.sqrt(2)), np.float64)
    return 0.5 + 0.5 * erf
