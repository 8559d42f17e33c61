"""Invertible scalings of inputs and outputs, fitted once, on the training split."""

import torch
from torch import Tensor, nn

__all__ = ["Features", "Standardize"]


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
    """Physical parameters to standardised network inputs; log10 where sampled in log10.

    Args:
        is_log: Which parameters enter by their log10.
    """

    is_log: Tensor

    def __init__(self, is_log: list[bool]) -> None:
        super().__init__()
        self.register_buffer("is_log", torch.tensor(is_log))
        self.standardize = Standardize(len(is_log))

    def _log(self, theta: Tensor) -> Tensor:
        # the logarithm sees 1 where it is not wanted: no NaN, also not in gradients
        logs = torch.log10(torch.where(self.is_log, theta, torch.ones_like(theta)))
        return torch.where(self.is_log, logs, theta)

    def fit(self, theta: Tensor) -> None:
        """Standardise over theta, shape (N, P), physical units."""
        self.standardize.fit(self._log(theta.double()))

    def forward(self, theta: Tensor) -> Tensor:
        """Features of theta, shape (B, P), physical units."""
        features: Tensor = self.standardize(self._log(theta))
        return features

    def inverse(self, x: Tensor) -> Tensor:
        """The physical parameters whose features are x."""
        y = self.standardize.inverse(x)
        return torch.where(self.is_log, 10.0 ** torch.where(self.is_log, y, 0.0), y)
