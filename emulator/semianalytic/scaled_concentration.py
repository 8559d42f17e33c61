"""Concentrations that are not power laws, at the nodes of each point, scaled for the profiles."""

import math
from functools import partial

import numpy as np
import torch
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator.semianalytic.concentrations import Concentration, Haloes, Universe
from emulator.semianalytic.fits import DELTA_C, Epoch
from emulator.semianalytic.profiles import Line

__all__ = ["ScaledConcentration", "concentration_range"]

Array = NDArray[np.float64]

_RAREST = 6.5  # nu of haloes above which their concentrations are negligible
_DEGREE = 6  # of the ends of ln c over x
_MARGIN = 0.02  # of its range


class ScaledConcentration(nn.Module):
    """Ln c of haloes, scaled to [-1, 1] between two ends at each node, and clipped there.

    Args:
        fit: The concentration.
        nodes: Number of nodes, Q; their ends come from `set_ends` or from loaded weights.
    """

    middle: Tensor
    per_unit: Tensor

    def __init__(self, fit: Concentration, nodes: int) -> None:
        super().__init__()
        self.fit = fit
        self.register_buffer("middle", torch.zeros(nodes))
        self.register_buffer("per_unit", torch.ones(nodes))

    def set_ends(self, middle: Array, half: Array) -> None:
        """Set the middle and half the range of ln c at the nodes, each (Q,)."""
        self.middle.copy_(torch.from_numpy(middle))
        self.per_unit.copy_(torch.from_numpy(1 / half))

    def ln_c(
        self, ln_M: Tensor, ln_sigma: Tensor, n_eff: Tensor, universe: Universe, epoch: Epoch
    ) -> Tensor:
        """Ln c at the nodes, shape (B, Q); arguments as in `Haloes` and `Concentration.ln_c`."""
        return self.fit.ln_c(Haloes(ln_M, ln_sigma, n_eff), universe, epoch)

    def forward(self, ln_c: Tensor) -> Tensor:
        """Scaled and clipped ln c, shape (B, Q)."""
        return ((ln_c - self.middle) * self.per_unit).clamp(-1, 1)


def concentration_range(x: Array, ln_c: Array, ln_sigma: Array) -> tuple[Line, Line]:
    """Middle and half the range of ln c over x, without haloes that are too rare to matter.

    Both ends of the range are polynomials, which are smooth between the nodes.

    Args:
        x: The nodes, shape (Q,).
        ln_c: Ln c of a sample of points, shape (N, Q).
        ln_sigma: Logarithm of the RMS density, shape (N, Q).
    """
    counts = math.log(DELTA_C) - ln_sigma < math.log(_RAREST)
    there = counts.any(axis=0)
    low = np.where(counts, ln_c, np.inf).min(axis=0)[there]
    high = np.where(counts, ln_c, -np.inf).max(axis=0)[there]
    margin = _MARGIN * (high - low).max()
    ends = _below(x[there], low - margin), -_below(x[there], -high - margin)

    def at(places: Array, share: float) -> Array:
        below, above = (end(places.clip(*x[there][[0, -1]])) for end in ends)
        value: Array = 0.5 * (above + share * below)
        return value

    return partial(at, share=1.0), partial(at, share=-1.0)


def _below(x: Array, values: Array) -> Polynomial:
    """Polynomial that is nowhere above the values."""
    found = Polynomial.fit(x, values, _DEGREE)
    return found - (found(x) - values).max()
