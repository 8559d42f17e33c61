"""A warning where galaxies would live in haloes that the halo model leaves out."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BelowLowestMassWarning", "LowestMass"]

_SLOPE = 0.9  # of small haloes: dn/dlnM ~ M^-0.9
_SHARE = 0.1  # of the central galaxies that may be missing without a word
_FAR = 2.4  # e^2 widths: so many, and the slope's shift, and less than a hundredth is missing

_erf = np.frompyfunc(math.erf, 1, 1)


class BelowLowestMassWarning(UserWarning):
    """Galaxies below the lowest halo mass are missing in n_g and in the spectra."""


class LowestMass:
    """The lowest halo mass of an emulator's halo model.

    Args:
        names: The emulator's parameters, in the order of columns.
        M_min: The lowest halo mass [Msun]; 0 if there is nothing to warn of.
        widest: Largest width of the threshold in ln M.
    """

    def __init__(self, names: Sequence[str], M_min: float, widest: float) -> None:
        self.M_min = M_min
        self._columns = [names.index(name) for name in ("Mth", "sigma", "alpha")]
        # no threshold above this one reaches down to it
        self._reach = M_min * math.exp(widest * (_FAR + _SLOPE * widest))

    def is_near(self, point: Sequence[float]) -> bool:
        """Whether a point could be one to warn of; told in no time."""
        M_th, sigma = point[self._columns[0]], point[self._columns[1]]
        return M_th < self._reach and M_th < self.M_min * math.exp(sigma * (_FAR + _SLOPE * sigma))

    def share(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Share of the central galaxies that live in smaller haloes, shape (N,).

        Of a threshold ``e(M) = [1 + erf(ln(M / Mth) / (sqrt(2) sigma))] / 2`` and small haloes,
        dn/dlnM ~ M^-a, it is ``Phi(g / sigma + a sigma) - Phi(g / sigma) exp(-a g - a^2 sigma^2
        / 2)`` with ``g = ln(M_min / Mth)``; none where there are no centrals.

        Args:
            x: Points, physical units, shape (N, P).
        """
        M_th, sigma, alpha = (x[:, i].astype(np.float64) for i in self._columns)
        g = np.log(self.M_min / M_th)
        below = _normal(g / sigma) * np.exp(-_SLOPE * g - 0.5 * (_SLOPE * sigma) ** 2)
        return np.where(alpha > 0, _normal(g / sigma + _SLOPE * sigma) - below, 0.0)

    def warn(self, x: NDArray[np.float32]) -> None:
        """Warn of points where more than a tenth of the central galaxies are missing.

        Args:
            x: Points, physical units, shape (N, P).
        """
        near = np.flatnonzero(x[:, self._columns[0]] < self._reach)
        if len(near):
            M_th, sigma = x[near, self._columns[0]], x[near, self._columns[1]]
            near = near[M_th < self.M_min * np.exp(sigma * (_FAR + _SLOPE * sigma))]
        if not len(near):
            return
        share = self.share(x[near])
        bad = np.flatnonzero(share > _SHARE)
        if len(bad):
            more = f", and in {len(bad) - 1} more rows" if len(bad) > 1 else ""
            warnings.warn(
                f"row {near[bad[0]]}: {100 * share[bad[0]]:.0f} % of the central galaxies would "
                f"live below the lowest halo mass of this halo model, {self.M_min:g} Msun, and "
                f"are missing in n_g and in the spectra{more}; raise Mth or narrow sigma",
                BelowLowestMassWarning,
                stacklevel=3,  # through `OnnxEmulator.__call__`, to who called it
            )


def _normal(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cumulative normal distribution."""
    erf: NDArray[np.float64] = np.asarray(_erf(t / math.sqrt(2)), np.float64)
    return 0.5 + 0.5 * erf
