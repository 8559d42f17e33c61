"""Tables of finished searches: ``hodspectra search-summary``."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evaluate.tables import in_percent
from benchmarks.study import Study
from emulator.emulator import Emulator
from emulator.record import largest_quantile
from emulator.train import EMULATOR_FILE
from tuning.figures import pareto_front
from tuning.journal import Journal, Trial
from tuning.results import read_study
from tuning.task import OBJECTIVES
from tuning.trial import LATENCY

__all__ = ["STUDY", "render", "search_summary"]

BEST = 5  # number of trials to show of a search without a Pareto front
QUANTILES = {"p95": "95", "p99": "99", "largest": "100"}


def search_summary(runs: list[Path], limit: float = 0.01) -> dict[str, Any]:
    """Summarise finished searches: the Pareto front, or the best trials and the final training.

    Errors are quantiles of abs(P/P_true - 1) over points and k of the validation split, for the
    spectrum where they are largest, as reported by the searches. The largest error of all, which no
    search minimises, is from the trials' own emulators.

    Args:
        runs: Run directories of ``tuning.search`` and ``tuning.semianalytic``.
        limit: Largest error of a trial on a Pareto front.

    Returns:
        Results by search.

    Raises:
        FileNotFoundError: A folder without a search.
        ValueError: A search without a finished trial; no folders.
    """
    if not runs:
        raise ValueError("runs is empty; name run directories of tuning.search")
    return {"searches": [_search(one, limit) for one in runs]}


def _search(folder: Path, limit: float) -> dict[str, Any]:
    objectives = read_study(folder)["objectives"]
    trials = Journal(folder).trials()
    ended = [trial for trial in trials if trial.state in ("finished", "stopped")]
    if not ended:
        raise ValueError(f"no trial of {folder} has ended with a result")
    found: dict[str, Any] = {
        "run": str(folder),
        "objectives": objectives,
        "states": dict(Counter(trial.state for trial in trials)),
        "seconds": sum(trial.report.get("seconds", 0.0) for trial in trials),
        "limit": limit,
        "trials": _shown([_entry(trial) for trial in ended], objectives, limit),
    }
    last = [_final(path) for path in sorted((folder / "final").glob(f"*/{EMULATOR_FILE}"))]
    return found | ({"final": last[-1]} if last else {})


def _shown(
    entries: list[dict[str, Any]], objectives: list[str], limit: float
) -> list[dict[str, Any]]:
    """The Pareto front of trials within the limit, or the best trials by the first objective."""
    entries = sorted(entries, key=lambda one: one["report"][objectives[0]])
    if len(objectives) == 1:
        return entries[:BEST]
    entries = [one for one in entries if one["report"].get("largest", 0.0) <= limit]
    if not entries:
        return []
    values = np.array([[one["report"][name] for name in objectives] for one in entries])
    return [one for one, on in zip(entries, pareto_front(values), strict=True) if on]


def _entry(trial: Trial) -> dict[str, Any]:
    names = (*OBJECTIVES, LATENCY)
    report = {name: trial.report[name] for name in names if name in trial.report}
    path = trial.folder / EMULATOR_FILE
    if trial.state == "finished" and path.exists():
        report["largest"] = largest_quantile(Emulator.load(path).spec, "100")
    return {"trial": trial.name, "state": trial.state, "point": trial.point, "report": report}


def _final(path: Path) -> dict[str, Any]:
    """Accuracy of the final training, from its own record."""
    spec = Emulator.load(path).spec
    report = {name: largest_quantile(spec, q) for name, q in QUANTILES.items()}
    return {"trial": path.parent.name, "epochs": spec.provenance["epochs"], "report": report}


def render(result: dict[str, Any]) -> str:
    """Format a table for each search as Markdown."""
    return "\n\n".join(_table(one) for one in result["searches"])


def _table(one: dict[str, Any]) -> str:
    states = ", ".join(f"{number} {state}" for state, number in one["states"].items())
    timed = LATENCY in one["objectives"]
    front = f"the Pareto front of those whose largest error is below {in_percent(one['limit'])} %"
    what = front if timed else "the best"
    names = list(one["trials"][0]["point"]) if one["trials"] else []
    columns = [*names, "95 %", "99 %", "largest", *["us a point"] * timed]
    lines = [
        f"{one['run']}: {states}, {one['seconds'] / 60:.0f} minutes of trials; {what} by errors in "
        f"percent on the validation split",
        "",
        f"| trial | {' | '.join(columns)} |",
        f"|{'---|' * (len(columns) + 1)}",
    ]
    for trial in one["trials"]:
        point = [f"{x:.3g}" if isinstance(x, float) else str(x) for x in trial["point"].values()]
        time = [f"{trial['report'][LATENCY]:.3g}"] if timed else []
        lines.append(f"| {' | '.join([trial['trial'], *point, *_errors(trial), *time])} |")
    if "final" in one:
        final = one["final"]
        name = f"{final['trial']}, trained for {final['epochs']} epochs"
        lines.append(f"| {' | '.join([name, *[''] * len(names), *_errors(final)])} |")
    return "\n".join(lines)


def _errors(one: dict[str, Any]) -> list[str]:
    report = one["report"]
    return [in_percent(report[name]) if name in report else "" for name in QUANTILES]


STUDY = Study("search_summary", search_summary, render)
main = STUDY.main

if __name__ == "__main__":
    main()
