"""Convert values with units of any library to the units of this package.

No library is imported: quantities of astropy, pint and unyt convert themselves. Units that are only
written down (``attrs["units"]`` of pandas and xarray, a header) are compared by their spelling.
"""

import re
from collections.abc import Mapping
from inspect import isroutine
from typing import Any

__all__ = ["check_text", "in_unit", "unit_of"]

# spellings of the units of this package
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "1": ("", "1", "dimensionless", "unitless", "none", "None", "-"),
    "Msun": ("Msun", "solMass", "Msol", "M_sun", "Modot", "solar_mass", "M☉", "M⊙", "msun"),
    "1/Mpc": ("1/Mpc", "Mpc-1", "/Mpc"),
}
_CONVERT = ("to_value", "m_as", "to", "rescale")  # methods of quantities that take a unit name
_SIGNS = re.compile(r"[\s_^*${}\\]|mathrm")


def unit_of(value: Any, what: str = "") -> Any:
    """Return the unit of a value, an object of its library or a text; None if it has none.

    Args:
        value: Any object.
        what: Name of the value, to look up the unit of a column in the attributes of a table.
    """
    for owner in (value, getattr(value, "dtype", None)):  # dtype: columns of pint-pandas
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
    """Convert a value to an expected unit, and return it without a unit.

    Args:
        value: Any object, with or without a unit.
        what: Name of the value, for messages.
        expected: Expected unit: ``1``, ``Msun``, ``1/Mpc``, ...

    Raises:
        ValueError: The unit cannot be converted.
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
    """Value of a quantity without its unit; other values unchanged."""
    bare = _attribute(value, ("value", "magnitude"))
    return value if bare is None else bare


def _attribute(owner: Any, names: tuple[str, ...]) -> Any:
    """The first of some attributes that exists and is not a method; None if there is none."""
    for name in names:
        found = getattr(owner, name, None)
        if found is not None and not isroutine(found):
            return found
    return None


def check_text(unit: str, what: str, expected: str) -> None:
    """Check the spelling of a unit.

    Args:
        unit: Unit as written.
        what: Name of the value, for messages.
        expected: Expected unit.

    Raises:
        ValueError: The unit is not the expected one.
    """
    known = {_SIGNS.sub("", spelling) for spelling in _SPELLINGS.get(expected, (expected,))}
    if _SIGNS.sub("", unit) not in known:
        number = "a number without unit" if expected == "1" else expected
        raise ValueError(
            f"{what} has the unit {unit or 'dimensionless'}, expected {number}; convert it"
        )
