"""Optimisers of networks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pytorch_optimizer
import torch
from torch import nn

__all__ = ["MAKERS", "Optimizer", "OptimizerConfig"]

Optimizer = Literal["SOAP", "Muon", "adam", "RAdam", "AdamW"]

_MUON_REST = 0.1  # learning rate of the weights left to Adam, relative to that of Muon
_EPSILON = 1e-12  # far below the small gradients at the end of a training


def _soap(network: nn.Module, lr: float) -> torch.optim.Optimizer:
    return pytorch_optimizer.SOAP(
        network.parameters(), lr=lr, weight_decay=0.0, precondition_frequency=10, eps=_EPSILON
    )


def _muon(network: nn.Module, lr: float) -> torch.optim.Optimizer:
    weights = [p for p in network.parameters() if p.ndim == 2]
    hidden = weights[1:-1]
    rest = [p for p in network.parameters() if all(p is not one for one in hidden)]
    groups: list[dict[str, Any]] = [{"params": rest, "lr": _MUON_REST * lr, "use_muon": False}]
    if hidden:
        groups.insert(0, {"params": hidden, "lr": lr, "use_muon": True})
    return pytorch_optimizer.Muon(groups)


MAKERS: dict[str, Callable[[nn.Module, float], torch.optim.Optimizer]] = {
    "SOAP": _soap,
    "Muon": _muon,
    "adam": lambda network, lr: torch.optim.Adam(network.parameters(), lr=lr),
    "RAdam": lambda network, lr: torch.optim.RAdam(network.parameters(), lr=lr),
    "AdamW": lambda network, lr: torch.optim.AdamW(network.parameters(), lr=lr),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimiser, learning rate and batch size.

    Attributes:
        name: ``SOAP`` applies Adam in the eigenbasis of the preconditioner of Shampoo (Vyas et al.
            2024, arXiv:2409.11321). ``Muon`` orthogonalises the steps of hidden layers (Jordan et
            al. 2024) and uses Adam with a tenth of the rate for all other weights. ``adam`` (Kingma
            & Ba 2015, arXiv:1412.6980), ``RAdam`` and ``AdamW`` are those of PyTorch.
        lr: Peak learning rate, in (0, 1): about 5e-3 for ``SOAP``, 1e-1 for ``Muon``, 1e-3 for
            the others.
        batch_size: Number of points per step.
    """

    name: Optimizer = "SOAP"
    lr: float = 5e-3
    batch_size: int = 512

    def __post_init__(self) -> None:
        if self.name not in get_args(Optimizer):
            raise ValueError(
                f"optimizer.name = {self.name!r} must be one of {', '.join(get_args(Optimizer))}"
            )
        if not 0 < self.lr < 1:
            raise ValueError(f"optimizer.lr = {self.lr:g} must lie in (0, 1)")
        if self.batch_size < 1:
            raise ValueError(f"optimizer.batch_size = {self.batch_size} must be at least 1")

    def build(self, network: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a network's weights, with the peak rate as ``initial_lr``."""
        optimizer = MAKERS[self.name](network, self.lr)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return optimizer
