"""Jacobians of graphs and by calls, against JAX in double precision, and what is refused."""

import numpy as np
import pytest

from datagen.occupations import OCCUPATIONS
from export.derivatives import directions, stencil
from export.graph import Graph, Node
from export.ranges import OutOfRange
from export.runtime import load
from export.statistics import DeltaSigma, Wp
from export.tangents import UnknownOperator, with_slopes

POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "z": 0.5,
    "log10Mmin": 13.0, "sigma_logM": 0.3, "log10M0": 12.0, "log10M1": 14.0, "alpha": 1.0,
}  # fmt: skip
# of the largest derivative of an output by a parameter: rounding of the graph, and of calls
ROUNDING, OF_CALLS = 1e-4, 3e-3


def inside(model, N, seed=0):
    rng = np.random.default_rng(seed)
    low, high = np.array([[p.low, p.high] for p in model.parameters]).T
    x = low + (high - low) * rng.random((6 * N, len(low)))
    x[:, model.names.index("z")] *= 0.3  # where there are galaxies
    return x[model.is_inside(x)][:N]


@pytest.mark.parametrize(
    ("name", "occupation"),
    [pytest.param("standard", None, marks=pytest.mark.slow), ("tinker10", "zheng07")],
)
def test_jacobians_are_those_of_jax(name, occupation):
    jax = pytest.importorskip("jax")
    from hodspectra.jax import function

    model, outputs = load(name, occupation=occupation), ["gg_total", "gm_1h", "mm_2h", "n_g"]
    x = inside(model, 60)
    jax.config.update("jax_enable_x64", True)
    try:
        exact = jax.jit(jax.vmap(jax.jacfwd(function(model, outputs, dtype="float64"))))(x)
    finally:
        jax.config.update("jax_enable_x64", False)
    found = model.jacobian(x, outputs)
    for output in outputs:
        for i, parameter in enumerate(model.names):
            expected = np.asarray(exact[output])[..., i]
            error = np.abs(found[output][parameter] - expected)
            most = np.abs(expected).max()  # 0 of matter by parameters of galaxies
            assert np.quantile(error, 0.95) <= ROUNDING * most, (output, parameter)
            assert error.max() <= 10 * ROUNDING * most, (output, parameter)


ADDED = ["zheng07+off_centring", "zheng07+c_sat", "zheng07+transition", "zheng07+damping"]


INNER = {"more15": {"alpha_inc": 0.3, "log10M_inc": 13.0}, "zheng07+damping": {"k_damp": 0.1}}


SOME = ["linke22", "more15", "gaussian", "zheng07+off_centring", "zheng07+damping"]


@pytest.mark.parametrize(
    "occupation",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.slow)
     for name in [*OCCUPATIONS, *ADDED]],
)  # fmt: skip
def test_every_occupation_has_slopes_in_its_graph_and_they_are_those_of_calls(occupation):
    model = load("tinker10", occupation=occupation)
    inner = model.example | INNER.get(occupation, {})  # calls do not see a kink at an end
    point = np.array([[inner[name] for name in model.names]], np.float32)
    columns = range(len(model.names))
    given = directions(point[0], model.parameters, columns)
    assert model.sessions.slopes(model.outputs, point[0], given) is not None
    found = model.jacobian(point)
    by_calls = calls(model, point)
    for output, values in model(point).items():
        value = np.abs(values).max()
        for parameter in model.names:
            expected = by_calls[output][parameter]
            wide = model.parameters[model.names.index(parameter)]
            most = np.abs(expected).max() + 0.1 * value / (wide.high - wide.low)
            error = np.abs(found[output][parameter] - expected)
            assert np.quantile(error, 0.9) <= OF_CALLS * most, (output, parameter)


def calls(model, x):
    """The derivatives by calls alone."""
    columns = [i for i, p in enumerate(model.parameters) if p.high > p.low]
    four = stencil(x, model.parameters, columns, model.domains)
    values = model(four.points.reshape(-1, x.shape[1]), out_of_range="nan")
    slopes = {name: four.derivatives(one) for name, one in values.items()}
    return {
        name: {model.names[c]: one[:, i] for i, c in enumerate(columns)}
        for name, one in slopes.items()
    }


def test_at_a_kink_slopes_are_those_into_the_range():
    model = load("tinker10", occupation="more15")
    point = model.example | {"alpha_inc": 0.0, "log10M_inc": 13.0}
    slope = model.jacobian(point, "gg_total", "alpha_inc")["gg_total"]["alpha_inc"]
    low, high = (model(point | {"alpha_inc": a}, "gg_total")["gg_total"] for a in (0.0, 0.01))
    np.testing.assert_allclose(slope, (high - low) / 0.01, rtol=0.05)


def test_plain_networks_have_slopes_too():
    model = load("network-gg")
    x = inside(model, 5)
    free = [p.name for p in model.parameters if p.high > p.low]
    found, by_calls = model.jacobian(x)["gg_total"], calls(model, x)["gg_total"]
    assert list(found) == free
    for name in free:
        most = np.abs(by_calls[name]).max()
        np.testing.assert_allclose(found[name], by_calls[name], atol=OF_CALLS * most)


def test_own_galaxies_are_differentiated_by_calls():
    class Own:
        parameters = {"log10Mmin": (12.0, 14.0)}

        def moments(self, M, p, f):
            there = 1.0 * (10.0 ** p["log10Mmin"] < M)
            return there, 0.1 * there, 0.1 * there, 0.01 * there

    model = load("tinker10", occupation=Own())
    point = model.example
    slope = model.jacobian(point, "mm_total", "sigma_8")["mm_total"]["sigma_8"]
    exact = load("tinker10").jacobian(load("tinker10").example, "mm_total", "sigma_8")
    np.testing.assert_allclose(slope, exact["mm_total"]["sigma_8"], rtol=OF_CALLS)


def test_an_operator_without_a_rule_is_named():
    node = Node.of("Hardmax", ["theta"], ["n_g"], {})
    graph = Graph(b"", b"", {"n_g": b""}, (node,), {})
    with pytest.raises(UnknownOperator, match="slopes of the operator Hardmax are not known"):
        with_slopes(graph, {"theta": (1, 2), "n_g": (1, 2)}, 2)


@pytest.mark.slow  # the next one takes differences
def test_statistics_and_own_wavenumbers_have_the_slopes_of_jax():
    jax = pytest.importorskip("jax")
    from hodspectra.jax import function

    model, r = load("tinker10", occupation="zheng07"), [0.3, 3.0, 20.0]
    outputs = [Wp(r, pi_max=60, lengths="Mpc/h", kaiser=True), DeltaSigma(r), "gg_total"]
    k = [0.05, 0.7, 20.0]
    x = inside(model, 4)
    jax.config.update("jax_enable_x64", True)
    try:
        one = function(model, outputs, k=k, dtype="float64")
        exact = jax.jit(jax.vmap(jax.jacfwd(one)))(x)
    finally:
        jax.config.update("jax_enable_x64", False)
    found = model.jacobian(x, outputs, k=k)
    for output in ("w_p", "Delta_Sigma", "gg_total"):
        for i, parameter in enumerate(model.names):
            expected = np.asarray(exact[output])[..., i]
            atol = 5 * ROUNDING * np.abs(expected).max()
            np.testing.assert_allclose(found[output][parameter], expected, atol=atol)


def test_one_point_many_points_statistics_and_own_wavenumbers():
    model = load("tinker10", occupation="zheng07")
    r = [0.3, 3.0, 20.0]
    outputs = [Wp(r, pi_max=60, lengths="Mpc/h"), DeltaSigma(r), "gg_total"]
    one = model.jacobian(POINT, outputs, ["sigma_8", "z"], k=[0.1, 1.0])
    assert one["w_p"]["z"].shape == (3,)
    assert one["gg_total"]["sigma_8"].shape == (2,)
    many = model.jacobian(
        {name: np.full(4, value) for name, value in POINT.items()}, outputs, k=[0.1, 1.0]
    )
    assert many["w_p"].keys() == set(model.names)
    np.testing.assert_allclose(many["w_p"]["z"], np.tile(one["w_p"]["z"], (4, 1)), rtol=1e-4)
    step = 0.02
    ends = [model(POINT | {"z": 0.5 + s * step}, outputs)["w_p"] for s in (1, -1)]
    np.testing.assert_allclose(one["w_p"]["z"], (ends[0] - ends[1]) / (2 * step), rtol=1e-3)


def test_at_the_ends_of_the_ranges_calls_stay_inside():
    model = load("tinker10", occupation="zheng07")
    ends = {"sigma_8": 1.2, "z": 0.0, "w0": -0.3, "wa": 0.19, "Om_c": 0.1}
    found = model.jacobian(POINT | ends, "mm_total")["mm_total"]
    assert all(np.isfinite(slope).all() for slope in found.values())
    x = np.array([[{**POINT, "w0": -1.0, "wa": 0.0, **ends}[n] for n in model.names]], np.float32)
    calls = stencil(x, model.parameters, range(x.shape[1]), model.domains)
    assert model.is_inside(calls.points.reshape(-1, x.shape[1])).all()


def test_what_is_refused():
    model = load("tinker10", occupation="zheng07")
    with pytest.raises(ValueError, match="no parameter sigma8.*sigma_8"):
        model.jacobian(POINT, "n_g", "sigma8")
    with pytest.raises(OutOfRange, match="sigma_8"):
        model.jacobian(POINT | {"sigma_8": 2.0}, "n_g")
    lost = model.jacobian(POINT | {"sigma_8": 2.0}, "n_g", out_of_range="nan")
    assert all(np.isnan(slope) for slope in lost["n_g"].values())
    with pytest.raises(ValueError, match="are parameters of statistics, which are linear in them"):
        model.jacobian(POINT, [DeltaSigma([1.0], point_mass="M_pm")], "z")


@pytest.mark.parametrize("occupation", ["zheng07", OCCUPATIONS["zheng07"]])
def test_no_points_have_no_derivatives(occupation):
    emulator = load("tinker10", occupation=occupation)
    slopes = emulator.jacobian(np.empty((0, len(emulator.names))), ["gg_total", "n_g"], "h", [0.1])
    assert slopes["gg_total"]["h"].shape == (0, 1)
    assert slopes["n_g"]["h"].shape == (0,)
    with pytest.raises(ValueError, match="no output is requested"):
        emulator.jacobian(emulator.example, [])
    with pytest.raises(ValueError, match="parameters = 3 must be a name or several"):
        emulator.jacobian(emulator.example, "n_g", 3)
