"""Units that values carry, of whatever library: converted to ours, or refused by name.

Nothing is imported for it. Quantities of astropy, pint and unyt convert themselves; of a unit that
is only written down (``attrs["units"]`` of pandas and xarray, a header) the spelling is compared.
"""

import re
from collections.abc import Mapping
from inspect import isroutine
from typing import Any

__all__ = ["check_text", "in_unit", "unit_of"]

# our unit: how other libraries, and people, spell it
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "1": ("", "1", "dimensionless", "unitless", "none", "None", "-"),
    "Msun": ("Msun", "solMass", "Msol", "M_sun", "Modot", "solar_mass", "M☉", "M⊙", "msun"),
    "1/Mpc": ("1/Mpc", "Mpc-1", "/Mpc"),
}
_CONVERT = ("to_value", "m_as", "to", "rescale")  # methods of quantities that take a unit's name
_SIGNS = re.compile(r"[\s_^*${}\\]|mathrm")


def unit_of(value: Any, what: str = "") -> Any:
    """The unit that a value carries, its library's object or a text; None if it has none.

    Args:
        value: Anything.
        what: Its name; a table's attributes may hold the units of its columns by name.
    """
    for owner in (value, getattr(value, "dtype", None)):  # the latter for columns of pint-pandas
        if (unit := _attribute(owner, ("unit", "units"))) is not None:
            return unit
    attributes: Any = getattr(value, "attrs", None)
    for attribute in ("units", "unit") if hasattr(attributes, "get") else ():
        unit = attributes.get(attribute)
        unit = unit.get(what) if isinstance(unit, Mapping) else unit
        if unit is not None:
            return unit
    return None


def in_unit(value: Any, what: str, expected: str) -> Any:
    """The value without its unit, converted to the one expected if it has another.

    Args:
        value: Anything, with a unit or without.
        what: Its name, for the message.
        expected: ``1``, ``Msun``, ``1/Mpc`` or another.

    Raises:
        ValueError: A unit that does not convert.
    """
    if hasattr(value, "dims") and unit_of(value.data) is not None:  # xarray may hold quantities
        value = value.data
    unit = unit_of(value, what)
    if unit is None:
        return value
    text = unit.decode() if isinstance(unit, bytes) else str(unit)
    if not isinstance(unit, str | bytes):
        for spelling in _SPELLINGS.get(expected, (expected,)):
            for convert in (getattr(value, name) for name in _CONVERT if hasattr(value, name)):
                try:
                    return _bare(convert(spelling))
                except Exception:  # each library raises classes of its own
                    continue
    check_text(text, what, expected)
    return _bare(value)


def _bare(value: Any) -> Any:
    """What a quantity is without its unit; anything else as it is."""
    bare = _attribute(value, ("value", "magnitude"))
    return value if bare is None else bare


def _attribute(owner: Any, names: tuple[str, ...]) -> Any:
    """The first of some attributes that is there and no method; None if none is."""
    for name in names:
        found = getattr(owner, name, None)
        if found is not None and not isroutine(found):
            return found
    return None


def check_text(unit: str, what: str, expected: str) -> None:
    """Check a unit that is written down.

    Raises:
        ValueError: It is not the one expected.
    """
    known = {_SIGNS.sub("", spelling) for spelling in _SPELLINGS.get(expected, (expected,))}
    if _SIGNS.sub("", unit) not in known:
        number = "a number without unit" if expected == "1" else expected
        raise ValueError(
            f"{what} has the unit {unit or 'dimensionless'}, expected {number}; convert it"
        )
