"""Corrections of splines in k for acoustic wiggles, and the linear power below the grid.

Fifty wavenumbers do not resolve the wiggles of P_lin: with many baryons, a spline through them is
off by 20 % between them. But the values on the grid determine the cosmology, and so the power
between them: the difference of ln P_lin and its spline is, to high accuracy, linear in ln P_lin on
the grid. Below the grid, the ratio to the first value is a polynomial in the cosmology, see
`datagen.large_scales`. Both are fitted once for a box of cosmologies.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from datagen.design import Design, draw
from datagen.large_scales import features
from datagen.linear_power import LinearPower
from datagen.space import BACKGROUND, Space, columns_by_name

__all__ = ["fit_bao"]

Array = NDArray[np.float64]

_END = 2.0  # 1/Mpc; beyond, there are no wiggles and the spline is accurate to 1e-5
_REFINE = 4  # fine nodes per interval of the grid; with 8 the error is the same
_POINTS = 3000
_HELD_OUT = 1000
_CHUNK = 250
_NOISE = 1e-4  # error of an emulated ln P_lin, which the fit must not amplify
_DIGITS = 7
_LOWEST = 1.3e-4  # 1/Mpc, just above the lowest wavenumber of any linear power
_BELOW = 24  # number of wavenumbers below the grid


def fit_bao(k: Array, linear_power: LinearPower, space: Space) -> dict[str, Any]:
    """Fit the correction of a spline through ln P_lin on a grid, at finer wavenumbers.

    Args:
        k: Wavenumbers of the grid [1/Mpc], shape (K,).
        linear_power: Linear power.
        space: Box of the parameters.

    Returns:
        ``k``, fine wavenumbers [1/Mpc], shape (F,); ``matrix``, shape (F, K), and ``offset``,
        shape (F,), of the correction ``matrix ln P_lin + offset``; ``accuracy``, percentiles of
        |P/P_true - 1| of P_lin between the wavenumbers, for cosmologies not used in the fit; and
        ``below``, the same entries for ln P_lin below the grid relative to the first wavenumber,
        with a ``matrix`` for `datagen.large_scales.features`. Empty for a grid of less than four
        wavenumbers.
    """
    if len(k) < 4:
        return {}
    grid = np.log(k)
    intervals = min(int(np.searchsorted(k, _END)), len(k) - 1)
    fine = np.interp(np.arange(_REFINE * intervals + 1) / _REFINE, range(len(k)), grid)
    theta = draw(Design(_POINTS), space)
    low = np.linspace(np.log(min(_LOWEST, 0.5 * k[0])), grid[0], _BELOW + 1)
    values, between, below = _ln_P(linear_power, theta, grid, fine, low)
    missed = between - CubicSpline(grid, values, axis=1)(fine)
    fitted = slice(_HELD_OUT, None)
    matrix, offset = _ridge(values[fitted], missed[fitted])
    rng = np.random.default_rng(0)
    noisy = values[:_HELD_OUT] + _NOISE * rng.standard_normal((_HELD_OUT, len(k)))
    error = np.abs(np.expm1(missed[:_HELD_OUT] - noisy @ matrix.T - offset))
    error = error[:, np.arange(len(fine)) % _REFINE > 0]
    return {
        "k": np.exp(fine).tolist(),
        "matrix": matrix.round(_DIGITS).tolist(),
        "offset": offset.round(_DIGITS).tolist(),
        "accuracy": _percentiles(error),
        "below": _fit_below(low, below - below[:, -1:], _features(theta)),
    }


def _percentiles(error: Array) -> dict[str, float]:
    return {f"{q}": float(f"{np.percentile(error, q):.3g}") for q in (68, 95, 99, 100)}


def _features(theta: Array) -> Array:
    return features(columns_by_name(theta[:, : len(BACKGROUND)], BACKGROUND))


def _fit_below(ln_k: Array, ratio: Array, x: Array) -> dict[str, Any]:
    """Fit the polynomial for ln P_lin(k) / P_lin(k_0) by least squares; see `fit_bao`."""
    x = np.column_stack([x, np.ones(len(x))])
    found = np.linalg.lstsq(x[_HELD_OUT:], ratio[_HELD_OUT:], rcond=None)[0]
    error = np.abs(np.expm1(x[:_HELD_OUT] @ found - ratio[:_HELD_OUT]))[:, :-1]
    return {
        "k": np.exp(ln_k).tolist(),
        "matrix": found[:-1].T.round(_DIGITS).tolist(),
        "offset": found[-1].round(_DIGITS).tolist(),
        "accuracy": _percentiles(error),
    }


def _ln_P(linear_power: LinearPower, theta: Array, *ln_k: Array) -> list[Array]:
    """Ln P_lin at z = 0 of all points at several sets of wavenumbers, each (N, K)."""
    rows: list[list[Array]] = []
    for start in range(0, len(theta), _CHUNK):
        ln_P, _ = linear_power(
            columns_by_name(theta[start : start + _CHUNK, : len(BACKGROUND)], BACKGROUND)
        )
        rows.append([ln_P(x).T for x in ln_k])
    return [np.concatenate(part) for part in zip(*rows, strict=True)]


def _ridge(values: Array, missed: Array) -> tuple[Array, Array]:
    """Linear fit that ignores the amplitude, so that it is valid at any redshift."""
    N, K = values.shape
    no_amplitude = np.eye(K) - 1 / K
    x = values @ no_amplitude
    mean, mean_missed = x.mean(axis=0), missed.mean(axis=0)
    x -= mean
    normal = x.T @ x + N * _NOISE**2 * np.eye(K)
    matrix = np.linalg.solve(normal, x.T @ (missed - mean_missed)).T @ no_amplitude
    return matrix, mean_missed - matrix @ mean
