"""Implementations to time: an emulator in onnxruntime, torch and numpy, and the true codes.

Only onnxruntime checks the ranges of its points. All start from physical parameters and return
arrays by name.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from scipy.special import erf

from benchmarks.codes.pyccl_model import OCCUPATION, PycclHaloModel
from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.power import linear_power
from datagen.space import Space
from emulator.emulator import Emulator
from emulator.record import predict
from export.parity import TOLERANCE
from export.runtime import OnnxEmulator

__all__ = ["AGREEMENT", "BATCHES", "Implementation", "direct", "forms", "torch_emulator"]

Array = NDArray[Any]
Implementation = Callable[[Array], dict[str, Array]]

# Batch sizes that each implementation evaluates in about a second.
BATCHES: dict[str, tuple[int, ...]] = {
    "onnxruntime": (1, 100, 10_000),
    "torch": (1, 100, 10_000),
    "numpy": (1, 100, 10_000),
    "labels": (1, 100),
    "pyccl": (1,),
}
# Tolerances of |P/P' - 1|. Forms of one emulator differ by rounding in float32, mostly of the error
# function far below a threshold. Of the codes, pyccl does not resolve some narrow thresholds.
AGREEMENT = {
    "onnxruntime": 0.0,
    "torch": 5 * TOLERANCE,
    "numpy": 5 * TOLERANCE,
    "labels": 1e-2,
    "pyccl": 1e-2,
}
_ROWS = 512  # batch size of torch and numpy that keeps intermediates in cache, the fastest for both


class _Erf(OpRun):
    """Scipy's erf; onnx's own calls Python's math.erf for each number."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (erf(x),)


def forms(model: OnnxEmulator) -> dict[str, Implementation]:
    """All available forms of an emulator, by name; ``onnxruntime`` is the emulator itself.

    ``numpy`` is onnx's reference evaluator, which computes the same graph node by node. ``torch``
    is the exported module, without gradients; it requires the ``.safetensors`` file of the same
    name next to the ONNX file.
    """
    graph = ReferenceEvaluator(onnx.load(model.path), new_ops=[_Erf])

    def numpy_form(theta: Array) -> dict[str, Array]:
        return dict(zip(model.outputs, graph.run(None, {"theta": theta.astype(np.float32)})))

    found: dict[str, Implementation] = {
        "onnxruntime": model,
        "numpy": partial(_in_rows, numpy_form),
    }
    if (emulator := torch_emulator(model)) is not None:
        torch.set_num_threads(1)
        found["torch"] = partial(_in_rows, partial(predict, emulator))
    return found


def direct(config: HaloModelConfig, space: Space) -> dict[str, Implementation]:
    """True codes of a halo model by name: ``labels``, and ``pyccl`` if it has the model.

    The table of linear power is computed here, once for all points of a space, and not timed.
    """
    labels = HaloModel(config, linear_power(config, space), space.occupation)
    found: dict[str, Implementation] = {"labels": labels}
    if config.model == "standard" and space.occupation == OCCUPATION:
        found["pyccl"] = PycclHaloModel(config)
    return found


def _in_rows(call: Implementation, theta: Array) -> dict[str, Array]:
    """Evaluate points in small batches."""
    if len(theta) <= _ROWS:
        return call(theta)
    parts = [call(theta[start : start + _ROWS]) for start in range(0, len(theta), _ROWS)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def torch_emulator(model: OnnxEmulator) -> Emulator | None:
    """Load the torch emulator next to an ONNX file; None if there is none with its outputs."""
    beside = model.path.with_suffix(".safetensors")
    if not beside.exists():
        return None
    emulator = Emulator.load(beside)
    return emulator if emulator.spec.outputs == model.outputs else None
