"""Fixed physics of the emulators, and checks of a host's cosmology against it.

Every cosmological parameter of a host must be an input of the emulator, or be listed here with its
value in the labels. Unknown parameters raise an error rather than being ignored, so that new
physics of a host cannot go unnoticed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["FIXED", "NONE", "S_8", "YHE", "Fixed", "Om_m", "OneOf", "Vocabulary", "only", "shown"]

_AGREE = 2e-3  # relative tolerance between derived parameters of a host and of the emulator


@dataclass(frozen=True)
class Fixed:
    """A parameter with a single value in the labels.

    Attributes:
        value: The value.
        tolerance: Largest absolute difference; exceeds rounding only where linear power changes by
            less than 0.1 %.
    """

    value: float
    tolerance: float = 1e-9

    def holds(self, values: Any) -> bool:
        """Whether a value, or all values of an array, agree with this one."""
        try:
            difference = np.abs(np.asarray(values, np.float64) - self.value)
        except (TypeError, ValueError):  # a string, an object
            return False
        return bool(np.all(difference <= self.tolerance))


@dataclass(frozen=True)
class OneOf:
    """An option of a host, with the values that correspond to the labels.

    Attributes:
        words: Allowed values.
    """

    words: tuple[str, ...]

    @property
    def value(self) -> str:
        """The allowed values, for messages."""
        return " or ".join(self.words)

    def holds(self, value: Any) -> bool:
        """Whether an option has an allowed value."""
        return str(value) in self.words


# Besides the inputs: flat, with massless neutrinos, as in `datagen.ccl.camb_cosmology`. The former
# default values of other codes, Neff = 3.046 and T_CMB = 2.725 K, change linear power by 0.03 % and
# 0.09 %.
FIXED = {
    "Omega_k": Fixed(0.0),
    "m_nu": Fixed(0.0),  # eV
    "Neff": Fixed(3.044, tolerance=0.0025),
    "T_CMB": Fixed(2.7255, tolerance=0.0006),  # K
}
NONE = Fixed(0.0)
YHE = Fixed(0.246, tolerance=0.01)  # 0.02 % in linear power


def Om_m(point: Mapping[str, Any]) -> Any:
    """Matter density parameter, from an emulator's inputs."""
    return point["Om_c"] + point["Om_b"]


def S_8(point: Mapping[str, Any]) -> Any:
    """S_8 = sigma_8 (Om_m / 0.3)^0.5, from an emulator's inputs."""
    return point["sigma_8"] * (Om_m(point) / 0.3) ** 0.5


def only(name: str, value: Any) -> str:
    """The rule that an error message states."""
    known = f"{value:g}" if isinstance(value, (int, float)) else value
    what = f"without {name}" if value is None else f"{name} = {known}"
    return f"the emulators know flat w0waCDM without massive neutrinos, {what}"


@dataclass(frozen=True)
class Vocabulary:
    """Meaning of a host's cosmological parameters for an emulator, by the host's names.

    Attributes:
        fixed: Parameters with a single value in the labels.
        derived: Parameters that are functions of the emulator's inputs.
        neutral: Parameters that do not affect halo-model spectra at given inputs.
    """

    fixed: Mapping[str, Fixed | OneOf]
    derived: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    neutral: Collection[str] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.fixed or name in self.derived or name in self.neutral

    def refused(self, given: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[str]:
        """Describe parameters that disagree with the emulators' cosmology.

        Args:
            given: Values by the host's names, without inputs of the emulator.
            inputs: Inputs of the emulator, by its names.

        Yields:
            A message for each parameter.
        """
        for name, value in given.items():
            what = f"{name} = {shown(value)}"
            if name in self.fixed:
                if not self.fixed[name].holds(value):
                    yield f"{what}: {only(name, self.fixed[name].value)}"
            elif name in self.derived:
                try:
                    expected = self.derived[name](inputs)
                except KeyError:  # needs an input that another code derives
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
    """A value, or the range of an array, for a message."""
    array = np.asarray(value)
    if array.ndim == 0 or array.dtype.kind not in "fiu":
        return f"{value:g}" if isinstance(value, float) else repr(value)
    low, high = np.min(array), np.max(array)
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"
