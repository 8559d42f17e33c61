"""A trial of a search: a training with its state in a folder, which reports to Ray Tune."""

import gc
import math
import time
import traceback
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from emulator.checkpoint import LAST_CHECKPOINT
from emulator.curves import Curves
from emulator.emulator import Emulator, NetworkEmulator
from emulator.loop import TrainingFailed
from emulator.progress import History
from emulator.schedule import Training
from emulator.train import EMULATOR_FILE
from tuning.journal import HISTORY_FILE, Trial, write_json
from tuning.task import OBJECTIVES, Task, quality

__all__ = ["FAILED_LOSS", "LATENCY", "evaluation_time", "run_trial"]

LATENCY = "latency_us"
FAILED_LOSS = 1e9  # with NaN, the searcher would wait for the trial forever
_REPORT_SECONDS = 3.0  # least time between reports
_REPORT_GROWTH = 0.01  # least increase of the training time between reports: a few hundred in all
_REPORT_SHARE = 0.05  # largest share of the time for reports and their checkpoints
_MILESTONES = 20  # number of reports at fixed progress, by which trials are compared
_ROUNDS = 50


def evaluation_time(emulator: Emulator, points: int) -> float:
    """Return the median evaluation time per point [microseconds], in a batch of points.

    Args:
        emulator: Emulator.
        points: Number of points in the batch.
    """
    space = emulator.spec.space
    drawn = np.random.default_rng(1).random((points, len(space.names)))
    theta = torch.from_numpy(space.from_unit(drawn)).float()
    seconds = []
    with torch.inference_mode():
        for _ in range(2 * _ROUNDS):
            start = time.perf_counter()
            emulator(theta)
            seconds.append(time.perf_counter() - start)
    return 1e6 * sorted(seconds[_ROUNDS:])[_ROUNDS // 2] / points


class Reporter(Callback):
    """Callback that reports the best weights so far, every few seconds and at milestones.

    With each report it writes the emulator and a checkpoint.

    Args:
        trial: Trial, with its reports before an interruption.
        latency: Number of points in a timed batch; 0 for no timing.
        longest: Measure of progress and its maximum, see `Task.longest`.
    """

    def __init__(self, trial: Trial, latency: int, longest: tuple[str, float] | None) -> None:
        self.folder, self.latency = trial.folder, latency
        self.measured: dict[str, float] = {}
        self.reports = trial.reports
        self.attribute, self.most = longest or ("progress", 1.0)
        passed = [report[self.attribute] for report in self.reports if report["milestone"]]
        self._passed = self._milestone(max(passed, default=0.0))
        self.seconds, self.tflop = 0.0, 0.0

    def _milestone(self, count: float) -> int:
        return int(_MILESTONES * count / self.most + 1e-9)

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Start the clock."""
        self._due = time.monotonic() + _REPORT_SECONDS

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Report if it is due."""
        (training,) = (c for c in trainer.callbacks if isinstance(c, Training))  # type: ignore[attr-defined]
        (history,) = (c for c in trainer.callbacks if isinstance(c, History))  # type: ignore[attr-defined]
        self.seconds, start = training.seconds, time.monotonic()
        self.tflop = training.tflop
        counts = {"progress": training.done, "epochs": len(history.epochs)}
        passed = self._milestone(counts[self.attribute])
        is_milestone = passed > self._passed
        if not training.best_weights or not (is_milestone or start >= self._due):
            return
        self._passed = passed
        emulator: NetworkEmulator = deepcopy(pl_module.emulator).cpu().float().eval()  # type: ignore[union-attr, assignment]
        prefix = "emulator."
        emulator.load_state_dict(
            {name.removeprefix(prefix): w for name, w in training.best_weights.items()}
        )
        found = quality(emulator, trainer.datamodule)  # type: ignore[attr-defined]
        notes = {"progress": training.done, "milestone": is_milestone, "finished": False}
        self.report(emulator, found, history.epochs, notes)
        trainer.save_checkpoint(self.folder / LAST_CHECKPOINT)
        cost = time.monotonic() - start
        wait = (_REPORT_SECONDS, cost / _REPORT_SHARE, _REPORT_GROWTH * self.seconds)
        self._due = start + max(wait)

    def report(
        self,
        emulator: Emulator,
        found: dict[str, float],
        epochs: list[dict[str, Any]],
        notes: dict[str, Any],
    ) -> None:
        """Save emulator and history, and report to Ray Tune.

        Args:
            emulator: Best emulator so far.
            found: Its objectives, see `tuning.task.quality`.
            epochs: Losses and learning rate of every epoch.
            notes: Further entries of the report: ``progress``, ``milestone``, ``finished``.
        """
        from ray import tune

        if self.latency and not self.measured:
            self.measured = {LATENCY: evaluation_time(emulator, self.latency)}
        if not all(map(math.isfinite, found.values())):
            found = dict.fromkeys(OBJECTIVES, FAILED_LOSS)
        report = found | self.measured | notes
        report |= {"epochs": len(epochs), "seconds": self.seconds, "tflop": self.tflop}
        self.reports.append(report)
        emulator.save(self.folder / EMULATOR_FILE)
        write_json(self.folder / HISTORY_FILE, {"reports": self.reports, "epochs": epochs})
        tune.report(report)


def run_trial(
    config: dict[str, Any], *, task: Task, folder: Path, threads: int, latency: int
) -> None:
    """Train with the hyperparameters of a point, from the checkpoint if there is one, and report.

    Errors are reported, too, and written to ``error.txt``; Ray Tune repeats only trials whose
    process died.

    Args:
        config: ``trial``, the name of the trial's folder, and ``point``, its hyperparameters.
        task: Task of the search.
        folder: Folder of all trials.
        threads: Number of threads.
        latency: Number of points in a timed batch; 0 for no timing.
    """
    from ray import tune

    torch.set_num_threads(threads)
    home, point = folder / config["trial"], config["point"]
    nothing = dict.fromkeys((*OBJECTIVES, LATENCY), FAILED_LOSS) | {
        "epochs": 0, "seconds": 0.0, "tflop": 0.0, "progress": 0.0, "milestone": False,
    }  # fmt: skip
    try:
        reporter = Reporter(Trial(home, point), latency, task.longest)
        if reporter.reports and reporter.reports[-1]["finished"]:
            tune.report(reporter.reports[-1])  # the search was killed before it recorded this
            return
        with Curves(home) as curves:
            emulator, history = task.fit(point, (curves, reporter), home / LAST_CHECKPOINT)
            reporter.seconds = history.get("seconds", reporter.seconds)
            reporter.tflop = history.get("tflop", reporter.tflop)
            found = task.quality(emulator)
            curves.write_point(point, found)
        notes = {"progress": 1.0, "milestone": False, "finished": True}
        if history.get("capped"):
            notes["capped"] = True
        reporter.report(emulator, found, history["epochs"], notes)
    except TrainingFailed:
        tune.report(nothing | {"finished": True})
    except Exception as error:
        (home / "error.txt").write_text(traceback.format_exc())
        tune.report(nothing | {"finished": True, "error": f"{type(error).__name__}: {error}"})
    finally:
        gc.collect()  # frees the trainer and its data, a reference cycle, for the next trial
