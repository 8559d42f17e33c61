"""Accuracy and speed of an emulator against the true code: ``hodspectra report``."""

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.codes import speed
from benchmarks.codes.implementations import BATCHES
from benchmarks.codes.timing import by_batch
from benchmarks.evaluate.analyse import history_pieces, summary
from benchmarks.evaluate.describe import describe, training_history
from benchmarks.evaluate.error_analysis import Analysis, check_spectra
from benchmarks.evaluate.tables import in_percent, main_output
from benchmarks.evaluate.true_spectra import Truth, check_alike, is_made_of, true_spectra
from benchmarks.study import Study, environment
from datagen.analyse import SCHEMA, facts, ranges
from datagen.error_budget import ErrorBudget, error_budget
from datagen.files import atomic
from datagen.halomodel import HaloModelConfig
from datagen.outputs import output
from datagen.report import link, markdown, page, paragraph, preformatted, table
from datagen.store import Spectra
from emulator.metrics import spectra_accuracy
from export.info import card
from export.runtime import OnnxEmulator
from tuning.report import sections as search_sections

__all__ = ["STUDY", "labels_section", "render", "report", "search_section"]

BUDGET = ErrorBudget(quadrature=32, linear_power=8)
CORNER_POINTS = 4000


def report(emulator: str, data: Path, out: Path, beside: tuple[str, ...] = ()) -> dict[str, Any]:
    """Measure accuracy on the test split, and speed compared with the true code.

    Errors are abs(P/P_true - 1) on the test split of the emulator's own labels, which neither its
    training nor a search has used. Times are of one core, measured in the same run, for the
    emulator through onnxruntime with all its checks, and for pyccl's halo model with a new
    cosmology at every point. The page ``report.html`` also shows the labels, the search and the
    training, if their files lie next to the emulator and its labels.

    Args:
        emulator: ONNX file of ``export.to_onnx``.
        data: Label file that the emulator was trained on.
        out: Folder for the page, its ``report.json``, ``report.md`` and figures.
        beside: Other emulators of the same box and halo model to compare with: ONNX files, or names
            of shipped emulators.

    Returns:
        The content of ``report.json``.

    Raises:
        ValueError: Labels that the emulator was not trained on.
    """
    model = OnnxEmulator(emulator, threads=1)
    check_spectra(model)
    others = [OnnxEmulator(name, threads=1) for name in beside]
    check_alike([model, *others])
    analysis = Analysis(model, _test_split(model, data))
    test = analysis.truth.labels
    times = speed.times(  # first, since it refuses codes that disagree or use more than one core
        model,
        test.theta,
        HaloModelConfig.from_dict(test.metadata["model"]),
        {name: test[name][: speed.PYCCL_POINTS] for name in test.arrays},
    )
    rivals = [_rival(other, analysis.truth) for other in others]
    result = {
        "emulator": emulator,
        "kind": model.metadata["kind"],
        "beside": rivals,
        "megabytes": len(model.content) / 1e6,
        "accuracy": analysis.accuracy(),
        "floor": error_budget(test, BUDGET, tuple(analysis.spectra)),
        "speed": times,
    }
    with atomic(out / "report.html") as partial:
        partial.write_text(_page(analysis, result, data, out))
    return result


def _test_split(model: OnnxEmulator, data: Path) -> Truth:
    """Rows of the test split where spectra are positive."""
    labels = Spectra.read(data, ())
    if not is_made_of(model, labels):
        made_of = model.metadata["provenance"].get("labels", {}).get("sha256", "unknown")
        raise ValueError(
            f"{data} is not what the emulator was trained on (sha256 {labels.hash()[:12]}..., "
            f"expected {made_of[:12]}...), so its test points are unknown"
        )
    return true_spectra([model], data)


def render(result: dict[str, Any]) -> str:
    """Format the report as Markdown."""
    return "\n".join(
        [_accuracy(result), "", speed.render(result["speed"]), "", _side_by_side(result)]
    )


def _rival(model: OnnxEmulator, truth: Truth) -> dict[str, Any]:
    """Accuracy and times of another emulator at the same points."""
    names = [name for name in truth.shared(model) if output(name).correlation]
    predicted = model(truth.labels.theta, names)
    return {
        "emulator": str(model.path),
        "kind": model.metadata["kind"],
        "outputs": len(model.outputs),
        "accuracy": spectra_accuracy(predicted, truth.labels, truth.space),
        "seconds": by_batch(model, truth.labels.theta, BATCHES["onnxruntime"]),
    }


def _side_by_side(result: dict[str, Any]) -> str:
    """A table of emulators, label code and pyccl, with accuracy and time of each."""
    name = main_output(list(result["accuracy"]))
    times = result["speed"]
    one, many = "1", str(max(BATCHES["onnxruntime"]))
    lines = [
        f"Errors of {name} on the test split, in percent, and microseconds a point on one core",
        "",
        f"| | 68 % | 95 % | 99 % | outputs | one point | {int(many):,} at once |",
        "|---|---|---|---|---|---|---|",
    ]
    own = {"kind": result["kind"], "accuracy": result["accuracy"], "seconds": times["onnxruntime"],
           "outputs": times["outputs"]}  # fmt: skip
    for each in (own, *result["beside"]):
        errors = [in_percent(each["accuracy"][name]["all"][q]) for q in ("68", "95", "99")]
        seconds = [f"{1e6 * each['seconds'][batch]['median']:,.3g}" for batch in (one, many)]
        cells = [f"{each['kind']} emulator", *errors, str(each["outputs"]), *seconds]
        lines.append(f"| {' | '.join(cells)} |")
    label = [f"{1e6 * times['labels'][batch]['median']:,.0f}" for batch in (one, "100")]
    lines.append(f"| label code (100 at once) | 0 | 0 | 0 | all | {label[0]} | {label[1]} |")
    if "pyccl" in times:
        slow = f"{1e6 * times['pyccl']['median']:,.0f}"
        lines.append(f"| pyccl, fresh cosmology | | | | all | {slow} | |")
    return "\n".join(lines)


def _accuracy(result: dict[str, Any]) -> str:
    """The table of errors, with those of the labels."""
    spectra = result["accuracy"]
    points = next(iter(spectra.values()))["points"]
    lines = [
        f"Accuracy on {points:,} test points: abs(P/P_true - 1) in percent. Last: the labels' own, "
        f"the larger one of their integrals and of their linear power",
        "",
        "| spectrum | 68 % | 95 % | 99 % | largest over k: median | 95 % | labels, 95 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, record in spectra.items():
        every, worst = record["all"], record["worst_k"]
        numbers = [every["68"], every["95"], every["99"], worst["50"], worst["95"]]
        floors = [
            source["spectra"][name]["all"]["95"]
            for source in result["floor"].values()
            if name in source.get("spectra", ())
        ]
        cells = [f"{100 * x:.2g}" for x in [*numbers, *([max(floors)] if floors else [])]]
        lines.append(f"| {name} | {' | '.join(cells)}{'' if floors else ' | '} |")
    return "\n".join(lines)


def _page(analysis: Analysis, result: dict[str, Any], data: Path, out: Path) -> str:
    model = analysis.model
    made = describe(model)
    lead = summary(made, result["accuracy"], analysis.main_output)
    sections = {
        "": [paragraph(f"{lead} {_fast(result['speed'])}", "lead")],
        "The labels": labels_section(data, out),
        **search_section(model.path.parent, out),
        "Training": history_pieces(training_history(model), out),
        "The emulator": [preformatted(card(model))],
        **analysis.sections(out, CORNER_POINTS, _accuracy(result)),
        "Speed": [markdown(speed.render(result["speed"])), markdown(_side_by_side(result))],
        "Made with": [table((), environment().items())],
    }
    return page(f"Report on {made['name']}", sections)


def _fast(times: dict[str, Any]) -> str:
    """A sentence about the speed."""
    one, *more = ((int(b), 1e6 * time["median"]) for b, time in times["onnxruntime"].items())
    text = f"On one core a point takes {one[1]:.3g} microseconds alone"
    text += "".join(f", {time:.3g} among {batch:,} at once" for batch, time in more)
    if "pyccl" in times:
        text += f"; pyccl takes {1e3 * times['pyccl']['median']:,.0f} milliseconds"
    return f"{text}."


def labels_section(data: Path, out: Path) -> list[str]:
    """Describe the label file, with a link to its own report if there is one."""
    labels = Spectra.read(data, ())
    described = {
        "file": str(data),
        "sha256": labels.hash(),
        "points": len(labels),
        "failed": labels.failed,
        "metadata": labels.metadata,
    }
    pieces = [facts(described, labels.k.tolist()), ranges(labels.metadata["space"])]
    for path in sorted(data.parent.glob("*/summary.json")):
        if verdict := _verdict(path, labels.hash()):
            pieces += [
                paragraph(verdict["text"], "good" if verdict["agree"] else "bad"),
                link(_from(out, path.with_name("index.html")), "The labels in figures"),
            ]
            return pieces
    hint = f"python -m datagen.analyse --data {data} --out {data.parent / 'labels'}"
    return [*pieces, paragraph(f"For figures and checks of the labels, run: {hint}")]


def _verdict(path: Path, sha256: str) -> dict[str, Any]:
    """Verdict of a label report on the split; empty if it belongs to other labels or is damaged."""
    try:
        found = json.loads(path.read_text())
        if found["schema"] == SCHEMA and found["labels"]["sha256"] == sha256:
            verdict: dict[str, Any] = found["agreement"]["verdict"]
            return {name: verdict[name] for name in ("text", "agree")}
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        pass
    return {}


def search_section(run: Path, out: Path) -> dict[str, list[str]]:
    """Sections about the search whose run directory contains the emulator, if any."""
    try:
        found = search_sections(run, f"{_from(out, run / 'figures')}/")
    except FileNotFoundError:
        return {}
    return {f"Search: {heading.lower() or 'result'}": pieces for heading, pieces in found.items()}


def _from(page: Path, target: Path) -> str:
    """Relative path from a page's folder to a file or folder."""
    return Path(os.path.relpath(target, page)).as_posix()


STUDY = Study("report", report, render, page=True)
main = STUDY.main

if __name__ == "__main__":
    main()
