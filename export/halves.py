"""A graph in two: what follows from the cosmology alone, and what galaxies add to it.

Of calls at one cosmology, and of points that share one, the first part is computed once. The
profiles of its haloes become one table there, so that sums over them are of fewer numbers. Of calls
at one list of cosmologies, such as one at many redshifts, it is computed once, too. A single point
of a new cosmology is computed by both parts in one, which takes less than one after the other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from datagen.space import BACKGROUND
from export.cut import needed
from export.galaxies import COSMOLOGY
from export.graph import Graph, Node, Tensor, described
from export.profile_sums import profile_sums
from export.protobuf import encode

__all__ = ["Halves", "Link", "halves"]

_NO_ROWS = {"Shape"}  # what does not give a row for each point
_TABLE = " table"  # what names of tables end with


@dataclass(frozen=True)
class Halves:
    """The parts of a graph.

    Attributes:
        cosmology: Takes ``background``, (N, 8) or of one cosmology (1, 8), and gives `between` and
            some of the outputs.
        galaxies: Takes ``theta``, and `between`, whose shapes are still to be described; gives the
            other outputs.
        both: Takes ``theta``, and gives `between` and all outputs.
        between: What goes from one to the other.
    """

    cosmology: Graph
    galaxies: Graph
    both: Graph
    between: tuple[str, ...]

    @staticmethod
    def is_row(name: str) -> bool:
        """Whether an array has a row for each point, and is no table."""
        return not name.endswith(_TABLE)


@dataclass(frozen=True)
class Link:
    """A step in numpy between the two parts of a graph.

    Attributes:
        name: Name of its result, an input of the graph.
        given: Outputs of the graph that it needs, which depend on the cosmology alone.
        shape: Shape of its result, in double precision.
        make: Takes the arrays of `given`, and the array to write the result to.
    """

    name: str
    given: tuple[str, ...]
    shape: tuple[int, ...]
    make: Callable[..., None]


def halves(graph: Graph, is_one: bool = True) -> Halves | None:
    """The parts of a graph; None if it has not two.

    Args:
        graph: One that was cut to the outputs that are asked for.
        is_one: Whether all points are of one cosmology, so that profiles may be a table.
    """
    if not any(node.outputs == (COSMOLOGY,) for node in graph.nodes):
        return None
    if is_one:
        graph = _with_tables(graph, _of_cosmology(graph))
    cosmic = _of_cosmology(graph)
    own = {name: raw for name, raw in graph.outputs.items() if name in cosmic}
    others = {name: raw for name, raw in graph.outputs.items() if name not in cosmic}
    fast = tuple(n for n in graph.nodes if n.outputs == (COSMOLOGY,) or not cosmic & set(n.outputs))
    fast = needed(replace(graph, nodes=fast), others)
    inputs = dict.fromkeys(name for node in fast for name in node.inputs)
    made = {name for node in fast for name in node.outputs}
    between = tuple(name for name in inputs if name in cosmic - made)
    if not others or not between:
        return None
    given = {name: encode(12, encode(1, name.encode())) for name in between if name not in own}
    slow = tuple(node for node in graph.nodes if node.outputs != (COSMOLOGY,))
    slow = needed(replace(graph, nodes=slow), [*own, *given])
    return Halves(
        replace(
            graph,
            inputs=encode(11, described(COSMOLOGY, len(BACKGROUND))),
            outputs=own | given,
            nodes=slow,
            tensors=_used(graph, slow),
        ),
        replace(graph, outputs=others, nodes=fast, tensors=_used(graph, fast)),
        replace(graph, outputs=own | given | others),
        between,
    )


def _of_cosmology(graph: Graph) -> set[str]:
    """Names of numbers that follow from the cosmology alone."""
    constant, cosmic = {*graph.tensors, ""}, {COSMOLOGY}
    for node in graph.nodes:
        if constant.issuperset(node.inputs):
            constant |= set(node.outputs)
        elif node.kind not in _NO_ROWS and (constant | cosmic).issuperset(node.inputs):
            cosmic |= set(node.outputs)
    return cosmic


def _used(graph: Graph, nodes: tuple[Node, ...]) -> dict[str, Tensor]:
    names = {name for node in nodes for name in node.inputs}
    return {name: tensor for name, tensor in graph.tensors.items() if name in names}


def _with_tables(graph: Graph, cosmic: set[str]) -> Graph:
    """The graph for points of one cosmology, whose profiles are a table of node and wavenumber."""
    nodes: dict[int, tuple[Node, ...]] = {id(node): (node,) for node in graph.nodes}
    tensors = dict(graph.tensors)
    for one in profile_sums(graph):
        if one.functions not in cosmic or one.first.inputs[0] in cosmic:
            continue
        name = one.last.outputs[0]
        new = {
            f"{name} functions": one.profiles.reshape(len(one.profiles), -1),
            f"{name} shape": np.array([-1, one.profiles.shape[2]]),
        }
        tensors |= {key: Tensor.of(key, array) for key, array in new.items()}
        nodes[id(one.first)] = nodes[id(one.flat)] = ()
        nodes[id(one.last)] = (
            Node.of("MatMul", (one.functions, f"{name} functions"), (f"{name} row",), {}),
            Node.of("Reshape", (f"{name} row", f"{name} shape"), (f"{name}{_TABLE}",), {}),
            Node.of("MatMul", (one.first.inputs[0], f"{name}{_TABLE}"), one.last.outputs, {}),
        )
    return replace(graph, nodes=tuple(n for one in nodes.values() for n in one), tensors=tensors)
