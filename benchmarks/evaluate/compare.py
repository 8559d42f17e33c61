"""Comparison of several emulators: ``hodspectra compare MODEL MODEL ...``."""

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.codes.timing import by_batch, on_one_core, seconds_per_point
from benchmarks.evaluate.compare_figures import errors_figure, pareto_figure, size_figure
from benchmarks.evaluate.describe import describe
from benchmarks.evaluate.tables import error_cells, in_percent, main_output
from benchmarks.evaluate.true_spectra import Truth, check_alike, true_spectra
from benchmarks.study import Study, environment
from datagen.figures import save_figure, style
from datagen.files import atomic
from datagen.outputs import CORRELATIONS, output
from datagen.parallel import RayConfig
from datagen.report import figure, markdown, page, paragraph, table
from datagen.space import Space
from emulator.metrics import spectra_accuracy
from export.runtime import OnnxEmulator

__all__ = ["SCHEMA", "STUDY", "compare", "render"]

SCHEMA = "hodspectra-comparison-1"
FIGURES = "figures/"
BATCHES = (1, 100, 10_000)
ONE, MANY = str(min(BATCHES)), str(max(BATCHES))

Array = NDArray[np.float64]


def compare(
    emulators: list[str],
    out: Path,
    data: Path | None = None,
    points: int = 1000,
    seed: int = 7,
    occupation: str = "",
    ray: RayConfig = RayConfig(),
) -> dict[str, Any]:
    """Compare emulators of one box and halo model at the same points: accuracy, time, size.

    They may be of any kind (separate or combined networks, semi-analytic emulators) and have
    different outputs: spectra are compared that at least two of them have. Times are of one core,
    through onnxruntime with all checks, for the outputs that all emulators have, or for all outputs
    of each if there are none. The results are ``comparison.html`` and ``figures/``.

    Args:
        emulators: ONNX files, or names of shipped emulators.
        out: Folder for the page, its ``comparison.json``, ``comparison.md`` and figures.
        data: Label file with the true spectra; if an emulator was trained on it, only its test
            split is used. Default: new random points.
        points: Number of new points.
        seed: Seed of the new points; it must differ from the seeds of the trainings.
        occupation: Name of an occupation for all emulators, in place of those in the files;
            semi-analytic emulators only.
        ray: Settings of Ray, which computes the true spectra.

    Returns:
        The content of ``comparison.json``.

    Raises:
        ValueError: Emulators of different halo models, ranges or wavenumbers; duplicate emulators;
            an emulator that used more than one core.
    """
    models = _opened(emulators, occupation)
    _check(models)
    truth = true_spectra(list(models.values()), data, points, seed, ray)
    judged = _judged(models, truth)
    common = [n for n in judged if all(n in model.outputs for model in models.values())]
    result = {
        "schema": SCHEMA,
        "test": truth.source,
        "k": truth.labels.k.tolist(),
        "cores": 1,
        "timed": common,
        "models": {
            name: describe(model)
            | {"accuracy": _accuracy(model, truth, judged)}
            | _times(model, truth.labels.theta, common or list(model.outputs))
            for name, model in models.items()
        },
    }
    with atomic(out / "comparison.html") as partial_file:
        partial_file.write_text(_page(result, out))
    return result


def _opened(files: Sequence[str], occupation: str) -> dict[str, OnnxEmulator]:
    """Open emulators, by name."""
    found: dict[str, OnnxEmulator] = {}
    for file in files:
        model = OnnxEmulator(file, threads=1, occupation=occupation or None)
        name = describe(model)["name"]
        if name in found:
            raise ValueError(f"{model.path} and {found[name].path}: two are called {name}; "
                             f"give each once, or copy one to another name")  # fmt: skip
        found[name] = model
    if not found:
        raise ValueError("emulators is empty; name ONNX files or shipped emulators")
    return found


def _check(emulators: dict[str, OnnxEmulator]) -> None:
    """Check that emulators can be compared and timed, before true spectra are computed."""
    check_alike(list(emulators.values()))
    outputs = {name for model in emulators.values() for name in model.outputs}
    if not any(output(name).correlation for name in outputs):
        raise ValueError(
            f"none of {', '.join(emulators)} has one of the spectra of {', '.join(CORRELATIONS)}, "
            f"only {', '.join(sorted(outputs))}: there is nothing to compare"
        )
    for name, model in emulators.items():
        space = Space.from_dict(model.metadata["parameters"])
        middle = np.full((max(BATCHES), len(space.names)), 0.5)
        on_one_core(name, partial(model, space.from_unit(middle)))


def _judged(emulators: dict[str, OnnxEmulator], truth: Truth) -> list[str]:
    """Spectra of at least two emulators, or of the only one; all spectra if none is shared."""
    counts = Counter(
        name
        for model in emulators.values()
        for name in truth.shared(model)
        if output(name).correlation
    )
    return [n for n, count in counts.items() if count >= min(2, len(emulators))] or list(counts)


def _accuracy(model: OnnxEmulator, truth: Truth, judged: Sequence[str]) -> dict[str, Any]:
    names = [name for name in judged if name in truth.shared(model)]
    predicted = model(truth.labels.theta, names)
    return spectra_accuracy(predicted, truth.labels, truth.space)


def _times(model: OnnxEmulator, theta: Array, outputs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Wall time per point [s] by batch size, and CPU time per point of the largest batch."""
    call = partial(model, outputs=outputs)
    many = partial(call, np.resize(theta, (max(BATCHES), theta.shape[1])))
    seconds = by_batch(call, theta, BATCHES)
    cpu = seconds_per_point(many, max(BATCHES), clock=time.process_time)
    return {"seconds": seconds, "cpu_seconds": cpu}


def render(result: dict[str, Any]) -> str:
    """Format the results as Markdown: a table of emulators, and a table of spectra."""
    name, models = main_output(result["timed"]), result["models"]
    points = next(iter(next(iter(models.values()))["accuracy"].values()))["points"]
    what = ", ".join(result["timed"]) or "all outputs of each"
    judged = f"Errors of {name}" if name else "Errors of each spectrum"
    lines = [
        f"{judged} on {points:,} test points, abs(P/P_true - 1) in percent, and time on one core "
        f"of {what}",
        "",
        "| emulator | kind | 68 % | 95 % | 99 % | worst | largest over k: median | us, 1 point | "
        "points/s, 100 at once | points/s, 10,000 at once | CPU us per point | bytes | "
        "numbers in the file |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for label, model in models.items():
        cells = error_cells(model["accuracy"][name]) if name else ["-"] * 5
        seconds = {batch: time["median"] for batch, time in model["seconds"].items()}
        cells += [f"{1e6 * seconds[ONE]:.3g}"]
        cells += [f"{1 / seconds[str(batch)]:,.0f}" for batch in BATCHES[1:]]
        cells += [f"{1e6 * model['cpu_seconds']['median']:.3g}", f"{model['bytes']:,}"]
        cells = [label, model["kind"], *cells, f"{model['numbers']:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Every spectrum, in percent", "",
              "| spectrum | emulator | 68 % | 95 % | 99 % | worst | largest over k: median |",
              "|---|---|---|---|---|---|---|"]  # fmt: skip
    for spectrum in dict.fromkeys(n for model in models.values() for n in model["accuracy"]):
        lines += [
            f"| {spectrum} | {label} | {' | '.join(error_cells(model['accuracy'][spectrum]))} |"
            for label, model in models.items()
            if spectrum in model["accuracy"]
        ]
    return "\n".join(lines)


def _summary(result: dict[str, Any]) -> str:
    """A paragraph that summarises the comparison."""
    models, name = result["models"], main_output(result["timed"])
    fastest = min(models, key=lambda label: models[label]["seconds"][ONE]["median"])
    text = (
        f"{len(models)} emulators at the same {result['test']['unseen']:,} points, which none of "
        f"them was trained on. The fastest at a single point is {fastest}, "
        f"{1e6 * models[fastest]['seconds'][ONE]['median']:.3g} microseconds."
    )
    if not name:
        return text + " They share no spectrum, so their errors cannot be ranked."
    errors = {label: model["accuracy"][name]["all"]["95"] for label, model in models.items()}
    best = min(errors, key=lambda label: errors[label])
    others = "; ".join(f"{label} {in_percent(e)} %" for label, e in errors.items() if label != best)
    return (
        f"{text} The most accurate in {name} is {best}: 95 % of all values are within "
        f"{in_percent(errors[best])} % of the true values (others: {others})."
    )


def _page(result: dict[str, Any], out: Path) -> str:
    models = result["models"]
    test = result["test"]
    with style():
        drawn = {
            "errors": errors_figure(np.array(result["k"]), models),
            "pareto": pareto_figure(models, ONE),
            "size": size_figure(models),
        }
        pngs = {name: save_figure(drawing, out / FIGURES / name) for name, drawing in drawn.items()}
    what = ", ".join(result["timed"]) or "all outputs of each, as they share none"
    facts = [
        ("truth", test["file"] or "computed for this comparison"),
        ("design", ", ".join(f"{name} = {value}" for name, value in test["design"].items())),
        *((label, f"{model['file']}; outputs {', '.join(model['outputs'])}")
          for label, model in models.items()),
        ("timed", f"{what}; one core, onnxruntime with all checks"),
    ]  # fmt: skip
    sections = {
        "": [paragraph(_summary(result), "lead"), table((), facts)],
        "Numbers": [markdown(render(result))],
        "Errors against wavenumber": [
            figure(
                pngs["errors"],
                "Percentiles of the errors at each wavenumber: 68, 95 and 99 % of the test points "
                "have smaller errors. Each emulator has a colour.",
                FIGURES,
            )
        ],
        "Accuracy against time": [
            figure(
                pngs["pareto"],
                "The 95th percentile of the errors over points and wavenumbers against the time "
                f"of a call with one point ({what}). No other emulator is both faster and more "
                "accurate than those on the grey line, the Pareto front.",
                FIGURES,
            )
        ],
        "Time against size": [
            figure(
                pngs["size"],
                f"CPU time per point, {int(MANY):,} points at once, against the floating-point "
                "numbers in the file: weights and biases, scalings, and the "
                "tables of a semi-analytic emulator.",
                FIGURES,
            )
        ],
        "Made with": [table((), environment().items())],
    }
    return page(f"{len(models)} emulators compared", sections)


STUDY = Study("comparison", compare, render, page=True, words="emulators+")
main = STUDY.main

if __name__ == "__main__":
    main()
