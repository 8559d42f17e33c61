"""Statistics of the spectra of an emulator, as products with matrices that are kept.

If lengths do not depend on the point (comoving Mpc), a statistic has one matrix. If they do (Mpc/h,
physical), it is interpolated, by Lagrange's polynomial, between matrices at scales a few percent
apart, which are made when first needed. The matrix at a scale that is common to many points, or to
successive calls, is made once.
"""

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.outputs import output
from export.ranges import outsider
from export.statistics.growth import growth_rate
from export.statistics.hankel import Modes, Rows
from export.statistics.kinds import LONGEST, SHORTEST, Moment, Statistic, Wp
from export.statistics.transition import Smaller, added

__all__ = ["NODES", "ORDER", "Projection", "Scaled", "lagrange", "modes", "nodes", "summands"]

Array = NDArray[np.float64]

_LOW, _HIGH = 1e-5, 3e4  # 1/Mpc
_STEP = 0.063  # in ln k, where spectra bend: a third of an interval of the emulators' grid
_WIDE = 0.3  # in ln k, elsewhere
_BENDS = (3e-3, 3e2)  # 1/Mpc, range in which spectra bend
_WIGGLE, _WIGGLES = 0.006, (0.03, 0.5)  # 1/Mpc, step and range of the acoustic wiggles
_LATTICE = 0.02  # in ln of the scale
ORDER = 4
"""Number of matrices that a scale is interpolated between, by Lagrange's polynomial."""
_FIRST = -1  # place of the first of them, relative to the one just below the scale
_POWERS = np.arange(ORDER, dtype=np.float64)
_LAGRANGE = np.linalg.inv(
    np.arange(_FIRST, _FIRST + ORDER)[:, None] ** _POWERS
)  # of powers of the way from one to the next: those of each matrix's weight


def nodes(refine: float = 1.0) -> Array:
    """Wavenumbers [1/Mpc] at which spectra are transformed, increasing, shape (K,).

    Args:
        refine: Density of the wavenumbers, relative to the usual one.
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
    """Expansion of spectra at `nodes` in complex powers of k."""
    return Modes(nodes(refine))


class Scaled:
    """A moment of a statistic as matrices, for any unit of length.

    Args:
        moment: The moment.
        refine: See `nodes`.
    """

    def __init__(self, moment: Moment, refine: float = 1.0) -> None:
        self._moment, self._refine = moment, refine
        self._radii = len(moment.radii)
        self._matrix = lru_cache(maxsize=256)(self._at)
        self._cells = lru_cache(maxsize=64)(self._cell)
        self._between = lru_cache(maxsize=8)(self._of_scale)

    @cached_property
    def _rows(self) -> Rows:
        moment = self._moment
        return modes(self._refine).rows(moment.transform, moment.radii, moment.weights)

    @cached_property
    def _comoving(self) -> Array:
        return self._rows.matrix().T.copy()

    @property
    def comoving(self) -> Array:
        """Matrix from P at the nodes to the moment, for lengths in Mpc, shape (K, R)."""
        return self._comoving

    def lattice(self, low: float, high: float) -> tuple[int, Array]:
        """Matrices that scales between two ends [Mpc] are interpolated between.

        Returns:
            Index of the first matrix, and the matrices, shape (L, K, R); see `lagrange`.
        """
        first = int(np.floor(np.log(low) / _LATTICE)) + _FIRST
        last = int(np.floor(np.log(high) / _LATTICE)) + _FIRST + ORDER
        return first, np.array([self._matrix(i) for i in range(first, last)])

    def _at(self, i: int) -> Array:
        """Matrix from P at the nodes to the moment at a scale of the lattice, shape (K, R)."""
        return self._rows.matrix(np.exp(i * _LATTICE)).T

    def _of_scale(self, scale: float) -> Array:
        """Matrix at one scale [Mpc], shape (K, R)."""
        first, weights = lagrange(np.array([scale]))
        result: Array = weights[0] @ self._cells(int(first[0]))
        return result.reshape(-1, self._radii)

    def _cell(self, first: int) -> Array:
        """Matrices that a scale is interpolated between, shape (`ORDER`, K R)."""
        return np.array([self._matrix(first + j).ravel() for j in range(ORDER)])

    def __call__(self, P: Array, scale: Array | None) -> Array:
        """The moment of spectra, shape (N, R).

        Args:
            P: Spectra at the nodes, shape (N, K).
            scale: Unit of the lengths [Mpc], shape (N,) or (1,); 1 if None.
        """
        if scale is None:
            return P @ self._comoving
        if len(scale) == 1 or (scale == scale[0]).all():
            return P @ self._between(float(scale[0]))
        return self._interpolated(P, scale)

    def _interpolated(self, P: Array, scale: Array) -> Array:
        """The moment at many scales: multiply each matrix with all spectra that need it."""
        order = np.argsort(scale)
        P, (first, weights) = P[order], lagrange(scale[order])
        found = np.zeros((len(P), self._radii))
        for i in range(int(first[0]), int(first[-1]) + ORDER):
            low, high = np.searchsorted(first, (i - ORDER + 1, i + 1))
            if low < high:
                rows = slice(low, high)
                share = weights[np.arange(low, high), (i - first[rows]).astype(int)]
                found[rows] += share[:, None] * (P[rows] @ self._matrix(i))
        results = np.empty_like(found)
        results[order] = found
        return results


def lagrange(scale: Any, xp: Any = np) -> tuple[Any, Any]:
    """Indices and weights of the matrices that scales are interpolated between.

    Args:
        scale: Scales [Mpc], shape (N,).
        xp: Array library, numpy or jax.numpy.

    Returns:
        Index of the first matrix, shape (N,), and weights of `ORDER` successive matrices,
        shape (N, `ORDER`).
    """
    t = xp.log(scale) / _LATTICE
    cells = xp.floor(t)
    return cells + _FIRST, (t - cells)[:, None] ** _POWERS @ _LAGRANGE


def summands(spectrum: str, learnt: Sequence[str]) -> tuple[str, ...]:
    """Outputs that add up to a spectrum: the terms of a total, or the spectrum itself.

    Args:
        spectrum: Name of the spectrum.
        learnt: Totals that are not the sum of their terms.
    """
    return (spectrum,) if spectrum in learnt else output(spectrum).terms or (spectrum,)


class Projection:
    """Statistics of spectra at `nodes`.

    Args:
        statistics: The statistics.
        refine: See `nodes`.

    Attributes:
        statistics: The statistics.
        moments: The matrices of each statistic.

    Raises:
        ValueError: If two statistics have the same name.
    """

    def __init__(self, statistics: Sequence[Statistic], refine: float = 1.0) -> None:
        self.statistics, self._refine = tuple(statistics), refine
        named = [name for one in statistics for name in one.outputs]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(
                f"two statistics are called {', '.join(twice)}; give one of them another name, "
                f"name='...'"
            )
        for one in statistics:
            if one.is_comoving:
                _check_scale(one, np.ones(1))
        self._names = [
            tuple(zip(one.outputs, one.terms, one.spectra.values(), strict=True))
            for one in statistics
        ]
        self.moments = [Scaled(one.moment(), refine) for one in statistics]
        self._velocities = [
            _Velocities(one, refine) if isinstance(one, Wp) and one.kaiser else None
            for one in statistics
        ]

    def order(self, point: Mapping[str, Any]) -> NDArray[np.intp] | None:
        """Indices that sort points by the scale of their lengths; None if all are comoving.

        Neighbours then share matrices. Points of the same scale keep their order.

        Args:
            point: Parameters by name, each (N,).
        """
        scaled = next((one for one in self.statistics if not one.is_comoving), None)
        return None if scaled is None else np.argsort(scaled.scale(point), kind="stable")

    def spectra(self, learnt: Sequence[str]) -> tuple[str, ...]:
        """Names of the spectra that the statistics need at the nodes.

        Args:
            learnt: Totals that are not the sum of their terms.
        """
        names: list[str] = []
        for one in self.statistics:
            for spectrum in one.spectra.values():
                names += summands(spectrum, learnt)
                if one.is_bent:
                    names.append(output(spectrum).of_term("2h"))
            names += [name for name in one.needs if output(name).is_spectrum]
        return tuple(dict.fromkeys(names))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers that the statistics need, such as ``n_g``."""
        needs = (name for one in self.statistics for name in one.needs)
        return tuple(dict.fromkeys(name for name in needs if output(name).is_number))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of additional parameters of the points, besides those of the emulator."""
        return tuple(dict.fromkeys(name for one in self.statistics for name in one.parameters))

    def __call__(
        self,
        spectra: Mapping[str, Array],
        point: Mapping[str, Any],
        learnt: Sequence[str] = (),
        smaller: Mapping[str, Smaller] = MappingProxyType({}),
    ) -> dict[str, Array]:
        """The statistics by name, each (N, R).

        Args:
            spectra: Spectra at the nodes, (N, K), and numbers, (N,), by name.
            point: Parameters by name, each (N,).
            learnt: See `spectra`.
            smaller: Power outside of large haloes by correlation, for halo exclusion.

        Raises:
            ValueError: If separations are outside of 0.02 to 300 Mpc.
        """
        results = {}
        for one, names, moment, velocities in zip(
            self.statistics, self._names, self.moments, self._velocities, strict=True
        ):
            scale = None if one.is_comoving else np.atleast_1d(one.scale(point))
            if scale is not None:
                _check_scale(one, scale)
            factor: Any = one.factor(point)
            if velocities:
                moved = velocities(spectra, point, scale)
                factor = moved if factor is None else moved * factor
            masses, changed = one.point_masses(point), None
            for name, term, spectrum in names:
                first, *rest = summands(spectrum, learnt)
                P = spectra[first] + spectra[rest[0]] if rest else spectra[first]
                if one.is_bent and term != "1h":
                    if changed is None:
                        P_2h = spectra[output(spectrum).of_term("2h")]
                        without = smaller[one.correlation] if one.exclusion else None
                        changed = added(one.bias, without, P_2h, spectra, self._refine)
                    P = P + changed
                value = moment(P, scale)
                if factor is not None:
                    value *= factor
                results[name] = value if masses is None or term == "2h" else value + masses
        return results


class _Velocities:
    """Effect of peculiar velocities on w_p with a finite line of sight; see `Wp`."""

    def __init__(self, statistic: Wp, refine: float) -> None:
        self._statistic = statistic
        self._multipoles = [Scaled(statistic.multipole(order), refine) for order in (0, 2, 4)]

    def __call__(
        self, spectra: Mapping[str, Array], point: Mapping[str, Any], scale: Array | None
    ) -> Array:
        """The factor, shape (N, R)."""
        f = growth_rate(point)
        moments = [each(spectra["P_lin"], scale) for each in self._multipoles]
        factor: Array = self._statistic.velocities(
            [f / spectra[name] for name in self._statistic.biases], moments
        )
        return factor


def _check_scale(one: Statistic, scale: Array) -> None:
    low, high = scale.min() * one.radii[0], scale.max() * one.radii[-1]
    if low < SHORTEST * (1 - 1e-6) or high > LONGEST * (1 + 1e-6):
        bad = outsider(low if low < SHORTEST else high, SHORTEST, LONGEST, digits=4)
        raise ValueError(
            f"{one.kind}: {one.axis} reaches {bad} Mpc (comoving), "
            f"outside [{SHORTEST:g}, {LONGEST:g}] Mpc; leave such separations out"
        )
