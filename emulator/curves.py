"""Learning curves for TensorBoard."""

from pathlib import Path
from typing import Any, Self

import lightning
from lightning.pytorch.callbacks import Callback

from emulator.progress import History

__all__ = ["Curves"]


class Curves(Callback):
    """Callback that logs losses and learning rate of every epoch for TensorBoard.

    As a context manager, it writes remaining events at its exit.

    Args:
        folder: Folder of the events.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def _open(self, epoch: int) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is None:  # a resumed training writes its last epochs again
            self._writer = SummaryWriter(self.folder, purge_step=epoch)
        return self._writer

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Open the log."""
        if trainer.is_global_zero:
            self._open(trainer.current_epoch)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Log the epoch."""
        if self._writer is not None:
            (history,) = (c for c in trainer.callbacks if isinstance(c, History))  # type: ignore[attr-defined]
            for name in ("train_loss", "val_loss", "lr"):
                self._writer.add_scalar(name, history.epochs[-1][name], trainer.current_epoch)

    def write_point(self, point: dict[str, Any], found: dict[str, float]) -> None:
        """Log hyperparameters and the resulting metrics, for the tab HPARAMS.

        Args:
            point: Hyperparameters by name.
            found: ``val_loss``, and ``p95``, ``p99`` as fractions, which are logged in percent.
        """
        metrics = {
            f"best {name} [%]" if name.startswith("p") else f"best {name}":
            100 * value if name.startswith("p") else value
            for name, value in found.items()
        }  # fmt: skip
        self._open(0).add_hparams(point, metrics, run_name=".")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
