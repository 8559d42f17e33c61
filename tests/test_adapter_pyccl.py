"""Emulators inside pyccl: projected by it, and held to the physics of its cosmologies."""

import inspect

import numpy as np
import pytest
from hosts import OCCUPATION, POINT

from export.redshifts import Redshifts
from export.runtime import load

pyccl = pytest.importorskip("pyccl")

from export.adapters.for_pyccl import HaloModelPk  # noqa: E402 (it needs pyccl)

# pyccl: its own halo model at the same masses, splined over the same redshifts, is what its
# angular spectra are compared with; 768 masses are good to 1e-3 per term.
PROJECTED = 3e-3
INPUTS = {"Omega_c": 0.25, "Omega_b": 0.05, "h": 0.7, "sigma8": 0.82, "n_s": 0.96}
SCALES = np.linspace(0.1, 1, 30)


def cosmology(kind=pyccl.Cosmology, **more):
    return kind(**INPUTS | more)


@pytest.fixture(scope="module")
def galaxies():
    return HaloModelPk("gg_total", **OCCUPATION)


@pytest.fixture(scope="module")
def true_spectra():
    """Spectra of pyccl's own halo model at the emulators' redshifts, by output."""
    from benchmarks.pyccl_model import PycclHaloModel
    from datagen.halomodel import HaloModelConfig, KGrid

    z = Redshifts().z[::-1]
    grid = KGrid(low=1e-4, high=1e2, points=300)
    theta = np.array([list(POINT.values())])
    terms = [PycclHaloModel(HaloModelConfig(z=float(one), k=grid))(theta) for one in z]
    return {
        f"{xy}_total": pyccl.Pk2D(
            a_arr=1 / (1 + z),
            lk_arr=np.log(grid.values()),
            pk_arr=np.log([at[f"{xy}_1h"][0] + at[f"{xy}_2h"][0] for at in terms]),
            is_logp=True,
        )
        for xy in ("gg", "gm")
    }


@pytest.mark.parametrize(("output", "lens"), [("gg_total", True), ("gm_total", False)])
def test_pyccl_projects_it_to_angular_spectra(true_spectra, output, lens):
    cosmo = cosmology()
    ours = HaloModelPk(output, **OCCUPATION).get_pk2d(cosmo)
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


def test_pyccl_gets_the_emulators_numbers():
    k, Pk = HaloModelPk("gm_1h", **OCCUPATION).get_pk_at_a(cosmology(), 1.0)
    inside = k >= 0.01
    np.testing.assert_allclose(Pk[inside], load("standard")(POINT, k=k[inside])["gm_1h"], rtol=1e-5)


def test_below_the_grid_it_goes_on_as_linear_theory_does():
    k, Pk = HaloModelPk("P_lin", **OCCUPATION).get_pk_at_a(cosmology(), [1.0, 0.5])
    error = np.abs(Pk / cosmology().linear_matter_power(k, np.array([1.0, 0.5])) - 1)
    for low, high, claim in ((1e-4, 1e-3, 0.018), (1e-3, 1e-2, 0.009), (1e-2, 10, 2e-3)):
        assert error[:, (k >= low) & (k <= high)].max() < claim  # the docs' 99 %, then a spline's


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
    with pytest.raises(ValueError, match="A_s: this cosmology cannot make sigma8 of it"):
        galaxies.get_pk2d(nothing_to_compute_it_from)


# Every argument of a cosmology: a value that differs from the labels', and whether spectra of the
# halo model depend on it.
PHYSICS = {
    "Omega_k": 0.1,
    "Omega_g": 0.0,
    "Neff": 2.0,
    "m_nu": [0.0, 0.0, 0.06],
    "w0": -0.9,
    "wa": 0.1,
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
    "extra_parameters": {"camb": {"kmax": 50.0, "halofit_version": "mead2020"}},
}


@pytest.mark.parametrize(("name", "value"), PHYSICS.items(), ids=PHYSICS)
def test_physics_that_the_emulators_do_not_know_is_refused_by_name(galaxies, name, value):
    by = {"mg_parametrization": "mu_0", "extra_parameters": "extra_parameters.camb.HMCode_logT_AGN"}
    with pytest.raises(ValueError, match=f"^{by.get(name, name)} = .*flat LCDM without massive"):
        galaxies.get_pk2d(cosmology(**{name: value}))


@pytest.mark.parametrize(("name", "value"), NEUTRAL.items(), ids=NEUTRAL)
def test_what_spectra_do_not_depend_on_is_accepted(galaxies, name, value):
    Pk = galaxies.get_pk2d(cosmology(**{name: value}))
    assert Pk(0.1, 1.0) == galaxies.get_pk2d(cosmology())(0.1, 1.0)


def test_every_argument_of_a_cosmology_is_decided():
    arguments = set(inspect.signature(pyccl.Cosmology).parameters) - {"self"}
    assert arguments == {*INPUTS, "A_s", *PHYSICS, *NEUTRAL}


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

    with pytest.raises(ValueError, match="early_dark_energy = 0.1: the emulators know flat LCDM"):
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


def test_it_can_be_a_cosmologys_own_power():
    linear = HaloModelPk("P_lin", **OCCUPATION)
    cosmo = cosmology(
        transfer_function=linear, matter_power_spectrum=HaloModelPk("mm_total", **OCCUPATION)
    )
    np.testing.assert_allclose(
        cosmo.linear_matter_power(0.1, 1.0), load("standard")(POINT, "P_lin", 0.1)["P_lin"], 1e-3
    )


def test_k_and_z_beyond_the_emulators_are_named(galaxies):
    Pk = galaxies.get_pk2d(cosmology())
    for k, a, message in (
        (200.0, 1.0, r"k = 200 is outside \[0.0001, 100\] 1/Mpc, where the emulators are"),
        ([1.0, 1e-5], 1.0, "k = 1e-05 is outside"),
        (1.0, 0.4, r"a = 0.4 is outside \[0.5, 1\] \(z up to 1\)"),
        (1.0, [0.9, np.nan], "a = nan is outside"),
    ):
        for cosmo in (None, cosmology()):  # with it, pyccl itself would go on
            with pytest.raises(ValueError, match=message):
                Pk(k, a, cosmo)
    assert Pk([1e-4, 100.0], [0.5, 1.0]).shape == (2, 2)


def test_a_projection_beyond_the_redshifts_is_an_error_unless_asked_for(galaxies):
    cosmo = cosmology()
    Pk = galaxies.get_pk2d(cosmo)
    further = HaloModelPk("gg_total", extrapolate=True, **OCCUPATION).get_pk2d(cosmo)
    near, _ = tracer(cosmo, 0.2, 0.8)
    C = [pyccl.angular_cl(cosmo, near, near, [100], p_of_k_a=P) for P in (Pk, further)]
    np.testing.assert_array_equal(*C)
    far, _ = tracer(cosmo, 0.2, 1.4, peak=0.95)
    Pk(1.0, 1.0, cosmo)  # which must not switch it on
    with pytest.raises(pyccl.CCLError, match="integration error"):
        pyccl.angular_cl(cosmo, far, far, [100], p_of_k_a=Pk)
    further(1.0, 1.0)  # nor off
    assert 0 < pyccl.angular_cl(cosmo, far, far, [100], p_of_k_a=further)[0] < C[0][0]
    assert 0 < further(1.0, 0.4) < Pk(1.0, 0.5)
    assert 0 < further(200.0, 1.0) < Pk(100.0, 1.0)


def test_spectra_that_are_not_positive_are_splined_as_they_are(galaxies, monkeypatch):
    shape = (len(galaxies.redshifts.z), 400)
    monkeypatch.setattr(HaloModelPk, "_at_redshifts", lambda self, cosmo: np.full(shape, -3.0))
    assert galaxies.get_pk2d(cosmology())(0.1, 0.9) == pytest.approx(-3.0)


def test_the_adapter_names_what_is_asked_for_wrongly(galaxies):
    with pytest.raises(ValueError, match="occupation has alpha; expected alpha, sigma, Mth"):
        HaloModelPk("gg_total", alpha=1.0)
    with pytest.raises(ValueError, match=r"alpha = \[0.9, 0.8\] must be one number; make a Halo"):
        HaloModelPk("gg_total", **OCCUPATION | {"alpha": [0.9, 0.8]})
    with pytest.raises(ValueError, match="no output gg; there are"):
        HaloModelPk("gg", **OCCUPATION)
    with pytest.raises(ValueError, match="n_g is a number, no spectrum; there are mm_1h"):
        HaloModelPk("n_g", **OCCUPATION)
    with pytest.raises(ValueError, match="pyccl interpolates between 4 redshifts or more"):
        HaloModelPk("gg_total", "standard", **OCCUPATION).get_pk2d(cosmology())
    with pytest.raises(ValueError, match="a = 0.9 is not of an emulator, which are at z = "):
        galaxies.get_pk_at_a(cosmology(), 0.9)
    with pytest.raises(ValueError, match="a = 0.0 must be above 0 and at most 1"):
        galaxies.get_pk_at_a(cosmology(), 0.0)
    with pytest.raises(TypeError, match="'Planck18' must be a pyccl.Cosmology"):
        galaxies.get_pk2d("Planck18")
