"""Fit the network of the growth factor: ``python -m emulator.semianalytic.growth_fit``.

Least squares over all 900 weights at once, by the steps of Levenberg and Marquardt. Takes two
minutes on one core; the result is part of the package.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import trange

from datagen.ccl import radiation_density
from datagen.cli import run
from datagen.growth import growth_factor, growth_rate
from emulator.semianalytic.growth import RANGES, WEIGHTS, features, logarithms

__all__ = ["GrowthFit", "box", "fit_growth"]

Array = NDArray[np.float64]

_LOW, _HIGH = np.array(list(RANGES.values())).T  # Om_m, h, w0, wa, z
_EARLY = -0.1  # w0 + wa stays below
# Share of the points of each kind, and the weight of their errors
_KINDS = {"": (0.4, 1.0), "edges": (0.5, 1.0), "lcdm": (0.1, 3.0)}
_HOPELESS = 1e9  # damping at which the fit stops: no step leads downhill any more
_RIDGE = 1e-13  # keeps weights small, for float32


@dataclass(frozen=True)
class GrowthFit:
    """Settings of the fit of the growth network.

    Attributes:
        units: Number of hidden units.
        points: Number of cosmologies and redshifts, a tenth of them LCDM.
        iterations: Number of steps.
        seed: Seed of the points and of the initial weights.
    """

    units: int = 48
    points: int = 8000
    iterations: int = 300
    seed: int = 3


def box(n: int, rng: np.random.Generator, kind: str = "") -> Array:
    """Points (5, n) of the box, columns Om_m, h, w0, wa, z: even in ln Om_m and ln(1 + z).

    Args:
        n: Number of points.
        rng: Random generator.
        kind: ``lcdm`` for w0 = -1 and wa = 0, ``edges`` for points on faces of the box and on the
            limit of w0 + wa.
    """
    low, high = _LOW.copy(), _HIGH.copy()
    for ends in (low, high):
        ends[0], ends[4] = np.log(ends[0]), np.log1p(ends[4])
    unit = rng.random((8 * n, 5))
    if kind == "edges":
        on_face = rng.random(unit.shape) < 0.3
        unit = np.where(on_face, np.round(unit), unit)
    theta = low + unit * (high - low)
    theta[:, 0], theta[:, 4] = np.exp(theta[:, 0]), np.expm1(theta[:, 4])
    if kind == "lcdm":
        theta[:, 2:4] = -1, 0
    if kind == "edges":
        limit = np.clip(_EARLY - theta[:, 2], _LOW[3], _HIGH[3])
        theta[:, 3] = np.where(rng.random(len(theta)) < 0.3, limit, theta[:, 3])
    theta = np.clip(theta, _LOW, _HIGH)
    return theta[theta[:, 2] + theta[:, 3] <= _EARLY + 1e-12][:n].T


def fit_growth(out_file: Path = WEIGHTS, fit: GrowthFit = GrowthFit()) -> Path:
    """Fit the network and write its weights.

    Args:
        out_file: File to write.
        fit: Settings of the fit.
    """
    rng = np.random.default_rng(fit.seed)
    parts = [box(round(share * fit.points), rng, kind) for kind, (share, _) in _KINDS.items()]
    theta = np.concatenate(parts, axis=1)
    importance = [
        np.full(part.shape[1], weight)
        for part, (_, weight) in zip(parts, _KINDS.values(), strict=True)
    ]
    Om_m, h, w0, wa, z = (torch.from_numpy(values)[:, None] for values in theta)
    x, ln_since, _ = features(logarithms(Om_m, h, z), w0, wa)
    middle, half = (x.amax(0) + x.amin(0)) / 2, (x.amax(0) - x.amin(0)) / 2
    x = (x - middle) / half
    mean = torch.from_numpy(_mean_rate(theta))
    weight = torch.from_numpy(np.concatenate(importance)) * (ln_since[:, 0] + 0.1)
    start = _start(x.shape[1], fit.units, rng)
    shift, scale = mean.mean(), mean.std()
    row = _marquardt(start, x, (mean - shift) / scale, weight, fit.iterations)
    hidden, bias, out, offset = _parts(row, x.shape[1])
    arrays = {
        "radiation": torch.tensor(radiation_density()),
        "hidden.weight": (hidden / half[:, None]).T,
        "hidden.bias": bias - (middle / half) @ hidden,
        "mean_rate.weight": (out * scale)[None],
        "mean_rate.bias": offset * scale + shift,
    }
    numbers: dict[str, Any] = {name: values.numpy() for name, values in arrays.items()}
    np.savez(out_file, **numbers)
    return out_file


def _mean_rate(theta: Array) -> Array:
    """Mean of dln D / dln(1 + z) from today to z, shape (N,); its value today at z = 0."""
    ln_since = np.log1p(theta[4])
    late = ln_since < 1e-5
    mean = np.log(growth_factor(*theta)) / np.where(late, 1.0, ln_since)
    return np.where(late, -growth_rate(*theta), mean)


def _start(inputs: int, units: int, rng: np.random.Generator) -> Tensor:
    """Initial weights, all in one row."""
    hidden = rng.normal(size=(inputs, units)) / inputs**0.5
    out = rng.normal(size=units) / units**0.5
    parts = hidden.ravel(), rng.uniform(-1, 1, units), out, np.zeros(1)
    return torch.from_numpy(np.concatenate(parts))


def _parts(row: Tensor, inputs: int) -> tuple[Tensor, ...]:
    """Weights (inputs, units) and biases of the hidden layer, weights and bias of the last."""
    units = (len(row) - 1) // (inputs + 2)
    hidden, bias, out, offset = row.split([inputs * units, units, units, 1])
    return hidden.view(inputs, units), bias, out, offset


def _network(row: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The network's numbers (N,), and its hidden units (N, units)."""
    hidden, bias, out, offset = _parts(row, x.shape[1])
    units = torch.tanh(x @ hidden + bias)
    return units @ out + offset, units


def _slopes(row: Tensor, x: Tensor, units: Tensor) -> Tensor:
    """Derivatives of the network's numbers by all weights, shape (N, W)."""
    _, _, out, _ = _parts(row, x.shape[1])
    by_bias = out * (1 - units**2)
    by_hidden = (x[:, :, None] * by_bias[:, None, :]).flatten(1)
    return torch.cat([by_hidden, by_bias, units, torch.ones(len(x), 1)], dim=1)


def _marquardt(row: Tensor, x: Tensor, target: Tensor, weight: Tensor, steps: int) -> Tensor:
    """Minimise weighted squares by damped steps, and return the weights.

    Steps are damped in units of the largest curvature of each weight so far (More 1978); without
    that, the result depends on the seed.
    """
    damping, ridge, steepest = 1e-2, _RIDGE * len(x), torch.zeros_like(row)

    def cost(row: Tensor, out: Tensor) -> float:
        squares = ((out - target) * weight).square().sum()
        return float(squares + ridge * row.square().sum())

    out, units = _network(row, x)
    least = cost(row, out)
    for _ in (bar := trange(steps, desc="growth", unit="step", disable=None)):
        slopes = _slopes(row, x, units) * weight[:, None]
        curvature = slopes.T @ slopes
        curvature.diagonal().add_(ridge)
        steepest = torch.maximum(steepest, curvature.diagonal())
        gradient = slopes.T @ ((out - target) * weight) + ridge * row
        while damping < _HOPELESS:
            step = torch.linalg.solve(curvature + damping * torch.diag(steepest), gradient)
            tried, tried_units = _network(row - step, x)
            if cost(row - step, tried) < least:
                row, out, units = row - step, tried, tried_units
                least, damping = cost(row, out), max(damping / 3, 1e-12)
                break
            damping *= 4
        else:
            break
        bar.set_postfix(rms=f"{(least / len(x)) ** 0.5:.2e}")
    return row


def main(argv: list[str] | None = None) -> None:
    """Command line of `fit_growth`."""
    run(fit_growth, "python -m emulator.semianalytic.growth_fit", argv)


if __name__ == "__main__":
    main()
