"""Errors of P, never of ln P: |P / P_true - 1|, with percentiles by k and parameter regime."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.space import Space
from datagen.store import Spectra

__all__ = ["PERCENTILES", "REGIMES", "accuracy", "fractional_error", "spectra_accuracy"]

Array = NDArray[np.float64]
Regime = Callable[[Array, Space], NDArray[np.bool_]]

PERCENTILES: tuple[float, ...] = (50, 68, 90, 95, 99, 99.9, 100)
_EDGE = 0.01  # fraction of a parameter's range at each end that counts as edge
_DIGITS = 4  # digits of numbers in a record


def _below(name: str, limit: float) -> Regime:
    return lambda theta, space: _column(name, theta, space) < limit


def _above(name: str, limit: float) -> Regime:
    return lambda theta, space: _column(name, theta, space) > limit


def _column(name: str, theta: Array, space: Space) -> Array:
    """A parameter of points; NaN if the space does not have it, so that no point is in a regime.

    ``alpha`` is the fraction of centrals in linke22 only, and the slope of satellites elsewhere.
    """
    other = name == "alpha" and space.occupation.partition("+")[0] != "linke22"
    if name not in space.names or other:
        return np.full(len(theta), np.nan)
    return theta[:, space.names.index(name)]


def _at_an_edge(theta: Array, space: Space) -> NDArray[np.bool_]:
    free = space.high > space.low
    position = space.to_unit(theta)[:, free]
    return np.asarray(((position < _EDGE) | (position > 1 - _EDGE)).any(axis=1))


REGIMES: dict[str, Regime] = {
    "alpha > 0.1": _above("alpha", 0.1),
    "alpha < 0.1": _below("alpha", 0.1),
    "Mth < 1e13": _below("Mth", 1e13),
    "sigma < 0.1": _below("sigma", 0.1),
    "z > 1": _above("z", 1.0),
    "edge of the box": _at_an_edge,
}


def fractional_error(Pk: ArrayLike, Pk_true: ArrayLike) -> Array:
    """Return |P / P_true - 1|, element by element.

    Args:
        Pk: Predicted spectra [Mpc^3], shape (N, K).
        Pk_true: True spectra [Mpc^3], shape (N, K).

    Example:
        >>> fractional_error([[101.0, 50.0]], [[100.0, 50.0]]).round(3)
        array([[0.01, 0.  ]])
    """
    return np.abs(np.asarray(Pk, np.float64) / np.asarray(Pk_true, np.float64) - 1)


def _percentiles(error: Array) -> dict[str, float]:
    return {f"{q:g}": _round(np.percentile(error, q)) for q in PERCENTILES}


def _round(x: float) -> float:
    return float(f"{x:.{_DIGITS}g}")


def accuracy(error: Array) -> dict[str, Any]:
    """Return percentiles of the fractional error.

    Args:
        error: |P / P_true - 1|, shape (N, K).

    Returns:
        ``points``, the number of points; and, for each of `PERCENTILES`, ``all``, over all
        (point, k), and ``worst_k``, over points of the largest error in k.
    """
    return {
        "points": len(error),
        "all": _percentiles(error),
        "worst_k": _percentiles(error.max(axis=1)),
    }


def spectra_accuracy(
    predicted: Mapping[str, ArrayLike], spectra: Spectra, space: Space
) -> dict[str, dict[str, Any]]:
    """Return the accuracy record of each output.

    Args:
        predicted: Spectra [Mpc^3] by name, each (N, K), or derived numbers, each (N,).
        spectra: True labels of the same points.
        space: Trained ranges of the parameters, for the regime at their edges.

    Returns:
        By name: the entries of `accuracy` for all points; ``per_k``, K numbers for each of
        `PERCENTILES` (one for a derived number); and ``regimes``, the entries of `accuracy` for
        the points in each of `REGIMES` that has points.
    """
    inside = {name: regime(spectra.theta, space) for name, regime in REGIMES.items()}
    records = {}
    for name, Pk in predicted.items():
        error = fractional_error(Pk, spectra[name]).reshape(len(spectra), -1)
        per_k = np.percentile(error, PERCENTILES, axis=0)
        records[name] = accuracy(error) | {
            "per_k": {
                f"{q:g}": [_round(x) for x in row]
                for q, row in zip(PERCENTILES, per_k, strict=True)
            },
            "regimes": {
                regime: accuracy(error[rows]) for regime, rows in inside.items() if rows.any()
            },
        }
    return records
