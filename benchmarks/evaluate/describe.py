"""Kind, size and training history of an ONNX emulator."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.evaluate.file_record import PREFIX
from emulator.emulator import Emulator
from emulator.train import EMULATOR_FILE
from export.runtime import OnnxEmulator

__all__ = ["describe", "training_history"]

_USUAL = Path(EMULATOR_FILE).stem
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
_HISTORIES = ("history.json", "final/*/history.json", "trials/*/history.json")
_MERGED = "merged"  # entry that `export.to_onnx` adds to the provenance


def describe(model: OnnxEmulator) -> dict[str, Any]:
    """Describe the kind and size of an emulator.

    Returns:
        ``name``, that of the file, preceded by its folder if the file has the default name;
        ``file``; ``kind`` in words; ``outputs``; ``bytes`` of the file; and ``numbers``, the number
        of floats in its graph: weights, biases, scalings, and the tables of a semi-analytic
        emulator.
    """
    graph = onnx.load_model_from_string(model.content).graph
    numbers = sum(
        int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.data_type in _FLOATS
    )
    path = model.path.resolve()
    return {
        "name": f"{path.parent.name}/{path.stem}" if path.stem == _USUAL else path.stem,
        "file": str(model.path),
        "kind": _kind(model.metadata),
        "outputs": list(model.outputs),
        "bytes": len(model.content),
        "numbers": numbers,
    }


def _kind(metadata: dict[str, Any]) -> str:
    network = metadata["network"]
    if metadata["kind"] == "semianalytic":
        units, nodes = network["cosmology"]["units"], network["grid"]["nodes"]
        kind = f"semi-analytic, {units} units, {nodes} nodes"
    else:
        kind = f"network, {network['layers']} x {network['units']} {network['activation']}"
    others = len(metadata["provenance"].get(_MERGED, ()))
    return f"{kind}, and {others} more" if others else kind


def training_history(model: OnnxEmulator, run: Path | None = None) -> list[dict[str, Any]]:
    """Read the epochs of an emulator's training; empty if no history is stored.

    Args:
        model: The emulator.
        run: Run directory of its training or search; default: the folder of its file.

    Raises:
        FileNotFoundError: The given run directory has no history of this emulator.
    """
    made = {
        name: value
        for name, value in model.metadata["provenance"].items()
        if name != _MERGED and not name.startswith(PREFIX)
    }
    folder = run or model.path.parent
    for path in (path for pattern in _HISTORIES for path in sorted(folder.glob(pattern))):
        try:
            trained = Emulator.load(path.with_name(EMULATOR_FILE))
            epochs = json.loads(path.read_text())["epochs"]
        except (ValueError, KeyError, TypeError, OSError, RecursionError):  # damaged or foreign
            continue
        if trained.spec.provenance == made:
            return list(epochs)
    if run:
        raise FileNotFoundError(
            f"no training in {run} made {model.path}; give the run directory of emulator.train "
            f"or tuning.search that did, or leave run out"
        )
    return []
