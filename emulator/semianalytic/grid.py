"""The grid of halo masses, and a lower limit between its nodes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MassGrid", "lower_limit"]

_ROOT_2, _ROOT_2_PI = math.sqrt(2), math.sqrt(2 * math.pi)
_END = 40.0  # exp(-t^2) hardly counts from here on, and subnormal numbers are slow


@dataclass(frozen=True)
class MassGrid:
    """Halo masses, evenly spaced in x = 3 ln(R_L / Mpc) with M = 4 pi / 3 rho_m R_L^3.

    So dx = dlnM, sigma(R_L) needs no matter density, and the halo radius of a node is the same
    for every cosmology.

    Attributes:
        nodes: How many, Q.
        spacing: Their spacing in ln M.
        start: First node.
    """

    nodes: int = 115
    spacing: float = 0.167
    start: float = -5.0

    def __post_init__(self) -> None:
        if self.nodes < 16 or not 0.05 <= self.spacing <= 0.5:
            raise ValueError(
                f"grid: nodes = {self.nodes} must be at least 16 and spacing = {self.spacing:g} "
                f"must lie in [0.05, 0.5], where the integrals converge"
            )

    def x(self) -> Tensor:
        """The nodes, 3 ln(R_L / Mpc), shape (Q,), float64."""
        return self.start + self.spacing * torch.arange(self.nodes, dtype=torch.float64)

    def volume(self) -> Tensor:
        """M / rho_m [Mpc^3] of the nodes, shape (Q,), float64."""
        return 4 * math.pi / 3 * self.x().exp()


def lower_limit(t: Tensor) -> tuple[Tensor, Tensor]:
    """The unit step and the delta function at a mass between the nodes, as a sum sees them.

    A sum over an even grid integrates what is smooth on the scale of its spacing, and a step is
    not. Its derivative is replaced by a normal density as wide as the spacing, times Hermite
    polynomials that restore the first four moments of a density of width zero (Gram-Charlier A):
    against a smooth function both have the same integral up to its fifth derivative.

    Args:
        t: (x - x of the mass) / (sqrt(2) spacings), shape (B, Q).

    Returns:
        The step, and the delta function times the spacing, each (B, Q).
    """
    # He_2 has the coefficient -1/2 and He_4 has 1/8 for a density of width zero
    square = t * t
    density = torch.exp(-square.clamp(max=_END))
    a, b = 0.875 * _ROOT_2 / _ROOT_2_PI, 0.25 * _ROOT_2 / _ROOT_2_PI
    step = 0.5 + 0.5 * torch.erf(t) + density * t * (a - b * square)
    delta = density * (
        1.875 / _ROOT_2_PI + square * (square * (0.5 / _ROOT_2_PI) - 2.5 / _ROOT_2_PI)
    )
    return step, delta
