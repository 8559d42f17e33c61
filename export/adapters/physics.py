"""The cosmology that emulators were made in, besides their inputs; hosts are held to it by name.

Everything that a host says of its cosmology is either an input of the emulator, or has to be known
here, with the value that the labels had. What is not known is refused, not ignored: so new physics
of a host cannot pass unseen.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["FIXED", "NONE", "S_8", "YHE", "Fixed", "Om_m", "OneOf", "Vocabulary", "only", "shown"]

_AGREE = 2e-3  # relative, between what a host derives and the same from an emulator's inputs


@dataclass(frozen=True)
class Fixed:
    """The one value that a parameter has in the labels.

    Attributes:
        value: A number.
        tolerance: How far others may be from it; beyond rounding only where linear power changes
            by less than 0.1 % with it.
    """

    value: float
    tolerance: float = 1e-9

    def holds(self, values: Any) -> bool:
        """Whether a value, or all of an array, is this one."""
        try:
            difference = np.abs(np.asarray(values, np.float64) - self.value)
        except (TypeError, ValueError):  # a text, an object
            return False
        return bool(np.all(difference <= self.tolerance))


@dataclass(frozen=True)
class OneOf:
    """The words that an option has where it is as in the labels.

    Attributes:
        words: All that do.
    """

    words: tuple[str, ...]

    @property
    def value(self) -> str:
        """For messages."""
        return " or ".join(self.words)

    def holds(self, value: Any) -> bool:
        """Whether an option is one of them."""
        return str(value) in self.words


# Besides the inputs: flat, with massless neutrinos, as `datagen.ccl.camb_cosmology` has it. The
# values that codes had for long, Neff = 3.046 and T_CMB = 2.725 K, change linear power by 0.03 %
# and 0.09 %.
FIXED = {
    "Omega_k": Fixed(0.0),
    "m_nu": Fixed(0.0),  # eV
    "Neff": Fixed(3.044, tolerance=0.0025),
    "T_CMB": Fixed(2.7255, tolerance=0.0006),  # K
}
NONE = Fixed(0.0)
YHE = Fixed(0.246, tolerance=0.01)  # 0.02 % in linear power


def Om_m(point: Mapping[str, Any]) -> Any:
    """Matter density, of an emulator's inputs."""
    return point["Om_c"] + point["Om_b"]


def S_8(point: Mapping[str, Any]) -> Any:
    """``sigma_8 (Om_m / 0.3)^0.5``, of an emulator's inputs."""
    return point["sigma_8"] * (Om_m(point) / 0.3) ** 0.5


def only(name: str, value: Any) -> str:
    """The rule that refusals state."""
    known = f"{value:g}" if isinstance(value, (int, float)) else value
    what = f"without {name}" if value is None else f"{name} = {known}"
    return f"the emulators know flat w0waCDM without massive neutrinos, {what}"


@dataclass(frozen=True)
class Vocabulary:
    """What the cosmological parameters of a host are to an emulator, by the host's names.

    Attributes:
        fixed: Those that have one value in the labels.
        derived: Those that follow from an emulator's inputs: functions of them, by name.
        neutral: Those that halo-model spectra do not depend on at given inputs.
    """

    fixed: Mapping[str, Fixed | OneOf]
    derived: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    neutral: Collection[str] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.fixed or name in self.derived or name in self.neutral

    def refused(self, given: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[str]:
        """What stands against the emulators' cosmology, a line for each parameter.

        Args:
            given: Values by the host's names, without those that are inputs.
            inputs: Of the emulator, by its names.
        """
        for name, value in given.items():
            what = f"{name} = {shown(value)}"
            if name in self.fixed:
                if not self.fixed[name].holds(value):
                    yield f"{what}: {only(name, self.fixed[name].value)}"
            elif name in self.derived:
                try:
                    expected = self.derived[name](inputs)
                except KeyError:  # of an input that another code derives
                    continue
                if not Fixed(expected, _AGREE * abs(expected)).holds(value):
                    would = shown(expected)
                    yield f"{what} does not agree with the other parameters, {would} would"
            elif name not in self.neutral:
                yield (
                    f"{what} is not known to the emulators; if galaxy and matter spectra do not "
                    f"depend on it, list it in the option 'ignore'"
                )


def shown(value: Any) -> str:
    """A value, or the ends of an array, for a message."""
    array = np.asarray(value)
    if array.ndim == 0 or array.dtype.kind not in "fiu":
        return f"{value:g}" if isinstance(value, float) else repr(value)
    low, high = np.min(array), np.max(array)
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"
