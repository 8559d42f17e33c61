"""The search in the terminal: a live table, or a line for every ended trial; and its notes."""

import sys
import time
from typing import Any

from ray.tune import Callback
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tuning.journal import Clock, Journal, Trial
from tuning.trial import FAILED_LOSS, LATENCY

__all__ = ["Watch", "describe"]

_REFRESH_SECONDS = 2.0
_BEST = 5  # trials in the table, besides the running ones


def describe(point: dict[str, Any]) -> str:
    """A point in a few words."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in point.items()
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _extent(report: dict[str, Any]) -> str:
    """How long a trial took: its epochs, or its time where it has none."""
    if report.get("epochs"):
        return f"{report['epochs']} epochs"
    return f"{report.get('seconds', 0):.0f} s"


class Watch(Callback):
    """Notes in the journal what becomes of trials, and shows it.

    Args:
        journal: The run directory.
        clock: The search's.
        objectives: What is minimised.
        trials: Number of trials in all; 0 for no limit.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        objectives: tuple[str, ...],
        trials: int,
    ) -> None:
        self.journal, self.clock, self.objectives = journal, clock, objectives
        self.limit = trials
        self.ended = [trial for trial in journal.trials() if trial.state != "open"]
        self.running: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self._noted = -_REFRESH_SECONDS
        self._live: Any = None
        if self.ended:
            print(f"resuming: {len(self.ended)} trials are done")  # noqa: T201
        if sys.stdout.isatty():
            self._live = Live(get_renderable=self.table, refresh_per_second=1)
            self._live.start()

    def __getstate__(self) -> dict[str, Any]:
        """All but the terminal, for Ray's snapshots."""
        return vars(self) | {"_live": None}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Note the time, and which trials run."""
        if time.monotonic() < self._noted + _REFRESH_SECONDS:
            return
        self._noted = time.monotonic()
        self.journal.seconds = self.clock.seconds
        self.running = [
            (trial.config["trial"], trial.config["point"], dict(trial.last_result or {}))
            for trial in trials
            if trial.status == "RUNNING"
        ]

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note what came of a trial."""
        result = trial.last_result or {}
        if "error" in result or self.objectives[0] not in result:
            self._end(trial, "failed", {}, str(result.get("error", "it reported nothing")))
        elif result[self.objectives[0]] >= FAILED_LOSS:
            self._end(trial, "diverged", result)
        else:
            self._end(trial, "finished" if result["finished"] else "stopped", result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that a trial lost its process too often."""
        reason = str(trial.get_error() or "").strip().splitlines()[-1:]
        error = ": ".join(["its process died each time it was tried", *reason])
        self._end(trial, "failed", {}, error)

    def _end(self, trial: Any, state: str, result: dict[str, Any], error: str = "") -> None:
        names = ("val_loss", "p95", "p99", LATENCY, "epochs", "seconds", "finished")
        report = {name: result[name] for name in names if name in result}
        name, point = trial.config["trial"], trial.config["point"]
        self.journal.end(name, state, report, self.clock.seconds, error)
        ended = Trial(self.journal.folder / name, point, state, report, self.clock.seconds, error)
        self.ended.append(ended)
        self.running = [row for row in self.running if row[0] != name]
        if self._live is None:
            print(self._line(ended), flush=True)  # noqa: T201

    def _line(self, trial: Trial) -> str:
        of = f"/{self.limit}" if self.limit else ""
        text = trial.error or ", ".join(f"{n} {trial.report[n]:.3g}" for n in self.objectives)
        return (
            f"[{len(self.ended)}{of}, {_duration(self.clock.seconds)}] trial {trial.name} "
            f"{trial.state}: {text} after {_extent(trial.report)}: {describe(trial.point)}"
        )

    @property
    def remaining(self) -> float:
        """An estimate of the seconds that the search still takes."""
        left = self.clock.limit - self.clock.seconds
        if self.limit and self.ended:
            each = self.clock.seconds / len(self.ended)
            left = min(left, each * (self.limit - len(self.ended)))
        return max(0.0, left)

    def table(self) -> Table:
        """The best trials and the running ones."""
        of = f" of {self.limit}" if self.limit else ""
        eta = _duration(self.remaining) if self.remaining < float("inf") else "unknown"
        table = Table(
            title=f"{len(self.ended)}{of} trials done, {len(self.running)} running; "
            f"{_duration(self.clock.seconds)} used, {eta} to go",
            title_justify="left",
        )
        for name in ("trial", "state", *self.objectives, "epochs", "hyperparameters"):
            table.add_column(name, justify="right" if name in self.objectives else "left")
        objective = self.objectives[0]
        best = sorted(self.ended, key=lambda trial: trial.value(objective))[:_BEST]
        rows = [(t.name, t.state, t.report, t.point) for t in best]
        rows += [(name, "running", report, point) for name, point, report in self.running]
        for name, state, report, point in rows:
            numbers = [f"{report[n]:.3g}" if n in report else "" for n in self.objectives]
            epochs = str(report.get("epochs") or "")
            table.add_row(name, state, *numbers, epochs, describe(point))
        return table

    def close(self) -> None:
        """Note the time, and leave the last table standing."""
        self.journal.seconds = self.clock.seconds
        self.running = []
        if self._live is not None:
            self._live.stop()
            self._live = None
            Console().print(f"{len(self.ended)} trials are done")
