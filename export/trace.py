"""Formulas in numpy's notation as operators of ONNX: what they do is written down, not computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.occupations.grid import OnGrid
from export.graph import Node, Tensor

__all__ = ["Trace", "Traced", "TracedFunctions"]

_INT64 = 7  # in ONNX's list of types
_TINY = 1e-37  # the smallest number that a logarithm is taken of


class Trace:
    """Nodes and numbers of a part of a graph, as they are written down.

    Args:
        prefix: What all of its names begin with.

    Attributes:
        nodes: Operators so far.
        tensors: Constant numbers by name.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self._constants: dict[tuple[Any, ...], str] = {}

    def constant(self, value: ArrayLike, dtype: type = np.float32) -> str:
        """The name of constant numbers."""
        array: NDArray[Any] = np.asarray(value, dtype)
        key = (array.shape, array.dtype, array.tobytes())
        if key not in self._constants:
            name = self._constants[key] = f"{self.prefix}constant_{len(self._constants)}"
            self.tensors[name] = Tensor.of(name, array)
        return self._constants[key]

    def apply(
        self, kind: str, *inputs: Any, outputs: Sequence[str] = (), **attributes: Any
    ) -> "Traced":
        """An operator.

        Args:
            kind: Which one.
            inputs: What it takes: results of others, or numbers.
            outputs: Names of what it gives; one of its own by default.
            attributes: Whole numbers, lists of them, or texts, by name.

        Returns:
            Its first output.
        """
        names = [one.name if isinstance(one, Traced) else self.constant(one) for one in inputs]
        outputs = tuple(outputs) or (f"{self.prefix}{kind}_{len(self.nodes)}",)
        self.nodes.append(Node.of(kind, names, outputs, attributes))
        return Traced(self, outputs[0])


class Traced:
    """A number of a graph, for numpy's notation.

    Args:
        trace: Where operators are written down.
        name: What the graph calls it.
    """

    __array_ufunc__ = None  # numpy's own functions would compute; a TypeError says so

    def __init__(self, trace: Trace, name: str) -> None:
        self.trace, self.name = trace, name

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
        return self.trace.apply("Mul", self, self) if other == 2 else self._power(self, other)

    def __rpow__(self, other: Any) -> "Traced":
        return self._power(other, self)

    def _power(self, base: Any, exponent: Any) -> "Traced":
        return self.trace.apply("Pow", base, exponent)


class TracedFunctions(OnGrid):
    """Functions of traced numbers; see `datagen.occupations.functions.Functions`.

    Args:
        trace: Where operators are written down.
        even: The grid of masses, as `OnGrid` takes it.
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
        """x^a where x > 0, else 0."""
        power = self.exp(a * self.log(self._apply("Max", x, _TINY)))
        return self._apply("Mul", power, self._apply("Sign", self._apply("Relu", x)))

    def clip(self, x: Any, low: float, high: float) -> Traced:
        """x, not below and not above limits."""
        return self._apply("Clip", x, low, high)

    def ceil(self, x: Any) -> Traced:
        """The next whole number."""
        return self._apply("Ceil", x)

    def constant(self, values: NDArray[np.float64]) -> Traced:
        """Numbers of the graph."""
        return Traced(self._trace, self._trace.constant(values))

    def monomials(self, x: Any, count: int) -> Traced:
        """Powers of x."""
        return self._apply("Pow", x, np.arange(count))

    def products(self, x: Any, y: Any, size: int) -> Traced:
        """All products."""
        two, one = (self._whole([axis]) for axis in (2, 1))
        both = self._apply("Unsqueeze", x, two) * self._apply("Unsqueeze", y, one)
        return self._apply("Reshape", both, self._whole([-1, size]))

    def times(self, x: Any, matrix: NDArray[np.float64]) -> Traced:
        """Times a matrix."""
        return self._apply("MatMul", x, matrix)

    def add_at(self, values: Any, first: Any, added: Any) -> Traced:
        """Values with numbers added."""
        index = self._apply("Cast", first + self.constant(np.arange(3.0)[None]), to=_INT64)
        return self._apply("ScatterElements", values, index, added, axis=1, reduction="add")

    def _whole(self, values: Sequence[int]) -> Traced:
        return Traced(self._trace, self._trace.constant(values, np.int64))
