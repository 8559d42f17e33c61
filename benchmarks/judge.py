"""Judge an ONNX file on labels made for it alone: ``python -m benchmarks.judge``."""

from pathlib import Path
from typing import Any

from benchmarks.truth import is_made_of, true_spectra
from datagen.cli import run
from datagen.store import Spectra
from emulator.metrics import spectra_accuracy
from export.info import card
from export.runtime import OnnxEmulator
from export.to_onnx import rewrite

__all__ = ["accuracy_table", "judge", "render"]


def judge(emulator: Path, data: Path) -> dict[str, Any]:
    """Evaluate an emulator on fresh labels and write the result into its own metadata.

    It stands there as the record ``test``: what users are told of the file's accuracy, and what
    ``export.verify`` compares with on their machines.

    Args:
        emulator: ONNX file of ``export.to_onnx``; its record is changed.
        data: Labels of the same halo model and ranges that the emulator was not made of.

    Returns:
        The record.

    Raises:
        ValueError: Labels that the emulator was made of, or of another model or other ranges.
    """
    model = OnnxEmulator(emulator)
    if is_made_of(model, Spectra.read(data, ())):
        raise ValueError(f"{data} is what {model.path} was made of; make labels with another seed")
    truth = true_spectra([model], data)
    predicted = model(truth.labels.theta, truth.shared(model))
    test = spectra_accuracy(predicted, truth.labels, truth.space)
    made = {name: truth.source[name] for name in ("sha256", "design")}
    rewrite(
        emulator,
        record=model.metadata["record"] | {"test": test},
        provenance=model.metadata["provenance"] | {"test": made},
    )
    print(card(OnnxEmulator(emulator)))  # noqa: T201
    return test


def render(emulator: Path) -> str:
    """The record that an ONNX file carries, as Markdown."""
    return accuracy_table(OnnxEmulator(emulator).metadata["record"]["test"])


def accuracy_table(records: dict[str, dict[str, Any]]) -> str:
    """Errors of each output, as Markdown.

    Args:
        records: See `emulator.metrics.spectra_accuracy`.
    """
    points = next(iter(records.values()))["points"]
    lines = [
        f"Errors on {points:,} test points, abs(P/P_true - 1) in percent, over all (point, k)",
        "",
        "| output | 68 % | 95 % | 99 % | worst | largest over k: median |",
        "|---|---|---|---|---|---|",
    ]
    for name, record in records.items():
        numbers = [record["all"][q] for q in ("68", "95", "99", "100")] + [record["worst_k"]["50"]]
        lines.append(f"| {name} | {' | '.join(f'{100 * x:.2g}' for x in numbers)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line of `judge`."""
    run(judge, "python -m benchmarks.judge", argv)


if __name__ == "__main__":
    main()
