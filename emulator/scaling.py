"""Invertible scalings of inputs and outputs, fitted once, on the training split."""

import torch
from torch import Tensor, nn

from datagen.space import UNITS, Space

__all__ = ["Features", "Standardize"]

_FEW_CENTRALS = 1e-4  # keeps the logarithm finite without any; fewer hardly matter


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


class Features(nn.Module):
    """Physical parameters to standardised network inputs.

    Those that are not held fixed, masses and what is drawn so by their log10; and of the occupation
    of Linke et al. 2022 what the satellites depend on: the natural logarithms of their number in a
    halo of the threshold mass, (Mth / Mprime)^beta, and of alpha, the number of centrals that they
    are to be compared with.

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
        free = [space.names.index(name) for name in space.free]
        logs = [space[name].is_log or UNITS[name] == "Msun" for name in space.free]
        self.register_buffer("columns", torch.tensor(free, dtype=torch.long), persistent=False)
        self.register_buffer("is_log", torch.tensor(logs), persistent=False)
        self.inputs = len(free) + 2
        self.standardize = Standardize(self.inputs)

    def _logs(self, theta: Tensor) -> Tensor:
        point = dict(zip(self.names, theta.split(1, dim=1), strict=True))
        theta = theta[:, self.columns]
        # the logarithm sees 1 where it is not wanted: no NaN, also not in gradients
        logs = torch.log10(torch.where(self.is_log, theta, torch.ones_like(theta)))
        centrals = torch.log(point["alpha"] + _FEW_CENTRALS)
        satellites = point["beta"] * torch.log(point["Mth"] / point["Mprime"])
        return torch.cat([torch.where(self.is_log, logs, theta), centrals, satellites], dim=1)

    def fit(self, theta: Tensor) -> None:
        """Standardise over theta, shape (N, P), physical units."""
        self.standardize.fit(self._logs(theta.double()))

    def forward(self, theta: Tensor) -> Tensor:
        """Features (B, F) of theta, shape (B, P), physical units."""
        features: Tensor = self.standardize(self._logs(theta))
        return features
