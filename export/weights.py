"""Recover the weights of an emulator from its ONNX file.

Most weights are in the graph, under their names. Weights that the exporter folds into other arrays,
or omits because no output needs them, are stored as text in the metadata (`left_over`). Older files
lack that text. They contain the matrices of semi-analytic emulators transposed, identified by their
shapes, and the scalings of networks, identified by the operators that use them; other weights are
lost.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as read_arrays
from safetensors.torch import save as write_arrays

from emulator.emulator import Emulator
from export.graph import Graph
from export.onnx_file import OnnxEmulatorError, OnnxFile

__all__ = ["left_over", "weights"]

Array = NDArray[Any]

_PREFIX = "parts.0."  # of names in files of networks


def weights(file: OnnxFile, emulator: Emulator) -> dict[str, Array]:
    """Return the weights that a file contains, by name.

    Args:
        file: The file.
        emulator: An emulator of the same kind, with any weights.

    Raises:
        OnnxEmulatorError: Invalid stored weights.
    """
    graphs = [one for one in (file.graph, file.spare) if one]
    packaged = {
        name: value.numpy()
        for name, value in emulator.state_dict().items()
        if name.startswith(emulator.packaged)
    }
    found = packaged | _folded[emulator.spec.kind](emulator, graphs[0])
    found |= _by_name(emulator, *graphs)
    if "weights" in file.texts:
        try:
            stored = read_arrays(base64.b64decode(json.loads(file.texts["weights"])))
        except (SafetensorError, ValueError, TypeError) as error:
            raise OnnxEmulatorError(
                f"{file.occupation}: weights are not arrays ({error})"
            ) from None
        found |= {name: value.numpy() for name, value in stored.items()}
    return found


def _by_name(emulator: Emulator, *graphs: Graph) -> dict[str, Array]:
    """Weights that are in graphs under their own names."""
    tensors = {name: one for graph in graphs for name, one in graph.tensors.items()}
    found = {}
    for name in emulator.state_dict():
        for known in (name, f"{_PREFIX}{name}"):
            if known in tensors and (array := tensors[known].array()) is not None:
                found[name] = array
    return found


def _transposed(emulator: Emulator, graph: Graph) -> dict[str, Array]:
    """Matrices of layers that a graph contains transposed, where their shapes are unique."""
    names = emulator.state_dict()
    arrays = [
        array
        for name, one in graph.tensors.items()
        if name not in names and (array := one.array()) is not None and array.ndim == 2
    ]
    found = {}
    for name, value in names.items():
        fitting = [array for array in arrays if array.shape == tuple(value.shape)[::-1]]
        if name.endswith(".weight") and len(fitting) == 1:
            found[name] = np.ascontiguousarray(fitting[0].T)
    return found


def _scalings(emulator: Emulator, graph: Graph) -> dict[str, Array]:
    """Scale and offset of a network's targets, from the operators after its last layer.

    Those of totals that are sums of their terms are in no graph.
    """
    spec = emulator.spec
    rows = [spec.outputs.index(name) for name in spec.predicted]
    shape = len(rows), len(spec.k)
    found = {}
    for name, kind in (("targets.std", "Mul"), ("targets.mean", "Add")):
        fitting = [
            array
            for node in graph.nodes
            for given in node.inputs
            if node.kind == kind and given in graph.tensors
            if (array := graph.tensors[given].array()) is not None and array.shape == shape
        ]
        if len(fitting) == 1:
            found[name] = np.full((len(spec.outputs), len(spec.k)), np.nan, np.float32)
            found[name][rows] = fitting[0]
    return found


_folded: dict[str, Callable[[Emulator, Graph], dict[str, Array]]] = {
    "network": _scalings,
    "semianalytic": _transposed,
}  # functions for each kind of emulator that find weights under other names in older graphs


def left_over(emulator: Emulator, *graphs: Graph) -> str:
    """Encode the weights of an emulator that its graphs do not contain, as text.

    Args:
        emulator: The emulator.
        graphs: Graphs of its file.
    """
    found = _by_name(emulator, *graphs)
    kept = {
        name: value.contiguous()
        for name, value in emulator.state_dict().items()
        if not np.array_equal(found.get(name, np.nan), value.numpy())
    }
    return base64.b64encode(write_arrays(kept)).decode()
