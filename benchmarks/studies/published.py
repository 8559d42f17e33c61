"""Comparison with published emulators, by their error measures: ``hodspectra published``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evaluate.tables import in_percent
from benchmarks.evaluate.true_spectra import Truth, true_spectra
from benchmarks.study import Study
from datagen.outputs import CORRELATIONS, name_of, output
from emulator.metrics import spectra_accuracy
from emulator.record import standardised_errors
from export.runtime import OnnxEmulator

__all__ = ["PUBLISHED", "STUDY", "published", "render"]

# NNPowerspectra (https://github.com/llinke1): its best combined network, 4 x 1074 GELU after
# hundreds of trials, and the mean error of ln P_gm that its analysis shows.
PUBLISHED = {"mse": 5.8e-4, "mae": 7.7e-3, "ln_P": 0.0052}
# Errors of P in percent that other emulators state for tasks of their own: name, spectrum, measure
# and values; kind and quantiles of the corresponding numbers in our record.
OTHERS = (
    ("HMcode2020Emu", "mm", "68 / 95 / 99 % of (point, k)", "0.04 / 0.15 / 0.35",
     "all", ("68", "95", "99")),
    ("Matryoshka", "gg", "68 % of (point, k)", "0.75", "all", ("68",)),
)  # fmt: skip


def published(emulators: dict[str, Path]) -> dict[str, Any]:
    """Measure the errors of emulators as for the published ones.

    These are the mean squared and mean absolute error of ln P, standardised by its deviation at
    each wavenumber over the test points, and the mean absolute error of ln P.

    Args:
        emulators: Label file for each emulator, an ONNX file or the name of a shipped one:
            ``'{published-gm: runs/published/test.h5}'``.

    Raises:
        ValueError: Labels that do not fit an emulator, or that it was trained on.
    """
    if not emulators:
        raise ValueError("emulators is empty; name emulators, and label files for them")
    found: dict[str, Any] = {}
    for name, labels in emulators.items():
        model = OnnxEmulator(name)
        truth = true_spectra([model], labels)
        predicted = model(truth.labels.theta, truth.shared(model))
        found[Path(name).stem if name.endswith(".onnx") else name] = {
            "halo_model": model.metadata["halo_model"]["model"],
            "masses": truth.space.Mth.sampling,
            "test": truth.source,
            "errors": _errors(predicted, truth),
            "accuracy": _totals(predicted, truth),
        }
    return {"emulators": found}


def _errors(predicted: Mapping[str, Any], truth: Truth) -> dict[str, dict[str, float]]:
    """``mse``, ``mae`` of the standardised ln P and ``ln_P`` of each correlation's terms."""
    found = {}
    for xy in CORRELATIONS:
        P = {name: values for name, values in predicted.items() if output(name).correlation == xy}
        if P:
            scale = {name: np.log(truth.labels[name]).std(axis=0) for name in P}
            unit = {name: np.ones_like(one) for name, one in scale.items()}
            plain = standardised_errors(P, truth.labels, unit)
            found[xy] = standardised_errors(P, truth.labels, scale) | {"ln_P": plain["mae"]}
    return found


def _totals(predicted: Mapping[str, Any], truth: Truth) -> dict[str, Any]:
    totals = {name: P for name, P in predicted.items() if output(name).is_total}
    return spectra_accuracy(totals, truth.labels, truth.space)


def render(result: dict[str, Any]) -> str:
    """Format two tables as Markdown: with the published networks, and with other emulators."""
    numbers = " | ".join(f"{PUBLISHED[name]:.2g}" for name in ("mse", "mae", "ln_P"))
    lines = [
        "| emulator | halo model | masses drawn in | spectrum | test points | MSE of standardised "
        "ln P | MAE | mean abs(error of ln P) | error of the total, 95 % |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| NNPowerspectra, as published | g3lhalo | M | gm for ln P, else not stated | | "
        f"{numbers} | |",
    ]
    for name, one in result["emulators"].items():
        masses = "M" if one["masses"] == "linear" else "log10 M"
        for xy, errors in one["errors"].items():
            cells = [f"{errors[what]:.2g}" for what in ("mse", "mae", "ln_P")]
            total = one["accuracy"].get(name_of(xy, "total"))
            cells.append(f"{in_percent(total['all']['95'])} %" if total else "")
            test = one["test"]
            points = f"{test['unseen'] - test['not_positive'] - test.get('refused', 0):,}"
            head = f"| {name} | {one['halo_model']} | {masses} | {xy} | {points} | "
            lines.append(f"{head}{' | '.join(cells)} |")
    return "\n".join([*lines, "", *_beside_others(result["emulators"])])


def _beside_others(emulators: dict[str, Any]) -> list[str]:
    """Errors that other emulators state, and the corresponding errors of ours."""
    whole = [name for name, one in emulators.items() if len(one["accuracy"]) == len(CORRELATIONS)]
    if not whole:
        return []
    accuracy = emulators[whole[0]]["accuracy"]
    lines = [
        f"| emulator | spectrum | error of P in percent | theirs | {whole[0]} |",
        "|---|---|---|---|---|",
    ]
    for name, xy, what, theirs, kind, quantiles in OTHERS:
        ours = " / ".join(in_percent(accuracy[name_of(xy, "total")][kind][q]) for q in quantiles)
        lines.append(f"| {name} | {xy} | {what} | {theirs} | {ours} |")
    return lines


STUDY = Study("published", published, render)
main = STUDY.main

if __name__ == "__main__":
    main()
