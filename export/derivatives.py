"""Derivatives of an emulator's outputs with onnxruntime and numpy alone.

Derivatives of the outputs of a graph are exact (`export.tangents`). Those of functions of the
outputs, statistics and spectra at other wavenumbers, are central differences in double precision
between outputs that are moved along their slopes.

Where galaxies are integrated in Python there is no graph. Each derivative is then that of the
polynomial through four calls along its parameter, all in one batch. The spacing of the calls is
large enough that single precision hardly matters, and small enough that the fifth order does not
(measured in ``tests/test_derivatives.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.space import SumBelow
from export.ranges import Parameter

__all__ = ["STEP", "Beside", "Stencil", "directions", "stencil"]

STEP = 0.01  # spacing of calls, as a fraction of a parameter's range
_OFFSETS = np.array([-2.0, -1.0, 1.0, 2.0])
_MOVED = 1e-3  # largest change of a logarithm between a point and its neighbours
_MARGIN = 1e-5  # distance from the limit of a sum of parameters, against rounding

Array = NDArray[np.float64]


def directions(
    point: NDArray[np.float32], parameters: Sequence[Parameter], columns: Sequence[int]
) -> NDArray[np.float32]:
    """Changes of a point along D parameters, each of a typical size, shape (D, P).

    They keep slopes within single precision, also for masses.

    Args:
        point: Shape (P,).
        parameters: The parameters, in the order of columns.
        columns: Indices of the D columns.
    """
    changes = np.zeros((len(columns), len(point)), np.float32)
    for i, column in enumerate(columns):
        one = parameters[column]
        is_log = one.sampling == "log10" and point[column] > 0
        changes[i, column] = point[column] if is_log else one.high - one.low
    return changes


class Beside:
    """Outputs at points next to a point, two in each direction.

    Args:
        values: Outputs at the point by name, spectra (K,) and numbers.
        slopes: Their slopes along the directions, each (D, ...).
        point: The point, shape (P,).
        changes: The directions, shape (D, P).

    Attributes:
        values: Outputs at the neighbouring points, each (2 D, ...).
        points: The neighbouring points, shape (2 D, P).
    """

    def __init__(
        self,
        values: Mapping[str, NDArray[Any]],
        slopes: Mapping[str, NDArray[Any]],
        point: NDArray[np.float32],
        changes: NDArray[np.float32],
    ) -> None:
        D = len(changes)
        relative, largest = {}, np.ones(D)
        for name, slope in slopes.items():
            value = np.asarray(values[name], np.float64)
            there = value > 0
            one = np.where(there, slope / np.where(there, value, 1.0), 0.0)
            relative[name] = one
            largest = np.maximum(largest, np.abs(one).reshape(D, -1).max(axis=1))
        step = _MOVED / np.where(np.isfinite(largest), largest, 1.0)
        self._steps = step * changes.astype(np.float64).sum(axis=1)
        both = np.concatenate([step, -step])
        self.values = {
            name: values[name] * np.exp(_times(both, np.concatenate([one, one])))
            for name, one in relative.items()
        }
        self.points = point + _times(both, np.concatenate([changes, changes]).astype(np.float64))

    def slopes(self, found: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
        """Derivatives (D, ...) of functions of the outputs, given their values at `points`."""
        halves = {name: np.split(one, 2) for name, one in found.items()}
        return {n: _times(0.5 / self._steps, up - down) for n, (up, down) in halves.items()}


def _times(factors: Array, rows: Array) -> Array:
    """Rows (R, ...) times their factors (R,)."""
    result: Array = factors.reshape(-1, *[1] * (rows.ndim - 1)) * rows
    return result


@dataclass(frozen=True)
class Stencil:
    """Points and weights of finite differences.

    Attributes:
        points: Points (N, D, S, P), S = 4 for each of D parameters.
        weights: Weights of their values in the derivatives, (N, D, S).
    """

    points: NDArray[np.float32]
    weights: Array

    def derivatives(self, values: NDArray[np.floating]) -> Array:
        """Derivatives (N, D, ...) from values at all points, flattened to (N D S, ...)."""
        N, D, S, _ = self.points.shape
        values = values.reshape(N, D, S, *values.shape[1:])
        weights = self.weights[:, :, None]  # (N, D, 1, S) by (N, D, S, K)
        slopes: Array = weights @ values.reshape(N, D, S, -1).astype(np.float64)
        return slopes.reshape(N, D, *values.shape[3:])


def stencil(
    x: NDArray[np.float32],
    parameters: Sequence[Parameter],
    columns: Sequence[int],
    domains: Sequence[object] = (),
) -> Stencil:
    """Finite-difference stencils at points, all within the trained ranges.

    Args:
        x: Points within the ranges, shape (N, P).
        parameters: The parameters, in the order of columns.
        columns: Indices of the D columns of the derivatives.
        domains: Domains of the emulator; calls respect limits of sums of parameters.
    """
    chosen = [parameters[column] for column in columns]
    is_log = np.array([one.sampling == "log10" for one in chosen])
    ends = np.array([[one.low, one.high] for one in chosen])
    middle = x[:, columns].astype(np.float64)  # (N, D)
    low, high = np.broadcast_to(ends[:, 0], middle.shape), _highest(x, parameters, chosen, domains)
    step = ends[:, 1] - ends[:, 0]
    if is_log.any():
        logs = np.where(is_log, np.log(np.where(is_log, ends.T, 1.0)), ends.T)
        step = logs[1] - logs[0]
        low, high, middle = (
            np.where(is_log, np.log(np.where(is_log, one, 1.0)), one) for one in (low, high, middle)
        )
    step = STEP * step
    # near an end of a range all calls move inwards
    first = np.maximum(np.minimum(middle - 2 * step, high - 4 * step), low)
    u = first[..., None] + step[:, None] * (_OFFSETS + 2)  # (N, D, S)
    value = np.where(is_log[:, None], np.exp(np.where(is_log[:, None], u, 0.0)), u)
    value = np.clip(value.astype(np.float32), *ends.T.astype(np.float32)[..., None])
    exact = value.astype(np.float64)
    u = np.where(is_log[:, None], np.log(np.where(is_log[:, None], exact, 1.0)), exact)
    weights = _weights((u - middle[..., None]) / step[:, None]) / step[:, None]
    weights /= np.where(is_log, x[:, columns], 1.0)[..., None]
    N, D = middle.shape
    points = np.broadcast_to(x[:, None, None], (N, D, len(_OFFSETS), x.shape[1])).copy()
    points[:, np.arange(D), :, list(columns)] = value.swapaxes(0, 1)
    return Stencil(points, weights)


def _highest(
    x: NDArray[np.float32],
    parameters: Sequence[Parameter],
    chosen: Sequence[Parameter],
    domains: Sequence[object],
) -> Array:
    """Largest values (N, D) of each parameter while the others are fixed."""
    high = np.broadcast_to([one.high for one in chosen], (len(x), len(chosen)))
    names = [one.name for one in parameters]
    for domain in domains:
        if isinstance(domain, SumBelow):
            total = x[:, [names.index(name) for name in domain.names]].sum(axis=1)
            room = np.maximum(domain.below - total - _MARGIN, 0.0)
            for i, one in enumerate(chosen):
                if one.name in domain.names:
                    high = high.copy()
                    high[:, i] = np.minimum(high[:, i], x[:, names.index(one.name)] + room)
    return high


def _weights(u: Array) -> Array:
    """Weights (..., S) of values at positions u (..., S) for the derivative at 0.

    The derivative is that of the interpolating polynomial, by Lagrange's formula.
    """
    S = u.shape[-1]
    away = u[..., :, None] - u[..., None, :] + np.eye(S)  # (..., S, S)
    others = ~np.eye(S, dtype=bool)
    top = np.zeros_like(u)
    for i in range(S):
        rest = u[..., others[i]]  # (..., S - 1)
        left = [np.delete(rest, j, axis=-1) for j in range(S - 1)]
        top[..., i] = sum(np.prod(-one, axis=-1) for one in left)
    weights: Array = top / away.prod(axis=-1)
    return weights
