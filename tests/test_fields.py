"""Records that lack something, or hold more, are refused by the name of what is wrong."""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest

from datagen.design import Design
from datagen.fields import RecordError, exactly, from_record
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.space import Range, Space
from datagen.splits import Split


@dataclass(frozen=True)
class Inner:
    low: float = 0.0


@dataclass(frozen=True)
class Outer:
    name: str
    number: int
    pair: tuple[int, int]
    many: tuple[Inner, ...]
    kind: Literal["a", 1] = "a"
    inner: Inner = Inner()
    flag: bool = False
    maybe: float | None = None
    named: dict[str, Inner] = field(default_factory=dict)
    rest: Any = None


WHOLE = Outer("x", 3, (1, 2), (Inner(1.5), Inner()), 1, Inner(2.0), True, None, {"a": Inner()}, [1])


def plain(value: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(json.dumps(asdict(value)))
    return record


@pytest.mark.parametrize(
    "value",
    [WHOLE, Design(7, "sobol"), Split(0.2, 30), KGrid(), HaloModelConfig(log10M_min=9.0, panels=3)],
    ids=lambda value: type(value).__name__,
)
def test_a_record_gives_the_dataclass_back(value):
    assert from_record(type(value), plain(value), "it") == value


@pytest.mark.parametrize("cls", [Design, Split, KGrid, HaloModelConfig, Range])
def test_no_field_is_filled_in_by_its_default(cls):
    whole = plain(cls(0.0, 1.0) if cls is Range else cls())
    for name in whole:
        rest = {other: value for other, value in whole.items() if other != name}
        with pytest.raises(RecordError, match=f"^it lacks {name}$"):
            from_record(cls, rest, "it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": "3"}, "it.number is '3', not a whole number"),
        ({"number": 3.0}, "it.number is 3.0, not a whole number"),
        ({"number": True}, "it.number is True, not a whole number"),
        ({"name": None}, "it.name is None, not a text"),
        ({"flag": 1}, "it.flag is 1, not true or false"),
        ({"kind": True}, "it.kind is True, not one of 'a', 1"),
        ({"inner": [1.0]}, "it.inner is [1.0], not a record of low"),
        ({"inner": {"low": "0"}}, "it.inner.low is '0', not a number"),
        ({"inner": {"low": 0.0, "lw": 1, "x": 2}}, "it.inner has the unknown lw, x"),
        ({"many": [{"low": 1.0}, {}]}, "it.many[1] lacks low"),
        ({"pair": [1]}, "it.pair is [1], not"),
        ({"pair": [1, None]}, "it.pair[1] is None, not a whole number"),
        ({"maybe": "x"}, "it.maybe is 'x', not a number or null"),
        ({"named": {"b": {"lo": 1}}}, "it.named.b lacks low and has the unknown lo"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change, message):
    with pytest.raises(RecordError, match=re.escape(message)):
        from_record(Outer, plain(WHOLE) | change, "it")


@pytest.mark.parametrize("record", [None, 3, "text", ["low"]])
def test_what_is_no_record_at_all_is_refused(record):
    with pytest.raises(RecordError, match="it is .*, not a record of low, high"):
        exactly(record, ("low", "high"), "it")


@pytest.mark.parametrize("name", Space().names)
def test_a_space_that_lacks_a_parameter_does_not_get_its_default(name):
    record = Space().as_dict()
    del record[name]
    with pytest.raises(ValueError, match=f"^space lacks {name}$"):
        Space.from_dict(record)


def entry(name, **changes):
    """A parameter in the record of the default space."""
    return Space().as_dict()[name] | changes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": {"low": -1, "high": -1, "sampling": "linear", "unit": "1"}}, "the unknown w"),
        ({"h": {"low": 0.6, "high": 0.7, "unit": "1"}},
         "space.h lacks sampling, default, group, symbol"),
        ({"h": entry("h", step=1)}, "space.h has the unknown step"),
        ({"h": entry("h", low="0.6")}, "space.h.low is '0.6', not a number"),
        ({"h": entry("h", sampling="ln")}, "space.h.sampling is"),
        ({"Mth": entry("Mth", unit="Msun/h")}, "space.Mth.unit is 'Msun/h', not 'Msun'"),
        ({"z": entry("z", group="cosmology")}, "space.z.group is 'cosmology', not 'redshift'"),
        ({"z": entry("z", high=1.0)}, "space.z.default is 0.0, not None"),
        ({"wa": entry("wa", default=None)}, "space.wa.default is None, not 0.0"),
        ({"h": entry("h", low=0.9)}, "is reversed"),
        ({"h": [0.6, 0.7]}, "space.h is [0.6, 0.7], not a record of low, high, sampling, default"),
    ],
)  # fmt: skip
def test_a_space_is_what_its_record_says_or_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Space.from_dict(Space().as_dict() | change)
