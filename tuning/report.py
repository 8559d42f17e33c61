"""Report of a finished or running search: ``python -m tuning.report --run DIR``."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from datagen.cli import run as run_command
from datagen.figures import save_figure, style
from datagen.files import atomic
from datagen.report import figure, page, paragraph, table
from emulator.emulator import Emulator
from emulator.finish import outcome
from emulator.train import EMULATOR_FILE
from tuning.figures import (
    Dimension,
    corner_figure,
    importance_figure,
    parallel_figure,
    pareto_figure,
    pareto_front,
    progress_figure,
)
from tuning.journal import Journal, Trial
from tuning.progress import cell, describe, heading, shown
from tuning.results import read_study, write_table
from tuning.space import space_of
from tuning.trial import LATENCY
from tuning.verdict import verdict

__all__ = ["importances", "report", "sections"]

_SHOWN = 20  # trials in the table of the page
_FEWEST = 8  # smallest number of trials for importances


def report(run: Path) -> Path:
    """Summarise a finished or running search as an HTML page.

    Writes ``report.html``, ``trials.csv`` and ``figures/`` (PNG and PDF): the best objective
    against trials and time, the importance of each hyperparameter, the space coloured by the
    objective, and the Pareto front, if there are two objectives.

    Args:
        run: Run folder of ``tuning.search``, ``tuning.finetune`` or ``tuning.semianalytic``.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError: There is no search in the folder.
        ValueError: No trial has a result yet.
    """
    text = page(f"Search in {run.name}", sections(run, "figures/"))
    with atomic(run / "report.html") as partial:
        partial.write_text(text)
    return run / "report.html"


def sections(run: Path, folder: str) -> dict[str, list[str]]:
    """Write table and figures of a search, and return sections of a page, by heading.

    Args:
        run: Run folder.
        folder: Folder of the figures relative to the page, as a prefix of links.

    Raises:
        FileNotFoundError: There is no search in the folder.
        ValueError: No trial has a result yet.
    """
    config = read_study(run)
    objectives: list[str] = config["objectives"]
    journal = Journal(run)
    trials = journal.trials()
    usable = [trial for trial in trials if math.isfinite(trial.value(objectives[0]))]
    if not usable:
        raise ValueError(f"no trial of {run} has a result yet; try again later")
    write_table(journal, objectives[0])
    sentences = verdict(run)
    found: dict[str, list[str]] = {
        "": [paragraph(one, "lead") for one in sentences]
        + [paragraph(_summary(trials, usable, objectives[0]))]
    }
    if sentences:
        found["Errors"] = _errors(run)
    with style():
        for heading, (name, drawn, caption) in _figures(config, trials, usable).items():
            png = save_figure(drawn, run / "figures" / name)
            found[heading] = [figure(png, caption, folder)]
    found["Best trials"] = [_table(usable, objectives)]
    found["Settings"] = [_settings(config)]
    return found


def _summary(trials: Sequence[Trial], usable: Sequence[Trial], objective: str) -> str:
    counts = {state: sum(trial.state == state for trial in trials) for state in
              ("finished", "stopped", "open", "diverged", "failed")}  # fmt: skip
    best = min(usable, key=lambda trial: trial.value(objective))
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return (
        f"{len(trials)} trials: {states}. The best is trial {best.name} with "
        f"{shown(objective, best.value(objective))} on the validation split: "
        f"{describe(best.point)}."
    )


def _figures(
    config: dict[str, Any], trials: Sequence[Trial], usable: Sequence[Trial]
) -> dict[str, tuple[str, Figure, str]]:
    """File name, figure and caption, by heading."""
    objectives = config["objectives"]
    logs = space_of(config["space"]).LOGS
    dimensions = [
        Dimension(name, tuple(values), name in logs)
        for name, values in config["space"].items()
        if len(set(values)) > 1
    ]
    found: dict[str, tuple[str, Figure, str]] = {}
    if any(not math.isnan(trial.at) for trial in usable):
        found["Progress"] = (
            "progress", progress_figure(trials, objectives[0]),
            "Each trial and the best so far, against trials and against the time of the search.",
        )  # fmt: skip
    if len(objectives) > 1:
        found["Accuracy against speed"] = (
            "pareto", pareto_figure(usable, objectives), "Trials, and their Pareto front.",
        )  # fmt: skip
    if importance := importances(config, usable):
        found["Importance"] = (
            "importance", importance_figure(importance),
            "Which hyperparameters decide whether a trial is among the better half (PED-ANOVA, "
            "Watanabe et al. 2023, arXiv:2304.10255). Of few trials, this is a hint.",
        )  # fmt: skip
    if dimensions:
        found["The space"] = (
            "corner", corner_figure(usable, dimensions, objectives[0]),
            "Every hyperparameter against every other; on the diagonal, the objective against it.",
        )  # fmt: skip
    if len(dimensions) > 1:
        found["Parallel coordinates"] = (
            "parallel", parallel_figure(usable, dimensions, objectives[0]),
            "A line for each trial; the thickest is the best.",
        )  # fmt: skip
    return found


def importances(config: dict[str, Any], usable: Sequence[Trial]) -> dict[str, float]:
    """Return the importance of each hyperparameter, with sum 1; empty for too few trials.

    By PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255), for the better half of the trials.

    Args:
        config: Configuration of the search, see `read_study`.
        usable: Trials with an objective.
    """
    import optuna

    if len(usable) < _FEWEST:
        return {}
    objective = config["objectives"][0]
    space = space_of(config["space"])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials([
        optuna.trial.create_trial(
            params=trial.point, distributions=space.distributions(),
            value=math.log10(trial.value(objective)),
        )
        for trial in usable
    ])  # fmt: skip
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.5)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    free = [name for name, values in config["space"].items() if len(set(values)) > 1]
    return {name: float(found[name]) for name in free}


def _table(usable: Sequence[Trial], objectives: Sequence[str]) -> str:
    objective = objectives[0]
    best = sorted(usable, key=lambda trial: trial.value(objective))[:_SHOWN]
    names = ["val_loss", "p95", "p99"] + [LATENCY] * (LATENCY in objectives)
    counts = ["epochs"] * any(trial.report["epochs"] for trial in best)  # fits have none
    header = ["trial", "state", *map(heading, names), *counts, "seconds", "hyperparameters"]
    front: set[str] = set()
    if len(objectives) > 1:
        points = np.array([[trial.value(name) for name in objectives] for trial in usable])
        front = {t.name for t, on in zip(usable, pareto_front(points), strict=True) if on}
    rows = [
        [
            trial.name + " (Pareto)" * (trial.name in front), trial.shown_state,
            *(cell(name, trial.report[name]) for name in names),
            *(trial.report[name] for name in counts),
            f"{trial.report['seconds']:.0f}", describe(trial.point),
        ]
        for trial in best
    ]  # fmt: skip
    return table(header, rows)


def _errors(run: Path) -> list[str]:
    """Errors of the kept emulator, and its final training, if there was one."""
    spec = Emulator.load(run / EMULATOR_FILE).spec
    quantiles = ("68", "95", "99", "100")
    rows = [
        [name, *(f"{100 * record['all'][q]:.3g}" for q in quantiles)]
        for name, record in spec.record["validation"].items()
    ]
    header = [
        "abs(P/P_true - 1), validation split",
        "68 % [%]",
        "95 % [%]",
        "99 % [%]",
        "worst [%]",
    ]
    pieces = [table(header, rows)]
    for path in sorted((run / "final").glob("*/history.json")):
        history = json.loads(path.read_text())
        pieces.append(
            paragraph(
                f"The final training, of the settings of trial {path.parent.name}: "
                f"{len(history['epochs'])} epochs, {history['tflop']:.3g} * 10^12 operations, "
                f"{history['seconds'] / 60:.3g} minutes, best at epoch {history['best_epoch'] + 1}"
                + f"; max_minutes ended it at {100 * history['done']:.0f} %" * history["capped"]
                + (f"; {outcome(history['finish'])}" if "finish" in history else "")
                + "."
            )
        )
    return pieces


def _settings(config: dict[str, Any]) -> str:
    rows = [(name, value) for name, value in config.items() if name != "shared"]
    return table([], rows + list(config["shared"].items()))


def main(argv: list[str] | None = None) -> None:
    """Command line of `report`."""
    print(run_command(report, "python -m tuning.report", argv))  # noqa: T201


if __name__ == "__main__":
    main()
