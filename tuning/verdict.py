"""Summary of a search in a few sentences: accuracy, its limits, and the next step."""

import json
from pathlib import Path
from typing import Any

from datagen.outputs import output
from emulator.emulator import Emulator
from emulator.train import EMULATOR_FILE
from tuning.journal import write_json
from tuning.progress import shown

__all__ = ["FINAL", "read_choice", "verdict", "write_choice"]

FINAL = "its final training"  # name of the final training of the best trial
_CHOICE_FILE = "choice.json"
_OVERFITTED = 3.0  # validation loss over training loss above which more labels are needed
_LONGER_HELPS = 1.2  # error of the trial over the final one above which longer trainings will help
_MARGIN = 3.0  # smallest ratio of the error of a measurement to that of the emulator


def write_choice(out: Path, objective: str, values: dict[str, float], kept: str) -> None:
    """Write the objectives of all candidates, by name, and the name of the one that was kept."""
    write_json(out / _CHOICE_FILE, {"objective": objective, "values": values, "kept": kept})


def read_choice(out: Path) -> dict[str, Any]:
    """Read the file of `write_choice`; empty while the search is running."""
    path = out / _CHOICE_FILE
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def verdict(out: Path) -> list[str]:
    """Return the sentences; empty while the search is running.

    Args:
        out: Run folder of the search.
    """
    choice = read_choice(out)
    if not choice or not (out / EMULATOR_FILE).exists():
        return []
    spec = Emulator.load(out / EMULATOR_FILE).spec
    return [_how_good(spec.record["validation"]), _choice(choice), _what_next(spec, choice, out)]


def _how_good(record: dict[str, Any]) -> str:
    errors = {name: record[name]["all"] for name in record if output(name).correlation}
    worst = max(errors, key=lambda name: float(errors[name]["95"]))
    p95, p99 = (100 * errors[worst][q] for q in ("95", "99"))
    return (
        f"On the validation split, 95 % of all values of {worst}, the spectrum with the largest "
        f"errors, are within {_plain(p95)} % of the labels, 99 % within {_plain(p99)} %: good for "
        f"measurements that are uncertain by {_plain(_MARGIN * p95)} % or more."
    )


def _choice(choice: dict[str, Any]) -> str:
    values, kept, objective = choice["values"], choice["kept"], choice["objective"]
    others = [name for name in values if name != kept]
    text = f"Kept: {kept}, with {shown(objective, values[kept])}"
    if not others:
        return f"{text}."
    rest = "; ".join(f"{name} has {shown(objective, values[name])}" for name in others)
    return f"{text} ({rest})."


def _what_next(spec: Any, choice: dict[str, Any], out: Path) -> str:
    """Limits of the emulator, and the next step."""
    if spec.kind != "network":
        return "More nodes and units make it more accurate and slower: widen the space."
    losses = {part: spec.record["standardised"][part]["mse"] for part in ("train", "validation")}
    values, kept, objective = choice["values"], choice["kept"], choice["objective"]
    ratio = losses["validation"] / losses["train"]
    if ratio > _OVERFITTED:
        return (
            f"Labels limit it: its loss is {ratio:.1f} times larger on the validation split than "
            f"on the training split. Make more: hodspectra generate --design.points N."
        )
    trial = next((value for name, value in values.items() if name.startswith("trial")), None)
    if trial is None or FINAL not in values:
        return "The space may hold better ones: repeat the command with --budget.trials N."
    if kept != FINAL:
        return (
            "The final training, with the same settings and more work, did not improve on the "
            "trial: what suits so short a trial does not suit a long training, or chance decided. "
            "Search with longer trials (--train.schedule), or with more of them: repeat the "
            "command with --budget.trials N."
        )
    if trial > _LONGER_HELPS * values[FINAL]:
        return (
            f"Work limits it: from {shown(objective, trial)} of the trial the final training came "
            f"to {shown(objective, values[FINAL])}, and a longer one will go further: hodspectra "
            f"train --config {out / 'best.yaml'} --data LABELS --out DIR "
            f"--train.schedule.max_tflop N."
        )
    return "The space may hold better networks: repeat the command with --budget.trials N."


def _plain(percent: float) -> str:
    """Number with two digits, without an exponent."""
    return f"{float(f'{percent:.2g}'):g}"
