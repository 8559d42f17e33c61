"""What the commands of all searches do: search, write down what came of it, keep the best."""

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
    """Search, or go on with a search, and leave all that ``tuning.search`` lists in the folder.

    Args:
        task: What is tuned.
        out: The run directory.
        shared: What other searches must share for their trials to be known ones.
        request: What else makes the search, besides the arguments here.
        best_config: What ``best.yaml`` says of the best point.
        rivals: Emulators that the one of the best trial has to beat.
        afterwards: Estimates from the trials the seconds that these take.
        budget: What it may cost.
        sampler: Who proposes points.
        objective: What is minimised, and decides which is the best.
        latency: How many points at once, if the time that each takes is minimised too.
        known: Folders of other searches, whose trials are not tried again.
        seed: Seed of the sampler.
        ray: Where the trials run.

    Returns:
        The path of the best emulator.

    Raises:
        ValueError: A negative `latency`, all trials failed, or the folder holds another search.
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
