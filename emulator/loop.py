"""The training loop with Lightning, common to all trainings."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from emulator.checkpoint import LAST_CHECKPOINT, Checkpoints, Keeper
from emulator.curves import Curves
from emulator.data import SpectraData
from emulator.finish import Finish, flop_of_finish
from emulator.module import EmulatorModule
from emulator.progress import EpochBar, History, quiet_lightning
from emulator.schedule import Training
from emulator.work import flop_of_step
from hodspectra.ending import Interrupted

__all__ = ["Hardware", "TrainingFailed", "run_loop"]

_FINISH = "finish"  # name of the finish in a checkpoint


@dataclass(frozen=True)
class Hardware:
    """Where a training runs, with the options of ``lightning.Trainer`` and Ray Train.

    Attributes:
        accelerator: ``auto`` for a GPU if there is one; ``cpu``, ``gpu``, ...
        devices: Number of GPUs, or processes on CPUs, per machine. Each processes different
            batches, so that a step uses `devices` times as many points.
        num_nodes: Number of machines.
        strategy: ``auto``, ``ddp``, ...
        precision: ``32-true``, or ``bf16-mixed`` or ``16-mixed`` on GPUs that are faster with it.
        compile: Compile the network (``torch.compile``), which does not change the saved file. On
            one CPU core, steps of 4 x 64 units and 256 points take 20 % less time, and those of
            4 x 256 units and 1024 points 5 % less, after a compilation of up to a minute.
        workers: Number of processes of Ray Train, with a GPU each if there are some, on this
            machine or on a cluster, instead of `devices`, `num_nodes` and `strategy`. 0 trains
            without Ray.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        if self.devices < 1 or self.num_nodes < 1:
            raise ValueError(
                f"hardware: devices = {self.devices} and num_nodes = {self.num_nodes} must be at "
                f"least 1"
            )
        placed = (self.devices, self.num_nodes, self.strategy) != (1, 1, "auto")
        if self.workers < 0 or (self.workers and placed):
            raise ValueError(
                f"hardware.workers = {self.workers} must not be negative, and Ray Train places "
                f"its workers by itself; leave devices, num_nodes and strategy out"
            )

    @property
    def is_one(self) -> bool:
        """Whether one process trains."""
        return (self.devices, self.num_nodes, self.strategy, self.workers) == (1, 1, "auto", 0)

    def trainer_options(self) -> dict[str, Any]:
        """Return arguments of ``lightning.Trainer``; with workers, those inside of a worker."""
        options: dict[str, Any] = {"accelerator": self.accelerator, "precision": self.precision}
        if self.workers:
            from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

            plugins = [RayLightningEnvironment()]
            return options | {"devices": 1, "strategy": RayDDPStrategy(), "plugins": plugins}
        placed = {"devices": self.devices, "num_nodes": self.num_nodes, "strategy": self.strategy}
        return options | placed


class TrainingFailed(ValueError):  # noqa: N818 (it says what happened)
    """Error of a training without usable weights."""


def run_loop(
    module: EmulatorModule,
    data: SpectraData,
    training: Training,
    *,
    key: str,
    folder: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    bar: str = "",
    resume: Path | None = None,
    hardware: Hardware = Hardware(),
) -> History:
    """Train a module to the end of a schedule.

    Afterwards the module has its best weights, in float32 on the CPU: those of the finish, if the
    schedule has one and it helped.

    Args:
        module: Module to train; it logs ``train_loss``, ``val_loss`` and the metric that `training`
            monitors.
        data: Training and validation data.
        training: Schedule.
        key: SHA-256 of everything that determines the training; checkpoints are bound to it.
        folder: Folder for TensorBoard logs and a checkpoint; None to write neither.
        callbacks: Further Lightning callbacks.
        bar: Label of a progress bar; empty for none.
        resume: Checkpoint to resume from, if it exists; a damaged one is ignored.
        hardware: Where the training runs.

    Returns:
        Losses and learning rate of every epoch.

    Raises:
        ValueError: The hardware cannot train in float64, or the finish needs the whole budget.
        TrainingFailed: The monitored metric was never finite.
        CheckpointError: The checkpoint belongs to another training.
    """
    schedule = training.config
    if schedule.float64 and not (hardware.is_one and hardware.precision == "32-true"):
        raise ValueError(
            f"schedule.float64 = {schedule.float64:g} needs one process, with "
            f"hardware.precision = 32-true; set it to 0, or train so"
        )
    quiet_lightning()
    checkpoints, history = Checkpoints(key), History(training)
    own: list[Callback] = [training, history, *callbacks]
    if bar:
        own.append(EpochBar(training, bar))
    curves: AbstractContextManager[Any] = nullcontext()
    if folder is not None:
        curves = Curves(folder / "tensorboard")
        own += [Keeper(folder / LAST_CHECKPOINT), curves]
    options = hardware.trainer_options()
    options["plugins"] = [*options.get("plugins", ()), checkpoints]
    trainer = lightning.Trainer(
        max_epochs=sum(schedule.max_epochs),
        **options,
        use_distributed_sampler=False,  # `emulator.data.batches` distributes batches itself
        logger=False,
        callbacks=own,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,  # see Keeper
        num_sanity_val_steps=0,
        log_every_n_steps=1_000_000,  # logged per epoch, not per step
        reload_dataloaders_every_n_epochs=int(data.changes),
    )
    training.flop = flop_of_step(module, data.example())
    if schedule.finish.evaluations:
        training.reserved = _finish_flop(module, data, training)
    module.train()
    usable = checkpoints.usable(resume)
    state = checkpoints.load_checkpoint(usable).get(_FINISH) if usable else None
    with _interruptible(), curves:
        trainer.fit(module, datamodule=data, ckpt_path=usable)
    if not training.best_weights:
        if folder is not None:
            (folder / LAST_CHECKPOINT).unlink(missing_ok=True)  # not worth resuming
        lr = trainer.optimizers[0].param_groups[0]["initial_lr"]
        raise TrainingFailed(
            f"{training.monitor} was never finite; lower the learning rate from {lr:g}"
        )
    module.float()
    if schedule.finish.evaluations and not training.capped:
        device = trainer.strategy.root_device
        finish = Finish(schedule.finish, _keeper(checkpoints, resume), bar and f"{bar}, finish")
        finish.run(
            module,
            data,
            torch.device("cpu") if device.type == "mps" else device,  # mps has no float64
            schedule.max_seconds - training.seconds,
            state,
        )
        training.end_with(finish.best, finish.share * training.reserved, finish.seconds)
        history.finish = finish.as_dict()
    module.cpu().eval()
    return history


def _finish_flop(module: EmulatorModule, data: SpectraData, training: Training) -> float:
    """Operations of the finish; a ValueError if they leave nothing of the budget for training."""
    finish, most = training.config.finish, training.config.max_tflop
    flop = finish.evaluations * flop_of_finish(module, data, finish)
    if most and flop >= 1e12 * most:
        raise ValueError(
            f"schedule.finish takes {flop / 1e12:.3g} * 10^12 operations, schedule.max_tflop = "
            f"{most:g} leaves nothing for what comes before; lower finish.evaluations or "
            f"finish.points, or raise max_tflop"
        )
    return flop


def _keeper(checkpoints: Checkpoints, path: Path | None) -> Callable[[dict[str, Any]], None]:
    """Function that adds the state of a finish to the checkpoint of the training before it."""
    before: dict[str, Any] = {}

    @rank_zero_only
    def keep(state: dict[str, Any]) -> None:
        if path is not None and path.exists():
            if not before:
                before.update(checkpoints.load_checkpoint(path))
            checkpoints.save_checkpoint(before | {_FINISH: state}, path)

    return keep


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise `Interrupted` on signals, of which Lightning makes a silent exit with status 0 or 1."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning ignores it
            raise Interrupted(signal.SIGINT) from None
        if isinstance(error, SIGTERMException):
            raise Interrupted(signal.SIGTERM) from None
        raise
