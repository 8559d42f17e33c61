"""Write and show the record of accuracy in an ONNX file."""

from pathlib import Path
from typing import Any

from benchmarks.evaluate.tables import accuracy_table, error_cells
from export.runtime import OnnxEmulator
from export.to_onnx import rewrite

__all__ = ["PREFIX", "render", "write_record"]

PREFIX = "test"  # of the names of records
DRAWN = {  # sampling of the points of each record, if it differs from that of the training
    "test": "",
    "test_linear_masses": ", masses drawn uniformly in M",
    "test_log10_masses": ", masses drawn uniformly in log10 M",
    "test_published_box": " of the published box, at z = 0",
}
SHOWN = ("gm_1h", "gm_total", "gg_1h", "gg_total")  # outputs to show for other occupations


def write_record(emulator: Path, found: dict[str, Any]) -> None:
    """Write a record into the metadata of an emulator's file, and update its checksum.

    Args:
        emulator: ONNX file of ``export.to_onnx``; it is changed.
        found: The record; see `benchmarks.evaluate.accuracy.evaluate`.
    """
    model = OnnxEmulator(emulator)
    record, made = model.metadata["record"], model.metadata["provenance"]
    name, whose = found["record"], found["occupation"]
    if whose == model.populations.said:
        record[name], made[name] = found["accuracy"], found["test"]
    else:
        others = record.setdefault("occupations", {})
        others[whose] = others.get(whose, {}) | {name: found["accuracy"]}
        made[f"{name} {whose}"] = found["test"]
    more = {name: found[name] for name in ("floor", "speed") if name in found}
    rewrite(emulator, record=record, provenance=made, **more)


def render(emulator: Path) -> str:
    """Format the record of an ONNX file as Markdown."""
    record = OnnxEmulator(emulator).metadata["record"]
    there = {name: drawn for name, drawn in DRAWN.items() if name in record}
    tables = [accuracy_table(record[name], drawn) for name, drawn in there.items()]
    if "occupations" in record:
        tables.append(_of_occupations(record["occupations"]))
    return "\n\n".join(tables)


def _of_occupations(records: dict[str, dict[str, Any]]) -> str:
    """Format errors with other occupations, for some outputs, as Markdown."""
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
