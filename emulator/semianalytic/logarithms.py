"""Sums of logarithms of parameters, and sums of parameters, by name."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["LogSums", "Powers", "scaled", "span"]

Powers = Mapping[str, float]
"""The power of each parameter in a sum of logarithms, and under ``""`` a constant to add."""

_PARTS: dict[str, tuple[dict[str, float], float]] = {
    "Om_m": ({"Om_c": 1.0, "Om_b": 1.0}, 0.0),
    "1 - Om_m": ({"Om_c": -1.0, "Om_b": -1.0}, 1.0),
    "1 + z": ({"z": 1.0}, 1.0),
}


class LogSums(nn.Module):
    """Numbers that are linear in parameters, or in their natural logarithms, all at once.

    Two matrix products compute all numbers: in a graph, that is less work than one operator for
    each number. Sums of logarithms also know ``Om_m``, which is Om_c + Om_b, ``1 - Om_m`` and
    ``1 + z``.

    Args:
        names: Columns of the points.
        sums: Blocks of sums of logarithms, by name, each a list with an entry for each column.
        linear: Sums of parameters by name: the factor of each, and under ``""`` a constant to add.
        logarithms: Names of further terms of sums of logarithms, given as logarithms besides the
            points.
    """

    first: Tensor
    added: Tensor
    powers: Tensor
    constants: Tensor

    def __init__(
        self,
        names: Sequence[str],
        sums: Mapping[str, Sequence[Powers]],
        linear: Mapping[str, Powers] | None = None,
        logarithms: Sequence[str] = (),
    ) -> None:
        super().__init__()
        linear = linear or {}
        columns = [powers for block in sums.values() for powers in block]
        terms = list(dict.fromkeys(name for powers in columns for name in powers if name))
        terms = [term for term in terms if term not in logarithms]
        parts = [_PARTS.get(term, ({term: 1.0}, 0.0)) for term in terms]
        parts += [
            ({n: factor for n, factor in one.items() if n}, one.get("", 0.0))
            for one in linear.values()
        ]
        self.widths = [len(terms), *[1] * len(linear)]
        self.blocks = {name: len(block) for name, block in sums.items()}
        self.linear = tuple(linear)
        arrays = {
            "first": [[factors.get(name, 0.0) for factors, _ in parts] for name in names],
            "added": [constant for _, constant in parts],
            "powers": [
                [powers.get(term, 0.0) for powers in columns] for term in (*terms, *logarithms)
            ],
            "constants": [powers.get("", 0.0) for powers in columns],
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32), persistent=False)

    def forward(self, theta: Tensor, *logarithms: Tensor) -> dict[str, Tensor]:
        """The blocks, each (B, its length), and the linear sums, each (B, 1).

        Args:
            theta: Points, shape (B, P).
            logarithms: Terms named in ``logarithms``, each (B, 1).
        """
        terms, *linear = torch.addmm(self.added, theta, self.first).split(self.widths, dim=1)
        logs = torch.cat([torch.log(terms), *logarithms], dim=1) if logarithms else torch.log(terms)
        sums = torch.addmm(self.constants, logs, self.powers)
        blocks = sums.split(list(self.blocks.values()), dim=1)
        return dict(zip((*self.blocks, *self.linear), (*blocks, *linear), strict=True))


def scaled(powers: Powers, low: float, high: float) -> dict[str, float]:
    """Rescale a sum that runs from low to high so that it runs over [-1, 1]."""
    half = 0.5 * (high - low) if high - low > 1e-6 else 1.0
    middle = 0.5 * (low + high)
    return {name: power / half for name, power in powers.items()} | {
        "": (powers.get("", 0.0) - middle) / half
    }


def span(powers: Powers, ends: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Smallest and largest value of a sum over a box of the parameters."""
    low = high = powers.get("", 0.0)
    for name, power in powers.items():
        if name:
            values = sorted(power * math.log(end) for end in ends[name])
            low, high = low + values[0], high + values[1]
    return low, high
