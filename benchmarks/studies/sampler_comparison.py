"""Benefit of hyperparameter searches, Bayesian or random: ``hodspectra sampler-comparison``.

Every trial of every search has the same work and the same labels, as has a training with the
default settings, without a search. Everything is repeated with several seeds. No trial is stopped
early, and none is shared.
"""

import statistics
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.study import Study
from datagen.figures import new_figure
from datagen.parallel import RayConfig
from datagen.record import code_hash
from datagen.store import Spectra
from emulator.runs import check_run_config
from emulator.train import TrainConfig
from tuning.journal import Journal, Trial
from tuning.progress import cell, describe, heading, shown
from tuning.results import Objective
from tuning.searcher import Sampler
from tuning.space import SearchSpace
from tuning.study import Budget, run_study
from tuning.task import NetworkTask

__all__ = ["STUDY", "figures", "render", "sampler_comparison"]

_COLOURS = {"none": "k", "random": "0.5", "tpe": "#0072B2", "gp": "#D55E00"}
_NAMES = {
    "none": "no search, the default",
    "random": "random",
    "tpe": "Bayesian (TPE)",
    "gp": "Bayesian (Gaussian process)",
}
_AFTER = (1, 6, 12, 24, 48, 96)  # numbers of trials in the table


def sampler_comparison(
    data: Path,
    out: Path,
    train: TrainConfig = TrainConfig(),
    space: SearchSpace = SearchSpace(),
    trials: int = 60,
    objective: Objective = "p95",
    samplers: tuple[Sampler, ...] = ("random", "tpe"),
    seeds: tuple[int, ...] = (1, 2, 3),
    threads: int = 1,
    ray: RayConfig = RayConfig(),
) -> dict[str, Any]:
    """Compare samplers of searches with equal numbers of trials and equal work per trial.

    The folder contains a run directory for each sampler and seed. Rerun the command to resume.

    Args:
        data: Label file of ``datagen.generate``.
        out: Folder for the searches, ``sampler_comparison.json``, its table and a figure.
        train: Settings of every trial that are not part of the search space.
        space: Ranges of the hyperparameters.
        trials: Number of trials of each search.
        objective: See ``tuning.search``.
        samplers: See ``tuning.search``.
        seeds: Seeds; each sampler runs one search per seed.
        threads: Threads of each trial.
        ray: Settings of Ray, which runs the trials.

    Raises:
        ValueError: No trials, samplers or seeds; a folder with searches of other labels, settings
            or code.
    """
    if trials < 1 or not samplers or not seeds:
        raise ValueError(
            f"trials = {trials}, samplers = {list(samplers)} and seeds = {list(seeds)} must each "
            f"be one at least"
        )
    spectra = Spectra.read(data, train.outputs)
    task = NetworkTask(spectra, train, space)
    settings = {"data": str(data), "train": train.as_dict(), "space": vars(space)}
    content = {"labels": spectra.hash(), "code": code_hash("tuning.search")}
    begun = any(out.glob("*/trials/*"))
    check_run_config(out, settings, content, paths=("data",), begun=begun)
    curves: dict[str, list[list[float]]] = {}
    best: list[Trial] = []
    for seed in seeds:
        one = replace(task, base=replace(task.base, seed=seed), space=_alone(task.base))
        journal = _run(one, out / f"none-{seed}", 1, objective, "random", seed, threads, ray)
        curves.setdefault("none", []).append(_best_so_far(journal, objective))
    for sampler in samplers:
        for seed in seeds:
            name = f"{sampler}-{seed}"
            journal = _run(task, out / name, trials, objective, sampler, seed, threads, ray)
            curves.setdefault(sampler, []).append(_best_so_far(journal, objective))
            best.append(min(journal.trials(), key=lambda trial: trial.value(objective)))
    winner = min(best, key=lambda trial: trial.value(objective))
    return {
        "objective": objective, "trials": trials, "seeds": list(seeds), "space": vars(task.space),
        "winner": {"point": winner.point, "report": winner.report},
        "schedule": asdict(task.base.schedule), "best": curves,
    }  # fmt: skip


def _run(
    task: NetworkTask,
    out: Path,
    trials: int,
    objective: Objective,
    sampler: Sampler,
    seed: int,
    threads: int,
    ray: RayConfig,
) -> Journal:
    """Run or resume one search."""
    journal = Journal(out)
    with journal.lock(), ExitStack() as stack:
        run_study(
            task, journal, Budget(trials, threads=threads, scheduler="none"), sampler=sampler,
            objectives=(objective,), known=(), seed=seed, ray=ray, stack=stack,
        )  # fmt: skip
    return journal


def _alone(base: TrainConfig) -> SearchSpace:
    """A search space that contains only the settings of one training."""
    network, optimizer = base.network, base.optimizer
    return SearchSpace(
        layers=(network.layers,) * 2,
        units=(network.units,) * 2,
        activation=(network.activation,),
        optimizer=(optimizer.name,),
        lr=(optimizer.lr,) * 2,
        batch_size=(optimizer.batch_size,) * 2,
        dropout=(network.dropout,) * 2,
        residual=(network.residual,),
        components=(network.components,),
        loss=(base.loss,),
    )


def _best_so_far(journal: Journal, objective: Objective) -> list[float]:
    return np.minimum.accumulate([trial.value(objective) for trial in journal.trials()]).tolist()


def render(result: dict[str, Any]) -> str:
    """Format the table as Markdown: median over the seeds, lowest and highest."""
    curves: dict[str, list[list[float]]] = result["best"]
    trials, objective = result["trials"], result["objective"]
    after = [number for number in _AFTER if number < trials] + [trials]
    names = [f"{number} trial{'s' * (number > 1)}" for number in after]
    lines = [
        f"| best {heading(objective)}, validation, after | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(after),
    ]
    for sampler, each in curves.items():
        cells = []
        for number in after:
            values = [curve[number - 1] for curve in each if len(curve) >= number]
            found = [cell(objective, f(values)) for f in (statistics.median, min, max) if values]
            cells.append("{} ({} to {})".format(*found) if found else "")
        lines.append(f"| {_NAMES[sampler]} | " + " | ".join(cells) + " |")
    winner = result["winner"]
    best = f"best of all: {shown(objective, winner['report'][objective])}"
    return "\n".join([*lines, "", f"{best}, {describe(winner['point'])}"])


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """Plot the best objective so far against the number of trials."""
    curves, objective = result["best"], result["objective"]
    figure = new_figure(5.5, 3.6)
    axes = figure.subplots()
    for sampler, each in curves.items():
        length = min(map(len, each))
        if sampler == "none":
            middle = statistics.median(curve[0] for curve in each)
            axes.axhline(middle, color=_COLOURS[sampler], ls="--", label=_NAMES[sampler])
            continue
        x = np.arange(1, length + 1)
        y = np.array([curve[:length] for curve in each])
        for curve in y:
            axes.step(x, curve, color=_COLOURS[sampler], lw=0.7, alpha=0.6, where="post")
        axes.step(x, np.median(y, axis=0), color=_COLOURS[sampler], lw=2, where="post",
                  label=f"{_NAMES[sampler]}: median of {len(each)}")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("trials")
    axes.set_ylabel(f"best {objective}, validation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return {"sampler_comparison": figure}


STUDY = Study("sampler_comparison", sampler_comparison, render, figures)
main = STUDY.main

if __name__ == "__main__":
    main()
