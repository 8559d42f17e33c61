"""The fits for haloes that the semi-analytic emulator can be exported with, and which fit which."""

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
    """Three fits for one definition of the halo mass, by pyccl's names.

    Attributes:
        mass_function: A `MassFunction`.
        halo_bias: A `Bias` that belongs to it, see `datagen.ingredients.PARTNERS`.
        concentration: A `Concentration`.
        mass_def: One of `datagen.ingredients.MASS_DEFINITIONS`.
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
        """Refuse cosmologies beyond the fits' tables, see `datagen.ingredients.check_densities`."""
        check_densities(self.mass_function, self.mass_def, Om_m)


def combinations() -> list[Ingredients]:
    """All that combine, as formulas; what labels can be of, but for Bocquet16's other masses."""
    known = [four for four in labels() if four[3] in MassFunction.known[four[0]].mass_defs]
    return [Ingredients(*four) for four in known]


def exportable() -> list[Ingredients]:
    """Those of `combinations` that an emulator can be exported with: all.

    A box whose haloes are denser than a mass function's table is refused, however, see
    `datagen.ingredients.check_densities`.
    """
    return combinations()
