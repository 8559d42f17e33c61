"""Speed of an emulator compared with the true codes: ``hodspectra speed``."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.codes.implementations import AGREEMENT, BATCHES, direct, forms
from benchmarks.codes.pyccl_model import PycclHaloModel
from benchmarks.codes.timing import TURNS, agree, by_batch, in_turn, seconds_per_point
from benchmarks.study import Study
from datagen.halomodel import HaloModelConfig
from datagen.space import BACKGROUND, Space
from export.runtime import OnnxEmulator

__all__ = ["PYCCL_POINTS", "STUDY", "render", "speed", "times"]

PYCCL_POINTS = 8  # half a second each
IMPORTS = 5
REDSHIFTS = 50  # length of a list of redshifts
NAMES = {
    "labels": "label code",
    "numpy": "emulator, numpy (onnx's reference evaluator)",
    "torch": "emulator, torch",
    "onnxruntime": "emulator, onnxruntime",
    "dictionary": "the same, one dictionary in",
    "held": "the same, points of one cosmology",
    "redshifts": "emulator, a point at many redshifts",
    "held_redshifts": "the same, of a cosmology that is held",
    "jax": "emulator, JAX",
}
STEPS = {
    "jacobian": "jacobian by all parameters",
    "load": "load the emulator",
    "import": "from hodspectra import load",
}

Array = NDArray[np.float64]


def speed(emulator: str = "standard", seed: int = 1) -> dict[str, Any]:
    """Time an emulator in onnxruntime (with all its checks), torch and numpy, and the true codes.

    Everything runs on one core, in the same run, on the same points. pyccl starts from a new
    cosmology at every point, with CAMB at its default settings and at converged ones. Before they
    are timed, the true codes must agree to a percent, and the forms of the emulator to rounding.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        seed: Seed of the points.

    Raises:
        ValueError: Results that disagree; more than one core in use.
    """
    model = OnnxEmulator(emulator, threads=1)
    space = Space.from_dict(model.metadata["parameters"])
    most = max(BATCHES["onnxruntime"])
    theta = space.from_unit(np.random.default_rng(seed).random((4 * most, len(model.names))))
    theta = theta[model.is_inside(theta)][:most]  # domains keep more than a quarter of the box
    config = HaloModelConfig.from_dict(model.metadata["halo_model"])
    return times(model, theta, config, model(theta[:PYCCL_POINTS]))


def times(
    model: OnnxEmulator, theta: Array, config: HaloModelConfig, truth: Mapping[str, Any]
) -> dict[str, Any]:
    """Measure seconds per point of an emulator and of the true codes, by batch size.

    Args:
        model: The emulator.
        theta: Points; pyccl uses the first `PYCCL_POINTS`.
        config: The halo model; pyccl is left out unless it is the ``standard`` one.
        truth: Spectra of the first points, which the true codes must agree with.

    Raises:
        ValueError: Results that disagree; more than one core in use.
    """
    first = theta[:PYCCL_POINTS]
    result: dict[str, Any] = {"cores": 1, "outputs": len(model.outputs)}
    codes = direct(config, Space.from_dict(model.metadata["parameters"]))
    for known, implementations in ((model(first), forms(model)), (truth, codes)):
        for name, call in implementations.items():
            agree(name, call, first, known, AGREEMENT[name])
            if name == "pyccl":  # point by point, as the time of CAMB varies
                usual = PycclHaloModel(replace(config, camb="pyccl"))
                for key, code, rounds in (("pyccl", usual, 3), ("pyccl_converged", call, 2)):
                    few = partial(code, first)
                    result[key] = seconds_per_point(few, len(first), rounds=rounds)
                continue
            result[name] = by_batch(call, theta, BATCHES[name])
    return result | _more(model, theta)


def _more(model: OnnxEmulator, theta: Array) -> dict[str, Any]:
    """Times of repeated cosmologies, derivatives, the JAX function, and opening the emulator."""
    held = theta.copy()
    held[:, : len(BACKGROUND)] = theta[0, : len(BACKGROUND)]
    held = held[model.is_inside(held)]
    few = [dict(zip(model.names, row, strict=True)) for row in theta[:TURNS].tolist()]
    lists = np.repeat(theta[:TURNS, None], REDSHIFTS, axis=1)
    ends = model.ranges["z"]
    lists[:, :, model.names.index("z")] = np.linspace(*ends, REDSHIFTS)
    lists = lists[[bool(model.is_inside(one).all()) for one in lists]]
    held_lists = lists.copy()
    held_lists[:, :, : len(BACKGROUND)] = lists[0, :, : len(BACKGROUND)]
    found: dict[str, Any] = {
        "held": by_batch(model, held, BATCHES["onnxruntime"]),
        "redshifts": {str(REDSHIFTS): seconds_per_point(in_turn(model, [*lists]), REDSHIFTS)},
        "held_redshifts": {
            str(REDSHIFTS): seconds_per_point(in_turn(model, [*held_lists]), REDSHIFTS)
        },
        "dictionary": {"1": seconds_per_point(in_turn(model, few), 1)},
        "jacobian": {"1": seconds_per_point(in_turn(model.jacobian, few), 1)},
        "load": {"1": seconds_per_point(partial(OnnxEmulator, model.path), 1)},
        "import": {"1": _import_seconds()},
    }
    if find_spec("jax"):  # if installed
        jax = import_module("jax")
        function = import_module("export.to_jax").function
        one = jax.jit(jax.vmap(function(model, out_of_range="ignore")))
        call = lambda x: jax.block_until_ready(one(x.astype(np.float32)))  # noqa: E731
        found["jax"] = by_batch(call, theta, (1, 100))
    return found


def _import_seconds() -> dict[str, float]:
    """Time for a new Python process to import what is needed to load emulators; the fastest."""
    code = "import time; t = time.perf_counter(); from hodspectra import load; "
    ask = [sys.executable, "-c", f"{code}print(time.perf_counter() - t)"]
    return {"median": min(float(subprocess.check_output(ask)) for _ in range(IMPORTS))}


def render(result: dict[str, Any]) -> str:
    """Format the times as Markdown."""
    lines = [
        f"Time per point of all {result['outputs']} outputs, on one core",
        "",
        "| code | points at once | microseconds | times faster than pyccl |",
        "|---|---|---|---|",
    ]
    slow = result["pyccl"]["median"] if "pyccl" in result else float("nan")
    if "pyccl" in result:
        lines.append(f"| pyccl's halo model, fresh cosmology | 1 | {1e6 * slow:,.0f} | 1 |")
    if "pyccl_converged" in result:
        exact = result["pyccl_converged"]["median"]
        cells = f"1 | {1e6 * exact:,.0f} | {slow / exact:.2g}"
        lines.append(f"| the same, converged linear power | {cells} |")
    for name, label in NAMES.items():
        for batch, time in result.get(name, {}).items():
            fast = time["median"]
            lines.append(f"| {label} | {int(batch):,} | {1e6 * fast:,.1f} | {slow / fast:,.0f} |")
    if "dictionary" in result:
        call = result["dictionary"]["1"]["median"]
        lines += ["", "| step | ms | calls with a dictionary |", "|---|---|---|"]
        for name, label in STEPS.items():
            seconds = result[name]["1"]["median"]
            lines.append(f"| {label} | {1e3 * seconds:.3g} | {seconds / call:.3g} |")
    return "\n".join(lines)


STUDY = Study("speed", speed, render)
main = STUDY.main

if __name__ == "__main__":
    main()
