"""Read the graph of an ONNX file without onnxruntime, and check that it is self-contained.

An emulator is a graph of standard operators, with all constants in the file. ONNX also allows
external data, functions, nested graphs, and operators of libraries. Everything that is not on a
list of needed fields is refused, including additions of later versions of ONNX.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.protobuf import Field, encode, fields

__all__ = ["DOUBLE", "Graph", "GraphError", "Node", "Tensor", "described", "read_metadata"]

_DOMAIN = {"node": 7, "operator set": 1}  # number of the field with the domain of operators
_STANDARD = ("", "ai.onnx")  # both names of the domain of standard operators
DOUBLE = 11
"""Data type of tensors in double precision."""
_FLOAT, _INT64, _BOOL = 1, 7, 9  # other data types of tensors
_INT, _STRING, _INTS = 2, 3, 7  # types of attributes
_DTYPES: dict[Any, str] = {_FLOAT: "<f4", _INT64: "<i8", _BOOL: "?", DOUBLE: "<f8"}

# Fields of ModelProto, GraphProto, NodeProto, AttributeProto and TensorProto in onnx.proto that an
# emulator may have; nested messages are checked, too.
_ALLOWED: dict[str, dict[int, str]] = {
    "model": dict.fromkeys((1, 2, 3, 4, 5, 6, 14), "") | {7: "graph", 8: "operator set"},
    "graph": dict.fromkeys((2, 10, 11, 12, 13, 16), "") | {1: "node", 5: "tensor"},
    "node": dict.fromkeys((1, 2, 3, 4, 6, 7, 9), "") | {5: "attribute"},
    "attribute": dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20), "") | {5: "tensor"},
    "tensor": dict.fromkeys((1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 14, 16), ""),
    "operator set": {1: "", 2: ""},
}
_REFUSED = {
    ("model", 20): "a training", ("model", 25): "functions",
    ("graph", 15): "sparse tensors", ("graph", 14): "quantisation",
    ("attribute", 6): "a graph within its graph", ("attribute", 11): "graphs within its graph",
    ("attribute", 22): "a sparse tensor", ("attribute", 23): "sparse tensors",
    ("tensor", 3): "a tensor in segments",
}  # fmt: skip


class GraphError(ValueError):
    """A graph that is damaged, or contains unsupported features."""


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        kind: Type of the operator: ``Gemm``, ``Split``, ...
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        numbers: Attributes that are integers, by name.
        rest: The encoded message without inputs and outputs.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, int]
    rest: bytes

    @classmethod
    def of(
        cls, kind: str, inputs: Iterable[str], outputs: Iterable[str], numbers: Mapping[str, Any]
    ) -> "Node":
        """Create a standard operator.

        Args:
            kind: Type of the operator.
            inputs: Names of the inputs.
            outputs: Names of the outputs.
            numbers: Attributes by name: integers, lists of integers, or strings.
        """
        rest = encode(4, kind.encode())
        rest += b"".join(encode(5, _attribute(*one)) for one in numbers.items())
        known = {name: value for name, value in numbers.items() if isinstance(value, int)}
        return cls(kind, tuple(inputs), tuple(outputs), known, rest)

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes by name: numbers, strings, lists of integers."""
        found: dict[str, Any] = {}
        for one in fields(self.rest):
            if one.number == 5:
                name, value = _value(list(fields(one.content)))
                found[name] = value
        return found

    def renamed(self, name: Callable[[str], str]) -> "Node":
        """Rename inputs and outputs, and drop the name of the node."""
        return replace(
            self,
            rest=b"".join(f.raw for f in fields(self.rest) if f.number != 3),
            inputs=tuple(name(one) if one else one for one in self.inputs),
            outputs=tuple(map(name, self.outputs)),
        )

    def encode(self) -> bytes:
        """Encode the node as a field of a graph."""
        names = [encode(1, name.encode()) for name in self.inputs]
        names += [encode(2, name.encode()) for name in self.outputs]
        return encode(1, b"".join(names) + self.rest)


@dataclass(frozen=True)
class Tensor:
    """A constant.

    Attributes:
        content: The encoded message.
    """

    content: bytes

    def array(self) -> NDArray[Any] | None:
        """The values; None unless they are float32, float64, int64 or bool, as raw bytes."""
        found, shape = {f.number: f.value for f in fields(self.content)}, self.shape()
        dtype, raw = _DTYPES.get(found.get(2)), found.get(9)
        whole = all(isinstance(length, int) for length in shape)
        if dtype is None or not isinstance(raw, bytes) or not whole:
            return None
        return np.frombuffer(raw, dtype).reshape(tuple(map(int, shape)))

    def shape(self) -> tuple[Any, ...]:
        """Shape of the values, of any type."""
        return tuple(f.value for f in fields(self.content) if f.number == 1)

    @classmethod
    def of(cls, name: str, array: NDArray[Any], is_double: bool = False) -> "Tensor":
        """Create a tensor, int64 for integers and float32, or float64, for all others."""
        shape = b"".join(encode(1, length) for length in array.shape)
        kind = _INT64 if array.dtype.kind == "i" else DOUBLE if is_double else _FLOAT
        raw = np.ascontiguousarray(array, _DTYPES[kind]).tobytes()
        return cls(shape + encode(2, kind) + encode(8, name.encode()) + encode(9, raw))

    def renamed(self, name: str) -> "Tensor":
        """The same values under another name."""
        rest = b"".join(f.raw for f in fields(self.content) if f.number != 8)
        return Tensor(rest + encode(8, name.encode()))


@dataclass(frozen=True)
class Graph:
    """Operators and constants of a graph.

    Attributes:
        head: Encoded fields of the model with the versions of ONNX.
        inputs: Encoded fields that describe the inputs.
        outputs: Encoded fields that describe the outputs, by name.
        nodes: Operators, in an order in which they can be computed.
        tensors: Constants by name.
    """

    head: bytes
    inputs: bytes
    outputs: Mapping[str, bytes]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]

    @classmethod
    def read(cls, content: bytes) -> "Graph":
        """Read the graph of a file.

        Raises:
            WireError: Not a protobuf message.
            GraphError: Unsupported features.
        """
        model = _parsed(content, "model")
        graphs = [part.inner for part in model if part.field.number == 7]
        if len(graphs) != 1:
            raise GraphError(f"it holds {len(graphs)} graphs, not one")
        (graph,) = graphs
        outputs = [part.field for part in graph if part.field.number == 12]
        tensors = [part for part in graph if part.field.number == 5]
        return cls(
            head=b"".join(part.field.raw for part in model if part.field.number in (1, 8)),
            inputs=b"".join(part.field.raw for part in graph if part.field.number == 11),
            outputs={_text(fields(one.content), 1): one.raw for one in outputs},
            nodes=tuple(_node(part.inner) for part in graph if part.field.number == 1),
            tensors={_name(one.inner, 8): Tensor(one.field.content) for one in tensors},
        )

    def uses(self) -> Counter[str]:
        """Number of uses of each name, as an input or an output of the graph."""
        return Counter([*(name for node in self.nodes for name in node.inputs), *self.outputs])

    def makers(self) -> dict[str, Node]:
        """The operator that computes each name."""
        return {name: node for node in self.nodes for name in node.outputs}

    def changed(
        self, new: Mapping[int, Iterable[Node]], tensors: Mapping[str, Tensor] | None = None
    ) -> "Graph":
        """Return a graph with other operators in the places of some.

        Args:
            new: Operators by the ``id`` of the one that they replace.
            tensors: Constants; default: the same.
        """
        nodes = tuple(other for node in self.nodes for other in new.get(id(node), (node,)))
        return replace(self, nodes=nodes, tensors=self.tensors if tensors is None else tensors)

    def encode(self) -> bytes:
        """Encode the graph as a file, without metadata."""
        parts = [node.encode() for node in self.nodes]
        parts.append(encode(2, b"emulator"))
        parts += [encode(5, tensor.content) for tensor in self.tensors.values()]
        return self.head + encode(7, b"".join([*parts, self.inputs, *self.outputs.values()]))


def described(name: str, *shape: int, rows: str = "batch", dtype: Any = np.float32) -> bytes:
    """Encode the description of an input or output, with any number of rows.

    Args:
        name: Its name.
        shape: Shape of a row.
        rows: Name of the number of rows; empty for a single array without rows.
        dtype: Data type.
    """
    any_number = encode(1, encode(2, rows.encode())) if rows else b""
    sizes = any_number + b"".join(encode(1, encode(1, length)) for length in shape)
    number = next(n for n, known in _DTYPES.items() if np.dtype(known) == dtype)
    kind = encode(1, encode(1, number) + encode(2, sizes))
    return encode(1, name.encode()) + encode(2, kind)


def _attribute(name: str, value: Any) -> bytes:
    head = encode(1, name.encode())
    if isinstance(value, str):
        return head + encode(4, value.encode()) + encode(20, _STRING)
    if isinstance(value, int):
        return head + encode(3, value) + encode(20, _INT)
    return head + b"".join(encode(8, one) for one in value) + encode(20, _INTS)


def _value(attribute: list[Field]) -> tuple[str, Any]:
    """Name and value of an attribute."""
    by_number = {one.number: one for one in attribute}
    name = by_number[1].text
    if 2 in by_number:
        return name, float(np.frombuffer(by_number[2].content, "<f4")[0])
    if 4 in by_number:
        return name, by_number[4].text
    if 3 in by_number:
        return name, _signed(by_number[3])
    return name, [_signed(one) for one in attribute if one.number == 8]


def _signed(one: Field) -> int:
    value = one.value
    if not isinstance(value, int):
        raise GraphError(f"it has an invalid number, {value!r}")
    return value - (value >> 63 << 64)  # 64 bits


def read_metadata(content: bytes) -> dict[str, str]:
    """Read the metadata of a file, strings by name.

    Raises:
        WireError: Not an ONNX file, or metadata that are not text.
    """
    pairs = [list(fields(f.content)) for f in fields(content) if f.number == 14]
    return {_text(pair, 1): _text(pair, 2) for pair in pairs}


class _Part(NamedTuple):
    """A field of a nested message, with its parsed parts."""

    field: Field
    inner: "list[_Part]"


def _parsed(message: bytes, kind: str) -> list[_Part]:
    """Parse a message recursively, and check its fields.

    Raises:
        GraphError: Unsupported features.
    """
    allowed, parts = _ALLOWED[kind], []
    for one in fields(message):
        if one.number not in allowed or (kind == "tensor" and one.number == 14 and one.value != 0):
            what = _REFUSED.get((kind, one.number), f"{kind} field {one.number}")
            if kind == "tensor" and one.number in (13, 14):
                name = _text(fields(message), 8)
                what = f"a tensor, {name!r}, whose numbers lie in another file"
            raise GraphError(f"it holds {what}, which no emulator has")
        inner = allowed[one.number]
        parts.append(_Part(one, _parsed(one.content, inner) if inner else []))
    domain = _DOMAIN.get(kind)
    if domain and (name := _name(parts, domain)) not in _STANDARD:
        raise GraphError(f"it holds operators of {name!r}, which no emulator has")
    return parts


def _name(parts: Iterable[_Part], number: int) -> str:
    return _text((part.field for part in parts), number)


def _text(found: Iterable[Field], number: int) -> str:
    """Text of a field; empty if it is missing.

    Raises:
        GraphError: Duplicate fields, which readers resolve differently.
    """
    texts = [one.text for one in found if one.number == number]
    if len(texts) > 1:
        raise GraphError(f"it has a duplicate field, {texts[0]!r} and {texts[1]!r}")
    return texts[0] if texts else ""


def _node(parts: list[_Part]) -> Node:
    numbers = {
        _name(one.inner, 1): part.field.value - (part.field.value >> 63 << 64)  # 64 bits, signed
        for one in parts
        for part in one.inner  # fields of attributes
        if part.field.number == 3 and isinstance(part.field.value, int)
    }
    return Node(
        kind=_name(parts, 4),
        inputs=tuple(part.field.text for part in parts if part.field.number == 1),
        outputs=tuple(part.field.text for part in parts if part.field.number == 2),
        numbers=numbers,
        rest=b"".join(part.field.raw for part in parts if part.field.number not in (1, 2)),
    )
