"""Exact derivatives of a graph at one point, by forward-mode differentiation.

Each operator on numbers that depend on the point is accompanied by operators for the slopes of its
result along D directions, shape (D, ...).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.cut import needed
from export.graph import Graph, Node, described
from export.profile_sums import ProfileSum, profile_sums
from export.protobuf import encode
from export.trace import Trace, Traced

__all__ = ["DIRECTIONS", "SLOPE", "UnknownOperator", "with_slopes"]

DIRECTIONS = "directions"
"""Name of the second input: changes of ``theta`` along each direction, shape (D, 1, P)."""
SLOPE = "slope of "
"""Prefix of the names of slopes; the rest is the name of the output."""
_LN_0 = -1e30  # log of 0; its powers are 0, and their slopes 0 rather than NaN
_TINY = 1e-37
_FLOAT, _INT64 = 1, 7  # types of ONNX

Shape = tuple[int, ...]


class UnknownOperator(ValueError):  # noqa: N818 (it says what it is)
    """An operator, or an attribute of one, whose slopes are not implemented."""


@dataclass(frozen=True)
class _Slope:
    """Slopes in a graph, shape (D, *shape).

    Attributes:
        traced: Their name in the graph.
        shape: Shape of the number, or one that broadcasts to it.
    """

    traced: Traced
    shape: Shape


def with_slopes(graph: Graph, shapes: Mapping[str, Shape], D: int) -> Graph:
    """Return a graph that gives the outputs of a single point and their slopes.

    Args:
        graph: A graph with the input ``theta``.
        shapes: Shapes of all its numbers for one point, by name.
        D: Number of directions.

    Raises:
        UnknownOperator: An operator without a rule.
    """
    slopes = _Slopes(graph, shapes, D)
    for node in graph.nodes:
        slopes.add(node)
    outputs = dict(graph.outputs)
    for name in graph.outputs:
        slope = slopes.full(name, shapes[name])
        slopes.trace.apply("Identity", slope, outputs=(SLOPE + name,))
        outputs[SLOPE + name] = encode(12, encode(1, (SLOPE + name).encode()))
    P = shapes["theta"][1]
    nodes = replace(graph, nodes=tuple(slopes.trace.nodes))
    return replace(
        graph,
        inputs=graph.inputs + encode(11, described(DIRECTIONS, D, 1, P, rows="")),
        outputs=outputs,
        nodes=needed(nodes, outputs),
        tensors={**graph.tensors, **slopes.trace.tensors},
    )


class _Slopes:
    """Operators of a graph, together with those of their slopes.

    Args:
        graph: The graph.
        shapes: Shapes of all its numbers for one point, by name.
        D: Number of directions.
    """

    def __init__(self, graph: Graph, shapes: Mapping[str, Shape], D: int) -> None:
        self.trace = Trace("slopes/")
        self._graph, self._shapes, self.D = graph, shapes, D
        self._known = {"theta": _Slope(Traced(self.trace, DIRECTIONS), shapes["theta"])}
        self._sums = {id(one.last): one for one in profile_sums(graph)}

    def add(self, node: Node) -> None:
        """Add an operator, and operators for its slopes if it depends on the point.

        Raises:
            UnknownOperator: An operator without a rule.
        """
        self.trace.nodes.append(node)
        if node.kind in _FLAT or not any(name in self._known for name in node.inputs):
            return
        rule = _RULES.get(node.kind)
        if id(node) in self._sums:
            rule = partial(_profile_sum, one=self._sums[id(node)])
        if rule is None:
            raise UnknownOperator(f"slopes of the operator {node.kind} are not known")
        found = rule(self, node)
        for name, slope in zip(
            node.outputs, found if isinstance(found, list) else [found], strict=True
        ):
            if slope is not None:
                self._known[name] = slope

    def value(self, name: str) -> Traced:
        """A number of the graph, by name."""
        return Traced(self.trace, name)

    def shape(self, name: str) -> Shape:
        """Shape of a number for one point."""
        return self._shapes[name]

    def slope(self, name: str, axes: int | None = None) -> _Slope | None:
        """Slopes of a number, with `axes` axes; None if it does not depend on the point."""
        slope = self._known.get(name)
        if slope is None or axes is None or len(slope.shape) == axes:
            return slope
        shape = (1,) * (axes - len(slope.shape)) + slope.shape
        return _Slope(self.reshaped(slope.traced, shape), shape)

    def full(self, name: str, shape: Shape | None = None) -> Traced:
        """Slopes of a number in its own shape; zeros if it does not depend on the point."""
        shape = self.shape(name) if shape is None else shape
        slope = self.slope(name, len(shape))
        if slope is None:
            return Traced(self.trace, self.trace.constant(np.zeros((self.D, *shape))))
        if slope.shape == shape:
            return slope.traced
        return slope.traced * np.ones(shape)

    def reshaped(self, slopes: Traced, shape: Shape) -> Traced:
        """Slopes in another shape."""
        return self.trace.apply("Reshape", slopes, self.whole([-1, *shape]))

    def whole(self, values: Any) -> Traced:
        """Integers as a constant of the graph."""
        return Traced(self.trace, self.trace.constant(values, np.int64))

    def constant(self, name: str) -> NDArray[Any]:
        """Value of a constant of the graph.

        Raises:
            UnknownOperator: The number is not a constant.
        """
        tensor = self._graph.tensors.get(name)
        array = tensor.array() if tensor else None
        if array is None:
            raise UnknownOperator(f"slopes that depend on {name} are not known")
        return array

    def axis(self, node: Node, default: int = 0) -> int:
        """Axis of an operator in the slopes, which have one more axis in front."""
        return node.numbers.get("axis", default) % len(self.shape(node.inputs[0])) + 1


Rule = Callable[[_Slopes, Node], "_Slope | list[_Slope | None] | None"]


def _times(factor: Callable[[_Slopes, Traced, Traced], Traced]) -> Rule:
    """Rule of a function f of one number, whose derivative is a function of x and f(x)."""

    def rule(s: _Slopes, node: Node) -> _Slope:
        slope = s.slope(node.inputs[0])
        assert slope is not None
        by = factor(s, s.value(node.inputs[0]), s.value(node.outputs[0]))
        return _Slope(slope.traced * by, s.shape(node.outputs[0]))

    return rule


def _sum(s: _Slopes, parts: Sequence[_Slope | None]) -> _Slope | None:
    there = [part for part in parts if part is not None]
    if len(there) < 2:
        return there[0] if there else None
    one, two = there
    return _Slope(one.traced + two.traced, np.broadcast_shapes(one.shape, two.shape))


def _scaled(s: _Slopes, slope: _Slope | None, factor: Traced, shape: Shape) -> _Slope | None:
    if slope is None:
        return None
    return _Slope(slope.traced * factor, np.broadcast_shapes(slope.shape, shape))


def _both(s: _Slopes, node: Node) -> tuple[_Slope | None, _Slope | None]:
    axes = len(s.shape(node.outputs[0]))
    one, two = node.inputs
    return s.slope(one, axes), s.slope(two, axes)


def _add(s: _Slopes, node: Node) -> _Slope | None:
    return _sum(s, _both(s, node))


def _sub(s: _Slopes, node: Node) -> _Slope | None:
    one, two = _both(s, node)
    if one is not None and two is not None:
        return _Slope(one.traced - two.traced, np.broadcast_shapes(one.shape, two.shape))
    return one if two is None else _Slope(-two.traced, two.shape)


def _mul(s: _Slopes, node: Node) -> _Slope | None:
    (one, two), (a, b) = _both(s, node), node.inputs
    if a == b and one is not None:
        return _scaled(s, one, s.value(a) + s.value(a), s.shape(a))
    return _sum(
        s, [_scaled(s, one, s.value(b), s.shape(b)), _scaled(s, two, s.value(a), s.shape(a))]
    )


def _div(s: _Slopes, node: Node) -> _Slope | None:
    (one, two), (_, b) = _both(s, node), node.inputs
    ratio = node.outputs[0]
    rest = _scaled(s, two, -s.value(ratio), s.shape(ratio))
    total = _sum(s, [one, rest])
    return _scaled(s, total, s.trace.apply("Reciprocal", s.value(b)), s.shape(b))


def _pow(s: _Slopes, node: Node) -> _Slope | None:
    one, two = _both(s, node)
    a, b = node.inputs
    shape = s.shape(node.outputs[0])
    if two is None and one is not None:
        power = s.constant(b)
        less = np.where(power == 0, 0.0, power - 1)
        derivative = s.trace.apply("Pow", s.value(a), less) * power
        return _Slope(one.traced * derivative, shape)
    if one is None and two is not None:
        return _Slope(two.traced * (s.value(node.outputs[0]) * np.log(s.constant(a))), shape)
    raise UnknownOperator("slopes of powers of two numbers are not known")


def _log(s: _Slopes, node: Node) -> _Slope | None:
    """Replace the logarithm of 0 by a finite number with zero slope."""
    s.trace.nodes.pop()
    (x,), (y,) = node.inputs, node.outputs
    s.trace.apply("Max", s.trace.apply("Log", s.value(x)), _LN_0, outputs=(y,))
    slope = s.slope(x)
    assert slope is not None
    by = s.trace.apply("Reciprocal", s.trace.apply("Max", s.value(x), _TINY))
    return _Slope(slope.traced * by, s.shape(y))


def _is(s: _Slopes, kind: str, x: Traced, y: Any) -> Traced:
    return s.trace.apply("Cast", s.trace.apply(kind, x, y), to=_FLOAT)


def _clip(s: _Slopes, node: Node) -> _Slope | None:
    """At a limit, keep only slopes that point inside: parameters may lie at their limits."""
    x, *limits = node.inputs
    inside = _times(lambda s, x, y: _is(s, "Equal", x, y))(s, node)
    assert isinstance(inside, _Slope)
    slope = inside.traced
    for limit, kind in zip(limits, ("Max", "Min"), strict=False):
        if limit:
            at = s.trace.apply("Equal", s.value(x), s.value(limit))
            slope = s.trace.apply("Where", at, s.trace.apply(kind, slope, 0.0), slope)
    return _Slope(slope, inside.shape)


def _chosen(kind: str) -> Rule:
    """Rule of the maximum or minimum of two numbers."""

    def rule(s: _Slopes, node: Node) -> _Slope | None:
        if len(node.inputs) != 2:
            raise UnknownOperator(f"slopes of {node.kind} of {len(node.inputs)} are not known")
        shape = s.shape(node.outputs[0])
        one, two = (s.full(name, shape) for name in node.inputs)
        first = s.trace.apply(kind, *(s.value(name) for name in node.inputs))
        return _Slope(s.trace.apply("Where", first, one, two), shape)

    return rule


def _where(s: _Slopes, node: Node) -> _Slope | None:
    shape = s.shape(node.outputs[0])
    one, two = (s.full(name, shape) for name in node.inputs[1:])
    return _Slope(s.trace.apply("Where", s.value(node.inputs[0]), one, two), shape)


def _gelu(s: _Slopes, node: Node) -> _Slope | None:
    if node.attributes.get("approximate", "none") != "none":
        raise UnknownOperator("slopes of an approximate Gelu are not known")
    x = s.value(node.inputs[0])
    share = s.trace.apply("Erf", x * math.sqrt(0.5)) * 0.5 + 0.5
    density = s.trace.apply("Exp", x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return _times(lambda *_: share + x * density)(s, node)  # type: ignore[return-value]


def _matmul(s: _Slopes, node: Node) -> _Slope | None:
    a, b = node.inputs
    shape, parts = s.shape(node.outputs[0]), []
    for name, slope in ((a, s.slope(a)), (b, s.slope(b))):
        if slope is not None:
            pair = [s.full(one) if one == name else s.value(one) for one in (a, b)]
            if a == b:
                raise UnknownOperator("slopes of a matrix times itself are not known")
            parts.append(_Slope(s.trace.apply("MatMul", *pair), shape))
    if len(s.shape(b)) < 2 or len(s.shape(a)) < 2:
        raise UnknownOperator("slopes of a product with a vector are not known")
    return _sum(s, parts)


def _profile_sum(s: _Slopes, node: Node, one: ProfileSum) -> _Slope | None:
    """Like `_matmul`, but slopes of weights are summed over profiles, which are fewer numbers."""
    weights, (flat, column), shape = one.first.inputs[0], node.inputs, s.shape(node.outputs[0])
    m, Q, K = one.profiles.shape
    parts: list[_Slope | None] = []
    if s.slope(weights) is not None:
        row = s.trace.apply("MatMul", s.value(one.functions), one.profiles.reshape(m, Q * K))
        table = s.trace.apply("Reshape", row, s.whole([Q, K]))
        sums = s.trace.apply("MatMul", s.full(weights), table)
        parts.append(_Slope(s.reshaped(sums, shape), shape))
    if s.slope(column) is not None:
        parts.append(_Slope(s.trace.apply("MatMul", s.value(flat), s.full(column)), shape))
    return _sum(s, parts)


def _gemm(s: _Slopes, node: Node) -> _Slope | None:
    a, b, *added = node.inputs
    at = node.attributes
    shape = s.shape(node.outputs[0])
    if at.get("transA") or at.get("alpha", 1.0) != 1 or at.get("beta", 1.0) != 1:
        raise UnknownOperator("slopes of such a Gemm are not known")
    parts: list[_Slope | None] = []
    if s.slope(b) is not None:
        raise UnknownOperator("slopes of a Gemm by weights that change are not known")
    if s.slope(a) is not None:
        by = s.constant(b).T if at.get("transB") else s.value(b)
        parts.append(_Slope(s.trace.apply("MatMul", s.full(a), by), shape))
    parts += [s.slope(name, len(shape)) for name in added if name]
    return _sum(s, parts)


def _reshape(s: _Slopes, node: Node) -> _Slope | None:
    shape = s.shape(node.outputs[0])
    return _Slope(s.reshaped(s.full(node.inputs[0]), shape), shape)


def _expand(s: _Slopes, node: Node) -> _Slope | None:
    return s.slope(node.inputs[0], len(s.shape(node.outputs[0])))


def _concat(s: _Slopes, node: Node) -> _Slope | None:
    slopes = [s.full(name) for name in node.inputs]
    shape = s.shape(node.outputs[0])
    return _Slope(s.trace.apply("Concat", *slopes, axis=s.axis(node)), shape)


def _split(s: _Slopes, node: Node) -> list[_Slope | None]:
    given = [s.full(node.inputs[0]), *(s.value(name) for name in node.inputs[1:])]
    rest = {"num_outputs": len(node.outputs)} if len(given) == 1 else {}
    names = [f"{SLOPE}{name}/part" for name in node.outputs]
    s.trace.apply("Split", *given, outputs=names, axis=s.axis(node), **rest)
    return [
        _Slope(s.value(name), s.shape(one)) for name, one in zip(names, node.outputs, strict=True)
    ]


def _slice(s: _Slopes, node: Node) -> _Slope | None:
    x, starts, ends, *more = node.inputs
    axes = s.constant(more[0]) if more else np.arange(len(s.constant(starts)))
    behind = np.where(axes >= 0, axes - len(s.shape(x)), axes)
    given = [s.value(starts), s.value(ends), s.whole(behind), *(s.value(n) for n in more[1:])]
    return _Slope(s.trace.apply("Slice", s.full(x), *given), s.shape(node.outputs[0]))


def _gather(s: _Slopes, node: Node) -> _Slope | None:
    x, index = node.inputs
    if s.slope(x) is None:
        raise UnknownOperator("slopes of numbers chosen by others that change are not known")
    chosen = s.trace.apply("Gather", s.full(x), s.value(index), axis=s.axis(node))
    return _Slope(chosen, s.shape(node.outputs[0]))


def _gather_nd(s: _Slopes, node: Node) -> _Slope | None:
    x, index = node.inputs
    at = s.constant(index)
    if at.shape[-1] != 1 or node.numbers.get("batch_dims", 0):
        raise UnknownOperator("slopes of such a GatherND are not known")
    chosen = s.trace.apply("Gather", s.full(x), s.whole(at[..., 0]), axis=1)
    return _Slope(chosen, s.shape(node.outputs[0]))


def _transpose(s: _Slopes, node: Node) -> _Slope | None:
    axes = len(s.shape(node.inputs[0]))
    order = node.attributes.get("perm") or list(reversed(range(axes)))
    moved = s.trace.apply("Transpose", s.full(node.inputs[0]), perm=[0, *(n + 1 for n in order)])
    return _Slope(moved, s.shape(node.outputs[0]))


def _reduce_sum(s: _Slopes, node: Node) -> _Slope | None:
    x, *more = node.inputs
    axes = s.constant(more[0]) if more else np.arange(len(s.shape(x)))
    behind = np.where(axes >= 0, axes - len(s.shape(x)), axes)
    keep = node.numbers.get("keepdims", 1)
    total = s.trace.apply("ReduceSum", s.full(x), s.whole(behind), keepdims=keep)
    return _Slope(total, s.shape(node.outputs[0]))


def _scatter(s: _Slopes, node: Node) -> _Slope | None:
    if node.attributes.get("reduction", "none") not in ("none", "add"):
        raise UnknownOperator("slopes of such a ScatterElements are not known")
    values, index, updates = node.inputs
    same = s.whole([s.D, *s.shape(index)])
    at = s.trace.apply("Expand", s.value(index), same)
    found = s.trace.apply(
        "ScatterElements", s.full(values), at, s.full(updates), axis=s.axis(node),
        reduction=node.attributes.get("reduction", "none"),
    )  # fmt: skip
    return _Slope(found, s.shape(node.outputs[0]))


def _same(s: _Slopes, node: Node) -> _Slope | None:
    return s.slope(node.inputs[0])


def _neg(s: _Slopes, node: Node) -> _Slope | None:
    slope = s.slope(node.inputs[0])
    return slope and _Slope(-slope.traced, slope.shape)


# Integers, booleans and shapes have no slopes
_FLAT = {"Cast", "Ceil", "Floor", "Round", "Sign", "Equal", "Less", "LessOrEqual", "Greater",
         "GreaterOrEqual", "Not", "And", "Or", "Shape"}  # fmt: skip
_RULES: dict[str, Rule] = {
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "Neg": _neg,
    "Identity": _same,
    "Log": _log,
    "Exp": _times(lambda s, x, y: y),
    "Sin": _times(lambda s, x, y: s.trace.apply("Cos", x)),
    "Cos": _times(lambda s, x, y: -s.trace.apply("Sin", x)),
    "Erf": _times(lambda s, x, y: s.trace.apply("Exp", -x * x) * (2 / math.sqrt(math.pi))),
    "Tanh": _times(lambda s, x, y: 1.0 - y * y),
    "Sigmoid": _times(lambda s, x, y: y - y * y),
    "Softplus": _times(lambda s, x, y: s.trace.apply("Sigmoid", x)),
    "Gelu": _gelu,
    "Relu": _times(lambda s, x, y: _is(s, "Greater", x, 0.0)),
    "Clip": _clip,
    "Reciprocal": _times(lambda s, x, y: -y * y),
    "Sqrt": _times(lambda s, x, y: 0.5 / y),
    "Abs": _times(lambda s, x, y: s.trace.apply("Sign", x)),
    "Max": _chosen("GreaterOrEqual"),
    "Min": _chosen("LessOrEqual"),
    "Where": _where,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Expand": _expand,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Transpose": _transpose,
    "ReduceSum": _reduce_sum,
    "ScatterElements": _scatter,
}
