"""Emulators as functions of JAX, against onnxruntime, the label code and themselves."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from datagen.halomodel import HaloModel, HaloModelConfig  # noqa: E402
from datagen.occupations import OCCUPATIONS  # noqa: E402
from datagen.power import linear_power  # noqa: E402
from datagen.space import Space  # noqa: E402
from export.ranges import OutOfRange  # noqa: E402
from export.runtime import load  # noqa: E402
from export.statistics import DeltaSigma, Sigma, Wp, Xi  # noqa: E402
from hodspectra.jax import function  # noqa: E402

jnp = jax.numpy
R = np.geomspace(0.1, 50, 12)
POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "z": 0.5,
    "log10Mmin": 13.0, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 14.0, "alpha": 1.0,
}  # fmt: skip

SINGLE = 1e-4  # rounding of both in single precision, at 95 % of all numbers
TAILS = 5e-3  # where single precision has few digits left, far below a threshold


@pytest.fixture(autouse=True)
def double():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def points(model, N, seed=0):
    rng = np.random.default_rng(seed)
    low, high = np.array([[p.low, p.high] for p in model.parameters]).T
    x = low + (high - low) * rng.random((6 * N, len(low)))
    if "z" in model.names:
        x[:, model.names.index("z")] *= 0.3  # where there are galaxies
    return x[model.is_inside(x)][:N]


ADDED = "zheng07+off_centring+damping+transition+c_sat"


@pytest.mark.parametrize(
    ("name", "occupation", "dtype"),
    [
        ("tinker10", "zheng07", "float64"),
        ("tinker10", ADDED, "float32"),
        pytest.param("standard", None, "float64", marks=pytest.mark.slow),
        *(pytest.param("tinker10", one, "float32", marks=pytest.mark.slow)
          for one in ("more15", "leauthaud11", "hmq")),
    ],
)  # fmt: skip
def test_numbers_are_those_of_onnxruntime(name, occupation, dtype):
    model = load(name, occupation=occupation)
    x = points(model, 100)
    expected = model(x, out_of_range="nan")
    found = jax.jit(jax.vmap(function(model, dtype=dtype)))(x)
    seen = expected["n_g"] > 1e-7
    errors = []
    for output, values in expected.items():
        ours, theirs = np.asarray(found[output], np.float64)[seen], values[seen].astype(np.float64)
        assert found[output].dtype == dtype
        errors.append((np.abs(ours - theirs) / np.maximum(theirs, 1e-30)).ravel())
    errors = np.concatenate(errors)
    assert np.percentile(errors, 95) < SINGLE
    assert np.percentile(errors, 99.9) < TAILS


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_every_occupation_is_translated(occupation):
    assert function("tinker10", "gg_total", occupation=occupation).outputs == ("gg_total",)


def test_statistics_are_those_of_the_runtime():
    model = load("tinker10", occupation="zheng07")
    per_h = {"lengths": "Mpc/h"}
    kinds = [
        Wp(R, 100), Wp(R, 60, kaiser=True, **per_h, name="moved"), Wp(R, **per_h, name="infinite"),
        Xi(R, "mm", terms=("2h", "total")), Sigma(R, physical=True),
        DeltaSigma(R, point_mass="M_point", units="h Msun/pc^2", **per_h), "n_g", "gg_total",
    ]  # fmt: skip
    point = POINT | {"M_point": 2e11}
    expected = model(point, kinds)
    P = jax.jit(function("tinker10", kinds, occupation="zheng07", dtype="float64"))
    found = P(point)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=5e-5, err_msg=name)


def test_wavenumbers_of_ones_own():
    model, outputs = load("tinker10", occupation="zheng07"), ["gg_total", "P_lin", "n_g"]
    for k in ([0.013, 0.1, 0.37, 7.0], [1e-3, 4e-3, 0.013, 0.1]):
        below = k[0] < model.k[0]
        expected = model(POINT, outputs, k, extrapolate=below)
        found = function(model, outputs, k, extrapolate=below)(POINT)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=2e-5)
    with pytest.raises(ValueError, match="extrapolate"):
        function(model, outputs, k)


@pytest.mark.slow
def test_gradients_are_differences_of_itself_and_of_labels():
    model = load("tinker10", occupation="zheng07")
    P = function(model, ["gg_total", "gm_total"], dtype="float64")
    jacobian = jax.jit(jax.jacfwd(P))(POINT)
    reverse = jax.jit(jax.grad(lambda point: P(point)["gg_total"][10]))(POINT)
    config = HaloModelConfig.from_dict(model.metadata["halo_model"])
    space = Space(occupation="zheng07")
    labels = HaloModel(config, linear_power(config, space), "zheng07")
    point = {"w0": -1.0, "wa": 0.0} | POINT
    for name in POINT:
        step = 2e-4 * max(abs(POINT[name]), 0.1)
        ends = [{**point, name: point[name] + sign * step} for sign in (1, -1)]
        mine = [P(end) for end in ends]
        rows = labels(np.array([[end[n] for n in space.names] for end in ends]))
        for xy in ("gg", "gm"):
            found = np.asarray(jacobian[f"{xy}_total"][name])
            largest = np.abs(found).max()
            own = (mine[0][f"{xy}_total"] - mine[1][f"{xy}_total"]) / (2 * step)
            np.testing.assert_allclose(found, own, atol=2e-5 * largest)
            total = rows[f"{xy}_1h"] + rows[f"{xy}_2h"]
            truth = (total[0] - total[1]) / (2 * step)
            np.testing.assert_allclose(found, truth, atol=2e-3 * largest, err_msg=name)
        np.testing.assert_allclose(reverse[name], jacobian["gg_total"][name][10], rtol=1e-6)


def test_outside_of_the_ranges():
    P = function("tinker10", "n_g", occupation="zheng07")
    with pytest.raises(OutOfRange, match=r"h = 0.2 is outside the trained range \[0.55, 0.91\]"):
        P(POINT | {"h": 0.2})
    inside, outside = (
        {n: jnp.asarray(v) for n, v in p.items()} for p in (POINT, POINT | {"h": 0.2})
    )
    assert np.isfinite(jax.jit(P)(inside)["n_g"])
    assert np.isnan(jax.jit(P)(outside)["n_g"])
    early = inside | {"w0": jnp.asarray(-0.5), "wa": jnp.asarray(0.9)}
    assert np.isnan(jax.jit(P)(early)["n_g"])
    quiet = function("tinker10", "n_g", occupation="zheng07", out_of_range="nan")
    assert np.isnan(quiet(POINT | {"h": 0.2})["n_g"])
    ignoring = function("tinker10", "n_g", occupation="zheng07", out_of_range="ignore")
    assert np.isfinite(ignoring(POINT | {"h": 0.54})["n_g"])


def test_matter_is_there_without_galaxies():
    P = function("tinker10", occupation="zheng07", out_of_range="ignore")
    rare = POINT | {"sigma_8": 0.5, "z": 3.0, "log10Mmin": 16.0, "sigma_logM": 0.01}
    found = P(rare | {"log10M0": 16.0})
    assert found["n_g"] == 0
    assert np.isnan(found["gg_2h"]).all()
    for name in ("mm_1h", "mm_2h", "mm_total", "P_lin"):
        expected = P(rare | {"log10Mmin": 12.0, "log10M0": 12.0})[name]
        np.testing.assert_allclose(found[name], expected, rtol=1e-6)


def test_an_emulator_may_hold_in_a_part_of_its_ranges():
    model = load("published-gg")
    low, high = np.array(list(model.ranges.values())).T
    x = low + (high - low) * np.random.default_rng(5).random((200, len(low)))
    inside = model.is_inside(x)
    assert 0 < inside.sum() < 200
    P = function(model, "gg_1h", dtype="float64")
    found = jax.jit(jax.vmap(P))(x)["gg_1h"]
    np.testing.assert_array_equal(np.isfinite(found).all(axis=1), inside)
    expected = model(x[inside], "gg_1h")["gg_1h"]
    # near its zero, of single precision
    np.testing.assert_allclose(found[inside], expected, rtol=1e-2)
    assert np.median(np.abs(found[inside] / expected - 1)) < 2e-5
    with pytest.raises(OutOfRange, match="gg_1h of this halo model is negative"):
        P(x[~inside][0])


def test_what_it_does_not_do_is_said():
    P = function("tinker10", "n_g", occupation="zheng07")
    assert "tinker10, zheng07: Om_c" in repr(P)
    with pytest.raises(ValueError, match="unknown parameters: sigma8 .did you mean 'sigma_8'"):
        P({**POINT, "sigma8": 0.8})
    with pytest.raises(ValueError, match=r"a point has shape \(3, 13\), expected \(13,\)"):
        P(np.zeros((3, 13)))
    with pytest.raises(ValueError, match="no output gg_totl"):
        function("tinker10", "gg_totl")
    with pytest.raises(ValueError, match="bias and halo exclusion are not available in JAX"):
        function("tinker10", Wp(R, bias="tinker05"))
    with pytest.raises(ValueError, match="are integrated in Python"):
        function("tinker10", occupation={"red": "zheng07", "blue": "hmq"})
    with pytest.raises(ValueError, match="dtype = 'float16'"):
        function("tinker10", dtype="float16")
    with pytest.raises(ValueError, match="must be 'raise', 'nan' or 'ignore'"):
        function("tinker10", out_of_range="clip")
    with pytest.raises(ValueError, match="is open already"):
        function(load("tinker10"), occupation="zheng07")
    jax.config.update("jax_enable_x64", False)
    with pytest.raises(ValueError, match="JAX computes in single precision by default"):
        function("tinker10", dtype="float64")


def test_nothing_is_silent_outside():
    """Derivatives outside are NaN as values are."""
    P = function("tinker10", "n_g", occupation="zheng07", dtype="float64")
    slopes = jax.jit(jax.grad(lambda point: P(point)["n_g"]))(POINT | {"sigma_8": 3.0})
    assert all(np.isnan(one) for one in slopes.values())


@pytest.mark.slow
def test_statistics_without_an_answer_are_not_numbers():
    far = jax.jit(function("tinker10", Xi([1.0, 120.0], physical=True), occupation="zheng07"))
    assert np.isfinite(far(POINT | {"z": 1.0})["xi_gg"]).all()
    assert np.isnan(far(POINT | {"z": 2.0})["xi_gg"]).all()
    kind = Wp(R, 60, lengths="Mpc/h")
    ignoring = function("tinker10", kind, occupation="zheng07", out_of_range="ignore")
    ignoring = jax.jit(ignoring)
    assert np.isnan(ignoring(POINT | {"h": 0.4})["w_p"]).all()  # there are no matrices for it
    assert ignoring(POINT)["w_p"].dtype == np.float32  # also where JAX has double precision
    lens = function("tinker10", DeltaSigma(R, point_mass="M_point"), occupation="zheng07")
    with pytest.raises(OutOfRange, match="M_point = -1 must be a mass"):
        lens(POINT | {"M_point": -1.0})
    assert np.isnan(jax.jit(lens)(POINT | {"M_point": -1.0})["Delta_Sigma"]).all()


def test_a_point_is_of_single_numbers():
    lens = function(
        "tinker10", ["n_g", DeltaSigma(R, point_mass="M_point"), "n_g"], occupation="zheng07"
    )
    assert lens.outputs == ("n_g", "Delta_Sigma")
    with pytest.raises(ValueError, match=r"M_point has shape \(2,\), .*; use jax.vmap"):
        lens(POINT | {"M_point": [1e11, 1e12]})
    with pytest.raises(ValueError, match=r"h has shape \(1,\), expected a number"):
        lens(POINT | {"M_point": 1e11, "h": [0.7]})
    with pytest.raises(ValueError, match="h = None is not a number"):
        lens(POINT | {"M_point": 1e11, "h": None})
    with pytest.raises(ValueError, match="the statistics have M_point: give the point by name"):
        lens(list(POINT.values()))
    with pytest.raises(ValueError, match="Wp is called n_g, an output that is requested, too"):
        function("tinker10", [Wp(R, name="n_g"), "n_g"], occupation="zheng07")
