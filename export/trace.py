"""Formulas in numpy's notation as operators of ONNX: what they do is written down, not computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from export.graph import Node, Tensor

__all__ = ["Trace", "Traced"]

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
            attributes: Whole numbers, or lists of them, by name.

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

    def __bool__(self) -> bool:
        raise TypeError("what a traced number is, is not known yet")

    def __eq__(self, other: object) -> bool:
        return bool(self)  # as for all comparisons: refused

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


class TracedFunctions:
    """Functions of traced numbers; see `datagen.occupations.functions.Functions`.

    Args:
        trace: Where operators are written down.
        cell: Spacing in ln M of the masses, over which steps are averaged.
    """

    def __init__(self, trace: Trace, cell: float) -> None:
        self._apply, self._cell = trace.apply, cell

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
        there = self._apply("Sign", self._apply("Relu", x))
        log = self.log(self._apply("Max", x, _TINY)) * there  # 0^a is infinite for a < 0
        return self.exp(a * log) * there

    def clip(self, x: Any, low: float, high: float) -> Traced:
        """x, not below and not above limits."""
        return self._apply("Clip", x, low, high)

    def step(self, t: Any) -> Traced:
        """1 for t >= 0, else 0, averaged over a cell."""
        return self.clip(t / self._cell + 0.5, 0.0, 1.0)
