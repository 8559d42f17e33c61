"""Entries of the registry of outputs agree with each other, and no other file reads names."""

import re
from pathlib import Path

import pytest

from datagen.figures import spectrum_label
from datagen.outputs import (
    AXES,
    CORRELATIONS,
    NUMBERS,
    OUTPUTS,
    SPECTRA,
    TERMS,
    name_of,
    output,
    spectra_of,
)

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ("datagen", "emulator", "tuning", "export", "benchmarks", "hodspectra")
PARSERS = (  # what once took names of outputs apart, or knew their units
    r"\bn(ame)?\[:2\]",
    r"\bn(ame)?\[(3:|:-3|:-6)\]",
    r"with\(\(?\"_?(total|1h|2h)",
    r"removesuffix\(\"_?(total|1h|2h)",
    r"with\((tuple\()?TERMS",
    r"replace\(\"_?(total|1h|2h)",
    r"name\.(r?partition|r?split)\(\"_\"\)",
    r"\{xy\}_",
    r"[!=]= \"Mpc\^3\"",
)
FILES = [path for package in LIBRARY for path in sorted((ROOT / package).glob("**/*.py"))]


def test_names_are_keys_and_every_output_has_a_unit_and_a_symbol():
    for name, one in OUTPUTS.items():
        assert one is output(name)
        assert one.name == name
        assert one.unit
        assert one.symbol
        assert one.axis in ("", *AXES)
    assert (*SPECTRA, *NUMBERS) == tuple(OUTPUTS)
    assert len({one.symbol for one in OUTPUTS.values()}) == len(OUTPUTS)


def test_spectra_are_volumes_and_numbers_have_no_parts():
    for one in map(output, SPECTRA):
        assert one.is_spectrum
        assert not one.is_number
        assert one.unit == "Mpc^3"
    for one in map(output, NUMBERS):
        assert one.is_number
        assert not one.is_spectrum
        assert not any((one.correlation, one.term, one.terms, one.is_linear, one.is_matter))


def test_a_total_is_the_sum_of_two_terms_of_its_correlation():
    for one in OUTPUTS.values():
        assert one.is_total == bool(one.terms)
        assert [output(term).term for term in one.terms] == ["1h", "2h"][: len(one.terms)]
        for term in map(output, one.terms):
            assert (term.correlation, term.unit, term.axis) == (one.correlation, one.unit, one.axis)
    assert [name for name in OUTPUTS if output(name).is_total] == [
        name_of(xy, "total") for xy in CORRELATIONS
    ]


def test_names_are_made_of_correlations_and_terms():
    assert spectra_of(CORRELATIONS) == tuple(name for name in SPECTRA if name != "P_lin")
    assert spectra_of(["gg"], ["1h", "total"]) == ("gg_1h", "gg_total")
    for xy in CORRELATIONS:
        for term in TERMS:
            one = output(name_of(xy, term))
            assert (one.correlation, one.term) == (xy, term)


def test_wiggles_are_of_linear_power():
    linear = {name for name in OUTPUTS if output(name).is_linear}
    assert linear == {"P_lin", "mm_2h", "gm_2h", "gg_2h"}


def test_matter_does_not_know_galaxies():
    matter = {name for name in OUTPUTS if output(name).is_matter}
    assert matter == {"P_lin", "mm_1h", "mm_2h", "mm_total"}


@pytest.mark.parametrize("prefix", ["red_", "red_blue_", "bright_red_", "gg_", "n_"])
def test_outputs_of_populations_are_outputs(prefix):
    for name, entry in OUTPUTS.items():
        if entry.is_matter:
            continue
        one = output(prefix + name)
        assert one.name == prefix + name
        assert one.terms == tuple(prefix + term for term in entry.terms)
        assert (one.unit, one.axis, one.correlation, one.term, one.is_linear) == (
            entry.unit, entry.axis, entry.correlation, entry.term, entry.is_linear
        )  # fmt: skip
        assert all(output(term).name == term for term in one.terms)


def test_symbols_tell_populations_apart():
    names = ("gg_1h", "red_gg_1h", "red_blue_gg_1h")
    assert len({*map(spectrum_label, names)}) == len(names)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gg_totl", r"no output gg_totl \(did you mean 'gg_total'\?\); there are P_lin, mm_1h"),
        ("GG_1h", "did you mean 'gg_1h'"),
        ("red_mm_total", "no output red_mm_total"),  # matter is not of a population
        ("gg", "no output gg"),
        ("redgg_1h", "no output redgg_1h"),
        ("_gg_1h", "no output _gg_1h"),
        ("", "no output "),
    ],
)
def test_an_unknown_name_is_refused_with_what_it_may_have_meant(name, said):
    with pytest.raises(ValueError, match=said):
        output(name)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_no_file_takes_names_of_outputs_apart(path):
    found = [
        line
        for line in path.read_text().splitlines()
        if any(re.search(parser, line) for parser in PARSERS)
    ]
    assert not found
