"""Warnings about thresholds that are too sharp for the grid of halo masses.

The abundance of very rare haloes falls by up to a factor of ten from one node of the grid to the
next, so that haloes just above a sharp threshold decide. On small scales, the phase of the
oscillations of their profiles changes by several radians between two nodes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.populations import Populations, Thresholds
from export.ranges import warn_of

__all__ = ["SharpThresholdWarning", "SharpThresholds"]

# Where errors of 1 % were found in comparison with a grid eight times finer, by searches over the
# boxes of `standard` and `tinker10`, with some margin.
_WIDEST = 1.2  # width of thresholds, in spacings
_BIAS, _SCALE = 2.0, 0.636  # b_eff for a step; the width, in spacings, at which it is e times more
_BIAS_OF_SATELLITES, _SCALE_OF_SATELLITES = 1.6, 0.745  # if there are hardly any centrals
_SATELLITES = 0.9  # their fraction from there on
_FINE = 3.0  # spacing in ln M times the largest k [1/Mpc]
_NOWHERE = math.inf, math.inf  # threshold and width of galaxies without one
_NOTHING: Mapping[str, Any] = MappingProxyType({})

Numbers = Callable[[Sequence[str], NDArray[np.float32]], Mapping[str, NDArray[Any]]]


class SharpThresholdWarning(UserWarning):
    """A threshold is too sharp for the grid of halo masses, and spectra at large k are inexact."""


class SharpThresholds:
    """Thresholds that are too sharp for the grid of halo masses of an emulator.

    Args:
        names: Names of the emulator's parameters, in the order of columns.
        spacing: Spacing of the grid in ln M; 0 switches warnings off.
        k_max: Largest wavenumber [1/Mpc].
        populations: The galaxies.
        numbers: Values (N,) of outputs, such as ``b_eff``, by name, at points (N, P); NaN if
            unknown.
    """

    def __init__(
        self,
        names: Sequence[str],
        spacing: float,
        k_max: float,
        populations: Populations,
        numbers: Numbers,
    ) -> None:
        self._spacing, self._numbers = spacing, numbers
        self._narrow = _WIDEST * spacing
        self._threshold = Thresholds(names, populations)
        some = np.ones(len(names))
        self._near = [
            (one, f"{one.prefix}b_eff", f"{one.prefix}f_sat")
            for one in populations.each
            if spacing * k_max > _FINE and self._threshold(one, some) is not None
        ]

    def is_near(self, point: Sequence[float], results: Mapping[str, Any] = _NOTHING) -> bool:
        """Whether a point may need a warning; a fast check.

        Args:
            point: The point, physical units.
            results: Outputs of the point by name, as far as they are known.
        """
        for one, b_eff, f_sat in self._near:
            _, width = self._threshold(one, point) or _NOWHERE
            if width < self._narrow:
                b, f = results.get(b_eff), results.get(f_sat)
                if b is None or f is None or b > _limit(width / self._spacing, f):
                    return True
        return False

    def rows(
        self, x: NDArray[np.float32], results: Mapping[str, Any] = _NOTHING
    ) -> NDArray[np.intp]:
        """Rows of points with a threshold that is too sharp.

        Args:
            x: Points, physical units, shape (N, P).
            results: Outputs of the points by name, as far as they are known.
        """
        sharp = np.zeros(len(x), np.bool_)
        for one, *names in self._near:
            _, each = self._threshold(one, x.astype(np.float64).T) or _NOWHERE
            width = np.broadcast_to(each, len(x))
            near = np.flatnonzero(width < self._narrow)
            if len(near):
                known = {n: np.atleast_1d(results[n])[near] for n in names if n in results}
                known |= self._numbers([name for name in names if name not in known], x[near])
                b_eff, f_sat = (known[name] for name in names)
                spacings = width[near] / self._spacing
                limits = map(_limit, spacings.tolist(), f_sat.tolist())
                sharp[near] |= b_eff > np.array([*limits])
        return np.flatnonzero(sharp)

    def warn(self, x: NDArray[np.float32], results: Mapping[str, Any] = _NOTHING) -> None:
        """Warn of points with a threshold that is too sharp; arguments as for `rows`."""
        rows = self.rows(x, results)
        if len(rows):
            warn_of(
                rows,
                "the threshold is too sharp for the grid of halo masses, as haloes are very rare "
                "there; errors above k = 5 1/Mpc may exceed 1 %",
                "widen the threshold, or export with --finer 8",
                SharpThresholdWarning,
                stacklevel=4,  # past `OnnxEmulator.__call__`, to the caller
            )


def _limit(width: float, f_sat: float) -> float:
    """Effective bias above which a threshold is too sharp.

    Args:
        width: Its width, in spacings of the grid.
        f_sat: Fraction of satellites.
    """
    if f_sat < _SATELLITES:
        return _BIAS * math.exp((width / _SCALE) ** 2)
    return _BIAS_OF_SATELLITES * math.exp((width / _SCALE_OF_SATELLITES) ** 2)
