"""Scalings of inputs and outputs, fitted once to the training split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datagen.occupations import occupation
from datagen.space import Space
from emulator.functions import TORCH
from emulator.g3lhalo import g3lhalo_inputs

__all__ = ["Components", "Features", "Standardize"]


class Standardize(nn.Module):
    """Standardisation ``(x - mean) / std``, element by element; the identity before `fit`.

    Args:
        shape: Shape of one sample.

    Attributes:
        mean: Means, of this shape.
        std: Standard deviations, of this shape.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def fit(self, x: Tensor) -> None:
        """Compute mean and standard deviation over the first axis of x, shape ``(N, *shape)``.

        Constant elements have the standard deviation 1, so that they map to 0 and not to 0/0.
        """
        std = x.double().std(dim=0, correction=0)
        mean = x.double().mean(dim=0)
        constant = std <= 1e-7 * mean.abs().clamp_min(1e-30)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(constant, torch.ones_like(std), std))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised x, shape ``(B, *shape)``."""
        return (x - self.mean) / self.std

    def inverse(self, y: Tensor) -> Tensor:
        """Return x from standardised values y, shape ``(B, *shape)``."""
        return y * self.std + self.mean


class Components(nn.Module):
    """Principal components, with coefficients of unit variance.

    Args:
        number: Number of components C.
        values: Number of values V.

    Attributes:
        basis: Components, shape (C, V).

    Raises:
        ValueError: There are more components than values.
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
        """Compute the components with the largest variance of y, shape (N, V), of mean 0.

        Raises:
            ValueError: y varies along fewer directions than there are components.
        """
        y = y.double()
        variances, directions = torch.linalg.eigh(y.T @ y / len(y))  # in ascending order
        number = len(self.basis)
        variances, directions = variances[-number:].flip(0), directions[:, -number:].flip(1)
        if variances[-1] <= 0:
            raise ValueError(
                f"network.components = {number} is more than the labels have; take fewer, or 0"
            )
        self.basis.copy_((directions * variances.sqrt()).T)  # (V, C) -> (C, V)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return values (B, V) from coefficients (B, C)."""
        return coefficients @ self.basis


class Features(nn.Module):
    """Standardised inputs of networks, from physical parameters.

    These are the parameters that are not held fixed, with the log10 of masses in Msun and of
    parameters sampled in log10, and `Occupation.features`, or for the `g3lhalo` model the inputs of
    `emulator.g3lhalo`. Masses sampled uniformly in M enter in log10, too: otherwise the few small
    masses, where spectra change fastest, would be nearly equal.

    Args:
        space: Box of the parameters.
        halo_model: Settings of the halo model, see `datagen.halomodel.HaloModelConfig`.

    Attributes:
        inputs: Number of features F.
    """

    is_log: Tensor
    columns: Tensor

    def __init__(self, space: Space, halo_model: Mapping[str, Any]) -> None:
        super().__init__()
        self.names, self.halo_model = space.names, halo_model
        self.occupation = occupation(space.occupation)
        free = [space.names.index(name) for name in space.free]
        logs = [space[name].is_log or space.units[name] == "Msun" for name in space.free]
        self.register_buffer("columns", torch.tensor(free, dtype=torch.long), persistent=False)
        self.register_buffer("is_log", torch.tensor(logs), persistent=False)
        middle = torch.tensor(space.from_unit(np.full((1, len(space.names)), 0.5)))
        self.inputs = len(free) + sum(one.shape[1] for one in self._features(middle))
        self.standardize = Standardize(self.inputs)

    def _features(self, theta: Tensor) -> Sequence[Tensor]:
        point = dict(zip(self.names, theta.split(1, dim=1), strict=True))
        if self.halo_model.get("model") == "g3lhalo":
            return [g3lhalo_inputs(point, self.halo_model)]
        return self.occupation.features(point, TORCH)

    def _logs(self, theta: Tensor) -> Tensor:
        features = self._features(theta)
        theta = theta.index_select(1, self.columns)
        # log10 of 1 where it is not used, which avoids NaN in values and gradients
        logs = torch.log10(torch.where(self.is_log, theta, torch.ones_like(theta)))
        return torch.cat([torch.where(self.is_log, logs, theta), *features], dim=1)

    def fit(self, theta: Tensor) -> None:
        """Fit the standardisation to points theta, shape (N, P), physical units."""
        self.standardize.fit(self._logs(theta.double()))

    def forward(self, theta: Tensor) -> Tensor:
        """Return the features (B, F) of points theta, shape (B, P), physical units."""
        features: Tensor = self.standardize(self._logs(theta))
        return features
