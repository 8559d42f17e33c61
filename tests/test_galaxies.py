"""Other galaxies than a file has: every occupation, one's own, and two populations."""

import math
import multiprocessing
import pickle
import warnings
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.interpolate import CubicSpline
from support.own_occupations import Delegate, Evolving, Kinked, Smooth, Step
from support.small_emulator import SPACE, analytic_power, small_onnx

from datagen.haloes import haloes_of
from datagen.halomodel import HaloModel, HaloModelConfig, nfw_fourier
from datagen.occupations import OCCUPATIONS, Occupation, occupation, parameter, with_central
from datagen.occupations.functions import NUMPY
from datagen.occupations.linke22 import Linke22
from datagen.space import BACKGROUND, Range, Space
from emulator.emulator import Emulator
from emulator.semianalytic.emulator import HALOES, OUTPUTS
from emulator.semianalytic.occupation import Sampled
from export.galaxies import PREFIX, WEIGHTS, Nodes, sampled
from export.given_sessions import GivenSessions
from export.graph import Graph, described
from export.interpolate import AtK
from export.onnx_file import OnnxFile
from export.populations import OccupationError
from export.protobuf import encode
from export.quadrature import Quadrature
from export.ranges import OutOfRange, OutOfRangeWarning
from export.runtime import load
from export.sessions import Sessions
from export.to_onnx import rewrite

MODEL = HaloModelConfig()
# Of spectra up to 1 1/Mpc and of numbers, against the halo model: what the small network costs,
# with 60 nodes, and kinks between them
MEDIAN, NEARLY_ALL = 3e-4, 3e-3
COMPILED = 2e-3  # sums over the cells of an interval, 0.34 wide in ln M, against integrals
KINKED = {"kwan15": 7e-3, "abacus": 7e-3, "more15": 1e-2, "gaussian": 4e-3}  # where roots begin
FLOAT32 = 1e-5
INTEGRAL = 1e-4

SOME = ("linke22", "zheng07", "more15", "cacciato13", "gaussian")
every = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in SOME else pytest.mark.slow) for n in OCCUPATIONS],
)
pytestmark = pytest.mark.filterwarnings("ignore::export.lowest_mass.BelowLowestMassWarning")


def space_of(name):
    """The box of the small emulator with another occupation."""
    given = {} if name == "linke22" else {"occupation": name}
    return Space(**{n: SPACE[n] for n in BACKGROUND}, **given)


def drawn(emulator, space, points=24, seed=3):
    """Points of a space with galaxies among the haloes that there are."""
    rng = np.random.default_rng(seed)
    theta = space.from_unit(rng.random((4 * points, len(space.names))))
    found = emulator(theta, ("n_g", "b_eff", "f_sat"), out_of_range="nan")
    there = (found["n_g"] > 1e-7) & (found["b_eff"] < 20) & (found["f_sat"] > 1e-4)
    assert there.sum() >= points
    return theta[there][:points].astype(np.float32).astype(np.float64)


def errors(ours, true, k):
    """|ours / true - 1| of all that both have, spectra up to 1 1/Mpc, by name."""
    part = {n: (P[:, k < 1] if P.ndim == 2 else P) for n, P in ours.items() if n in true}
    return {n: np.abs(P / (true[n][:, k < 1] if P.ndim == 2 else true[n]) - 1)
            for n, P in part.items()}  # fmt: skip


@pytest.fixture(scope="module")
def zheng_file(tmp_path_factory):
    """The small emulator made for zheng07, and compared with torch at few points."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.parity.RANDOM_POINTS", 50)
        patch.setattr("export.parity.np.meshgrid", lambda *axes, indexing: np.array(axes)[:, :1])
        return small_onnx(tmp_path_factory.mktemp("zheng"), space_of("zheng07"), between=False)


# -- by name -----------------------------------------------------------------------------------


@every
def test_it_has_the_parameters_of_the_occupation_and_its_spectra(name, small_file):
    emulator = load(small_file, occupation=name)
    assert emulator.names == (*BACKGROUND, *(p.name for p in occupation(name).parameters))
    assert emulator.outputs == OUTPUTS
    if name != "linke22":  # whose ranges are those of the file
        for p in occupation(name).parameters:
            (ours,) = (one for one in emulator.parameters if one.name == p.name)
            assert (ours.low, ours.high, ours.unit, ours.default) == (*p.range, p.unit, p.default)
            assert (ours.group, ours.symbol, ours.sampling) == (name, p.symbol, p.sampling)
    theta = drawn(emulator, SPACE if name == "linke22" else space_of(name))
    true = HaloModel(MODEL, analytic_power(), name)(theta)
    for output, error in errors(emulator(theta), true, emulator.k).items():
        assert np.median(error) < MEDIAN, output
        assert np.percentile(error, 95) < max(NEARLY_ALL, KINKED.get(name, 0)), output


@every
def test_a_part_of_the_graph_gives_what_integrals_give(name, small_file):
    emulator = load(small_file, occupation=name)
    ranges = {p.name: (p.low, p.high) for p in emulator.parameters if p.name not in BACKGROUND}
    own = Delegate(occupation(name), ranges)
    integrated = load(small_file, occupation=own)
    assert isinstance(integrated.sessions, GivenSessions)
    theta = drawn(emulator, SPACE if name == "linke22" else space_of(name), seed=4)
    wanted = ("n_g", "gg_1h")
    wrong = errors(emulator(theta, wanted), integrated(theta, wanted), emulator.k)
    for output, error in wrong.items():
        assert np.percentile(error, 95) < KINKED.get(name, COMPILED), output


@every
def test_a_part_of_the_graph_is_what_torch_computes(name, small_file):
    space = space_of(name)
    torch_emulator = Emulator.load(small_file.with_suffix(".safetensors"))
    grid = torch_emulator.model.grid
    file = OnnxFile.read(small_file.read_bytes(), small_file)
    part = sampled(occupation(name), space.names, file.nodes)
    Q, outputs = grid.nodes, [f"{PREFIX}{one}" for one in WEIGHTS]
    inputs = {"theta": len(space.names), "ln_M": 1, "ln_n": Q, "step": Q}
    graph = Graph(
        file.graph.head,
        b"".join(encode(11, described(*one)) for one in inputs.items()),
        {one: encode(12, described(one, Q)) for one in outputs[:4]},
        tuple(part.nodes),
        part.tensors,
    )
    rng = np.random.default_rng(5)
    theta = torch.tensor(space.from_unit(rng.random((16, len(space.names)))).astype(np.float32))
    with torch.inference_mode():
        found = torch_emulator.model.of_galaxies(
            theta[:, : len(BACKGROUND)],
            lambda *given: torch_emulator.model.galaxies(
                torch.cat([theta[:, :8], torch.tensor([[0.5, 0.5, 1e12, 1e14, 1.0]] * 16)], 1),
                *given,
            ),
        )
        given = {one: found[one] for one in HALOES}
        expected = Sampled(occupation(name), space.names, grid)(theta, *given.values())
    session = onnxruntime.InferenceSession(graph.encode())
    given["theta"] = theta
    fed = {one: given[one].numpy() for one in inputs}
    for values, theirs in zip(session.run(outputs[:4], fed), expected[:4], strict=True):
        total = np.abs(theirs.numpy()).sum(axis=1, keepdims=True) + 1e-30
        assert np.max(np.abs(values - theirs.numpy()) / total) < 5 * FLOAT32


@pytest.mark.slow  # by default, test_it_has_the_parameters_of_the_occupation_and_its_spectra
def test_an_emulator_made_for_an_occupation_is_the_same_and_needs_nothing_else(
    small_file, zheng_file
):
    made, changed = load(zheng_file), load(small_file, occupation="zheng07")
    assert made.names == changed.names
    assert OnnxFile.read(zheng_file.read_bytes(), zheng_file).occupation == "zheng07"
    theta = drawn(changed, space_of("zheng07"))
    session = onnxruntime.InferenceSession(zheng_file)
    raw = session.run(list(made.outputs), {"theta": theta.astype(np.float32)})
    for name, alone in zip(made.outputs, raw, strict=True):
        np.testing.assert_allclose(made(theta)[name], alone, rtol=FLOAT32)
        np.testing.assert_allclose(changed(theta)[name], alone, rtol=FLOAT32)
    own = load(zheng_file, occupation="zheng07")
    np.testing.assert_array_equal(own(theta)["gg_1h"], made(theta)["gg_1h"])


@pytest.mark.slow
def test_a_file_of_another_occupation_can_have_the_first_one(small_file, zheng_file):
    changed, made = load(zheng_file, occupation="linke22"), load(small_file)
    assert changed.names == made.names
    theta = drawn(changed, replace(SPACE, sigma=Range(0.01, 1.0)))
    for name, error in errors(changed(theta), made(theta), made.k).items():
        assert np.percentile(error, 95) < 3 * INTEGRAL, name


@pytest.mark.slow
def test_torch_knows_the_occupation_of_its_space(zheng_file):
    emulator = Emulator.load(zheng_file.with_suffix(".safetensors"))
    assert isinstance(emulator.model.galaxies, Sampled)
    theta = drawn(load(zheng_file), space_of("zheng07"))
    x = torch.tensor(theta, dtype=torch.float32)
    with torch.inference_mode():
        found = dict(zip(OUTPUTS, emulator(x), strict=True))
    for name, values in load(zheng_file)(theta).items():
        np.testing.assert_allclose(values, found[name].numpy(), rtol=50 * FLOAT32, err_msg=name)


# -- one's own ---------------------------------------------------------------------------------

POLYNOMIAL = np.poly1d([-1e-5, -2e-3, -0.9, -2.0])  # ln n over ln M from its node of start
GRID = Nodes(nodes=60, spacing=0.34, start=-6.0, log10M_min=10.0)
LN_M = 28.9  # where x = 0


def synthetic(N):
    """The grid's ln n, N times the same."""
    return np.tile(POLYNOMIAL(GRID.spacing * np.arange(GRID.nodes)), (N, 1))


def direct(moments, p, points=200_001):
    """The integrals of moments over ln M in spacings of the grid, by a trapezoid, of one point."""
    low, high = GRID.log10M_min * math.log(10), LN_M + GRID.start + GRID.spacing * (GRID.nodes - 1)
    ln_M = np.linspace(low, high, points)
    n = np.exp(POLYNOMIAL(ln_M - LN_M - GRID.start)) / GRID.spacing
    return [np.trapezoid(n * one, ln_M) for one in moments(np.exp(ln_M), p)]


@pytest.mark.parametrize("own", [Step(), Kinked()])
def test_steps_and_kinks_anywhere_are_integrated(own):
    rng, N = np.random.default_rng(1), 60
    point = {name: rng.uniform(*ends, N) for name, ends in own.parameters.items()}
    point["log10Mmin"][:] = rng.uniform(11, 13.5, N)

    def moments(M, p):
        return own.moments(M, p, NUMPY)

    found = Quadrature(GRID, moments)(point, np.full(N, LN_M), synthetic(N)).sum(axis=2)
    for i in range(N):
        exact = direct(moments, {name: values[i] for name, values in point.items()})
        np.testing.assert_allclose(found[:, i], exact, rtol=INTEGRAL)


def test_a_step_is_seen_wherever_it_lies_between_nodes():
    """Gauss' points, and those of half an interval, lie a few hundredths from its ends."""
    steps = LN_M + GRID.start + GRID.spacing * (30 + np.linspace(0, 1, 401))

    def moments(M, p):
        above = np.where(np.log(M) >= p["ln M"], 1.0, 0.0)
        return above, 0 * M, 0 * M, 0 * M

    N = len(steps)
    found = Quadrature(GRID, moments)({"ln M": steps}, np.full(N, LN_M), synthetic(N))
    fine = np.linspace(steps[0], LN_M + GRID.start + GRID.spacing * (GRID.nodes - 1), 400_001)
    n = np.exp(POLYNOMIAL(fine - LN_M - GRID.start)) / GRID.spacing
    mean = 0.5 * (n[1:] + n[:-1]) * np.diff(fine)
    below = np.interp(steps, fine, np.r_[0, np.cumsum(mean)])
    np.testing.assert_allclose(found[0].sum(axis=1), mean.sum() - below, rtol=INTEGRAL / 2)


def test_an_own_step_is_zehavi05(small_file):
    own = load(small_file, occupation=Step())
    named = load(small_file, occupation=Delegate(occupation("zehavi05")))
    assert own.names == named.names
    assert {p.group for p in own.parameters} == {"cosmology", "redshift", "Step"}
    theta = drawn(named, space_of("zehavi05"))
    for name, values in own(theta).items():
        np.testing.assert_allclose(values, named(theta)[name], rtol=FLOAT32)


def test_moments_see_cosmology_and_redshift(small_file):
    own = load(small_file, occupation=Evolving())
    named = load(small_file, occupation=Delegate(occupation("zehavi05")))
    theta = drawn(own, space_of("zehavi05"))
    moved, (Om_c, Om_b, z, log10_M) = (
        theta.copy(),
        map(own.names.index, ("Om_c", "Om_b", "z", "log10Mmin")),
    )
    moved[:, log10_M] += 0.2 * theta[:, z] - theta[:, Om_c] - theta[:, Om_b]
    inside = named.is_inside(moved)
    assert inside.sum() > 10
    for name, values in named(moved[inside]).items():
        np.testing.assert_allclose(own(theta[inside])[name], values, rtol=50 * FLOAT32)


def test_a_smooth_one_becomes_part_of_the_graph(small_file):
    fast, slow = (
        load(small_file, occupation=Smooth()),
        load(small_file, occupation=Delegate(Smooth(), Smooth.parameters)),
    )
    assert isinstance(fast.sessions, Sessions)
    assert isinstance(slow.sessions, GivenSessions)
    background = SPACE.from_unit(np.random.default_rng(6).random((16, 13)))[:, :8]
    theta = np.c_[background, np.linspace(11, 13.5, 16), np.linspace(14, 12, 16)]
    for name, error in errors(fast(theta), slow(theta), fast.k).items():
        assert error.max() < 10 * FLOAT32, name


def test_own_ones_go_to_workers_row_by_row_and_to_other_wavenumbers(small_file):
    emulator = load(small_file, occupation=Step())
    theta = drawn(emulator, space_of("zehavi05"), points=70)  # more than are integrated at once
    whole = emulator(theta)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (there,) = pool.map(emulator, [theta[:3]])
    again = pickle.loads(pickle.dumps(emulator))
    assert again.occupation.parameters == Step.parameters
    for i in (0, 65, 69):
        row = emulator(dict(zip(emulator.names, theta[i].tolist(), strict=True)))
        for name, values in row.items():
            np.testing.assert_allclose(values, whole[name][i], rtol=FLOAT32)
    for name, values in there.items():
        np.testing.assert_allclose(values, whole[name][:3], rtol=FLOAT32)
    assert set(emulator(theta[:2], ("gg_total", "n_g"))) == {"gg_total", "n_g"}
    few = emulator(theta[:2], "gg_total", k=emulator.k[[3, 30]])["gg_total"]
    np.testing.assert_allclose(few, whole["gg_total"][:2, [3, 30]], rtol=10 * FLOAT32)
    assert emulator(theta[:0])["gg_1h"].shape == (0, len(emulator.k))


class Lonely:
    """One galaxy a halo, so no pairs."""

    parameters = {"log10Mmin": (11, 15)}

    def moments(self, M, p, f):
        N_c = np.where(np.log10(M) >= p["log10Mmin"], 1.0, 0.0)
        return N_c, 0 * M, 0 * M, 0 * M


def test_without_pairs_there_is_no_1_halo_term_of_galaxies(small_file):
    emulator = load(small_file, occupation=Lonely())
    point = dict(zip(BACKGROUND, SPACE.from_unit(np.full((1, 13), 0.5))[0, :8].tolist()))
    found = emulator(point | {"log10Mmin": 12.0})
    assert not found["gg_1h"].any()
    np.testing.assert_array_equal(found["gg_total"], found["gg_2h"])
    between = emulator(point | {"log10Mmin": 12.0}, k=[0.001, 0.1, 3.0], extrapolate=True)
    assert not between["gg_1h"].any()
    np.testing.assert_allclose(between["gg_total"], between["gg_2h"], rtol=FLOAT32)


def test_zero_stays_zero_between_wavenumbers():
    grid = np.geomspace(0.01, 100, 8)
    at = AtK(grid, np.array([0.02, 5.0]), False, None)
    some = at({"gg_1h": np.array([[0.0] * 8, [2.0] * 8], np.float32)}, {})["gg_1h"]
    some = some.astype(np.float32)  # as a call of an emulator has it
    np.testing.assert_allclose(some, [[0, 0], [2, 2]], rtol=1e-6)


class Renamed(Linke22):
    """Half of the centrals, under a name that is taken."""

    def moments(self, M, p, f):
        found = super().moments(M, p, f)
        return found._replace(
            centrals=0.5 * found.centrals, central_satellite=0.5 * found.central_satellite
        )


def test_an_own_one_is_taken_whatever_its_name(small_file):
    named, own = load(small_file), load(small_file, occupation=Renamed())
    theta = drawn(named, replace(SPACE, sigma=Range(0.3, 1.0)), seed=8)
    alpha = named.names.index("alpha")
    halved = theta.copy()
    halved[:, alpha] /= 2
    np.testing.assert_allclose(own(theta)["n_g"], named(halved)["n_g"], rtol=INTEGRAL)
    assert own.metadata["record"] == {}


# -- two populations ---------------------------------------------------------------------------

RED = {"log10Mmin": 12.2, "sigma_logM": 0.5, "log10M0": 12.0, "log10M1": 13.3, "alpha": 1.1}
BLUE = {"alpha": 0.6, "sigma": 0.5, "Mth": 2e11, "Mprime": 8e12, "beta": 0.9}
BOTH = {f"red_{n}": v for n, v in RED.items()} | {f"blue_{n}": v for n, v in BLUE.items()}
CROSS = ("red_blue_gg_1h", "red_blue_gg_2h", "red_blue_gg_total")


def background(z=0.3):
    values = (0.26, 0.048, 0.68, 0.83, 0.96, -1.0, 0.0, z)
    return dict(zip(BACKGROUND, values, strict=True))


@pytest.fixture(scope="module")
def pair(small_file):
    return load(small_file, occupation={"red": "zheng07", "blue": "linke22"})


def test_two_populations_have_each_their_own_and_their_cross_spectra(pair, small_file):
    assert pair.names == (*BACKGROUND, *BOTH, "red_blue_A", "red_blue_epsilon")
    galaxies = [name for name in OUTPUTS if not name.startswith(("mm", "P_lin"))]
    assert set(pair.outputs) == {
        *(name for name in OUTPUTS if name not in galaxies),
        *(f"{one}_{name}" for one in ("red", "blue") for name in galaxies),
        *CROSS,
    }
    found = pair(background() | BOTH)  # A and epsilon may be left out
    singles = {"red": ("zheng07", RED), "blue": ("linke22", BLUE)}
    for prefix, (name, values) in singles.items():
        own = Delegate(occupation(name))
        single = load(small_file, occupation=own)(background() | values)
        for output, expected in single.items():
            ours = found[output if output not in galaxies else f"{prefix}_{output}"]
            np.testing.assert_allclose(ours, expected, rtol=5 * FLOAT32, err_msg=output)


def cross_integral(emulator, theta, A, epsilon):
    """The cross power of both populations of `BOTH`, by a trapezoid over 6000 masses.

    Returns:
        The 1-halo term with the emulator's haloes, and both terms with the halo model's.
    """
    nodes, k = Nodes(**emulator.metadata["nodes"]), emulator.k
    row = np.array([[theta[name] for name in BACKGROUND]], np.float32)
    ln_M0, ln_n = emulator.sessions.haloes.feed(("ln_M", "ln_n"), {"background": row})
    columns = {name: np.array([theta[name]]) for name in BACKGROUND}
    (haloes,) = haloes_of(columns, MODEL.fits(), k, analytic_power())
    ln_M = np.linspace(10 * np.log(10), float(ln_M0[0, 0]) + nodes.start + 59 * nodes.spacing, 6000)
    M = np.exp(ln_M)
    d = np.gradient(ln_M)
    d[[0, -1]] /= 2
    x = nodes.start + nodes.spacing * np.arange(nodes.nodes)
    n_net = np.exp(CubicSpline(x, ln_n[0].astype(float))(ln_M - float(ln_M0[0, 0])))
    dn, b = haloes.dn_dlnM_and_bias(M)
    u = nfw_fourier(k, haloes.radius(M), haloes.concentration(M))
    red = occupation("zheng07").moments(M, RED, NUMPY)
    blue = occupation("linke22").moments(M, BLUE, NUMPY)
    pairs = red.satellites * blue.satellites
    pairs = np.maximum(pairs + A * M**epsilon * np.sqrt(pairs), 0.0)
    mixed = red.centrals * blue.satellites + blue.centrals * red.satellites

    def one_halo(n):
        n_1, n_2 = (n @ (one.centrals + one.satellites) for one in (red, blue))
        return (n * mixed @ u + n * pairs @ u**2) / (n_1 * n_2)

    def integral(one):
        n = dn * d * b
        return (n @ one.centrals + (n * one.satellites) @ u) / (
            (dn * d) @ (one.centrals + one.satellites)
        )

    two_halo = integral(red) * integral(blue) * haloes.P_lin
    return one_halo(n_net * d / nodes.spacing), one_halo(dn * d), two_halo


@pytest.mark.parametrize(("A", "epsilon"), [(0.0, 0.0), (0.5, 0.0), (3e-7, 0.5), (-0.2, 0.02)])
def test_cross_spectra_are_their_integrals(pair, A, epsilon):
    for z in (0.0, 1.5):
        point = background(z) | BOTH | {"red_blue_A": A, "red_blue_epsilon": epsilon}
        found = pair(point)
        near = pair.k < 3
        one, with_true, two = cross_integral(pair, point, A, epsilon)
        np.testing.assert_allclose(found[CROSS[0]][near], one[near], rtol=INTEGRAL)
        np.testing.assert_allclose(found[CROSS[0]][near], with_true[near], rtol=NEARLY_ALL)
        np.testing.assert_allclose(found[CROSS[1]][near], two[near], rtol=NEARLY_ALL)
        mean = np.sqrt(found["red_gg_2h"] * found["blue_gg_2h"])
        np.testing.assert_allclose(found[CROSS[1]], mean, rtol=5 * FLOAT32)
        total = found[CROSS[0]] + found[CROSS[1]]
        np.testing.assert_allclose(found[CROSS[2]], total, rtol=FLOAT32)


def test_a_correlation_changes_the_1_halo_term_alone(pair):
    point = background() | BOTH
    none, some = pair(point), pair(point | {"red_blue_A": 0.5})
    changed = [name for name in pair.outputs if not np.allclose(none[name], some[name], rtol=1e-6)]
    assert changed == ["red_blue_gg_1h", "red_blue_gg_total"]
    assert (some["red_blue_gg_1h"] > none["red_blue_gg_1h"]).all()


def test_the_order_of_two_populations_does_not_matter(pair, small_file):
    other = load(small_file, occupation={"blue": "linke22", "red": "zheng07"})
    point = background() | BOTH
    one = pair(point | {"red_blue_A": 0.3})
    two = other(point | {"blue_red_A": 0.3})
    for name, values in one.items():
        same = two[name.replace("red_blue", "blue_red")]
        np.testing.assert_allclose(same, values, rtol=5 * FLOAT32, err_msg=name)


def test_two_populations_row_by_row_some_outputs_and_other_wavenumbers(pair):
    rows = [background(z) | BOTH | {"red_log10Mmin": M} for z, M in ((0.0, 12.0), (1.0, 13.0))]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    whole = pair(table)
    for i, row in enumerate(rows):
        for name, values in pair(row).items():
            np.testing.assert_allclose(values, whole[name][i], rtol=FLOAT32, err_msg=name)
    for name in pair.outputs:
        np.testing.assert_allclose(pair(table, name)[name], whole[name], rtol=5 * FLOAT32)
    k = pair.k[[2, 20]]
    at = pair(table, CROSS, k=k)
    for name in CROSS:
        np.testing.assert_allclose(at[name], whole[name][:, [2, 20]], rtol=10 * FLOAT32)


def test_a_file_without_what_cross_spectra_are_made_of_has_none(tmp_path, small_file):
    path = tmp_path / "few.onnx"
    path.write_bytes(small_file.read_bytes())
    rewrite(path, outputs={"gg_1h": "Mpc^3", "gg_2h": "Mpc^3", "n_g": "1/Mpc^3"})
    few = load(path, occupation={"red": "zheng07", "blue": "linke22"})
    assert [name for name in few.outputs if name.startswith("red_blue")] == ["red_blue_gg_1h"]
    whole = load(small_file, occupation={"red": "zheng07", "blue": "linke22"})
    point = background() | BOTH
    for name, values in few(point).items():
        np.testing.assert_allclose(values, whole(point)[name], rtol=FLOAT32)


# -- what is refused ---------------------------------------------------------------------------


class Wrong:
    """Moments as they are given, all else as it should be."""

    parameters = {"x": (0, 1)}

    def __init__(self, moments):
        self._moments = moments

    def moments(self, M, p, f):
        return self._moments(M)


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        (
            lambda M: (M / M, -M / 1e14, M / M, M / M),
            r"Wrong: <N_s> = -.* at M = .* Msun \(x = 0.5",
        ),
        (
            lambda M: (M / M, np.where(M > 1e13, np.nan, 0), 0 * M, 0 * M),
            "<N_s> = nan at M = 1.*13",
        ),
        (lambda M: (M / M, M / M, M / M, M * np.inf), r"<N_s \(N_s - 1\)> = inf at M = "),
        (lambda M: (M / M, M / M, M / M), r"Wrong: moments returns 3, not the 4 <N_c>, <N_s>, "),
        (lambda M: 1.0, "Wrong: moments returns 1, not the 4"),
        (
            lambda M: (1, 0, np.ones(7), 0),
            r"<N_c N_s> has the shape \(7,\), not that of the masses",
        ),
        (lambda M: {}["y"], "Wrong: moments uses 'y', which is unknown; there are Om_c, .*, z, x"),
    ],
)
def test_moments_that_no_galaxies_have_are_refused(small_file, moments, message):
    emulator = load(small_file, occupation=Wrong(moments))
    with pytest.raises(OccupationError, match=message):
        emulator(background() | {"x": 0.5})


def test_smooth_ones_that_no_graph_can_have_are_integrated(small_file):
    class Negative(Smooth):
        def moments(self, M, p, f):
            N_c, *others = super().moments(M, p, f)
            return N_c - 0.1, *others

    class Large(Smooth):
        def moments(self, M, p, f):
            N_c, *_ = super().moments(M, p, f)
            N_s = N_c * M**3 / (10.0 ** p["log10M1"]) ** 3  # M^3 is beyond single precision
            return N_c, N_s, N_s, N_s * N_s

    point = background() | {"log10Mmin": 12.0, "log10M1": 14.5}
    with pytest.raises(OccupationError, match=r"Negative: <N_c> = -0\.\d* at M = 1e\+10 Msun"):
        load(small_file, occupation=Negative())(point)
    large = load(small_file, occupation=Large())
    assert isinstance(large.sessions, GivenSessions)
    assert np.isfinite(large(point)["gg_total"]).all()


def test_three_moments_are_refused_of_smooth_ones_too(small_file):
    class Three(Smooth):
        def moments(self, M, p, f):
            return super().moments(M, p, f)[:3]

    with pytest.raises(OccupationError, match="Three: moments returns 3, not the 4"):
        load(small_file, occupation=Three())(background() | {"log10Mmin": 12.0, "log10M1": 13.0})


class Nothing:
    parameters = {"x": (0, 1)}


class Cosmic(Step):
    parameters = {"h": (0, 1)}


class Ranged(Step):
    parameters = {"x": 3}


class Backwards(Step):
    parameters = {"x": (2, 1)}


class Named(Step):
    parameters = ("x",)


class Numbered(Step):
    parameters = {3: (0, 1)}


class Wide(Step):
    width = "0.1"


class Short(Step):
    parameters = {"c": (0, 1)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (object(), "has no parameters and no moments; give a name .linke22, zheng07"),
        (Nothing(), "has no moments; give a name"),
        (Step, r"occupation = Step is a class; give Step\(\)"),
        ("zheng7", r"no occupation 'zheng7' \(did you mean 'zheng07'\?\); there are linke22, "),
        ("", "no occupation ''; there are linke22"),
        (Cosmic(), "Cosmic: h is a parameter of cosmology, which moments are given too"),
        (Ranged(), r"Ranged: parameters\['x'\] is 3; give its range as \(low, high\)"),
        (Backwards(), r"Backwards: x has the range \(2.0, 1.0\)"),
        (Named(), r"Named: parameters is \('x',\); give ranges by name, {'log10Mmin'"),
        (Numbered(), "Numbered: 3 in its parameters is not a name"),
        (Wide(), "Wide: width = '0.1' is not a number"),
        ({}, "0 populations are given"),
        ({"a": "zheng07"}, "1 populations are given; two have a cross power"),
        (dict.fromkeys("abc", "zheng07"), "3 populations are given; two have a cross power"),
        ({"a": "zheng07", "b": "zheng7"}, "did you mean 'zheng07'"),
        ({"a b": "zheng07", "c": "zheng07"}, "population 'a b': its name must be a word"),
        ({1: "zheng07", 2: "zheng07"}, "population 1: its name must be a word"),
        ({"": "zheng07", "c": "zheng07"}, "population '': its name must be a word"),
        ({"red": "zheng07", "red_2": "zheng07"}, "red and red_2: .* of which none begins the oth"),
        ({"red_2": "zheng07", "red": "zheng07"}, "red_2 and red: .* of which none begins the oth"),
        ({"Om": Short(), "x": "zheng07"}, "Om and x: Om_c would be .* and is one of cosmology"),
    ],
)  # fmt: skip
def test_what_is_no_occupation_is_refused(small_file, given, message):
    with pytest.raises(OccupationError, match=message):
        load(small_file, occupation=given)


def test_populations_may_be_called_as_outputs_are(small_file):
    pair = load(small_file, occupation={"mm": "zheng07", "P": "linke22"})
    values = {f"mm_{n}": v for n, v in RED.items()} | {f"P_{n}": v for n, v in BLUE.items()}
    found = pair(background() | values)
    plain = load(small_file, occupation="zheng07")(background() | RED)
    np.testing.assert_allclose(found["mm_gg_1h"], plain["gg_1h"], rtol=COMPILED)
    np.testing.assert_allclose(found["mm_1h"], plain["mm_1h"], rtol=FLOAT32)


def test_an_own_one_may_have_no_parameters(small_file):
    class Fixed:
        parameters = {}

        def moments(self, M, p, f):
            return Step().moments(M, {"log10Mmin": 12.0, "log10M1": 13.0, "alpha": 1.0}, f)

    emulator = load(small_file, occupation=Fixed())
    assert emulator.names == BACKGROUND
    step = {"log10Mmin": 12.0, "log10M1": 13.0, "alpha": 1.0}
    expected = load(small_file, occupation=Step())(background() | step)
    for name, values in emulator(background()).items():
        np.testing.assert_allclose(values, expected[name], rtol=FLOAT32)


def test_own_parameters_may_have_units_and_defaults(small_file):
    class Full(Step):
        parameters = (
            parameter("log10Mmin", (11.0, 15.0), "M", "A threshold.", "log10 Msun"),
            parameter("log10M1", (11.0, 15.0), "M_1", "One satellite.", "log10 Msun", default=13.0),
            parameter("alpha", (0.5, 2.0), "a", "A slope.", default=1.0),
        )

    full, step = load(small_file, occupation=Full()), load(small_file, occupation=Step())
    short = background() | {"log10Mmin": 12.0}
    expected = step(short | {"log10M1": 13.0, "alpha": 1.0}, "n_g")
    assert full(short, "n_g")["n_g"] == expected["n_g"]
    with pytest.raises(OutOfRange, match=r"log10Mmin = 1e\+12 .*did you mean its log10, 12"):
        full(short | {"log10Mmin": 1e12})


def test_a_network_has_learnt_its_occupation(small_file, tmp_path):
    path = tmp_path / "network.onnx"
    path.write_bytes(small_file.read_bytes())
    rewrite(path, kind="perceptron", nodes={})
    for given in ("zheng07", Step(), {"a": "linke22", "b": "zheng07"}):
        with pytest.raises(
            OccupationError, match="network was trained for one occupation, linke22; oth"
        ):
            load(path, occupation=given)
    assert load(path, occupation="linke22").names == load(path).names


def test_values_of_another_convention_are_hinted_at(small_file):
    linke = load(small_file)
    point = background() | BLUE
    message = (
        r"Mth = 12.5 is outside the trained range \[1e\+10, 3e\+13\] Msun \(did you mean 10\*\*12.5"
    )
    with pytest.raises(OutOfRange, match=message):
        linke(point | {"Mth": 12.5})
    with pytest.raises(
        OutOfRange, match=r"alpha = 1.1 .*\(Fraction of haloes above threshold that"
    ):
        linke(point | {"alpha": 1.1})
    with pytest.raises(OutOfRange, match=r"h = 3 is outside the trained range \[0.55, 0.91\]$"):
        linke(point | {"h": 3.0})
    zheng = load(small_file, occupation="zheng07")
    with pytest.raises(OutOfRange, match=r"log10Mmin = 1e\+13 .*\(did you mean its log10, 13\?\)"):
        zheng(background() | RED | {"log10Mmin": 1e13})
    given = {name: value for name, value in RED.items() if name != "log10Mmin"}
    message = "missing parameters: log10Mmin; unknown parameters: logMmin .give log10Mmin"
    with pytest.raises(ValueError, match=message):
        zheng(background() | given | {"logMmin": 12.0})


def test_hints_of_populations(pair):
    with pytest.raises(OutOfRange, match=r"blue_alpha = 1.1 .*\(Fraction of haloes above thresh"):
        pair(background() | BOTH | {"blue_alpha": 1.1})
    with pytest.raises(OutOfRange, match=r"blue_Mth = 12 .*\(did you mean 10\*\*12 Msun\?\)"):
        pair(background() | BOTH | {"blue_Mth": 12.0})


@pytest.mark.parametrize("kind", ["given", "graph"])
def test_no_galaxies_are_refused_nan_or_warned_of(small_file, kind):
    class Mine(Occupation):
        name, source = "mine", "a test"
        parameters = (parameter("high", (0.0, 1.0), "h", "Share of haloes with a galaxy."),)
        width = 1.0 if kind == "graph" else 0.0

        def moments(self, M, p, f):
            return with_central(p["high"] + 0.0 * M, 0.0 * M)

    emulator = load(small_file, occupation=Mine())
    assert isinstance(emulator.sessions, Sessions if kind == "graph" else GivenSessions)
    none, some = background() | {"high": 0.0}, background() | {"high": 0.5}
    both = {name: [none[name], some[name]] for name in none}
    for point, more in ((none, {}), (both, {}), (none, {"k": [0.1]})):
        with pytest.raises(OutOfRange, match="row 0: no galaxies, n_g = 0; their spectra are not"):
            emulator(point, **more)
        with pytest.warns(OutOfRangeWarning, match="row 0: no galaxies"):
            emulator(point, out_of_range="warn", **more)
    found = emulator(both, out_of_range="nan")
    assert np.isnan(found["gg_2h"][0]).all()
    assert np.isfinite(found["gg_2h"][1]).all()
    matter = [name for name in emulator.outputs if name.startswith(("mm_", "P_lin"))]
    assert len(matter) == 4
    for name in matter:  # does not depend on galaxies
        np.testing.assert_allclose(found[name][0], found[name][1], rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        emulator(none, matter)


def test_no_galaxies_of_one_of_two(small_file):
    class Few(Step):
        def moments(self, M, p, f):
            return (0 * M,) * 4

    pair = load(small_file, occupation={"few": Few(), "red": "zheng07"})
    few = {f"few_{name}": low for name, (low, _) in Few.parameters.items()}
    point = background() | few | {f"red_{name}": value for name, value in RED.items()}
    with pytest.raises(OutOfRange, match="row 0: no galaxies"):
        pair(point)
    found = pair(point, out_of_range="nan")
    assert np.isnan(found["few_gg_2h"]).all()
    assert np.isnan(found["few_red_gg_total"]).all()
    assert np.isfinite(found["red_gg_total"]).all()
    pair(point, ("red_gg_total", "mm_total"))
