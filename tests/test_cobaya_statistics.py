"""What surveys measure, asked of an emulator inside Cobaya."""

from pathlib import Path

import numpy as np
import pytest
from support.hosts import POINT

from export.adapters.asked_statistics import named
from export.runtime import load
from export.statistics import DeltaSigma, Wp, statistic

pytest.importorskip("cobaya")

from cobaya.log import LoggedError
from cobaya.model import get_model

ROOT = Path(__file__).resolve().parent.parent
NAME = "export.adapters.for_cobaya.HaloModel"
Z = 0.5
R_P = [0.2, 1.0, 10.0]
RECORDS = {
    "clustering": {"kind": "Wp", "r_p": R_P, "pi_max": 60, "lengths": "Mpc/h"},
    "lensing": {
        "kind": "DeltaSigma", "R": [0.1, 1.0], "lengths": "Mpc/h", "units": "h Msun/pc^2",
    },
}  # fmt: skip
ROUNDING = 1e-5  # of float32, in which the emulators compute


@pytest.fixture(scope="module")
def emulator(small_file):
    return load(small_file)


@pytest.fixture
def ask(small_file):
    """An input of Cobaya whose likelihoods ask for something, and what they get."""

    def make(*asked, params=(), without=(), **options):
        seen = [{} for _ in asked]

        def likelihood(i):
            def look(_self=None):
                seen[i].update(_self.provider.get_halo_model())
                return 0.0

            return {"external": look, "requires": {"halo_model": asked[i]}}

        theory = {"python_path": str(ROOT), "emulator": str(small_file), "z": Z} | options
        given = POINT | {"sigma_8": {"prior": {"min": 0.7, "max": 1.0}}} | dict(params)
        info = {
            "theory": {NAME: theory},
            "likelihood": {f"like{i}": likelihood(i) for i in range(len(asked))},
            "params": {name: value for name, value in given.items() if name not in without},
        }
        return info, seen

    return make


def evaluate(info, **point):
    model = get_model(info)
    return model.loglike({"sigma_8": 0.82} | point, return_derived=False)


def test_statistics_come_by_name_beside_the_spectra(ask, emulator):
    info, (seen,) = ask({"outputs": "gg_total n_g", "k": [0.1], "statistics": RECORDS})
    evaluate(info)
    assert seen.keys() == {"k", "z", "h", "gg_total", "n_g", "clustering", "lensing"}
    expected = emulator(
        POINT | {"z": Z}, [statistic(one) for one in RECORDS.values()] + ["gg_total"]
    )
    np.testing.assert_allclose(seen["clustering"], expected["w_p"], rtol=ROUNDING)
    np.testing.assert_allclose(seen["lensing"], expected["Delta_Sigma"], rtol=ROUNDING)
    assert seen["gg_total"].shape == (1,)


def test_statistics_alone_are_all_that_is_computed(ask):
    info, (seen,) = ask({"statistics": RECORDS})
    evaluate(info)
    assert seen.keys() == {"k", "z", "h", *RECORDS}


def test_several_redshifts_make_a_row_each(ask, emulator):
    z = [0.2, 1.0]
    info, (seen,) = ask({"statistics": RECORDS, "outputs": "n_g"}, z=z)
    evaluate(info)
    expected = emulator(POINT | {"z": z}, Wp(R_P, pi_max=60, lengths="Mpc/h"))["w_p"]
    assert seen["clustering"].shape == (2, 3)
    np.testing.assert_allclose(seen["clustering"], expected, rtol=ROUNDING)


def test_likelihoods_may_ask_for_different_statistics_and_objects_will_do(ask, emulator):
    one = {"statistics": {"w": Wp(R_P, terms=("1h", "total"))}}
    two = {"statistics": [DeltaSigma([0.5])], "outputs": "gg_total", "k": [0.1, 1.0]}
    three = {"statistics": {"w": {"kind": "Wp", "r_p": R_P, "terms": ("1h", "total")}}}
    info, seen = ask(one, two, three)
    evaluate(info)
    names = {"k", "z", "h", "w", "w_1h", "Delta_Sigma", "gg_total"}
    assert all(each.keys() == names for each in seen)
    expected = emulator(POINT | {"z": Z}, Wp(R_P, terms=("1h", "total")))
    for name in ("w_p", "w_p_1h"):
        found, atol = seen[0][name.replace("w_p", "w")], 1e-7 * expected[name].max()
        np.testing.assert_allclose(found, expected[name], rtol=ROUNDING, atol=atol)


def test_parameters_of_a_statistic_are_those_of_the_input(ask, emulator):
    asked = {"statistics": {"lensing": RECORDS["lensing"] | {"point_mass": "M_point"}}}
    mass = {"M_point": {"prior": {"min": -1e11, "max": 1e12}}}
    info, (seen,) = ask(asked, params=mass)
    model = get_model(info)
    for value in (1e11, 0.0, 5e11):
        model.loglike({"sigma_8": 0.82, "M_point": value}, return_derived=False)
        one = statistic(RECORDS["lensing"] | {"point_mass": value})
        expected = emulator(POINT | {"z": Z}, one)["Delta_Sigma"]
        np.testing.assert_allclose(seen["lensing"], expected, rtol=ROUNDING)
    negative = {"sigma_8": 0.82, "M_point": -1.0}
    assert model.loglike(negative, return_derived=False) == -np.inf
    fixed, (seen,) = ask(
        asked,
        params={
            "log10M": {"value": 11.0, "drop": True},
            "M_point": {"value": "lambda log10M: 10**log10M"},
        },
    )
    evaluate(fixed)
    one = statistic(RECORDS["lensing"] | {"point_mass": 1e11})
    expected = emulator(POINT | {"z": Z}, one)["Delta_Sigma"]
    np.testing.assert_allclose(seen["lensing"], expected, rtol=ROUNDING)
    with pytest.raises(LoggedError, match="Requirement M_point of"):
        get_model(ask(asked)[0])


W_P = RECORDS["clustering"]


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"w": W_P | {"kind": "Wq"}}, "statistics: w: no statistic Wq"),
        ({"w": W_P | {"pimax": 3}}, "statistics: w: Wp: no option pimax"),
        ({"w": W_P | {"r_p": [1.0, 0.5]}}, r"w: Wp: r_p must increase, but r_p\[0\] = 1"),
        ({"w": W_P | {"r_p": [1e-3]}}, "Wp: r_p reaches .* outside"),
        ({"w": {"r_p": [1.0]}}, "statistics: w: .* is not a statistic: give Xi, Wp"),
        ({"w": W_P | {"name": "v"}}, "w is called v in its record; remove that name"),
        ({"n_g": W_P}, "n_g is an output of the emulator; give .* another name"),
        ({"w": W_P, "w_1h": W_P, "v": W_P | {"terms": "1h"}, "v_1h": W_P}, "two are called v_1h"),
        ({"w": W_P | {"of": "red"}}, "must name populations of the emulator"),
        ({"d": {"kind": "DeltaSigma", "R": [1.0], "point_mass": "Mth"}}, "Mth, a parameter of d,"),
        ("w_p", "statistics = 'w_p' must be records by name"),
        (7, "statistics = 7 must be records by name"),
        ({3: W_P}, "statistics: 3 must be a name"),
    ],
)
def test_statistics_that_there_are_not_are_errors_at_set_up(ask, statistics, message):
    with pytest.raises(LoggedError, match=message):
        get_model(ask({"statistics": statistics})[0])


def test_two_statistics_of_one_name_are_an_error_at_set_up(ask):
    other = W_P | {"pi_max": 80}
    with pytest.raises(LoggedError, match="two are called w, <Wp w: 3, .*; give one of them anot"):
        get_model(ask({"statistics": {"w": W_P}}, {"statistics": {"w": other}})[0])


def test_lengths_without_an_answer_somewhere_in_the_prior_are_an_error_at_set_up(ask):
    far = {"statistics": {"w": W_P | {"r_p": [1.0, 200.0]}}}
    evaluate(ask(far)[0])
    free = {"h": {"prior": {"min": 0.6, "max": 0.8}}}
    with pytest.raises(LoggedError, match="in the prior of h and z, Wp: r_p reaches 333.3 Mpc"):
        get_model(ask(far, params=free)[0])
    physical = {"statistics": {"w": W_P | {"r_p": [150.0], "physical": True}}}
    with pytest.raises(LoggedError, match="Wp: r_p reaches .* outside"):
        get_model(ask(physical, z=[0.1, 0.6])[0])


def test_one_statistic_may_be_given_without_a_name_of_its_own():
    (one,) = named(W_P)
    assert one.name == "w_p"
    (two,) = named(one)
    assert two is one
    assert [each.name for each in named([W_P, DeltaSigma([1.0])])] == ["w_p", "Delta_Sigma"]
