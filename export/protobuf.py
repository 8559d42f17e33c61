"""Protobuf's wire format, as far as ONNX files need it: read and write fields.

It makes it possible to check and cut a file before onnxruntime reads it.
"""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Field", "WireError", "encode", "fields"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_LONGEST = 10  # bytes of a 64-bit varint


class WireError(ValueError):
    """Bytes that are not a protobuf message."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Number of the field.
        value: An integer, or the bytes of other types.
        raw: All bytes of the field in the message, including its tag.
    """

    number: int
    value: int | bytes
    raw: bytes

    @property
    def content(self) -> bytes:
        """The bytes of a string, a message, or packed numbers.

        Raises:
            WireError: The field is an integer.
        """
        if isinstance(self.value, int):
            raise WireError(f"field {self.number} is a number")
        return self.value

    @property
    def text(self) -> str:
        """The field as a string.

        Raises:
            WireError: The field is not text.
        """
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            raise WireError(f"field {self.number} is not a text ({error.reason})") from None


def fields(message: bytes) -> Iterator[Field]:
    """Read the fields of a message, in order.

    Raises:
        WireError: A truncated message, or not a message.
    """
    position, end = 0, len(message)
    while position < end:
        start = position
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, position = _varint(message, position)
        else:
            if kind == _BYTES:
                length, position = _varint(message, position)
            elif kind in _FIXED:
                length = _FIXED[kind]
            else:
                raise WireError(f"field {number} is of an unknown kind, {kind}")
            value = message[position : position + length]
            position += length
            if position > end:
                raise WireError("it ends too early")
        if not 0 < number < 1 << 29:
            raise WireError(f"there is no field {number}")
        yield Field(number, value, message[start:position])


def encode(number: int, value: int | bytes) -> bytes:
    """Encode a field: a non-negative integer, or the bytes of a string, message or array."""
    if isinstance(value, int):
        return _encoded(number << 3 | _VARINT) + _encoded(value)
    return _encoded(number << 3 | _BYTES) + _encoded(len(value)) + value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Read a varint; return its value and the position after it."""
    if position < len(message) and message[position] < 128:  # most have one byte
        return message[position], position + 1
    value = 0
    for i, byte in enumerate(message[position : position + _LONGEST]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise WireError("a number does not end")


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
