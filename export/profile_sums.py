"""Find the sums over nodes of the halo mass in a graph that are weighted with profiles.

Profiles are sums of m functions of the concentration. If points differ in concentration, the graph
first sums over the nodes, (N, W, Q) by (Q, K m), and then over the functions, which differ from
point to point. For a single concentration it is less work to sum over the functions first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.graph import Graph, Node

__all__ = ["ProfileSum", "profile_sums"]


@dataclass(frozen=True)
class ProfileSum:
    """Operators and profiles of a sum over nodes.

    Attributes:
        first: Product of weights (N, W, Q) with profiles.
        flat: Reshaping of that product to (N, W K, m).
        last: Product with functions of the concentration (N, m, 1).
        functions: Name of the functions of the concentration, (N, m).
        profiles: Coefficient of each function at the nodes and wavenumbers, shape (m, Q, K).
    """

    first: Node
    flat: Node
    last: Node
    functions: str
    profiles: NDArray[np.float32]


def profile_sums(graph: Graph) -> list[ProfileSum]:
    """Return all sums of a graph that are weighted with profiles."""
    made = graph.makers()
    used = graph.uses()
    found = []
    for last in graph.nodes:
        if last.kind != "MatMul":
            continue
        flat, column = (made.get(name) for name in last.inputs)
        if flat is None or column is None or (flat.kind, column.kind) != ("Reshape", "Unsqueeze"):
            continue
        first = made.get(flat.inputs[0])
        if first is None or first.kind != "MatMul":
            continue
        users = {node.kind for node in graph.nodes if last.outputs[0] in node.inputs}
        if users != {"Reshape"} or not used[first.outputs[0]] == used[flat.outputs[0]] == 1:
            continue
        table, shape = (
            graph.tensors[name].array() if name in graph.tensors else None
            for name in (first.inputs[1], flat.inputs[1])
        )
        if table is None or shape is None or table.ndim != 2:
            continue
        profiles = table.reshape(len(table), -1, int(shape[-1])).transpose(2, 0, 1)
        found.append(ProfileSum(first, flat, last, column.inputs[0], profiles))
    return found
