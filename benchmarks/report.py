"""Accuracy and speed of an emulator against the true code: ``python -m benchmarks.report``."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import speed
from datagen.cli import run
from datagen.error_budget import ErrorBudget, error_budget
from datagen.files import atomic
from datagen.halomodel import CORRELATIONS, HaloModelConfig
from datagen.record import provenance
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.metrics import spectra_accuracy
from export.runtime import OnnxEmulator

__all__ = ["report"]

BUDGET = ErrorBudget(quadrature=32, linear_power=16)


def report(emulator: Path, data: Path, out: Path) -> dict[str, Any]:
    """Open the test split: how accurate an emulator is, and how fast beside the true code.

    The errors are |P/P_true - 1| on the test points of the emulator's own labels, which neither
    its training nor a search has seen. Times are of one core, in this very run: the emulator
    through onnxruntime with all its checks, and pyccl's halo model with a fresh cosmology at every
    point. Written as ``report.json`` and ``report.md``.

    Args:
        emulator: ONNX file of ``export.to_onnx``.
        data: The label file that the emulator was trained on.
        out: Folder for the report.

    Returns:
        The content of ``report.json``.

    Raises:
        ValueError: The labels are not the emulator's, so that its test points are unknown.
    """
    model = OnnxEmulator(emulator, threads=1)
    labels = Spectra.read(data, model.outputs)
    test = labels.select(_test_rows(model, labels, data))
    result = {
        "emulator": str(emulator),
        "megabytes": emulator.stat().st_size / 1e6,
        "accuracy": spectra_accuracy(
            model(test.theta), test, Space.from_dict(labels.metadata["space"])
        ),
        "floor": error_budget(test, BUDGET, _spectra(model)),
        "speed": speed.times(
            model,
            test.theta,
            HaloModelConfig.from_dict(labels.metadata["model"]),
            {name: test[name][: speed.PYCCL_POINTS] for name in test.arrays},
        ),
        "environment": {"machine": platform.machine(), "python": platform.python_version()}
        | provenance(),
    }
    text = render(result)
    for name, content in (("report.json", json.dumps(result, indent=1)), ("report.md", text)):
        with atomic(out / name) as partial:
            partial.write_text(content)
    print(text)  # noqa: T201
    return result


def _test_rows(model: OnnxEmulator, labels: Spectra, data: Path) -> NDArray[np.intp]:
    """The rows that neither the training nor the search has seen, where P is positive."""
    made_of = model.metadata["provenance"]["labels"]["sha256"]
    if labels.hash() != made_of:
        raise ValueError(
            f"{data} is not what the emulator was trained on (sha256 {labels.hash()[:12]}..., "
            f"expected {made_of[:12]}...), so its test points are unknown"
        )
    split = Split(**model.metadata["provenance"]["training"]["split"])
    rows = split.rows(len(labels), "test")
    return rows[labels.is_positive(_spectra(model))[rows]]  # others have no ratio to be judged by


def _spectra(model: OnnxEmulator) -> tuple[str, ...]:
    return tuple(name for name in model.outputs if name[:2] in CORRELATIONS)


def render(result: dict[str, Any]) -> str:
    """The report as Markdown."""
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
    return "\n".join([*lines, "", speed.render(result["speed"]), ""])


def main(argv: list[str] | None = None) -> None:
    """Command line of `report`."""
    run(report, "python -m benchmarks.report", argv)


if __name__ == "__main__":
    main()
