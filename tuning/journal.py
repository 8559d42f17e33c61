"""The run directory of a search: every trial in a folder of its own, whole at any moment.

A trial's folder holds ``point.json`` (its hyperparameters, written before it starts),
``history.json`` (what it reported, and its epochs), ``emulator.safetensors`` (its best so far),
``last.ckpt`` (where it goes on, while it runs), ``trial.json`` (what came of it, written when it
ends) and TensorBoard's events. All are written atomically, so that a search can be killed at any
moment and go on from what lies there.
"""

import hashlib
import json
import math
import shutil
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.files import atomic
from emulator.checkpoint import LAST_CHECKPOINT
from emulator.runs import run_lock

__all__ = ["HISTORY_FILE", "Clock", "Journal", "Trial", "key_of", "write_json"]

HISTORY_FILE = "history.json"
_POINT_FILE, _TRIAL_FILE, _CLOCK_FILE = "point.json", "trial.json", "clock.json"
_DIGITS = 3  # floats that agree so far are the same setting: a run twice would tell nothing new


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(content))


def _read_json(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_text()) if path.exists() else default
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete it to have that part of the search done again"
        ) from error


def key_of(point: dict[str, Any]) -> str:
    """What is the same for configurations that are the same, floats to three digits."""
    rounded = {
        name: f"{value:.{_DIGITS - 1}e}" if isinstance(value, float) else value
        for name, value in sorted(point.items())
    }
    return hashlib.sha256(json.dumps(rounded).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Trial:
    """One trial, as it lies in the run directory.

    Attributes:
        folder: Its folder; the folder's name, a number, is its name.
        point: Its hyperparameters.
        state: ``open`` while it is not ended; then ``finished``, ``stopped`` early, ``diverged``
            (its loss was never finite) or ``failed``.
        report: Its last report: ``val_loss``, ``p95``, ``p99``, ``epochs``, ``seconds``, ...
        at: Seconds of the search when it ended; NaN while it has not.
        error: Why it failed, if it did.
    """

    folder: Path
    point: dict[str, Any]
    state: str = "open"
    report: dict[str, float] = field(default_factory=dict)
    at: float = math.nan
    error: str = ""

    @property
    def name(self) -> str:
        """Its number, as a text."""
        return self.folder.name

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return int(self.folder.name)

    @property
    def shown_state(self) -> str:
        """Its state as tables show it; a training that ``max_minutes`` cut short says so."""
        state = "running" if self.state == "open" else self.state
        return f"{state} (max_minutes)" if self.report.get("capped") else state

    @property
    def reports(self) -> list[dict[str, float]]:
        """All of its reports."""
        history: dict[str, Any] = _read_json(self.folder / HISTORY_FILE, {})
        return list(history.get("reports", []))

    def value(self, objective: str) -> float:
        """The objective; infinite where there is none."""
        usable = self.state in ("open", "finished", "stopped")
        return self.report.get(objective, math.inf) if usable else math.inf


class Journal:
    """The trials of a run directory, read and written.

    Args:
        out: The run directory.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / "trials"
        self._ended = 0  # so many trials, from the first on, are known to have ended

    def trials(self) -> list[Trial]:
        """All trials, in the order in which they were proposed."""
        return [self._read(path.parent) for path in sorted(self.folder.glob(f"*/{_POINT_FILE}"))]

    def has_ended(self, number: int) -> bool:
        """Whether all trials up to a number have ended, as far as they are there."""
        between = [path for path in self.folder.glob("[0-9]*") if int(path.name) > self._ended]
        between = [path for path in between if int(path.name) <= number]
        if not all((path / _TRIAL_FILE).exists() for path in between):
            return False
        self._ended = max(self._ended, number)
        return True

    @property
    def next(self) -> int:
        """The number of the trial that is proposed next."""
        return 1 + max((int(path.name) for path in self.folder.glob("[0-9]*")), default=0)

    def _read(self, folder: Path) -> Trial:
        point = _read_json(folder / _POINT_FILE, {})
        ended = _read_json(folder / _TRIAL_FILE, None)
        trial = Trial(folder, point, **(ended or {}))
        if ended is None and (reports := trial.reports):
            return Trial(folder, point, report=reports[-1])
        return trial

    def propose(self, point: dict[str, Any]) -> Trial:
        """Make a folder for a trial that is about to start."""
        folder = self.folder / f"{self.next:04d}"
        write_json(folder / _POINT_FILE, point)
        return Trial(folder, point)

    def end(self, name: str, state: str, report: dict[str, float], at: float, error: str) -> None:
        """Note what came of a trial; its checkpoint is not needed any more."""
        entry = {"state": state, "report": report, "at": at, "error": error}
        write_json(self.folder / name / _TRIAL_FILE, entry)
        if state != "failed":  # that one may be tried again
            (self.folder / name / LAST_CHECKPOINT).unlink(missing_ok=True)

    def reopen(self, trial: Trial) -> None:
        """Let a trial that failed be tried again, from its checkpoint if it has one."""
        (trial.folder / _TRIAL_FILE).unlink()

    @property
    def seconds(self) -> float:
        """Wall time that the search has used so far, before interruptions too."""
        return float(_read_json(self.out / _CLOCK_FILE, {"seconds": 0})["seconds"])

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        write_json(self.out / _CLOCK_FILE, {"seconds": seconds})

    @property
    def begun(self) -> bool:
        """Whether there is anything that was computed and did not fail."""
        return any(
            trial.state in ("finished", "stopped", "diverged")
            or (trial.folder / HISTORY_FILE).exists()
            or (trial.folder / LAST_CHECKPOINT).exists()
            for trial in self.trials()
        )

    def clear(self) -> None:
        """Delete all trials and the clock, for another search."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.out / _CLOCK_FILE).unlink(missing_ok=True)

    def lock(self) -> AbstractContextManager[None]:
        """Keep a second search out of the run directory for the block; see `run_lock`."""
        return run_lock(self.out, "search")


class Clock:
    """The wall time of a search, those parts before interruptions included.

    Args:
        used: Seconds that it had used when this part began.
        limit: Seconds that it may use.
    """

    def __init__(self, used: float, limit: float) -> None:
        self.used, self.limit, self.start = used, limit, time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds used by now."""
        return self.used + time.monotonic() - self.start

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.seconds >= self.limit
