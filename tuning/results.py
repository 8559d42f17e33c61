"""Results of a search: tables of all trials, the best configuration, the best emulator."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from datagen.files import atomic
from datagen.record import code_hash
from datagen.shards import differences
from emulator.emulator import Emulator, EmulatorFileError
from emulator.record import log_line
from emulator.runs import CONFIG_FILE, check_run_config
from emulator.train import EMULATOR_FILE
from tuning.journal import HISTORY_FILE, Journal, Trial
from tuning.progress import shown
from tuning.space import Ranges
from tuning.study import Budget
from tuning.task import Task
from tuning.verdict import write_choice

__all__ = [
    "Objective",
    "best_trial",
    "candidate",
    "keep_best",
    "known_trials",
    "open_study",
    "read_study",
    "write_results",
    "write_table",
]

Objective = Literal["val_loss", "p95", "p99"]


def open_study(
    journal: Journal,
    shared: dict[str, Any],
    request: dict[str, Any],
    objectives: Sequence[str],
    budget: Budget,
) -> None:
    """Write ``config.yaml`` of a search, or check that the folder is of the same search.

    Trials and minutes may differ, to extend a search. Another search in the folder is discarded if
    it has no results.

    Args:
        journal: Run folder.
        shared: Settings and content that other searches must share for their trials to be used.
        request: Further settings of the search, and paths.
        objectives: Minimised quantities.
        budget: Limits of the search.

    Raises:
        ValueError: The folder contains another search.
    """
    spent = {name: getattr(budget, name) for name in ("threads", "at_once", "gpus", "scheduler")}
    whole = {"shared": shared, **request, "objectives": list(objectives), "budget": spent}
    code = {"code": code_hash("tuning.task", "tuning.trial")}
    paths = ("data", "emulator", "out")
    if check_run_config(journal.out, whole, code, paths=paths, begun=journal.begun):
        journal.clear()


def read_study(out: Path) -> dict[str, Any]:
    """Read ``config.yaml`` of a search.

    Raises:
        FileNotFoundError: There is no search in the folder.
        ValueError: The file is damaged.
    """
    path = out / CONFIG_FILE
    try:
        config = yaml.safe_load(path.read_text()) if path.exists() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged ({reason}); take another copy of it") from error
    if not isinstance(config, dict) or "objectives" not in config:
        raise FileNotFoundError(f"no search in {out}; start one with python -m tuning.search")
    return dict(config)


def known_trials(
    folders: Sequence[Path], shared: dict[str, Any], objectives: Sequence[str], space: Ranges
) -> list[Trial]:
    """Read the ended trials of other searches that lie in a space.

    Args:
        folders: Run folders of the searches.
        shared: Settings and content that the searches must share.
        objectives: Minimised quantities, which must be the same.
        space: Search space.

    Raises:
        FileNotFoundError: There is no search in a folder.
        ValueError: The results of a search cannot be compared.
    """
    found: list[Trial] = []
    for folder in folders:
        config = read_study(folder)
        theirs = {"shared": config["shared"], "objectives": config["objectives"]}
        ours = {"shared": shared, "objectives": list(objectives)}
        if differ := differences(theirs, json.loads(json.dumps(ours))):
            raise ValueError(
                f"known: the trials of {folder} cannot be compared with these "
                f"({'; '.join(differ)}); leave it out"
            )
        ended = [t for t in Journal(folder).trials() if t.state not in ("open", "failed")]
        inside = [trial for trial in ended if space.contains(trial.point)]
        print(f"known from {folder}: {len(inside)} trials, "  # noqa: T201
              f"{len(ended) - len(inside)} lie outside of the space")  # fmt: skip
        found += inside
    return found


def best_trial(journal: Journal, objective: str) -> Trial:
    """Return the trial with the lowest objective.

    Raises:
        ValueError: No trial succeeded.
    """
    trials = [trial for trial in journal.trials() if trial.state != "open" or trial.report]
    best = min(trials, key=lambda trial: trial.value(objective), default=None)
    if best is None:
        raise ValueError(f"the budget of {journal.out} allowed no trial; raise budget.minutes")
    if best.value(objective) == float("inf"):
        reasons = {trial.error or "no loss was finite" for trial in trials}
        raise ValueError(
            f"all {len(trials)} trials failed: {'; '.join(sorted(reasons))}; "
            f"{journal.folder} has their error.txt"
        )
    return best


def candidate(task: Task, trial: Trial) -> Emulator:
    """Return the emulator of a trial, after adding its record if the trial was stopped."""
    try:
        emulator = Emulator.load(trial.folder / EMULATOR_FILE)
    except EmulatorFileError as error:
        raise EmulatorFileError(
            f"{error}; delete {trial.folder} to have another trial in its place"
        ) from error
    if not emulator.spec.provenance or trial.state != "finished":
        task.describe(emulator, trial.point).save(trial.folder / EMULATOR_FILE)
    return emulator


def keep_best(task: Task, out: Path, objective: str, candidates: dict[str, Emulator]) -> None:
    """Save the best of several emulators, and print which it is."""
    values = {name: task.quality(emulator)[objective] for name, emulator in candidates.items()}
    best = min(values, key=lambda name: values[name])
    candidates[best].save(out / EMULATOR_FILE)
    others = ", ".join(
        f"{name} {shown(objective, value)}" for name, value in values.items() if name != best
    )
    write_choice(out, objective, values, best)
    print(f"{out / EMULATOR_FILE}: {shown(objective, values[best])} (validation), "  # noqa: T201
          f"from {best}" + f" ({others})" * bool(others))  # fmt: skip


def write_table(journal: Journal, objective: str) -> None:
    """Write ``trials.csv``: one row per trial, best first; ``at`` is the time of its end [s]."""
    rows = [
        {"trial": trial.name, "state": trial.state, **trial.report, "at": trial.at, **trial.point,
         "error": trial.error}
        for trial in sorted(journal.trials(), key=lambda trial: trial.value(objective))
    ]  # fmt: skip
    with atomic(journal.out / "trials.csv") as partial:
        pd.DataFrame(rows).drop(columns="finished", errors="ignore").to_csv(partial, index=False)


def write_results(task: Task, journal: Journal, objective: str, best: dict[str, Any]) -> None:
    """Write ``trials.csv``, ``best.yaml`` and, for networks, ``trials.txt``.

    Args:
        task: Task of the search.
        journal: Run folder.
        objective: Objective by which trials are sorted.
        best: Content of ``best.yaml``.
    """
    write_table(journal, objective)
    with atomic(journal.out / "best.yaml") as partial:
        partial.write_text(yaml.safe_dump(json.loads(json.dumps(best)), sort_keys=False))
    lines = []
    for trial in journal.trials():
        path = trial.folder / EMULATOR_FILE
        if path.exists():
            when = time.strftime(
                "%Y-%m-%d_%H-%M-%S", time.localtime((trial.folder / HISTORY_FILE).stat().st_mtime)
            )
            emulator = candidate(task, trial)
            if emulator.spec.kind == "network":
                lines.append(log_line(emulator, when))
    if not lines:
        return
    with atomic(journal.out / "trials.txt") as partial:
        partial.write_text("".join(f"{line}\n" for line in lines))
