"""A graph cut to some of its outputs: onnxruntime computes all of a graph, asked for or not."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from export.graph import Graph, Node, Tensor

__all__ = ["cut", "needed"]


def cut(graph: Graph, outputs: Collection[str]) -> Graph:
    """What it takes to compute some outputs, and nothing else.

    Args:
        graph: The whole graph.
        outputs: Names of its outputs.
    """
    wanted = {name: raw for name, raw in graph.outputs.items() if name in outputs}
    return _narrowed(replace(graph, outputs=wanted, nodes=needed(graph, outputs)))


def needed(graph: Graph, outputs: Collection[str]) -> tuple[Node, ...]:
    """The nodes that it takes to compute some outputs."""
    names, nodes = set(outputs), []
    for node in reversed(graph.nodes):
        if names & set(node.outputs):
            nodes.append(node)
            names |= set(node.inputs)
    return tuple(reversed(nodes))


def _narrowed(graph: Graph) -> Graph:
    """The graph without columns of linear layers and numbers that are not used.

    A layer that gives many functions, of which a graph that was cut needs one part, becomes the
    layer of that part.
    """
    used = Counter(name for node in graph.nodes for name in node.inputs)
    used.update(list(graph.outputs))
    layers = {node.outputs[0]: node for node in graph.nodes if node.kind == "Gemm"}
    nodes = {node.outputs[0]: node for node in graph.nodes}
    tensors = dict(graph.tensors)
    for split in [node for node in graph.nodes if node.kind == "Split"]:
        parts = [part for part in split.outputs if used[part]]
        layer = layers.get(split.inputs[0])
        if layer is None or len(parts) != 1 or used[layer.outputs[0]] > 1:
            continue
        if narrow := _narrow(layer, split, parts[0], tensors):
            nodes[layer.outputs[0]], new = narrow
            del nodes[split.outputs[0]]
            tensors |= new
    needed = {name for node in nodes.values() for name in node.inputs}
    return replace(
        graph,
        nodes=tuple(nodes.values()),
        tensors={name: tensor for name, tensor in tensors.items() if name in needed},
    )


def _narrow(
    layer: Node, split: Node, part: str, tensors: dict[str, Tensor]
) -> tuple[Node, dict[str, Tensor]] | None:
    """The layer of one part, and its numbers; None if it is not a plain one."""
    names = (*layer.inputs[1:], *split.inputs[1:])
    if len(names) != 3 or not all(name in tensors for name in names):
        return None
    weight, bias, sizes = (tensors[name].array() for name in names)
    if weight is None or bias is None or sizes is None:
        return None
    if (weight.ndim, bias.ndim, sizes.ndim) != (2, 1, 1) or split.numbers.get("axis") not in (
        1,
        -1,
    ):
        return None
    i = split.outputs.index(part)
    columns = slice(int(sizes[:i].sum()), int(sizes[: i + 1].sum()))
    weight = weight[columns] if layer.numbers.get("transB") else weight[:, columns]
    new = {f"{part} weight": weight, f"{part} bias": bias[columns]}
    narrow = replace(layer, inputs=(layer.inputs[0], *new), outputs=(part,))
    return narrow, {name: Tensor.of(name, array) for name, array in new.items()}
