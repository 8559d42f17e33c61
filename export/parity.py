"""Compare an ONNX file with the torch emulator that it was written from."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from datagen.space import Space
from emulator.metrics import fractional_error
from export.lowest_mass import BelowLowestMassWarning
from export.ranges import OutOfRangeWarning
from export.runtime import OnnxEmulator
from export.sharp_thresholds import SharpThresholdWarning

__all__ = ["TOLERANCE", "ExportMismatch", "points_of", "verify"]

# Rounding of |P/P' - 1| in float32 at random points. A wrong activation or scaling shows at 1e-3.
TOLERANCE = 5e-4
# [Mpc^3]; at corners without labels, outputs of a network may leave the range of float32
_TINY, _HUGE = 1e-37, 1e37
_RARE = 20.0  # b_eff of galaxies in haloes that are too rare to exist, 6 sigma above the mean
_NONE = 1e-12  # n_g [1/Mpc^3] below which there are no galaxies
# If galaxies live in the tail of a threshold, or beyond the last haloes, float32 has few digits of
# them, and the error function of onnxruntime has fewer than that of torch: errors may be this many
# times the rounding of torch
_ROUNDING, _FINE = 50, 1e-5
RANDOM_POINTS = 10_000


class ExportMismatch(ValueError):  # noqa: N818 (it says what happened)
    """An ONNX file whose outputs differ from those of the emulator it was made from."""


def verify(model: nn.Module, path: Path, theta: NDArray[np.float64]) -> float:
    """Largest |P_onnx / P_torch - 1| of the points where torch itself has small rounding errors.

    Args:
        model: An emulator, or several; converted to double precision in place.
        path: The ONNX file.
        theta: Points, shape (N, P).

    Raises:
        ExportMismatch: If differences exceed rounding errors at a point.
    """
    with torch.inference_mode():
        singles = model(torch.tensor(theta, dtype=torch.float32))
        reference = model.double()(torch.tensor(theta))
    with warnings.catch_warnings():
        for known in (BelowLowestMassWarning, SharpThresholdWarning):
            warnings.simplefilter("ignore", known)
        warnings.simplefilter("ignore", OutOfRangeWarning)  # a domain does not change the numbers
        spectra = OnnxEmulator(path, out_of_range="warn")(theta)
    worst, ones = 0.0, np.ones(len(theta))
    n_g, b_eff = (np.asarray(spectra.get(n, ones), np.float64) for n in ("n_g", "b_eff"))
    there = (n_g > _NONE) & (b_eff < _RARE)
    rounding = np.max([_error(*two) for two in zip(singles, reference, strict=True)], axis=0)
    tolerance = TOLERANCE + _ROUNDING * rounding
    for (name, Pk), expected in zip(spectra.items(), reference, strict=True):
        error = np.where(there, _error(Pk, expected), 0.0)
        row = int(np.argmax(error / tolerance))
        if not error[row] <= tolerance[row]:
            raise ExportMismatch(
                f"{name} differs by {error[row]:.1e} (tolerance {tolerance[row]:.1g}) between "
                f"onnxruntime and torch at theta = {theta[row].tolist()}"
            )
        worst = max(worst, float(error[rounding < _FINE].max(initial=0.0)))
    return worst


def _error(ours: Any, expected: Any) -> NDArray[np.float64]:
    """Largest |P / P' - 1| over k for each point, shape (N,)."""
    both = (np.clip(np.asarray(P), _TINY, _HUGE).reshape(len(P), -1) for P in (ours, expected))
    largest: NDArray[np.float64] = fractional_error(*both).max(axis=1)
    return largest


def points_of(space: Space) -> NDArray[np.float64]:
    """All corners of the space and random points in it, rounded to float32, shape (N, P)."""
    axes = [np.unique([space[name].low, space[name].high]) for name in space.names]
    corners = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    for limit in space.limits():
        corners = corners[limit.is_inside(corners)]
    random = space.from_unit(np.random.default_rng(0).random((RANDOM_POINTS, len(axes))))
    return np.concatenate([corners, random]).astype(np.float32).astype(np.float64)
