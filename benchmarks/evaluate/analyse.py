"""Detailed error analysis of one emulator: ``hodspectra analyse MODEL``."""

from pathlib import Path
from typing import Any

from benchmarks.evaluate.describe import describe, training_history
from benchmarks.evaluate.error_analysis import CUT, FIGURES, Analysis, check_spectra
from benchmarks.evaluate.tables import accuracy_table, in_percent
from benchmarks.evaluate.true_spectra import true_spectra
from benchmarks.study import Study, environment
from datagen.figures import save_figure, style
from datagen.files import atomic
from datagen.parallel import RayConfig
from datagen.report import figure, page, paragraph, preformatted, table
from emulator.figures import history_figure
from export.info import card
from export.runtime import OnnxEmulator

__all__ = ["SCHEMA", "STUDY", "analyse", "history_pieces", "render", "summary"]

SCHEMA = "hodspectra-analysis-1"


def analyse(
    emulator: str,
    out: Path,
    data: Path | None = None,
    points: int = 1000,
    seed: int = 7,
    occupation: str = "",
    run: Path | None = None,
    corner_points: int = 4000,
    ray: RayConfig = RayConfig(),
) -> dict[str, Any]:
    """Measure where, how often, and by how much an emulator is wrong.

    The spectra are compared with true spectra at points that the emulator was not trained on:
    those of a label file, or new ones, computed with the emulator's own halo model. Errors are
    abs(P/P_true - 1). The results are a page ``analysis.html``, and ``figures/`` as PNG and PDF.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        out: Folder for the page, its ``analysis.json`` and figures.
        data: Label file with the true spectra; if the emulator was trained on it, only its test
            split is used. Default: new random points.
        points: Number of new points.
        seed: Seed of the new points; it must differ from the seed of the training.
        occupation: Name of an occupation in place of the one in the file; semi-analytic emulators
            only.
        run: Run directory of the training or search, for the history of the training; default: the
            folder of the file.
        corner_points: Number of points in the figure of the parameter space.
        ray: Settings of Ray, which computes the true spectra.

    Returns:
        The content of ``analysis.json``.

    Raises:
        ValueError: Labels of another halo model, other ranges or wavenumbers; `corner_points` below
            1.
    """
    if corner_points < 1:
        raise ValueError(f"corner_points = {corner_points} must be at least 1")
    model = OnnxEmulator(emulator, occupation=occupation or None)
    check_spectra(model)
    epochs = training_history(model, run)
    analysis = Analysis(model, true_spectra([model], data, points, seed, ray))
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "emulator": describe(model),
        **analysis.result(),
        "calibration": analysis.calibration(),
        "epochs": len(epochs),
    }
    sections = {
        "": [
            paragraph(
                summary(result["emulator"], result["accuracy"], analysis.main_output), "lead"
            ),
            _source(result["test"]),
        ],
        **analysis.sections(out, corner_points, render(result)),
        "Training": history_pieces(epochs, out),
        "The emulator": [preformatted(card(model))],
        "Made with": [table((), environment().items())],
    }
    with atomic(out / "analysis.html") as partial:
        partial.write_text(page(f"Emulator {result['emulator']['name']}", sections))
    return result


def summary(made: dict[str, Any], records: dict[str, dict[str, Any]], name: str) -> str:
    """Summarise the accuracy of an emulator in a paragraph.

    Args:
        made: Description of the emulator; see `benchmarks.evaluate.describe.describe`.
        records: Errors by spectrum; see `emulator.metrics.spectra_accuracy`.
        name: The spectrum to describe first.
    """
    spectra = {n: r["all"] for n, r in records.items() if len(r["per_k"]["95"]) > 1}
    worst = max(spectra, key=lambda n: spectra[n]["95"])
    record = records[name]
    every = record["all"]
    text = (
        f"{made['name']} ({made['kind']}, {made['bytes'] / 1e6:.2f} MB) at "
        f"{record['points']:,} points that it was not trained on: 95 % of all {name} are "
        f"within {in_percent(every['95'])} % of the true values, 99 % within "
        f"{in_percent(every['99'])} %, and the worst is off by {in_percent(every['100'])} %; half "
        f"of the points are within {in_percent(record['worst_k']['50'])} % at every wavenumber."
    )
    if len(spectra) > 1:
        text += (
            f" Of its {len(spectra)} spectra, {worst} has the largest 95th percentile, "
            f"{in_percent(spectra[worst]['95'])} %."
        )
    if some := record["regimes"].get(CUT):
        text += f" Where {CUT}, 99 % of {name} are within {in_percent(some['all']['99'])} %."
    return text


def _source(test: dict[str, Any]) -> str:
    """A table that describes the true spectra."""
    design = ", ".join(f"{name} = {value}" for name, value in test["design"].items())
    rows = [
        ("truth", test["file"] or "computed for this analysis"),
        ("design", design),
        ("points", f"{test['unseen']:,} of {test['points']:,} are unseen"),
        ("SHA-256 of the truth", test["sha256"]),
    ]
    if test["not_positive"]:
        rows.append(("left out", f"{test['not_positive']:,} points where P is not positive"))
    if test.get("refused"):
        rows.append(("left out", f"{test['refused']:,} points outside the emulator's domain"))
    return table((), rows)


def history_pieces(epochs: list[dict[str, Any]], out: Path) -> list[str]:
    """Write a figure of the training history, and return its piece of the page.

    Args:
        epochs: See `benchmarks.evaluate.describe.training_history`.
        out: Folder of the page.
    """
    if not epochs:
        return [paragraph("There is no training history by epochs in the file or its folder.")]
    with style():
        png = save_figure(history_figure(epochs), out / FIGURES / "history")
    caption = (
        f"Loss on the training and the validation split, and learning rate, over "
        f"{len(epochs):,} epochs. The weights with the lowest validation loss were kept."
    )
    return [figure(png, caption, FIGURES)]


def render(result: dict[str, Any]) -> str:
    """Format the accuracy as Markdown."""
    return accuracy_table(result["accuracy"])


STUDY = Study("analysis", analyse, render, page=True, words="emulator")
main = STUDY.main

if __name__ == "__main__":
    main()
