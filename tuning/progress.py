"""Progress of a search in the terminal, as a live table or lines, and in the journal."""

import math
import sys
import time
from collections.abc import Callable as Function
from collections.abc import Sequence
from typing import Any

from ray.tune import Callback
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tuning.journal import Clock, Journal, Trial
from tuning.task import OBJECTIVES
from tuning.trial import FAILED_LOSS, LATENCY

__all__ = ["Afterwards", "Watch", "cell", "describe", "heading", "scaled", "shown"]

_REFRESH_SECONDS = 2.0
_TELL_SECONDS = 60.0  # time between lines without a terminal, if no trial ends
_BEST = 5  # ended trials in the table
_QUANTILES = {"p95": "95 % error", "p99": "99 % error"}
_OTHERS = {"val_loss": "validation loss", LATENCY: "us a point"}

Afterwards = Function[[Sequence[Trial]], float]


def describe(point: dict[str, Any]) -> str:
    """Return hyperparameters as a short text."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in point.items()
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def scaled(name: str, value: float) -> float:
    """Return an objective as shown: errors of P in percent."""
    return 100 * value if name in _QUANTILES else value


def shown(name: str, value: float) -> str:
    """Return an objective with its name; errors of P in percent."""
    if name in _QUANTILES:
        return f"{_QUANTILES[name]} {cell(name, value)} %"
    return f"{_OTHERS[name]} {cell(name, value)}"


def heading(name: str) -> str:
    """Return the heading of a column of `cell` for an objective."""
    return f"{_QUANTILES[name]} [%]" if name in _QUANTILES else _OTHERS[name]


def cell(name: str, value: float) -> str:
    """Return the value of an objective in a column with `heading`."""
    return f"{scaled(name, value):.3g}"


def _extent(report: dict[str, Any]) -> str:
    """Length of a trial: its epochs or, for fits, its time."""
    if report.get("epochs"):
        return f"{report['epochs']} epochs"
    return f"{report.get('seconds', 0):.0f} s"


class Watch(Callback):
    """Callback of Ray Tune that writes results of trials to the journal, and shows progress.

    Args:
        journal: Run folder.
        clock: Clock of the search.
        objectives: Minimised quantities.
        trials: Total number of trials; 0 for no limit.
        at_once: Number of concurrent trials.
        afterwards: Function that estimates the seconds of the work after the trials.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        objectives: tuple[str, ...],
        trials: int,
        at_once: int = 1,
        afterwards: Afterwards = lambda _: 0.0,
    ) -> None:
        self.journal, self.clock, self.objectives = journal, clock, objectives
        self.limit, self.at_once, self.afterwards = trials, at_once, afterwards
        self.ended = [trial for trial in journal.trials() if trial.state != "open"]
        self.running: list[Trial] = []
        self._noted = self._told = -_REFRESH_SECONDS
        self._live: Any = None
        if self.ended:
            print(f"resuming: {len(self.ended)} trials are done")  # noqa: T201
        if sys.stdout.isatty():
            self._live = Live(get_renderable=self.table, refresh_per_second=1)
            self._live.start()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the terminal, for Ray's snapshots."""
        return vars(self) | {"_live": None}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Record the time and the running trials."""
        if time.monotonic() < self._noted + _REFRESH_SECONDS:
            return
        self._noted = time.monotonic()
        self.journal.seconds = self.clock.seconds
        self.running = [
            Trial(
                self.journal.folder / trial.config["trial"],
                trial.config["point"],
                report=dict(trial.last_result or {}),
            )
            for trial in trials
            if trial.status == "RUNNING"
        ]
        if self._live is None and self._noted >= self._told + _TELL_SECONDS:
            self._told = self._noted
            print(self._headline(), flush=True)  # noqa: T201

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the result of a trial."""
        result = trial.last_result or {}
        if "error" in result or self.objectives[0] not in result:
            self._end(trial, "failed", {}, str(result.get("error", "it reported nothing")))
        elif result[self.objectives[0]] >= FAILED_LOSS:
            self._end(trial, "diverged", result)
        else:
            self._end(trial, "finished" if result["finished"] else "stopped", result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the failure of a trial that lost its process too often."""
        reason = str(trial.get_error() or "").strip().splitlines()[-1:]
        error = ": ".join(["its process died each time it was tried", *reason])
        self._end(trial, "failed", {}, error)

    def _end(self, trial: Any, state: str, result: dict[str, Any], error: str = "") -> None:
        names = (*OBJECTIVES, LATENCY, "epochs", "seconds", "tflop", "finished", "capped")
        report = {name: result[name] for name in names if name in result}
        name, point = trial.config["trial"], trial.config["point"]
        self.journal.end(name, state, report, self.clock.seconds, error)
        ended = Trial(self.journal.folder / name, point, state, report, self.clock.seconds, error)
        self.ended.append(ended)
        self.running = [one for one in self.running if one.name != name]
        if self._live is None:
            print(self._line(ended), flush=True)  # noqa: T201
            self._told = time.monotonic()

    def _line(self, trial: Trial) -> str:
        of = f"/{self.limit}" if self.limit else ""
        text = trial.error or ", ".join(shown(n, trial.report[n]) for n in self.objectives)
        return (
            f"[{len(self.ended)}{of}, {self._times()}] trial {trial.name} "
            f"{trial.shown_state}: {text} after {_extent(trial.report)}: {describe(trial.point)}"
        )

    def _times(self) -> str:
        left = self.remaining
        to_go = f", {_duration(left)} to go" if left < math.inf else ""
        return f"{_duration(self.clock.seconds)} used{to_go}"

    def _headline(self) -> str:
        of = f" of {self.limit}" if self.limit else ""
        return f"{len(self.ended)}{of} trials done, {len(self.running)} running; {self._times()}"

    @property
    def remaining(self) -> float:
        """Estimate of the remaining seconds of the search and the work after it."""
        left = self.clock.limit - self.clock.seconds
        going = [
            one for one in self.running if one.report.get("progress") and "seconds" in one.report
        ]
        whole = [one.report["seconds"] / one.report["progress"] for one in going]
        seconds = [one.report["seconds"] for one in self.ended if "seconds" in one.report]
        if self.limit and (each := seconds + whole):
            mean = sum(each) / len(each)
            spent = sum(one.report["seconds"] for one in going)
            to_do = mean * (self.limit - len(self.ended)) - spent
            left = min(left, max(0.0, to_do) / min(self.at_once, max(1, self.limit)))
        return max(0.0, left) + self.afterwards([*self.ended, *going])

    def table(self) -> Table:
        """Return a table of the best and the running trials."""
        table = Table(title=self._headline(), title_justify="left")
        for name in ("trial", "state"):
            table.add_column(name)
        for name in self.objectives:
            table.add_column(heading(name), justify="right")
        for name in ("epochs", "hyperparameters"):
            table.add_column(name)
        objective = self.objectives[0]
        best = sorted(self.ended, key=lambda trial: trial.value(objective))[:_BEST]
        names = {trial.name for trial in self.ended}
        for trial in [*best, *(one for one in self.running if one.name not in names)]:
            numbers = [
                cell(name, trial.report[name]) if name in trial.report else ""
                for name in self.objectives
            ]
            epochs = str(trial.report.get("epochs") or "")
            table.add_row(trial.name, trial.shown_state, *numbers, epochs, describe(trial.point))
        return table

    def close(self) -> None:
        """Record the time, and stop the live table."""
        self.journal.seconds = self.clock.seconds
        self.running = []
        if self._live is not None:
            self._live.stop()
            self._live = None
            Console().print(f"{len(self.ended)} trials are done")
