"""Convert records from JSON or YAML to dataclasses, with strict checks of names and types."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from datagen.messages import shortened

__all__ = ["RecordError", "exactly", "from_record"]

T = TypeVar("T")
_NAMES: dict[Any, str] = {
    float: "a number", int: "a whole number", str: "a text", bool: "true or false",
    NoneType: "null",
}  # fmt: skip


class RecordError(ValueError):
    """Error of a record with missing, unknown or wrongly typed entries."""


def exactly(
    record: Any, names: Collection[str], where: str, *, optional: Collection[str] = ()
) -> dict[str, Any]:
    """Check that a record has the given entries and no others, and return it.

    Args:
        record: Object from JSON or YAML.
        names: Names of the required entries.
        where: Name of the record in messages.
        optional: Names of optional entries.

    Raises:
        RecordError: An entry is missing or unknown, or the object is not a dictionary.
    """
    if not isinstance(record, dict):
        raise RecordError(f"{where} is {_shown(record)}, not a record of {', '.join(names)}")
    wrong = [
        f"{verb} {', '.join(map(str, found))}"
        for verb, found in (
            ("lacks", [name for name in names if name not in record]),
            ("has the unknown", [name for name in record if name not in (*names, *optional)]),
        )
        if found
    ]
    if wrong:
        raise RecordError(f"{where} {' and '.join(wrong)}")
    return record


def from_record(kind: type[T], record: Any, where: str) -> T:
    """Convert a record to a dataclass, the inverse of ``dataclasses.asdict`` and JSON.

    Args:
        kind: Dataclass; its fields may be dataclasses, tuples, dictionaries, numbers or strings.
        record: All fields by name.
        where: Name of the record in messages.

    Raises:
        RecordError: A field is missing, unknown, or of another type.
        ValueError: The dataclass does not accept a value.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    exactly(record, names, where)
    return kind(**{name: _value(hints[name], record[name], f"{where}.{name}") for name in names})


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    """Types of the fields, cached since their evaluation is slow."""
    return get_type_hints(kind)


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else from_record(kind, value, where)
    if origin is tuple and isinstance(value, (list, tuple)):
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        if len(arguments) == len(value):
            parts = enumerate(zip(arguments, value, strict=True))
            return tuple(_value(one, part, f"{where}[{i}]") for i, (one, part) in parts)
    if origin is dict and isinstance(value, dict):
        return {name: _value(arguments[1], part, f"{where}.{name}") for name, part in value.items()}
    if origin in (Union, UnionType):
        return _one_of(arguments, value, where)
    if origin is Literal and any(value == one and type(value) is type(one) for one in arguments):
        return value
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is Any or (kind in (bool, int, str, NoneType) and type(value) is kind):
        return value
    raise RecordError(f"{where} is {_shown(value)}, not {_named(kind)}")


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    for kind in kinds:
        with suppress(RecordError):
            return _value(kind, value, where)
    raise RecordError(f"{where} is {_shown(value)}, not {' or '.join(map(_named, kinds))}")


def _shown(value: Any) -> str:
    return shortened(repr(value), 40)


def _named(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    return _NAMES[kind] if kind in _NAMES else str(getattr(kind, "__name__", kind))
