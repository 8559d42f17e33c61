"""Whether the search is worth it: Bayesian against blind: ``python -m benchmarks.search_evidence``.

Both get the same trials, the same limits for each trial, the same labels and the same space, and
each is repeated with several seeds. No trial is stopped early and none is shared.
"""

import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from datagen.cli import run
from datagen.figures import new_figure, save_figure, style
from datagen.files import atomic
from datagen.parallel import RayConfig
from datagen.record import code_hash, provenance
from datagen.store import Spectra
from emulator.runs import check_run_config, run_lock
from emulator.train import TrainConfig
from tuning.journal import Journal
from tuning.searcher import Sampler
from tuning.space import SearchSpace
from tuning.study import Budget, run_study
from tuning.task import NetworkTask

__all__ = ["render", "search_evidence"]

_COLOURS = {"random": "0.5", "tpe": "#0072B2", "gp": "#D55E00"}
_NAMES = {"random": "random", "tpe": "Bayesian (TPE)", "gp": "Bayesian (Gaussian process)"}
_AFTER = (6, 12, 24, 48, 96)  # trials that the table tells of


def search_evidence(
    data: Path,
    out: Path,
    train: TrainConfig = TrainConfig(),
    space: SearchSpace = SearchSpace(),
    trials: int = 24,
    samplers: tuple[Sampler, ...] = ("random", "tpe"),
    seeds: tuple[int, ...] = (1, 2, 3),
    threads: int = 1,
    ray: RayConfig = RayConfig(),
) -> dict[str, Any]:
    """Compare samplers at equal trials and equal limits for each of them.

    The folder gets a run directory for each sampler and seed, ``evidence.json``, ``evidence.md``
    (best validation loss against trials: median over seeds, lowest and highest) and a figure.
    The same command goes on from where it was interrupted.

    Args:
        data: Label file of ``datagen.generate``.
        out: Folder for the results.
        train: Settings of every trial that the space does not set.
        space: Ranges of the hyperparameters.
        trials: Trials of each search.
        samplers: See ``tuning.search``.
        seeds: One search of each sampler for each seed.
        threads: Threads of each trial.
        ray: Where the trials run.

    Raises:
        ValueError: No trials, samplers or seeds; or a folder that holds searches with other labels,
            other settings or of other code.
        BusyError: Another process writes in the folder.
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
    with run_lock(out, "benchmark"):
        begun = any(out.glob("*/trials/*"))
        check_run_config(out, settings, content, paths=("data",), begun=begun)
        return _search_evidence(task, out, trials, samplers, seeds, threads, ray)


def _search_evidence(
    task: NetworkTask,
    out: Path,
    trials: int,
    samplers: tuple[Sampler, ...],
    seeds: tuple[int, ...],
    threads: int,
    ray: RayConfig,
) -> dict[str, Any]:
    curves: dict[str, list[list[float]]] = {}
    for sampler in samplers:
        for seed in seeds:
            journal = Journal(out / f"{sampler}-{seed}")
            with journal.lock():
                run_study(
                    task, journal, Budget(trials, threads=threads, scheduler="none"),
                    sampler=sampler, objectives=("val_loss",), known=(), seed=seed, ray=ray,
                )  # fmt: skip
            curves.setdefault(sampler, []).append(_best_so_far(journal))
    result = {
        "trials": trials, "seeds": list(seeds), "space": vars(task.space),
        "schedule": asdict(task.base.schedule), "best": curves, "environment": provenance(),
    }  # fmt: skip
    with atomic(out / "evidence.json") as partial:
        partial.write_text(json.dumps(result))
    with atomic(out / "evidence.md") as partial:
        partial.write_text(render(result))
    with style():
        save_figure(_figure(curves), out / "evidence")
    print(render(result), end="")  # noqa: T201
    return result


def _best_so_far(journal: Journal) -> list[float]:
    ended = sorted(journal.trials(), key=lambda trial: trial.at)
    return np.minimum.accumulate([trial.value("val_loss") for trial in ended]).tolist()


def render(result: dict[str, Any]) -> str:
    """The table, as Markdown: median over the seeds, and the lowest and highest."""
    curves: dict[str, list[list[float]]] = result["best"]
    trials = min(len(curve) for each in curves.values() for curve in each)
    after = [number for number in _AFTER if number < trials] + [trials]
    lines = [
        "| best validation loss after | " + " | ".join(f"{n} trials" for n in after) + " |",
        "|---|" + "---|" * len(after),
    ]
    for sampler, each in curves.items():
        cells = []
        for number in after:
            values = [curve[number - 1] for curve in each]
            middle = statistics.median(values)
            cells.append(f"{middle:.2e} ({min(values):.2e} to {max(values):.2e})")
        lines.append(f"| {_NAMES[sampler]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _figure(curves: dict[str, list[list[float]]]) -> Figure:
    figure = new_figure(5.5, 3.6)
    axes = figure.subplots()
    for sampler, each in curves.items():
        length = min(map(len, each))
        x = np.arange(1, length + 1)
        y = np.array([curve[:length] for curve in each])
        for curve in y:
            axes.step(x, curve, color=_COLOURS[sampler], lw=0.7, alpha=0.6, where="post")
        axes.step(x, np.median(y, axis=0), color=_COLOURS[sampler], lw=2, where="post",
                  label=f"{_NAMES[sampler]}: median of {len(each)}")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("trials")
    axes.set_ylabel("best validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


def main(argv: list[str] | None = None) -> None:
    """Command line of `search_evidence`."""
    run(search_evidence, "python -m benchmarks.search_evidence", argv)


if __name__ == "__main__":
    main()
