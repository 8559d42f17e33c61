"""Translate formulas in numpy's notation to ONNX: operations are recorded, not computed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.occupations.grid import OnGrid
from export.graph import Node, Tensor

__all__ = ["Trace", "Traced", "TracedFunctions"]

_FLOAT, _INT64 = 1, 7  # types of ONNX


class Trace:
    """Recorded operators and constants of a part of a graph.

    Args:
        prefix: Prefix of all names.
        dtype: Data type of constants that are not integers.

    Attributes:
        nodes: Operators so far.
        tensors: Constants by name.
    """

    def __init__(self, prefix: str, dtype: type = np.float32) -> None:
        self.prefix, self._dtype = prefix, dtype
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self._constants: dict[tuple[Any, ...], str] = {}
        self._made: dict[tuple[str, ...], str] = {}

    def constant(self, value: ArrayLike, dtype: type | None = None) -> str:
        """Add a constant, unless it exists, and return its name."""
        array: NDArray[Any] = np.asarray(value, dtype or self._dtype)
        key = (array.shape, array.dtype, array.tobytes())
        if key not in self._constants:
            name = self._constants[key] = f"{self.prefix}constant_{len(self._constants)}"
            self.tensors[name] = Tensor.of(name, array, array.dtype == np.float64)
        return self._constants[key]

    def apply(
        self,
        kind: str,
        *inputs: Any,
        outputs: Sequence[str] = (),
        count: int = 1,
        **attributes: Any,
    ) -> "Traced":
        """Add an operator, unless it exists.

        Args:
            kind: Type of the operator.
            inputs: Traced numbers or constants.
            outputs: Names of the outputs; default: new names.
            count: Number of outputs, if they are not named.
            attributes: Integers, lists of integers, or strings, by name.

        Returns:
            The first output.
        """
        names = [one.name if isinstance(one, Traced) else self.constant(one) for one in inputs]
        key = (kind, *names, str(attributes))
        if not outputs and count == 1:
            if key in self._made:
                return Traced(self, self._made[key])  # reuse an identical operator
            self._made[key] = f"{self.prefix}{kind}_{len(self.nodes)}"
        own = f"{self.prefix}{kind}_{len(self.nodes)}"
        outputs = tuple(outputs) or (own, *(f"{own}/{i}" for i in range(1, count)))
        self.nodes.append(Node.of(kind, names, outputs, attributes))
        return Traced(self, outputs[0])


class Traced:
    """A number in a graph that supports numpy's operators.

    Args:
        trace: The trace that records operators.
        name: Name of the number in the graph.
    """

    __array_ufunc__ = None  # numpy's functions raise a TypeError, rather than compute

    def __init__(self, trace: Trace, name: str) -> None:
        self.trace, self.name = trace, name

    def __bool__(self) -> bool:
        raise TypeError("the value of a traced number is unknown")

    def __eq__(self, other: object) -> bool:
        return bool(self)  # comparisons are refused

    __hash__ = None  # type: ignore[assignment]

    def __neg__(self) -> "Traced":
        return self.trace.apply("Neg", self)

    def __add__(self, other: Any) -> "Traced":
        return self.trace.apply("Add", self, other)

    def __radd__(self, other: Any) -> "Traced":
        return self.trace.apply("Add", other, self)

    def __sub__(self, other: Any) -> "Traced":
        return self.trace.apply("Sub", self, other)

    def __rsub__(self, other: Any) -> "Traced":
        return self.trace.apply("Sub", other, self)

    def __mul__(self, other: Any) -> "Traced":
        return self.trace.apply("Mul", self, other)

    def __rmul__(self, other: Any) -> "Traced":
        return self.trace.apply("Mul", other, self)

    def __truediv__(self, other: Any) -> "Traced":
        return self.trace.apply("Div", self, other)

    def __rtruediv__(self, other: Any) -> "Traced":
        return self.trace.apply("Div", other, self)

    def __pow__(self, other: Any) -> "Traced":
        if not isinstance(other, Traced) and np.all(other == 2):
            return self.trace.apply("Mul", self, self)
        return self._power(self, other)

    def __rpow__(self, other: Any) -> "Traced":
        return self._power(other, self)

    def _power(self, base: Any, exponent: Any) -> "Traced":
        return self.trace.apply("Pow", base, exponent)


class TracedFunctions(OnGrid):
    """Functions of traced numbers; see `datagen.occupations.functions.Functions`.

    Args:
        trace: The trace that records operators.
        even: Arguments of `OnGrid`: the grid of masses.
    """

    def __init__(self, trace: Trace, *even: Any) -> None:
        super().__init__(*even)
        self._trace, self._apply = trace, trace.apply

    def exp(self, x: Any) -> Traced:
        """e^x."""
        return self._apply("Exp", x)

    def log(self, x: Any) -> Traced:
        """The natural logarithm."""
        return self._apply("Log", x)

    def erf(self, x: Any) -> Traced:
        """The error function."""
        return self._apply("Erf", x)

    def power(self, x: Any, a: Any) -> Traced:
        """x^a for a > 0; 0 where x <= 0."""
        return self.exp(a * self.log(self._apply("Relu", x)))

    def clip(self, x: Any, low: float, high: float) -> Traced:
        """x, limited to [low, high]."""
        return self._apply("Clip", x, low, high)

    def sigmoid(self, x: Any) -> Traced:
        """1 / (1 + e^-x)."""
        return self._apply("Sigmoid", x)

    def weighted_sum(
        self, function: Callable[[Any], Any], at: NDArray[Any], weights: NDArray[Any]
    ) -> Traced:
        """Sum of ``weights * function(at)`` along a new first axis."""
        values = function(self.constant(at[:, None, None]))
        return self._apply(
            "ReduceSum", values * weights[:, None, None], self._whole([0]), keepdims=0
        )

    def ceil(self, x: Any) -> Traced:
        """The smallest integer that is not below x."""
        return self._apply("Ceil", x)

    def constant(self, values: NDArray[np.floating[Any]]) -> Traced:
        """A constant of the graph."""
        return Traced(self._trace, self._trace.constant(values))

    def equal(self, x: Any, y: Any) -> Traced:
        """1 where x and y are equal, else 0."""
        return self._apply("Cast", self._apply("Equal", x, y), to=_FLOAT)

    def beside(self, x: Any, y: Any) -> Traced:
        """Concatenate columns."""
        return self._apply("Concat", x, y, axis=1)

    def times(self, x: Any, matrix: NDArray[np.floating[Any]]) -> Traced:
        """Matrix product with a constant."""
        return self._apply("MatMul", x, matrix)

    def rows(self, x: Any, length: int) -> Traced:
        """Reshape to rows of another length."""
        return self._apply("Reshape", x, self._whole([-1, length]))

    def halves(self, x: Any) -> tuple[Traced, Traced]:
        """Split six columns into three and three."""
        one = self._apply("Split", x, self._whole([3, 3]), count=2, axis=1)
        return one, Traced(self._trace, self._trace.nodes[-1].outputs[1])

    def add_at(self, values: Any, index: Any, added: Any) -> Traced:
        """Add numbers to values at indices."""
        whole = self._apply("Cast", index, to=_INT64)
        return self._apply("ScatterElements", values, whole, added, axis=1, reduction="add")

    def _whole(self, values: Sequence[int]) -> Traced:
        return Traced(self._trace, self._trace.constant(values, np.int64))
