"""The run folder of a search, with a folder for each trial.

The folder of a trial contains ``point.json`` (hyperparameters, written before it starts),
``history.json`` (reports and epochs), ``emulator.safetensors`` (the best weights so far),
``last.ckpt`` (checkpoint, while it runs), ``trial.json`` (result, written when it ends) and
TensorBoard's events. All files are written atomically, so that a search can be killed at any time
and resumed.
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
_DIGITS = 3  # floats that agree to so many digits are the same setting


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
    """Return a hash of hyperparameters, with floats rounded to three digits."""
    rounded = {
        name: f"{value:.{_DIGITS - 1}e}" if isinstance(value, float) else value
        for name, value in sorted(point.items())
    }
    return hashlib.sha256(json.dumps(rounded).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Trial:
    """A trial in the run folder.

    Attributes:
        folder: Folder of the trial, named after its number.
        point: Hyperparameters by name.
        state: ``open`` before its end; then ``finished``, ``stopped`` (early), ``diverged`` (the
            loss was never finite) or ``failed``.
        report: Last report: ``val_loss``, ``p95``, ``p99``, ``epochs``, ``seconds``, ...
        at: Time of the search at its end [s]; NaN before.
        error: Reason of a failure; else empty.
    """

    folder: Path
    point: dict[str, Any]
    state: str = "open"
    report: dict[str, float] = field(default_factory=dict)
    at: float = math.nan
    error: str = ""

    @property
    def name(self) -> str:
        """Number of the trial as a text."""
        return self.folder.name

    @property
    def number(self) -> int:
        """Number of the trial, from 1."""
        return int(self.folder.name)

    @property
    def shown_state(self) -> str:
        """State as shown in tables, with a remark if ``max_minutes`` ended the training."""
        state = "running" if self.state == "open" else self.state
        return f"{state} (max_minutes)" if self.report.get("capped") else state

    @property
    def reports(self) -> list[dict[str, float]]:
        """All reports of the trial."""
        history: dict[str, Any] = _read_json(self.folder / HISTORY_FILE, {})
        return list(history.get("reports", []))

    def value(self, objective: str) -> float:
        """Return an objective; infinite if the trial has none."""
        usable = self.state in ("open", "finished", "stopped")
        return self.report.get(objective, math.inf) if usable else math.inf


class Journal:
    """Access to the trials of a run folder.

    Args:
        out: Run folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / "trials"
        self._ended = 0  # all trials up to this number are known to have ended

    def trials(self) -> list[Trial]:
        """Return all trials, in the order of their proposal."""
        return [self._read(path.parent) for path in sorted(self.folder.glob(f"*/{_POINT_FILE}"))]

    def has_ended(self, number: int) -> bool:
        """Return whether all existing trials up to a number have ended."""
        between = [path for path in self.folder.glob("[0-9]*") if int(path.name) > self._ended]
        between = [path for path in between if int(path.name) <= number]
        if not all((path / _TRIAL_FILE).exists() for path in between):
            return False
        self._ended = max(self._ended, number)
        return True

    @property
    def next(self) -> int:
        """Number of the next proposed trial."""
        return 1 + max((int(path.name) for path in self.folder.glob("[0-9]*")), default=0)

    def _read(self, folder: Path) -> Trial:
        point = _read_json(folder / _POINT_FILE, {})
        ended = _read_json(folder / _TRIAL_FILE, None)
        trial = Trial(folder, point, **(ended or {}))
        if ended is None and (reports := trial.reports):
            return Trial(folder, point, report=reports[-1])
        return trial

    def propose(self, point: dict[str, Any]) -> Trial:
        """Create the folder of a new trial."""
        folder = self.folder / f"{self.next:04d}"
        write_json(folder / _POINT_FILE, point)
        return Trial(folder, point)

    def end(self, name: str, state: str, report: dict[str, float], at: float, error: str) -> None:
        """Write the result of a trial, and delete its checkpoint; see `Trial`."""
        entry = {"state": state, "report": report, "at": at, "error": error}
        write_json(self.folder / name / _TRIAL_FILE, entry)
        if state != "failed":  # failed trials may be repeated
            (self.folder / name / LAST_CHECKPOINT).unlink(missing_ok=True)

    def reopen(self, trial: Trial) -> None:
        """Allow a failed trial to be repeated, from its checkpoint if there is one."""
        (trial.folder / _TRIAL_FILE).unlink()

    @property
    def seconds(self) -> float:
        """Wall time of the search so far [s], including the time before interruptions."""
        return float(_read_json(self.out / _CLOCK_FILE, {"seconds": 0})["seconds"])

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        write_json(self.out / _CLOCK_FILE, {"seconds": seconds})

    @property
    def begun(self) -> bool:
        """Whether the folder contains results of trials that did not fail."""
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
        """Lock the run folder against a second search; see `run_lock`."""
        return run_lock(self.out, "search")


class Clock:
    """Wall time of a search, including the time before interruptions.

    Args:
        used: Seconds used before.
        limit: Largest number of seconds.
    """

    def __init__(self, used: float, limit: float) -> None:
        self.used, self.limit, self.start = used, limit, time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds used so far."""
        return self.used + time.monotonic() - self.start

    @property
    def is_over(self) -> bool:
        """Whether the time is used up."""
        return self.seconds >= self.limit
