"""Reduce the sums over halo profiles in a graph, for batches of points.

On large scales, profiles of neighbouring nodes and wavenumbers are similar: at the first half of
the wavenumbers they are combinations of a few functions of the node. Weights are first summed with
these functions, (N, W, Q) by (Q, r), and the products with functions of the concentration are then
mapped to the wavenumbers. This saves a third of all work for a point.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.graph import Graph, Node, Tensor
from export.profile_sums import ProfileSum, profile_sums

__all__ = ["with_few_sums"]

Array = NDArray[np.float64]

_TOLERANCE = 1e-5  # largest relative error of a profile at a node and wavenumber
_SHARE = 0.5  # of the wavenumbers


def with_few_sums(graph: Graph) -> Graph:
    """Return a graph with reduced sums over profiles, wherever they are less work.

    Args:
        graph: A graph that was cut to the requested outputs.
    """
    new: dict[int, tuple[Node, ...]] = {}
    tensors = dict(graph.tensors)
    for one in profile_sums(graph):
        m, Q, K = one.profiles.shape
        first, shape = round(_SHARE * K), graph.tensors[one.flat.inputs[1]].array()
        functions, counts = _product(one.profiles[:, :, :first].astype(np.float64))
        r = len(counts)
        if shape is None or Q * r + r * m * (r + first) > Q * m * first:
            continue
        nodes, numbers = _nodes(one, functions, counts, int(shape[1]) // K)
        new |= {id(one.first): (), id(one.flat): (), id(one.last): nodes}
        tensors |= {name: Tensor.of(name, array) for name, array in numbers.items()}
    return graph.changed(new, tensors)


def _product(profiles: Array) -> tuple[Array, Array]:
    """Profiles (m, Q, K') as a product of a few functions of the node (Q, r) and (r, m, K').

    The functions are principal components of profiles in units of their size, which spans many
    decades; the unit is a product of a number for each node and a number for each wavenumber.
    """
    m, Q, K = profiles.shape
    size = np.sqrt((profiles**2).sum(axis=0))  # (Q, K)
    size[size == 0] = 1.0
    unit = np.exp(np.log(size).mean(axis=1, keepdims=True))
    unit = unit * np.exp(np.log(size / unit).mean(axis=0))
    rest = (profiles / unit).transpose(1, 0, 2).reshape(Q, -1)  # (Q, m K)
    directions = np.linalg.eigh(rest @ rest.T)[1][:, ::-1]
    counts = directions.T @ rest
    allowed, r = (_TOLERANCE * size / unit) ** 2, 0
    while ((rest**2).reshape(Q, m, K).sum(axis=1) > allowed).any():
        rest -= np.outer(directions[:, r], counts[r])
        r += 1
    of_node, of_k = unit[:, :1], unit[0] / unit[0, 0]
    return of_node * directions[:, :r], counts[:r].reshape(r, m, K) * of_k


def _nodes(
    one: ProfileSum, functions: Array, counts: Array, W: int
) -> tuple[tuple[Node, ...], dict[str, NDArray[Any]]]:
    """Operators that replace those of a sum over W weights, and their constants by name."""
    r, m, first = counts.shape
    _, Q, K = one.profiles.shape
    name, weights, column = one.last.outputs[0], one.first.inputs[0], one.last.inputs[1]
    numbers: dict[str, NDArray[Any]] = {
        f"{name} nodes": functions,
        f"{name} each": np.repeat(np.eye(r), m, axis=1),
        f"{name} all": np.tile(np.eye(m), r),
        f"{name} low": counts.reshape(r * m, first),
        f"{name} high": one.profiles[:, :, first:].transpose(1, 2, 0).reshape(Q, -1),
        f"{name} flat": np.array([-1, W * (K - first), m]),
        f"{name} rows": np.array([-1, W, K - first]),
        f"{name} axis": np.array([1]),
    }

    def node(kind: str, inputs: tuple[str, str], output: str) -> Node:
        named = [f"{name}{i}" if i.startswith(" ") else i for i in inputs]
        return Node.of(kind, named, (f"{name}{output}",), {"axis": 2} if kind == "Concat" else {})

    return (
        node("MatMul", (weights, " nodes"), " few"),  # (N, W, r)
        node("MatMul", (" few", " each"), " repeated"),  # (N, W, r m)
        node("MatMul", (one.functions, " all"), " functions"),  # (N, r m)
        node("Unsqueeze", (" functions", " axis"), " function"),
        node("Mul", (" repeated", " function"), " products"),
        node("MatMul", (" products", " low"), " of low"),  # (N, W, K')
        node("MatMul", (weights, " high"), " sums"),  # (N, W, (K - K') m)
        node("Reshape", (" sums", " flat"), " by function"),
        node("MatMul", (" by function", column), " of high"),  # (N, W (K - K'), 1)
        node("Reshape", (" of high", " rows"), " rows of high"),
        node("Concat", (" of low", " rows of high"), ""),
    ), numbers
