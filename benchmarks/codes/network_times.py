"""Evaluation times of networks by width and depth."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from benchmarks.codes.timing import by_batch
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.space import Space
from emulator.emulator import NetworkEmulator, Spec
from emulator.network import NetworkConfig
from export.runtime import load
from export.to_onnx import to_onnx

__all__ = ["BATCHES", "DEPTH", "DEPTHS", "WIDTH", "WIDTHS", "network_times"]

WIDTHS, DEPTHS = (64, 128, 256, 512, 1024, 2048), (1, 2, 4, 8, 16)
DEPTH, WIDTH = 4, 256  # the value of each while the other varies
BATCHES = (1, 256)


def network_times(widths: Sequence[int], depths: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """Time networks of gg through onnxruntime on one core.

    The networks are untrained, which does not affect the time.

    Args:
        widths: Numbers of units in each of `DEPTH` hidden layers.
        depths: Numbers of hidden layers of `WIDTH` units.
        seed: Seed of weights and points.

    Returns:
        For each network: ``layers``, ``units``, number of ``weights``, and ``seconds`` per point by
        batch size.
    """
    sizes = dict.fromkeys([(DEPTH, units) for units in widths] + [(n, WIDTH) for n in depths])
    space = Space()
    unit = np.random.default_rng(seed).random((max(BATCHES), len(space.names)))
    theta = space.from_unit(unit)
    rows = []
    with TemporaryDirectory() as folder:
        for layers, units in tqdm(sizes, desc="networks"):
            emulator = _untrained(NetworkConfig(layers, units), theta, seed)
            emulator.save(file := Path(folder) / "network.safetensors")
            with redirect_stdout(io.StringIO()):  # messages about a temporary file
                model = load(to_onnx(file, file.with_suffix(".onnx")), threads=1)
            weights = sum(weights.numel() for weights in emulator.parameters())
            seconds = by_batch(model, theta, BATCHES)
            rows.append({"layers": layers, "units": units, "weights": weights, "seconds": seconds})
    return rows


def _untrained(network: NetworkConfig, theta: Any, seed: int) -> NetworkEmulator:
    torch.manual_seed(seed)
    spec = Spec(
        kind="network",
        space=Space(),
        k=tuple(KGrid().values().tolist()),
        outputs=("gg_1h", "gg_2h", "gg_total"),
        total="sum",
        network=network,
        halo_model=asdict(HaloModelConfig()),
    )
    emulator = NetworkEmulator(spec)
    emulator.features.fit(torch.tensor(theta))
    return emulator.eval()
