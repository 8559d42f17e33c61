"""Split a graph in two parts: one that depends on the cosmology alone, and one of the galaxies.

The first part is computed once for calls at the same cosmology, for points that share a cosmology,
and for calls at the same list of cosmologies, such as a cosmology at many redshifts. For a single
cosmology, the first part also sums halo profiles to one table, so that the second part sums over
fewer numbers. A single point of a new cosmology is computed by both parts in one graph, which is
faster than one after the other.
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

_NO_ROWS = {"Shape"}  # operators whose results do not have a row for each point
_TABLE = " table"  # suffix of the names of tables


@dataclass(frozen=True)
class Halves:
    """The parts of a graph.

    Attributes:
        cosmology: First part, from ``background``, (N, 8) or (1, 8) for one cosmology, to `between`
            and some of the outputs.
        galaxies: Second part, from ``theta`` and `between`, whose shapes are not set yet, to the
            other outputs.
        both: Both parts in one, from ``theta`` to `between` and all outputs.
        between: Names of the arrays that the second part takes from the first.
    """

    cosmology: Graph
    galaxies: Graph
    both: Graph
    between: tuple[str, ...]

    @staticmethod
    def is_row(name: str) -> bool:
        """Whether an array of `between` has a row for each point, and is not a table."""
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
    """Split a graph; return None if it cannot be split.

    Args:
        graph: A graph that was cut to the requested outputs.
        is_one: Whether all points have the same cosmology, so that profiles can be a table.
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
    whole = own | given | others
    return Halves(
        replace(
            graph,
            inputs=encode(11, described(COSMOLOGY, len(BACKGROUND))),
            outputs=own | given,
            nodes=slow,
            tensors=_used(graph, slow),
        ),
        replace(graph, outputs=others, nodes=fast, tensors=_used(graph, fast)),
        replace(graph, outputs=whole, nodes=needed(graph, whole)),
        between,
    )


def _of_cosmology(graph: Graph) -> set[str]:
    """Names of the arrays that depend on the cosmology alone."""
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
    """Graph for points of one cosmology, with profiles as a table of nodes and wavenumbers."""
    new: dict[int, tuple[Node, ...]] = {}
    tensors = dict(graph.tensors)
    for one in profile_sums(graph):
        if one.functions not in cosmic or one.first.inputs[0] in cosmic:
            continue
        name = one.last.outputs[0]
        numbers = {
            f"{name} functions": one.profiles.reshape(len(one.profiles), -1),
            f"{name} shape": np.array([-1, one.profiles.shape[2]]),
        }
        tensors |= {key: Tensor.of(key, array) for key, array in numbers.items()}
        new[id(one.first)] = new[id(one.flat)] = ()
        new[id(one.last)] = (
            Node.of("MatMul", (one.functions, f"{name} functions"), (f"{name} row",), {}),
            Node.of("Reshape", (f"{name} row", f"{name} shape"), (f"{name}{_TABLE}",), {}),
            Node.of("MatMul", (one.first.inputs[0], f"{name}{_TABLE}"), one.last.outputs, {}),
        )
    return graph.changed(new, tensors)
