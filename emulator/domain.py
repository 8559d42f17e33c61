"""Fit the part of a box where all spectra are positive, from points inside and outside of it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from datagen.domain import FEATURES, Domain, Layer, features
from datagen.outputs import output

__all__ = ["fit_domain", "terms_of"]

_UNITS = 16  # units of each of the two hidden layers
_ITERATIONS = 300
_MOST = 40_000  # largest number of points in the fit
_HELD_OUT = 0.15  # fraction of the points that set the boundary, and of those that test it
# Fraction of outside points that the boundary accepts. A third of it would double the inside points
# that are rejected; they have spectra close to 0, which are hardly emulated.
_ACCEPTED = 3e-3
_DECAY = 1e-7  # decay of the weights, which would diverge if both kinds were separable
_DIGITS = 7
_ROUNDING = 1e-9  # of a score, so that points at the boundary are rejected on every machine


def fit_domain(
    theta: NDArray[np.float64], kept: NDArray[np.bool_], outputs: Sequence[str]
) -> Domain:
    """Fit the domain of points that were kept.

    A perceptron classifies points as inside or outside. Its boundary is then moved so that it
    accepts 0.3 % of the outside points, on points not used in the fit, and tested on others.

    Args:
        theta: Points, columns ``parameters_of("linke22")``, physical units, shape (N, P).
        kept: Whether each point is inside, shape (N,).
        outputs: Spectra that are not positive outside.
    """
    theta = theta.astype(np.float32).astype(np.float64)  # as emulators take them
    taken = features(theta)
    low, high = taken.min(axis=0), taken.max(axis=0)
    x = 2 * (taken - low) / np.where(high > low, high - low, 2.0) - 1
    held_out = int(_HELD_OUT * len(x))
    order = np.random.default_rng(0).permutation(len(x))
    boundary, judged, fitted = np.split(order, [held_out, 2 * held_out])
    network = _fit(x[fitted[:_MOST]], kept[fitted[:_MOST]])
    if _ACCEPTED * (~kept[boundary]).sum() < 1:  # too few points for such a small fraction
        boundary = order
    *layers, last = (_layer(one) for one in network if isinstance(one, nn.Linear))
    drawn = Domain(
        outputs=tuple(outputs),
        features=FEATURES,
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        layers=(*layers, last),
        share=float(1 - kept.mean()),
        accepted=0.0,
        refused=0.0,
        points=held_out,
    )
    outside = drawn.score(theta[boundary[~kept[boundary]]])
    limit = float(np.quantile(outside, 1 - _ACCEPTED, method="higher"))
    limit += _ROUNDING * (1 + abs(limit))
    moved = Layer(weight=last.weight, bias=(last.bias[0] - limit,))
    drawn = replace(drawn, layers=(*layers, moved))
    inside, truly = drawn.is_inside(theta[judged]), kept[judged]
    return replace(drawn, accepted=_share(inside[~truly]), refused=_share(~inside[truly]))


def terms_of(outputs: Iterable[str]) -> list[str]:
    """Return those spectra that are not positive by themselves: totals of such terms are omitted.

    Args:
        outputs: Names of all spectra that are not positive.
    """
    names = list(outputs)
    return [name for name in names if not set(output(name).terms) & set(names)]


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else 0.0


def _fit(x: NDArray[np.float64], kept: NDArray[np.bool_]) -> nn.Sequential:
    """Fit a perceptron that is positive where points were kept, in float64."""
    with torch.random.fork_rng():  # keeps the global random state
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(x.shape[1], _UNITS), nn.Tanh(),
            nn.Linear(_UNITS, _UNITS), nn.Tanh(),
            nn.Linear(_UNITS, 1),
        ).double()  # fmt: skip
    points, truth = torch.tensor(x), torch.tensor(kept, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=_ITERATIONS, history_size=30, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        decay = torch.stack([weight.square().sum() for weight in network.parameters()]).sum()
        value = binary_cross_entropy_with_logits(network(points)[:, 0], truth) + _DECAY * decay
        value.backward()
        return value.detach()

    optimizer.step(loss)
    return network


def _layer(layer: nn.Linear) -> Layer:
    rows = [tuple(_rounded(value) for value in row) for row in layer.weight.tolist()]
    return Layer(weight=tuple(rows), bias=tuple(_rounded(value) for value in layer.bias.tolist()))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
