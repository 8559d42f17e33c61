"""The LightningModule of a training: loss and optimiser of an emulator."""

from typing import Any, Literal, get_args

import lightning
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from emulator.emulator import NetworkEmulator
from emulator.optimizers import OptimizerConfig

__all__ = ["EmulatorModule", "Loss", "check_loss"]

Loss = Literal["rms", "mse"]

_TINY = 1e-12  # keeps the derivative of a square root finite at 0


def check_loss(loss: str) -> None:
    """Check the name of a loss.

    Raises:
        ValueError: The loss is unknown.
    """
    if loss not in get_args(Loss):
        raise ValueError(f"loss = {loss!r} must be one of {', '.join(get_args(Loss))}")


class EmulatorModule(lightning.LightningModule):
    """Training of an emulator on its standardised ln P.

    The logged ``train_loss`` and ``val_loss`` are mean squared errors for any minimised loss.

    Args:
        emulator: Emulator to train, with fitted scalings.
        optimizer: Optimiser and batch size.
        minimised: Minimised loss: ``mse``, the mean squared error, or ``rms``, the mean over points
            of the root-mean-square error of each point, in which difficult points count less.
        weighting: Power of the spread of ln P that multiplies errors; see
            `emulator.train.TrainConfig`.
        compiled: Whether to compile the prediction (``torch.compile``) for the training.
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
        """Switch to float64 if the checkpoint is in float64."""
        if any(one.dtype == torch.float64 for one in checkpoint["state_dict"].values()):
            self.double()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of the network's weights."""
        return self.optimizer.build(self.emulator.network)

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the minimised loss and the mean squared error of a batch.

        Args:
            batch: Features (B, F) and standardised ln P (B, O, K).
        """
        x, y = (one.to(self.dtype) for one in batch)
        difference = self._standardised(x) - y
        mse = difference.detach().square().mean()
        squares = (self.weights * difference).square()
        if self.minimised == "mse":
            return squares.mean(), mse
        return squares.flatten(1).mean(dim=1).add(_TINY).sqrt().mean(), mse

    def on_train_epoch_start(self) -> None:
        """Reset the mean loss of the epoch, and seed the dropout."""
        torch.manual_seed(self.trainer.datamodule.seed + self.current_epoch)  # type: ignore[attr-defined]
        self._losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the minimised loss of a training batch."""
        minimised, mse = self.loss(batch)
        self._losses.append(mse)
        return minimised

    def on_validation_epoch_start(self) -> None:
        """Log the mean training loss, once per epoch, since logging can take as long as a step."""
        self.log("train_loss", torch.stack(self._losses).mean(), sync_dist=True)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log the validation loss."""
        x, y = (one.to(self.dtype) for one in batch)
        self.log("val_loss", mse_loss(self._standardised(x), y), batch_size=len(x))
