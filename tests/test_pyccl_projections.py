"""C_ell, w(theta), gamma_t through pyccl, against integrals and sums that are written out here."""

import shutil
from functools import partial

import numpy as np
import pytest
from support.hosts import OCCUPATION, POINT, ZHENG07

from export.runtime import load
from export.statistics import DeltaSigma, Wp
from export.statistics.kinds import RHO_CRITICAL
from export.to_onnx import rewrite

pyccl = pytest.importorskip("pyccl")

from export.adapters import pyccl_projections  # noqa: E402 (it needs pyccl)
from export.adapters.pyccl_projections import angular_power, gamma_t, w_theta  # noqa: E402

LIMBER = 1e-3  # of pyccl's integrals along the line of sight, and of splines in redshift
SUM = 1e-3  # of sums over the sky; what their windows take away is below
ROUNDING = 1e-5  # pyccl's integrals again
COSMOLOGY = {"Omega_c": 0.25, "Omega_b": 0.05, "h": 0.7, "sigma8": 0.82, "n_s": 0.96}
ELL = np.geomspace(3, 3000, 12)


@pytest.fixture(scope="module")
def cosmo():
    return pyccl.Cosmology(**COSMOLOGY)


@pytest.fixture(scope="module")
def emulator(small_file):
    return load(small_file)


def gaussian(mean, width, points=200, reach=5.0):
    z = np.linspace(max(mean - reach * width, 0.0), mean + reach * width, points)
    return z, np.exp(-0.5 * ((z - mean) / width) ** 2)


LENSES, SOURCES = gaussian(0.5, 0.06), gaussian(1.2, 0.15)
NEAR = gaussian(0.1, 0.01)


def kernel(cosmo, sample, z, is_shear):
    """What a sample weighs comoving distances with, and these [Mpc]."""
    zs, n = sample
    n = n / np.trapezoid(n, zs)
    chi = cosmo.comoving_radial_distance(1 / (1 + z))
    if not is_shear:
        H = cosmo.h_over_h0(1 / (1 + z)) * cosmo["h"] / 2997.92458  # 1/Mpc
        return np.interp(z, zs, n, left=0, right=0) * H
    chi_s = cosmo.comoving_radial_distance(1 / (1 + zs))
    behind = np.clip(1 - chi[:, None] / np.maximum(chi_s, 1e-9), 0, None)
    share = np.trapezoid(n * behind, zs, axis=1)
    Om_m = cosmo["Omega_c"] + cosmo["Omega_b"]
    return 1.5 * Om_m * (cosmo["h"] / 2997.92458) ** 2 * (1 + z) * chi * share


def limber(cosmo, emulator, output, ell, one, two, point=POINT, points=800):
    """The integral over chi, a sum over the emulator at each redshift."""
    (first, first_is_shear), (second, second_is_shear) = one, two
    galaxies = [s[0] for s in (first, second) if s is not SOURCES]
    ends = (galaxies[0][0], galaxies[0][-1]) if galaxies else (1e-3, SOURCES[0][-1])
    z = np.linspace(max(ends[0], 1e-4), ends[1], points)
    chi = cosmo.comoving_radial_distance(1 / (1 + z))
    kernels = kernel(cosmo, first, z, first_is_shear) * kernel(cosmo, second, z, second_is_shear)
    C = []
    for one_ell in ell:
        k = (one_ell + 0.5) / chi
        order = np.argsort(k)
        P = emulator({**point, "z": z}, output, k[order], extrapolate=True)[output]
        P = P[np.arange(points)[order], np.arange(points)][np.argsort(order)]
        C.append(np.trapezoid(kernels / chi**2 * P, chi))
        shear = np.sqrt((one_ell + 2) * (one_ell + 1) * one_ell * (one_ell - 1))
        C[-1] *= (shear / (one_ell + 0.5) ** 2) ** (first_is_shear + second_is_shear)
    return np.array(C)


@pytest.mark.parametrize("term", ["1h", "2h", "total"])
def test_counts_are_limbers_integral(cosmo, emulator, term):
    ours = angular_power(cosmo, ELL, LENSES, emulator=emulator, term=term, **OCCUPATION)
    counts = (LENSES, False)
    expected = limber(cosmo, emulator, f"gg_{term}", ELL, counts, counts)
    np.testing.assert_allclose(ours, expected, rtol=LIMBER)


@pytest.mark.parametrize(("lenses", "ell"), [(LENSES, ELL), (NEAR, np.geomspace(3, 15000, 12))])
def test_counts_and_shear_are_limbers_integral(cosmo, emulator, lenses, ell):
    ours = angular_power(cosmo, ell, lenses, SOURCES, "gm", emulator=emulator, **OCCUPATION)
    expected = limber(cosmo, emulator, "gm_total", ell, (lenses, False), (SOURCES, True))
    np.testing.assert_allclose(ours, expected, rtol=LIMBER)


def test_shear_is_limbers_integral_and_has_no_galaxies(cosmo, emulator, monkeypatch):
    ell = np.geomspace(3, 1000, 8)
    ours = angular_power(cosmo, ell, SOURCES, kind="mm", emulator=emulator)
    # near z = 0 all multipoles are of wavenumbers beyond the emulator
    further = partial(_without_nearest, emulator)
    expected = limber(cosmo, further, "mm_total", ell, (SOURCES, True), (SOURCES, True))
    np.testing.assert_allclose(ours, expected, rtol=2 * LIMBER)


def _without_nearest(emulator, point, output, k, extrapolate):
    inside = k <= emulator.k[-1]
    P = emulator(point, output, np.minimum(k, emulator.k[-1]), extrapolate=extrapolate)[output]
    return {output: np.where(inside, P, 0)}


def test_a_cross_correlation_is_of_both_samples(cosmo, emulator):
    other = gaussian(0.55, 0.1)
    ours = angular_power(cosmo, ELL, LENSES, other, emulator=emulator, **OCCUPATION)
    expected = limber(cosmo, emulator, "gg_total", ELL, (LENSES, False), (other, False))
    np.testing.assert_allclose(ours, expected, rtol=LIMBER)


def polynomials(ell_max, theta):
    """d_00 and d_20 of Wigner at angles, for ell from 0 on; shape (L, T)."""
    x = np.cos(theta)
    P = np.empty((ell_max, len(theta)))
    P[0], P[1] = 1, x
    for ell in range(2, ell_max):
        P[ell] = ((2 * ell - 1) * x * P[ell - 1] - (ell - 1) * P[ell - 2]) / ell
    ell = np.arange(ell_max)[:, None]
    slope = np.zeros_like(P)  # dP / dx
    slope[1:] = ell[1:] * (P[:-1] - x * P[1:]) / (1 - x**2)
    norm = np.sqrt(np.maximum((ell + 2.0) * (ell + 1) * ell * (ell - 1), 1))
    return P, (2 * x * slope - ell * (ell + 1) * P) / norm


def over_the_sky(power, theta, order, smooth=20000, ell_max=50000):
    """The sum over all multipoles from 2, with a window that is gone at the last one."""
    from scipy.interpolate import CubicSpline

    ell = np.arange(ell_max)
    at = np.unique(np.r_[np.arange(2, 60), np.geomspace(60, ell_max, 400).astype(int)])
    spline = CubicSpline(np.log(at), np.log(power(at.astype(float))))
    weights = (2 * ell + 1) / (4 * np.pi) * np.exp(-((ell / smooth) ** 2))
    functions = polynomials(ell_max, theta)[order // 2]
    return (weights[2:] * np.exp(spline(np.log(ell[2:])))) @ functions[2:]


THETA = np.array([0.2, 0.5, 1.0, 2.0, 4.0, 10.0])  # deg


def test_w_is_the_sum_over_the_sky(cosmo, emulator):
    given = {"emulator": emulator} | OCCUPATION
    low = angular_power(cosmo, [0.0, 1.0], LENSES, **given)
    power = partial(angular_power, cosmo, n_z_1=LENSES, **given)
    summed = over_the_sky(power, np.radians(THETA), 0)
    summed += (low[0] + 3 * low[1] * np.cos(np.radians(THETA))) / (4 * np.pi)
    ours = w_theta(cosmo, THETA, LENSES, **given)
    np.testing.assert_allclose(ours, summed, rtol=SUM, atol=SUM * np.abs(summed).min())


def test_gamma_t_is_the_sum_over_the_sky(cosmo, emulator):
    given = {"emulator": emulator} | OCCUPATION
    power = partial(angular_power, cosmo, n_z_1=LENSES, n_z_2=SOURCES, kind="gm", **given)
    ours = gamma_t(cosmo, THETA, LENSES, SOURCES, **given)
    np.testing.assert_allclose(ours, over_the_sky(power, np.radians(THETA), 2), rtol=SUM)


def test_small_angles_are_the_hankel_integral(cosmo, emulator):
    from scipy.special import jv

    theta = np.array([0.01, 0.03, 0.1])
    given = {"emulator": emulator} | OCCUPATION
    at = np.r_[np.geomspace(2, 1.2e5, 1500)]
    for order, ours, C in (
        (0, w_theta(cosmo, theta, LENSES, term="1h", **given),
         angular_power(cosmo, at, LENSES, term="1h", **given)),
        (2, gamma_t(cosmo, theta, LENSES, SOURCES, term="1h", **given),
         angular_power(cosmo, at, LENSES, SOURCES, "gm", term="1h", **given)),
    ):  # fmt: skip
        L = np.exp(np.linspace(np.log(1.0), np.log(3e6), 500_000))
        slope = np.diff(np.log(C[-40::39]))[0] / np.diff(np.log(at[-40::39]))[0]
        power = np.exp(np.interp(np.log(L), np.log(at + 0.5), np.log(C)))
        beyond = at[-1] < L
        power[beyond] = C[-1] * (L[beyond] / at[-1]) ** slope
        for one, value in zip(np.radians(theta), ours, strict=True):
            integrand = L**2 / (2 * np.pi) * power * jv(order, L * one)
            integral = np.trapezoid(integrand * np.exp(-((0.01 * L * one) ** 2)), np.log(L))
            assert value == pytest.approx(integral, rel=5e-3)  # the end is a power of L


@pytest.mark.slow
def test_they_are_the_functions_of_separation_along_the_line_of_sight(cosmo, emulator):
    """Of w_p(theta chi) and Delta Sigma(theta chi), which know no pyccl: units and all."""
    theta = np.radians([0.01, 0.1, 1.0])
    z = np.linspace(LENSES[0][0], LENSES[0][-1], 80)
    chi = cosmo.comoving_radial_distance(1 / (1 + z))
    counts, shear = kernel(cosmo, LENSES, z, False), kernel(cosmo, SOURCES, z, True)
    rho_m = RHO_CRITICAL * 0.3 * COSMOLOGY["h"] ** 2
    w, gamma = [], []
    for one in theta:
        at = [
            emulator(POINT | {"z": each}, [Wp([one * r]), DeltaSigma([one * r])])
            for each, r in zip(z, chi, strict=True)
        ]
        w_p, Delta_Sigma = (np.array([each[n][0] for each in at]) for n in ("w_p", "Delta_Sigma"))
        w.append(np.trapezoid(counts**2 * w_p, chi))
        gamma.append(np.trapezoid(counts * shear * Delta_Sigma / rho_m, chi))
    given = {"emulator": emulator, "unit": "rad"} | OCCUPATION
    np.testing.assert_allclose(w_theta(cosmo, theta, LENSES, **given), w, rtol=SUM)
    np.testing.assert_allclose(gamma_t(cosmo, theta, LENSES, SOURCES, **given), gamma, rtol=SUM)


def test_units_and_single_angles(cosmo, emulator):
    given = {"emulator": emulator} | OCCUPATION
    theta = np.array([0.1, 1.0])
    w = w_theta(cosmo, theta, LENSES, **given)
    for others, unit in ((60 * theta, "arcmin"), (np.radians(theta), "rad")):
        again = w_theta(cosmo, others, LENSES, unit=unit, **given)
        np.testing.assert_allclose(again, w, rtol=ROUNDING)
    one = w_theta(cosmo, 1.0, LENSES, **given)
    assert isinstance(one, float)
    assert one == pytest.approx(w[1])
    assert angular_power(cosmo, 100, LENSES, **given) > 0
    z, n = LENSES
    np.testing.assert_allclose(
        w_theta(cosmo, theta, (z.tolist(), 7 * n), **given), w, rtol=ROUNDING
    )
    padded = np.r_[0, z[0] - 1e-3, z, z[-1] + 1e-3, 4], np.r_[0, 0, n, 0, 0]
    np.testing.assert_allclose(w_theta(cosmo, theta, padded, **given), w, rtol=1e-3)


def test_terms_add_up(cosmo, emulator):
    given = {"emulator": emulator} | OCCUPATION
    one, two, total = (
        w_theta(cosmo, THETA, LENSES, term=t, **given) for t in ("1h", "2h", "total")
    )
    np.testing.assert_allclose(one + two, total, rtol=1e-3, atol=1e-6)


@pytest.fixture
def ccl_828():
    """The sample of LSSTDESC/CCL issue 828, where w(theta) came out unstable below 0.01 deg."""
    occupation = {"log10Mmin": 12.02, "sigma_logM": 0.4, "log10M1": 13.27, "alpha": 1.0}
    given = {"occupation": "zheng07", "log10M0": 10.0} | occupation
    return gaussian(1.15, 0.1), {"emulator": "tinker10"} | given


def test_small_angles_are_smooth(cosmo, ccl_828):
    sample, given = ccl_828
    theta = np.geomspace(1e-3, 10, 60)
    w = w_theta(cosmo, theta, sample, **given)
    positive = theta < 2  # beyond, w is below 0, as xi is
    assert (w[positive] > 0).all()
    slope = np.diff(np.log(w[positive])) / np.diff(np.log(theta[positive]))
    assert (np.abs(np.diff(slope))[theta[positive][:-2] < 0.5] < 0.25).all()
    assert np.isfinite(w).all()
    shear = gamma_t(cosmo, theta, sample, gaussian(3.35, 0.1), **given)
    assert (shear > 0).all()
    assert (np.diff(shear) < 0).all()


def test_a_sample_near_by_has_an_answer_at_all_its_angles(cosmo, emulator):
    given = {"emulator": emulator} | OCCUPATION
    theta = np.geomspace(0.006, 10, 40)
    for values in (
        w_theta(cosmo, theta, NEAR, **given),
        gamma_t(cosmo, theta, NEAR, SOURCES, **given),
        gamma_t(cosmo, theta, gaussian(0.05, 0.02), SOURCES, **given),  # from z = 0 on
    ):
        assert (values > 0).all()
        assert (np.diff(values) < 0).all()


def brute(cosmo, emulator, ell, sample):
    """C_ell of the 2-halo term with Bessel functions, where it is b^2 D^2 P_lin(z = 0)."""
    from scipy.special import spherical_jn

    z = np.linspace(sample[0][0], sample[0][-1], 400)
    chi = cosmo.comoving_radial_distance(1 / (1 + z))
    found = emulator({**POINT, "z": z}, ["b_eff", "P_lin"])
    D = np.sqrt(found["P_lin"][:, 0] / found["P_lin"][0, 0])
    k = np.geomspace(1e-4, 0.3, 3000)
    P = emulator({**POINT, "z": z[0]}, "P_lin", k, extrapolate=True)["P_lin"]
    weight = kernel(cosmo, sample, z, False) * found["b_eff"] * D
    C = []
    for one in ell:
        inner = np.trapezoid(weight * spherical_jn(one, k[:, None] * chi), chi, axis=1)
        C.append(2 / np.pi * np.trapezoid(k**3 * P * inner**2, np.log(k)))
    return np.array(C)


def test_beyond_limbers_approximation(cosmo, emulator):
    given = {"emulator": emulator, "term": "2h"} | OCCUPATION
    ell = np.array([2.0, 5.0, 10.0, 20.0, 40.0])
    expected = brute(cosmo, emulator, ell.astype(int), LENSES)
    approximate = angular_power(cosmo, ell, LENSES, **given)
    ours = angular_power(cosmo, ell, LENSES, l_limber=100, **given)
    assert abs(approximate[0] / expected[0] - 1) > 0.1
    np.testing.assert_allclose(ours, expected, rtol=0.01)
    auto = angular_power(cosmo, ell, LENSES, l_limber="auto", **given)
    np.testing.assert_allclose(auto, expected, rtol=0.02)
    lone = {"emulator": emulator, "term": "1h"} | OCCUPATION
    np.testing.assert_array_equal(
        angular_power(cosmo, ell, LENSES, l_limber=100, **lone),
        angular_power(cosmo, ell, LENSES, **lone),
    )
    assert np.isfinite(gamma_t(cosmo, THETA, LENSES, SOURCES, l_limber=30, emulator=emulator,
                               **OCCUPATION)).all()  # fmt: skip


def test_two_populations_have_a_cross_correlation(cosmo, small_file):
    both = load(small_file, occupation={"red": "zheng07", "blue": "linke22"})
    given = {f"red_{n}": v for n, v in ZHENG07.items()}
    given |= {f"blue_{n}": v for n, v in OCCUPATION.items()}
    red, blue, cross = (
        angular_power(cosmo, ELL, LENSES, emulator=both, of=of, term="2h", **given)
        for of in ("red", "blue", ("red", "blue"))
    )
    np.testing.assert_allclose(cross, np.sqrt(red * blue), rtol=1e-2)
    with pytest.raises(ValueError, match="no output gg_total; there are .*red_gg_total"):
        angular_power(cosmo, ELL, LENSES, emulator=both, **given)


Z, N = LENSES


@pytest.mark.parametrize(
    ("n_z", "message"),
    [
        ((Z, -N), r"n\(z\): n = -.* at z = 0.2 must be finite, and not below 0"),
        ((Z, N * np.nan), r"n\(z\): n = nan at z = 0.2"),
        ((Z, 0 * N), r"n\(z\) is empty: n = 0 at all of its 200 redshifts"),
        ((Z[::-1], N), r"z of n\(z\) must increase, but 0.8 is followed by .*; sort it"),
        ((Z, N[:-1]), r"n\(z\): z and n have the shapes \(200,\) and \(199,\)"),
        ((Z - 0.5, N), r"z of n\(z\) = -0.3 must be finite and at least 0"),
        ((Z + 1.4, N), r"n\(z\) has galaxies to z = 2.2: small is for z = 0 to 2; cut it there"),
        (([], []), r"n\(z\): z and n have the shapes \(0,\) and \(0,\)"),
        (([0.5], [1.0]), "with at least 2 redshifts"),
        (5.0, r"n\(z\) = 5.0 must be redshifts and densities, \(z, n\)"),
        ((Z, N, N), r"n\(z\) must be two arrays, \(z, n\)"),
        (("low", N), r"n\(z\) = 'low' is not a real number"),
    ],
)
def test_what_is_no_distribution_of_redshifts_is_named(cosmo, emulator, n_z, message):
    with pytest.raises(ValueError, match=message):
        w_theta(cosmo, [0.1], n_z, emulator=emulator, **OCCUPATION)


@pytest.mark.parametrize(
    ("theta", "unit", "message"),
    [
        ([1.0, 0.5], "deg", "theta must increase, but 1 is followed by 0.5 deg; sort it"),
        ([1.0, 200.0], "deg", "theta = 200 deg must be below 180 degrees; set its unit"),
        ([1.0, 60.0], "rad", "theta = 60 rad must be below 180 degrees"),
        ([0.0, 1.0], "deg", "theta = 0 deg must be finite and above 0"),
        ([np.nan], "deg", "theta = nan deg must be finite"),
        ([[1.0]], "deg", "theta must be a number or an array of one dimension"),
        ([], "deg", "theta must be a number or an array of one dimension, not empty"),
        (
            [1e-5],
            "deg",
            r"theta = 1e-05 deg is .* Mpc at z = 0.5, .*; the smallest separation is 0.02 Mpc",
        ),
        ([1.0], "degrees", "unit = 'degrees' must be one of deg, arcmin, rad"),
    ],
)
def test_angles_that_there_are_not_are_named(cosmo, emulator, theta, unit, message):
    with pytest.raises(ValueError, match=message):
        w_theta(cosmo, theta, LENSES, unit=unit, emulator=emulator, **OCCUPATION)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gk"}, "kind = 'gk' .*must be one of mm, gm, gg"),
        ({"term": "3h"}, "term = '3h' .*must be one of 1h, 2h, total"),
        ({"kind": "gm"}, "gm: give n_z_2, the redshifts of the sources"),
        ({"ell": [100, 10]}, "ell must increase, but 100 is followed by 10; sort it"),
        ({"ell": [-1]}, "ell = -1 must be finite and at least 0"),
        (
            {"ell": [1e6]},
            r"ell = 1e\+06 is k = .* 1/Mpc at z = 0.5, the mean of the sample; the em",
        ),
        ({"l_limber": "yes"}, "l_limber = 'yes' must be an integer, or 'auto'"),
        ({"l_limber": True}, "l_limber = True must be an integer"),
        ({"alpha": 1.0, "beta": None}, "occupation linke22 has .*|beta"),
        ({"of": "red"}, "no output red_gg_total"),
        ({"emulator": "standart"}, "no emulator 'standart'"),
        ({"kind": "mm", "n_z_1": gaussian(2.5, 0.1)}, "shear of sources at z = 3 needs matter fr"),
    ],
)
def test_other_mistakes_are_named(cosmo, emulator, options, message):
    given = {"ell": ELL, "n_z_1": LENSES, "emulator": emulator} | OCCUPATION | options
    given = {name: value for name, value in given.items() if value is not None}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        angular_power(cosmo, **given)


def test_a_file_of_one_redshift_is_not_projected(cosmo, small_file, tmp_path):
    path = shutil.copy(small_file, tmp_path / "today.onnx")
    parameters = load(path).metadata["parameters"]
    parameters["z"] |= {"low": 0.0, "high": 0.0, "default": 0.0}
    rewrite(path, parameters=parameters)
    with pytest.raises(ValueError, match="today is for z = 0 only; a projection needs a range"):
        angular_power(cosmo, ELL, LENSES, emulator=path, **OCCUPATION)


def test_physics_that_the_emulators_do_not_know_is_refused(emulator):
    other = pyccl.Cosmology(**COSMOLOGY, m_nu=0.3)
    with pytest.raises(ValueError, match="m_nu"):
        w_theta(other, [0.1], LENSES, emulator=emulator, **OCCUPATION)


def test_sources_before_the_lenses_are_not_sheared(cosmo, emulator):
    near = gaussian(0.1, 0.01)
    shear = gamma_t(cosmo, [0.1, 1.0], LENSES, near, emulator=emulator, **OCCUPATION)
    np.testing.assert_array_equal(shear, 0)


def test_the_front_door_has_all_of_it():
    import hodspectra.pyccl as door

    for name in pyccl_projections.__all__:
        assert getattr(door, name).__name__ == name
