"""One training with Lightning: the trainer as every training here wants it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from emulator.data import SpectraData
from emulator.progress import EpochBar, History, quiet_lightning
from emulator.schedule import Training

__all__ = ["LAST_CHECKPOINT", "Hardware", "TrainingFailed", "run_loop"]

LAST_CHECKPOINT = "last.ckpt"
_CHECKPOINT_EPOCHS = 10


@dataclass(frozen=True)
class Hardware:
    """Where a training runs; handed to ``lightning.Trainer`` as it is.

    Attributes:
        accelerator: ``auto`` takes a GPU if there is one; ``cpu``, ``gpu``, ...
        devices: GPUs, or processes on CPUs, of each node. Each takes its share of the batches,
            so that a step sees `devices` times as many points.
        num_nodes: Machines.
        strategy: ``auto``, ``ddp``, ...
        precision: ``32-true``, or ``bf16-mixed`` where a GPU is fast at it.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"

    def __post_init__(self) -> None:
        if self.devices < 1 or self.num_nodes < 1:
            raise ValueError(
                f"hardware: devices = {self.devices} and num_nodes = {self.num_nodes} must be at "
                f"least 1"
            )


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
    hardware: Hardware = Hardware(),
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
        hardware: Where.

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
        **vars(hardware),
        use_distributed_sampler=False,  # the batches share themselves out
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
