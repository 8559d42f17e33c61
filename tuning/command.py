"""Common part of the search commands: search, write the results, keep the best emulator."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datagen.parallel import RayConfig
from emulator.emulator import Emulator
from emulator.train import EMULATOR_FILE
from tuning.journal import Journal, Trial
from tuning.progress import Afterwards
from tuning.report import report
from tuning.results import (
    Objective,
    best_trial,
    candidate,
    keep_best,
    known_trials,
    open_study,
    write_results,
)
from tuning.searcher import Sampler
from tuning.study import Budget, run_study
from tuning.task import Task
from tuning.trial import LATENCY

__all__ = ["run_search"]


def run_search(
    task: Task,
    out: Path,
    *,
    shared: dict[str, Any],
    request: dict[str, Any],
    best_config: Callable[[dict[str, Any]], dict[str, Any]],
    rivals: Callable[[Trial], dict[str, Emulator]] = lambda _: {},
    afterwards: Afterwards = lambda _: 0.0,
    budget: Budget,
    sampler: Sampler,
    objective: Objective,
    latency: int = 0,
    known: tuple[Path, ...],
    seed: int,
    ray: RayConfig,
) -> Path:
    """Begin or resume a search, and write the results listed in `tuning.search.search`.

    Args:
        task: Task to tune.
        out: Run folder.
        shared: Settings and content that other searches must share for their trials to be used.
        request: Further settings that identify the search, besides the arguments here.
        best_config: Function that returns the content of ``best.yaml`` for the best point.
        rivals: Function that returns further emulators, by name, to compare with the best trial's.
        afterwards: Function that estimates the seconds that `rivals` takes, from the trials.
        budget: Limits of the search.
        sampler: Sampler that proposes points.
        objective: Minimised quantity, by which the best emulator is chosen.
        latency: Number of points in a batch, to minimise the time per point, too; 0 for none.
        known: Folders of other searches, whose trials are not repeated.
        seed: Seed of the sampler.
        ray: Where the trials run.

    Returns:
        Path of the best emulator.

    Raises:
        ValueError: `latency` is negative, all trials failed, or the folder contains another search.
    """
    if latency < 0:
        raise ValueError(f"latency = {latency} must be a number of points, or 0")
    objectives = (objective, LATENCY) if latency else (objective,)
    shared = shared | {"latency": latency}
    journal = Journal(out)
    with journal.lock():
        request = request | {
            "out": str(out), "space": asdict(task.ranges), "sampler": sampler, "seed": seed,
        }  # fmt: skip
        open_study(journal, shared, request, objectives, budget)
        others = known_trials(known, shared, objectives, task.ranges)
        with ExitStack() as stack:
            run_study(
                task, journal, budget, sampler=sampler, objectives=objectives, latency=latency,
                known=others, seed=seed, ray=ray, stack=stack, afterwards=afterwards,
            )  # fmt: skip
            best = best_trial(journal, objective)
            write_results(task, journal, objective, best_config(best.point))
            candidates = {f"trial {best.name}": candidate(task, best), **rivals(best)}
            keep_best(task, out, objective, candidates)
            report(out)
    return out / EMULATOR_FILE
