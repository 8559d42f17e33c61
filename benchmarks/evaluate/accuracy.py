"""Judge an ONNX file on labels made for it alone: ``hodspectra evaluate``."""

import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.codes.implementations import BATCHES
from benchmarks.codes.timing import by_batch
from benchmarks.evaluate.true_spectra import is_made_of, true_spectra
from datagen.cli import run
from datagen.error_budget import ErrorBudget, error_budget
from datagen.outputs import SPECTRA, output
from datagen.space import Space
from datagen.store import Spectra
from emulator.metrics import spectra_accuracy
from export.info import card
from export.runtime import OnnxEmulator
from export.to_onnx import rewrite

__all__ = [
    "accuracy_table",
    "counts",
    "error_cells",
    "headline",
    "in_percent",
    "judge",
    "render",
]

DRAWN = {  # how the points of each record were drawn, if otherwise than those it was made of
    "test": "",
    "test_linear_masses": ", masses drawn uniformly in M",
    "test_log10_masses": ", masses drawn uniformly in log10 M",
    "test_published_box": " of the published box, at z = 0",
}
N_G_MIN, B_EFF_MAX = 1e-7, 20.0  # [1/Mpc^3] and 1
F_SAT_MIN = 1e-6
SHOWN = ("gm_1h", "gm_total", "gg_1h", "gg_total")  # of other occupations
BUDGET = ErrorBudget(quadrature=64, linear_power=64)


def judge(
    emulator: Path, data: Path, name: str = "", floor: ErrorBudget = BUDGET
) -> dict[str, Any]:
    """Evaluate an emulator on fresh labels and write the result into its own metadata.

    It stands there as the record ``test``: what users are told of the file's accuracy, and what
    ``export.verify`` compares with on their machines. Beside it stand how exact the labels
    themselves are, and the emulator's speed on one core, which are measured here too. Labels of
    the same box whose masses are drawn otherwise make a record of their own,
    ``test_linear_masses`` or ``test_log10_masses``, and so do labels of a box within it. Of a
    semi-analytic emulator, labels of another occupation make the record that it has when it is
    loaded with that.

    Points without galaxies that a survey could see do not count, see `counts`; their share is
    recorded.

    Args:
        emulator: ONNX file of ``export.to_onnx``; its record is changed.
        data: Labels of the same halo model that the emulator was not made of, of its ranges or
            of ranges within them.
        name: What a record of ranges within them is called: ``published_box`` for the default
            ones, for example.
        floor: On how many points the labels' own error is measured; of their linear power, each
            takes CAMB some seconds.

    Returns:
        The record.

    Raises:
        ValueError: Labels that the emulator was made of, or of another model or wider ranges; no
            name for ranges within.
    """
    labels, own = Spectra.read(data, ()), OnnxEmulator(emulator)
    whose = Space.from_dict(labels.metadata["space"]).occupation
    is_own = whose == own.populations.said
    model = own if is_own else OnnxEmulator(emulator, occupation=whose)
    if is_made_of(model, labels):
        raise ValueError(f"{data} is what {model.path} was made of; make labels with another seed")
    truth = true_spectra([model], data)
    counted = truth.labels.select(np.flatnonzero(counts(truth.labels)))
    predicted = model(counted.theta, truth.shared(model))
    test = spectra_accuracy(predicted, counted, truth.space)
    made = {name: truth.source[name] for name in ("sha256", "design")}
    made |= {"points": len(counted), "without_galaxies": len(truth.labels) - len(counted)}
    name = _record_name(model, truth.space, name)
    meta = own.metadata
    record, provenance, more = meta["record"], meta["provenance"], {}
    if is_own:
        record[name], provenance[name] = test, made
        more = _measured(emulator, counted, floor) if name == "test" else {}
    else:
        others = record.setdefault("occupations", {})
        others[whose] = others.get(whose, {}) | {name: test}
        provenance[f"{name} {whose}"] = made
    rewrite(emulator, record=record, provenance=provenance, **more)
    print(card(OnnxEmulator(emulator, occupation=None if is_own else whose)))  # noqa: T201
    return test


def counts(labels: Spectra) -> NDArray[np.bool_]:
    """Points with galaxies that a survey could see, shape (N,).

    More than `N_G_MIN` of them, not in haloes of which there are next to none (bias beyond
    `B_EFF_MAX`, peaks of six sigma), and one satellite among a million galaxies at least
    (`F_SAT_MIN`), of which the 1-halo term of gg is made. Labels without these numbers count as
    they are.
    """
    if not {"n_g", "b_eff", "f_sat"} <= labels.arrays.keys():
        return np.ones(len(labels), np.bool_)
    seen = (labels["n_g"] > N_G_MIN) & (labels["b_eff"] < B_EFF_MAX)
    found: NDArray[np.bool_] = seen & (labels["f_sat"] > F_SAT_MIN)
    return found


def _record_name(model: OnnxEmulator, space: Space, name: str) -> str:
    own = Space.from_dict(model.metadata["parameters"])
    if space == own:
        return "test"
    same = space.names == own.names and np.array_equal(space.low, own.low)
    if same and np.array_equal(space.high, own.high):  # the same box, drawn otherwise
        drawn = next(space[n].sampling for n in space.names if space[n] != own[n])
        return f"test_{drawn}_masses"
    if not name:
        raise ValueError(
            "name: the labels are of a box within the emulator's; give their record a name, "
            "for example --name published_box"
        )
    return f"test_{name}"


def _measured(emulator: Path, labels: Spectra, floor: ErrorBudget) -> dict[str, Any]:
    """The error of the labels themselves, and the time of a point, on one core."""
    model = OnnxEmulator(emulator, threads=1)
    budget = error_budget(labels, floor, tuple(n for n in model.outputs if n in SPECTRA))
    for found in budget.values():
        if "spectra" in found:  # over all (point, k) is enough for a card
            found["spectra"] = {name: one["all"] for name, one in found["spectra"].items()}
    seconds = by_batch(model, labels.theta, BATCHES["onnxruntime"])
    times = {batch: 1e6 * time["median"] for batch, time in seconds.items()}
    return {
        "floor": budget,
        "speed": {"cpu": platform.processor() or platform.machine(), "microseconds": times},
    }


def render(emulator: Path) -> str:
    """The record that an ONNX file carries, as Markdown."""
    record = OnnxEmulator(emulator).metadata["record"]
    there = {name: drawn for name, drawn in DRAWN.items() if name in record}
    tables = [accuracy_table(record[name], drawn) for name, drawn in there.items()]
    if "occupations" in record:
        tables.append(_of_occupations(record["occupations"]))
    return "\n\n".join(tables)


def _of_occupations(records: dict[str, dict[str, Any]]) -> str:
    """Errors with other occupations, of some outputs, as Markdown."""
    lines = [
        "With other occupations, in their usual ranges, abs(P/P_true - 1) in percent, over all "
        "(point, k)",
        "",
        "| occupation | points | output | 68 % | 95 % | 99 % | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for occupation, record in records.items():
        for name in (name for name in SHOWN if name in record["test"]):
            one = record["test"][name]
            cells = " | ".join(error_cells(one)[:4])
            lines.append(f"| {occupation} | {one['points']:,} | {name} | {cells} |")
    return "\n".join(lines)


def accuracy_table(records: dict[str, dict[str, Any]], drawn: str = "") -> str:
    """Errors of each output, as Markdown.

    Args:
        records: See `emulator.metrics.spectra_accuracy`.
        drawn: How the points were drawn, if it matters.
    """
    points = next(iter(records.values()))["points"]
    lines = [
        f"Errors on {points:,} test points{drawn}, abs(P/P_true - 1) in percent, over all "
        f"(point, k)",
        "",
        "| output | 68 % | 95 % | 99 % | worst | largest over k: median |",
        "|---|---|---|---|---|---|",
    ]
    for name, record in records.items():
        lines.append(f"| {name} | {' | '.join(error_cells(record))} |")
    return "\n".join(lines)


def error_cells(record: dict[str, Any]) -> list[str]:
    """68, 95, 99 %, worst, and median of the largest over k, of one output in percent."""
    errors = [record["all"][q] for q in ("68", "95", "99", "100")] + [record["worst_k"]["50"]]
    return [in_percent(error) for error in errors]


def in_percent(error: float) -> str:
    """A fraction as a number in percent, two digits."""
    return f"{100 * error:.2g}" if error < 1 else f"{100 * error:.0f}"


def headline(names: Iterable[str]) -> str:
    """The output to speak of first: a total, of galaxies if there is one; empty of none."""

    def rank(name: str) -> tuple[bool, bool, str]:
        one = output(name)
        return one.is_total, one.correlation == "gg", name

    return max(names, key=rank, default="")


def main(argv: list[str] | None = None) -> None:
    """Command line of `judge`."""
    run(judge, "python -m benchmarks.evaluate.accuracy", argv)


if __name__ == "__main__":
    main()
