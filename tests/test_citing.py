"""The page on citing has an entry for all that it names, and names all that can be chosen."""

import re
from configparser import ConfigParser

import pytest
import yaml
from pages import ROOT

from datagen.ingredients import CONCENTRATIONS, HALO_BIASES, MASS_FUNCTIONS
from datagen.occupations import OCCUPATIONS

PAGE = (ROOT / "docs" / "citing.md").read_text()
BIBTEX = (ROOT / "docs" / "references.bib").read_text()
KEYS = re.findall(r"^@\w+\{(\w+),$", BIBTEX, re.M)
ROWS = dict(re.findall(r"^\| (\w+) \| ([\w, ]+) \|$", PAGE, re.M))


def test_every_key_is_defined_once_and_named():
    assert len(set(KEYS)) == len(KEYS)
    cited = set(re.findall(r"\b[A-Za-z]+\d{4}\b|\bhodspectra(?=, )", PAGE))
    assert cited == set(KEYS)


@pytest.mark.parametrize(
    "name",
    sorted({*OCCUPATIONS, *MASS_FUNCTIONS, *HALO_BIASES, *CONCENTRATIONS} - {"Constant"}),
)
def test_what_can_be_chosen_has_a_reference(name):
    year = re.search(r"\d\d$", name)
    if year:
        assert re.search(rf"(19|20){year[0]}\b", ROWS[name])
    assert ROWS[name]


@pytest.mark.parametrize("name", OCCUPATIONS)
def test_references_of_occupations_are_their_sources(name):
    years = set(re.findall(r"\b(?:19|20)\d\d\b", OCCUPATIONS[name].source.partition("; as in")[0]))
    assert years <= set(re.findall(r"\d{4}", ROWS[name]))


def test_the_software_is_that_of_the_citation_file_and_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    package = ConfigParser()
    package.read(ROOT / "setup.cfg")
    assert f"title = {{{{{citation['title']}}}}}" in BIBTEX
    assert f"version = {{{citation['version']}}}" in BIBTEX
    assert citation["version"] == package["metadata"]["version"]
    paper = citation["references"][0]
    entry = BIBTEX.split("@article{Linke2022,")[1].split("\n}")[0]
    assert f"title = {{{{{paper['title']}}}}}" in entry
    assert f"volume = {{{paper['volume']}}}" in entry
    assert f"pages = {{{paper['start']}}}" in entry
    assert f"eprint = {{{paper['url'].rpartition('/')[2]}}}" in entry


def test_braces_of_entries_are_balanced():
    for entry in re.split(r"^(?=@)", BIBTEX, flags=re.M):
        assert entry.count("{") == entry.count("}")
