"""Time and memory against the number of points and of weights: ``hodspectra scaling``."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import nnls
from tqdm.auto import tqdm

from benchmarks.codes.implementations import AGREEMENT, direct
from benchmarks.codes.network_times import BATCHES, DEPTH, DEPTHS, WIDTH, WIDTHS, network_times
from benchmarks.codes.timing import agree
from benchmarks.study import Study
from datagen.figures import new_figure
from datagen.halomodel import HaloModelConfig
from datagen.space import Space
from export.runtime import load

__all__ = ["PUBLISHED", "STUDY", "figures", "fit", "render", "scaling", "stream"]

# User CPU seconds of data sets on the authors' machine without a GPU, as printed in the notebooks
# exampleNotebooks/NNPerformance.ipynb and NN_Performance.ipynb of
# https://github.com/r0b42o/NNPowerspectra (2025). A network gives the 150 numbers of one spectrum's
# three terms; the calculation is of all spectra.
PUBLISHED: dict[str, dict[int, float]] = {
    "calculation": {100: 1452.09, 1000: 14464.3, 10_000: 150278.42, 50_000: 725533.92},
    "network, 14 x 888 GELU": {
        100: 0.391, 1000: 1.281, 10_000: 8.78, 50_000: 63.363, 100_000: 114.567,
        1_000_000: 634.378,
    },
    "network, 5 x 70 sigmoid": {
        100: 0.07, 1000: 0.09, 10_000: 0.13, 50_000: 0.24, 100_000: 0.39, 1_000_000: 4.96,
        10_000_000: 26.56,
    },
}  # fmt: skip
DIRECT = {"labels": (16, 64, 256), "pyccl": (1, 2, 4)}  # numbers of points for the true codes
NAMES = {"emulator": "emulator", "labels": "label code", "pyccl": "pyccl's halo model"}
COLOURS = {"emulator": "#D55E00", "labels": "#0072B2", "pyccl": "#009E73"}
PUBLISHED_MARKS = dict(zip(PUBLISHED, ("s", "^", "v"), strict=True))


def scaling(
    emulator: str = "standard",
    sizes: Sequence[int] = (100, 1000, 10_000, 100_000, 1_000_000),
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = DEPTHS,
    seed: int = 1,
    occupation: str = "",
) -> dict[str, Any]:
    """Time an emulator by number of points, and networks by number of weights, on one core.

    Points are evaluated in blocks, in a separate process for every size, whose peak memory is
    recorded. The true codes are timed at a few points, and a cost per point is fitted to each. The
    networks are untrained, which does not affect the time.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        sizes: Numbers of points, two or more.
        widths: Numbers of units in each of 4 hidden layers.
        depths: Numbers of hidden layers of 256 units.
        seed: Seed of the points.
        occupation: Name of an occupation in place of the one in the file; semi-analytic emulators
            only.

    Returns:
        The content of ``scaling.json``.

    Raises:
        ValueError: Codes that disagree; too few sizes.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes = {list(sizes)} must be two or more positive numbers, for a fit")
    if min(widths, default=0) < 1 or min(depths, default=0) < 1:
        raise ValueError(
            f"widths = {list(widths)} and depths = {list(depths)} must each have one positive "
            f"number at least"
        )
    true_codes = _direct(emulator, seed, occupation)  # first, since it checks their agreement
    ordered = tqdm(sorted(sizes), desc="sizes")
    runs = {"emulator": [stream(emulator, n, seed, occupation) for n in ordered]}
    runs |= true_codes
    return {
        "emulator": f"{emulator} with {occupation}" if occupation else emulator,
        "runs": runs,
        "fits": {name: {clock: fit([r["points"] for r in of], [r[clock] for r in of])
                        for clock in ("cpu", "wall")} for name, of in runs.items()},
        "published": {name: {"cpu": times, "fit": fit(list(times), list(times.values()))}
                      for name, times in PUBLISHED.items()},
        "networks": network_times(widths, depths, seed),
    }  # fmt: skip


def fit(points: Sequence[float], seconds: Sequence[float]) -> dict[str, float]:
    """Fit seconds = start + per_point * points, both positive, by relative least squares.

    Args:
        points: Numbers of points, two or more.
        seconds: Time for each number [s].
    """
    design = np.stack([np.ones(len(points)), np.asarray(points, float)], axis=1)
    (start, per_point), _ = nnls(design / np.asarray(seconds)[:, None], np.ones(len(points)))
    return {"start": float(start), "per_point": float(per_point)}


def stream(emulator: str, points: int, seed: int, occupation: str = "") -> dict[str, float]:
    """Time one number of points, in a separate process.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        points: Number of points.
        seed: Seed of the points.
        occupation: Name of an occupation in place of the one in the file.

    Returns:
        See `benchmarks.codes.memory.evaluate_in_blocks`.

    Raises:
        ValueError: The process failed; the message has its last line.
    """
    root = str(Path(__file__).resolve().parents[2])
    command = [
        sys.executable,
        "-m",
        "benchmarks.codes.memory",
        emulator,
        str(points),
        "--seed",
        str(seed),
        "--occupation",
        occupation,
    ]
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
        raise ValueError(f"{' '.join(command[1:])} failed: {reason}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _direct(emulator: str, seed: int, occupation: str) -> dict[str, list[dict[str, float]]]:
    """Times of the true codes at a few sizes, after a check of their agreement."""
    model = load(emulator, threads=1, occupation=occupation or None)
    space = Space.from_dict(model.metadata["parameters"])
    config = HaloModelConfig.from_dict(model.metadata["halo_model"])
    unit = np.random.default_rng(seed).random((max(DIRECT["labels"]), len(space.names)))
    theta = space.from_unit(unit)
    found: dict[str, list[dict[str, float]]] = {}
    for name, call in direct(config, space).items():
        agree(name, call, theta[:2], model(theta[:2]), AGREEMENT[name])
        found[name] = [
            {"points": n, **_cost(partial(call, theta[:n]))}
            for n in tqdm(DIRECT[name], desc=NAMES[name])
        ]
    return found


def _cost(call: Callable[[], Any]) -> dict[str, float]:
    """Wall and CPU time [s] of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def render(result: dict[str, Any]) -> str:
    """Format the costs as Markdown."""
    lines = [
        f"Time of all outputs, fitted over sizes, on one core; emulator: {result['emulator']}",
        "",
        "| code | points | CPU time a point | wall time a point | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name, runs in result["runs"].items():
        memory = [run["memory"] / 1e6 for run in runs if "memory" in run]
        flat = f"{memory[0]:.0f} to {max(memory):.0f} MB" if memory else ""
        cpu, wall = (_time(of["per_point"]) for of in result["fits"][name].values())
        sizes = _span(runs[0]["points"], runs[-1]["points"])
        lines.append(f"| {NAMES[name]} | {sizes} | {cpu} | {wall} | {flat} |")
    for name, of in result["published"].items():
        published = sorted(map(int, of["cpu"]))
        cost = _time(of["fit"]["per_point"])
        lines.append(f"| published: {name} | {_span(published[0], published[-1])} | {cost} | | |")
    header = " | ".join(f"us, {n:,} at once" for n in BATCHES)
    lines += [
        "",
        "Published: user CPU time printed by the notebooks NNPerformance and NN_Performance of "
        "NNPowerspectra, on its authors' machine; a network there gives one of the three spectra.",
        "",
        f"| network (3 outputs of gg) | weights | {header} |",
        "|---|---|" + "---|" * len(BATCHES),
    ]
    for one in result["networks"]:
        times = " | ".join(f"{1e6 * one['seconds'][str(n)]['median']:.3g}" for n in BATCHES)
        lines.append(f"| {one['layers']} x {one['units']} | {one['weights']:,} | {times} |")
    return "\n".join(lines)


def _span(low: float, high: float) -> str:
    return f"{low:,.0f} to {high:,.0f}"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """Plot CPU time against points, memory against points, and time against weights."""
    figure = new_figure(10, 3.6)
    times, memory, networks = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    for name, runs in result["runs"].items():
        cpu = {run["points"]: run["cpu"] for run in runs}
        _line(times, cpu, result["fits"][name]["cpu"], NAMES[name], color=COLOURS[name], marker="o")
    for name, of in result["published"].items():
        cpu = {int(points): seconds for points, seconds in of["cpu"].items()}
        _line(times, cpu, of["fit"], f"published {name}", color="0.5", marker=PUBLISHED_MARKS[name])
    times.set(xlabel="points", ylabel="CPU time [s]", xlim=(0.7, 2e7))
    runs = result["runs"]["emulator"]
    memory.semilogx([run["points"] for run in runs], [run["memory"] / 1e6 for run in runs],
                    marker="o", ms=4, color=COLOURS["emulator"])  # fmt: skip
    memory.set(xlabel="points", ylabel="peak memory [MB]")
    memory.set_ylim(bottom=0)
    for n, shape in zip(BATCHES, ("--", "-"), strict=True):
        for what, fixed, marker, colour in (
            ("layers", DEPTH, "o", "#0072B2"),
            ("units", WIDTH, "s", "#D55E00"),
        ):
            chosen = sorted(
                (one["weights"], 1e6 * one["seconds"][str(n)]["median"])
                for one in result["networks"]
                if one[what] == fixed
            )
            look = {"marker": marker, "ms": 4, "color": colour}
            label = f"{fixed} {what}, {n:,} at once"
            networks.loglog(*np.transpose(chosen), shape, label=label, **look)
    networks.set(xlabel="weights", ylabel=r"time per point [$\mu$s]")
    networks.set_ylim(top=30 * networks.get_ylim()[1])  # room for the legend
    networks.legend(loc="upper left")
    figure.legend(*times.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return {"scaling": figure}


def _line(
    axes: Axes, cpu: Mapping[int, float], line: Mapping[str, float], label: str, **look: Any
) -> None:
    """Draw measured times, and the line fitted to them."""
    points = np.array(sorted(cpu))
    axes.loglog(points, [cpu[n] for n in points], ls="", ms=4, label=label, **look)
    axes.loglog(points, line["start"] + line["per_point"] * points, lw=0.8, color=look["color"])


STUDY = Study("scaling", scaling, render, figures)
main = STUDY.main

if __name__ == "__main__":
    main()
