"""The two tables of the front page, from stored results.

``python -m benchmarks.studies.front_page`` prints them.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.evaluate.tables import in_percent
from datagen.cli import run
from export.runtime import OnnxEmulator

__all__ = ["front_page", "render"]

_SPECTRA = ("mm_total", "gm_total", "gg_total", "n_g")
_STATISTICS = {"w_p": "w_p", "Delta_Sigma": "Delta Sigma"}
_FAR = "0.1 to 30"  # Mpc


def front_page(results: Path = Path("benchmarks/results")) -> str:
    """Print accuracy and speed of the shipped emulators, from stored results of other studies.

    Args:
        results: Folder with ``statistics.json``, ``peers.json`` and ``speed.json``.
    """
    text = render(results)
    print(text)  # noqa: T201
    return text


def render(results: Path) -> str:
    """Format both tables as Markdown."""
    stored = {
        name: json.loads((results / f"{name}.json").read_text())
        for name in ("statistics", "peers", "speed")
    }
    return "\n".join([*_accuracy(stored["statistics"]), "", *_speed(stored)])


def _accuracy(statistics: dict[str, Any]) -> list[str]:
    lines = [
        "Errors in percent on points of the whole box that no emulator has seen",
        "",
        "| emulator, galaxies | points | output | 68 % | 95 % | 99 % |",
        "|---|---|---|---|---|---|",
    ]
    for emulator, occupation in (("standard", None), ("tinker10", "zheng07")):
        model = OnnxEmulator(emulator, occupation=occupation)
        label = f"`{emulator}`, {model.populations.said}"
        for name in _SPECTRA:
            record = model.metadata["record"]["test"][name]
            lines.append(_row(label, record["points"], name, record["all"]))
    label = f"`{statistics['emulator']}`, {statistics['occupation']}"
    for name, shown in _STATISTICS.items():
        errors = statistics["errors"][name][_FAR]
        lines.append(_row(label, statistics["points"], f"{shown}, {_FAR} Mpc", errors))
    return lines


def _row(label: str, points: int, name: str, errors: dict[str, float]) -> str:
    cells = [in_percent(errors[q]) for q in ("68", "95", "99")]
    return f"| {label} | {points:,} | {name} | {' | '.join(cells)} |"


def _speed(stored: dict[str, Any]) -> list[str]:
    speed, rows = stored["speed"], stored["peers"]["rows"]
    one = 1e6 * speed["dictionary"]["1"]["median"]
    many = 1e6 * speed["onnxruntime"]["10000"]["median"]
    lines = [
        "Time on one core for a new cosmology; codes of a column were timed in one run",
        "",
        "| code | all spectra | w_p and Delta Sigma | differs from ours by |",
        "|---|---|---|---|",
    ]
    ours = [1e6 * rows[f"hodspectra, {how}"]["cosmology"]["median"]
            for how in ("one call", "10,000 at once")]  # fmt: skip
    lines += [
        f"| hodspectra, one call | {one:.0f} us | {ours[0]:.0f} us | |",
        f"| hodspectra, 10,000 points at once | {many:.1f} us | {ours[1]:.0f} us | |",
    ]
    for name, row in rows.items():
        if "cosmology" not in row or name.startswith("hodspectra"):
            continue
        spectra = f"{1e3 * speed['pyccl']['median']:.0f} ms" if name.startswith("pyccl") else ""
        differs = f"{in_percent(max(row['differences'].values()))} %"
        time = f"{1e3 * row['cosmology']['median']:.0f} ms"
        lines.append(f"| {name} {row['version']} | {spectra} | {time} | {differs} |")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Run the command line of `front_page`."""
    run(front_page, "python -m benchmarks.studies.front_page", argv)


if __name__ == "__main__":
    main()
