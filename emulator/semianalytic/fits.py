"""Common parts of the fits for haloes: names, mass definitions and the epoch."""

import math
from abc import ABC
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from datagen.ingredients import MASS_DEFINITIONS, check_fit

__all__ = ["DELTA_C", "Epoch", "Fit", "ln_delta_m", "virial_density"]

DELTA_C = 1.68647019984  # 3/20 (12 pi)^(2/3), collapse in a universe of matter alone


class Epoch(NamedTuple):
    """Time at which haloes are described.

    Attributes:
        ln_a: Logarithm of the scale factor, -ln(1 + z), shape (B, 1).
        Om_m: Matter density parameter at that time, Om_m(z), shape (B, 1).
    """

    ln_a: Tensor
    Om_m: Tensor


def virial_density(Om_m: Tensor) -> Tensor:
    """Density of virialised haloes in units of the critical one (Bryan and Norman 1998, eq. 6).

    ``18 pi^2 + 82 x - 39 x^2`` with ``x = Om_m(z) - 1``.
    """
    x = Om_m - 1
    return 18 * math.pi**2 + x * (82 - 39 * x)


def ln_delta_m(mass_def: str, Om_m: Tensor) -> Tensor:
    """Logarithm of the mean density of haloes in units of the mean matter density.

    Args:
        mass_def: A multiple of the mean matter density such as ``200m``, of the critical density
            such as ``200c``, or ``vir`` for `virial_density`.
        Om_m: Matter density parameter at the redshift, shape (B, 1).

    Returns:
        Shape (B, 1), or (1, 1) if it is the same for every cosmology.
    """
    if mass_def == "vir":
        return torch.log(virial_density(Om_m) / Om_m)
    ln_delta = math.log(float(mass_def[:-1]))
    if mass_def.endswith("m"):
        return Om_m.new_full((1, 1), ln_delta)
    return ln_delta - torch.log(Om_m)


class Fit(ABC):
    """A fit for haloes, for one definition of their mass.

    A direct subclass is a kind of fit with its own registry, in which each of its subclasses is
    entered under its name.

    Args:
        mass_def: One of ``mass_defs``.

    Attributes:
        kind: Kind of the fit, as in settings, such as ``mass_function``.
        known: All fits of this kind by their names in pyccl.
        mass_defs: Definitions of the mass that the fit is for.
    """

    kind: ClassVar[str]
    known: ClassVar[dict[str, type[Any]]]
    mass_defs: ClassVar[tuple[str, ...]] = MASS_DEFINITIONS

    def __init_subclass__(cls, kind: str = "") -> None:
        if kind:
            cls.kind, cls.known = kind, {}
        elif not cls.__name__.startswith("_"):
            cls.known[cls.__name__] = cls

    def __init__(self, mass_def: str = "200m") -> None:
        check_fit(self.kind, self.name, mass_def, self._masses())
        self.mass_def = mass_def

    @classmethod
    def named(cls, name: str, mass_def: str = "200m") -> Self:
        """Return the fit of this kind with a given name.

        Raises:
            ValueError: If the name is unknown, or there is no fit for the mass definition.
        """
        check_fit(cls.kind, name, mass_def, cls._masses())
        fit: Self = cls.known[name](mass_def)
        return fit

    @classmethod
    def _masses(cls) -> dict[str, tuple[str, ...]]:
        return {name: fit.mass_defs for name, fit in cls.known.items()}

    @property
    def name(self) -> str:
        """Name of the fit."""
        return type(self).__name__

    def ln_delta_m(self, epoch: Epoch) -> Tensor:
        """Logarithm of the mean density of the haloes of this fit; see `ln_delta_m`."""
        return ln_delta_m(self.mass_def, epoch.Om_m)
