"""Extend a graph to wavenumbers between its own, for functions of separation.

Where haloes are rare and nearly of one mass, their profiles oscillate in k faster than the
wavenumbers of an emulator resolve. A file therefore also contains the parts of its graph at
wavenumbers in between. To save space, only the additional columns of its tables are stored.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datagen.outputs import output
from export.graph import Graph, Node, Tensor, described
from export.protobuf import encode

__all__ = ["added", "joined", "merged", "with_added"]

_COLUMNS, _WHOLE = "columns/", "whole/"  # prefixes of names: additional columns, whole tensors


def joined(graph: Graph) -> Graph:
    """Fold concatenations of constants into constants; the exporter leaves only large ones."""
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        parts = [tensors[name].array() for name in node.inputs if name in tensors]
        known = [part for part in parts if part is not None]
        if node.kind == "Concat" and len(known) == len(node.inputs):
            (name,) = node.outputs
            tensors[name] = Tensor.of(name, np.concatenate(known, axis=node.numbers["axis"]))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.inputs}
    kept = {name: tensor for name, tensor in tensors.items() if name in used}
    return replace(graph, nodes=tuple(nodes), tensors=kept)


def merged(
    k: NDArray[np.float64], more: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Merge two sets of wavenumbers, increasing; also return which belong to the first."""
    both = np.sort(np.concatenate([k, more]))
    return both, np.isin(both, k)


def added(graph: Graph, wider: Graph, k: NDArray[np.float64], more: NDArray[np.float64]) -> bytes:
    """Encode the difference between a graph and one at more wavenumbers; see `with_added`.

    Args:
        graph: Graph at the wavenumbers k.
        wider: Graph at k and at the additional wavenumbers.
        k: Wavenumbers [1/Mpc], increasing, shape (K,).
        more: Additional wavenumbers [1/Mpc], increasing.

    Raises:
        ValueError: Graphs with different operators.
    """
    if [_operator(one) for one in graph.nodes] != [_operator(one) for one in wider.nodes]:
        raise ValueError("at more wavenumbers the graph has other operators")
    _, own = merged(k, more)
    tensors = {}
    for name, tensor in wider.tensors.items():
        if tensor.content == graph.tensors[name].content:
            continue
        new, old = tensor.array(), graph.tensors[name].array()
        if new is None or old is None:
            raise ValueError(f"{name} has other numbers than float32 and int64")
        key, stored = f"{_WHOLE}{name}", new
        if new.ndim == 2 and new.shape[1] % len(own) == 0:
            by_k = new.reshape(len(new), len(own), -1)
            if np.array_equal(by_k[:, own].reshape(len(new), -1), old):
                key, stored = f"{_COLUMNS}{name}", by_k[:, ~own].reshape(len(new), -1)
        tensors[key] = Tensor.of(key, stored)
    return Graph(graph.head, b"", {}, (), tensors).encode()


def _operator(node: Node) -> tuple[object, ...]:
    return node.kind, node.inputs, node.outputs, node.attributes


def with_added(
    graph: Graph, content: bytes, k: NDArray[np.float64], more: NDArray[np.float64]
) -> Graph:
    """Return a graph at more wavenumbers.

    Args:
        graph: Graph at the wavenumbers k.
        content: The result of `added`.
        k: Wavenumbers [1/Mpc], increasing, shape (K,).
        more: Additional wavenumbers [1/Mpc], increasing.

    Raises:
        ValueError: Content that does not fit the graph.
    """
    _, own = merged(k, more)
    tensors = dict(graph.tensors)
    for key, tensor in Graph.read(content).tensors.items():
        kind, _, name = key.partition("/")
        if name not in tensors:
            continue  # belongs to the other part, graph or spare
        new, old = tensor.array(), tensors[name].array()
        if new is None or old is None or new.dtype != old.dtype:
            raise ValueError(f"{name} has other numbers between wavenumbers")
        if f"{kind}/" == _COLUMNS:
            both = np.empty((len(old), len(own), old.shape[1] // len(k)), old.dtype)
            both[:, own] = old.reshape(len(old), len(k), -1)
            both[:, ~own] = new.reshape(len(old), len(more), -1)
            new = both.reshape(len(old), -1)
        tensors[name] = Tensor.of(name, new)
    outputs = {
        name: encode(12, described(name, len(own))) if output(name).is_spectrum else raw
        for name, raw in graph.outputs.items()
    }
    return replace(graph, outputs=outputs, tensors=tensors)
