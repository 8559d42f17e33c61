"""Length of a training and schedule of its learning rate: in stages, or along a cosine."""

import math
import time
from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from emulator.work import FLOAT64_COST

__all__ = [
    "CosineTraining",
    "FinishConfig",
    "Precision",
    "ScheduleConfig",
    "StagedTraining",
    "Training",
]

Precision = Literal["float32", "float64"]


@dataclass(frozen=True)
class FinishConfig:
    """Finish of a training with L-BFGS, kept only if it lowers the validation loss.

    Attributes:
        evaluations: Number of evaluations of the loss and its gradient; a step takes one or a
            few. 0 for no finish.
        points: Number of training points in the loss, evenly spaced in the training split and the
            same in all evaluations; 0 for all.
        precision: ``float64``, in which an operation counts as two, or ``float32``. The final
            weights are float32 in both cases.
        memory: Number of past steps that approximate the curvature, at least 1.
    """

    evaluations: int = 0
    points: int = 20_000
    precision: Precision = "float64"
    memory: int = 20

    def __post_init__(self) -> None:
        for name, least in (("evaluations", 0), ("points", 0), ("memory", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"schedule.finish.{name} = {getattr(self, name)} must be at least {least}"
                )
        if self.precision not in get_args(Precision):
            raise ValueError(
                f"schedule.finish.precision = {self.precision!r} must be one of "
                f"{', '.join(get_args(Precision))}"
            )


@dataclass(frozen=True)
class ScheduleConfig:
    """Length of a training and schedule of its learning rate.

    Attributes:
        kind: ``cosine`` has a warm-up and then a cosine to zero over the whole budget (Loshchilov &
            Hutter 2017, arXiv:1608.03983). ``stages``, as in the published emulators, ends each
            stage after its patience, restores the best weights and reduces the rate.
        max_epochs: Maximum number of epochs of each stage; ``cosine`` uses their sum.
        patience: Number of epochs without a better validation loss that ends a stage; not used by
            ``cosine``.
        factor: Factor of the learning rate after each stage, in (0, 1]; not used by ``cosine``.
        min_delta: Smallest relative decrease of the validation loss that counts as better.
        max_tflop: Maximum number of operations of the whole training, in 10^12 floating-point
            operations as counted by `emulator.work`, divided equally among stages; 0 sets no limit.
            A given number takes about the same time for small and large networks, and gives the
            same training steps on every machine. A core of 2020 does about 0.05 per second.
        max_minutes: Wall time after which a training ends with a message; 0 sets no limit. This is
            a safeguard, not a budget, since the result depends on the speed of the machine.
        warmup: Fraction of the budget over which ``cosine`` raises the rate from zero, in [0, 1).
        float64: Fraction of the budget, at its end, in which the network is trained in float64, in
            [0, 1]. A step in float64 counts as two in float32.
        finish: Finish with L-BFGS. It is included in `max_tflop`, but not in `max_epochs`.
    """

    kind: Literal["cosine", "stages"] = "cosine"
    max_epochs: tuple[int, ...] = (400,)
    patience: tuple[int, ...] = (100,)
    factor: float = 0.1
    min_delta: float = 0.0
    max_tflop: float = 0.0
    max_minutes: float = 0.0
    warmup: float = 0.03
    float64: float = 0.0
    finish: FinishConfig = FinishConfig()

    def __post_init__(self) -> None:
        if self.kind not in ("stages", "cosine"):
            raise ValueError(f"schedule.kind = {self.kind!r} must be 'stages' or 'cosine'")
        if not self.max_epochs:
            raise ValueError("schedule.max_epochs is empty; name the epochs of one stage at least")
        if self.kind == "stages" and len(self.max_epochs) != len(self.patience):
            raise ValueError(
                f"schedule: max_epochs {self.max_epochs} and patience {self.patience} must have "
                f"the same number of stages"
            )
        if min(self.max_epochs + self.patience) < 1:
            raise ValueError("schedule: max_epochs and patience must be at least 1")
        if not 0 < self.factor <= 1:
            raise ValueError(f"schedule.factor = {self.factor:g} must lie in (0, 1]")
        for name in ("max_tflop", "max_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"schedule.{name} = {getattr(self, name):g} must be finite, not negative"
                )
        for name in ("min_delta", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"schedule.{name} = {getattr(self, name):g} must lie in [0, 1)")
        if not 0 <= self.float64 <= 1:
            raise ValueError(f"schedule.float64 = {self.float64:g} must lie in [0, 1]")

    def build(self, monitor: str = "val_loss") -> "Training":
        """Return the callback that runs this schedule.

        Args:
            monitor: Name of the logged validation metric; smaller is better.
        """
        return (StagedTraining if self.kind == "stages" else CosineTraining)(self, monitor)

    @property
    def max_seconds(self) -> float:
        """Maximum seconds of the training; infinite without a limit."""
        return 60 * self.max_minutes or math.inf


class Training(Callback, ABC):
    """Lightning callback that runs a schedule, and leaves the best weights in the module.

    Its state is part of checkpoints, so that a training can be resumed.

    Args:
        config: Schedule.
        monitor: Name of the logged validation metric; smaller is better.

    Attributes:
        best: Best value of the metric so far.
        best_epoch: Epoch of the best value; -1 before the first.
        stage: Index of the current stage, from 0.
        steps: Number of steps so far.
        cost: Cost of these steps, in steps in float32.
        flop: Floating-point operations of a step in float32; see `emulator.work.flop_of_step`.
        reserved: Operations reserved for the finish.
        finish_flop: Operations of the finish.
        seconds: Seconds of training so far, including those before a resume.
        diverged: Whether the metric became infinite or NaN, which ends the training.
        capped: Whether ``max_minutes`` ended the training before its schedule.
        is_over: Whether the training has ended.
    """

    STATE: tuple[str, ...] = (
        "stage", "best", "best_epoch", "best_weights", "steps", "cost", "flop", "seconds",
        "diverged", "capped", "is_over",
    )  # fmt: skip

    def __init__(self, config: ScheduleConfig, monitor: str = "val_loss") -> None:
        self.config, self.monitor = config, monitor
        self.stage, self.steps, self.cost, self.seconds = 0, 0, 0.0, 0.0
        self.flop, self.reserved, self.finish_flop = 0.0, 0.0, 0.0
        self.best, self.best_epoch = math.inf, -1
        self.best_weights: dict[str, Any] = {}
        self.diverged, self.capped, self.is_over = False, False, False
        self._clock = time.monotonic()
        self._batches = 0

    @property
    def tflop(self) -> float:
        """Work so far, in 10^12 floating-point operations."""
        return (self.cost * self.flop + self.finish_flop) / 1e12

    @property
    @abstractmethod
    def done(self) -> float:
        """Completed fraction of the schedule, in [0, 1]."""

    @abstractmethod
    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """Begin the next stage or stop the trainer, if it is time.

        Args:
            trainer: Trainer of the module.
            module: Module in training.
            better: Whether the epoch had the best metric so far.
        """

    def share(self, cost: float, epochs: int) -> float:
        """Return the used fraction of a budget, in [0, 1].

        Args:
            cost: Steps so far, in steps in float32.
            epochs: Maximum number of epochs of the budget.
        """
        most: float = epochs * self._batches
        if self.config.max_tflop:
            stages = 1 if self.config.kind == "cosine" else len(self.config.max_epochs)
            flop = 1e12 * self.config.max_tflop - self.reserved
            most = min(most, flop / stages / self.flop)
        return min(1.0, cost / max(1.0, most))

    def end_with(self, best: float, flop: float, seconds: float) -> None:
        """Record a finish: its lowest metric, operations and seconds."""
        self.best = min(self.best, best)
        self.finish_flop = flop
        self.seconds += seconds

    def on_fit_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Stop at once if the training had ended before it was resumed."""
        trainer.should_stop = self.is_over

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Start the clock."""
        self._clock = time.monotonic()
        self._batches = int(trainer.num_training_batches)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Switch to float64 when it is time."""
        is_time = self.config.float64 > 0 and self.done >= 1 - self.config.float64
        if is_time and pl_module.dtype != torch.float64:
            pl_module.double()
            for optimizer in trainer.optimizers:
                for state in optimizer.state.values():
                    state.update({name: _double(value) for name, value in state.items()})

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Count the step, and end the epoch, with its validation, at the end of the budget."""
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        self.steps += 1
        self.cost += FLOAT64_COST if pl_module.dtype == torch.float64 else 1
        if self.done >= 1:
            trainer.should_stop = True
        elif self.config.max_minutes:
            over = self.seconds >= 60 * self.config.max_minutes
            # the processes of a distributed training have different clocks, and must agree
            if trainer.strategy.reduce_boolean_decision(over, all=False):
                self.capped = trainer.should_stop = True

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Compare the epoch's metric with the best so far, and end stage or training if due."""
        if trainer.sanity_checking:
            return
        value = float(trainer.callback_metrics[self.monitor])
        if trainer.world_size > 1:
            seconds = torch.tensor(self.seconds, device=pl_module.device)
            self.seconds = float(trainer.strategy.reduce(seconds, reduce_op="max"))
        better = value < self.best * (1 - self.config.min_delta)
        if better:
            self.best, self.best_epoch = value, trainer.current_epoch
            self.best_weights = deepcopy(pl_module.state_dict())
        if not math.isfinite(value):
            self.diverged = True
            trainer.should_stop = True
        elif not self.capped:
            self.after_epoch(trainer, pl_module, better)
        self.is_over = trainer.should_stop

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Restore the best weights."""
        if self.best_weights:
            pl_module.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {name: getattr(self, name) for name in self.STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        for name in self.STATE:
            setattr(self, name, state_dict[name])


def _double(value: Any) -> Any:
    """Convert an optimiser's state to float64."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.double()
    if isinstance(value, list):
        return [_double(one) for one in value]
    return value


class StagedTraining(Training):
    """Stages, after each of which the best weights are restored and the learning rate is reduced.

    A stage ends after its maximum number of epochs, when the metric has not improved for its
    patience, or when its part of the budget is used. The optimiser is reset after each stage.
    """

    STATE = (*Training.STATE, "epochs_in_stage", "cost_before", "waited")

    def __init__(self, config: ScheduleConfig, monitor: str = "val_loss") -> None:
        super().__init__(config, monitor)
        self.epochs_in_stage, self.cost_before, self.waited = 0, 0.0, 0

    @property
    def _done_of_stage(self) -> float:
        if self.stage == len(self.config.max_epochs):
            return 0.0
        return self.share(self.cost - self.cost_before, self.config.max_epochs[self.stage])

    @property
    def done(self) -> float:
        """See `Training`."""
        return (self.stage + self._done_of_stage) / len(self.config.max_epochs)

    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """See `Training`."""
        self.epochs_in_stage += 1
        self.waited = 0 if better else self.waited + 1
        if (
            self.waited < self.config.patience[self.stage]
            and self.epochs_in_stage < self.config.max_epochs[self.stage]
            and self._done_of_stage < 1
        ):
            return
        self.stage += 1
        self.epochs_in_stage, self.cost_before, self.waited = 0, self.cost, 0
        if self.stage == len(self.config.max_epochs):
            trainer.should_stop = True
            return
        module.load_state_dict(self.best_weights)
        for optimizer in trainer.optimizers:
            optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] *= self.config.factor
                group.pop("step", None)  # SOAP's counter of steps


class CosineTraining(Training):
    """Linear warm-up of the learning rate, then half a cosine to zero at the end of the budget."""

    def rate(self, done: float) -> float:
        """Return the learning rate over its peak when a fraction `done` of the budget is used."""
        warmup = self.config.warmup
        if done < warmup:
            return done / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup))))

    @property
    def done(self) -> float:
        """See `Training`."""
        return self.share(self.cost, sum(self.config.max_epochs))

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Also set the learning rate of the step."""
        super().on_train_batch_start(trainer, pl_module)
        done = self.share(self.cost + 1, sum(self.config.max_epochs))  # not 0 in the first step
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self.rate(done)

    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """See `Training`."""
        trainer.should_stop = self.done >= 1
