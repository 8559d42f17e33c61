"""The graph of an ONNX file, read without onnxruntime, and checked to be whole in itself.

An emulator is a graph of standard operators and of numbers that stand in the file. ONNX allows for
more: numbers in other files, wherever they lie; functions, graphs within graphs, operators that a
library brings. What is not needed is refused, by a list of what is: so nothing that a later ONNX
adds comes through unseen.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.protobuf import Field, encode, fields

__all__ = ["Graph", "GraphError", "Node", "Tensor", "described", "read_metadata"]

_DOMAIN = {"node": 7, "operator set": 1}  # the field that says whose operators are meant
_STANDARD = ("", "ai.onnx")  # the domain of the standard operators, by both of its names
_FLOAT, _INT64, _BOOL = 1, 7, 9  # data types of tensors
_INT, _STRING, _INTS = 2, 3, 7  # types of attributes
_DTYPES: dict[Any, str] = {_FLOAT: "<f4", _INT64: "<i8", _BOOL: "?"}

# Fields of ModelProto, GraphProto, NodeProto, AttributeProto and TensorProto in onnx.proto that an
# emulator may have; messages among them are looked into.
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
    """A graph that is damaged, or holds what no emulator needs."""


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        kind: ``Gemm``, ``Split``, ...
        inputs: Names of what goes in.
        outputs: Names of what comes out.
        numbers: Attributes that are whole numbers.
        rest: All of the message but inputs and outputs.
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
        """A standard operator.

        Args:
            kind: Which one.
            inputs: Names of what goes in.
            outputs: Names of what comes out.
            numbers: Its attributes, whole numbers, lists of them or texts, by name.
        """
        rest = encode(4, kind.encode())
        rest += b"".join(encode(5, _attribute(*one)) for one in numbers.items())
        known = {name: value for name, value in numbers.items() if isinstance(value, int)}
        return cls(kind, tuple(inputs), tuple(outputs), known, rest)

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes by name: numbers, texts, lists of whole numbers."""
        found: dict[str, Any] = {}
        for one in fields(self.rest):
            if one.number == 5:
                name, value = _value(list(fields(one.content)))
                found[name] = value
        return found

    def renamed(self, name: Callable[[str], str]) -> "Node":
        """The node with other names of what goes in and comes out, and none of its own."""
        return replace(
            self,
            rest=b"".join(f.raw for f in fields(self.rest) if f.number != 3),
            inputs=tuple(name(one) if one else one for one in self.inputs),
            outputs=tuple(map(name, self.outputs)),
        )

    def encode(self) -> bytes:
        """The node as a field of a graph."""
        names = [encode(1, name.encode()) for name in self.inputs]
        names += [encode(2, name.encode()) for name in self.outputs]
        return encode(1, b"".join(names) + self.rest)


@dataclass(frozen=True)
class Tensor:
    """Numbers by name.

    Attributes:
        content: The message.
    """

    content: bytes

    def array(self) -> NDArray[Any] | None:
        """The numbers; None if they are of another type than float32, int64, bool, or packed."""
        found = {f.number: f.value for f in fields(self.content)}
        shape = [f.value for f in fields(self.content) if f.number == 1]
        dtype, raw = _DTYPES.get(found.get(2)), found.get(9)
        whole = all(isinstance(length, int) for length in shape)
        if dtype is None or not isinstance(raw, bytes) or not whole:
            return None
        return np.frombuffer(raw, dtype).reshape(tuple(map(int, shape)))

    @classmethod
    def of(cls, name: str, array: NDArray[Any]) -> "Tensor":
        """Numbers as a tensor: whole ones as int64, all others as float32."""
        shape = b"".join(encode(1, length) for length in array.shape)
        kind = _INT64 if array.dtype.kind == "i" else _FLOAT
        raw = np.ascontiguousarray(array, _DTYPES[kind]).tobytes()
        return cls(shape + encode(2, kind) + encode(8, name.encode()) + encode(9, raw))

    def renamed(self, name: str) -> "Tensor":
        """The same numbers by another name."""
        rest = b"".join(f.raw for f in fields(self.content) if f.number != 8)
        return Tensor(rest + encode(8, name.encode()))


@dataclass(frozen=True)
class Graph:
    """Operators and numbers, as far as they are needed to compute.

    Attributes:
        head: Fields of the model that say which version of ONNX it is.
        inputs: Fields of the graph that describe what goes in.
        outputs: The same of what comes out, by name.
        nodes: In an order in which they can be computed.
        tensors: Constant numbers by name.
    """

    head: bytes
    inputs: bytes
    outputs: Mapping[str, bytes]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]

    @classmethod
    def read(cls, content: bytes) -> "Graph":
        """The graph of a file.

        Raises:
            WireError: It is no message.
            GraphError: It holds what no emulator needs.
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

    def encode(self) -> bytes:
        """The graph as a file of its own, without metadata."""
        parts = [node.encode() for node in self.nodes]
        parts.append(encode(2, b"emulator"))
        parts += [encode(5, tensor.content) for tensor in self.tensors.values()]
        return self.head + encode(7, b"".join([*parts, self.inputs, *self.outputs.values()]))


def described(name: str, *shape: int, rows: str = "batch") -> bytes:
    """What goes in or out as ONNX describes it: float32, any number of rows.

    Args:
        name: What it is called.
        shape: Of a row.
        rows: What their number is called; nothing if there are none, but one array of that shape.
    """
    any_number = encode(1, encode(2, rows.encode())) if rows else b""
    sizes = any_number + b"".join(encode(1, encode(1, length)) for length in shape)
    kind = encode(1, encode(1, _FLOAT) + encode(2, sizes))
    return encode(1, name.encode()) + encode(2, kind)


def _attribute(name: str, value: Any) -> bytes:
    head = encode(1, name.encode())
    if isinstance(value, str):
        return head + encode(4, value.encode()) + encode(20, _STRING)
    if isinstance(value, int):
        return head + encode(3, value) + encode(20, _INT)
    return head + b"".join(encode(8, one) for one in value) + encode(20, _INTS)


def _value(attribute: list[Field]) -> tuple[str, Any]:
    """The name of an attribute and its value."""
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
        raise GraphError(f"it holds a number, {value!r}, that is none")
    return value - (value >> 63 << 64)  # 64 bits


def read_metadata(content: bytes) -> dict[str, str]:
    """The metadata of a file, texts by name.

    Raises:
        WireError: It is no ONNX file, or its metadata are no texts.
    """
    pairs = [list(fields(f.content)) for f in fields(content) if f.number == 14]
    return {_text(pair, 1): _text(pair, 2) for pair in pairs}


class _Part(NamedTuple):
    """A field of a message that was looked into, and the parts of the message that it is."""

    field: Field
    inner: "list[_Part]"


def _parsed(message: bytes, kind: str) -> list[_Part]:
    """A message, looked through to the bottom.

    Raises:
        GraphError: It holds what no emulator needs.
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
    """The text of a field, empty if it is not there.

    Raises:
        GraphError: It is there more than once, of which readers take different ones.
    """
    texts = [one.text for one in found if one.number == number]
    if len(texts) > 1:
        raise GraphError(f"it says twice what may be said once, {texts[0]!r} and {texts[1]!r}")
    return texts[0] if texts else ""


def _node(parts: list[_Part]) -> Node:
    numbers = {
        _name(one.inner, 1): part.field.value - (part.field.value >> 63 << 64)  # 64 bits, signed
        for one in parts
        for part in one.inner  # of attributes
        if part.field.number == 3 and isinstance(part.field.value, int)
    }
    return Node(
        kind=_name(parts, 4),
        inputs=tuple(part.field.text for part in parts if part.field.number == 1),
        outputs=tuple(part.field.text for part in parts if part.field.number == 2),
        numbers=numbers,
        rest=b"".join(part.field.raw for part in parts if part.field.number not in (1, 2)),
    )
