"""An emulator inside Cobaya: sampled, derived, beside CAMB, and with every mistake of an input."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.hosts import COSMOLOGY, OCCUPATION, POINT, ZHENG07

from export.adapters.common import centre
from export.runtime import load
from export.to_onnx import rewrite

pytest.importorskip("cobaya")

from cobaya.log import LoggedError
from cobaya.model import get_model

ROOT = Path(__file__).resolve().parent.parent
NAME = "export.adapters.for_cobaya.HaloModel"
FREE = {"sigma_8": {"prior": {"min": 0.8, "max": 1.0}}}
K = [0.1, 1.0]
Z = 0.5
THEORY = {"python_path": str(ROOT), "z": Z}


@pytest.fixture(scope="module", autouse=True)
def small(small_file):
    """The emulator of all tests."""
    THEORY["emulator"] = str(small_file)


@cache
def emulator():
    return load(THEORY["emulator"])


def clustering(_self=None):
    """ln P_gg at the first k."""
    return float(np.log(_self.provider.get_halo_model()["gg_total"][0]))


def inputs(
    params=(), asked=("gg_total", K), likelihood=clustering, without=(), options=(), **theories
):
    """An input of Cobaya; `asked` are outputs and k, or the whole requirement."""
    if isinstance(asked, tuple):
        asked = {"halo_model": dict(zip(("outputs", "k"), asked, strict=True))}
    given = POINT | FREE | dict(params)
    return {
        "theory": {NAME: THEORY | dict(options)} | theories,
        "likelihood": {"mine": {"external": likelihood, "requires": asked}}
        if likelihood
        else {"one": None},
        "params": {name: value for name, value in given.items() if name not in without},
    }


def loglike(info, **at):
    """The likelihood of a point, by default at the fiducial one."""
    model = get_model(info)
    sampled = model.parameterization.sampled_params()
    return float(model.loglike({n: (POINT | at)[n] for n in sampled}, return_derived=False))


def truth(**point):
    """What `clustering` is there."""
    return float(np.log(emulator()(POINT | {"z": Z} | point, "gg_total", K)["gg_total"][0]))


@pytest.mark.filterwarnings("ignore")  # pandas' to cobaya (3.6)
def test_cobaya_recovers_the_parameters_of_a_mock():
    from cobaya.run import run

    k, outputs = (0.05, 0.2, 1.0, 5.0), ("gg_total", "gm_total")
    exact = emulator()(POINT | {"z": Z}, outputs, k)
    data = np.log(np.concatenate([exact[name] for name in outputs]))

    def likelihood(_self=None):
        spectra = _self.provider.get_halo_model()
        model = np.log(np.concatenate([spectra[name] for name in outputs]))
        return -0.5 * float(np.square((model - data) / 0.02).sum())

    values = {"sigma_8": 0.82, "beta": 1.0, "log10Mth": 12.0}  # as the chain's columns
    width = {"sigma_8": 0.003, "log10Mth": 0.015, "beta": 0.005}  # of one with the others held
    box = {"sigma_8": (0.6, 1.2), "log10Mth": (10.0, 13.4), "beta": (0.1, 2.0)}
    sampled = {
        name: {
            "prior": dict(zip(("min", "max"), box[name], strict=True)),
            "ref": value + 0.02,
            "proposal": width[name],
            "drop": name == "log10Mth",
        }
        for name, value in values.items()
    }
    mass = {"Mth": {"value": "lambda log10Mth: 10**log10Mth", "derived": False}}
    mcmc = {"seed": 1, "max_samples": 400, "Rminus1_stop": 0.1, "learn_proposal": True}
    info = inputs(sampled | mass, (outputs, k), likelihood)
    _, sampler = run(info | {"sampler": {"mcmc": mcmc}, "debug": 50})
    chain = sampler.products(skip_samples=0.3)["sample"]
    errors = np.sqrt(np.diag(chain.cov()))
    for i, (name, value) in enumerate(values.items()):
        assert abs(chain.mean()[i] - value) < 3 * errors[i], name
        assert errors[i] < 0.1 * np.diff(box[name])  # the data constrain it


def test_a_point_outside_the_ranges_has_no_likelihood():
    info = inputs({"sigma_8": {"prior": {"min": 0.5, "max": 1.5}}})
    assert loglike(info) == pytest.approx(truth(), rel=1e-6)
    assert loglike(info, sigma_8=1.3) == -np.inf


def test_a_theory_that_nobody_asks_changes_nothing():
    assert loglike(inputs(likelihood=None)) == 0
    outside = inputs({"sigma_8": {"prior": {"min": 0.5, "max": 1.5}}}, likelihood=None)
    assert loglike(outside, sigma_8=1.4) == 0


@pytest.mark.parametrize(
    "asked",
    [
        ("gg_total", K),
        (["gg_total", "n_g"], np.array(K)),
        ("gg_total", K[0]),
        {"halo_model": {"outputs": "gg_total mm_1h", "k": tuple(K)}},
    ],
)
def test_outputs_may_be_words_and_k_a_number(asked):
    assert loglike(inputs(asked=asked)) == pytest.approx(truth(), rel=1e-6)


@pytest.mark.parametrize("asked", [{"halo_model": None}, ["halo_model"], {"halo_model": {}}])
def test_by_default_all_outputs_come_at_the_emulators_k(asked):
    seen = {}

    def likelihood(_self=None):
        seen.update(_self.provider.get_halo_model())
        return 0.0

    assert loglike(inputs(asked=asked, likelihood=likelihood)) == 0
    assert seen.keys() == {"k", "z", "h", *emulator().outputs}
    np.testing.assert_array_equal(seen["k"], emulator().k)
    assert seen["z"] == Z
    np.testing.assert_array_equal(seen["mm_2h"], emulator()(POINT | {"z": Z})["mm_2h"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": "gg_total", "k": [0.1, 200.0]}, r"k\[1\] = 200 1/Mpc is outside \[0.01, 100"),
        ({"outputs": "gg_total", "k": [0.1, np.nan]}, r"k\[1\] = nan 1/Mpc is outside"),
        ({"outputs": "gg_total", "k": [-1.0]}, r"k\[0\] = -1 1/Mpc is outside"),
        ({"outputs": "gg_total", "k": "small"}, "k = 'small' is not a real number"),
        ({"outputs": "gg_total", "k": []}, "outputs and k must not be empty"),
        ({"outputs": [], "k": K}, "outputs and k must not be empty"),
        ({"outputs": "gg", "k": K}, "no output gg.*; there are mm_1h"),
        ({"outputs": ["gg_total", "g"]}, "no output g.*; there are mm_1h"),
        ({"outputs": 5}, "5 must be a name or a list of names"),
        (
            {"outputs": "gg_total", "ks": K},
            r"no option ks \(did you mean 'k'\?\); there",
        ),
        (["gg_total"], r"\['gg_total'\] must be a dictionary with outputs, statistics, k, z"),
    ],
)
def test_a_requirement_that_cannot_be_met_is_an_error_at_set_up(options, message):
    with pytest.raises(LoggedError, match=message):
        get_model(inputs(asked={"halo_model": options}))


def test_k_below_the_emulators_is_an_error_at_set_up_where_it_is_not_wanted():
    below = ("gg_total", [1e-3])
    assert np.isfinite(loglike(inputs(asked=below)))
    with pytest.raises(LoggedError, match=r"k\[0\] = 0.001 1/Mpc is outside"):
        get_model(inputs(asked=below, options={"extrapolate": False}))


def test_likelihoods_that_ask_for_different_k_are_an_error_at_set_up():
    info = inputs()
    other = {"halo_model": {"outputs": "mm_total", "k": [0.2]}}
    info["likelihood"]["other"] = {"external": lambda _self=None: 0.0, "requires": other}
    with pytest.raises(LoggedError, match="all likelihoods must request the same k"):
        get_model(info)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"emulater": "standard"}, LoggedError, "emulater"),
        ({"emulator": "standart"}, LoggedError, "no emulator 'standart'"),
        ({"emulator": 5}, TypeError, "emulator"),
        ({"extrapolate": "no"}, AttributeError, "extrapolate"),
        ({"extrapolate": 3}, TypeError, "extrapolate"),
        ({"renames": {"Mh": "M"}}, LoggedError, "renames: no input Mh; there are Om_c"),
        ({"ignore": 3}, TypeError, "ignore"),
        ({"z": 2.5}, LoggedError, "z = 2.5: small is for z = 0 to 2"),
        ({"z": [0.5, float("nan")]}, LoggedError, "z = nan: small is for z = 0 to 2"),
        ({"z": []}, LoggedError, "z must be a number or a list of numbers, at least one"),
        ({"z": "low"}, LoggedError, "z = 'low' is not a real number"),
        ({"renames": {"z": "zz"}}, LoggedError, "renames: no input z; there are Om_c"),
    ],
)
def test_wrong_options_are_errors_at_set_up(options, error, message):
    with pytest.raises(error, match=message):
        get_model(inputs(options=options))


MASS = {"log10Mth": {"prior": {"min": 1, "max": 9}, "drop": True}}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sigma_8": {"prior": {"min": 1.3, "max": 1.5}}}, r"sigma_8 = 1.3.*..1.* is outside the"),
        ({"Mth": 13.0}, r"Mth = 13 is outside the trained range \[1e\+10, 3e\+13\] Msun"),
        ({"w": -0.1}, r"w0 = -0.1 is outside the trained range \[-2, -0.3\]"),
        ({"Mth": float("nan")}, "Mth = nan"),
        (
            {"h": {"prior": {"dist": "norm", "loc": 70, "scale": 1}}},
            "h = .* is outside the",
        ),
        (MASS | {"Mth": {"value": "lambda log10Mth: 10**log10Mth"}}, "Mth = .* is outside the tra"),
    ],
)
def test_a_prior_that_is_wholly_outside_the_ranges_is_an_error_at_set_up(params, message):
    with pytest.raises(LoggedError, match=f"{message}.* everywhere in the prior"):
        get_model(inputs(params))


def test_a_parameter_that_is_missing_is_named():
    with pytest.raises(LoggedError, match="Requirement Mth of"):
        get_model(inputs(without=["Mth"]))


def test_an_error_of_the_emulator_stops_the_run():
    model = get_model(inputs())
    (theory,) = model.theory.values()

    def broken(*args, **options):
        raise ValueError("this is not a range")

    theory._model = broken  # noqa: SLF001 (no point in the ranges breaks a whole one)
    with pytest.raises(LoggedError, match="this is not a range"):
        model.loglike({"sigma_8": 0.82})


def test_an_output_that_was_not_asked_for_is_named():
    def likelihood(_self=None):
        return float(_self.provider.get_halo_model()["gm_1h"][0])

    with pytest.raises(KeyError, match="gm_1h was not requested: list it in the outputs"):
        loglike(inputs(likelihood=likelihood))


def test_what_a_likelihood_changes_is_not_the_cache():
    def likelihood(amplitude, _self=None):
        spectra = _self.provider.get_halo_model()
        spectra["gg_total"] *= amplitude
        return float(np.log(spectra["gg_total"][0]))

    model = get_model(inputs({"amplitude": {"prior": {"min": 1, "max": 3}}}, likelihood=likelihood))
    values = [
        model.loglike({"sigma_8": 0.82, "amplitude": a}, return_derived=False) for a in (2, 3, 1)
    ]
    np.testing.assert_allclose(values, truth() + np.log([2, 3, 1]), rtol=1e-6)


def test_numbers_are_derived_parameters():
    derived = {"n_g": {"latex": "n_g"}, "b_eff": None, "lg": {"derived": "lambda n_g: 10 * n_g"}}
    expected = emulator()(POINT | {"z": Z}, ["n_g", "b_eff"])
    for asked in (inputs(derived), inputs(derived, likelihood=None)):
        model = get_model(asked)
        values = model.logposterior({"sigma_8": 0.82}).derived
        by_name = dict(zip(model.parameterization.derived_params(), values, strict=True))
        assert by_name["n_g"] == pytest.approx(float(expected["n_g"]), rel=1e-6)
        assert by_name["b_eff"] == pytest.approx(float(expected["b_eff"]), rel=1e-6)
        assert by_name["lg"] == pytest.approx(10 * float(expected["n_g"]), rel=1e-6)


def test_a_number_can_be_required_as_a_parameter():
    def density(_self=None):
        return float(np.log(_self.provider.get_param("n_g")))

    expected = np.log(float(emulator()(POINT | {"z": Z}, "n_g")["n_g"]))
    assert loglike(inputs(asked={"n_g": None}, likelihood=density)) == pytest.approx(expected)


PHYSICAL = {"H0": 70.0, "ombh2": 0.05 * 0.49, "omch2": 0.25 * 0.49, "ns": 0.96}


def test_inputs_may_have_the_names_of_camb():
    info = inputs(PHYSICAL | {"sigma8": FREE["sigma_8"]}, without=COSMOLOGY)
    assert loglike(info, sigma8=0.82) == pytest.approx(truth(), rel=1e-5)


def test_inputs_may_be_renamed():
    info = inputs({"M_min": 1e12}, without=["Mth"], options={"renames": {"Mth": "M_min"}})
    assert loglike(info) == pytest.approx(truth(), rel=1e-6)


def test_two_names_of_one_input_must_agree():
    assert loglike(inputs({"H0": 70.0})) == pytest.approx(truth(), rel=1e-6)
    with pytest.raises(LoggedError, match="h and H0 give two values of h: 0.7 and 0.67"):
        get_model(inputs({"H0": 67.0}))


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("mnu", 0.06, 0.0),
        ("omk", 0.1, 0.0),
        ("nnu", 2.0, 3.044),
        ("fR0", 1e-5, 0.0),
        pytest.param("N_eff", 2, 3.044, marks=pytest.mark.slow),
        pytest.param("sum_mnu", 0.3, 0.0, marks=pytest.mark.slow),
        pytest.param("Omega_K", 0.1, 0.0, marks=pytest.mark.slow),
    ],
)
def test_physics_that_any_component_takes_is_refused_by_name(name, value, fine):
    def likelihood(_self=None, **params):
        return clustering(_self)

    def info(given):
        made = inputs({name: given}, likelihood=likelihood)
        made["likelihood"]["mine"]["input_params"] = [name]
        return made

    assert loglike(info(fine)) == pytest.approx(truth(), rel=1e-6)
    with pytest.raises(LoggedError, match=f"^{name} = {value:g}: the emulators know flat w0waCDM"):
        get_model(info(value))
    around = {"prior": {"min": fine - 0.1, "max": fine + 0.1}}
    with pytest.raises(LoggedError, match=f"^{name} = .*: the emulators know flat w0waCDM"):
        get_model(info(around))


def test_what_follows_from_the_inputs_must_agree_with_them():
    def likelihood(_self=None, Omega_m=None):
        return clustering(_self)

    total = POINT["Om_c"] + POINT["Om_b"]
    get_model(inputs({"Omega_m": total}, likelihood=likelihood))
    with pytest.raises(LoggedError, match="Omega_m = 0.5 does not agree with the other .*, 0.3 wo"):
        get_model(inputs({"Omega_m": 0.5}, likelihood=likelihood))


BESIDE_CAMB = PHYSICAL | {"As": {"prior": {"min": 1.8e-9, "max": 3e-9}}, "tau": 0.06}


def camb(arguments=(), **params):
    """An input with CAMB, whose arguments are massless neutrinos and a setting."""
    pytest.importorskip("camb")
    extra = {"mnu": 0.0, "num_massive_neutrinos": 0, "lmax": 500} | dict(arguments)
    return inputs(BESIDE_CAMB | params, without=COSMOLOGY, camb={"extra_args": extra})


def test_sigma_8_comes_from_camb():
    model = get_model(camb(sigma8=None, n_g=None))
    result = model.logposterior({"As": 2.3e-9})
    sigma_8, n_g = result.derived
    assert sigma_8 == pytest.approx(0.863, abs=2e-3)
    assert result.loglikes[0] == pytest.approx(truth(sigma_8=sigma_8), rel=1e-5)
    expected = emulator()(POINT | {"z": Z, "sigma_8": sigma_8}, "n_g")["n_g"]
    assert n_g == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "params", "message"),
    [
        ({"nnu": 2.0}, {}, "nnu = 2: "),
        ({"omk": 0.01}, {}, "omk = 0.01: "),
        ({"mnu": 0.06}, {}, "mnu = 0.06: "),
        ({"w": -0.9}, {}, "camb: w = -0.9 there, but w0 = -1 of the emulator"),
        ({}, {"w0": -0.9}, "camb: w0 = -1 there, but w0 = -0.9 of the emulator"),
        ({"H0": 67.0}, {"h": 0.7}, "camb: H0 = 67 there, but h = 0.7 of the emulator"),
        ({"dark_energy_model": "EarlyQuintessence"}, {}, "dark_energy_model = 'EarlyQuintessence'"),
        ({"Evolve_delta_xe": True}, {}, "Evolve_delta_xe = True is not known to the emulators"),
    ],
)
def test_physics_that_camb_is_told_is_refused_by_name(arguments, params, message):
    with pytest.raises(LoggedError, match=message):
        get_model(camb(arguments, **params))


def test_massive_neutrinos_that_camb_has_by_default_are_refused():
    pytest.importorskip("camb")
    with pytest.raises(LoggedError, match="mnu = 0.06: the emulators know flat w0waCDM"):
        get_model(inputs(BESIDE_CAMB, without=COSMOLOGY, camb={}))


def test_arguments_without_effect_can_be_ignored():
    info = camb({"Evolve_delta_xe": True})
    info["theory"][NAME]["ignore"] = "Evolve_delta_xe"
    assert get_model(info)


def test_dark_energy_is_taken_by_both():
    model = get_model(camb({"dark_energy_model": "ppf"}, w=-0.8, wa=-0.4, sigma8=None))
    result = model.logposterior({"As": 2.3e-9})
    (sigma_8,) = result.derived
    expected = truth(sigma_8=sigma_8, w0=-0.8, wa=-0.4)
    assert result.loglikes[0] == pytest.approx(expected, rel=1e-5)


def test_the_names_of_all_inputs_are_the_emulators():
    from export.adapters.cobaya_names import SOURCES

    assert set(SOURCES) == {*COSMOLOGY, "w0", "wa"}
    assert set(emulator().names) == {*SOURCES, "z", *OCCUPATION}


def test_dark_energy_may_have_the_names_of_hosts():
    assert loglike(inputs({"w": -0.8, "wa": 0.3})) == pytest.approx(truth(w0=-0.8, wa=0.3))
    assert loglike(inputs({"w0": -0.8})) == pytest.approx(truth(w0=-0.8))
    assert loglike(inputs({"w0_fld": -0.8, "wa_fld": 0.3})) == pytest.approx(truth(w0=-0.8, wa=0.3))


def test_dark_energy_that_counts_early_has_no_likelihood():
    free = {"w": {"prior": {"min": -1, "max": -0.3}}, "wa": 0.5}
    model = get_model(inputs(free))
    assert model.loglike({"sigma_8": 0.82, "w": -0.5}, return_derived=False) == -np.inf
    assert np.isfinite(model.loglike({"sigma_8": 0.82, "w": -0.7}, return_derived=False))
    with pytest.raises(LoggedError, match=r"the whole prior lies where w0 \+ wa is not below -0.1"):
        get_model(inputs({"w": -0.5, "wa": 0.5}))


def spectra(**options):
    """What likelihoods get, and the value of `clustering`."""
    seen = {}

    def likelihood(_self=None):
        seen.update(_self.provider.get_halo_model())
        return float(np.log(np.ravel(seen["gg_total"])[0]))

    return seen, loglike(inputs(likelihood=likelihood, **options))


def test_the_redshift_may_be_a_list():
    z = [1.0, 0.2, 0.0]
    asked = (["gg_total", "n_g"], K)
    seen, value = spectra(asked=asked, options={"z": z})
    expected = emulator()(POINT | {"z": z}, asked[0], K)
    np.testing.assert_array_equal(seen["z"], z)
    for name in asked[0]:
        np.testing.assert_allclose(seen[name], expected[name], rtol=1e-6)
    assert seen["gg_total"].shape == (3, 2)
    assert value == pytest.approx(truth(z=1.0))
    single, _ = spectra(options={"z": [0.2]})
    np.testing.assert_allclose(single["gg_total"], expected["gg_total"][1:2], rtol=1e-6)


def test_the_redshift_may_be_asked_for():
    asked = {"halo_model": {"outputs": "gg_total", "k": K, "z": [0.3, 1.0]}}
    seen, value = spectra(asked=asked, options={"z": None})
    assert seen["gg_total"].shape == (2, 2)
    assert value == pytest.approx(truth(z=0.3))
    with pytest.raises(
        LoggedError, match=r"z = \[0.3 1. \] is requested, but .* the option z: 0.5"
    ):
        get_model(inputs(asked=asked))
    asked["halo_model"]["z"] = 0.5
    assert loglike(inputs(asked=asked)) == pytest.approx(truth())


def test_the_redshift_may_be_a_parameter():
    free = {"z": {"prior": {"min": 0, "max": 3}}}
    info = inputs(free, options={"z": None})
    model = get_model(info)
    for z in (0.0, 0.7):
        ours = model.loglike({"sigma_8": 0.82, "z": z}, return_derived=False)
        assert ours == pytest.approx(truth(z=z))
    assert model.loglike({"sigma_8": 0.82, "z": 2.5}, return_derived=False) == -np.inf
    renamed = inputs({"z_eff": 0.7}, options={"z": None, "renames": {"z": "z_eff"}})
    assert loglike(renamed) == pytest.approx(truth(z=0.7))
    seen, _ = spectra(params={"z": 0.7}, options={"z": None})
    assert seen["z"] == 0.7


@pytest.mark.parametrize(
    ("params", "asked", "z", "message"),
    [
        ({}, ("gg_total", K), None, "no redshift: the emulator is for z = 0 to 2; give the theory"),
        ({"n_g": None}, ["halo_model"], [0.5, 1.0], "n_g cannot be a parameter at 2 redshifts"),
        (
            {"z": 0.5},
            {"halo_model": {"z": 0.5}},
            None,
            "z is both requested and a parameter; remov",
        ),
        ({}, {"halo_model": {"z": 5.0}}, None, "halo_model: z = 5: small is for z = 0 to 2"),
        ({"z": 2.5}, ("gg_total", K), None, "z = 2.5 is outside the trained range"),
    ],
)
def test_redshifts_that_cannot_be_are_errors_at_set_up(params, asked, z, message):
    with pytest.raises(LoggedError, match=message):
        get_model(inputs(params, asked, options={"z": z}))


def test_likelihoods_that_ask_for_different_redshifts_are_an_error_at_set_up():
    info = inputs(
        asked={"halo_model": {"outputs": "gg_total", "k": K, "z": 0.5}}, options={"z": None}
    )
    other = {"halo_model": {"outputs": "mm_total", "k": K}}
    info["likelihood"]["other"] = {"external": lambda _self=None: 0.0, "requires": other}
    with pytest.raises(LoggedError, match="all likelihoods must request the same k and z"):
        get_model(info)


def test_a_list_of_one_redshift_has_derived_parameters():
    model = get_model(inputs({"f_sat": None}, likelihood=None, options={"z": [1.0]}))
    (f_sat,) = model.logposterior({"sigma_8": 0.82}).derived
    expected = emulator()(POINT | {"z": 1.0}, "f_sat")["f_sat"]
    assert f_sat == pytest.approx(float(expected), rel=1e-6)


def test_what_an_emulator_holds_fixed(small_file, tmp_path):
    path = shutil.copy(small_file, tmp_path / "fixed.onnx")
    parameters = load(path).metadata["parameters"]
    for name, value in {"z": 0.5, "alpha": 0.9, "w0": -0.9}.items():
        parameters[name] |= {"low": value, "high": value, "default": value}
    rewrite(path, parameters=parameters)
    options = {"emulator": str(path), "z": None}
    info = inputs({"w": -0.9}, without=["alpha"], options=options)
    assert loglike(info) == pytest.approx(truth(w0=-0.9))
    with pytest.raises(LoggedError, match=r"w0 = -1 is outside the trained range \[-0.9, -0.9\]"):
        get_model(inputs(options=options))
    with pytest.raises(LoggedError, match="z = 1: fixed is for z = 0.5 only"):
        get_model(inputs(options=options | {"z": 1.0}))


def test_galaxies_of_another_occupation():
    info = inputs(ZHENG07, options={"occupation": "zheng07"}, without=OCCUPATION.keys() - {"alpha"})
    at = get_model(info).loglike({"sigma_8": 0.82}, return_derived=False)
    model = load(THEORY["emulator"], occupation="zheng07")
    expected = model(COSMOLOGY | ZHENG07 | {"z": Z}, "gg_total", K)["gg_total"][0]
    assert float(at) == pytest.approx(float(np.log(expected)), rel=1e-5)
    with pytest.raises(LoggedError, match="no occupation 'zheng'"):
        get_model(inputs(options={"occupation": "zheng"}))


def test_two_populations_have_a_cross_power():
    both = {"red": "zheng07", "blue": "linke22"}
    given = {f"red_{n}": v for n, v in ZHENG07.items()}
    given |= {f"blue_{n}": v for n, v in OCCUPATION.items()}

    def cross(_self=None):
        return float(np.log(_self.provider.get_halo_model()["red_blue_gg_total"][0]))

    info = inputs(
        given | {"red_n_g": {"latex": "n"}}, (["red_blue_gg_total"], K), cross,
        without=OCCUPATION, options={"occupation": both},
    )  # fmt: skip
    at, derived = get_model(info).loglike({"sigma_8": 0.82})
    expected = load(THEORY["emulator"], occupation=both)(COSMOLOGY | given | {"z": Z}, k=K)
    assert float(at) == pytest.approx(float(np.log(expected["red_blue_gg_total"][0])), rel=1e-5)
    assert derived == pytest.approx([expected["red_n_g"]], rel=1e-5)


def test_what_another_code_takes_for_its_own_is_named():
    """alpha_s: of galaxies the slope of a mass function, of CLASS the running of n_s."""
    from cobaya.theories.cosmo import BoltzmannBase

    class Code(BoltzmannBase):
        extra_args: dict = {}
        path = None

        def get_can_support_params(self):
            return ["alpha_s", "h"]

        def must_provide(self, **requirements):
            return {}

        def calculate(self, state, want_derived=True, **params):
            return True

    names = [p.name for p in load(THEORY["emulator"], occupation="cacciato13").parameters]
    point = centre(load(THEORY["emulator"], occupation="cacciato13"))
    free = {n: v for n, v in point.items() if n in names and n not in ("z", "sigma_8")}
    info = inputs(free, options={"occupation": "cacciato13"}, without=OCCUPATION, code=Code)
    with pytest.raises(LoggedError, match="alpha_s = .*takes alpha_s of the galaxies: use 'renam"):
        get_model(info)
