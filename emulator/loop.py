"""One training with Lightning: the trainer as every training here wants it."""

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from emulator.data import SpectraData
from emulator.progress import EpochBar, History, quiet_lightning
from emulator.schedule import Training

__all__ = ["LAST_CHECKPOINT", "TrainingFailed", "run_loop"]

LAST_CHECKPOINT = "last.ckpt"
_CHECKPOINT_EPOCHS = 10


class TrainingFailed(ValueError):  # noqa: N818 (it says what happened)
    """A training that led to no usable weights."""


def run_loop(
    module: lightning.LightningModule,
    data: SpectraData,
    training: Training,
    *,
    folder: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    bar: str = "",
    resume: Path | None = None,
) -> History:
    """Train a module to the end of a schedule; it is left with its best weights, on the CPU.

    Args:
        module: What is trained; it logs ``train_loss``, ``val_loss``, and what `training` monitors.
        data: Its data.
        training: The schedule.
        folder: Where TensorBoard logs and a checkpoint to resume from are kept, if anywhere.
        callbacks: Further Lightning callbacks.
        bar: Label of a progress bar; empty for none.
        resume: Lightning checkpoint to go on from.

    Raises:
        TrainingFailed: The monitored metric was never finite.
    """
    quiet_lightning()
    history = History(training)
    own: list[Callback] = [training, history, *callbacks]
    if bar:
        own.append(EpochBar(training, bar))
    if folder is not None:
        own.append(
            ModelCheckpoint(
                folder,
                filename=Path(LAST_CHECKPOINT).stem,
                every_n_epochs=_CHECKPOINT_EPOCHS,
                enable_version_counter=False,
            )
        )
    trainer = lightning.Trainer(
        max_epochs=sum(training.config.max_epochs),
        accelerator="auto",
        devices=1,
        logger=TensorBoardLogger(folder, name="", version="tensorboard") if folder else False,
        callbacks=own,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=folder is not None,
        num_sanity_val_steps=0,
        log_every_n_steps=1_000_000,  # per epoch, not per step
        reload_dataloaders_every_n_epochs=int(data.changes),
    )
    module.train()
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=False)
    if not training.best_weights:
        lr = trainer.optimizers[0].defaults["lr"]
        raise TrainingFailed(
            f"{training.monitor} was never finite; lower the learning rate from {lr:g}"
        )
    module.cpu().eval()
    return history
