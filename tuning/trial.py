"""One trial of the search: a training that reports to Ray Tune and resumes from its checkpoint."""

import math
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from datagen.store import Spectra
from emulator.loop import LAST_CHECKPOINT, TrainingFailed
from emulator.schedule import Training
from emulator.train import EMULATOR_FILE, TrainConfig, fit
from tuning.space import SearchSpace

__all__ = ["FAILED_LOSS", "METRIC", "run_trial"]

METRIC = "val_loss"  # best so far, so that the searcher, which sees the last report, sees the best
FAILED_LOSS = 1e6  # a NaN would leave the searcher waiting for this trial for ever
_REPORT_SECONDS = 3.0
_REPORT_SHARE = 0.05  # of the time, at most, for reports and their checkpoints


class Reporter(Callback):
    """Reports the best validation loss so far, with a checkpoint, every few seconds."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _REPORT_SECONDS

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Report, if it is time."""
        start = time.monotonic()
        if start < self._due:
            return
        (training,) = (c for c in trainer.callbacks if isinstance(c, Training))  # type: ignore[attr-defined]
        if math.isfinite(training.best):
            self._report(trainer, training.best)
        cost = time.monotonic() - start
        self._due = start + max(_REPORT_SECONDS, cost / _REPORT_SHARE)

    @staticmethod
    def _report(trainer: lightning.Trainer, loss: float) -> None:
        from ray import tune

        with tempfile.TemporaryDirectory() as folder:
            trainer.save_checkpoint(Path(folder) / LAST_CHECKPOINT)
            tune.report(
                {METRIC: loss, "epochs": trainer.current_epoch + 1},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )


def run_trial(point: dict[str, Any], *, spectra: Spectra, base: TrainConfig, threads: int) -> None:
    """Train with the hyperparameters of a point and report the best validation loss.

    Args:
        point: Hyperparameters; see `SearchSpace`.
        spectra: The labels; the test split is not touched.
        base: All other settings of the training.
        threads: Threads of the computation.
    """
    from ray import tune

    torch.set_num_threads(threads)
    config = SearchSpace.apply(point, base)
    checkpoint = tune.get_checkpoint()
    try:
        with checkpoint.as_directory() if checkpoint else nullcontext() as folder:
            resume = Path(folder) / LAST_CHECKPOINT if folder else None
            emulator, history = fit(spectra, config, callbacks=(Reporter(),), resume=resume)
    except TrainingFailed:
        tune.report({METRIC: FAILED_LOSS, "epochs": 0})
        return
    errors = [record["all"]["95"] for record in emulator.spec.record["validation"].values()]
    metrics = {METRIC: history["best_val_loss"], "epochs": len(history["epochs"])}
    with tempfile.TemporaryDirectory() as last:
        emulator.save(Path(last) / EMULATOR_FILE)
        tune.report(metrics | {"p95": max(errors)}, checkpoint=tune.Checkpoint.from_directory(last))
