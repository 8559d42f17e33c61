r"""Outputs of halo models and emulators by name: axis, unit, symbol and terms.

Code that depends on properties of an output uses its entry here, and never parses its name.

>>> output("gg_total").terms
('gg_1h', 'gg_2h')

With several populations of galaxies, the names of one or two populations precede the output's:

>>> output("red_blue_gg_total").terms
('red_blue_gg_1h', 'red_blue_gg_2h')
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from datagen.messages import did_you_mean

__all__ = [
    "AXES",
    "CORRELATIONS",
    "NUMBERS",
    "OUTPUTS",
    "SPECTRA",
    "TERMS",
    "Output",
    "name_of",
    "output",
    "spectra_of",
]

CORRELATIONS: tuple[str, ...] = ("mm", "gm", "gg")
"""Correlations of matter, of galaxies and matter, and of galaxies."""
TERMS: tuple[str, ...] = ("1h", "2h", "total")

AXES: dict[str, str] = {"k": "1/Mpc", "r": "Mpc", "r_p": "Mpc", "R": "Mpc"}
"""Units of the axes of outputs: wavenumber, separation, and two projected separations."""


@dataclass(frozen=True)
class Output:
    r"""Properties of one output.

    Attributes:
        name: Name.
        axis: Axis of which it is a function, a key of `AXES`; empty for a number.
        unit: Unit.
        symbol: Symbol in LaTeX, without ``$``.
        is_positive: Whether it is always positive, so that its logarithm can be learnt,
            interpolated and drawn.
        correlation: One of `CORRELATIONS`; empty for other outputs.
        term: One of `TERMS`; empty for outputs without terms.
        terms: Names of the 1-halo and the 2-halo term of a total; else empty.
        is_linear: Whether it has the acoustic wiggles of the linear power: P_lin and 2-halo terms.
    """

    name: str
    axis: Literal["", "k", "r", "r_p", "R"]
    unit: str
    symbol: str
    is_positive: bool = True
    correlation: str = ""
    term: str = ""
    terms: tuple[str, ...] = ()
    is_linear: bool = False

    @property
    def is_spectrum(self) -> bool:
        """Whether it is a power spectrum, a function of wavenumber."""
        return self.axis == "k"

    @property
    def is_number(self) -> bool:
        """Whether it is a single number for each point."""
        return not self.axis

    @property
    def is_total(self) -> bool:
        """Whether it is the sum of a 1-halo and a 2-halo term."""
        return self.term == "total"

    @property
    def is_matter(self) -> bool:
        """Whether it does not depend on galaxies."""
        return self.correlation == "mm" or self.name == "P_lin"

    def of_term(self, term: str) -> str:
        """Return the name of another term of the same spectrum."""
        return self.name.removesuffix(self.term) + term


def name_of(correlation: str, term: str) -> str:
    """Return the name of a spectrum: ``gg_1h`` for ``gg`` and ``1h``."""
    return f"{correlation}_{term}"


def spectra_of(correlations: Iterable[str], terms: Iterable[str] = TERMS) -> tuple[str, ...]:
    """Return the names of spectra, correlation by correlation."""
    terms = tuple(terms)
    return tuple(name_of(xy, term) for xy in correlations for term in terms)


def _spectrum(correlation: str, term: str) -> Output:
    total = term == "total"
    parts = spectra_of([correlation], [one for one in TERMS if one != "total"]) if total else ()
    raised = "" if total else rf"^\mathrm{{{term}}}"
    return Output(
        name_of(correlation, term), "k", "Mpc^3", rf"P_\mathrm{{{correlation}}}{raised}",
        correlation=correlation, term=term, terms=parts, is_linear=term == "2h",
    )  # fmt: skip


_ALL = (
    Output("P_lin", "k", "Mpc^3", r"P_\mathrm{lin}", is_linear=True),
    *(_spectrum(correlation, term) for correlation in CORRELATIONS for term in TERMS),
    Output("n_g", "", "1/Mpc^3", r"n_\mathrm{g}"),
    Output("b_eff", "", "1", r"b_\mathrm{eff}"),
    Output("f_sat", "", "1", r"f_\mathrm{sat}"),
    Output("mean_mass", "", "Msun", r"\langle M \rangle"),
)
OUTPUTS: dict[str, Output] = {one.name: one for one in _ALL}
"""All outputs of a halo model, by name."""
SPECTRA: tuple[str, ...] = tuple(one.name for one in _ALL if one.is_spectrum)
NUMBERS: tuple[str, ...] = tuple(one.name for one in _ALL if one.is_number)


@lru_cache(maxsize=1024)
def output(name: str) -> Output:
    """Return the entry of an output.

    Args:
        name: Name, optionally preceded by the names of one or two populations, which are appended
            to the symbol.

    Raises:
        ValueError: The output is unknown.
    """
    if name in OUTPUTS:
        return OUTPUTS[name]
    for known, entry in OUTPUTS.items():
        whose = name.removesuffix(f"_{known}")
        if whose != name and whose.isidentifier() and not entry.is_matter:
            words = whose.replace("_", r"\ ")
            return replace(
                entry,
                name=name,
                symbol=rf"{entry.symbol}\ (\mathrm{{{words}}})",
                terms=tuple(f"{whose}_{one}" for one in entry.terms),
            )
    raise ValueError(
        f"no output {name}{did_you_mean(name, OUTPUTS)}; there are {', '.join(OUTPUTS)}"
    )
