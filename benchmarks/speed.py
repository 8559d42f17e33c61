"""Speed of an emulator beside pyccl's halo model: ``python -m benchmarks.speed``."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pyccl_model import PycclHaloModel
from benchmarks.timing import on_one_core, seconds_per_point
from datagen.cli import run
from datagen.files import atomic
from datagen.halomodel import HaloModelConfig
from datagen.record import provenance
from datagen.space import Space
from export.runtime import OnnxEmulator

__all__ = ["PYCCL_POINTS", "render", "speed", "times"]

BATCHES = (1, 100, 10_000)
PYCCL_POINTS = 8  # at half a second each
AGREEMENT = 1e-2  # before pyccl is timed; its masses do not resolve every narrow threshold

Array = NDArray[np.float64]


def speed(emulator: str = "standard", seed: int = 1, out: Path | None = None) -> dict[str, Any]:
    """Time an emulator through onnxruntime, with all its checks, and pyccl on the same points.

    Everything runs on one core, in this one run; pyccl starts from a fresh cosmology at every
    point. They must agree to a percent before they are timed.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        seed: Seed of the points.
        out: JSON file for the numbers.

    Raises:
        ValueError: They differ, or one of them ran on more than one core.
    """
    model = OnnxEmulator(emulator, threads=1)
    space = Space.from_dict(model.metadata["parameters"])
    unit = np.random.default_rng(seed).random((max(BATCHES), len(model.names)))
    theta = space.from_unit(unit)
    config = HaloModelConfig.from_dict(model.metadata["halo_model"])
    result = times(model, theta, config, model(theta[:PYCCL_POINTS]))
    result["environment"] = provenance()
    if out:
        with atomic(out) as partial_file:
            partial_file.write_text(json.dumps(result, indent=1))
    print(render(result))  # noqa: T201
    return result


def times(
    model: OnnxEmulator, theta: Array, config: HaloModelConfig, truth: Mapping[str, Any]
) -> dict[str, Any]:
    """Seconds per point of an emulator, by batch size, and of pyccl.

    Args:
        model: The emulator.
        theta: Points; pyccl takes the first `PYCCL_POINTS`.
        config: The halo model; pyccl has the ``standard`` one alone, and is left out otherwise.
        truth: Spectra of the first points, which pyccl's must agree with.

    Raises:
        ValueError: pyccl disagrees, or ran on more than one core.
    """
    result: dict[str, Any] = {"cores": 1, "outputs": len(model.outputs), "onnxruntime": {}}
    for batch in BATCHES:
        points = np.resize(theta, (batch, theta.shape[1]))
        result["onnxruntime"][str(batch)] = seconds_per_point(partial(model, points), batch)
    if config.model == "standard":
        pyccl, first = PycclHaloModel(config), theta[:PYCCL_POINTS]
        for name, Pk in on_one_core("pyccl", partial(pyccl, first)).items():
            worst = np.abs(Pk / truth[name] - 1).max() if name in truth else 0.0
            if worst > AGREEMENT:
                raise ValueError(
                    f"pyccl differs by {worst:.1e} in {name} (tolerance {AGREEMENT:g}), so it is "
                    f"not timed"
                )
        result["pyccl"] = seconds_per_point(partial(pyccl, first), len(first), rounds=3)
    return result


def render(result: dict[str, Any]) -> str:
    """The times, as Markdown."""
    lines = [
        f"Time per point of all {result['outputs']} outputs, on one core",
        "",
        "| code | points at once | microseconds | times faster than pyccl |",
        "|---|---|---|---|",
    ]
    slow = result["pyccl"]["median"] if "pyccl" in result else float("nan")
    if "pyccl" in result:
        lines.append(f"| pyccl's halo model, fresh cosmology | 1 | {1e6 * slow:,.0f} | 1 |")
    for batch, time in result["onnxruntime"].items():
        fast = time["median"]
        lines.append(
            f"| emulator, onnxruntime | {int(batch):,} | {1e6 * fast:,.1f} | {slow / fast:,.0f} |"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line of `speed`."""
    run(speed, "python -m benchmarks.speed", argv)


if __name__ == "__main__":
    main()
