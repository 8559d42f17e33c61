"""What an emulator offers to those who meet it: a repr, ranges, points, a plot, hints."""

import numpy as np
import pytest

from datagen.occupations import OCCUPATIONS
from datagen.synonyms import hint
from export.runtime import load
from export.shipped import shipped


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_emulator_has_an_example_and_points(name):
    model = load(name)
    assert model.is_inside(model.example)
    assert all(np.isfinite(value).all() for value in model(model.example).values())
    points = model.sample(50, seed=3)
    assert list(points) == list(model.names)
    assert model.is_inside(points).all()
    again = model.sample(50, seed=3)
    assert all(np.array_equal(points[n], again[n]) for n in points)
    for parameter in model.names:
        low, high = model.ranges[parameter]
        assert low <= points[parameter].min() <= points[parameter].max() <= high
        assert f"{parameter} {low:g}..{high:g}" in repr(model)
    assert max(map(len, repr(model).splitlines())) < 130


@pytest.mark.parametrize("occupation", sorted(OCCUPATIONS))
def test_every_occupation_has_an_example_with_galaxies(occupation):
    model = load("tinker10", occupation=occupation)
    found = model(model.example)
    assert 1e-6 < found["n_g"] < 1
    assert np.isfinite(found["gg_total"]).all()


def test_points_of_no_number_are_refused():
    model = load("standard", threads=np.int64(1))
    for n in (0, True, 1.5):
        with pytest.raises(ValueError, match=f"n = {n} must be a number of points"):
            model.sample(n)
    for seed in ("a", -1, 1.5):
        with pytest.raises(ValueError, match=f"seed = {seed!r} must be a whole number"):
            model.sample(1, seed)
    assert len(model.sample(np.int64(3))["h"]) == 3


@pytest.mark.filterwarnings("ignore::export.lowest_mass.BelowLowestMassWarning")
def test_a_plot_has_a_panel_for_each_spectrum_and_a_line_for_each_term():
    model = load("standard")
    figure = model.plot()
    assert [axes.get_title() for axes in figure.axes] == ["mm", "gm", "gg"]
    assert all(len(axes.lines) == 3 for axes in figure.axes)
    one = model.plot(model.sample(4), ["gg_total"], k=[0.1, 1.0, 10.0]).axes
    assert len(one) == 1
    assert len(one[0].lines) == 4
    with pytest.raises(ValueError, match="none of n_g is a spectrum to plot"):
        model.plot(outputs="n_g")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("Omega_m", "(give Om_c and Om_b, the densities"),
        ("Om_m", "(give Om_c and Om_b, the densities"),
        ("omega_m", "(give Om_c and Om_b, the densities"),
        ("ombh2", "(give Om_b = ombh2 / h^2)"),
        ("H0", "(give h = H0 / 100)"),
        ("S8", "(give sigma_8 = S8 / sqrt("),
        ("m_nu", "(give nothing: neutrinos have no mass here)"),
        ("sigma8", "(did you mean 'sigma_8'?)"),
        ("log10Mmin", "(of the occupation zheng07"),
    ],
)
def test_names_of_other_codes_get_a_hint(given, says):
    assert says in hint(given, load("standard").names)


def test_names_that_differ_in_meaning_are_no_typing_errors():
    names = load("tinker10", occupation="zheng07").names
    assert "(give sigma_logM, a width in log10 M: 1 / ln 10 of" in hint("sigma_lnM", names)
    assert "(of the occupation kwan15 or abacus or more15" in hint("kappa", names)
    assert "(of the occupation linke22" in hint("sigma", names)


def test_nothing_is_said_of_names_that_nobody_knows():
    assert hint("qqq", load("standard").names) == ""
