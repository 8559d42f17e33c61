"""Reduce a graph to some of its outputs: onnxruntime always computes the whole graph."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from export.graph import Graph, Node, Tensor
from export.profile_sums import profile_sums

__all__ = ["cut", "needed"]


def cut(graph: Graph, outputs: Collection[str]) -> Graph:
    """Return the part of a graph that computes some of its outputs.

    Operators with several results are reduced to those that are needed: sums over profiles to fewer
    weights, linear layers to fewer columns.

    Args:
        graph: The whole graph.
        outputs: Names of the outputs to keep.
    """
    wanted = {name: raw for name, raw in graph.outputs.items() if name in outputs}
    graph = replace(graph, outputs=wanted, nodes=needed(graph, outputs))
    graph = _with_fewer_columns(_with_fewer_weights(_without_returns(graph)))
    names = {name for node in graph.nodes for name in node.inputs}
    return replace(graph, tensors={n: one for n, one in graph.tensors.items() if n in names})


def needed(graph: Graph, outputs: Collection[str]) -> tuple[Node, ...]:
    """Nodes that are needed to compute some outputs, in order."""
    names, nodes = set(outputs), []
    for node in reversed(graph.nodes):
        if names & set(node.outputs):
            nodes.append(node)
            names |= set(node.inputs)
    return tuple(reversed(nodes))


def _without_returns(graph: Graph) -> Graph:
    """The graph without logarithms of exponentials, which are slow."""
    powers = {node.outputs[0]: node.inputs for node in graph.nodes if node.kind == "Exp"}
    nodes = tuple(
        Node.of("Identity", powers[node.inputs[0]], node.outputs, {})
        if node.kind == "Log" and node.inputs[0] in powers
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=needed(replace(graph, nodes=nodes), graph.outputs))


def _with_fewer_weights(graph: Graph) -> Graph:
    """The graph with only those weights of sums over profiles whose sums are used."""
    used = graph.uses()
    made = graph.makers()
    users = {name: node for node in graph.nodes for name in node.inputs}
    nodes = {id(node): node for node in graph.nodes}
    tensors = dict(graph.tensors)
    for one in profile_sums(graph):
        m, Q, K = one.profiles.shape
        view, rows = made.get(one.first.inputs[0]), users[one.last.outputs[0]]
        weights = made.get(view.inputs[0]) if view else None
        split = users.get(rows.outputs[0])
        if view is None or weights is None or split is None:
            continue
        parts = [i for i, name in enumerate(split.outputs) if used[name]]
        if (
            (view.kind, weights.kind, split.kind) != ("Reshape", "Concat", "Split")
            or len(split.outputs) != len(weights.inputs)
            or not len(parts) < len(split.outputs)
            or any(used[node.outputs[0]] != 1 for node in (view, weights, one.last, rows))
        ):
            continue
        W = len(parts)
        shapes = {id(view): [-1, W, Q], id(one.flat): [-1, W * K, m], id(rows): [-1, W * K]}
        for node in (view, one.flat, rows):
            name = f"{node.outputs[0]} of {W}"
            tensors[name] = Tensor.of(name, np.array(shapes[id(node)]))
            nodes[id(node)] = replace(node, inputs=(node.inputs[0], name))
        kept = [weights.inputs[i] for i in parts]
        nodes[id(weights)] = Node.of("Concat", kept, weights.outputs, {"axis": 1})
        nodes[id(split)] = _split(rows.outputs[0], [split.outputs[i] for i in parts])
    graph = replace(graph, nodes=tuple(nodes.values()), tensors=tensors)
    return replace(graph, nodes=needed(graph, graph.outputs))


def _split(name: str, parts: Sequence[str]) -> Node:
    """A node that splits columns into equal parts; an identity for a single part."""
    if len(parts) == 1:
        return Node.of("Identity", (name,), parts, {})
    return Node.of("Split", (name,), parts, {"axis": 1, "num_outputs": len(parts)})


def _with_fewer_columns(graph: Graph) -> Graph:
    """The graph with only the used columns of its linear layers.

    A layer of values at the nodes of the halo mass, block by block, is thus reduced to fewer
    blocks.
    """
    grids = {one.profiles.shape[1] for one in profile_sums(graph)}  # numbers of nodes
    used = graph.uses()
    made = graph.makers()
    layers = {node.outputs[0]: node for node in graph.nodes if node.kind == "Gemm"}
    nodes = {id(node): node for node in graph.nodes}
    tensors = dict(graph.tensors)
    for split in [node for node in graph.nodes if node.kind == "Split"]:
        layer = layers.get(split.inputs[0])
        parts = [i for i, part in enumerate(split.outputs) if used[part]]
        if layer is None or len(parts) == len(split.outputs) or used[layer.outputs[0]] > 1:
            continue
        if (found := _plain(layer, split, tensors)) is None:
            continue
        weight, bias, sizes = found
        ends = np.cumsum(sizes)
        columns = np.concatenate([np.arange(ends[i] - sizes[i], ends[i]) for i in parts])
        weight, bias = weight[:, columns], bias[columns]
        name, joined = layer.outputs[0], made.get(layer.inputs[0])
        if joined and joined.kind == "Concat" and used[joined.outputs[0]] == 1:
            blocks = _used_blocks(weight, len(joined.inputs), grids)
            kept = [joined.inputs[i] for i in blocks]
            nodes[id(joined)] = Node.of("Concat", kept, joined.outputs, {"axis": 1})
            if len(kept) < len(joined.inputs):
                weight = np.concatenate([np.split(weight, len(joined.inputs))[i] for i in blocks])
        new = {f"{name} weight": weight, f"{name} bias": bias}
        names = [split.outputs[i] for i in parts]
        if len(parts) == 1:
            nodes[id(split)] = Node.of("Identity", (name,), names, {})
        else:
            new[f"{name} sizes"] = sizes[parts]
            nodes[id(split)] = Node.of("Split", (name, f"{name} sizes"), names, {"axis": 1})
        inputs = (layer.inputs[0], f"{name} weight", f"{name} bias")
        nodes[id(layer)] = Node.of("Gemm", inputs, layer.outputs, {})
        tensors |= {key: Tensor.of(key, array) for key, array in new.items()}
    graph = replace(graph, nodes=tuple(nodes.values()), tensors=tensors)
    return replace(graph, nodes=needed(graph, graph.outputs))


def _used_blocks(weight: NDArray[np.float32], blocks: int, grids: Collection[int]) -> list[int]:
    """Indices of blocks of weights that are not all zero; all if the layout is unknown."""
    if len(weight) % blocks or len(weight) // blocks not in grids or not weight.any():
        return list(range(blocks))
    return [i for i, block in enumerate(np.split(weight, blocks)) if block.any()]


def _plain(
    layer: Node, split: Node, tensors: dict[str, Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]] | None:
    """Weights (in, out), bias and sizes of the parts of a layer; None if it is not plain."""
    names = (*layer.inputs[1:], *split.inputs[1:])
    at = layer.attributes
    if at.get("transA") or at.get("alpha", 1.0) != 1 or at.get("beta", 1.0) != 1:
        return None
    if len(layer.inputs) != 3 or not all(name in tensors for name in names):
        return None
    weight, bias, *rest = (tensors[name].array() for name in names)
    if weight is None or bias is None or (weight.ndim, bias.ndim) != (2, 1):
        return None
    weight = weight.T if at.get("transB") else weight
    if split.numbers.get("axis") not in (1, -1) or weight.shape[1] != len(bias):
        return None
    if not rest:
        count = len(split.outputs)
        return (weight, bias, np.full(count, len(bias) // count)) if not len(bias) % count else None
    return (weight, bias, rest[0]) if rest[0] is not None and rest[0].ndim == 1 else None
