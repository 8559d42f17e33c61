"""Invertible scalings of inputs and outputs, fitted once, on the training split."""

import torch
from torch import Tensor, nn

from datagen.space import PARAMETERS

__all__ = ["Features", "Standardize"]

_ALPHA = PARAMETERS.index("alpha")  # sigma, Mth, Mprime and beta follow
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

    The ten parameters, by their log10 where told, and what the satellites depend on: the natural
    logarithms of their number in a halo of the threshold mass, (Mth / Mprime)^beta, and of alpha,
    the number of centrals that they are to be compared with.

    Args:
        is_log: Which of `datagen.space.PARAMETERS` enter by their log10.
    """

    is_log: Tensor

    def __init__(self, is_log: list[bool]) -> None:
        super().__init__()
        self.register_buffer("is_log", torch.tensor(is_log))
        self.inputs = len(is_log) + 2
        self.standardize = Standardize(self.inputs)

    def _logs(self, theta: Tensor) -> Tensor:
        # the logarithm sees 1 where it is not wanted: no NaN, also not in gradients
        logs = torch.log10(torch.where(self.is_log, theta, torch.ones_like(theta)))
        _, alpha, _, M_th, M_prime, beta = theta.split([_ALPHA, 1, 1, 1, 1, 1], dim=1)
        centrals = torch.log(alpha + _FEW_CENTRALS)
        satellites = beta * torch.log(M_th / M_prime)
        return torch.cat([torch.where(self.is_log, logs, theta), centrals, satellites], dim=1)

    def fit(self, theta: Tensor) -> None:
        """Standardise over theta, shape (N, 10), physical units."""
        self.standardize.fit(self._logs(theta.double()))

    def forward(self, theta: Tensor) -> Tensor:
        """Features (B, 12) of theta, shape (B, 10), physical units."""
        features: Tensor = self.standardize(self._logs(theta))
        return features
