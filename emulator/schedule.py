"""How long a training runs, and how its learning rate falls: in stages, or along a cosine."""

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
    """A finish with L-BFGS (Liu & Nocedal 1989), kept only if the validation loss is lower.

    Attributes:
        evaluations: Number of evaluations of the loss and its gradient; a step takes one or a
            few. 0 leaves the finish out.
        points: Training points that the loss is taken over, evenly spaced among all, the same in
            every evaluation; 0 takes all.
        precision: ``float64``, in which an operation counts as two, or ``float32``. The
            emulator's weights are float32 in the end.
        memory: Number of past steps that approximate the curvature.
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
    """How long a training runs and how its learning rate falls.

    Attributes:
        kind: ``cosine`` has a warm-up and then a cosine to zero over the whole budget (Loshchilov &
            Hutter 2017, arXiv:1608.03983). ``stages``, as in the published emulators, ends each
            stage after its patience, restores the best weights and reduces the rate.
        max_epochs: Maximum number of epochs of each stage; ``cosine`` uses their sum.
        patience: Number of epochs without a better validation loss that ends a stage; not used by
            ``cosine``.
        factor: The learning rate is multiplied by this after each stage; not used by ``cosine``.
        min_delta: Relative improvement of the validation loss that counts as better.
        max_tflop: Maximum number of operations of the whole training, in 10^12 floating-point
            operations as counted by `emulator.work`, divided equally among stages; 0 sets no limit.
            It takes about the same time for small and large networks, and gives the same training
            steps on every machine. A core of 2020 does about 0.05 per second.
        max_minutes: Wall time after which a training ends with a message; 0 sets no limit. This is
            a safeguard, not a budget, since the result depends on the speed of the machine.
        warmup: Share of the budget over which ``cosine`` raises the rate from zero.
        float64: Share of the budget, at its end, over which the network is trained in float64. A
            step in float64 uses up as much of the budget as two in float32.
        finish: What follows, with L-BFGS. It is part of `max_tflop`, and comes on top of
            `max_epochs`.
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
        """The callback that runs this schedule."""
        return (StagedTraining if self.kind == "stages" else CosineTraining)(self, monitor)

    @property
    def max_seconds(self) -> float:
        """Most seconds of the whole training."""
        return 60 * self.max_minutes or math.inf


class Training(Callback, ABC):
    """Runs a schedule within one ``Trainer.fit``, and leaves the best weights in the module.

    The state travels in checkpoints, so that training resumes where it was.

    Args:
        config: The schedule.
        monitor: Name of the logged validation metric; smaller is better.

    Attributes:
        best: Best value of the metric so far.
        best_epoch: Its epoch.
        stage: Number of the present stage, from 0.
        steps: Steps so far.
        cost: What they cost, in steps in float32.
        flop: Floating-point operations of each of these; see `emulator.work.flop_of_step`.
        reserved: Operations that are set aside for the finish.
        finish_flop: Operations of the finish.
        seconds: Seconds of training so far, those before a resume included.
        diverged: Whether the metric stopped being finite, which ends the training.
        capped: Whether ``max_minutes`` ended the training before its schedule did.
        is_over: Whether the training has come to its end.
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
        """The share of the schedule that is behind, in [0, 1]."""

    @abstractmethod
    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """Go on to the next stage, or stop the trainer."""

    def share(self, cost: float, epochs: int) -> float:
        """The share of the budget of so many epochs that is behind after so many steps."""
        most: float = epochs * self._batches
        if self.config.max_tflop:
            stages = 1 if self.config.kind == "cosine" else len(self.config.max_epochs)
            flop = 1e12 * self.config.max_tflop - self.reserved
            most = min(most, flop / stages / self.flop)
        return min(1.0, cost / max(1.0, most))

    def end_with(self, best: float, flop: float, seconds: float) -> None:
        """Take note of a finish: lowest metric, operations, seconds."""
        self.best = min(self.best, best)
        self.finish_flop = flop
        self.seconds += seconds

    def on_fit_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Do nothing more after the checkpoint of a training that was over."""
        trainer.should_stop = self.is_over

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Start the clock."""
        self._clock = time.monotonic()
        self._batches = int(trainer.num_training_batches)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Go over to float64 when it is time."""
        is_time = self.config.float64 > 0 and self.done >= 1 - self.config.float64
        if is_time and pl_module.dtype != torch.float64:
            pl_module.double()
            for optimizer in trainer.optimizers:
                for state in optimizer.state.values():
                    state.update({name: _double(value) for name, value in state.items()})

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Cut a long epoch at the end of the budget; its validation still runs."""
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        self.steps += 1
        self.cost += FLOAT64_COST if pl_module.dtype == torch.float64 else 1
        if self.done >= 1:
            trainer.should_stop = True
        elif self.config.max_minutes:
            over = self.seconds >= 60 * self.config.max_minutes
            # processes of a distributed training have clocks of their own and must agree
            if trainer.strategy.reduce_boolean_decision(over, all=False):
                self.capped = trainer.should_stop = True

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Judge the epoch."""
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
        """Bring back the best weights, however the training ended."""
        if self.best_weights:
            pl_module.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: getattr(self, name) for name in self.STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        for name in self.STATE:
            setattr(self, name, state_dict[name])


def _double(value: Any) -> Any:
    """An optimiser's state in float64."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.double()
    if isinstance(value, list):
        return [_double(one) for one in value]
    return value


class StagedTraining(Training):
    """Stages, each to its patience; after each the best weights come back and the rate drops.

    A stage ends at its epoch limit, when the metric has not improved for its patience, or when
    its share of the work is done. The optimiser starts afresh after each.
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
                group.pop("step", None)  # where SOAP counts


class CosineTraining(Training):
    """One sweep: a linear warm-up, then half a cosine down to zero at the end of the budget."""

    def rate(self, done: float) -> float:
        """The learning rate over its peak when a share `done` of the budget is used."""
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
        """Set the rate of the step, too."""
        super().on_train_batch_start(trainer, pl_module)
        done = self.share(self.cost + 1, sum(self.config.max_epochs))  # the first is not lost
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self.rate(done)

    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """See `Training`."""
        trainer.should_stop = self.done >= 1
