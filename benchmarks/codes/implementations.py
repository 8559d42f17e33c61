"""What is timed side by side: an emulator in onnxruntime, torch and numpy, and the true codes.

Nothing but onnxruntime checks the ranges of its points. All start from physical parameters and
end at arrays by name.
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
from export.runtime import OnnxEmulator
from export.to_onnx import TOLERANCE

__all__ = ["AGREEMENT", "BATCHES", "Implementation", "direct", "forms", "torch_emulator"]

Array = NDArray[Any]
Implementation = Callable[[Array], dict[str, Array]]

# Points at once, as many as each can do in a second or so.
BATCHES: dict[str, tuple[int, ...]] = {
    "onnxruntime": (1, 100, 10_000),
    "torch": (1, 100, 10_000),
    "numpy": (1, 100, 10_000),
    "labels": (1, 100),
    "pyccl": (1,),
}
# What they may differ by, |P/P' - 1|. Forms of one emulator: rounding in float32, above all of the
# error function far below a threshold. The codes: pyccl's masses miss some narrow thresholds.
AGREEMENT = {
    "onnxruntime": 0.0,
    "torch": 5 * TOLERANCE,
    "numpy": 5 * TOLERANCE,
    "labels": 1e-2,
    "pyccl": 1e-2,
}
_ROWS = 512  # of torch and numpy at once, where their intermediates stay in cache: fastest for both


class _Erf(OpRun):
    """Scipy's erf; onnx's own calls Python's math.erf for every number."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (erf(x),)


def forms(model: OnnxEmulator) -> dict[str, Implementation]:
    """An emulator in every form that can be had of it, by name; ``onnxruntime`` is itself.

    ``numpy`` is onnx's reference evaluator, which computes node after node of the very same graph.
    ``torch`` is the module that was exported, without gradients; it is left out where its file,
    of the same name but for ``.safetensors``, does not lie beside the ONNX file.
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
    """The true codes of a halo model by name: ``labels``, and ``pyccl`` if that has them.

    The table of linear power is made here, once for all points of a space, and not timed.
    """
    labels = HaloModel(config, linear_power(config, space), space.occupation)
    found: dict[str, Implementation] = {"labels": labels}
    if config.model == "standard" and space.occupation == OCCUPATION:
        found["pyccl"] = PycclHaloModel(config)
    return found


def _in_rows(call: Implementation, theta: Array) -> dict[str, Array]:
    """A few points at once."""
    if len(theta) <= _ROWS:
        return call(theta)
    parts = [call(theta[start : start + _ROWS]) for start in range(0, len(theta), _ROWS)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def torch_emulator(model: OnnxEmulator) -> Emulator | None:
    """The emulator that an ONNX file was made from, if its file lies beside, with its outputs."""
    beside = model.path.with_suffix(".safetensors")
    if not beside.exists():
        return None
    emulator = Emulator.load(beside)
    return emulator if emulator.spec.outputs == model.outputs else None
