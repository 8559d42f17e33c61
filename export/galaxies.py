"""The galaxies of a semi-analytic emulator: a part of the graph that can be replaced.

The rest of the graph depends on haloes alone. It computes ``ln_M``, ``ln_n`` and ``step`` at the
nodes of the mass grid, and takes the galaxies there (`emulator.semianalytic.occupation`). All names
in the part for an occupation begin with ``galaxies/``.
"""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from datagen.occupations import Occupation
from datagen.occupations.extras import parameters_of
from datagen.occupations.grid import REACH, between, cells_of, kernel
from datagen.space import BACKGROUND
from export.cut import needed
from export.graph import Graph, Node, Tensor, described
from export.protobuf import encode
from export.trace import Trace, Traced, TracedFunctions

__all__ = [
    "ADDED",
    "COSMOLOGY",
    "PREFIX",
    "WEIGHTS",
    "Nodes",
    "divided",
    "having_extras",
    "named_part",
    "sampled",
    "together",
    "with_extras",
    "with_galaxies",
    "without_galaxies",
]

PREFIX = "galaxies/"
WEIGHTS = ("centrals", "satellites", "central_satellite", "satellite_pairs", "scale")
"""Names, with the prefix, of the galaxies at the nodes that the rest of a graph takes."""
HALOES = ("ln_M", "ln_n", "n", "step")
"""Names of the outputs of the rest of a graph that the galaxies depend on."""
COSMOLOGY = "background"
"""Name of the first columns of points, which the rest of a graph takes."""
ADDED = "extras/"
"""Prefix of the names of parameters that are added to an occupation."""
_OWN = "own/theta"  # points without these parameters
_MOST = 10_000  # largest number of nodes
_SLICE = f"{PREFIX}slice"


@dataclass(frozen=True)
class Nodes:
    """The grid of halo masses of a graph, evenly spaced in ln M.

    Attributes:
        nodes: Number of nodes, Q.
        spacing: Spacing of the nodes in ln M.
        start: ln M of the first node, relative to ``ln_M``.
        log10M_min: log10 of the lowest halo mass [Msun].
    """

    nodes: int
    spacing: float
    start: float
    log10M_min: float

    def __post_init__(self) -> None:
        if not (2 * REACH <= self.nodes <= _MOST and 0 < self.spacing < math.inf):
            raise ValueError(
                f"{self.nodes} nodes, {self.spacing:g} apart, are no grid of halo masses"
            )
        if not (math.isfinite(self.start) and math.isfinite(self.log10M_min)):
            raise ValueError(f"nodes start at {self.start}, and masses at 10^{self.log10M_min}")


def sampled(occupation: Occupation, names: Sequence[str], grid: Nodes) -> Trace:
    """Part of a graph for any occupation; `emulator.semianalytic.occupation.Sampled` in ONNX.

    Args:
        occupation: The occupation.
        names: Columns of the points.
        grid: The grid of masses.
    """
    trace = Trace(PREFIX)
    theta, ln_M, ln_n, _, step = (Traced(trace, name) for name in ("theta", *HALOES))
    cells = cells_of(occupation.width, grid.spacing)
    places = grid.start + grid.spacing / cells * np.arange((grid.nodes - 1) * cells + 1)
    known = {p.name for p in occupation.parameters} | {"z"}
    first = next(i for i, name in enumerate(names) if name in known)  # cosmology is one part
    columns = {name: f"{PREFIX}theta/{name}" for name in names[first:]}
    sizes = trace.constant([first, *[1] * len(columns)], np.int64)
    outputs = [f"{PREFIX}theta/cosmology", *columns.values()]
    trace.apply("Split", theta, Traced(trace, sizes), outputs=outputs, axis=1)
    point = {name: Traced(trace, one) for name, one in columns.items()}
    n = trace.apply("Exp", trace.apply("MatMul", ln_n, between(grid.nodes, cells)))
    M = trace.apply("Exp", ln_M + places)
    f = TracedFunctions(trace, ln_M, grid.start, grid.spacing / cells, len(places))
    moments = occupation.moments(M, point, f)
    distinct = {id(one): one for one in moments}
    fine = trace.apply("Concat", *(n * one for one in distinct.values()), axis=0)
    summed = trace.apply("MatMul", fine, _to_nodes(grid.nodes, cells))
    parts = [f"{PREFIX}moment_{i}" for i in range(len(distinct))]
    trace.apply("Split", summed, outputs=parts, axis=0, num_outputs=len(parts))
    at = dict(zip(distinct, (Traced(trace, part) * step for part in parts), strict=True))
    *weights, scale = (f"{PREFIX}{name}" for name in WEIGHTS)
    for name, one in zip(weights, moments, strict=True):
        trace.apply("Identity", at[id(one)], outputs=(name,))
    trace.tensors[scale] = Tensor.of(scale, np.ones((1, 1)))
    return trace


def _to_nodes(nodes: int, cells: int) -> np.ndarray:
    """Matrix from values on the finer grid to the nodes, shape ((nodes - 1) cells + 1, nodes)."""
    weights, reach = kernel(cells), REACH * cells
    matrix = np.zeros(((nodes - 1) * cells + 1 + 2 * reach, nodes))
    for node in range(nodes):
        matrix[node * cells : node * cells + len(weights), node] = weights
    return matrix[reach : len(matrix) - reach]


def named_part(graph: Graph, given: Iterable[str]) -> tuple[list[Node], dict[str, Tensor]]:
    """Operators and tensors of a graph of galaxies, renamed with the prefix of such a part.

    Args:
        graph: The graph.
        given: Names of inputs, which are not changed.
    """

    def name(one: str) -> str:
        return one if one in given or one.startswith(PREFIX) else f"{PREFIX}{one}"

    tensors = {name(n): tensor.renamed(name(n)) for n, tensor in graph.tensors.items()}
    return [node.renamed(name) for node in graph.nodes], tensors


def with_galaxies(
    graph: Graph, nodes: Iterable[Node], tensors: dict[str, Tensor], columns: int
) -> Graph:
    """Join a graph of haloes and a part for galaxies, for points with a number of columns."""
    background = Trace(_SLICE)
    slices = (
        Traced(background, background.constant(i, np.int64)) for i in ([0], [len(BACKGROUND)], [1])
    )
    background.apply("Slice", Traced(background, "theta"), *slices, outputs=(COSMOLOGY,))
    return replace(
        graph,
        inputs=encode(11, described("theta", columns)),
        nodes=_sorted([*background.nodes, *nodes, *graph.nodes]),
        tensors={**background.tensors, **tensors, **graph.tensors},
    )


def divided(graph: Graph) -> tuple[Graph, Graph]:
    """Split a graph into the part that its outputs need and the rest."""
    kept = needed(graph, graph.outputs)
    there = {node.outputs for node in kept}
    spare = tuple(node for node in graph.nodes if node.outputs not in there)
    used = {name for node in kept for name in node.inputs}
    return (
        replace(graph, nodes=kept, tensors=_of(graph, used)),
        Graph(graph.head, b"", {}, spare, _of(graph, set(graph.tensors) - used)),
    )


def _of(graph: Graph, names: Container[str]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in graph.tensors.items() if name in names}


def together(graph: Graph, spare: Graph) -> Graph:
    """Join the two results of `divided`."""
    return replace(
        graph, nodes=(*graph.nodes, *spare.nodes), tensors={**graph.tensors, **spare.tensors}
    )


def with_extras(graph: Graph, extras: Sequence[str], columns: int) -> Graph:
    """Return a graph whose outputs include effects added to the occupation.

    Args:
        graph: A whole graph, without added effects.
        extras: Names of the effects, of `datagen.occupations.extras`; their parameters are the last
            columns of the points.
        columns: Number of columns of the points.
    """
    if not extras:
        return graph
    added = [f"{ADDED}{p.name}" for p in parameters_of(extras)]
    graph = having_extras(graph, extras, {"theta": _OWN})
    trace = Trace(f"{ADDED}split")
    sizes = [columns - len(added), *[1] * len(added)]
    whole = Traced(trace, trace.constant(sizes, np.int64))
    trace.apply("Split", Traced(trace, "theta"), whole, outputs=(_OWN, *added), axis=1)
    return replace(
        graph,
        inputs=encode(11, described("theta", columns)),
        nodes=(*trace.nodes, *graph.nodes),
        tensors={**graph.tensors, **trace.tensors},
    )


def having_extras(
    graph: Graph, extras: Sequence[str], names: Mapping[str, str] = MappingProxyType({})
) -> Graph:
    """Return a graph whose outputs include added effects, and which takes their parameters by name.

    Args:
        graph: A whole graph, without added effects.
        extras: Names of the effects.
        names: New names of tensors, by their present names.
    """
    kind = "all/" if "c_sat" in extras else "more/"
    new = dict(names) | {f"{kind}{name}": name for name in graph.outputs}
    new |= {name: f"plain/{name}" for name in graph.outputs}
    added = [f"{ADDED}{p.name}" for p in parameters_of(extras)]
    return replace(
        graph,
        nodes=tuple(node.renamed(lambda name: new.get(name, name)) for node in graph.nodes),
        tensors={name: tensor for name, tensor in graph.tensors.items() if name not in added},
    )


def without_galaxies(graph: Graph) -> Graph:
    """Return the graph of haloes alone, which takes ``background`` and the galaxies at its nodes.

    Raises:
        ValueError: If the graph has no separate part for galaxies.
    """
    nodes = tuple(
        one
        for one in graph.nodes
        if not any(name.startswith(PREFIX) or name == COSMOLOGY for name in one.outputs)
    )
    if len(nodes) == len(graph.nodes):
        raise ValueError("its galaxies are not a separate part: it was trained for one occupation")
    tensors = {n: tensor for n, tensor in graph.tensors.items() if not n.startswith(PREFIX)}
    return replace(graph, nodes=nodes, tensors=tensors)


def _sorted(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Nodes in an order in which they can be computed."""
    made = {name: node for node in nodes for name in node.outputs}
    done: dict[int, Node] = {}
    stack = list(reversed(nodes))
    while stack:
        last = stack[-1]
        waits = [made[n] for n in last.inputs if n in made and id(made[n]) not in done]
        if waits:
            stack.append(waits[0])
        else:
            done.setdefault(id(stack.pop()), last)
    return tuple(done.values())
