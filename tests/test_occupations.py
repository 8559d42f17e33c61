"""Occupations: what all of them promise, and each against its formula written anew."""

import math
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from scipy import integrate, optimize
from scipy.special import beta, erfc
from scipy.stats import norm, skewnorm

from datagen.occupations import OCCUPATIONS, Moments, occupation
from datagen.occupations.functions import LN_10, NUMPY
from datagen.occupations.tables import parameters as parameter_tables
from datagen.space import BACKGROUND, Space
from emulator.functions import TORCH, TorchOnGrid
from export.graph import Graph, described
from export.onnx_file import OnnxFile
from export.protobuf import encode
from export.shipped import find
from export.trace import Trace, Traced, TracedFunctions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "occupations.md"

POINTS = 300
M = np.geomspace(1e8, 1e17, 200)  # all haloes that there may be
INDEPENDENT = {"linke22", "zheng05", "abacus", "cacciato13", "vanuitert16", "hmq", "gaussian"}
ROUNDING = {np.float64: 1e-12, np.float32: 1e-5}
SAMPLED = 1e-5  # a sum over nodes as far apart as the width says; the step of zehavi05 takes 3e-6
EMPTY = 1e-30  # such a sum of bins without galaxies, of differences of numbers that round
CURVED = 1.01  # second derivative times width^2: of a normal distribution 1, of its integral 0.24
FORMULA = 2e-9  # the same formula twice, through sums and powers of large numbers
BIN = 1e-4  # the rule for satellites in a bin of stellar mass; 3e-5 measured, twice that of one
PEAK = 1e-5  # the polynomial for the largest value of hmq's peak, of which 7e-6 was measured
ROOT = 1e-7  # leauthaud11's inverse at the points compared; six steps, 1e-9 dex where N_c counts
FORMULAS = {"cacciato13": BIN, "vanuitert16": BIN, "hmq": PEAK, "leauthaud11": ROOT}
INVERSE, INVERSE_99_9 = 3e-4, 1e-5  # dex; 2e-4 and 6e-6 measured

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
    parameters = drawn(name, points=60, seed=2)
    rng = np.random.default_rng(3)
    for p in occupation(name).parameters:  # corners of the box as well
        parameters[p.name][30:] = rng.choice(p.range, (30, 1))
    low, high = 0.0, np.log(1e22)  # none is cut off: not 1 / M of the widest, nor of the rarest

    def centrals(spacing, **others):
        """On an even grid, with the edges of one."""
        ln_M = low + spacing * np.arange(math.ceil((high - low) / spacing))
        points = {n: torch.tensor(column) for n, column in (parameters | others).items()}
        f = TorchOnGrid(torch.zeros(60, 1, dtype=torch.float64), low, spacing, len(ln_M))
        N_c = occupation(name).moments(torch.tensor(np.exp(ln_M))[None], points, f).centrals
        return N_c.numpy(), spacing * (N_c.numpy() * np.exp(-ln_M)).sum(axis=1)

    spacing = min(0.85 * width, 0.055)  # never coarser than what emulators have
    N_c, fine = centrals(spacing / 8)
    np.testing.assert_allclose(centrals(spacing)[1], fine, rtol=SAMPLED, atol=EMPTY)
    if name == "zehavi05":  # is an edge, which grids know, and nothing else
        return
    if edgeless := {"more15": {"alpha_inc": 0.0}, "hmq": {"Q": 1e30}}.get(name):
        N_c, _ = centrals(
            spacing / 8, **{n: np.full((60, 1), value) for n, value in edgeless.items()}
        )
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
    section = PAGE.read_text().split("## Available occupations")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \|.*\| (independent|with central)[\w, ]* \|$", section, re.M)
    assert [name for name, _ in rows] == [*OCCUPATIONS]
    assert {name for name, pairs in rows if pairs == "independent"} == INDEPENDENT


@every
def test_torch_gives_the_same(name):
    parameters = drawn(name, points=20)
    arrays = {key: torch.tensor(value, requires_grad=True) for key, value in parameters.items()}
    result = occupation(name).moments(torch.tensor(M), arrays, TORCH)
    for a, b in zip(result, moments(name, M, parameters), strict=True):
        np.testing.assert_allclose(a.detach(), b, rtol=1e-7, atol=1e-13)
    (result.centrals + result.satellites).log1p().sum().backward()
    for array in arrays.values():
        assert array.grad is None or torch.isfinite(array.grad).all()  # a step has none


@every
def test_gradients_on_a_grid(name):
    """Finite for all parameters, a step's too, at corners of the box as well."""
    parameters = drawn(name, points=40)
    rng = np.random.default_rng(5)
    for p in occupation(name).parameters:
        parameters[p.name][20:] = rng.choice(p.range, (20, 1))
    arrays = {key: torch.tensor(value, requires_grad=True) for key, value in parameters.items()}
    ln_M, x = torch.full((40, 1), math.log(1e10)), CELL * np.arange(250)
    f = TorchOnGrid(ln_M.double(), 0.0, CELL, len(x))
    result = occupation(name).moments(torch.exp(ln_M + torch.tensor(x)), arrays, f)
    sum(moment.log1p().sum() for moment in result).backward()
    for key, array in arrays.items():
        assert torch.isfinite(array.grad).all(), key


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
    quenched = 1 / p["Q"] if 10 ** p["log10Mc"] <= M else 0.0
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
    rtol = FORMULAS.get(name, FORMULA)
    for i, moment in enumerate(result):
        values = np.array(expected)[..., i]
        np.testing.assert_allclose(moment, values, rtol=rtol, atol=1e-13)


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


def test_inverse_of_the_stellar_to_halo_mass_relation():
    """Half of the haloes that host m_t on average have a central above it, whatever m_t."""
    p = drawn("leauthaud11", points=20_000, seed=5)
    mass = 10 ** behroozi10(p["log10M_star_t"], p)
    N_c = moments("leauthaud11", mass, p).centrals
    dex = abs(N_c - 0.5) * (2 * math.pi) ** 0.5 * p["sigma_logm"]
    assert dex.max() < INVERSE
    assert np.percentile(dex, 99.9) < INVERSE_99_9


def test_peak_of_high_mass_quenched_galaxies():
    """For no quenched ones the largest number is p_max, whatever the skewness."""
    for gamma in (-10.0, -1.0, 0.0, 0.5, 5.0, 10.0):
        p = {"log10Mc": 12.0, "sigma": 0.5, "gamma": gamma, "Q": 1e12, "p_max": 0.4}
        p |= {"log10M0": 12.0, "log10M1": 13.0, "alpha": 1.0}
        N_c = moments("hmq", np.geomspace(1e9, 1e15, 40001), p).centrals
        np.testing.assert_allclose(N_c.max(), 0.4, rtol=PEAK)


def test_satellites_over_many_decades_of_stellar_mass():
    """A bin that has hardly an upper end, as for a threshold."""
    p = {"log10M_star_low": 10.0, "log10M_star_high": 13.0, "log10M_star0": 10.6}
    p |= {"log10M1_star": 11.2, "g1": 7.0, "g2": 0.2, "sigma_c": 0.16, "alpha_s": -0.85}
    p |= {"b0": -0.1, "b1": 1.2, "b2": 0.0}
    expected = [cacciato13(mass, p) for mass in (1e12, 1e13, 1e14, 1e15)]
    result = moments("cacciato13", np.array([1e12, 1e13, 1e14, 1e15]), p)
    np.testing.assert_allclose(result.satellites, [each.satellites for each in expected], rtol=BIN)


# Edges on an even grid of ln M

CELL, EDGE = 0.055, 1e12
ALONE = 10  # a sum without the edge misses that many times more, at least
PARABOLA = {  # what sums miss relative to an integral of e^{g y} times a function with an edge
    "beyond": {-2.0: 2e-5, -6.0: 1.5e-3},  # 1.1e-5, 1.1e-3 measured
    "step": {-2.0: 1e-4, -6.0: 3e-3},  # 4.2e-5, 2.5e-3
    "ramp": {-2.0: 3e-6, -6.0: 3e-4},  # 1.2e-6, 1.8e-4
}
GRADIENT = 1e-3  # of such a sum with g = -2; 4.2e-4 measured for a = 0.3
SINGLE, SINGLE_EACH = 2e-5, 5e-3  # sums in single precision; values where M - M0 loses digits

decays = pytest.mark.parametrize("g", [-2.0, -6.0])


class Even:
    """Masses on grids around `EDGE`, one for each point, that begin at any place in a cell."""

    def __init__(self, places=None, low=-40, high=1100, dtype=torch.float64):
        if places is None:
            places = np.append(0.0, np.random.default_rng(4).uniform(0, 1, 200))
        self.start, self.count = low * CELL, high - low
        ln_M = np.log(EDGE) + CELL * np.asarray(places)[:, None]
        self.ln_M = torch.tensor(ln_M, dtype=dtype)
        x = torch.tensor(self.start + CELL * np.arange(self.count), dtype=dtype)
        self.M = torch.exp(self.ln_M + x)
        self.functions = TorchOnGrid(self.ln_M, self.start, CELL, self.count)

    def column(self, value):
        """The same number for each point."""
        return torch.full_like(self.ln_M, value)

    def sums(self, values, g):
        """Of values times (M / EDGE)^g over ln M."""
        return CELL * (values * torch.exp(g * (torch.log(self.M) - math.log(EDGE)))).sum(1)

    def misses(self, formula, integral, g):
        """How much sums miss at most, with the edge known and without."""
        both = formula(self.functions), formula(TORCH)
        return [float(abs(self.sums(values, g) / integral - 1).max()) for values in both]


@decays
@pytest.mark.parametrize("power", [0, 1])
@pytest.mark.parametrize("a", [0.3, 0.5, 1.0, 2.0])
def test_sums_know_where_power_laws_begin(g, power, a):
    even, exponent = Even(), a * (power + 1)
    if -g - exponent < 0.5:
        return  # its integral does not end on the grid
    M0 = even.column(EDGE)
    own, alone = even.misses(
        lambda f: f.beyond(even.M, M0, 3 * M0, even.column(a))[power],
        3**-exponent * beta(-g - exponent, exponent + 1),
        g,
    )
    assert own < PARABOLA["beyond"][g]
    assert alone > ALONE * own


@decays
def test_sums_know_where_steps_are(g):
    even = Even()
    own, alone = even.misses(lambda f: f.step(even.M, even.column(EDGE)), -1 / g, g)
    assert own < PARABOLA["step"][g]
    assert alone > ALONE * own


@decays
@pytest.mark.parametrize("slope", [0.1, 0.5, 2.0])
def test_sums_know_where_ramps_begin_and_end(g, slope):
    even = Even(low=-240)
    own, alone = even.misses(
        lambda f: f.ramp(even.M, even.column(EDGE), even.column(slope)),
        slope * math.expm1(-g / slope) / g**2,
        g,
    )
    assert own < PARABOLA["ramp"][g]
    assert alone > ALONE * own


def edges(f, even, ln_M0, ln_M1, a, slope):
    """All functions with edges, of columns of logarithms."""
    M0, M1 = f.exp(ln_M0), f.exp(ln_M1)
    return [f.step(even.M, M0), *f.beyond(even.M, M0, M1, a), f.ramp(even.M, M0, slope)]


def columns(even, *values):
    return [even.column(value) for value in values]


@pytest.mark.parametrize("place", [-25.0, 20.0])
def test_edges_outside_of_the_grid_change_nothing(place):
    even = Even(high=100)
    values = columns(even, math.log(EDGE) + place, math.log(EDGE), 0.7, 0.001)
    for own, plain in zip(
        edges(even.functions, even, *values), edges(TORCH, even, *values), strict=True
    ):
        np.testing.assert_allclose(own, plain, rtol=1e-12)


def test_all_but_three_masses_next_to_an_edge_have_plain_values():
    even = Even(np.linspace(0.05, 0.95, 19), high=100)
    values = columns(even, math.log(EDGE), math.log(EDGE) + 0.5, 0.7, 2.0)
    arrays = [value.numpy() for value in values]
    M = even.M.numpy()
    plain = [
        NUMPY.step(M, EDGE),
        *NUMPY.beyond(M, EDGE, np.exp(arrays[1]), arrays[2]),
        NUMPY.ramp(M, EDGE, arrays[3]),
    ]
    y = np.log(M / EDGE)
    upper = (y >= 0) & (y < 3 * CELL)
    lower = (y >= -0.5) & (y < 3 * CELL - 0.5)
    near = [upper, upper, upper, upper | lower]
    for own, there, beside in zip(edges(even.functions, even, *values), plain, near, strict=True):
        np.testing.assert_allclose(own.numpy()[~beside], there[~beside], rtol=1e-9, atol=1e-13)
        assert (abs(own.numpy() - there) > 1e-7).any()


def test_gradients_with_edges_are_those_of_the_sums():
    even = Even(np.linspace(0.05, 0.95, 10), high=300)
    values = columns(even, math.log(EDGE), math.log(EDGE) + 0.5, 0.7, 2.0)

    def all_sums(*values):
        return [even.sums(one, -3.0) for one in edges(even.functions, even, *values)]

    inputs = [value.requires_grad_() for value in values]
    assert torch.autograd.gradcheck(all_sums, inputs, eps=1e-5, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("a", [0.3, 1.0])
def test_gradients_do_not_jump_where_an_edge_meets_a_mass(a, dtype):
    """d/dlnM0 of the sum is (a + g) times it, be the edge next to a mass, at it or behind it."""
    near = np.geomspace(1e-9, 0.5, 100)
    even, g = Even(np.concatenate([[0.0], near, -near]), dtype=dtype), -2.0
    ln_M0 = even.column(math.log(EDGE)).requires_grad_()
    value, _ = even.functions.beyond(even.M, torch.exp(ln_M0), even.column(EDGE), even.column(a))
    total = even.sums(value, g)
    (gradient,) = torch.autograd.grad(total.sum(), ln_M0)
    expected = beta(-g - a, a + 1)
    np.testing.assert_allclose(total.detach(), expected, rtol=PARABOLA["beyond"][g])
    np.testing.assert_allclose(gradient[:, 0], (a + g) * expected, rtol=GRADIENT)


def test_limits_of_edges():
    """Satellites of haloes of any mass, of any number, and a sample that is complete."""
    even = Even(high=100)
    M0, M1, a, slope = (x.requires_grad_() for x in columns(even, 0.0, EDGE, 0.0, 0.0))
    one, two = even.functions.beyond(even.M, even.column(EDGE), M1, a)
    assert torch.isfinite(torch.cat([one, two])).all()
    from_none, _ = even.functions.beyond(even.M, M0, M1, even.column(1.0))
    np.testing.assert_allclose(from_none.detach(), even.M / EDGE, rtol=1e-12)
    ramp = even.functions.ramp(even.M, even.column(EDGE), slope)
    np.testing.assert_array_equal(ramp.detach(), np.ones_like(even.M))
    (one.log1p() + two.log1p() + from_none.log1p() + ramp).sum().backward()
    for x in (M0, M1, a, slope):
        assert torch.isfinite(x.grad).all()


def traced(even, values):
    """All functions with edges as a graph computes them, from columns."""
    trace = Trace("t/")
    count = 1 + len(values)
    names = [f"t/{i}" for i in range(count)]
    sizes = Traced(trace, trace.constant(np.ones(count), np.int64))
    trace.apply("Split", Traced(trace, "x"), sizes, outputs=names, axis=1)
    ln_M, *inputs = (Traced(trace, name) for name in names)
    places = even.start + CELL * np.arange(even.count)
    f = TracedFunctions(trace, ln_M, even.start, CELL, even.count)
    even.M = f.exp(ln_M + places)
    outputs = [f"y{i}" for i in range(4)]
    for name, one in zip(outputs, edges(f, even, *inputs), strict=True):
        trace.apply("Identity", one, outputs=(name,))
    graph = Graph(
        OnnxFile.read(find("standard").read_bytes(), find("standard")).graph.head,
        encode(11, described("x", count)),
        {name: encode(12, described(name, even.count)) for name in outputs},
        tuple(trace.nodes),
        trace.tensors,
    )
    x = torch.cat([even.ln_M, *values], dim=1).numpy().astype(np.float32)
    return onnxruntime.InferenceSession(graph.encode()).run(outputs, {"x": x})


@pytest.mark.parametrize("place", [-25.0, 0.0, 20.0])
@pytest.mark.parametrize("a", [0.0, 0.3, 2.0])
def test_a_graph_gives_the_same_edges(place, a):
    even = Even(np.linspace(0.05, 0.95, 19), high=100)
    values = columns(even, math.log(EDGE) + place, math.log(EDGE) + 0.5, a, 2.0)
    expected = edges(even.functions, even, *values)
    found = traced(Even(np.linspace(0.05, 0.95, 19), high=100), values)
    for own, theirs in zip(found, expected, strict=True):
        largest = float(abs(theirs).max())
        np.testing.assert_allclose(own, theirs, rtol=SINGLE_EACH, atol=1e-5 * largest)
        sums = even.sums(torch.tensor(own), -2.0), even.sums(theirs, -2.0)
        np.testing.assert_allclose(*sums, rtol=SINGLE)
