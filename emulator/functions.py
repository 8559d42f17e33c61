"""Functions of torch tensors with which occupations are evaluated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.occupations.functions import Functions, one_by_one
from datagen.occupations.grid import OnGrid

__all__ = ["TORCH", "TorchOnGrid"]


Array = NDArray[np.float64]


class _Torch:
    """Functions of tensors; see `datagen.occupations.functions.Functions`."""

    def exp(self, x: Any) -> Any:
        """e^x."""
        return torch.exp(x)

    def log(self, x: Any) -> Any:
        """The natural logarithm."""
        return torch.log(x)

    def erf(self, x: Any) -> Any:
        """The error function."""
        return torch.erf(x)

    def clip(self, x: Any, low: float, high: float) -> Any:
        """x, limited to the interval from low to high."""
        return torch.clamp(x, low, high)

    def power(self, x: Any, a: Any) -> Any:
        """x^a where x > 0, else 0, also in gradients."""
        there = x > 0
        value = torch.exp(a * torch.log(torch.where(there, x, torch.ones_like(x))))
        return torch.where(there, value, torch.zeros_like(value))

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + e^-x)."""
        return torch.sigmoid(x)

    def weighted_sum(self, function: Callable[[Any], Any], at: Array, weights: Array) -> Any:
        """Sum of ``weights * function(at)``."""
        return one_by_one(function, at, weights)

    def step(self, M: Any, M0: Any) -> Any:
        """1 for M >= M0, else 0."""
        return (M >= M0).to(M.dtype)

    def beyond(self, M: Any, M0: Any, M1: Any, a: Any) -> tuple[Any, Any]:
        """((M - M0) / M1)^a for M > M0, else 0; and its square."""
        value = self.power((M - M0) / M1, a)
        return value, value * value

    def ramp(self, M: Any, M1: Any, slope: Any) -> Any:
        """1 + slope ln(M / M1), limited to [0, 1]."""
        return torch.clamp(1.0 + slope * torch.log(M / M1), 0.0, 1.0)


class TorchOnGrid(OnGrid):
    """Functions of tensors over masses on a grid; see `OnGrid`."""

    exp, log, erf = _Torch.exp, _Torch.log, _Torch.erf
    clip, power, sigmoid, weighted_sum = (
        _Torch.clip, _Torch.power, _Torch.sigmoid, _Torch.weighted_sum,
    )  # fmt: skip

    def ceil(self, x: Tensor) -> Tensor:
        """The smallest integer that is not below x."""
        return torch.ceil(x)

    def constant(self, values: NDArray[np.floating[Any]]) -> Tensor:
        """Numbers as a tensor."""
        return torch.tensor(values, dtype=self._ln_M.dtype, device=self._ln_M.device)

    def equal(self, x: Tensor, y: Tensor) -> Tensor:
        """1 where x == y, else 0."""
        return (x == y).to(x.dtype)

    def beside(self, x: Tensor, y: Tensor) -> Tensor:
        """Concatenate the columns of two tensors."""
        return torch.cat([x, y], dim=1)

    def times(self, x: Tensor, matrix: NDArray[np.floating[Any]]) -> Tensor:
        """Product of a tensor (B, m) and a matrix (m, n)."""
        return x @ torch.tensor(matrix, dtype=x.dtype, device=x.device)

    def rows(self, x: Tensor, length: int) -> Tensor:
        """Reshape a tensor to rows of another length."""
        return x.reshape(-1, length)

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The first three and the other three columns."""
        return x[:, :3], x[:, 3:]

    def add_at(self, values: Tensor, index: Tensor, added: Tensor) -> Tensor:
        """Add numbers (B, n) to values (B, F) at indices (B, n)."""
        return values.scatter_add(1, index.long(), added.expand_as(index))


TORCH: Functions = _Torch()
