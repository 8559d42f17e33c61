"""Learns the part of a box where spectra have a logarithm, from points that have and have none."""

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

_UNITS = 16  # of each of two hidden layers
_ITERATIONS = 300
_MOST = 40_000  # points to fit to
_HELD_OUT = 0.15  # share of the points that draws the boundary, and again that judges it
# Share of the points outside that the boundary may let in. A third of it doubles the points inside
# that are refused; they lie where a spectrum is next to 0, and is hardly emulated.
_ACCEPTED = 3e-3
_DECAY = 1e-7  # of the weights, which could grow for ever if both kinds were told apart
_DIGITS = 7
_ROUNDING = 1e-9  # of a score; the last point that is refused must be so everywhere


def fit_domain(
    theta: NDArray[np.float64], kept: NDArray[np.bool_], outputs: Sequence[str]
) -> Domain:
    """The domain of points that were kept, beside others that were not.

    A perceptron tells them apart; its boundary is then moved, on points that it was not fitted to,
    until hardly a point outside is taken for inside, and judged on yet others.

    Args:
        theta: Points, columns ``parameters_of("linke22")``, physical units, shape (N, P).
        kept: Which of them are inside, shape (N,).
        outputs: The spectra that are not positive outside.
    """
    theta = theta.astype(np.float32).astype(np.float64)  # as emulators take them
    taken = features(theta)
    low, high = taken.min(axis=0), taken.max(axis=0)
    x = 2 * (taken - low) / np.where(high > low, high - low, 2.0) - 1
    held_out = int(_HELD_OUT * len(x))
    order = np.random.default_rng(0).permutation(len(x))
    boundary, judged, fitted = np.split(order, [held_out, 2 * held_out])
    network = _fit(x[fitted[:_MOST]], kept[fitted[:_MOST]])
    if _ACCEPTED * (~kept[boundary]).sum() < 1:  # too few of them to tell such a share
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
    """The spectra to blame, of those that are not positive: terms, and not the totals of them."""
    names = list(outputs)
    return [name for name in names if not set(output(name).terms) & set(names)]


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else 0.0


def _fit(x: NDArray[np.float64], kept: NDArray[np.bool_]) -> nn.Sequential:
    """A perceptron that is positive where points were kept, in float64."""
    with torch.random.fork_rng():  # so that nothing else depends on this
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
