"""What a spline in k misses of the acoustic wiggles, learnt once for a box of cosmologies.

Fifty wavenumbers do not resolve the wiggles of P_lin: where there are many baryons, a spline
through them is off by 20 % in between. But the values on the grid say which cosmology it is,
and so what is in between: the difference of ln P_lin and its spline is, to high accuracy, linear
in ln P_lin on the grid.
"""

from typing import Any

import numpy as np

from datagen.design import Design, draw
from datagen.generate import load_table
from datagen.halomodel import HaloModelConfig
from datagen.space import COSMOLOGY, Space
from emulator.emulator import Spec
from export.interpolate import spline_matrix

__all__ = ["fit_wiggles"]

_END = 2.0  # 1/Mpc; beyond, the wiggles are gone and the spline is good to 1e-5
_REFINE = 4  # fine nodes in an interval of the grid; with 8 the error is the same
_POINTS = 3000
_HELD_OUT = 1000
_NOISE = 1e-4  # error of an emulated ln P_lin, which the map must not amplify
_DIGITS = 7


def fit_wiggles(spec: Spec) -> dict[str, Any] | None:
    """The map from ln P_lin on the grid to what its spline misses at finer wavenumbers.

    Args:
        spec: Of an emulator.

    Returns:
        ``k``, fine wavenumbers [1/Mpc], shape (F,); ``matrix``, shape (F, K), and ``offset``,
        shape (F,); ``accuracy``, percentiles of |P/P_true - 1| of P_lin between the wavenumbers,
        for cosmologies that were not fitted to. None if the model has no P_lin, or no table.
    """
    model = HaloModelConfig.from_dict(spec.halo_model)
    grid = np.log(spec.k)
    intervals = int(np.searchsorted(spec.k, _END))
    if "P_lin" not in spec.outputs or model.linear_power == "camb" or len(grid) < 4:
        return None
    theta = draw(Design(_POINTS), spec.space)[:, : len(COSMOLOGY)]
    fine = np.interp(
        np.arange(_REFINE * min(intervals, len(grid) - 1) + 1) / _REFINE, range(len(grid)), grid
    )
    values, between = _ln_P(model, spec.space, theta, grid, fine)
    missed = between - values @ spline_matrix(grid, fine).T
    fitted = slice(_HELD_OUT, None)
    matrix, offset = _ridge(values[fitted], missed[fitted])
    rng = np.random.default_rng(0)
    noisy = values[:_HELD_OUT] + _NOISE * rng.standard_normal((_HELD_OUT, len(grid)))
    error = np.abs(np.expm1(missed[:_HELD_OUT] - noisy @ matrix.T - offset))
    error = error[:, np.arange(len(fine)) % _REFINE > 0]
    return {
        "k": np.exp(fine).tolist(),
        "matrix": matrix.round(_DIGITS).tolist(),
        "offset": offset.round(_DIGITS).tolist(),
        "accuracy": {f"{q}": float(f"{np.percentile(error, q):.3g}") for q in (68, 95, 99, 100)},
    }


def _ln_P(
    model: HaloModelConfig, space: Space, theta: Any, grid: Any, fine: Any
) -> tuple[Any, Any]:
    """Ln P_lin at z = 0 on the grid and on fine wavenumbers, shapes (N, K) and (N, F)."""
    table = load_table(model, space)
    assert table is not None
    ln_P, _ = table(theta)
    return ln_P(grid).T, ln_P(fine).T


def _ridge(values: Any, missed: Any) -> tuple[Any, Any]:
    """Linear fit that ignores the amplitude, so that it holds at any redshift."""
    N, K = values.shape
    no_amplitude = np.eye(K) - 1 / K
    x = values @ no_amplitude
    mean, mean_missed = x.mean(axis=0), missed.mean(axis=0)
    x -= mean
    normal = x.T @ x + N * _NOISE**2 * np.eye(K)
    matrix = np.linalg.solve(normal, x.T @ (missed - mean_missed)).T @ no_amplitude
    return matrix, mean_missed - matrix @ mean
