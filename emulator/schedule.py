"""Staged training: each stage runs to its patience, then the rate drops by a factor."""

import math
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

__all__ = ["StagedTraining", "StagesConfig"]


@dataclass(frozen=True)
class StagesConfig:
    """Stages of training; the defaults are the published ones.

    Attributes:
        max_epochs: Most epochs of each stage.
        patience: Epochs without a better validation loss that end each stage.
        factor: The learning rate is multiplied by this after each stage.
        min_delta: Relative improvement of the validation loss that counts as better.
        max_minutes: Most minutes of all stages together, shared equally among them; 0 sets no
            limit. A training that meets it ends with all its stages run, but depends on the
            machine's speed.
    """

    max_epochs: tuple[int, ...] = (1000, 1000, 10000)
    patience: tuple[int, ...] = (100, 100, 1000)
    factor: float = 0.1
    min_delta: float = 0.0
    max_minutes: float = 0.0

    def __post_init__(self) -> None:
        if len(self.max_epochs) != len(self.patience) or not self.max_epochs:
            raise ValueError(
                f"stages: max_epochs {self.max_epochs} and patience {self.patience} must have "
                f"the same number of stages, at least one"
            )
        if min(self.max_epochs) < 1 or min(self.patience) < 1:
            raise ValueError("stages: max_epochs and patience must be at least 1")
        if not 0 < self.factor <= 1:
            raise ValueError(f"stages.factor = {self.factor:g} must lie in (0, 1]")
        if not 0 <= self.min_delta < 1:
            raise ValueError(f"stages.min_delta = {self.min_delta:g} must lie in [0, 1)")
        if not self.max_minutes >= 0:
            raise ValueError(f"stages.max_minutes = {self.max_minutes:g} must not be negative")

    def seconds_until_end_of(self, stage: int) -> float:
        """Seconds of training after which a stage, counted from 0, has used up its share."""
        share = (stage + 1) / len(self.max_epochs)
        return 60 * self.max_minutes * share if self.max_minutes else math.inf


class StagedTraining(Callback):
    """Runs the stages within one ``Trainer.fit``, and leaves the best weights in the module.

    A stage ends at its epoch limit, when the validation loss has not improved for its patience,
    or when its share of the time is over. Then the best weights come back, the optimiser starts
    afresh, and the learning rate drops. The state travels in checkpoints, so that training
    resumes in the middle of a stage.

    Args:
        config: The stages.
        monitor: Name of the logged validation metric; smaller is better.

    Attributes:
        best: Best value of the metric so far.
        best_epoch: Its epoch.
        stage: Number of the present stage, from 0.
        seconds: Seconds of training so far, those before a resume included.
        diverged: Whether the metric stopped being finite, which ends the training.
    """

    _STATE = (
        "stage", "epochs_in_stage", "waited", "best", "best_epoch", "best_weights", "seconds"
    )  # fmt: skip

    def __init__(self, config: StagesConfig, monitor: str = "val_loss") -> None:
        self.config, self.monitor = config, monitor
        self.stage, self.epochs_in_stage, self.waited = 0, 0, 0
        self.best, self.best_epoch = math.inf, -1
        self.best_weights: dict[str, Any] = {}
        self.seconds = 0.0
        self.diverged = False
        self._clock = time.monotonic()

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self._clock = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Cut a long epoch at the end of the last stage; its validation still runs."""
        seconds = self.seconds + time.monotonic() - self._clock
        if seconds >= self.config.seconds_until_end_of(len(self.config.max_epochs) - 1):
            trainer.should_stop = True

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Judge the epoch."""
        if trainer.sanity_checking:
            return
        loss = float(trainer.callback_metrics[self.monitor])
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        self.epochs_in_stage += 1
        if loss < self.best * (1 - self.config.min_delta):
            self.best, self.best_epoch, self.waited = loss, trainer.current_epoch, 0
            self.best_weights = deepcopy(pl_module.state_dict())
        else:
            self.waited += 1
        if not math.isfinite(loss):
            self.diverged = True
            trainer.should_stop = True
        elif (
            self.waited >= self.config.patience[self.stage]
            or self.epochs_in_stage >= self.config.max_epochs[self.stage]
            or self.seconds >= self.config.seconds_until_end_of(self.stage)
        ):
            self._end_stage(trainer, pl_module)

    def _end_stage(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.stage += 1
        self.epochs_in_stage, self.waited = 0, 0
        if self.stage == len(self.config.max_epochs):
            trainer.should_stop = True
            return
        pl_module.load_state_dict(self.best_weights)
        for optimizer in trainer.optimizers:
            optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] *= self.config.factor

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
