r"""The outputs: what a halo model, a network and an emulator may predict, each by its name.

Everything that depends on what an output is (its axis, unit, symbol, which terms it is the sum of,
whether it has a logarithm) asks its entry here; nothing reads that from names.

>>> output("gg_total").terms
('gg_1h', 'gg_2h')

Outputs of one of several populations have its name before their own, those of two populations both:

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
"""Of matter, of galaxies and matter, of galaxies."""
TERMS: tuple[str, ...] = ("1h", "2h", "total")

AXES: dict[str, str] = {"k": "1/Mpc", "r": "Mpc", "r_p": "Mpc", "R": "Mpc"}
"""What outputs are functions of, and its unit: wavenumber, separation, and projected ones."""


@dataclass(frozen=True)
class Output:
    r"""What is known of one output.

    Attributes:
        name: Its name.
        axis: What it is a function of, a key of `AXES`; none of a number.
        unit: Its unit.
        symbol: In LaTeX, without ``$``.
        is_positive: Whether it is above 0 everywhere, so that it can be learnt, interpolated and
            drawn as its logarithm.
        correlation: Of which two fields, one of `CORRELATIONS`; none of others.
        term: One of `TERMS`; none if it has no such parts.
        terms: The names of the two outputs that it is the sum of, if it is a total.
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
        """Whether it is one number for each point."""
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
        """The name of the same spectrum's other term."""
        return self.name.removesuffix(self.term) + term


def name_of(correlation: str, term: str) -> str:
    """The name of a spectrum: ``gg_1h`` of ``gg`` and ``1h``."""
    return f"{correlation}_{term}"


def spectra_of(correlations: Iterable[str], terms: Iterable[str] = TERMS) -> tuple[str, ...]:
    """Names of spectra, correlation by correlation."""
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
"""Every output of a halo model, by name."""
SPECTRA: tuple[str, ...] = tuple(one.name for one in _ALL if one.is_spectrum)
NUMBERS: tuple[str, ...] = tuple(one.name for one in _ALL if one.is_number)


@lru_cache(maxsize=1024)
def output(name: str) -> Output:
    """The entry of an output, of one or two populations if its name begins with theirs.

    Symbols have names of populations behind them.

    Raises:
        ValueError: There is none of that name.
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
