"""Progress bar and history of a training, and a filter for Lightning's messages."""

import logging
import warnings
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from tqdm.auto import tqdm

from emulator.schedule import Training

__all__ = ["EpochBar", "History", "quiet_lightning"]


def quiet_lightning() -> None:
    """Suppress messages of Lightning that are irrelevant to a training."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",  # the data are tensors in memory
        ".*Starting from v1.9.0.*",
        ".*Checkpoint directory .* exists and is not empty.*",  # config.yaml lies there
        ".*is smaller than the logging interval.*",  # logged per epoch
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",  # lightning 2.6 with torch 2.13
    ):
        warnings.filterwarnings("ignore", message=message)


class History(Callback):
    """Callback that records losses and learning rate of every epoch.

    Args:
        training: Schedule of the training.

    Attributes:
        epochs: ``epoch``, ``stage``, ``lr``, ``train_loss`` and ``val_loss`` of each epoch.
        finish: Results of the finish, if there was one; see `emulator.finish.Finish.as_dict`.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        self.epochs: list[dict[str, Any]] = []
        self.finish: dict[str, Any] | None = None
        self._step: dict[str, Any] = {}

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Record rate and stage of the step, since both may change at the end of the epoch."""
        self._step = {
            "epoch": trainer.current_epoch,
            "stage": self.training.stage,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Record the epoch."""
        self.epochs.append(
            self._step
            | {name: float(trainer.callback_metrics[name]) for name in ("train_loss", "val_loss")}
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.epochs = list(state_dict["epochs"])


class EpochBar(Callback):
    """Progress bar with the completed part of the schedule, epoch, rate and best validation loss.

    Args:
        training: Schedule of the training.
        label: Text before the bar.
    """

    def __init__(self, training: Training, label: str = "training") -> None:
        self.training, self.label = training, label
        self.bar: Any = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Open the bar."""
        self.bar = tqdm(
            total=100,
            initial=self._percent,
            desc=self.label,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]",
            mininterval=1.0,
            disable=not trainer.is_global_zero,
        )

    @property
    def _percent(self) -> float:
        return round(100 * self.training.done, 1)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Move the bar."""
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        best = self.training.best
        text = f"epoch {trainer.current_epoch + 1}, lr {lr:.1g}, best val_loss {best:.3g}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(self._percent - self.bar.n)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()

    def on_exception(self, *_: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
