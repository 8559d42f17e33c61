"""Occupations: what all of them promise, and each against its formula written anew."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, optimize
from scipy.special import erfc
from scipy.stats import norm, skewnorm

from datagen.occupations import OCCUPATIONS, Moments, occupation
from datagen.occupations.functions import LN_10, NUMPY
from datagen.occupations.tables import parameters as parameter_tables
from datagen.space import BACKGROUND, Space
from emulator.functions import TorchOnGrid

PAGE = Path(__file__).resolve().parent.parent / "docs" / "occupations.md"

POINTS = 300
M = np.geomspace(1e8, 1e17, 200)  # all haloes that there may be
INDEPENDENT = {"linke22", "zheng05", "abacus", "cacciato13", "vanuitert16", "hmq", "gaussian"}
ROUNDING = {np.float64: 1e-12, np.float32: 1e-5}
SAMPLED = 1e-3  # an integral over nodes as far apart as the width says; kinks of more15 take it
CURVED = 1.01  # second derivative times width^2: of a normal distribution 1, of its integral 0.24
FORMULA = 1e-9  # the same formula twice, through sums and powers of large numbers
BIN = 1e-5  # the rule for satellites in a bin of stellar mass

every = pytest.mark.parametrize("name", OCCUPATIONS)


def drawn(name, points=POINTS, seed=1, dtype=np.float64):
    """Random points of the ranges of an occupation, each parameter of shape (points, 1)."""
    rng, parameters = np.random.default_rng(seed), {}
    for p in occupation(name).parameters:
        low, high = np.log10(p.range) if p.sampling == "log10" else p.range
        value = rng.uniform(low, high, (points, 1))
        parameters[p.name] = (10**value if p.sampling == "log10" else value).astype(dtype)
    return parameters


def rows(parameters):
    """One dictionary of floats for each point."""
    columns = {name: column[:, 0].tolist() for name, column in parameters.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def moments(name, M, p):
    return occupation(name).moments(M, p, NUMPY)


@every
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_moments_are_numbers_of_galaxies(name, dtype):
    result = moments(name, M.astype(dtype), drawn(name, dtype=dtype))
    for moment in result:
        assert moment.shape == (POINTS, M.size)
        assert np.isfinite(moment).all()
        assert (moment >= 0).all()
    assert (result.centrals <= 1 + ROUNDING[dtype]).all()


@every
def test_single_precision_is_enough(name):
    single = drawn(name, dtype=np.float32)
    double = {key: value.astype(np.float64) for key, value in single.items()}
    M32 = M.astype(np.float32)
    both = moments(name, M32, single), moments(name, M32.astype(float), double)
    few = 1e-6 * both[1].satellites.sum(1)  # N_c of a bin is a difference of numbers near 1
    for a, b in zip(*both, strict=True):
        # where a threshold is narrow, rounding moves it within its width
        assert (abs(a.sum(1) - b.sum(1)) <= 2e-3 * b.sum(1) + few).all()


@every
def test_rule_of_pairs(name):
    N_c, N_s, central_satellite, pairs = moments(name, M, drawn(name))
    if name in INDEPENDENT:
        np.testing.assert_allclose(central_satellite, N_c * N_s, rtol=1e-12)
        np.testing.assert_allclose(pairs, N_s**2, rtol=1e-12)
        return
    f_c = drawn(name)["f_c"] if name == "ccl" else 1.0
    np.testing.assert_allclose(central_satellite, f_c * N_s, rtol=1e-12)
    some = (N_c > 1e-200) & (N_s > 1e-100)  # a Poisson number where there is a central, be it seen
    np.testing.assert_allclose((pairs * N_c)[some], (f_c * N_s**2)[some], rtol=1e-9)


@every
def test_points_one_by_one(name):
    parameters = drawn(name, points=5)
    for i, point in enumerate(rows(parameters)):
        for one, many in zip(moments(name, M, point), moments(name, M, parameters), strict=True):
            np.testing.assert_allclose(one, many[i], rtol=1e-11, atol=1e-250)
    for one, many in zip(
        moments(name, float(M[77]), point), moments(name, M, parameters), strict=True
    ):
        np.testing.assert_allclose(one, many[4, 77], rtol=1e-11, atol=1e-250)


@every
def test_nothing_is_narrower_than_the_width(name):
    width = occupation(name).width
    parameters = drawn(name, points=100, seed=2)
    rng = np.random.default_rng(3)
    for p in occupation(name).parameters:  # corners of the box as well
        parameters[p.name][50:] = rng.choice(p.range, (50, 1))
    low, high = np.log(1e8), np.log(1e17)

    def centrals(spacing):
        """On an even grid, with the edges of one."""
        ln_M = low + spacing * np.arange(math.ceil((high - low) / spacing))
        points = {n: torch.tensor(column) for n, column in parameters.items()}
        f = TorchOnGrid(torch.zeros(100, 1, dtype=torch.float64), low, spacing, len(ln_M))
        N_c = occupation(name).moments(torch.tensor(np.exp(ln_M))[None], points, f).centrals
        return N_c.numpy(), spacing * (N_c.numpy() * np.exp(-ln_M)).sum(axis=1)

    spacing = min(0.85 * width, 0.055)  # never coarser than what emulators have
    N_c, fine = centrals(spacing / 8)
    np.testing.assert_allclose(centrals(spacing)[1], fine, rtol=SAMPLED, atol=1e-30)
    if name in ("more15", "hmq", "zehavi05"):  # edges, which grids know
        return
    largest = (8 * width / spacing) ** 2 * abs(np.diff(N_c, 2, axis=1)).max()
    assert 0.02 < largest < CURVED


@every
def test_parameters(name):
    one = occupation(name)
    names = [p.name for p in one.parameters]
    assert one.name == name
    assert len(set(names)) == len(names)
    assert not set(names) & {*BACKGROUND, "occupation"}
    assert one.source
    assert one.__doc__
    for p in one.parameters:
        assert p.group == name
        assert p.valid[0] <= p.range[0] < p.range[1] <= p.valid[1]
        assert p.default is None or p.valid[0] <= p.default <= p.valid[1]
        assert p.symbol
        assert p.text.endswith(".")
        assert p.unit == ("log10 Msun" if p.name.startswith("log10M") else p.unit)
    assert Space(occupation=name).names[-len(names) :] == tuple(names)


@every
def test_cuts(name):
    for point in rows(drawn(name)):
        cuts = sorted(occupation(name).cuts(point))
        assert np.isfinite(cuts).all()
        assert all(isinstance(cut, float) for cut in cuts)


@every
def test_half_of_the_centrals_at_the_threshold(name):
    one, parameters = occupation(name), drawn(name)
    if one.threshold(parameters) is None:
        assert name in {"cacciato13", "vanuitert16", "hmq", "gaussian"}
        return
    mass, _ = one.threshold(parameters)
    N_c = one.moments(mass, parameters, NUMPY).centrals
    largest = one.moments(mass * 1e60, parameters, NUMPY).centrals
    if name not in {"more15", "zehavi05"}:  # is incomplete there; a step
        np.testing.assert_allclose(N_c, largest / 2, rtol=1e-5)
    else:
        assert (N_c <= largest).all()


def test_what_there_is_not():
    with pytest.raises(ValueError, match="did you mean 'zheng07'"):
        occupation("zeng07")


def test_page_has_the_parameters_there_are():
    """If it has not: put there what ``python -m datagen.occupations.tables`` prints."""
    block = re.search(r"<!-- occupations -->\n(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert block[1] == parameter_tables()


def test_page_has_every_occupation_and_its_pairs():
    section = PAGE.read_text().split("## Which there are")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \|.*\| (independent|beside)[\w, ]* \|$", section, re.M)
    assert [name for name, _ in rows] == [*OCCUPATIONS]
    assert {name for name, pairs in rows if pairs == "independent"} == INDEPENDENT


class Torch:
    """Functions of torch's arrays."""

    def __init__(self, torch):
        self.exp, self.log, self.erf = torch.exp, torch.log, torch.erf
        self.clip, self.where = torch.clamp, torch.where

    def power(self, x, a):
        return self.where(x > 0, self.where(x > 0, x, 1.0) ** a, 0.0)

    def step(self, t):
        return (t >= 0).to(t.dtype)


@every
def test_torch_gives_the_same(name):
    torch = pytest.importorskip("torch")
    parameters = drawn(name, points=20)
    arrays = {key: torch.tensor(value, requires_grad=True) for key, value in parameters.items()}
    result = occupation(name).moments(torch.tensor(M), arrays, Torch(torch))
    for a, b in zip(result, moments(name, M, parameters), strict=True):
        np.testing.assert_allclose(a.detach(), b, rtol=1e-7, atol=1e-13)
    (result.centrals + result.satellites).log1p().sum().backward()
    for array in arrays.values():
        assert array.grad is None or torch.isfinite(array.grad).all()  # a step has none


# Formulas, each written from its paper for one mass and one point


def erf_threshold(x):
    return float(erfc(-x)) / 2


def zheng(M, p):
    N_c = erf_threshold((np.log10(M) - p["log10Mmin"]) / p["sigma_logM"])
    M0, M1 = 10 ** p["log10M0"], 10 ** p["log10M1"]
    return N_c, ((M - M0) / M1) ** p["alpha"] if M > M0 else 0.0


def beside(N_c, lam):
    return Moments(N_c, N_c * lam, N_c * lam, N_c * lam**2)


def apart(N_c, N_s):
    return Moments(N_c, N_s, N_c * N_s, N_s**2)


def linke22(M, p):
    e = norm.cdf(math.log(M / p["Mth"]) / p["sigma"])
    return apart(p["alpha"] * e, e * (M / p["Mprime"]) ** p["beta"])


def zheng07(M, p):
    return beside(*zheng(M, p))


def zheng05(M, p):
    return apart(*zheng(M, p))


def ccl(M, p):
    all_N_c, lam = zheng(M, p)
    N_s = all_N_c * lam
    return Moments(p["f_c"] * all_N_c, N_s, p["f_c"] * N_s, N_s * lam)


def zehavi05(M, p):
    return beside(float(np.log10(M) >= p["log10Mmin"]), (M / 10 ** p["log10M1"]) ** p["alpha"])


def kravtsov04(M, p):
    N_c = erf_threshold((np.log10(M) - p["log10Mmin"]) / p["sigma_logM"])
    return beside(N_c, (M / 10 ** p["log10M1"]) ** p["alpha"] * np.exp(-(10 ** p["log10Mcut"]) / M))


def white11(M, p):
    N_c = erfc(np.log10(10 ** p["log10Mcut"] / M) / (math.sqrt(2) * p["sigma"])) / 2
    rest = M - p["kappa"] * 10 ** p["log10Mcut"]
    return N_c, (rest / 10 ** p["log10M1"]) ** p["alpha"] if rest > 0 else 0.0


def kwan15(M, p):
    return beside(*white11(M, p))


def abacus(M, p):
    N_c, lam = white11(M, p)
    return apart(N_c, N_c * lam)


def more15(M, p):
    f_inc = max(0.0, min(1.0, 1 + p["alpha_inc"] * (np.log10(M) - p["log10M_inc"])))
    rest = M - p["kappa"] * 10 ** p["log10Mmin"]
    lam = (rest / 10 ** p["log10M1"]) ** p["alpha"] if rest > 0 else 0.0
    return beside(f_inc * erf_threshold((np.log10(M) - p["log10Mmin"]) / p["sigma_logM"]), lam)


def behroozi10(log10_m, p):
    t = 10 ** (log10_m - p["log10M_star0"])
    bend = t ** p["delta"] / (1 + t ** -p["gamma"])
    return p["log10M1_star"] + p["beta"] * np.log10(t) + bend - 0.5


def leauthaud11(M, p):
    log10_m = optimize.brentq(lambda x: behroozi10(x, p) - np.log10(M), -40, 20, xtol=1e-13)
    N_c = erfc((p["log10M_star_t"] - log10_m) / (math.sqrt(2) * p["sigma_logm"])) / 2
    M_t = 10 ** behroozi10(p["log10M_star_t"], p)
    Msat = 1e12 * p["B_sat"] * (M_t / 1e12) ** p["beta_sat"]
    Mcut = 1e12 * p["B_cut"] * (M_t / 1e12) ** p["beta_cut"]
    return beside(N_c, (M / Msat) ** p["alpha"] * np.exp(-Mcut / M))


def stellar_mass_bin(M, p, m_c, log10_phi):
    """Both parts of a conditional stellar mass function integrated numerically."""
    low, high = p["log10M_star_low"], p["log10M_star_high"]
    center = np.log10(m_c)

    def integral(density, peak):
        inside = [x for x in peak if low < x < high] or None
        return integrate.quad(density, low, high, epsabs=0, epsrel=1e-9, limit=400, points=inside)[
            0
        ]

    around = center + p["sigma_c"] * np.array([-6, -3, 0, 3, 6])
    N_c = integral(lambda x: norm.pdf(x, center, p["sigma_c"]), around)
    m_s, phi = 0.56 * m_c, 10**log10_phi

    def schechter(log10_m):
        m = 10**log10_m
        return LN_10 * m * phi / m_s * (m / m_s) ** p["alpha_s"] * np.exp(-((m / m_s) ** 2))

    tail = low + np.log10(1 + 20 * (m_s / 10**low) ** 2) / 2  # where e^-20 is left
    return apart(N_c, integral(schechter, [np.log10(m_s), tail]))


def cacciato13(M, p):
    x = M / 10 ** p["log10M1_star"]
    m_c = 10 ** p["log10M_star0"] * x ** p["g1"] / (1 + x) ** (p["g1"] - p["g2"])
    X = np.log10(M / 1e13)
    return stellar_mass_bin(M, p, m_c, p["b0"] + p["b1"] * X + p["b2"] * X**2)


def vanuitert16(M, p):
    x, beta2 = M / 10 ** p["log10M1_star"], 10 ** p["log10beta2"]
    m_c = 10 ** p["log10M_star0"] * x ** p["beta1"] / (1 + x ** (p["beta1"] - beta2))
    return stellar_mass_bin(M, p, m_c, p["b0"] + p["b1"] * np.log10(M / 1e13))


def peak_satellites(M, p):
    M0 = 10 ** p["log10M0"]
    return ((M - M0) / 10 ** p["log10M1"]) ** p["alpha"] if M > M0 else 0.0


def hmq(M, p):
    x = (np.log10(M) - p["log10Mc"]) / p["sigma"]
    mode = optimize.minimize_scalar(
        lambda t: -skewnorm.pdf(t, p["gamma"]), bounds=(-1.5, 1.5), options={"xatol": 1e-9}
    )
    A = (p["p_max"] - 1 / p["Q"]) / skewnorm.pdf(mode.x, p["gamma"])
    quenched = math.erfc(-(np.log10(M) - p["log10Mc"]) / 0.01) / (2 * p["Q"])
    return apart(A * skewnorm.pdf(x, p["gamma"]) + quenched, peak_satellites(M, p))


def gaussian(M, p):
    x = (np.log10(M) - p["log10Mc"]) / p["sigma"]
    return apart(p["A"] * np.exp(-(x**2) / 2), peak_satellites(M, p))


@every
def test_against_its_formula(name):
    formula = globals()[name]
    parameters = drawn(name, points=25, seed=3)
    masses = np.geomspace(1e10, 1e16, 13) * 1.01
    result = moments(name, masses, parameters)
    expected = [[formula(mass, point) for mass in masses] for point in rows(parameters)]
    rtol = BIN if name in {"cacciato13", "vanuitert16"} else FORMULA
    for i, moment in enumerate(result):
        values = np.array(expected)[..., i]
        np.testing.assert_allclose(moment, values, rtol=2 * rtol, atol=1e-13)


def test_zheng07_as_pyccl_has_it():
    ccl = pytest.importorskip("pyccl")
    own = ccl.halos.HaloProfileHOD(
        mass_def="200m",
        concentration=ccl.halos.ConcentrationDuffy08(mass_def="200m"),
        log10Mmin_0=12.3,
        siglnM_0=0.5,
        log10M0_0=11.9,
        log10M1_0=13.4,
        alpha_0=1.1,
        fc_0=0.7,
    )
    p = {"log10Mmin": 12.3, "sigma_logM": 0.5 / LN_10, "log10M0": 11.9, "log10M1": 13.4}
    p |= {"alpha": 1.1, "f_c": 0.7}
    result = moments("ccl", M, p)
    N_c, lam = own._Nc(M, 1.0), own._Ns(M, 1.0)
    np.testing.assert_allclose(result.centrals, 0.7 * N_c, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(result.satellites, N_c * lam, rtol=1e-9, atol=1e-15)
    for a, b in zip(moments("ccl", M, p | {"f_c": 1.0}), moments("zheng07", M, p), strict=True):
        np.testing.assert_array_equal(a, b)


def test_limits():
    """Occupations that are others in a limit."""
    p = {"log10Mmin": 12.3, "sigma_logM": 0.3, "log10M0": 12.3, "log10M1": 13.4, "alpha": 1.1}
    more = p | {"kappa": 1.0, "alpha_inc": 0.0, "log10M_inc": 12.0}
    kwan = p | {"log10Mcut": 12.3, "sigma": 0.3 / 2**0.5, "kappa": 1.0}
    for a, b, c in zip(
        moments("zheng07", M, p),
        moments("more15", M, more),
        moments("kwan15", M, kwan),
        strict=True,
    ):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(c, a, rtol=1e-9, atol=1e-13)
    narrow = p | {"sigma_logM": 1e-9, "log10Mcut": -30.0}
    for a, b in zip(moments("zehavi05", M, p), moments("kravtsov04", M, narrow), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-13)


def test_stellar_to_halo_mass_relation_of_cosmos():
    """Leauthaud et al. 2012 (ApJ 744, 159, Table 5, first redshifts): a halo of M1 hosts m0."""
    p = {"log10M1_star": 12.520, "log10M_star0": 10.916, "beta": 0.457, "delta": 0.566}
    p |= {"gamma": 1.53, "sigma_logm": 0.206, "B_sat": 10.62, "beta_sat": 0.859}
    p |= {"B_cut": 1.47, "beta_cut": -0.13, "alpha": 1.0, "log10M_star_t": 10.916}
    N_c = moments("leauthaud11", 10**12.520, p).centrals
    np.testing.assert_allclose(N_c, 0.5, rtol=1e-9)


def test_peak_of_high_mass_quenched_galaxies():
    """For no quenched ones the largest number is p_max, whatever the skewness."""
    for gamma in (-10.0, -1.0, 0.0, 0.5, 5.0, 10.0):
        p = {"log10Mc": 12.0, "sigma": 0.5, "gamma": gamma, "Q": 1e12, "p_max": 0.4}
        p |= {"log10M0": 12.0, "log10M1": 13.0, "alpha": 1.0}
        N_c = moments("hmq", np.geomspace(1e9, 1e15, 40001), p).centrals
        np.testing.assert_allclose(N_c.max(), 0.4, rtol=1e-6)


def test_satellites_over_many_decades_of_stellar_mass():
    """A bin that has hardly an upper end, as for a threshold."""
    p = {"log10M_star_low": 10.0, "log10M_star_high": 13.0, "log10M_star0": 10.6}
    p |= {"log10M1_star": 11.2, "g1": 7.0, "g2": 0.2, "sigma_c": 0.16, "alpha_s": -0.85}
    p |= {"b0": -0.1, "b1": 1.2, "b2": 0.0}
    expected = [cacciato13(mass, p) for mass in (1e12, 1e13, 1e14, 1e15)]
    result = moments("cacciato13", np.array([1e12, 1e13, 1e14, 1e15]), p)
    np.testing.assert_allclose(result.satellites, [each.satellites for each in expected], rtol=BIN)
