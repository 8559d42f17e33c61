"""Combinations of fits for haloes that the semi-analytic emulator can be exported with."""

from dataclasses import dataclass

from datagen.ingredients import check_densities, check_partners
from datagen.ingredients import combinations as labels
from emulator.semianalytic.biases import Bias
from emulator.semianalytic.concentrations import Concentration, Haloes, Universe
from emulator.semianalytic.fits import Epoch, ln_delta_m
from emulator.semianalytic.mass_functions import MassFunction

__all__ = [
    "Bias",
    "Concentration",
    "Epoch",
    "Haloes",
    "Ingredients",
    "MassFunction",
    "Universe",
    "combinations",
    "exportable",
    "ln_delta_m",
]


@dataclass(frozen=True)
class Ingredients:
    """Three fits for one definition of the halo mass, by their names in pyccl.

    Attributes:
        mass_function: Name of a `MassFunction`.
        halo_bias: Name of a `Bias` that belongs to it, see `datagen.ingredients.PARTNERS`.
        concentration: Name of a `Concentration`.
        mass_def: Name from `datagen.ingredients.MASS_DEFINITIONS`.
    """

    mass_function: str = "Sheth99"
    halo_bias: str = "Sheth01"
    concentration: str = "Duffy08"
    mass_def: str = "200m"

    def __post_init__(self) -> None:
        self.fits()
        check_partners(self.mass_function, self.halo_bias)

    def fits(self) -> tuple[MassFunction, Bias, Concentration]:
        """The three fits."""
        return (
            MassFunction.named(self.mass_function, self.mass_def),
            Bias.named(self.halo_bias, self.mass_def),
            Concentration.named(self.concentration, self.mass_def),
        )

    def check_densities(self, Om_m: tuple[float, float]) -> None:
        """Raise an error for a range of Om_m whose haloes are beyond the tables of the fits.

        See `datagen.ingredients.check_densities`.
        """
        check_densities(self.mass_function, self.mass_def, Om_m)


def combinations() -> list[Ingredients]:
    """All valid combinations; labels allow other masses for Bocquet16 besides."""
    known = [four for four in labels() if four[3] in MassFunction.known[four[0]].mass_defs]
    return [Ingredients(*four) for four in known]


def exportable() -> list[Ingredients]:
    """Combinations that an emulator can be exported with: all of `combinations`.

    A box whose haloes are denser than the table of the mass function is refused, however; see
    `datagen.ingredients.check_densities`.
    """
    return combinations()
