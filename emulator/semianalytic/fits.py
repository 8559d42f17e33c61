"""What the fits for haloes have in common: names, mass definitions, the moment they describe."""

import math
from abc import ABC
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from datagen.ingredients import MASS_DEFINITIONS, check_fit

__all__ = ["DELTA_C", "Epoch", "Fit", "ln_delta_m", "virial_density"]

DELTA_C = 1.68647019984  # 3/20 (12 pi)^(2/3), collapse in a universe of matter alone


class Epoch(NamedTuple):
    """The moment at which haloes are looked at.

    Attributes:
        ln_a: Logarithm of the scale factor, -ln(1 + z), shape (B, 1).
        Om_m: Matter's share of the density then, Om_m(z), shape (B, 1).
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
    """Logarithm of the haloes' mean density in units of the mean matter density.

    Args:
        mass_def: ``200m`` and its like count in the mean matter density, ``200c`` in the critical
            one, ``vir`` is `virial_density`.
        Om_m: Matter's share of the density, shape (B, 1).

    Returns:
        Shape (B, 1), or (1, 1) where it is the same for every cosmology.
    """
    if mass_def == "vir":
        return torch.log(virial_density(Om_m) / Om_m)
    ln_delta = math.log(float(mass_def[:-1]))
    if mass_def.endswith("m"):
        return Om_m.new_full((1, 1), ln_delta)
    return ln_delta - torch.log(Om_m)


class Fit(ABC):
    """A fit for haloes, for one definition of their mass.

    A direct subclass is a kind of fit and keeps a list of its own; a subclass of a kind enters
    that list under its name.

    Args:
        mass_def: One of the class's ``mass_defs``.

    Attributes:
        kind: What the fit is of, as the settings call it.
        known: All fits of this kind by name, which is pyccl's.
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
        """The fit of this kind with a name.

        Raises:
            ValueError: An unknown name, or a mass definition without a fit.
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
        """See `ln_delta_m`, for this fit's masses."""
        return ln_delta_m(self.mass_def, epoch.Om_m)
