"""What surveys measure, against closed forms, pyccl and integrals done another way."""

import importlib.util
import itertools
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from scipy.integrate import quad
from scipy.special import kn, loggamma

from datagen.growth import growth_rate as exact_rate
from datagen.halomodel import HaloModel, HaloModelConfig, KGrid
from datagen.power import shipped_table
from datagen.space import Space
from export.interpolate import AtK
from export.ranges import OutOfRange
from export.runtime import CHUNK, load
from export.statistics import NODES, DeltaSigma, Projection, Sigma, Wp, Xi, statistic
from export.statistics.evaluate import nodes
from export.statistics.growth import growth_rate
from export.statistics.hankel import ln_gamma
from export.statistics.transition import CutOccupation, MatterAbove

REFERENCE = Path(__file__).parent / "reference"
R = np.geomspace(0.05, 150, 30)
POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "z": 0.5,
    "log10Mmin": 13.0, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 14.0, "alpha": 1.0,
}  # fmt: skip
RHO_M = 0.3 * 0.7**2 * 2.77536627204e11  # Msun / Mpc^3

CLOSED_FORM = 1e-4  # what is asked of pairs that are known
PYCCL = 2.4e-3  # largest difference from pyccl's transform of its own spectra
NEAR_ZERO = 0.2  # of the value at 10 Mpc: below, differences are taken of that


@pytest.fixture(scope="module")
def emulator():
    return load("tinker10", occupation="zheng07")


def columns(N, seed=0):
    rng = np.random.default_rng(seed)
    points = {name: np.full(N, value) for name, value in POINT.items()}
    points["h"] = rng.uniform(0.6, 0.85, N)
    points["z"] = rng.uniform(0, 2.5, N)
    points["sigma_8"] = rng.uniform(0.6, 1.0, N)
    return points


# --- transforms ----------------------------------------------------------------------------------


def test_gamma_function_is_scipys():
    z = np.array([0.3, 1.2, 4.0, -0.4]) + 1j * np.array([0.0, 3.0, 200.0, 17.0])
    np.testing.assert_allclose(np.exp(ln_gamma(z) - loggamma(z)), 1, rtol=1e-11)


@pytest.mark.parametrize("a", [0.1, 1.0, 3.0])
def test_an_exponential_has_its_closed_forms(emulator, a):
    """P = 8 pi a^3 / (1 + k^2 a^2)^2 on the emulator's grid, xi = exp(-r / a)."""
    at_nodes = AtK(emulator.k, NODES, True, None, above=True)
    P = {"gg_1h": 8 * np.pi * a**3 / (1 + (emulator.k * a) ** 2)[None] ** 2}
    r = R[6 * a > R]
    point = {"Om_c": np.array([1 / 2.77536627204e11]), "Om_b": np.zeros(1), "h": np.ones(1)}
    given = at_nodes(P, point) | {"gm_1h": at_nodes(P, point)["gg_1h"]}
    kinds = [Xi(r, terms="1h"), Wp(r, terms="1h"), Sigma(r, terms="1h"), DeltaSigma(r, terms="1h")]
    found = Projection(kinds)(given, point)
    x = r / a
    surface = 2 * r * kn(1, x)
    inside = 4 * a**3 / r**2 * (2 - x**2 * kn(2, x))
    for name, expected in {
        "xi_gg_1h": np.exp(-x), "w_p_1h": surface, "Sigma_1h": surface,
        "Delta_Sigma_1h": inside - surface,
    }.items():  # fmt: skip
        atol = 1e-5 * surface[0] if name == "Delta_Sigma_1h" else 0  # it is a difference of two
        np.testing.assert_allclose(found[name][0], expected, CLOSED_FORM, atol, err_msg=name)


def test_a_finite_line_of_sight_is_the_integral_of_xi():
    a, pi_max = 2.0, 30.0
    P = (8 * np.pi * a**3 / (1 + (NODES * a) ** 2) ** 2)[None]
    r_p = np.array([0.1, 1.0, 8.0])
    found = Projection([Wp(r_p, pi_max, terms="1h")])({"gg_1h": P}, {})["w_p_1h"][0]
    for r, value in zip(r_p, found, strict=True):
        expected = 2 * quad(lambda pi, r=r: np.exp(-np.hypot(r, pi) / a), 0, pi_max)[0]
        assert value == pytest.approx(expected, rel=CLOSED_FORM)


def test_velocities_of_a_power_law_are_hamiltons():
    """xi = r^-1.8: its multipoles are multiples of it; w_p by an integral over them."""
    slope, beta, r_p, pi_max = 1.8, 0.4, np.array([1.0, 10.0, 30.0]), 40.0
    P = {"gg_1h": NODES[None] ** (slope - 3), "P_lin": NODES[None] ** (slope - 3)}
    point = {n: np.array([v]) for n, v in {"Om_c": 0.3, "Om_b": 0.0, "z": 0.0}.items()}
    P["b_eff"] = growth_rate(point) / beta
    kinds = [
        Wp(r_p, pi_max, terms="1h", name="real"),
        Wp(r_p, pi_max, terms="1h", kaiser=True, name="moved"),
    ]
    found = Projection(kinds)(P, point)
    mean = 3 / (3 - slope)  # of xi within r, over xi
    mean_5 = 5 / (5 - slope)
    both = [
        1 + 2 * beta / 3 + beta**2 / 5,
        (4 * beta / 3 + 4 * beta**2 / 7) * (1 - mean),
        8 * beta**2 / 35 * (1 + 2.5 * mean - 3.5 * mean_5),
    ]
    for i, r in enumerate(r_p):

        def integrand(pi, r=r, kinds=both):
            s = np.hypot(r, pi)
            mu = pi / s
            series = np.polynomial.legendre.legval(mu, [kinds[0], 0, kinds[1], 0, kinds[2]])
            return s**-slope * series

        expected = quad(integrand, 0, pi_max)[0]
        expected /= quad(lambda pi, r=r: np.hypot(r, pi) ** -slope, 0, pi_max)[0]
        ratio = found["moved_1h"][0, i] / found["real_1h"][0, i]
        assert ratio == pytest.approx(expected, rel=2e-3)


def test_growth_rate_is_that_of_the_growth_equation():
    rng = np.random.default_rng(1)
    names = ("Om_c", "Om_b", "h", "w0", "wa", "z")
    low, high = (0.15, 0.03, 0.6, -1.3, -0.4, 0.0), (0.45, 0.06, 0.8, -0.7, 0.2, 2.0)
    point = dict(zip(names, rng.uniform(low, high, (200, 6)).T, strict=True))
    Om_m = point["Om_c"] + point["Om_b"]
    exact = exact_rate(Om_m, point["h"], point["w0"], point["wa"], point["z"])
    error = np.abs(growth_rate(point) / exact - 1)
    assert np.percentile(error, 95) < 4e-3


# --- emulators -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "occupation"), [("sheth99", "linke22"), ("tinker10", "zheng07")])
def test_statistics_are_pycclls(name, occupation):
    model = load("standard" if name == "sheth99" else name, occupation=occupation)
    with np.load(REFERENCE / f"pyccl_projected_{name}_{occupation}.npz") as file:
        given = dict(zip(map(str, file["names"]), file["params"].T, strict=True))
        r, expected = file["R"], {n: file[n] for n in file if n.startswith(("xi", "wp", "Delta"))}
    points = {
        name: given[name] if name in given else 10 ** given[f"log10{name}"] for name in model.names
    }
    statistics = [Xi(r), Wp(r), Wp(r, 100, name="w_p_100"), DeltaSigma(r)]
    found = model(points, statistics)
    for ours, theirs in {
        "xi_gg": "xi_gg", "w_p": "wp_gg", "w_p_100": "wp_gg_pimax100", "Delta_Sigma": "DeltaSigma",
    }.items():  # fmt: skip
        at_10 = np.abs(expected[theirs][:, [np.argmin(np.abs(r - 10))]])
        scale = np.maximum(np.abs(expected[theirs]), NEAR_ZERO * at_10)
        error = np.abs(found[ours] - expected[theirs]) / scale
        assert error.max() < PYCCL, (ours, error.max(axis=0))
        assert np.median(error) < 3e-4


def test_terms_add_up_and_follow_their_spectra(emulator):
    kinds = [Wp(R, 60, terms=("1h", "2h", "total")), Xi(R, "mm", terms=("total", "1h", "2h"))]
    found = emulator(POINT, kinds)
    assert list(found) == ["w_p_1h", "w_p_2h", "w_p", "xi_mm", "xi_mm_1h", "xi_mm_2h"]
    for name in ("w_p", "xi_mm"):
        both = found[f"{name}_1h"] + found[f"{name}_2h"]
        np.testing.assert_allclose(found[name], both, rtol=1e-9)
        assert found[name].shape == R.shape


def test_the_grid_within_does_not_matter(emulator):
    """Half and double as dense; w_p is positive where xi is."""
    kinds = [Xi(R[R < 60]), Wp(R[R < 60], 100), DeltaSigma(R)]
    points = columns(20)
    on_grid = emulator(points, ["gg_1h", "gg_2h", "gm_1h", "gm_2h", "P_lin"])
    results = []
    for refine in (0.5, 1.0, 2.0):
        k = nodes(refine)
        at = AtK(emulator.k, k, True, emulator.metadata["bao"], above=True)(on_grid, points)
        results.append(Projection(kinds, refine)(at, points))
    coarse, usual, fine = results
    for name, values in usual.items():
        error, twice = (np.abs(each / fine[name] - 1) for each in (values, coarse[name]))
        assert np.percentile(error, 95) < 3e-4, name
        assert error.max() < (6e-3 if name == "xi_gg" else 5e-4), name  # where haloes end in xi
        assert error.max() < twice.max() < 0.1, name
        assert (values > 0).all(), name


def test_batches_are_rows_and_shapes_are_as_said(emulator):
    points = columns(CHUNK + 3)
    kinds = [Wp(R, 80, lengths="Mpc/h"), DeltaSigma(R[:5], physical=True), "n_g"]
    found = emulator(points, kinds)
    assert {n: v.shape for n, v in found.items()} == {
        "n_g": (CHUNK + 3,), "w_p": (CHUNK + 3, 30), "Delta_Sigma": (CHUNK + 3, 5)
    }  # fmt: skip
    for i in (0, 7, CHUNK + 2):
        one = emulator({name: float(values[i]) for name, values in points.items()}, kinds)
        for name, value in one.items():
            atol = 1e-7 * np.abs(value).max()  # w_p crosses zero
            np.testing.assert_allclose(found[name][i], value, rtol=1e-5, atol=atol)


def test_points_of_one_scale_are_those_of_many_scales(emulator):
    """One matrix for all, and each matrix of the lattice for some."""
    points = columns(60)
    kinds = [Wp(R, 80, lengths="Mpc/h"), DeltaSigma(R, lengths="Mpc/h")]
    several = emulator(points, kinds)
    for i in (3, 40):
        same = {name: np.full(5, values[i]) for name, values in points.items()}
        for name, rows in emulator(same, kinds).items():
            atol = 1e-6 * np.abs(rows).max()
            np.testing.assert_allclose(rows[4], several[name][i], rtol=1e-4, atol=atol)


def test_lengths_in_mpc_over_h_are_others_in_mpc(emulator):
    h = POINT["h"]
    per_h = {"lengths": "Mpc/h"}
    theirs = emulator(POINT, [
        Xi(R[:20] * h, **per_h), Wp(R[:20] * h, 60 * h, **per_h),
        Wp(R[:20] * h, **per_h, name="inf"), DeltaSigma(R[:20] * h, units="h Msun/pc^2", **per_h),
    ])  # fmt: skip
    ours = emulator(POINT, [Xi(R[:20]), Wp(R[:20], 60), Wp(R[:20], name="inf"), DeltaSigma(R[:20])])
    factors = {"xi_gg": 1, "w_p": h, "inf": h, "Delta_Sigma": 1e-12 / h}
    for name, factor in factors.items():
        np.testing.assert_allclose(theirs[name], ours[name] * factor, rtol=1e-4, err_msg=name)


def test_physical_lengths_are_comoving_ones_over_1_plus_z(emulator):
    z = POINT["z"]
    physical = emulator(POINT, [DeltaSigma(R[3:], physical=True)])["Delta_Sigma"]
    comoving = emulator(POINT, [DeltaSigma(R[3:] * (1 + z))])["Delta_Sigma"]
    np.testing.assert_allclose(physical, comoving * (1 + z) ** 2, rtol=1e-4)


@pytest.mark.parametrize(("kind", "power"), [(Xi, 3), (Wp, 2), (DeltaSigma, 2)])
def test_bins_are_averages(emulator, kind, power):
    edges = np.array([0.5, 1.0, 3.0, 20.0, 200.0])  # the last one has the acoustic peak
    (averaged,) = emulator(POINT, [kind(edges, bins=True)]).values()
    assert averaged.shape == (4,)
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        r = np.geomspace(low, high, 400)
        (values,) = emulator(POINT, [kind(r)]).values()
        weight = r**power
        expected = np.trapezoid(values * weight, np.log(r)) / np.trapezoid(weight, np.log(r))
        assert averaged[i] == pytest.approx(expected, rel=1e-4)


def test_kaiser_adds_power_at_large_separations(emulator):
    r_p = np.array([0.5, 5.0, 20.0, 40.0])
    real, moved = (emulator(POINT, [Wp(r_p, 60, kaiser=kaiser)])["w_p"] for kaiser in (False, True))
    ratio = moved / real
    assert (np.diff(ratio) > 0).all()
    assert 1 < ratio[0] < 1.05 < ratio[-1] < 1.5


def test_a_point_mass_is_one_over_area(emulator):
    plain = emulator(POINT, [DeltaSigma(R)])["Delta_Sigma"]
    fixed = emulator(POINT, [DeltaSigma(R, point_mass=2e11)])["Delta_Sigma"]
    np.testing.assert_allclose(fixed - plain, 2e11 / (np.pi * R**2), rtol=1e-6, atol=1e-3)
    named = DeltaSigma(R, point_mass="M_point", terms=("1h", "2h", "total"))
    batch = columns(3)
    with_mass = emulator(batch | {"M_point": np.array([0.0, 2e11, 1e12])}, [named])
    without = emulator(batch, [DeltaSigma(R)])["Delta_Sigma"]
    added = np.array([0.0, 2e11, 1e12])[:, None] / (np.pi * R**2)
    np.testing.assert_allclose(with_mass["Delta_Sigma"] - without, added, rtol=1e-6, atol=1e-3)
    both = with_mass["Delta_Sigma_1h"] + with_mass["Delta_Sigma_2h"]
    np.testing.assert_allclose(with_mass["Delta_Sigma"], both, rtol=1e-9)
    with pytest.raises(ValueError, match="missing parameters: M_point"):
        emulator(POINT, [named])
    with pytest.raises(ValueError, match="with columns .*, M_point"):
        emulator(np.zeros((2, len(emulator.names))), [named])
    with pytest.raises(ValueError, match="row 0: M_point = -1 must be a mass"):
        emulator(POINT | {"M_point": -1.0}, [named])


def test_parameters_of_statistics_are_columns_like_all_others(emulator):
    lensing = DeltaSigma(R, point_mass="M_point")
    masses = np.array([0.0, 2e11, 1e12])
    each = [emulator(POINT | {"M_point": one}, lensing)["Delta_Sigma"] for one in masses]
    several = emulator(POINT | {"M_point": masses}, lensing)["Delta_Sigma"]
    np.testing.assert_allclose(several, each, rtol=1e-5)
    assert emulator(POINT | {"M_point": masses[:1]}, lensing)["Delta_Sigma"].shape == (1, len(R))
    rows = [POINT | {"M_point": one} for one in masses]
    for table in (rows, pandas.DataFrame(rows)):
        np.testing.assert_allclose(emulator(table, lensing)["Delta_Sigma"], several, rtol=1e-9)
    two = [lensing, DeltaSigma(R, point_mass="M_2", name="other")]
    both = emulator(POINT | {"M_point": 2e11, "M_2": masses}, two)
    np.testing.assert_allclose(both["other"], several, rtol=1e-9)
    np.testing.assert_allclose(both["Delta_Sigma"], several[[1, 1, 1]], rtol=1e-9)
    many = emulator(POINT | {"M_point": np.linspace(0, 1e12, CHUNK + 7)}, lensing)["Delta_Sigma"]
    np.testing.assert_allclose(many[[0, -1]], several[[0, 2]], rtol=1e-5)
    with pytest.raises(ValueError, match="differ in length: {'h': 2, 'M_point': 3}"):
        emulator(POINT | {"h": [0.6, 0.7], "M_point": masses}, lensing)
    with pytest.raises(ValueError, match="point_mass = 'h' is a parameter of the emulator"):
        emulator(POINT, DeltaSigma(R, point_mass="h"))


def test_of_two_populations_each_and_both():
    both = load("tinker10", occupation={"red": "zheng07", "blue": "zheng07"})
    one = load("tinker10", occupation="zheng07")
    cosmology = {n: v for n, v in POINT.items() if n not in one.populations.parameters}
    galaxies = {n: v for n, v in POINT.items() if n in one.populations.parameters}
    point = cosmology | {f"{p}_{n}": v for p in ("red", "blue") for n, v in galaxies.items()}
    found = both(point, [
        Wp(R, 60, of="red", name="red"), Wp(R, 60, of=("red", "blue"), name="cross"),
        Wp(R, 60, of=("red", "blue"), name="moved", kaiser=True),
    ])  # fmt: skip
    alone = one(POINT, [Wp(R, 60), Wp(R, 60, kaiser=True, name="moved")])
    np.testing.assert_allclose(found["red"], alone["w_p"], rtol=1e-3)
    far = R > 5  # where central galaxies of both in one halo do not matter
    np.testing.assert_allclose(found["moved"][far], alone["moved"][far], rtol=1e-2)
    with pytest.raises(ValueError, match="there are the populations red and blue; say of='red'"):
        both(point, [Wp(R)])
    with pytest.raises(ValueError, match="must name populations of the emulator, in their order"):
        both(point, [Wp(R, of=("blue", "red"))])
    with pytest.raises(ValueError, match="it has just one"):
        one(POINT, [Wp(R, of="red")])


def test_what_is_added_to_an_occupation_is_in_the_statistics():
    point = POINT | {"alpha_trans": 0.7, "k_damp": 0.05}
    smooth = load("tinker10", occupation="zheng07+damping+transition")
    kinds = [Xi(R[R > 1], terms=("1h", "2h", "total"))]
    found, plain = smooth(point, kinds), smooth(point | {"alpha_trans": 1.0, "k_damp": 0.0}, kinds)
    exact = load("tinker10", occupation="zheng07")(POINT, kinds)
    for name, values in exact.items():
        np.testing.assert_allclose(plain[name], values, rtol=2e-4, atol=1e-7, err_msg=name)
    assert found["xi_gg_1h"][0] < plain["xi_gg_1h"][0]
    moved = smooth(point, [Wp(R, 60), Wp(R, 60, kaiser=True, name="moved")])
    assert (moved["moved"] > moved["w_p"]).all()
    near = (R[R > 1] > 1.5) & (R[R > 1] < 4)
    assert (found["xi_gg"] / (found["xi_gg_1h"] + found["xi_gg_2h"]) > 1.05)[near].any()


# --- the transition between both terms -----------------------------------------------------------

R_TRANSITION = np.geomspace(0.3, 100, 40)


def test_scale_dependent_bias_is_tinkers(emulator):
    r = R_TRANSITION
    found = emulator(POINT, [
        Xi(r, terms=("1h", "2h", "total")), Xi(r, "mm"),
        Xi(r, terms=("1h", "2h", "total"), bias="tinker05", name="bent"),
    ])  # fmt: skip
    xi_m = found["xi_mm"]
    zeta = (1 + 1.17 * xi_m) ** 1.49 / (1 + 0.69 * xi_m) ** 2.09
    np.testing.assert_allclose(found["bent_2h"], found["xi_gg_2h"] * zeta, rtol=1.5e-2)
    np.testing.assert_allclose(found["bent_1h"], found["xi_gg_1h"], rtol=1e-12)
    np.testing.assert_allclose(found["bent"], found["bent_1h"] + found["bent_2h"], rtol=1e-9)
    far = r > 60
    np.testing.assert_allclose(found["bent"][far], found["xi_gg"][far], rtol=3e-3)


def test_what_bends_xi_bends_w_p_by_its_integral(emulator):
    r_p, pi_max = np.array([1.0, 5.0, 30.0]), 60.0
    options = {"bias": "tinker05", "exclusion": "spheres"}
    found = emulator(POINT, [Wp(r_p, pi_max, **options), Wp(r_p, pi_max, name="straight")])
    for i, r in enumerate(r_p):
        t, w = np.polynomial.legendre.leggauss(300)
        end = np.arcsinh(pi_max / r)
        t, w = 0.5 * end * (t + 1), 0.5 * end * w
        bent = emulator(POINT, [Xi(r * np.cosh(t), **options)])["xi_gg"]
        expected = 2 * np.sum(w * r * np.cosh(t) * bent)
        assert found["w_p"][i] == pytest.approx(expected, rel=2e-3)
    assert found["w_p"][0] != pytest.approx(found["straight"][0], rel=0.02)


def test_haloes_that_do_not_overlap(emulator):
    """Direct: galaxies in haloes up to radius r / 2 alone, from an occupation that ends there."""
    r = np.array([1.0, 2.0, 4.0, 8.0, 20.0, 60.0])
    found = emulator(POINT, [Xi(r, terms="2h"), Xi(r, terms="2h", exclusion="spheres", name="e")])
    rho_m = RHO_M
    for i, one in enumerate(r[:4]):
        M_cut = 4 / 3 * np.pi * 200 * rho_m * (one / 2) ** 3
        cut = load("tinker10", occupation=CutOccupation(emulator.populations.each[0].occupation))
        smaller = cut(POINT | {"M_cut": M_cut}, [Xi([one], terms="2h"), "n_g"])
        share = (smaller["n_g"] / emulator(POINT, "n_g")["n_g"]) ** 2
        expected = share * (1 + smaller["xi_gg_2h"][0]) - 1
        assert found["e_2h"][i] == pytest.approx(expected, rel=3e-2, abs=3e-2)
    np.testing.assert_allclose(found["e_2h"][-2:], found["xi_gg_2h"][-2:], rtol=1e-3)


def test_haloes_of_galaxies_and_matter_do_not_overlap(emulator):
    """Direct: galaxies of smaller haloes, around all matter less that of larger haloes."""
    r = np.array([1.0, 2.0, 4.0, 8.0, 20.0, 60.0])
    kinds = [Xi(r, "gm", terms="2h"), Xi(r, "gm", terms="2h", exclusion="spheres", name="e")]
    found = emulator(POINT, kinds)
    galaxies = emulator.populations.each[0].occupation
    for i, one in enumerate(r[:4]):
        M_cut = 4 / 3 * np.pi * 200 * RHO_M * (one / 2) ** 3
        pair = load("tinker10", occupation={"g": CutOccupation(galaxies), "m": MatterAbove()})
        g = {f"g_{n}": v for n, v in POINT.items() if n in [p.name for p in galaxies.parameters]}
        rest = {n: v for n, v in POINT.items() if f"g_{n}" not in g}
        point = rest | g | {"g_M_cut": M_cut, "m_M_cut": M_cut}
        xi = [Xi([one], "gm", of="g", terms="2h"), Xi([one], "gg", of=("g", "m"), terms="2h")]
        names = [x.called(f"x{j}") for j, x in enumerate(xi)]
        smaller = pair(point, [*names, "g_n_g", "m_n_g"])
        above = smaller["m_n_g"] * MatterAbove.MASS / RHO_M
        n_g = emulator(POINT, "n_g")["n_g"]
        inside = 1 - above + smaller["x0_2h"][0] - above * smaller["x1_2h"][0]
        expected = smaller["g_n_g"] / n_g * inside - 1
        assert 0 < above < 0.7
        assert found["e_2h"][i] == pytest.approx(expected, rel=3e-2, abs=3e-2)
    np.testing.assert_allclose(found["e_2h"][-2:], found["xi_gm_2h"][-2:], rtol=1e-3)


def test_exclusion_in_delta_sigma_is_that_of_xi(emulator):
    """Delta Sigma with exclusion is the projection of xi with exclusion."""
    R = np.array([0.5, 1.5, 4.0, 12.0])
    options = {"correlation": "gm", "exclusion": "spheres"}
    found = emulator(POINT, [DeltaSigma(R, exclusion="spheres"), Sigma(R, exclusion="spheres")])
    t, w = np.polynomial.legendre.leggauss(300)
    for i, one in enumerate(R):
        end = np.arcsinh(290 / one)
        along = one * np.cosh(0.5 * end * (t + 1))
        xi = emulator(POINT, [Xi(along, **options)])["xi_gm"]
        surface = RHO_M * np.sum(end * w * along * xi)
        assert found["Sigma"][i] == pytest.approx(surface, rel=2e-2)
    assert (np.diff(found["Delta_Sigma"]) < 0).all()


def test_exclusion_of_what_cannot_exclude(emulator):
    with pytest.raises(ValueError, match="exclusion is of galaxies of one population"):
        Xi(R, "mm", exclusion="spheres")
    with pytest.raises(ValueError, match="bias = 'tinker' must be 'tinker05'"):
        Wp(R, bias="tinker")
    damped = load("tinker10", occupation="zheng07+damping")
    with pytest.raises(ValueError, match="occupations to which nothing is added"):
        damped(POINT | {"k_damp": 0.0}, [Wp(R, exclusion="spheres")])


# --- between wavenumbers -------------------------------------------------------------------------


def rare() -> dict[str, float]:
    """Haloes of nearly one mass, whose profiles oscillate in P(k)."""
    return POINT | {
        "log10Mmin": 14.9,
        "sigma_logM": 0.1,
        "log10M0": 14.5,
        "log10M1": 15.2,
        "z": 0.8,
    }


def test_spectra_of_rare_haloes_are_right_between_wavenumbers(emulator):
    point = rare()
    labels = HaloModelConfig(
        mass_function="Tinker10", halo_bias="Tinker10", log10M_min=8.0,
        k=KGrid(0.01, 100.0, 4 * len(emulator.k) - 3),
    )  # fmt: skip
    space = Space(occupation="zheng07")
    halo_model = HaloModel(labels, shipped_table(), "zheng07")
    given = {"w0": -1.0, "wa": 0.0, **point}
    true = halo_model(np.array([[given[name] for name in space.names]]))
    k = labels.k.values()
    between = ~np.isin(np.arange(len(k)), np.arange(0, len(k), 4)) & (k > 1) & (k < 5)
    at = emulator(point, ["gg_1h", "gm_1h"], k=k)
    spline = AtK(emulator.k, k, False, None)
    plain = spline({n: P[None] for n, P in emulator(point, ["gg_1h", "gm_1h"]).items()}, {})
    for name in ("gg_1h", "gm_1h"):
        error, before = (
            np.abs(P / true[name][0] - 1)[between].max() for P in (at[name], plain[name][0])
        )
        assert error < 3e-4
        assert before > 20 * error  # a spline of the emulator's own wavenumbers


def test_more_wavenumbers_change_nothing_at_the_emulators_own(emulator):
    wider = emulator.wider
    assert set(emulator.k) < set(wider.k)
    assert wider.wider is wider
    points = columns(5)
    own = np.isin(wider.k, emulator.k)
    plain, more = emulator(points), wider(points)
    beside = emulator(points, [*emulator.outputs, Wp(R)])
    at_k = emulator(points, k=emulator.k)
    for name, values in plain.items():
        expected = more[name] if values.ndim == 1 else more[name][:, own]
        for found in (expected, beside[name], at_k[name]):
            np.testing.assert_allclose(found, values, rtol=2e-5)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Wp([2.0, 1.0]), r"r_p must increase, but r_p\[0\] = 2 is followed by 1 Mpc"),
        (lambda: Wp([1.0, 1.0]), "must increase"),
        (lambda: Wp([0.0, 1.0]), r"r_p\[0\] = 0 must be above 0 Mpc"),
        (lambda: Xi([np.nan, 1.0]), r"r\[0\] = nan must be above 0"),
        (lambda: Xi([]), "expected"),
        (lambda: Xi([[1.0]]), r"has shape \(1, 1\), expected \(R,\)"),
        (lambda: Wp(1.0, bins=True), "expected edges of bins, two at least"),
        (lambda: Wp(1.0, pi_max=0.0), "pi_max = 0.0 must be one number above 0 Mpc"),
        (lambda: Wp(1.0, pi_max=-60), "pi_max = -60 must be one number above 0 Mpc"),
        (lambda: Wp(1.0, pi_max=[40, 60]), "must be one number"),
        (lambda: Wp(1.0, kaiser=True), "finite pi_max"),
        (lambda: Wp(1.0, 40, kaiser=True, correlation="mm"), "is for galaxies"),
        (lambda: Xi(1.0, "mg"), "correlation = 'mg' must be one of mm, gm, gg"),
        (lambda: Xi(1.0, terms="3h"), "must be some of 1h, 2h, total"),
        (lambda: Xi(1.0, terms=("1h", "1h")), "must be some of .*, each once"),
        (lambda: Xi(1.0, physical="false"), "physical = 'false' must be True or False"),
        (lambda: Xi([1.0, 2.0], bins=2), "bins = 2 must be True or False"),
        (lambda: Wp(1.0, 60, kaiser="F"), "kaiser = 'F' must be True or False"),
        (lambda: Xi(1.0, name=3), "name = 3 must be a text"),
        (lambda: Xi(1.0, lengths="kpc"), "must be 'Mpc' or 'Mpc/h'"),
        (lambda: Xi(1.0, unit="Mpc"), "no option unit"),
        (lambda: DeltaSigma(1.0, units="Msun/kpc^2"), "units = 'Msun/kpc"),
        (lambda: DeltaSigma(1.0, correlation="gg"), "must be 'gm' or 'mm'"),
        (lambda: DeltaSigma(1.0, point_mass=-1.0), "must be a mass"),
        (lambda: DeltaSigma(1.0, point_mass=[1e11]), "must be a mass"),
        (lambda: DeltaSigma(1.0, point_mass=True), "is not a real number"),
        (lambda: DeltaSigma(1.0, point_mass="log10M_point"), "not of its logarithm"),
        (lambda: statistic({"kind": "wp", "r_p": 1.0}), "no statistic wp .did you mean 'Wp'"),
        (lambda: statistic({"r_p": 1.0}), "a record with its kind"),
        (lambda: statistic({"kind": "Wp"}), "Wp: .*r_p"),
        (lambda: statistic("w_p"), "is not a statistic"),
    ],
)
def test_statistics_that_there_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_statistic_cannot_replace_another_output(emulator):
    for at in ({}, {"h": np.array([0.68, 0.7])}):
        with pytest.raises(ValueError, match="Wp is called n_g, an output that is requested, too"):
            emulator(POINT | at, [Wp(R, name="n_g"), "n_g"])
    with pytest.raises(ValueError, match="Wp is called gg_1h"):
        emulator.jacobian(POINT, ["gg_1h", Wp(R, name="gg", terms="1h")])


def test_outputs_may_be_in_any_container(emulator):
    expected = emulator(POINT, [Wp(R), "n_g"])
    for given in ({Wp(R), "n_g"}, iter([Wp(R), "n_g"]), np.array([Wp(R), "n_g"], object)):
        found = emulator(POINT, given)
        assert all(np.array_equal(found[name], values) for name, values in expected.items())
    slopes = emulator.jacobian(POINT, iter([Wp(R), "n_g"]), "h")
    assert slopes["w_p"]["h"].shape == R.shape


def test_what_an_emulator_cannot_give_is_said(emulator):
    with pytest.raises(ValueError, match=r"r_p reaches 400 Mpc .*outside \[0.02, 300\] Mpc"):
        emulator(POINT, [Wp([1.0, 400.0])])
    with pytest.raises(ValueError, match=r"r_p reaches 0.01 Mpc"):
        emulator(POINT, [Wp([0.01, 40.0])])
    with pytest.raises(ValueError, match="reaches 357.1 Mpc"):
        emulator(POINT, [Wp([1.0, 250.0], lengths="Mpc/h")])
    with pytest.raises(ValueError, match="two statistics are called w_p; give one of them another"):
        emulator(POINT, [Wp(R), Wp(R, 60)])
    model = load("published-gm")
    with pytest.raises(ValueError, match="needs gg_1h, gg_2h, which the emulator does not have"):
        model({p.name: p.low for p in model.parameters}, [Wp(R)])
    with pytest.raises(ValueError, match="physical lengths need a redshift; give z"):
        Projection([DeltaSigma(1.0, physical=True)])({}, {"h": np.ones(1)})
    with pytest.raises(ValueError, match="no output gg_totl"):
        emulator(POINT, [Wp(R), "gg_totl"])


def test_points_out_of_range_are_as_elsewhere(emulator):
    points = columns(4)
    points["h"][2] = 0.2
    with pytest.raises(OutOfRange, match="row 2: h = 0.2"):
        emulator(points, [Wp(R)])
    found = emulator(points, [Wp(R), "n_g"], out_of_range="nan")
    assert np.isnan(found["w_p"][2]).all()
    assert np.isnan(found["n_g"][2])
    assert np.isfinite(found["w_p"][[0, 1, 3]]).all()
    assert emulator({n: v[:0] for n, v in points.items()}, [Wp(R)])["w_p"].shape == (0, len(R))


def test_quantities_and_records_are_taken(emulator):
    units = pytest.importorskip("astropy.units")
    with_units = Wp([100.0, 1000.0] * units.kpc, pi_max=60 * units.Mpc)
    np.testing.assert_allclose(with_units.radii, [0.1, 1.0])
    with pytest.raises(ValueError, match="has the unit"):
        Wp([100.0, 1000.0] * units.s)


def test_a_statistic_cannot_be_changed(emulator):
    w_p = Wp(R, 60)
    with pytest.raises(AttributeError, match="pi_max of a statistic cannot be changed"):
        w_p.pi_max = 100.0
    with pytest.raises(ValueError, match="read-only"):
        w_p.radii[0] = 1.0
    again = pickle.loads(pickle.dumps(w_p))
    np.testing.assert_array_equal(emulator(POINT, [again])["w_p"], emulator(POINT, [w_p])["w_p"])


def test_statistics_of_another_copy_of_the_module_are_taken(emulator):
    """`hodspectra` may hand out one, where a folder of the user is called like our package."""
    kinds = sys.modules["export.statistics.kinds"]
    spec = importlib.util.spec_from_file_location("hodspectra.aside.copy", kinds.__file__)
    copy = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = copy
    try:
        spec.loader.exec_module(copy)
        theirs, ours = copy.Wp(R, 60, kaiser=True), Wp(R, 60, kaiser=True)
        assert isinstance(theirs, Wp)
        assert not isinstance(theirs, Xi)
        assert not isinstance("w_p", Wp)
        found = [emulator(POINT, [each])["w_p"] for each in (theirs, ours)]
        np.testing.assert_array_equal(*found)
    finally:
        del sys.modules[spec.name]


def test_a_record_is_a_statistic(emulator):
    record = {"kind": "Wp", "r_p": [0.1, 1.0], "pi_max": 60, "lengths": "Mpc/h"}
    one, other = statistic(record), Wp([0.1, 1.0], 60, lengths="Mpc/h")
    np.testing.assert_array_equal(emulator(POINT, [one])["w_p"], emulator(POINT, [other])["w_p"])
    assert repr(one) == "<Wp w_p: 2, 0.1..1 Mpc/h comoving>"
