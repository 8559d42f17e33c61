"""One training with Lightning: the trainer as every training here wants it."""

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

_FINISH = "finish"  # the entry of a checkpoint


@dataclass(frozen=True)
class Hardware:
    """Where a training runs, in the terms of ``lightning.Trainer`` and of Ray Train.

    Attributes:
        accelerator: ``auto`` takes a GPU if there is one; ``cpu``, ``gpu``, ...
        devices: GPUs, or processes on CPUs, of each node. Each takes its share of the batches,
            so that a step sees `devices` times as many points.
        num_nodes: Machines.
        strategy: ``auto``, ``ddp``, ...
        precision: ``32-true``, or ``bf16-mixed`` where a GPU is fast at it.
        compile: Compile the network (``torch.compile``); what is saved is the same. On one CPU
            core the steps of 4 x 64 units and 256 points take 20 % less time, of 4 x 256 units
            and 1024 points 5 % less, after a compilation of up to a minute.
        workers: Processes of Ray Train, one GPU each where there are some, on this machine or on
            a cluster; they take the place of `devices`, `num_nodes` and `strategy`. 0 trains
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
        """Arguments of ``lightning.Trainer``; with workers, for within one of them."""
        options: dict[str, Any] = {"accelerator": self.accelerator, "precision": self.precision}
        if self.workers:
            from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

            plugins = [RayLightningEnvironment()]
            return options | {"devices": 1, "strategy": RayDDPStrategy(), "plugins": plugins}
        placed = {"devices": self.devices, "num_nodes": self.num_nodes, "strategy": self.strategy}
        return options | placed


class TrainingFailed(ValueError):  # noqa: N818 (it says what happened)
    """A training that led to no usable weights."""


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
    """Train a module to the end of a schedule; it is left with its best weights, on the CPU.

    They are float32, those of the finish if the schedule has one and it helped.

    Args:
        module: What is trained; it logs ``train_loss``, ``val_loss``, and what `training` monitors.
        data: Its data.
        training: The schedule.
        key: SHA-256 of all that decides how the training goes; checkpoints are bound to it.
        folder: Where TensorBoard logs and a checkpoint to resume from are kept, if anywhere.
        callbacks: Further Lightning callbacks.
        bar: Label of a progress bar; empty for none.
        resume: Checkpoint to go on from, if it is there; a damaged one is passed over.
        hardware: Where.

    Raises:
        ValueError: The hardware cannot train in float64, or the finish takes all of the work.
        TrainingFailed: The monitored metric was never finite.
        CheckpointError: The checkpoint is that of another training.
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
        use_distributed_sampler=False,  # the batches share themselves out
        logger=False,
        callbacks=own,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,  # see Keeper
        num_sanity_val_steps=0,
        log_every_n_steps=1_000_000,  # per epoch, not per step
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
            (folder / LAST_CHECKPOINT).unlink(missing_ok=True)  # nothing to go on from
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
            torch.device("cpu") if device.type == "mps" else device,  # it has no float64
            schedule.max_seconds - training.seconds,
            state,
        )
        training.end_with(finish.best, finish.share * training.reserved, finish.seconds)
        history.finish = finish.as_dict()
    module.cpu().eval()
    return history


def _finish_flop(module: EmulatorModule, data: SpectraData, training: Training) -> float:
    """Operations of the finish, which leave some of the budget to what comes before."""
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
    """Adds the state of a finish to the checkpoint of the training before it."""
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
    """End by a signal as commands do: Lightning makes a silent exit, with status 0 or 1, of it."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.default_int_handler)  # it was set to ignore
            raise Interrupted(signal.SIGINT) from None
        if isinstance(error, SIGTERMException):
            raise Interrupted(signal.SIGTERM) from None
        raise
