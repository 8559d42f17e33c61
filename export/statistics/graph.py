"""Statistics as operators behind the spectra of an emulator's graph, for single points.

A single point needs dozens of small operations, which take onnxruntime less time than numpy. The
formulas are those of `Projection` and `AtK`. What depends on the cosmology alone is kept while it
does not change (`export.halves`): matrices of lengths in Mpc/h, acoustic wiggles and the
continuation below the grid. All numbers are in double precision, because w_p at large separations
is a small difference of large numbers.

`has_graph` says which statistics can be operators; numpy computes all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.large_scales import features
from datagen.outputs import output
from datagen.space import BACKGROUND
from export.galaxies import COSMOLOGY
from export.graph import DOUBLE, Graph, described
from export.halves import Link
from export.interpolate import NONE, AtK
from export.protobuf import encode
from export.statistics.evaluate import ORDER, Projection, Scaled, lagrange, summands
from export.statistics.kinds import LONGEST, SHORTEST, Statistic, Wp
from export.trace import Trace, Traced

__all__ = ["PREFIX", "has_graph", "with_statistics"]

Array = NDArray[np.float64]
Ends = tuple[Mapping[str, float], Mapping[str, float]]

PREFIX = "statistics/"
"""Prefix of the names of statistics in a graph."""
_WITHIN = "projection/"  # prefix of all other names
_ROUNDED = 1 + 1e-6 * np.array([-1, 1])  # tolerance of the limits of lengths


def has_graph(graph: Graph, at: AtK, projection: Projection, learnt: Sequence[str]) -> bool:
    """Whether statistics can be computed in a graph.

    Args:
        graph: Graph of the emulator.
        at: Interpolation of its spectra to the nodes.
        projection: The statistics.
        learnt: Totals that are not the sum of their terms.
    """
    spectra = {name for one in projection.statistics for name in one.spectra.values()}
    return (
        any(node.outputs == (COSMOLOGY,) for node in graph.nodes)
        and at.is_linear
        and not spectra.intersection(learnt)
        and not all(output(name).is_matter for name in spectra)  # so that the graph has two parts
        and not projection.parameters
        and not any(
            one.is_bent or (isinstance(one, Wp) and one.kaiser) for one in projection.statistics
        )
    )


def with_statistics(
    graph: Graph, at: AtK, projection: Projection, ends: Ends
) -> tuple[Graph, list[Link]]:
    """A graph that also computes statistics of a single point, and the links of its two parts.

    The names of these outputs, each (1, R), begin with `PREFIX`. They are NaN without galaxies, and
    if lengths are out of range.

    Args:
        graph: Graph of the emulator.
        at: Interpolation of its spectra to the nodes.
        projection: The statistics.
        ends: Parameters by name with the shortest and the longest lengths in comoving Mpc.
    """
    formulas = _Formulas(_WITHIN, np.float64)
    columns = [f"{_WITHIN}{name}" for name in BACKGROUND]
    background = formulas.double(Traced(formulas, COSMOLOGY))
    formulas.apply("Split", background, outputs=columns, axis=1, num_outputs=len(columns))
    point = {n: _Number(formulas, one) for n, one in zip(BACKGROUND, columns, strict=True)}
    P = _at_nodes(formulas, at, projection.spectra(()), point)
    links: list[Link] = []
    named: list[str] = []
    for one, moment in zip(projection.statistics, projection.moments, strict=True):
        factor, masses = one.factor(point, formulas), one.point_masses(point, formulas)
        matrix: Any
        if one.is_comoving:
            matrix = moment.comoving
        else:
            links.append(_link(formulas, one, moment, point, factor, ends))
            matrix, factor = Traced(formulas, links[-1].name), None
        for (name, term), spectrum in zip(
            zip(one.outputs, one.terms, strict=True), one.spectra.values(), strict=True
        ):
            first, *rest = (P[part] for part in summands(spectrum, ()))
            value = sum(rest, first) @ matrix
            value = value if factor is None else value * factor
            value = value if masses is None or term == "2h" else value + masses
            named.append(f"{PREFIX}{name}")
            formulas.apply("Identity", value, outputs=named[-1:])
    named += [name for link in links for name in link.given]
    inputs = (described(one.name, *one.shape, rows="", dtype=np.float64) for one in links)
    extended = replace(
        graph,
        inputs=b"".join([graph.inputs, *(encode(11, one) for one in inputs)]),
        outputs={**graph.outputs, **{n: encode(12, encode(1, n.encode())) for n in named}},
        nodes=(*graph.nodes, *formulas.nodes),
        tensors={**graph.tensors, **formulas.tensors},
    )
    return extended, links


def _at_nodes(
    formulas: "_Formulas", at: AtK, names: Sequence[str], point: Mapping[str, Traced]
) -> dict[str, Traced]:
    """Spectra by name at the nodes, each (1, K'); see `AtK.__call__`."""
    matrices = at.matrices
    found: dict[str, Traced] = {}
    for is_matter in (True, False):  # matter depends on the cosmology alone
        these = [name for name in names if output(name).is_matter == is_matter]
        one_halo = [name for name in these if not output(name).is_linear]
        linear = [name for name in these if output(name).is_linear]
        if not these:
            continue
        rows = formulas.concatenate([Traced(formulas, name) for name in one_halo + linear], axis=0)
        logs = [formulas.log(formulas.double(rows) + NONE)]
        if one_halo and linear:
            logs = formulas.split(logs[0], [len(one_halo), len(linear)])
        if one_halo:
            P = formulas.exp(logs[0] @ matrices["one_halo"])
            found |= zip(one_halo, formulas.split(P, [1] * len(one_halo)), strict=True)
        if linear:
            missed = _missed(formulas, matrices, point)
            P = formulas.exp(logs[-1] @ matrices["others"] + missed)
            found |= zip(linear, formulas.split(P, [1] * len(linear)), strict=True)
    return found


def _missed(
    formulas: "_Formulas", matrices: Mapping[str, Any], point: Mapping[str, Traced]
) -> Traced:
    """Correction of the splines of linear spectra, in ln P: wiggles and continuation, (1, K')."""
    ln_P_lin = formulas.log(formulas.double(Traced(formulas, "P_lin")) + NONE)
    terms = [(ln_P_lin, matrices["wiggles"]), (features(point, formulas), matrices["below"])]
    places = [np.flatnonzero(matrix.any(axis=0)) for _, matrix in terms]
    ends = {0, len(matrices["offset"])} | {end for at in places for end in (at[0], at[-1] + 1)}
    parts = []  # columns between two ends, with the terms that are not 0 there
    for low, high in pairwise(sorted(ends)):
        there = [(x, matrix[:, low:high]) for x, matrix in terms if matrix[:, low:high].any()]
        none = Traced(formulas, formulas.constant(np.zeros((1, high - low))))
        parts.append(reduce(add, [x @ matrix for x, matrix in there] or [none]))
    return formulas.concatenate(parts, axis=1) + matrices["offset"]


def _link(
    formulas: "_Formulas",
    one: Statistic,
    moment: Scaled,
    point: Mapping[str, Traced],
    factor: Traced | None,
    ends: Ends,
) -> Link:
    """Link for the matrix (K', R), times a factor, of a statistic whose lengths are not comoving.

    numpy interpolates it in less time than onnxruntime, which would first copy matrices.
    """
    low, high = (SHORTEST / one.radii[0], LONGEST / one.radii[-1]) * _ROUNDED
    scales = [float(one.scale(end)) for end in ends] * _ROUNDED
    first, matrices = moment.lattice(*np.clip(scales, low, high))
    L, K, R = matrices.shape
    lattice = matrices.reshape(L, K * R)
    scale = one.scale(point, formulas)
    start, weights = lagrange(scale, formulas)
    if factor is not None:
        weights = weights * factor

    def make(scale: Array, start: Array, weights: Array, made: Array) -> None:
        i = int(start.item()) - first
        if 0 <= i <= L - ORDER and low <= scale.item() <= high:
            np.matmul(weights, lattice[i : i + ORDER], out=made.reshape(1, K * R))
        else:
            made.fill(np.nan)

    given = (scale.name, start.name, weights.name)
    return Link(f"{_WITHIN}matrix of {one.name}", given, (K, R), make)


class _Formulas(Trace):
    """Formulas in numpy's notation for one point; numbers of shape (N,) there are (1, 1) here."""

    def apply(self, kind: str, *inputs: Any, **options: Any) -> "_Number":
        """See `Trace.apply`."""
        return _Number(self, super().apply(kind, *inputs, **options).name)

    def double(self, x: Traced) -> Traced:
        """Convert to double precision."""
        return self.apply("Cast", x, to=DOUBLE)

    def whole(self, values: Sequence[int]) -> Traced:
        """Constant of integers."""
        return Traced(self, self.constant(values, np.int64))

    def split(self, x: Traced, sizes: Sequence[int]) -> list[Traced]:
        """Split rows into parts of given sizes."""
        if len(sizes) == 1:
            return [x]
        self.apply("Split", x, self.whole(sizes), count=len(sizes), axis=0)
        return [_Number(self, name) for name in self.nodes[-1].outputs]

    def log(self, x: Any) -> Traced:
        """The natural logarithm."""
        return self.apply("Log", x)

    def exp(self, x: Any) -> Traced:
        """e^x."""
        return self.apply("Exp", x)

    def floor(self, x: Any) -> Traced:
        """Largest integer that is not above x."""
        return self.apply("Floor", x)

    def asarray(self, x: Any, _: type) -> Any:
        """Return a number of the graph unchanged."""
        return x if isinstance(x, Traced) else np.asarray(x, float)

    def ones_like(self, x: Any) -> Traced:
        """1, for one point."""
        return Traced(self, self.constant(np.ones((1, 1))))

    def concatenate(self, parts: Sequence[Any], axis: int) -> Traced:
        """Concatenate along an axis."""
        return self.apply("Concat", *parts, axis=axis)

    stack = concatenate  # of numbers, along the second axis


class _Number(Traced):
    """A number of one point, (1, 1), or several, (1, X)."""

    def __getitem__(self, index: tuple[slice, Any]) -> Traced:
        """Select columns; ``[:, None]`` returns the number unchanged."""
        if index[1] is None:
            return self
        columns = Traced(self.trace, self.trace.constant(index[1], np.int64))
        return self.trace.apply("Gather", self, columns, axis=1)

    def reshape(self, *_: int) -> Traced:
        """Return the number unchanged: it is a column already."""
        return self

    def __matmul__(self, other: Any) -> Traced:
        return self.trace.apply("MatMul", self, other)
