"""Sums of logarithms of parameters, by name."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["LogSums", "scaled", "span"]


class LogSums(nn.Module):
    """Numbers that are linear in the natural logarithms of parameters, of all points at once.

    ``Om_m`` stands for Om_c + Om_b, and ``1 + z`` for itself.

    Args:
        names: Columns of the points.
        sums: By name, the power of each parameter, and under ``""`` a constant to add.
    """

    pick: Tensor
    one: Tensor
    powers: Tensor
    constants: Tensor

    def __init__(self, names: Sequence[str], sums: Mapping[str, Mapping[str, float]]) -> None:
        super().__init__()
        self.names = tuple(sums)
        terms = list(dict.fromkeys(name for powers in sums.values() for name in powers if name))
        parts = {"Om_m": ("Om_c", "Om_b"), "1 + z": ("z",)}
        pick = torch.zeros(len(names), len(terms), dtype=torch.float64)
        one = torch.zeros(len(terms), dtype=torch.float64)
        powers = torch.zeros(len(terms), len(sums), dtype=torch.float64)
        for i, term in enumerate(terms):
            for name in parts.get(term, (term,)):
                pick[names.index(name), i] = 1
            one[i] = float(term == "1 + z")
            powers[i] = torch.tensor([s.get(term, 0.0) for s in sums.values()])
        constants = torch.tensor([s.get("", 0.0) for s in sums.values()], dtype=torch.float64)
        for name, value in (("pick", pick), ("one", one), ("powers", powers)):
            self.register_buffer(name, value.float(), persistent=False)
        self.register_buffer("constants", constants.float(), persistent=False)

    def forward(self, theta: Tensor) -> Tensor:
        """The sums, shape (B, S), in the order of `names`, of points (B, P)."""
        logs = torch.log(torch.addmm(self.one, theta, self.pick))
        return torch.addmm(self.constants, logs, self.powers)


def scaled(powers: Mapping[str, float], low: float, high: float) -> dict[str, float]:
    """A sum that runs over [-1, 1] while the given one runs from low to high."""
    half = 0.5 * (high - low) if high - low > 1e-6 else 1.0
    middle = 0.5 * (low + high)
    return {name: power / half for name, power in powers.items()} | {
        "": (powers.get("", 0.0) - middle) / half
    }


def span(
    powers: Mapping[str, float], ends: Mapping[str, tuple[float, float]]
) -> tuple[float, float]:
    """Smallest and largest value of a sum over a box of the parameters."""
    low = high = powers.get("", 0.0)
    for name, power in powers.items():
        if name:
            values = sorted(power * math.log(end) for end in ends[name])
            low, high = low + values[0], high + values[1]
    return low, high
