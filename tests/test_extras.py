"""What may be added to any occupation: labels against pyccl, emulators against labels."""

import numpy as np
import pyccl
import pytest
from scipy.special import j0
from support.small_emulator import SPACE, analytic_power

from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.occupations import EXTRAS, Extended, occupation
from datagen.occupations.extras import central_profile, damping, total
from datagen.occupations.functions import NUMPY
from datagen.space import BACKGROUND, Space
from datagen.store import Spectra
from export.populations import OccupationError, as_occupation
from export.runtime import load

TERMS = ("mm_1h", "gm_1h", "gm_2h", "gg_1h", "gg_2h", "n_g", "b_eff", "f_sat")
ALL = "zheng07+incompleteness+c_sat+off_centring+damping+transition"
NETWORK = 1e-2  # of the small emulator, at 95 % of (point, k)
COSMOLOGIES = {name: SPACE[name] for name in BACKGROUND}


def points(name, many, seed=1, **fixed):
    """Points of an occupation, some parameters the same everywhere."""
    space = Space(**COSMOLOGIES, occupation=name)
    theta = space.from_unit(np.random.default_rng(seed).random((many, len(space.names))))
    for parameter, value in fixed.items():
        theta[:, space.names.index(parameter)] = value
    return space, theta


def labels(name, theta):
    return HaloModel(HaloModelConfig(), analytic_power(), name)(theta)


def neutral(extra):
    return {p.name: p.default for p in EXTRAS[extra]}


@pytest.mark.parametrize("extra", EXTRAS)
def test_defaults_change_nothing(small_file, extra):
    space, theta = points(f"zheng07+{extra}", 5, **neutral(extra))
    plain = theta[:, [space.names.index(n) for n in Space(occupation="zheng07").names]]
    found = labels(space.occupation, theta)
    for name, values in labels("zheng07", plain).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)
    with_more, without = (
        load(small_file, occupation=space.occupation),
        load(small_file, occupation="zheng07"),
    )
    for name, values in without(plain).items():
        error = 5e-3 if extra == "c_sat" else 1e-5  # products of profiles averaged by themselves
        np.testing.assert_allclose(with_more(theta)[name], values, rtol=error)
    short = dict(zip(without.names, plain.T, strict=True))
    np.testing.assert_array_equal(with_more(short)["gg_1h"], with_more(theta)["gg_1h"])


@pytest.mark.parametrize("name", [*(f"zheng07+{extra}" for extra in EXTRAS), ALL,
                                  "linke22+off_centring+damping", "gaussian+c_sat"])  # fmt: skip
def test_an_emulator_has_what_labels_have(small_file, name):
    space, theta = points(name, 40)
    true = labels(name, theta)
    emulator = load(small_file, occupation=name)
    assert emulator.names == space.names
    spectra = emulator(theta, out_of_range="nan")
    seen = (true["n_g"] > 1e-7) & (true["b_eff"] < 20) & (true["f_sat"] > 1e-3)
    assert seen.sum() > 15
    for term in TERMS:
        error = np.abs(spectra[term] / true[term] - 1)[seen]
        assert np.percentile(error, 95) < NETWORK, term


def test_own_occupations_have_more_too(small_file):
    """Integrated in Python, and as a part of the graph."""

    class Plain:
        parameters = {p.name: p.range for p in occupation("zheng07").parameters}

        def moments(self, M, p, f):
            return occupation("zheng07").moments(M, p, f)

    _, theta = points("zheng07+off_centring+incompleteness", 10)
    own = Extended(as_occupation(Plain()), ["off_centring", "incompleteness"])
    one = load(small_file, occupation=own)(theta)
    two = load(small_file, occupation="zheng07+off_centring+incompleteness")(theta)
    for name in ("gm_1h", "gg_2h", "n_g"):
        np.testing.assert_allclose(one[name], two[name], rtol=5e-3)


def test_transition_and_damping_are_pyccl_s():
    k, a = np.geomspace(0.01, 10, 30), 1.0
    cosmo = pyccl.CosmologyVanillaLCDM(transfer_function="eisenstein_hu")
    mass_def = pyccl.halos.MassDef200m
    calculator = pyccl.halos.HMCalculator(
        mass_function="Tinker10", halo_bias="Tinker10", mass_def=mass_def
    )
    profile = pyccl.halos.HaloProfileHOD(
        mass_def=mass_def, concentration=pyccl.halos.ConcentrationDuffy08(mass_def=mass_def)
    )
    options = {"prof_2pt": pyccl.halos.Profile2ptHOD()}

    def power(**choices):
        return pyccl.halos.halomod_power_spectrum(
            cosmo, calculator, k, a, profile, **options, **choices
        )

    one, two = power(get_2h=False), power(get_1h=False)
    damped = power(get_2h=False, suppress_1h=lambda a: 0.1)
    np.testing.assert_allclose(damping(k, {"k_damp": 0.1}, NUMPY) * one, damped, rtol=1e-6)
    smooth = power(smooth_transition=lambda a: 0.7)
    np.testing.assert_allclose(total(one, two, {"alpha_trans": 0.7}, NUMPY), smooth, rtol=1e-6)


def test_the_profile_of_centrals_is_a_rayleigh_distribution_s():
    """Against the integral over distances in projection, of those that are off the centre."""
    k, R_off, p_off = np.geomspace(0.1, 50, 20), 0.2, 0.4
    R = np.linspace(0, 10 * R_off, 20_001)
    density = R / R_off**2 * np.exp(-0.5 * (R / R_off) ** 2)
    off = np.trapezoid(density * j0(k[:, None] * R), R, axis=1)
    ours = central_profile(k, {"p_off": p_off, "R_off": R_off}, NUMPY)
    np.testing.assert_allclose(ours, 1 - p_off + p_off * off, rtol=1e-5)


def test_totals_of_labels_and_emulators_are_as_smooth(small_file):
    space, theta = points("zheng07+transition", 20)
    true = labels(space.occupation, theta)
    metadata = {"space": space.as_dict()}
    stored = Spectra(theta, HaloModelConfig().k.values(), true, metadata)["gg_total"]
    exponent = theta[:, [space.names.index("alpha_trans")]]
    both = (true["gg_1h"] ** exponent + true["gg_2h"] ** exponent) ** (1 / exponent)
    np.testing.assert_allclose(stored, both, rtol=1e-12)
    emulator = load(small_file, occupation=space.occupation)
    assert set(emulator.learnt_totals) == {"mm_total", "gm_total", "gg_total"}
    found = emulator(theta, "gg_total", out_of_range="nan")["gg_total"]
    seen = (true["n_g"] > 1e-7) & (true["b_eff"] < 20)
    assert np.percentile(np.abs(found / both - 1)[seen], 95) < NETWORK
    np.testing.assert_allclose(
        emulator(theta[seen], "gg_total", k=emulator.k)["gg_total"], found[seen], rtol=1e-5
    )


def test_refusals(small_file):
    with pytest.raises(
        OccupationError, match="no addition 'off_centering' .*; there are incomplete"
    ):
        load(small_file, occupation="zheng07+off_centering")
    with pytest.raises(OccupationError, match="an addition is there twice"):
        load(small_file, occupation="zheng07+damping+damping")
    with pytest.raises(OccupationError, match="nothing can be added to one of two populations"):
        load(small_file, occupation={"red": "zheng07+damping", "blue": "linke22"})
    with pytest.raises(ValueError, match="zheng07 has the parameters"):
        Space(occupation="zheng07", p_off=Space(occupation="zheng07+off_centring").p_off)
