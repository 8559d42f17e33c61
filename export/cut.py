"""A graph cut to some of its outputs: onnxruntime computes all of a graph, asked for or not."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from export.graph import Graph, Node, Tensor
from export.profile_sums import profile_sums

__all__ = ["cut", "needed"]


def cut(graph: Graph, outputs: Collection[str]) -> Graph:
    """What it takes to compute some outputs, and nothing else.

    Operators that give several numbers, of which some are not needed, become those of the others:
    sums over profiles of fewer weights, linear layers of fewer columns.

    Args:
        graph: The whole graph.
        outputs: Names of its outputs.
    """
    wanted = {name: raw for name, raw in graph.outputs.items() if name in outputs}
    graph = replace(graph, outputs=wanted, nodes=needed(graph, outputs))
    graph = _with_fewer_columns(_with_fewer_weights(_without_returns(graph)))
    names = {name for node in graph.nodes for name in node.inputs}
    return replace(graph, tensors={n: one for n, one in graph.tensors.items() if n in names})


def needed(graph: Graph, outputs: Collection[str]) -> tuple[Node, ...]:
    """The nodes that it takes to compute some outputs."""
    names, nodes = set(outputs), []
    for node in reversed(graph.nodes):
        if names & set(node.outputs):
            nodes.append(node)
            names |= set(node.inputs)
    return tuple(reversed(nodes))


def _uses(graph: Graph) -> Counter[str]:
    """How often each number is used."""
    return Counter([*(name for node in graph.nodes for name in node.inputs), *graph.outputs])


def _without_returns(graph: Graph) -> Graph:
    """The graph without logarithms of exponentials, which take long."""
    powers = {node.outputs[0]: node.inputs for node in graph.nodes if node.kind == "Exp"}
    nodes = tuple(
        Node.of("Identity", powers[node.inputs[0]], node.outputs, {})
        if node.kind == "Log" and node.inputs[0] in powers
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=needed(replace(graph, nodes=nodes), graph.outputs))


def _with_fewer_weights(graph: Graph) -> Graph:
    """The graph with sums over profiles of those weights alone whose sums are used."""
    used = _uses(graph)
    made = {name: node for node in graph.nodes for name in node.outputs}
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
    """Equal parts of columns; the whole of them if there is one."""
    if len(parts) == 1:
        return Node.of("Identity", (name,), parts, {})
    return Node.of("Split", (name,), parts, {"axis": 1, "num_outputs": len(parts)})


def _with_fewer_columns(graph: Graph) -> Graph:
    """The graph with those columns of linear layers alone that are used.

    A layer of numbers at the nodes of the halo mass, block by block, then takes fewer blocks.
    """
    grids = {one.profiles.shape[1] for one in profile_sums(graph)}  # how many nodes there are
    used = _uses(graph)
    made = {name: node for node in graph.nodes for name in node.outputs}
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
    """Which of the blocks that rows of weights belong to count, if they are known to be even."""
    if len(weight) % blocks or len(weight) // blocks not in grids or not weight.any():
        return list(range(blocks))
    return [i for i, block in enumerate(np.split(weight, blocks)) if block.any()]


def _plain(
    layer: Node, split: Node, tensors: dict[str, Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]] | None:
    """Weights (in, out) and bias of a layer and sizes of its parts; None if it is not plain."""
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
