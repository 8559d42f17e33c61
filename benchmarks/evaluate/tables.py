"""Cells and tables of errors, in one format for all results."""

from collections.abc import Iterable
from typing import Any

from datagen.outputs import output

__all__ = ["accuracy_table", "error_cells", "in_percent", "main_output"]


def accuracy_table(records: dict[str, dict[str, Any]], drawn: str = "") -> str:
    """Format errors of each output as Markdown.

    Args:
        records: Errors by output; see `emulator.metrics.spectra_accuracy`.
        drawn: Sampling of the points, if it matters.
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
    """Errors of an output in percent: 68, 95, 99 %, worst, and median of the worst over k."""
    errors = [record["all"][q] for q in ("68", "95", "99", "100")] + [record["worst_k"]["50"]]
    return [in_percent(error) for error in errors]


def in_percent(error: float) -> str:
    """Format a fraction in percent, with two digits."""
    return f"{100 * error:.2g}" if error < 1 else f"{100 * error:.0f}"


def main_output(names: Iterable[str]) -> str:
    """Return the output to describe first: a total, of galaxies if possible; empty for no names."""

    def rank(name: str) -> tuple[bool, bool, str]:
        one = output(name)
        return one.is_total, one.correlation == "gg", name

    return max(names, key=rank, default="")
