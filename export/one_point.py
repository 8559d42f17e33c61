"""Remove operators from a graph that only batches of points need.

For a single point, sums over halo profiles are products of two matrices and need no reshaping, and
numbers need no squeezing: onnxruntime takes a third of a microsecond for each of these operators.
"""

from collections import Counter
from dataclasses import replace

from export.graph import Graph, Node
from export.protobuf import encode

__all__ = ["for_one_point"]

_CHAIN = ("Concat", "Reshape", "MatMul", "Reshape", "Split")


def for_one_point(graph: Graph) -> Graph:
    """Return a graph with the same outputs for a single point; numbers are (1, 1).

    Args:
        graph: A graph that was cut to the requested outputs, with profiles as tables.
    """
    return _with_plain_sums(_with_numbers(graph))


def _with_numbers(graph: Graph) -> Graph:
    """The graph whose outputs are (1, 1) where they were squeezed to (1,)."""
    made = {name for node in graph.nodes for name in node.outputs} - graph.outputs.keys()
    squeezed = {
        node.inputs[0]: node.outputs[0]
        for node in graph.nodes
        if node.kind == "Squeeze" and node.outputs[0] in graph.outputs and node.inputs[0] in made
    }
    nodes = tuple(
        node.renamed(lambda name: squeezed.get(name, name))
        for node in graph.nodes
        if node.kind != "Squeeze" or squeezed.get(node.inputs[0]) != node.outputs[0]
    )
    numbers = {name: encode(12, encode(1, name.encode())) for name in squeezed.values()}
    return replace(graph, nodes=nodes, outputs={**graph.outputs, **numbers})


def _with_plain_sums(graph: Graph) -> Graph:
    """The graph with sums of W weights over a table as products (W, Q) by (Q, K)."""
    used = Counter([*(name for node in graph.nodes for name in node.inputs), *graph.outputs])
    made = {name: node for node in graph.nodes for name in node.outputs}
    nodes = {id(node): node for node in graph.nodes}
    for split in [node for node in graph.nodes if node.kind == "Split"]:
        chain: list[Node] = [split]
        while len(chain) < len(_CHAIN) and chain[0].inputs[0] in made:
            chain.insert(0, made[chain[0].inputs[0]])
        if tuple(node.kind for node in chain) != _CHAIN:
            continue
        weights, view, product, rows, _ = chain
        W = len(weights.inputs)
        if len(split.outputs) != W or product.inputs[1] in graph.tensors:
            continue
        if any(used[node.outputs[0]] != 1 for node in chain[:-1]):
            continue
        name = product.outputs[0]
        new = (
            Node.of("Concat", weights.inputs, (f"{name} weights",), {"axis": 0}),
            Node.of("MatMul", (f"{name} weights", product.inputs[1]), (name,), {}),
            Node.of("Split", (name,), split.outputs, {"axis": 0, "num_outputs": W}),
        )
        nodes |= dict(zip(map(id, (weights, product, split)), new, strict=True))
        del nodes[id(view)], nodes[id(rows)]
    return replace(graph, nodes=tuple(nodes.values()))
