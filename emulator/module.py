"""The LightningModule: loss and optimiser around an emulator."""

from typing import Any, Literal, get_args

import lightning
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from emulator.emulator import NetworkEmulator
from emulator.optimizers import OptimizerConfig

__all__ = ["EmulatorModule", "Loss", "check_loss"]

Loss = Literal["rms", "mse"]

_TINY = 1e-12  # a square root has no slope at 0


def check_loss(loss: str) -> None:
    """Refuse a loss that there is not."""
    if loss not in get_args(Loss):
        raise ValueError(f"loss = {loss!r} must be one of {', '.join(get_args(Loss))}")


class EmulatorModule(lightning.LightningModule):
    """Trains an emulator on its standardised ln P.

    ``train_loss`` and ``val_loss``, which are logged, are mean squared errors, whatever is
    minimised.

    Args:
        emulator: What is trained, its scalings fitted.
        optimizer: How.
        minimised: ``mse``, the mean squared error, or ``rms``, the mean over points of the root
            of each one's mean squared error: hard points count less, all others more.
        weighting: Errors are weighed by this power of the spread of ln P; see
            `emulator.train.TrainConfig`.
        compiled: Compile what is trained; the emulator itself stays as it is.
    """

    weights: Tensor

    def __init__(
        self,
        emulator: NetworkEmulator,
        optimizer: OptimizerConfig,
        minimised: Loss = "mse",
        weighting: float = 0.0,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.emulator = emulator
        self.optimizer = optimizer
        self.minimised, self.weighting = minimised, weighting
        std = emulator.targets.std
        self.register_buffer("weights", (std / std.mean()) ** weighting, persistent=False)
        self._standardised = emulator.standardised
        if compiled:
            self._standardised = torch.compile(emulator.standardised)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the precision of a training that goes on."""
        if any(one.dtype == torch.float64 for one in checkpoint["state_dict"].values()):
            self.double()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser over the network's weights."""
        return self.optimizer.build(self.emulator.network)

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """What is minimised, and the mean squared error."""
        x, y = (one.to(self.dtype) for one in batch)
        difference = self._standardised(x) - y
        mse = difference.detach().square().mean()
        squares = (self.weights * difference).square()
        if self.minimised == "mse":
            return squares.mean(), mse
        return squares.flatten(1).mean(dim=1).add(_TINY).sqrt().mean(), mse

    def on_train_epoch_start(self) -> None:
        """Start the mean loss of the epoch, and what dropout draws in it."""
        torch.manual_seed(self.trainer.datamodule.seed + self.current_epoch)  # type: ignore[attr-defined]
        self._losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """What is minimised, of a training batch."""
        minimised, mse = self.loss(batch)
        self._losses.append(mse)
        return minimised

    def on_validation_epoch_start(self) -> None:
        """Log the mean training loss; once an epoch, since a step can be as short as a log."""
        self.log("train_loss", torch.stack(self._losses).mean(), sync_dist=True)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log the validation loss."""
        x, y = (one.to(self.dtype) for one in batch)
        self.log("val_loss", mse_loss(self._standardised(x), y), batch_size=len(x))
