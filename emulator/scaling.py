"""Invertible scalings of inputs and outputs, fitted once, on the training split."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from datagen.occupations import occupation
from datagen.space import Space
from emulator.functions import TORCH

__all__ = ["Components", "Features", "Standardize"]


class Standardize(nn.Module):
    """``(x - mean) / std``, element by element; identity until fitted.

    Args:
        shape: Shape of one sample.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def fit(self, x: Tensor) -> None:
        """Take mean and standard deviation over the first axis of x, shape (N, *shape).

        What does not vary keeps the scale 1, so that it maps to zero and not to 0/0.
        """
        std = x.double().std(dim=0, correction=0)
        mean = x.double().mean(dim=0)
        constant = std <= 1e-7 * mean.abs().clamp_min(1e-30)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(constant, torch.ones_like(std), std))

    def forward(self, x: Tensor) -> Tensor:
        """Standardised x, shape (B, *shape)."""
        return (x - self.mean) / self.std

    def inverse(self, y: Tensor) -> Tensor:
        """The x whose standardised form is y."""
        return y * self.std + self.mean


class Components(nn.Module):
    """Principal components: coefficients of unit variance, and the values that they stand for.

    Args:
        number: How many.
        values: How many values they stand for.

    Raises:
        ValueError: More components than values.
    """

    basis: Tensor

    def __init__(self, number: int, values: int) -> None:
        super().__init__()
        if number > values:
            raise ValueError(
                f"network.components = {number} must be at most the number of values that they "
                f"stand for, {values}; take fewer, or 0"
            )
        self.register_buffer("basis", torch.eye(number, values))

    def fit(self, y: Tensor) -> None:
        """Take those of the largest variance of y, shape (N, V), of mean 0.

        Raises:
            ValueError: y varies along fewer directions than there are components.
        """
        y = y.double()
        variances, directions = torch.linalg.eigh(y.T @ y / len(y))  # from small to large
        number = len(self.basis)
        variances, directions = variances[-number:].flip(0), directions[:, -number:].flip(1)
        if variances[-1] <= 0:
            raise ValueError(
                f"network.components = {number} is more than the labels have; take fewer, or 0"
            )
        self.basis.copy_((directions * variances.sqrt()).T)  # (V, C) -> (C, V)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """The values (B, V) of coefficients (B, C)."""
        return coefficients @ self.basis


class Features(nn.Module):
    """Physical parameters to standardised network inputs.

    Those that are not held fixed, masses and what is drawn so by their log10; and what the
    occupation says that networks are to be told besides (`Occupation.features`).

    Masses enter by their log10 however they are drawn: drawn uniformly in M, the few small ones,
    where spectra change fastest, would be as good as equal.

    Args:
        space: The box of the parameters.
    """

    is_log: Tensor
    columns: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.names = space.names
        self.occupation = occupation(space.occupation)
        free = [space.names.index(name) for name in space.free]
        logs = [space[name].is_log or space.units[name] == "Msun" for name in space.free]
        self.register_buffer("columns", torch.tensor(free, dtype=torch.long), persistent=False)
        self.register_buffer("is_log", torch.tensor(logs), persistent=False)
        middle = torch.tensor(space.from_unit(np.full((1, len(space.names)), 0.5)))
        self.inputs = len(free) + len(self._features(middle))
        self.standardize = Standardize(self.inputs)

    def _features(self, theta: Tensor) -> Sequence[Tensor]:
        point = dict(zip(self.names, theta.split(1, dim=1), strict=True))
        return self.occupation.features(point, TORCH)

    def _logs(self, theta: Tensor) -> Tensor:
        features = self._features(theta)
        theta = theta.index_select(1, self.columns)
        # the logarithm sees 1 where it is not wanted: no NaN, also not in gradients
        logs = torch.log10(torch.where(self.is_log, theta, torch.ones_like(theta)))
        return torch.cat([torch.where(self.is_log, logs, theta), *features], dim=1)

    def fit(self, theta: Tensor) -> None:
        """Standardise over theta, shape (N, P), physical units."""
        self.standardize.fit(self._logs(theta.double()))

    def forward(self, theta: Tensor) -> Tensor:
        """Features (B, F) of theta, shape (B, P), physical units."""
        features: Tensor = self.standardize(self._logs(theta))
        return features
