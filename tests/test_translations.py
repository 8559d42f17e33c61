"""Other codes' parameters: the same numbers of galaxies by their formulas and by ours."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import erfc

from datagen.occupations import OCCUPATIONS, occupation, translate
from datagen.occupations.functions import NUMPY

M = np.geomspace(1.01e10, 1e16, 121)  # Msun
h = 0.68
SAME = {"rtol": 1e-9, "atol": 1e-13}
LOG10 = {"logMmin": 12.3, "sigma_logM": 0.35, "logM0": 12.1, "logM1": 13.5, "alpha": 1.1}


def moments(translation, masses=M):
    return occupation(translation.occupation).moments(masses, translation.parameters, NUMPY)


def agrees(translation, N_c, N_s, with_central):
    result = moments(translation)
    names = [p.name for p in occupation(translation.occupation).parameters]
    assert sorted(translation.parameters) == sorted(names)
    np.testing.assert_allclose(result.centrals, N_c, **SAME)
    np.testing.assert_allclose(result.satellites, N_s, **SAME)
    np.testing.assert_allclose(result.central_satellite, N_s if with_central else N_c * N_s, **SAME)


def power(mass, M0, M1, alpha):
    return np.where(mass > M0, np.abs(mass - M0) / M1, 0.0) ** alpha


def zheng(logMmin, sigma_logM, logM0, logM1, alpha):
    """Means for masses in Msun/h, without the factor of the centrals."""
    mass = M * h
    N_c = erfc((logMmin - np.log10(mass)) / sigma_logM) / 2
    return N_c, power(mass, 10**logM0, 10**logM1, alpha)


@pytest.mark.parametrize("z", [0.0, 0.7])
@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "zheng07"),
        ({"fc_0": 0.6}, "ccl"),
        ({"fc_0": 0.6, "fc_p": 0.2, "log10Mmin_p": -0.5, "siglnM_p": 0.1, "a_pivot": 0.8}, "ccl"),
        ({"ns_independent": True, "log10M1_p": 0.3}, "zheng05"),
    ],
)
def test_pyccl(z, more, name):
    ccl = pytest.importorskip("pyccl")
    parameters = {"log10Mmin_0": 12.2, "siglnM_0": 0.45, "log10M0_0": 11.9, "log10M1_0": 13.3}
    parameters |= {"alpha_0": 1.05} | more
    concentration = ccl.halos.ConcentrationDuffy08(mass_def="200m")
    own = ccl.halos.HaloProfileHOD(mass_def="200m", concentration=concentration, **parameters)
    a = 1 / (1 + z)
    N_c, N_s, f_c = own._Nc(M, a), own._Ns(M, a), own._fc(a)
    result = translate.from_pyccl(parameters, z)
    assert result.occupation == name
    cosmo = ccl.CosmologyVanillaLCDM()
    k = np.array([1e-6])  # where all profiles are 1
    one = moments(result)
    np.testing.assert_allclose(one.centrals, f_c * N_c, **SAME)
    independent = parameters.get("ns_independent", False)
    np.testing.assert_allclose(one.satellites, N_s if independent else N_c * N_s, **SAME)
    pairs = own._fourier_variance(cosmo, k, M, a)[:, 0]
    np.testing.assert_allclose(2 * one.central_satellite + one.satellite_pairs, pairs, rtol=1e-6)


@pytest.mark.parametrize("modulated", [False, True])
def test_halotools(modulated):
    N_c, N_s = zheng(**LOG10)
    result = translate.from_halotools(LOG10, h, modulate_with_cenocc=modulated)
    assert result.occupation == ("zheng07" if modulated else "zheng05")
    agrees(result, N_c, N_c * N_s if modulated else N_s, modulated)


@pytest.mark.parametrize("central", [False, True])
def test_halomod(central):
    N_c, N_s = zheng(**LOG10)
    theirs = {"M_min": 12.3, "sig_logm": 0.35, "M_0": 12.1, "M_1": 13.5, "alpha": 1.1}
    result = translate.from_halomod(theirs, h, central=central)
    agrees(result, N_c, N_c * N_s if central else N_s, central)


def incomplete(slope, log10_M):
    return np.clip(1 + slope * (np.log10(M * h) - log10_M), 0, 1)


def test_aum():
    theirs = {"Mmin": 12.3, "siglogM": 0.35, "Msat": 13.5, "alpsat": 1.1, "Mcut": 12.1}
    N_c, N_s = zheng(**LOG10)
    agrees(translate.from_aum(theirs, h), N_c, N_c * N_s, True)
    theirs |= {"inc_alp": 0.4, "inc_xM": 13.0, "fac": 1.0, "csbycdm": 1.0}
    N_c = N_c * incomplete(0.4, 13.0)
    agrees(translate.from_aum(theirs, h), N_c, N_c * N_s, True)


def test_dark_emulator():
    theirs = {"logMmin": 13.1, "sigma_sq": 0.3, "logM1": 14.2, "alpha": 1.2, "kappa": 0.8}
    theirs |= {"poff": 0.0, "Roff": 0.1, "sat_dist_type": "NFW", "alpha_inc": 0.5}
    theirs |= {"logM_inc": 13.7}
    mass = M * h
    N_c = erfc(np.log10(10**13.1 / mass) / math.sqrt(0.3)) / 2 * incomplete(0.5, 13.7)
    N_s = N_c * power(mass, 0.8 * 10**13.1, 10**14.2, 1.2)
    agrees(translate.from_dark_emulator(theirs, h), N_c, N_s, True)


def test_abacus():
    theirs = {"logM_cut": 12.8, "logM1": 13.9, "sigma": 0.3, "alpha": 1.0, "kappa": 0.4}
    theirs |= {"alpha_c": 0.2, "alpha_s": 0.9, "Acent": 0.0, "ic": 1.0}
    mass = M * h
    N_c = erfc((12.8 - np.log10(mass)) / (math.sqrt(2) * 0.3)) / 2
    N_s = N_c * power(mass, 0.4 * 10**12.8, 10**13.9, 1.0)
    agrees(translate.from_abacus(theirs, h), N_c, N_s, False)


def test_thresholds_of_linke22_and_zheng07():
    own = translate.linke22_threshold(12.3, 0.35)
    linke = {"alpha": 1.0, "Mprime": 1e14, "beta": 1.0} | own
    zheng07 = {
        "log10Mmin": 12.3,
        "sigma_logM": 0.35,
        "log10M0": 11.0,
        "log10M1": 13.0,
        "alpha": 1.0,
    }
    a, b = (
        occupation(n).moments(M, p, NUMPY) for n, p in (("linke22", linke), ("zheng07", zheng07))
    )
    np.testing.assert_allclose(a.centrals, b.centrals, **SAME)
    back = translate.zheng07_threshold(**own)
    assert back == pytest.approx({"log10Mmin": 12.3, "sigma_logM": 0.35}, rel=1e-14)
    assert translate.linke22_threshold(12.3, 0.77)["sigma"] == pytest.approx(1.254, abs=1e-3)


@pytest.mark.parametrize("name", OCCUPATIONS)
@pytest.mark.parametrize("theirs", [1.0, 0.72])
def test_another_hubble_constant(name, theirs):
    """The same haloes: their masses for one Hubble constant, and for another."""
    middle = {p.name: sum(p.range) / 2 for p in occupation(name).parameters}
    if name == "linke22":
        middle |= {"Mth": 1e12, "Mprime": 1e13}
    result = translate.from_h(name, middle, h, theirs)
    assert result.occupation == name
    there = occupation(name).moments(M, middle, NUMPY)
    for a, b in zip(moments(result, M * theirs / h), there, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
    back = translate.from_h(name, result.parameters, theirs, h).parameters
    assert back == pytest.approx(middle, rel=1e-12)


def test_page_has_every_translation():
    page = (Path(__file__).resolve().parent.parent / "docs" / "translations.md").read_text()
    rows = re.findall(r"^\| (from_\w+|\w+_threshold) \|", page, re.M)
    assert sorted(rows) == sorted(set(translate.__all__) - {"Translation"})


def test_arrays():
    theirs = {name: np.full((3, 1), value) for name, value in LOG10.items()}
    many = moments(translate.from_halotools(theirs, h))
    one = moments(translate.from_halotools(LOG10, h))
    np.testing.assert_allclose(many.satellites, np.tile(one.satellites, (3, 1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: translate.from_halotools(LOG10 | {"logMin": 12.0}, h),
            r"halotools has no parameter 'logMin' \(did you mean 'logMmin'\?\); there are logMmin,",
        ),
        (
            lambda: translate.from_halomod({"M_min": 12.0, "alpha": 1.0}, h),
            "missing parameters of halomod: sig_logm, M_0, M_1",
        ),
        (
            lambda: translate.from_abacus(
                {"logM_cut": 12.8, "logM1": 13.9, "sigma": 0.3, "alpha": 1.0, "kappa": 0.4}
                | {"Bcent": 0.1},
                h,
            ),
            "Bcent = 0.1 of AbacusHOD is not supported by any occupation here; it must be 0",
        ),
        (lambda: translate.from_halotools(LOG10, 68.0), "h = 68 is the Hubble constant in 100"),
        (lambda: translate.from_h("zheng07", LOG10, h), "did you mean 'log10Mmin'"),
        (
            lambda: translate.from_pyccl(
                {"log10Mmin_0": 12.2, "siglnM_0": 0.4, "log10M0_0": 11.9, "log10M1_0": 13.3}
                | {"alpha_0": 1.0, "fc_0": 0.5, "ns_independent": True}
            ),
            "both ns_independent and fc other than 1",
        ),
    ],
)
def test_what_cannot_be_translated(call, message):
    with pytest.raises(ValueError, match=message):
        call()
