"""Interpolate spectra between the wavenumbers of an emulator, and continue them beyond.

- Between the wavenumbers: a spline of ln P in ln k, quintic for 1-halo terms, which fall off at
  small scales, and cubic for others. For 2-halo terms and P_lin, acoustic wiggles that the grid
  does not resolve are added, if P_lin is an output and the file contains them (see `emulator.bao`).
- Below: linear theory. 2-halo terms continue as b^2 P_lin, with the shape of P_lin from the file or
  else from Eisenstein & Hu, and 1-halo terms as constants.
- Above, for functions of separation alone: a parabola of ln P in ln k.

Totals are the sum of both terms if the emulator has both.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.large_scales import FEATURES, N_S, features, linear_shape
from datagen.outputs import output
from export.ranges import is_inside, outsider, read_only

__all__ = ["NONE", "AtK", "spline_matrix"]

Array = NDArray[np.float64]

_SHAPE = ("Om_c", "Om_b", "h", "n_s")  # parameters of the shape of the linear power
NONE = 1e-60
"""[Mpc^3], in place of 0 under logarithms; 0 in float32."""
_SMOOTH = 5  # degree of the spline of 1-halo terms, to which no wiggles are added
_COLUMNS, _NEGLIGIBLE = 32, 1e-11  # of a block of a matrix; an interpolation is local
_TAIL = 1.5  # e-folds at the end of the grid, to which the parabola above it is fitted


class AtK:
    """Interpolation of spectra from the grid of an emulator to other wavenumbers.

    Args:
        grid: Wavenumbers of the emulator [1/Mpc], shape (K,).
        k: Wavenumbers to interpolate to [1/Mpc], shape (K',).
        extrapolate: Whether k may lie below the grid.
        bao: Acoustic wiggles and continuation below the grid, from `emulator.bao`, or None.
        learnt: Totals that are predicted separately, and are not the sum of their terms.
        above: Whether k may lie above the grid.
        damped: Whether 1-halo terms fall off below the grid instead of being constant.

    Attributes:
        k: Wavenumbers to interpolate to [1/Mpc], float64, read-only.
        extrapolate: Whether k may lie below the grid.

    Raises:
        ValueError: If wavenumbers are outside of the supported range.
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
        held = spline_matrix(ln_grid, inside)  # constant beyond the grid
        beyond = _above(ln_grid, ln_k)
        self._spline, self._ratio = (held + beyond).T.copy(), held.T.copy()
        smooth = spline_matrix(ln_grid, inside, _SMOOTH) if len(grid) > _SMOOTH else held
        falling = _slope(ln_grid, ln_k) if damped else 0.0
        self._one_halo = (smooth + beyond + falling).T.copy()
        self._blocks = _blocks(self._one_halo), _blocks(self._spline)
        self._wiggles = self._continuation = None
        self._low = _span(self._below)
        self._last: tuple[tuple[float, ...], Array] = (), np.empty(0)
        if bao:
            fine = np.log(bao["k"])
            missed = spline_matrix(fine, np.clip(inside, fine[0], fine[-1]))
            missed[inside >= fine[-1]] = 0
            self._wiggles = (missed @ bao["matrix"]).T, missed @ bao["offset"]
            self._wiggly = _span(self._wiggles[0].any(axis=0) | (self._wiggles[1] != 0))
            if self._below.any():
                self._continuation = _continuation(bao["below"], ln_k, self._below)

    @property
    def is_linear(self) -> bool:
        """Whether ln P at the wavenumbers is linear in ln P on the grid and `features` alone."""
        return self._wiggles is not None and self._continuation is not None

    @property
    def matrices(self) -> dict[str, Any]:
        """Matrices of the interpolation by name, for other libraries; see `__call__`.

        ``one_halo``, ``others`` and ``ratio`` map ln P (K,) to the wavenumbers. ``wiggles`` maps
        ln P_lin, and ``below`` the `features` of a cosmology, each with an offset, to corrections
        of ln P of linear spectra.
        """
        none = np.zeros(len(self.k))
        wiggles = self._wiggles or (None, none)
        below = self._continuation or (None, none)
        return {
            "one_halo": self._one_halo,
            "others": self._spline,
            "ratio": self._ratio,
            "wiggles": wiggles[0],
            "below": below[0],
            "offset": wiggles[1] + below[1],
        }

    def needed(self, outputs: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
        """Names of the outputs that are needed on the grid: also terms of totals, and P_lin.

        Raises:
            ValueError: If the emulator lacks a term.
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
        """Interpolate spectra from the grid (N, K) to the wavenumbers (N, K').

        Args:
            spectra: Spectra [Mpc^3] and numbers by name; numbers (N,) are returned unchanged.
            cosmology: ``Om_c``, ``Om_b``, ``h``, ``n_s`` by name, each (N,).
            without: Spectra that are needed for others, but not returned.
        """
        names = tuple([name for name, Pk in spectra.items() if Pk.ndim == 2])
        results: dict[str, Any] = {n: Pk for n, Pk in spectra.items() if Pk.ndim == 1}
        if not names:
            return results
        names, one_halo, linear, kept, totals = _in_order(names, tuple(without))
        logs = _log(np.array([spectra[name] for name in names]))
        N, K = logs.shape[1:]
        ln_P = np.empty((kept, N, len(self.k)))
        flat, result = logs.reshape(-1, K), ln_P.reshape(kept * N, len(self.k))
        first, last = one_halo * N, kept * N
        _multiply(flat[:first], self._blocks[0], result[:first])
        _multiply(flat[first:last], self._blocks[1], result[first:])
        if linear > one_halo:
            ln_P_lin = logs[names.index("P_lin")] if "P_lin" in names else None
            self._add_missed(ln_P[one_halo:linear], ln_P_lin, cosmology)
        at = dict(zip(names, np.exp(ln_P, out=ln_P), strict=False))
        results |= at
        for name, (one, two) in totals.items():
            results[name] = at[one] + at[two]
            if name in self._learnt:
                ratio = logs[names.index(name)] - _log(spectra[one] + spectra[two])
                results[name] *= np.exp(ratio @ self._ratio)
        return results

    def _add_missed(
        self, ln_P: Array, ln_P_lin: Array | None, cosmology: Mapping[str, Any]
    ) -> None:
        """Add wiggles and continuation, which the spline lacks, to ln P, shape (S, N, K')."""
        if self._wiggles and ln_P_lin is not None:
            matrix, offset = (one[..., self._wiggly] for one in self._wiggles)
            ln_P[..., self._wiggly] += ln_P_lin @ matrix + offset
        if self._continuation is not None:
            ln_P[..., self._low] += self._continued(*self._continuation, cosmology)
        elif self._below.any():
            k = self.k[self._below]
            shape = linear_shape(k, cosmology) / linear_shape(self._start, cosmology)
            ln_P[..., self._below] += np.log(shape)

    def _continued(self, matrix: Array, offset: Array, cosmology: Mapping[str, Any]) -> Array:
        """Continuation below the grid, (N, K''); that of the last single point is kept."""
        known = tuple(cosmology[name].item() for name in _SHAPE) if _is_single(cosmology) else ()
        last, kept = self._last
        if known and known == last:
            return kept
        found: Array = features(cosmology) @ matrix[:, self._low] + offset[self._low]
        self._last = known, found
        return found


def _blocks(matrix: Array) -> list[tuple[slice, slice, Array]]:
    """Rows, columns and entries of the blocks of a matrix (K, K') outside which it is nearly 0."""
    found = []
    for start in range(0, matrix.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        rows = _span(np.any(np.abs(matrix[:, columns]) > _NEGLIGIBLE, axis=1))
        found.append((rows, columns, matrix[rows, columns].copy()))
    return found


def _multiply(values: Array, blocks: list[tuple[slice, slice, Array]], out: Array) -> None:
    """Product of values (N, K) with a matrix, in half the time of one with all its entries."""
    for rows, columns, block in blocks:
        np.matmul(values[:, rows], block, out=out[:, columns])


def _span(where: NDArray[np.bool_]) -> slice:
    """Slice from the first to the last true place."""
    places = np.flatnonzero(where)
    return slice(places[0], places[-1] + 1) if len(places) else slice(0)


def _is_single(cosmology: Mapping[str, Any]) -> bool:
    return all(isinstance(cosmology[n], np.ndarray) and cosmology[n].size == 1 for n in _SHAPE)


@lru_cache(maxsize=256)
def _in_order(
    names: tuple[str, ...], without: tuple[str, ...]
) -> tuple[tuple[str, ...], int, int, int, dict[str, tuple[str, ...]]]:
    """Sort spectra into 1-halo terms, linear spectra, totals, and those to be left out.

    Returns:
        The names; the ends of the first three groups; and the terms of totals that have them.
    """
    entries = [output(name) for name in names]
    kinds = [
        3 if one.name in without else 2 if one.is_total else 1 if one.is_linear else 0
        for one in entries
    ]
    ends = [sum(kind <= last for kind in kinds) for last in range(3)]
    ordered = [name for _, name in sorted(zip(kinds, names, strict=True), key=lambda one: one[0])]
    totals = {one.name: one.terms for one in entries if one.is_total and {*one.terms} <= {*names}}
    return tuple(ordered), ends[0], ends[1], ends[2], totals


def _above(ln_grid: Array, ln_k: Array) -> Array:
    """Matrix from values on the grid to the change above its last value, shape (K', K).

    The change is a parabola through the last value, fitted to the values before it.
    """
    tail = np.flatnonzero(ln_grid >= min(ln_grid[-1] - _TAIL, ln_grid[-4]))
    x = ln_grid[tail] - ln_grid[-1]
    fit = np.linalg.pinv(np.stack([x, x**2], axis=1))  # of differences from the last value
    beyond = np.maximum(ln_k - ln_grid[-1], 0.0)
    matrix = np.zeros((len(ln_k), len(ln_grid)))
    matrix[:, tail] = np.stack([beyond, beyond**2], axis=1) @ fit
    matrix[:, -1] -= matrix.sum(axis=1)
    return matrix


def _slope(ln_grid: Array, ln_k: Array) -> Array:
    """Matrix from values on the grid to the change of a straight line below it, shape (K', K)."""
    matrix = np.zeros((len(ln_k), len(ln_grid)))
    way = np.minimum(ln_k - ln_grid[0], 0.0) / (ln_grid[1] - ln_grid[0])
    matrix[:, 0], matrix[:, 1] = -way, way
    return matrix


def _continuation(
    below: Mapping[str, Any], ln_k: Array, is_below: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Matrix and offset from features to ln [P_lin(k) / P_lin(k_0)] below the grid, 0 on it."""
    known = np.log(below["k"])
    wanted = ln_k[is_below]
    spline = spline_matrix(known, np.maximum(wanted, known[0]))
    matrix = np.zeros((FEATURES, len(ln_k)))
    matrix[:, is_below] = (spline @ below["matrix"]).T
    matrix[N_S, is_below] += np.minimum(wanted - known[0], 0.0)  # k^n_s below the table
    offset = np.zeros(len(ln_k))
    offset[is_below] = spline @ below["offset"]
    return matrix, offset


def _log(P: NDArray[Any]) -> Array:
    """Logarithm of P; 1-halo terms may be 0, if no halo has two galaxies."""
    result: Array = np.log(np.maximum(P.astype(np.float64), NONE))
    return result


def _check(k: NDArray[Any], grid: Array, extrapolate: bool, above: bool) -> Array:
    """Wavenumbers [1/Mpc], shape (K',), checked to lie in the supported range."""
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
            f"k[{i}] = {outsider(wanted[i], low, high)} 1/Mpc is outside [{low:g}, {high:g}], the "
            f"wavenumbers of the emulator{hint}"
        )
    return wanted


def spline_matrix(x: Array, wanted: Array, degree: int = 3) -> Array:
    """Matrix from values at x to those of their spline at ``wanted``, shape (K', K).

    The spline has not-a-knot ends, as by default in scipy. It is linear in the values, so that one
    matrix serves any number of spectra.

    Args:
        x: Increasing nodes, shape (K,), at least one more than the degree.
        wanted: Places at which to evaluate, between the first and the last node, shape (K',).
        degree: Degree of the polynomials, odd.

    Raises:
        ValueError: If there are too few nodes.
    """
    if len(x) <= degree:
        raise ValueError(
            f"interpolation in k needs {degree + 1} wavenumbers, the emulator has {len(x)}"
        )
    inner = (degree + 1) // 2
    ends = np.ones(degree + 1)
    knots = np.concatenate([x[0] * ends, x[inner : len(x) - inner], x[-1] * ends])
    of_values = np.linalg.inv(_basis(knots, x, degree))
    matrix: Array = _basis(knots, wanted, degree) @ of_values
    return matrix


def _basis(knots: Array, x: Array, degree: int) -> Array:
    """B-splines at x, shape (X, B), by the recursion of Cox and de Boor."""
    last = int(np.searchsorted(knots, knots[-1])) - 1  # interval that ends with the knots
    interval = np.minimum(np.searchsorted(knots, x, side="right") - 1, last)
    values = np.zeros((len(x), len(knots) - 1))
    values[np.arange(len(x)), interval] = 1.0
    for d in range(1, degree + 1):
        count = len(knots) - 1 - d
        left, right = knots[:count], knots[d + 1 : d + 1 + count]
        rising, falling = knots[d : d + count] - left, right - knots[1 : 1 + count]
        up = np.divide(x[:, None] - left, rising, where=rising > 0, out=np.zeros((len(x), count)))
        down = np.divide(
            right - x[:, None], falling, where=falling > 0, out=np.zeros((len(x), count))
        )
        values = up * values[:, :count] + down * values[:, 1 : count + 1]
    return values
