"""The network of the cosmology: sigma(R) and the linear power, without their amplitude.

``sigma(R, z) = sigma_8 D(z) s(R)`` and ``P_lin(k, z) = sigma_8^2 D(z)^2 T(k)``: s and T depend on
Om_c h^2, Om_b h^2, n_s, and on h, since sigma_8 is defined at 8 Mpc/h. A hidden layer of these
four, condensed to a few numbers, gives ln s and its slope at the nodes of the grid, and ln T at
the wavenumbers.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

__all__ = ["FEATURES", "CosmologyConfig", "CosmologyNetwork"]

# powers of the parameters in each feature; features are natural logarithms
FEATURES: tuple[dict[str, float], ...] = (
    {"Om_c": 1, "h": 2},
    {"Om_b": 1, "h": 2},
    {"n_s": 1},
    {"h": 1},
)


@dataclass(frozen=True)
class CosmologyConfig:
    """Size of the network.

    Attributes:
        units: Number of hidden units.
        rank: Number of values that hidden units and features are condensed to.
    """

    units: int = 448
    rank: int = 32

    def __post_init__(self) -> None:
        if self.units < 1 or not 1 <= self.rank <= self.units + len(FEATURES):
            raise ValueError(
                f"units = {self.units} must be at least 1 and rank = {self.rank} must lie in "
                f"[1, units + {len(FEATURES)}]"
            )


class CosmologyNetwork(nn.Module):
    """One hidden layer, condensed to a few numbers, with a linear map that bypasses it.

    Args:
        config: Size of the network.
        nodes: Number of nodes of the grid, Q.
        wavenumbers: Number of wavenumbers, K.
    """

    def __init__(self, config: CosmologyConfig, nodes: int, wavenumbers: int) -> None:
        super().__init__()
        self.sizes = [nodes, nodes, wavenumbers]
        inputs = len(FEATURES)
        self.hidden = nn.Linear(inputs, config.units)
        self.condense = nn.Linear(config.units, config.rank, bias=False)
        self.past = nn.Linear(inputs, config.rank)
        self.expand = nn.Linear(config.rank, sum(self.sizes))
        self.slope = nn.Linear(config.rank, nodes)

    def forward(self, features: Tensor, amplitude: Tensor) -> tuple[Tensor, ...]:
        """Ln sigma (B, Q), ln -dln sigma / dx (B, Q), ln P_lin [ln Mpc^3] (B, K); x = 3 ln R.

        Args:
            features: `FEATURES`, scaled to [-1, 1], shape (B, 4).
            amplitude: ln sigma_8 D(z), shape (B, 1); 0 gives ln s and ln T.
        """
        numbers = torch.cat([self.condensed(features), amplitude], dim=1)
        # as one more input of the last layer: that takes no more operators
        powers = [torch.full((1, n), p) for p, n in zip((1.0, 0.0, 2.0), self.sizes, strict=True)]
        weights = torch.cat([self.expand.weight.T, torch.cat(powers, dim=1).to(numbers)])
        return torch.addmm(self.expand.bias, numbers, weights).split(self.sizes, dim=1)

    def condensed(self, features: Tensor) -> Tensor:
        """The few numbers that all functions of the cosmology are linear in, shape (B, R)."""
        hidden = torch.tanh(self.hidden(features))
        return torch.addmm(self.past(features), hidden, self.condense.weight.T)

    def maps(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Weights (F, R) and constants (F,) from `condensed` to each of the F values.

        In order: to ln s, ln -dln s / dx and ln T, and to dln P / dln k at ``k = 2 pi / R`` of the
        nodes.
        """
        ends = [0, *accumulate(self.sizes)]
        parts = (slice(*pair) for pair in pairwise(ends))
        weights, constants = self.expand.weight, self.expand.bias
        return (
            *((weights[part], constants[part]) for part in parts),
            (self.slope.weight, self.slope.bias),
        )
