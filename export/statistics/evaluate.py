"""Statistics of the spectra of an emulator: matrices that are made once and then are one product.

Where the lengths of a statistic do not depend on the point (comoving Mpc), its matrix is the one at
its radii. Where they do (Mpc/h, physical), a function of separation is interpolated between
matrices at scales a few percent apart, made when they are first needed: six each, a polynomial.
"""

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.outputs import output
from export.statistics.growth import growth_rate
from export.statistics.hankel import Modes, Rows
from export.statistics.kinds import LONGEST, SHORTEST, Moment, Statistic, Wp

__all__ = ["NODES", "Projection", "modes", "nodes"]

Array = NDArray[np.float64]

_LOW, _HIGH = 1e-5, 3e4  # 1/Mpc
_STEP = 0.1  # in ln k, where spectra bend
_WIDE = 0.3  # and far from there
_BENDS = (3e-3, 3e2)  # 1/Mpc
_WIGGLE, _WIGGLES = 0.006, (0.03, 0.5)  # 1/Mpc, of the acoustic wiggles
_LATTICE = 0.04  # in ln of the scale
_ORDER = 6  # matrices that a scale is interpolated between


def nodes(refine: float = 1.0) -> Array:
    """Wavenumbers [1/Mpc] that spectra are taken at for their transforms, increasing.

    Args:
        refine: How many times as dense as usual.
    """
    ln_k, end = [np.log(_LOW)], np.log(_HIGH)
    while ln_k[-1] < end:
        k = np.exp(ln_k[-1])
        step = _STEP if _BENDS[0] <= k <= _BENDS[1] else _WIDE
        if _WIGGLES[0] <= k <= _WIGGLES[1]:
            step = min(step, _WIGGLE / k)
        ln_k.append(ln_k[-1] + step / refine)
    return np.exp(ln_k)


NODES = nodes()


@cache
def modes(refine: float = 1.0) -> Modes:
    """The complex powers behind spectra at `nodes`."""
    return Modes(nodes(refine))


class Scaled:
    """The matrices of one moment of a statistic, at any scale of its lengths.

    Args:
        moment: Which.
        refine: See `nodes`.
    """

    def __init__(self, moment: Moment, refine: float = 1.0) -> None:
        self._moment, self._refine = moment, refine
        self._last: tuple[float, Array] | None = None
        self._at = lru_cache(maxsize=256)(lambda i: self._rows.matrix(np.exp(i * _LATTICE)).T)

    @cached_property
    def _rows(self) -> Rows:
        moment = self._moment
        return modes(self._refine).rows(moment.transform, moment.radii, moment.weights)

    def matrix(self, scale: float) -> Array:
        """What takes P at the nodes to the moment, shape (K, R), at one scale [Mpc]."""
        if self._last is None or self._last[0] != scale:
            self._last = scale, self._matrix(scale)
        return self._last[1]

    def _matrix(self, scale: float) -> Array:
        if scale == 1.0:
            return self._at(0)
        start, weights = _lagrange(np.log(scale))
        return sum(w * self._at(start + j) for j, w in enumerate(weights))  # type: ignore[return-value]

    def __call__(self, P: Array, scale: Any) -> Array:
        """The moment of spectra, shape (N, R).

        Args:
            P: At the nodes, shape (N, K).
            scale: The statistic's length [Mpc], a number or of each (N,).
        """
        scales = np.unique(scale)
        if len(scales) == 1:
            return P @ self.matrix(float(scales[0]))
        results = np.empty((len(P), len(self._moment.radii)))
        ln = np.log(scale)
        cells = np.floor(ln / _LATTICE).astype(int)
        for cell in np.unique(cells):
            rows = np.flatnonzero(cells == cell)
            start, weights = _lagrange(ln[rows])
            part = P[rows]
            results[rows] = sum(
                w[:, None] * (part @ self._at(start + j)) for j, w in enumerate(weights)
            )
        return results


def _lagrange(ln_scale: Any) -> tuple[int, Array]:
    """First of the matrices to take for scales of one cell, and the weight of each."""
    first = int(np.floor(np.ravel(ln_scale)[0] / _LATTICE)) - _ORDER // 2 + 1
    t = np.asarray(ln_scale) / _LATTICE - first
    j = np.arange(_ORDER)
    weights = []
    for i in range(_ORDER):
        others = np.delete(j, i)
        weights.append(np.prod((t[..., None] - others) / (i - others), axis=-1))
    return first, np.array(weights)


class Projection:
    """Some statistics of one emulator.

    Args:
        statistics: Which.
        refine: See `nodes`.

    Raises:
        ValueError: Two of the same name.
    """

    def __init__(self, statistics: Sequence[Statistic], refine: float = 1.0) -> None:
        self.statistics = tuple(statistics)
        named = [name for one in statistics for name in one.outputs]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(
                f"two statistics are called {', '.join(twice)}; give one of them another name, "
                f"name='...'"
            )
        self._moments = [Scaled(one.moment(), refine) for one in statistics]
        self._velocities = [
            _Velocities(one, refine) if isinstance(one, Wp) and one.kaiser else None
            for one in statistics
        ]

    @property
    def shapes(self) -> dict[str, int]:
        """How many numbers each output has for a point, by name."""
        return {name: len(one) for one in self.statistics for name in one.outputs}

    def spectra(self, learnt: Sequence[str]) -> tuple[str, ...]:
        """Outputs at the nodes that they are made of.

        Args:
            learnt: Totals that are not the sum of their terms.
        """
        names: list[str] = []
        for one in self.statistics:
            for spectrum in one.spectra.values():
                names += self._summands(spectrum, learnt)
            names += [name for name in one.needs if name == "P_lin"]
        return tuple(dict.fromkeys(names))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Numbers that they are made of."""
        needs = (name for one in self.statistics for name in one.needs)
        return tuple(dict.fromkeys(name for name in needs if name != "P_lin"))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Parameters that points have for them, besides those of the emulator."""
        return tuple(dict.fromkeys(name for one in self.statistics for name in one.parameters))

    @staticmethod
    def _summands(spectrum: str, learnt: Sequence[str]) -> tuple[str, ...]:
        return (spectrum,) if spectrum in learnt else output(spectrum).terms or (spectrum,)

    def __call__(
        self, spectra: Mapping[str, Array], point: Mapping[str, Any], learnt: Sequence[str] = ()
    ) -> dict[str, Array]:
        """The statistics by name, each (N, R).

        Args:
            spectra: At the nodes by name, (N, K), and numbers (N,).
            point: Parameters by name, each (N,).
            learnt: See `spectra`.

        Raises:
            ValueError: Separations beyond 0.02 to 300 Mpc.
        """
        results = {}
        for one, moment, velocities in zip(
            self.statistics, self._moments, self._velocities, strict=True
        ):
            scale, factor = one.scale(point), one.factor(point)
            _check_scale(one, scale)
            added = one.point_masses(point)
            corrected = velocities(spectra, point, scale) if velocities else 1.0
            for name, (term, spectrum) in zip(one.outputs, one.spectra.items(), strict=True):
                first, *rest = (spectra[part] for part in self._summands(spectrum, learnt))
                value = moment(sum(rest, first), scale) * factor * corrected
                results[name] = value + added if term != "2h" else value
        return results


class _Velocities:
    """What peculiar velocities do to w_p of a finite line of sight, in linear theory; see `Wp`."""

    def __init__(self, statistic: Wp, refine: float) -> None:
        self._statistic = statistic
        self._multipoles = [Scaled(statistic.multipole(order), refine) for order in (0, 2, 4)]

    def __call__(self, spectra: Mapping[str, Array], point: Mapping[str, Any], scale: Any) -> Array:
        """The factor, shape (N, R)."""
        f = growth_rate(point)
        one, *other = (f / spectra[name] for name in self._statistic.needs if name != "P_lin")
        two = other[0] if other else one
        both, product = (one + two)[:, None], (one * two)[:, None]
        w_0, w_2, w_4 = (each(spectra["P_lin"], scale) for each in self._multipoles)
        # the transform of order 2 enters with a minus sign: i^l j_l
        moved = (1 + both / 3 + product / 5) * w_0
        moved -= (2 * both / 3 + 4 * product / 7) * w_2
        moved += 8 * product / 35 * w_4
        return moved / w_0


def _check_scale(one: Statistic, scale: Any) -> None:
    low, high = np.min(scale) * one.radii[0], np.max(scale) * one.radii[-1]
    if low < SHORTEST * (1 - 1e-6) or high > LONGEST * (1 + 1e-6):
        bad = low if low < SHORTEST else high
        raise ValueError(
            f"{one.kind}: {one.axis} reaches {bad:.4g} Mpc (comoving), outside [{SHORTEST:g}, "
            f"{LONGEST:g}] Mpc; leave such separations out"
        )
