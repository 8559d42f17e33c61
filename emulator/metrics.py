"""Errors of P, never of ln P: |P / P_true - 1| and its percentiles."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PERCENTILES", "accuracy", "fractional_error"]

PERCENTILES: tuple[float, ...] = (50, 68, 90, 95, 99, 99.9, 100)


def fractional_error(Pk: ArrayLike, Pk_true: ArrayLike) -> NDArray[np.float64]:
    """|P / P_true - 1|, element by element.

    Args:
        Pk: Predicted spectra [Mpc^3], shape (N, K).
        Pk_true: True spectra [Mpc^3], shape (N, K).
    """
    return np.abs(np.asarray(Pk, np.float64) / np.asarray(Pk_true, np.float64) - 1)


def accuracy(Pk: ArrayLike, Pk_true: ArrayLike) -> dict[str, Any]:
    """Percentiles of the fractional error.

    Returns:
        ``points``, and for each of `PERCENTILES`: ``all`` over every (point, k), ``worst_k``
        over the points' largest error in k, and ``per_k``, a list of K numbers.
    """
    error = fractional_error(Pk, Pk_true)
    worst = error.max(axis=1)
    return {
        "points": len(error),
        "all": {f"{q:g}": float(np.percentile(error, q)) for q in PERCENTILES},
        "worst_k": {f"{q:g}": float(np.percentile(worst, q)) for q in PERCENTILES},
        "per_k": {f"{q:g}": np.percentile(error, q, axis=0).tolist() for q in PERCENTILES},
    }
