"""Remove operators from a graph that only batches of points need.

For a single point, sums over halo profiles are products of two matrices and need no reshaping, sums
over nodes of integrals are products, too, rows of a matrix are multiplied at once, several powers
of a row are rows of one array, and numbers need no squeezing. onnxruntime takes a third of a
microsecond for each operator.
"""

from dataclasses import replace

import numpy as np

from export.cut import needed
from export.graph import Graph, Node, Tensor
from export.protobuf import encode

__all__ = ["for_one_point"]

_LEAST = 3  # powers of a row that are computed at once
_CHAIN = ("Concat", "Reshape", "MatMul", "Reshape", "Split")


def for_one_point(graph: Graph) -> Graph:
    """Return a graph with the same outputs for a single point; numbers are (1, 1).

    Args:
        graph: A graph that was cut to the requested outputs, with profiles as tables.
    """
    graph = _with_rows_at_once(_with_plain_sums(_with_numbers(graph)))
    return _with_powers_at_once(_with_products(graph))


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
    used = graph.uses()
    made = graph.makers()
    new: dict[int, tuple[Node, ...]] = {}
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
        inputs, apart = (f"{name} weights", product.inputs[1]), {"axis": 0, "num_outputs": W}
        new |= {
            id(weights): (Node.of("Concat", weights.inputs, inputs[:1], {"axis": 0}),),
            id(view): (),
            id(product): (Node.of("MatMul", inputs, (name,), {}),),
            id(rows): (),
            id(split): (Node.of("Split", (name,), split.outputs, apart),),
        }
    return graph.changed(new)


def _with_rows_at_once(graph: Graph) -> Graph:
    """The graph that multiplies all rows of a matrix by the same row before it splits them."""
    used = graph.uses()
    users = {name: node for node in graph.nodes for name in node.inputs}
    new: dict[int, tuple[Node, ...]] = {}
    for split in graph.nodes:
        if split.kind != "Split" or split.numbers.get("axis") != 0:
            continue
        if any(used[name] != 1 or name not in users for name in split.outputs):
            continue
        products = [users[name] for name in split.outputs]
        pairs = zip(split.outputs, products, strict=True)
        factors = {frozenset(node.inputs) - {name} for name, node in pairs}
        if {node.kind for node in products} != {"Mul"} or len(factors) != 1:
            continue
        (factor,) = factors
        if len(factor) != 1:
            continue
        scaled = f"{split.inputs[0]} scaled"
        at_once = (
            Node.of("Mul", (split.inputs[0], *factor), (scaled,), {}),
            replace(
                split,
                inputs=(scaled, *split.inputs[1:]),
                outputs=tuple(node.outputs[0] for node in products),
            ),
        )
        first = next(node for node in graph.nodes if node in products)  # the factor is known there
        new |= {id(split): (), **{id(node): () for node in products}, id(first): at_once}
    return graph.changed(new)


def _with_products(graph: Graph) -> Graph:
    """The graph whose weighted sums over a first axis are products with a row of weights."""
    used = graph.uses()
    made = graph.makers()
    new: dict[int, tuple[Node, ...]] = {}
    tensors = dict(graph.tensors)
    for total in graph.nodes:
        product = made.get(total.inputs[0]) if total.inputs else None
        if total.kind != "ReduceSum" or total.numbers.get("keepdims") != 0 or product is None:
            continue
        axes = tensors[total.inputs[1]].array() if total.inputs[1] in tensors else None
        shape = tensors[product.inputs[1]].shape() if product.inputs[-1] in tensors else ()
        if product.kind != "Mul" or used[product.outputs[0]] != 1 or axes is None or axes.any():
            continue
        if len(shape) != 3 or shape[1:] != (1, 1):
            continue
        name, weights = total.outputs[0], tensors[product.inputs[1]].array()
        assert weights is not None
        flat, row = f"{name} flat", f"{name} weights"
        tensors[flat] = Tensor.of(flat, np.array([shape[0], -1]))
        tensors[row] = Tensor.of(row, weights.reshape(1, -1))
        new[id(product)] = ()
        new[id(total)] = (
            Node.of("Reshape", (product.inputs[0], flat), (f"{name} rows",), {}),
            Node.of("MatMul", (row, f"{name} rows"), (name,), {}),
        )
    return graph.changed(new, tensors)


def _with_powers_at_once(graph: Graph) -> Graph:
    """The graph that computes several ``exp(a x + b)`` of the same row x as rows of one array."""
    made, constants = graph.makers(), _constants(graph)
    powers: dict[str, list[tuple[Node, float, float]]] = {}
    for last in graph.nodes:
        if last.kind != "Exp" or last.outputs[0] in graph.outputs:
            continue
        x, line = last.inputs[0], {"Mul": 1.0, "Add": 0.0}
        for kind in ("Add", "Mul"):
            node = made.get(x)
            if node is None or node.kind != kind or not constants.keys() & {*node.inputs}:
                continue
            x, constant = sorted(node.inputs, key=lambda name: name in constants)
            line[kind] = constants[constant]
        source = made.get(x)
        if source is not None and source.kind == "Split" and source.numbers.get("axis") == 1:
            source = made.get(source.inputs[0])
        if source is not None and source.kind == "Gemm":  # so that x is (1, Q)
            powers.setdefault(x, []).append((last, line["Mul"], line["Add"]))
    new: dict[int, tuple[Node, ...]] = {}
    tensors = dict(graph.tensors)
    for x, found in powers.items():
        if len(found) < _LEAST:
            continue
        exponentials, *columns = zip(*found, strict=True)
        for what, column in zip(("factors", "summands"), columns, strict=True):
            name = f"{x} {what}"
            tensors[name] = Tensor.of(name, np.array(column)[:, None])
        apart = {"axis": 0, "num_outputs": len(found)}
        new |= {id(node): () for node in exponentials}
        new[id(exponentials[0])] = (
            Node.of("Mul", (x, f"{x} factors"), (f"{x} scaled",), {}),
            Node.of("Add", (f"{x} scaled", f"{x} summands"), (f"{x} lines",), {}),
            Node.of("Exp", (f"{x} lines",), (f"{x} powers",), {}),
            Node.of("Split", (f"{x} powers",), [n.outputs[0] for n in exponentials], apart),
        )
    changed = graph.changed(new, tensors)
    return replace(changed, nodes=needed(changed, changed.outputs))


def _constants(graph: Graph) -> dict[str, float]:
    """Constants of a graph that are single numbers, by name."""
    single = [one for one in graph.tensors.items() if np.prod(one[1].shape()) == 1]
    arrays = ((name, tensor.array()) for name, tensor in single)
    return {name: float(array.item()) for name, array in arrays if array is not None}
