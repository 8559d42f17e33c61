"""The functions that occupations are written with, for torch's tensors."""

from typing import Any

import torch

from datagen.occupations.functions import Functions

__all__ = ["torch_functions"]


class _Torch:
    """See `datagen.occupations.functions.Functions`."""

    exp, log, erf = staticmethod(torch.exp), staticmethod(torch.log), staticmethod(torch.erf)

    def __init__(self, cell: float) -> None:
        self._cell = cell

    def clip(self, x: Any, low: float, high: float) -> Any:
        """x, not below and not above limits."""
        return torch.clamp(x, low, high)

    def power(self, x: Any, a: Any) -> Any:
        """x^a where x > 0, else 0; so are its gradients."""
        there = x > 0
        value = torch.exp(a * torch.log(torch.where(there, x, torch.ones_like(x))))
        return torch.where(there, value, torch.zeros_like(value))

    def step(self, t: Any) -> Any:
        """1 for t >= 0, else 0; averaged over a cell."""
        if self._cell == 0:
            return (t >= 0).to(t.dtype)
        return torch.clamp(t / self._cell + 0.5, 0.0, 1.0)


def torch_functions(cell: float = 0.0) -> Functions:
    """Functions of tensors.

    Args:
        cell: Spacing in ln M of the masses, over which steps are averaged.
    """
    return _Torch(cell)
