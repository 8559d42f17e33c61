"""The LightningModule: loss and optimiser around an emulator."""

from dataclasses import dataclass
from typing import Literal, get_args

import lightning
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from emulator.emulator import NetworkEmulator

__all__ = ["EmulatorModule", "Optimizer", "OptimizerConfig"]

Optimizer = Literal["adam", "RAdam", "AdamW"]

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "RAdam": torch.optim.RAdam,
    "AdamW": torch.optim.AdamW,
}


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights move.

    Attributes:
        name: The optimiser.
        lr: Learning rate of the first stage.
        batch_size: Points in a step.
    """

    name: Optimizer = "adam"
    lr: float = 1e-3
    batch_size: int = 256

    def __post_init__(self) -> None:
        if self.name not in get_args(Optimizer):
            raise ValueError(
                f"optimizer.name = {self.name!r} must be one of {', '.join(get_args(Optimizer))}"
            )
        if not 0 < self.lr < 1:
            raise ValueError(f"optimizer.lr = {self.lr:g} must lie in (0, 1)")
        if self.batch_size < 1:
            raise ValueError(f"optimizer.batch_size = {self.batch_size} must be at least 1")


class EmulatorModule(lightning.LightningModule):
    """Trains an emulator on the mean squared error of its standardised ln P.

    Args:
        emulator: What is trained, its scalings fitted.
        optimizer: How.
        compiled: Compile what is trained; the emulator itself stays as it is.
    """

    def __init__(
        self, emulator: NetworkEmulator, optimizer: OptimizerConfig, compiled: bool = False
    ) -> None:
        super().__init__()
        self.emulator = emulator
        self.optimizer = optimizer
        self._standardised = emulator.standardised
        if compiled:
            self._standardised = torch.compile(emulator.standardised)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser over the network's weights."""
        weights = self.emulator.network.parameters()
        return _OPTIMIZERS[self.optimizer.name](weights, lr=self.optimizer.lr)  # type: ignore[call-arg]

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return mse_loss(self._standardised(x), y)

    def on_train_epoch_start(self) -> None:
        """Start the mean loss of the epoch."""
        self._losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Loss of a training batch."""
        loss = self._loss(batch)
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Log the mean training loss; once an epoch, since a step can be as short as a log."""
        self.log("train_loss", torch.stack(self._losses).mean(), sync_dist=True)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log the validation loss."""
        self.log("val_loss", self._loss(batch), batch_size=len(batch[0]))
