"""An emulator inside pyccl: projected by it, and held to the physics of its cosmologies."""

import inspect
import shutil

import numpy as np
import pytest
from support.hosts import COSMOLOGY, OCCUPATION, POINT, ZHENG07
from support.small_emulator import analytic_power

from export.runtime import load
from export.to_onnx import rewrite

pyccl = pytest.importorskip("pyccl")

from export.adapters.for_pyccl import HaloModelPk  # noqa: E402 (it needs pyccl)

PROJECTED = 1e-3  # the small emulator's error, and a spline's; a wrong z or unit is far above
INPUTS = {"Omega_c": 0.25, "Omega_b": 0.05, "h": 0.7, "sigma8": 0.82, "n_s": 0.96}
SCALES = np.linspace(0.1, 1, 30)
DARK_ENERGY = {"w0": -0.9, "wa": 0.3}


def cosmology(kind=pyccl.Cosmology, **more):
    return kind(**INPUTS | more)


@pytest.fixture(scope="module")
def emulator(small_file):
    return load(small_file)


@pytest.fixture(scope="module")
def make(emulator):
    """A spectrum of the small emulator."""
    return lambda output, **options: HaloModelPk(output, emulator, **OCCUPATION | options)


@pytest.fixture(scope="module")
def galaxies(make):
    return make("gg_total")


@pytest.fixture(scope="module")
def today(small_file, tmp_path_factory):
    """A file of z = 0 alone."""
    path = shutil.copy(small_file, tmp_path_factory.mktemp("today") / "today.onnx")
    parameters = load(path).metadata["parameters"]
    parameters["z"] |= {"low": 0.0, "high": 0.0, "default": 0.0}
    rewrite(path, parameters=parameters)
    return path


@pytest.fixture(scope="module")
def true_spectra():
    """Spectra of the label code, on finer redshifts than the adapter's, by output."""
    from datagen.halomodel import HaloModel, HaloModelConfig, KGrid
    from datagen.space import Space

    z, grid = np.linspace(2, 0, 60), KGrid(low=1e-4, high=1e2, points=200)
    point = POINT | DARK_ENERGY
    theta = np.array([[point.get(name, each) for name in Space().names] for each in z])
    at = HaloModel(HaloModelConfig(k=grid), analytic_power())(theta)
    return {
        f"{xy}_total": pyccl.Pk2D(
            a_arr=1 / (1 + z),
            lk_arr=np.log(grid.values()),
            pk_arr=np.log(at[f"{xy}_1h"] + at[f"{xy}_2h"]),
            is_logp=True,
        )
        for xy in ("gg", "gm")
    }


@pytest.mark.parametrize(("output", "lens"), [("gg_total", True), ("gm_total", False)])
def test_pyccl_projects_it_to_angular_spectra(make, true_spectra, output, lens):
    cosmo = cosmology(**DARK_ENERGY)
    ours = make(output).get_pk2d(cosmo)
    lenses, (z, density) = tracer(cosmo, 0.2, 0.8)
    other = lenses if lens else pyccl.WeakLensingTracer(cosmo, dndz=(z + 0.3, density))
    ell = np.geomspace(30, 3000, 12)
    C = [
        pyccl.angular_cl(cosmo, lenses, other, ell, p_of_k_a=P)
        for P in (ours, true_spectra[output])
    ]
    np.testing.assert_allclose(C[0], C[1], rtol=PROJECTED)


def tracer(cosmo, low, high, peak=0.5):
    """Counts of galaxies from one redshift to another."""
    z = np.linspace(low, high, 100)
    density = z, np.exp(-0.5 * ((z - peak) / 0.1) ** 2)
    bias = z, np.ones(100)
    return pyccl.NumberCountsTracer(cosmo, has_rsd=False, dndz=density, bias=bias), density


def test_pyccl_gets_the_emulators_numbers_at_any_scale_factor(make, emulator):
    a = np.array([1.0, 0.61803, 1 / 3])
    for more in ({}, DARK_ENERGY):
        k, Pk = make("gm_1h").get_pk_at_a(cosmology(**more), a)
        inside = k >= 0.01
        expected = emulator(POINT | more | {"z": 1 / a - 1}, k=k[inside])["gm_1h"]
        np.testing.assert_allclose(Pk[:, inside], expected, rtol=1e-6)
        _, alone = make("gm_1h").get_pk_at_a(cosmology(**more), a[1])
        np.testing.assert_allclose(alone, Pk[1], rtol=1e-6)


def test_a_pk2d_between_its_scale_factors_is_the_emulator(galaxies):
    cosmo, a = cosmology(**DARK_ENERGY), np.linspace(1 / 3, 1, 101)
    k, Pk = galaxies.get_pk_at_a(cosmo, a)
    np.testing.assert_allclose(galaxies.get_pk2d(cosmo)(k, a), Pk, rtol=2e-4)  # as documented


@pytest.mark.parametrize(("w0", "wa"), [(-1.0, 0.0), (-0.4, -1.8), (-1.9, 0.9)])
def test_linear_power_grows_as_pyccl_says(make, w0, wa):
    cosmo, a = cosmology(w0=w0, wa=wa), np.array([1.0, 0.8, 0.5, 1 / 3])
    _, Pk = make("P_lin").get_pk_at_a(cosmo, a)
    growth = pyccl.growth_factor(cosmo, a) / pyccl.growth_factor(cosmo, 1.0)
    np.testing.assert_allclose(Pk[:, 200] / Pk[0, 200], growth**2, rtol=1e-3)


def test_below_the_grid_it_goes_on_as_linear_theory_does(make):
    k, Pk = make("P_lin").get_pk_at_a(cosmology(), 1.0)
    ln_P, _ = analytic_power()({name: np.array([value]) for name, value in COSMOLOGY.items()})
    error = np.abs(Pk / np.exp(ln_P(np.log(k))[..., 0]) - 1)
    assert error[k < 0.01].max() < 2e-3


def test_what_is_handed_out_can_be_changed_without_harm(galaxies):
    k, Pk = galaxies.get_pk_at_a(cosmology(), 1.0)
    before = k.copy(), Pk.copy()
    k /= 0.7
    Pk *= 0.7**3
    for now, then in zip(galaxies.get_pk_at_a(cosmology(), 1.0), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_an_amplitude_A_s_is_turned_into_sigma_8(galaxies):
    by_A_s = cosmology(sigma8=None, A_s=2.1e-9)
    by_sigma_8 = cosmology(sigma8=by_A_s.sigma8())
    np.testing.assert_allclose(
        galaxies.get_pk_at_a(by_A_s, 1.0)[1], galaxies.get_pk_at_a(by_sigma_8, 1.0)[1], rtol=1e-6
    )
    nothing_to_compute_it_from = cosmology(pyccl.CosmologyCalculator, sigma8=None, A_s=2.1e-9)
    with pytest.raises(ValueError, match="A_s: this cosmology cannot compute sigma8"):
        galaxies.get_pk2d(nothing_to_compute_it_from)


# Every argument of a cosmology: a value that differs from the labels', and whether spectra of the
# halo model depend on it.
PHYSICS = {
    "Omega_k": 0.1,
    "Omega_g": 0.0,
    "Neff": 2.0,
    "m_nu": [0.0, 0.0, 0.06],
    "T_CMB": 2.7,
    "transfer_function": "eisenstein_hu",
    "baryonic_effects": pyccl.BaryonsSchneider15(),
    "mg_parametrization": pyccl.modified_gravity.MuSigmaMG(mu_0=0.1),
    "extra_parameters": {"camb": {"HMCode_logT_AGN": 7.8}},
}
NEUTRAL = {
    "Neff": 3.046,
    "T_CMB": 2.725,
    "T_ncdm": 0.7,
    "mass_split": "single",
    "m_nu": 0,
    "Omega_g": cosmology()["Omega_g"],
    "transfer_function": "boltzmann_class",
    "matter_power_spectrum": "linear",
    "mg_parametrization": pyccl.modified_gravity.MuSigmaMG(),
    "extra_parameters": {"camb": {"kmax": 50.0, "dark_energy_model": "ppf"}},
}


@pytest.mark.parametrize(("name", "value"), PHYSICS.items(), ids=PHYSICS)
def test_physics_that_the_emulators_do_not_know_is_refused_by_name(galaxies, name, value):
    by = {"mg_parametrization": "mu_0", "extra_parameters": "extra_parameters.camb.HMCode_logT_AGN"}
    with pytest.raises(ValueError, match=f"^{by.get(name, name)} = .*flat w0waCDM without massive"):
        galaxies.get_pk2d(cosmology(**{name: value}))


@pytest.mark.parametrize(("name", "value"), NEUTRAL.items(), ids=NEUTRAL)
def test_what_spectra_do_not_depend_on_is_accepted(galaxies, name, value):
    Pk = galaxies.get_pk2d(cosmology(**{name: value}))
    assert Pk(0.1, 1.0) == galaxies.get_pk2d(cosmology())(0.1, 1.0)


def test_every_argument_of_a_cosmology_is_decided():
    arguments = set(inspect.signature(pyccl.Cosmology).parameters) - {"self"}
    assert arguments == {*INPUTS, *DARK_ENERGY, "A_s", *PHYSICS, *NEUTRAL}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mass_split": "equal", "m_nu": 0.1}, "m_nu = 0.1: "),
        ({"extra_parameters": {"class": {"Omega_scf": 0.1}}}, "extra_parameters.class.Omega_scf"),
        ({"extra_parameters": {"new": 3}}, "extra_parameters.new = 3"),
        ({"extra_parameters": {"camb": {"halofit_version": "mead2020_feedback"}}}, "halofit_versi"),
        ({"transfer_function": pyccl.emulators.EmulatorPk()}, "lin_pk_emu = "),
        ({"mg_parametrization": pyccl.modified_gravity.MuSigmaMG(sigma_0=0.1)}, "sigma_0 = 0.1: "),
    ],
)
def test_further_physics_is_refused_by_name(galaxies, more, message):
    with pytest.raises(ValueError, match=message):
        galaxies.get_pk2d(cosmology(**more))


def test_physics_of_a_later_pyccl_is_refused_before_anybody_wrote_its_name(galaxies):
    class Later(pyccl.Cosmology):
        __eq_attrs__ = (*pyccl.Cosmology.__eq_attrs__, "early_dark_energy")
        early_dark_energy = 0.1

    with pytest.raises(
        ValueError, match="early_dark_energy = 0.1: the emulators know flat w0waCDM"
    ):
        galaxies.get_pk2d(cosmology(Later))


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("background", {"a": SCALES, "chi": 9000 * (1 - SCALES), "h_over_h0": SCALES**-1.5}),
        ("growth", {"a": SCALES, "growth_factor": SCALES, "growth_rate": np.ones(30)}),
        (
            "pk_linear",
            {"a": SCALES, "k": np.geomspace(1e-4, 10, 60), "delta_matter:delta_matter": None},
        ),
    ],
)
def test_a_calculators_own_arrays_are_refused(galaxies, name, arrays):
    arrays = {key: np.ones((30, 60)) if it is None else it for key, it in arrays.items()}
    with pytest.raises(ValueError, match=f"^{name} = given: .* leave {name} out of the cosmology"):
        galaxies.get_pk2d(cosmology(pyccl.CosmologyCalculator, **{name: arrays}))


def test_cosmologies_of_other_makers_are_accepted(galaxies):
    vanilla = galaxies.get_pk2d(pyccl.CosmologyVanillaLCDM())
    assert vanilla(0.1, 1.0) == galaxies.get_pk2d(cosmology(h=0.67, sigma8=0.81))(0.1, 1.0)
    calculator = galaxies.get_pk2d(cosmology(pyccl.CosmologyCalculator))
    assert calculator(0.1, 1.0) == galaxies.get_pk2d(cosmology())(0.1, 1.0)


def test_it_can_be_a_cosmologys_own_power(make, emulator):
    cosmo = cosmology(
        transfer_function=make("P_lin"), matter_power_spectrum=make("mm_total"), **DARK_ENERGY
    )
    expected = emulator(POINT | DARK_ENERGY | {"z": 1.0}, ["P_lin", "mm_total"], 0.1)
    for power, name in (
        (cosmo.linear_matter_power, "P_lin"),
        (cosmo.nonlin_matter_power, "mm_total"),
    ):
        np.testing.assert_allclose(power(0.1, 0.5), expected[name], rtol=2e-4)


def test_dark_energy_that_counts_early_is_refused(galaxies):
    with pytest.raises(ValueError, match=r"lies where w0 \+ wa is not below -0.1"):
        galaxies.get_pk_at_a(cosmology(w0=-0.5, wa=0.45), 1.0)
    with pytest.raises(ValueError, match="w0 = -0.2 is outside the trained range"):
        galaxies.get_pk2d(cosmology(w0=-0.2))


def test_k_and_z_beyond_the_emulator_are_named(galaxies):
    Pk = galaxies.get_pk2d(cosmology())
    for k, a, message in (
        (200.0, 1.0, r"k = 200 is outside \[0.0001, 100\] 1/Mpc, where the emulator holds"),
        ([1.0, 1e-5], 1.0, "k = 1e-05 is outside"),
        (1.0, 0.3, r"a = 0.3 is outside \[0.3333, 1\] \(z from 0 to 2\)"),
        (1.0, [0.9, np.nan], "a = nan is outside"),
        (1.0, 1.1, "a = 1.1 is outside"),
    ):
        for cosmo in (None, cosmology()):  # with it, pyccl itself would go on
            with pytest.raises(ValueError, match=message):
                Pk(k, a, cosmo)
    assert Pk([1e-4, 100.0], [1 / 3, 1.0]).shape == (2, 2)


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (0.25, "^a = 0.25, z = 3: small is for z = 0 to 2$"),
        ([1.0, 0.25], "^a = 0.25, z = 3: small is for"),
        (0.0, "^a = 0, z = inf: "),
        (-1.0, "^a = -1, z = -2: "),
        (1.01, "^a = 1.01, z = -0.00990099: "),
        (float("nan"), "^a = nan, z = nan: "),
        ([], r"^a has shape \(0,\), expected a number or \(N,\)"),
        ([[1.0, 0.5]], r"^a has shape \(1, 2\), expected a number or \(N,\)"),
    ],
)
def test_scale_factors_that_the_emulator_does_not_have_are_named(galaxies, a, message):
    with pytest.raises(ValueError, match=message):
        galaxies.get_pk_at_a(cosmology(), a)


def test_a_file_of_one_redshift_is_for_one_scale_factor(today):
    Pk = HaloModelPk("gg_total", today, **OCCUPATION)
    k, values = Pk.get_pk_at_a(cosmology(), 1.0)
    inside = k >= 0.01
    expected = load(today)(POINT, "gg_total", k[inside])["gg_total"]
    np.testing.assert_allclose(values[inside], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="a = 0.5, z = 1: today is for z = 0 only"):
        Pk.get_pk_at_a(cosmology(), 0.5)
    with pytest.raises(
        ValueError, match=r"today is for z = 0 only, .*; use get_pk_at_a\(cosmo, 1\)"
    ):
        Pk.get_pk2d(cosmology())


def test_a_projection_beyond_the_redshifts_is_an_error_unless_asked_for(make, galaxies):
    cosmo = cosmology()
    Pk = galaxies.get_pk2d(cosmo)
    further = make("gg_total", extrapolate=True).get_pk2d(cosmo)
    near, _ = tracer(cosmo, 0.2, 0.8)
    C = [pyccl.angular_cl(cosmo, near, near, [100], p_of_k_a=P) for P in (Pk, further)]
    np.testing.assert_array_equal(*C)
    far, _ = tracer(cosmo, 0.2, 2.6, peak=1.9)
    Pk(1.0, 1.0, cosmo)  # which must not switch it on
    with pytest.raises(pyccl.CCLError, match="integration error"):
        pyccl.angular_cl(cosmo, far, far, [100], p_of_k_a=Pk)
    further(1.0, 1.0)  # nor off
    assert 0 < pyccl.angular_cl(cosmo, far, far, [100], p_of_k_a=further)[0] < C[0][0]
    assert 0 < further(1.0, 0.3) < Pk(1.0, 0.5)
    assert 0 < further(200.0, 1.0) < Pk(100.0, 1.0)


def test_spectra_that_are_not_positive_are_splined_as_they_are(galaxies, monkeypatch):
    monkeypatch.setattr(HaloModelPk, "_at", lambda self, cosmo, z: np.full((len(z), 400), -3.0))
    assert galaxies.get_pk2d(cosmology())(0.1, 0.9) == pytest.approx(-3.0)


def test_the_adapter_names_what_is_asked_for_wrongly(make, galaxies):
    known = "occupation linke22 has alpha, sigma, Mth.*; given are "
    with pytest.raises(ValueError, match=f"{known}alpha$"):
        HaloModelPk("gg_total", galaxies.emulator, alpha=1.0)
    with pytest.raises(ValueError, match=f"{known}.*, z$"):
        make("gg_total", z=0.5)
    with pytest.raises(ValueError, match=r"alpha = \[0.9, 0.8\] must be one number; make a Halo"):
        make("gg_total", alpha=[0.9, 0.8])
    with pytest.raises(ValueError, match="no output gg; there are"):
        make("gg")
    with pytest.raises(ValueError, match="n_g is a number, no spectrum; there are mm_1h"):
        make("n_g")
    with pytest.raises(FileNotFoundError, match="no emulator 'standart'"):
        HaloModelPk("gg_total", "standart", **OCCUPATION)
    with pytest.raises(TypeError, match="'Planck18' must be a pyccl.Cosmology"):
        galaxies.get_pk2d("Planck18")


def test_galaxies_of_another_occupation(small_file):
    ours = HaloModelPk("gg_total", small_file, occupation="zheng07", **ZHENG07)
    k, Pk = ours.get_pk_at_a(cosmology(), 0.5)
    expected = load(small_file, occupation="zheng07")(
        COSMOLOGY | ZHENG07 | {"z": 1.0}, "gg_total", k, extrapolate=True
    )
    np.testing.assert_allclose(Pk, expected["gg_total"], rtol=1e-5)
    with pytest.raises(ValueError, match="occupation zheng07 has log10Mmin, .*; given are alpha, "):
        HaloModelPk("gg_total", small_file, occupation="zheng07", **OCCUPATION)
    with pytest.raises(ValueError, match="no occupation 'zheng'"):
        HaloModelPk("gg_total", small_file, occupation="zheng", **OCCUPATION)


def test_two_populations_have_a_cross_power(small_file):
    both = {"red": "zheng07", "blue": "linke22"}
    given = {f"red_{n}": v for n, v in ZHENG07.items()}
    given |= {f"blue_{n}": v for n, v in OCCUPATION.items()}
    ours = HaloModelPk("red_blue_gg_total", small_file, occupation=both, **given)
    k, Pk = ours.get_pk_at_a(cosmology(), 0.5)
    model = load(small_file, occupation=both)
    expected = model(COSMOLOGY | given | {"z": 1.0}, k=k, extrapolate=True)
    np.testing.assert_allclose(Pk, expected["red_blue_gg_total"], rtol=1e-5)
    assert float(ours.get_pk2d(cosmology())(1.0, 0.5)) > 0
    with pytest.raises(ValueError, match="no output gg_total; there are .*red_gg_total"):
        HaloModelPk("gg_total", small_file, occupation=both, **given)


def test_an_open_emulator_keeps_its_galaxies(emulator):
    with pytest.raises(ValueError, match="occupation: small is open already, with linke22"):
        HaloModelPk("gg_total", emulator, occupation="zheng07", **ZHENG07)
