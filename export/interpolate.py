"""Spectra between an emulator's wavenumbers, below them and above.

Between them, a cubic spline of ln P in ln k. To 2-halo terms and P_lin it adds the wiggles that
the grid does not resolve, if the emulator knows them (see `emulator.bao`; it needs P_lin among
its outputs). Below them, linear theory: 2-halo terms go on as b^2 P_lin, whose shape the emulator
knows from the cosmology (or else has from Eisenstein & Hu), 1-halo terms as the constants that they
have become there. Above them, for functions of separation alone, a parabola in ln k. Totals are the
sum of both terms where there are both.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.large_scales import FEATURES, N_S, features, linear_shape
from datagen.outputs import output
from export.ranges import is_inside, read_only

__all__ = ["AtK", "spline_matrix"]

Array = NDArray[np.float64]

_NONE = 1e-60  # [Mpc^3] in place of 0, which it is in float32
_TAIL = 1.5  # e-folds at the end of the grid, to which the parabola above it is fitted


class AtK:
    """What takes spectra on an emulator's grid to wavenumbers of the caller's choice.

    Args:
        grid: Wavenumbers of the emulator [1/Mpc], shape (K,).
        k: Wavenumbers wanted [1/Mpc], shape (K',).
        extrapolate: Whether they may lie below the grid.
        bao: What `emulator.bao` found.
        learnt: Totals that are predicted by themselves, and are not the sum of their terms.
        above: Whether they may lie above the grid, too.
        damped: Whether 1-halo terms fall off below the grid, and are no constants.

    Attributes:
        k: Wavenumbers wanted, float64, read-only.
        extrapolate: As given.

    Raises:
        ValueError: Wavenumbers outside of where there is an answer.
    """

    def __init__(
        self,
        grid: Array,
        k: NDArray[Any],
        extrapolate: bool,
        bao: Mapping[str, Any] | None,
        learnt: Collection[str] = (),
        *,
        above: bool = False,
        damped: bool = False,
    ) -> None:
        self.k = read_only(_check(k, grid, extrapolate, above))
        self.extrapolate = extrapolate
        self._learnt = frozenset(learnt)
        self._start = grid[:1]
        self._below = self.k < self._start
        self._is_outside = bool(self._below.any() or (self.k > grid[-1]).any())
        ln_grid, ln_k = np.log(grid), np.log(self.k)
        inside = np.clip(ln_k, ln_grid[0], ln_grid[-1])
        held = spline_matrix(ln_grid, inside)  # its last value goes on
        spline = held + _above(ln_grid, ln_k)
        self._spline, self._ratio = spline.T.copy(), held.T.copy()
        self._damped = (spline + _slope(ln_grid, ln_k)).T.copy() if damped else None
        self._wiggles = self._continuation = None
        if bao:
            fine = np.log(bao["k"])
            missed = spline_matrix(fine, np.clip(inside, fine[0], fine[-1]))
            missed[inside >= fine[-1]] = 0
            self._wiggles = (missed @ bao["matrix"]).T, missed @ bao["offset"]
            if self._below.any():
                self._continuation = _continuation(bao["below"], ln_k, self._below)

    def needed(self, outputs: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
        """The outputs that it takes to give some of them: the terms of a total, and P_lin.

        Raises:
            ValueError: A term that the emulator does not have.
        """
        names = list(outputs)
        for total in [name for name in outputs if output(name).is_total]:
            if total in self._learnt and not self._is_outside and not self._wiggles:
                continue
            terms = output(total).terms
            if set(terms) <= set(available):
                names += terms
            elif self._is_outside:
                raise ValueError(f"{total} below the grid needs {' and '.join(terms)} as outputs")
        if self._wiggles and any(output(name).is_linear for name in names):
            names.append("P_lin")
        return tuple(dict.fromkeys(names))

    def __call__(
        self,
        spectra: Mapping[str, NDArray[np.float32]],
        cosmology: Mapping[str, Any],
        without: Collection[str] = (),
    ) -> dict[str, Array]:
        """Spectra (N, K') from those on the grid (N, K); numbers (N,) as they are.

        Args:
            spectra: By output name.
            cosmology: ``Om_c``, ``Om_b``, ``h``, ``n_s`` by name, each (N,).
            without: Spectra that are only needed for others.
        """
        names = tuple([name for name, Pk in spectra.items() if Pk.ndim == 2])
        results: dict[str, Any] = {n: Pk for n, Pk in spectra.items() if Pk.ndim == 1}
        if not names:
            return results
        names = tuple(sorted(names, key=without.__contains__)) if without else names
        linear, one_halo, totals = _kinds(names)
        logs = _log(np.array([spectra[name] for name in names]))
        kept = len(names) - sum(name in without for name in names)
        N, K = logs.shape[1:]
        ln_P = logs[:kept].reshape(kept * N, K) @ self._spline
        ln_P = ln_P.reshape(kept, N, len(self.k))
        if linear:
            ln_P_lin = logs[names.index("P_lin")] if "P_lin" in names else None
            missed = self._missed(ln_P_lin, cosmology)
            for i in linear:
                if i < kept:
                    ln_P[i] += missed
        if self._damped is not None:
            for i in one_halo:
                ln_P[i] = logs[i] @ self._damped
        at = dict(zip(names, np.exp(ln_P, out=ln_P), strict=False))
        results |= at
        for name, (one, two) in totals.items():
            results[name] = at[one] + at[two]
            if name in self._learnt:
                ratio = logs[names.index(name)] - _log(spectra[one] + spectra[two])
                results[name] *= np.exp(ratio @ self._ratio)
        return results

    def _missed(self, ln_P_lin: Array | None, cosmology: Mapping[str, Any]) -> Any:
        """What the spline lacks of ln P_lin, shape (N, K')."""
        missed: Any = 0.0
        if self._wiggles and ln_P_lin is not None:
            matrix, offset = self._wiggles
            missed = ln_P_lin @ matrix + offset
        if self._continuation is not None:
            matrix, offset = self._continuation
            missed = missed + (features(cosmology) @ matrix + offset)
        elif self._below.any():
            k = self.k[self._below]
            shape = linear_shape(k, cosmology) / linear_shape(self._start, cosmology)
            whole = np.zeros((len(shape), len(self.k)))
            whole[:, self._below] = np.log(shape)
            missed = missed + whole
        return missed


@lru_cache(maxsize=256)
def _kinds(names: tuple[str, ...]) -> tuple[list[int], list[int], dict[str, tuple[str, ...]]]:
    """Of spectra by name: which are linear, which are 1-halo terms, and the terms of totals."""
    entries = [output(name) for name in names]
    linear = [i for i, one in enumerate(entries) if one.is_linear]
    one_halo = [i for i, one in enumerate(entries) if not one.is_linear and not one.is_total]
    totals = {one.name: one.terms for one in entries if one.is_total and {*one.terms} <= {*names}}
    return linear, one_halo, totals


def _above(ln_grid: Array, ln_k: Array) -> Array:
    """What a parabola adds to the last value of the grid, above it, shape (K', K).

    It is the one through the last value that fits the values before it best.
    """
    tail = np.flatnonzero(ln_grid >= min(ln_grid[-1] - _TAIL, ln_grid[-4]))
    x = ln_grid[tail] - ln_grid[-1]
    fit = np.linalg.pinv(np.stack([x, x**2], axis=1))  # of values over the last one
    beyond = np.maximum(ln_k - ln_grid[-1], 0.0)
    matrix = np.zeros((len(ln_k), len(ln_grid)))
    matrix[:, tail] = np.stack([beyond, beyond**2], axis=1) @ fit
    matrix[:, -1] -= matrix.sum(axis=1)
    return matrix


def _slope(ln_grid: Array, ln_k: Array) -> Array:
    """What a straight line adds to the first value of the grid, below it, shape (K', K)."""
    matrix = np.zeros((len(ln_k), len(ln_grid)))
    way = np.minimum(ln_k - ln_grid[0], 0.0) / (ln_grid[1] - ln_grid[0])
    matrix[:, 0], matrix[:, 1] = -way, way
    return matrix


def _continuation(
    below: Mapping[str, Any], ln_k: Array, is_below: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """The map from features to ln P_lin(k) / P_lin(k_0) at wavenumbers, 0 on the grid."""
    known = np.log(below["k"])
    wanted = ln_k[is_below]
    spline = spline_matrix(known, np.maximum(wanted, known[0]))
    matrix = np.zeros((FEATURES, len(ln_k)))
    matrix[:, is_below] = (spline @ below["matrix"]).T
    matrix[N_S, is_below] += np.minimum(wanted - known[0], 0.0)  # k^n_s below all that is known
    offset = np.zeros(len(ln_k))
    offset[is_below] = spline @ below["offset"]
    return matrix, offset


def _log(P: NDArray[Any]) -> Array:
    """Its logarithm; 1-halo terms may be 0, where no halo has two galaxies."""
    result: Array = np.log(np.maximum(P.astype(np.float64), _NONE))
    return result


def _check(k: NDArray[Any], grid: Array, extrapolate: bool, above: bool) -> Array:
    """The wavenumbers [1/Mpc], shape (K',), checked to lie where there is an answer."""
    wanted = np.atleast_1d(k).astype(np.float64)
    if wanted.ndim != 1:
        raise ValueError(f"k must be a number or an array (K,), not one of shape {wanted.shape}")
    low, high = grid[[0, -1]]
    bad = ~((wanted > 0) & is_inside(wanted, 0 if extrapolate else low, np.inf if above else high))
    if bad.any():
        i = int(np.argmax(bad))
        hint = ""
        if 0 < wanted[i] < low:
            hint = "; pass extrapolate=True to go on there as linear theory does"
        elif wanted[i] > high:
            hint = "; above them there is no continuation"
        raise ValueError(
            f"k[{i}] = {wanted[i]:g} 1/Mpc is outside [{low:g}, {high:g}], the wavenumbers "
            f"of the emulator{hint}"
        )
    return wanted


def spline_matrix(x: Array, wanted: Array) -> Array:
    """What takes values at x to those of their cubic spline at `wanted`, shape (K', K).

    The spline is the not-a-knot one, also scipy's default. As it is linear in the values, a
    matrix does for any number of spectra.

    Args:
        x: Increasing nodes, shape (K,), at least 4.
        wanted: Where to evaluate, shape (K',), between the first node and the last.

    Raises:
        ValueError: Fewer than 4 nodes.
    """
    if len(x) < 4:
        raise ValueError(f"interpolation in k needs 4 wavenumbers, the emulator has {len(x)}")
    curvature = _curvatures(x)
    i = np.clip(np.searchsorted(x, wanted, side="right") - 1, 0, len(x) - 2)
    step = x[i + 1] - x[i]
    b = (wanted - x[i]) / step
    a = 1 - b
    values = np.eye(len(x))
    matrix: Array = (
        a[:, None] * values[i]
        + b[:, None] * values[i + 1]
        + ((a**3 - a) * step**2 / 6)[:, None] * curvature[i]
        + ((b**3 - b) * step**2 / 6)[:, None] * curvature[i + 1]
    )
    return matrix


def _curvatures(x: Array) -> Array:
    """What takes values at x to second derivatives of their spline at x, shape (K, K)."""
    h = np.diff(x)
    left, right = np.zeros((2, len(x), len(x)))
    for i in range(1, len(x) - 1):
        left[i, i - 1 : i + 2] = h[i - 1] / 6, (h[i - 1] + h[i]) / 3, h[i] / 6
        right[i, i - 1 : i + 2] = 1 / h[i - 1], -1 / h[i - 1] - 1 / h[i], 1 / h[i]
    # the third derivative is continuous at the second node and at the last but one
    left[0, :3] = -1 / h[0], 1 / h[0] + 1 / h[1], -1 / h[1]
    left[-1, -3:] = -1 / h[-2], 1 / h[-2] + 1 / h[-1], -1 / h[-1]
    return np.asarray(np.linalg.solve(left, right), np.float64)
