"""How long a training runs, and how its learning rate falls: in stages, or along a cosine."""

import math
import time
from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback

__all__ = ["CosineTraining", "ScheduleConfig", "StagedTraining", "Training"]


@dataclass(frozen=True)
class ScheduleConfig:
    """How long a training runs and how its rate falls; the defaults are the published ones.

    Attributes:
        kind: ``stages`` runs each stage to its patience, brings the best weights back and drops
            the rate. ``cosine`` warms up and falls along a cosine to zero over the whole budget
            (Loshchilov & Hutter 2017, arXiv:1608.03983), and needs a budget that it can use up.
        max_epochs: Most epochs of each stage; ``cosine`` runs for their sum.
        patience: Epochs without a better validation loss that end each stage; not used by
            ``cosine``.
        factor: The learning rate is multiplied by this after each stage; not used by ``cosine``.
        min_delta: Relative improvement of the validation loss that counts as better.
        max_minutes: Most minutes of the whole training, shared equally among stages; 0 sets no
            limit. A training that meets it has gone through all of its schedule, but depends on
            the machine's speed.
        warmup: Share of the budget over which ``cosine`` raises the rate from zero.
    """

    kind: Literal["stages", "cosine"] = "stages"
    max_epochs: tuple[int, ...] = (1000, 1000, 10000)
    patience: tuple[int, ...] = (100, 100, 1000)
    factor: float = 0.1
    min_delta: float = 0.0
    max_minutes: float = 0.0
    warmup: float = 0.03

    def __post_init__(self) -> None:
        if self.kind not in ("stages", "cosine"):
            raise ValueError(f"schedule.kind = {self.kind!r} must be 'stages' or 'cosine'")
        if len(self.max_epochs) != len(self.patience) or not self.max_epochs:
            raise ValueError(
                f"schedule: max_epochs {self.max_epochs} and patience {self.patience} must have "
                f"the same number of stages, at least one"
            )
        if min(self.max_epochs) < 1 or min(self.patience) < 1:
            raise ValueError("schedule: max_epochs and patience must be at least 1")
        if not 0 < self.factor <= 1:
            raise ValueError(f"schedule.factor = {self.factor:g} must lie in (0, 1]")
        if not self.max_minutes >= 0:
            raise ValueError(f"schedule.max_minutes = {self.max_minutes:g} must not be negative")
        for name in ("min_delta", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"schedule.{name} = {getattr(self, name):g} must lie in [0, 1)")

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
        seconds: Seconds of training so far, those before a resume included.
        diverged: Whether the metric stopped being finite, which ends the training.
        is_over: Whether the schedule has come to its end.
    """

    _STATE: tuple[str, ...] = (
        "stage", "best", "best_epoch", "best_weights", "seconds", "diverged", "is_over",
    )  # fmt: skip

    def __init__(self, config: ScheduleConfig, monitor: str = "val_loss") -> None:
        self.config, self.monitor = config, monitor
        self.stage, self.seconds = 0, 0.0
        self.best, self.best_epoch = math.inf, -1
        self.best_weights: dict[str, Any] = {}
        self.diverged, self.is_over = False, False
        self._clock = time.monotonic()

    @abstractmethod
    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """Go on to the next stage, or stop the trainer."""

    def on_fit_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Do nothing more after the checkpoint of a training that was over."""
        trainer.should_stop = self.is_over

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self._clock = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Cut a long epoch at the end of the time; its validation still runs."""
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        if self.config.max_minutes:
            over = self.seconds >= self.config.max_seconds
            # processes of a distributed training have clocks of their own and must agree
            if trainer.strategy.reduce_boolean_decision(over, all=False):
                trainer.should_stop = True

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
        else:
            self.after_epoch(trainer, pl_module, better)
        self.is_over = trainer.should_stop

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Bring back the best weights, however the training ended."""
        if self.best_weights:
            pl_module.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        for name in self._STATE:
            setattr(self, name, state_dict[name])


class StagedTraining(Training):
    """Stages, each to its patience; after each the best weights come back and the rate drops.

    A stage ends at its epoch limit, when the metric has not improved for its patience, or when
    its share of the time is over. The optimiser starts afresh after each.
    """

    _STATE = (*Training._STATE, "epochs_in_stage", "waited")

    def __init__(self, config: ScheduleConfig, monitor: str = "val_loss") -> None:
        super().__init__(config, monitor)
        self.epochs_in_stage, self.waited = 0, 0

    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """See `Training`."""
        self.epochs_in_stage += 1
        self.waited = 0 if better else self.waited + 1
        stages = len(self.config.max_epochs)
        if (
            self.waited < self.config.patience[self.stage]
            and self.epochs_in_stage < self.config.max_epochs[self.stage]
            and self.seconds < self.config.max_seconds * (self.stage + 1) / stages
        ):
            return
        self.stage += 1
        self.epochs_in_stage, self.waited = 0, 0
        if self.stage == stages:
            trainer.should_stop = True
            return
        module.load_state_dict(self.best_weights)
        for optimizer in trainer.optimizers:
            optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] *= self.config.factor


class CosineTraining(Training):
    """One sweep: a linear warm-up, then half a cosine down to zero at the end of the budget."""

    def rate(self, done: float) -> float:
        """The learning rate over its peak when a share `done` of the budget is used."""
        warmup = self.config.warmup
        if done < warmup:
            return done / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup))))

    def _done(self, epochs: float) -> float:
        """The used share of the budget: of the time if it is limited, else of the epochs."""
        if self.config.max_minutes:
            return self.seconds / self.config.max_seconds
        return epochs / sum(self.config.max_epochs)

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Set the rate of the step."""
        # a step in, so that the first is not lost
        epochs = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = optimizer.defaults["lr"] * self.rate(self._done(epochs))

    def after_epoch(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, better: bool
    ) -> None:
        """See `Training`."""
        if self._done(trainer.current_epoch + 1) >= 1:
            trainer.should_stop = True
