"""Fit the network of the growth factor: ``python -m emulator.semianalytic.growth_fit``.

Levenberg's and Marquardt's least squares over all weights at once: some hundred of them, which is
what this method is for. Takes a few minutes on one core; the result lies in the package.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import trange

from datagen.ccl import radiation_density
from datagen.cli import run
from datagen.growth import growth_factor, growth_rate
from emulator.semianalytic.growth import RANGES, WEIGHTS, features

__all__ = ["GrowthFit", "box", "fit_growth"]

Array = NDArray[np.float64]

_LOW, _HIGH = np.array(list(RANGES.values())).T  # Om_m, h, w0, wa, z
_EARLY = -0.1  # w0 + wa stays below
_RIDGE = 1e-13  # keeps weights small, for float32


@dataclass(frozen=True)
class GrowthFit:
    """How the network is fitted.

    Attributes:
        units: Hidden units of each of the two layers.
        points: Cosmologies and redshifts, a tenth of them LCDM.
        iterations: Steps.
        seed: Seed of the points and of the weights to begin with.
    """

    units: tuple[int, int] = (24, 24)
    points: int = 6000
    iterations: int = 250
    seed: int = 1


def box(n: int, rng: np.random.Generator, kind: str = "") -> Array:
    """Points (5, n) of the box, columns Om_m, h, w0, wa, z: even in ln Om_m and ln(1 + z).

    Args:
        n: How many.
        rng: Where from.
        kind: ``lcdm`` has w0 = -1 and wa = 0, ``edges`` has points on faces of the box, and of
            the limit of w0 + wa.
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


def fit_growth(out: Path = WEIGHTS, fit: GrowthFit = GrowthFit()) -> Path:
    """Fit the network and write its weights.

    Args:
        out: The file to write.
        fit: How.
    """
    rng = np.random.default_rng(fit.seed)
    kinds = {"": 0.55, "edges": 0.35, "lcdm": 0.1}
    parts = [box(round(share * fit.points), rng, kind) for kind, share in kinds.items()]
    theta = np.concatenate(parts, axis=1)
    counts = [part.shape[1] for part in parts]
    importance = np.repeat([1.0, 1.0, 3.0], counts)
    columns = [torch.from_numpy(values)[:, None] for values in theta]
    x, ln_since = features(*columns)
    target = torch.from_numpy(_mean_rate(theta))
    middle, half = (x.amax(0) + x.amin(0)) / 2, (x.amax(0) - x.amin(0)) / 2
    weight = torch.from_numpy(importance) * (ln_since[:, 0] + 0.1)
    sizes = (x.shape[1], *fit.units, 1)
    start = _start(sizes, rng)
    mean, spread = target.mean(), target.std()
    found = _marquardt(
        start, sizes, (x - middle) / half, (target - mean) / spread, weight, fit.iterations
    )
    layers = _layers(found, sizes)
    layers[0] = layers[0][0] / half[:, None], layers[0][1] - (middle / half) @ layers[0][0]
    layers[-1] = layers[-1][0] * spread, layers[-1][1] * spread + mean
    arrays = {"radiation": np.array(radiation_density())}
    for i, (w, b) in enumerate(layers):
        arrays |= {f"{2 * i}.weight": w.T.numpy(), f"{2 * i}.bias": b.numpy()}
    np.savez(out, **arrays)
    return out


def _mean_rate(theta: Array) -> Array:
    """The mean of dln D / dln(1 + z) from today to z, shape (N,); today's own at z = 0."""
    ln_since = np.log1p(theta[4])
    late = ln_since < 1e-5
    mean = np.log(growth_factor(*theta)) / np.where(late, 1.0, ln_since)
    return np.where(late, -growth_rate(*theta), mean)


def _start(sizes: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Weights to begin with, all in one row."""
    parts = []
    for before, after in pairwise(sizes):
        parts += [rng.normal(size=before * after) / before**0.5, rng.uniform(-1, 1, after)]
    return torch.from_numpy(np.concatenate(parts))


def _layers(row: Tensor, sizes: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """Weights (before, after) and biases of each layer."""
    shapes = list(pairwise(sizes))
    chunks = row.split([n for before, after in shapes for n in (before * after, after)])
    return [
        (w.view(shape), b) for w, b, shape in zip(chunks[::2], chunks[1::2], shapes, strict=True)
    ]


def _network(row: Tensor, sizes: tuple[int, ...], x: Tensor) -> tuple[Tensor, Tensor]:
    """The network's numbers (N,), and their derivatives by all weights (N, W)."""
    layers, values = _layers(row, sizes), [x]
    for weight, bias in layers[:-1]:
        values.append(torch.tanh(values[-1] @ weight + bias))
    out = (values[-1] @ layers[-1][0] + layers[-1][1])[:, 0]
    slopes, slope = [], torch.ones(len(x), 1, dtype=x.dtype)
    for (weight, _), value in zip(reversed(layers), reversed(values), strict=True):
        slopes = [(value[:, :, None] * slope[:, None, :]).flatten(1), slope, *slopes]
        slope = (slope @ weight.T) * (1 - value**2)
    return out, torch.cat(slopes, dim=1)


def _marquardt(
    row: Tensor, sizes: tuple[int, ...], x: Tensor, target: Tensor, weight: Tensor, steps: int
) -> Tensor:
    """Weights of least weighted squares, a step at a time."""
    damping = 1e-2
    out, slopes = _network(row, sizes, x)
    cost = _cost(row, out, target, weight)
    for _ in (bar := trange(steps, desc="growth", unit="step", disable=None)):
        slopes, left = slopes * weight[:, None], (out - target) * weight
        curvature = slopes.T @ slopes
        gradient = slopes.T @ left + _RIDGE * len(x) * row
        curvature.diagonal().add_(_RIDGE * len(x))
        while damping < 1e9:
            damped = curvature + damping * torch.diag(curvature.diagonal())
            trial = row - torch.linalg.solve(damped, gradient)
            out, slopes = _network(trial, sizes, x)
            lower = _cost(trial, out, target, weight)
            if lower < cost:
                row, cost, damping = trial, lower, max(damping / 3, 1e-12)
                break
            damping *= 4
        else:
            break
        bar.set_postfix(rms=f"{(cost / len(x)) ** 0.5:.2e}")
    return row


def _cost(row: Tensor, out: Tensor, target: Tensor, weight: Tensor) -> float:
    squares = ((out - target) * weight).square().sum()
    return float(squares + _RIDGE * len(target) * row.square().sum())


def main(argv: list[str] | None = None) -> None:
    """Command line of `fit_growth`."""
    run(fit_growth, "python -m emulator.semianalytic.growth_fit", argv)


if __name__ == "__main__":
    main()
