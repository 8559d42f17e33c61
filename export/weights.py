"""Recover the weights of an emulator from its ONNX file.

Most weights are in the graph, under their names. Weights that the exporter folds into other arrays,
or omits because no output needs them, are stored as text in the metadata (`left_over`).
"""

import base64
import json
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
    found = packaged | _by_name(emulator, *graphs)
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
