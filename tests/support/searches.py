"""Searches small enough for tests, in this process or in one of their own."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from emulator.schedule import ScheduleConfig
from support.small_network import SMALL_TRAINING
from tuning.journal import Journal
from tuning.space import SearchSpace

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0  # seconds for what takes a few, on a machine that is busy

SPACE = SearchSpace(
    layers=(1, 2), units=(8, 32), activation=("gelu", "tanh"), optimizer=("adam",),
    lr=(1e-3, 1e-2), batch_size=(16, 64), dropout=(0.0, 0.0), residual=(False,), loss=("mse",),
)  # fmt: skip
BRIEF = replace(SMALL_TRAINING, schedule=ScheduleConfig("stages", max_epochs=(4,), patience=(4,)))


def write_config(path, data, out, *, minutes, **settings):
    """The configuration of a search whose trials take `minutes` each; for a process of its own."""
    long = ScheduleConfig("stages", max_epochs=(100_000,), patience=(100_000,), max_minutes=minutes)
    config = {
        "data": str(data),
        "out": str(out),
        "train": replace(BRIEF, schedule=long).as_dict(),
        "space": json.loads(json.dumps(asdict(SPACE))),
        "final": asdict(BRIEF.schedule),
        "ray": {"cpus": 2},
        **settings,
    }
    path.write_text(json.dumps(config))
    return [sys.executable, "-m", "tuning.search", "--config", str(path)]


def start(command, **environment):
    """A process of its own."""
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(run):
    """What it printed, once it has ended well."""
    printed, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, printed + errors
    return printed


def refusal(run, message):
    """Whether a process ends as commands do for what a user can cause, with a message."""
    errors = run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 2, errors
    return re.search(message, errors)


def until(run, condition):
    """Wait for a process to bring a condition about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def states(out):
    """State of each trial of a run directory, by name."""
    return {trial.name: trial.state for trial in Journal(out).trials()}


def workers(run, name):
    """Process numbers of the Ray workers of a process that are named so."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            names[int(folder.name)] = (folder / "cmdline").read_text()
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(stat[1])
    family = {run.pid}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return [pid for pid in family if name in names.get(pid, "")]
