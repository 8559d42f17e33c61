"""The grid of halo masses, and a lower limit between its nodes."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from emulator.semianalytic.shifts import VARIANCE, combination, gaussian_moment, slab_moment

__all__ = ["SCALE", "LowerLimit", "MassGrid"]

SCALE = 1 / math.sqrt(2 * VARIANCE)  # factor from spacings to the argument of an error function
_SHIFTS = 3  # nodes on each side that a sharp step is combined from
_AROUND = 9  # nodes above the lowest mass that depend on it


@dataclass(frozen=True)
class MassGrid:
    """Halo masses, evenly spaced in x = 3 ln(R_L / Mpc) with M = 4 pi / 3 rho_m R_L^3.

    So dx = dlnM, sigma(R_L) needs no matter density, and the halo radius of a node is the same
    for every cosmology.

    Attributes:
        nodes: Number of nodes, Q; at least 16.
        spacing: Spacing of the nodes in ln M, 0.02 to 0.5.
        start: x of the first node.
    """

    nodes: int = 89
    spacing: float = 0.22
    start: float = -5.3

    def __post_init__(self) -> None:
        if self.nodes < 16 or not 0.02 <= self.spacing <= 0.5:
            raise ValueError(
                f"grid: nodes = {self.nodes} must be at least 16 and spacing = {self.spacing:g} "
                f"must lie in [0.02, 0.5], where the integrals converge"
            )

    def x(self) -> Tensor:
        """The nodes, 3 ln(R_L / Mpc), shape (Q,), float64."""
        return self.start + self.spacing * torch.arange(self.nodes, dtype=torch.float64)

    def finer(self, intervals: int) -> "MassGrid":
        """Grid with several intervals in place of each, between the same ends."""
        nodes = (self.nodes - 1) * intervals + 1
        return MassGrid(nodes, self.spacing / intervals, self.start)

    def volume(self) -> Tensor:
        """M / rho_m [Mpc^3] of the nodes, shape (Q,), float64."""
        return 4 * math.pi / 3 * self.x().exp()


class LowerLimit(nn.Module):
    """Unit step and delta function at a mass between the nodes, for sums over the grid.

    Both are combinations of cumulative normal distributions, shifted by whole nodes (`shifts`): the
    step has the first seven moments of a sharp step, the delta function the first six of a sharp
    delta function.

    Args:
        nodes: Number of nodes of the grid, Q.
        highest: Highest place of the mass, in nodes from the first.

    Attributes:
        positions: Places from which `forward` takes distances, in nodes from the first.
    """

    shapes: Tensor
    above: Tensor

    def __init__(self, nodes: int, highest: float) -> None:
        super().__init__()
        lowest = min(max(math.ceil(highest), 0) + _AROUND, nodes)  # others lie well above it
        self.positions = torch.arange(-_SHIFTS, lowest + _SHIFTS, dtype=torch.float64)
        sharp = np.eye(2 * _SHIFTS + 1)[0]
        step = combination(np.arange(-_SHIFTS, _SHIFTS + 1.0), gaussian_moment, sharp)
        slabs = combination(np.arange(0.5 - _SHIFTS, _SHIFTS), slab_moment, sharp[:-1])
        delta = np.diff(slabs, prepend=0.0, append=0.0)
        # Phi = 1/2 + erf / 2, and a node q is around place q + _SHIFTS
        shapes, above = np.zeros((len(self.positions), 2, nodes)), np.zeros((2, nodes))
        for q in range(lowest):
            shapes[q : q + len(step), 0, q] = 0.5 * step[::-1]
            shapes[q : q + len(step), 1, q] = 0.5 * delta[::-1]
        above[0] = 1 - shapes[:, 0].sum(axis=0)
        for name, array in (("shapes", shapes.reshape(-1, 2 * nodes)), ("above", above.ravel())):
            self.register_buffer(name, torch.from_numpy(array).float(), persistent=False)

    def forward(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        """The step, and the delta function times the spacing, each (B, Q).

        Args:
            distance: Distances of `positions` from the mass, in spacings, times `SCALE`.
        """
        values = torch.addmm(self.above, torch.erf(distance), self.shapes)
        step, delta = values.chunk(2, dim=1)
        return step, delta
