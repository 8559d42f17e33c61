"""Calls at a cosmology that is held: the numbers of the whole graph, whatever came before."""

import pickle
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from onnxruntime import InferenceSession
from support.threads import wrong_in_threads

from datagen.occupations import OCCUPATIONS
from datagen.space import BACKGROUND
from export.cut import cut
from export.halves import halves
from export.one_point import for_one_point
from export.runtime import load
from export.sessions import HELD
from export.statistics import Wp

ROUNDING = 2e-5  # sums over nodes and profiles in another order; a wrong cosmology shows at 1e-2
N = 40


def drawn(model, N=N, seed=3):
    """Points of one cosmology, with galaxies, by name."""
    points = {name: values.copy() for name, values in model.sample(N, seed).items()}
    return points | {name: np.full(N, model.example[name]) for name in BACKGROUND}


def whole(model, x, outputs):
    """What the graph gives in one piece."""
    found = model.sessions.feed(tuple(outputs), {"theta": x.astype(np.float32)})
    return dict(zip(outputs, found, strict=True))


def assert_same(found, expected):
    for name, values in expected.items():
        there = np.isfinite(values) & (values > 1e-30)
        np.testing.assert_allclose(found[name][there], values[there], rtol=ROUNDING, err_msg=name)


SOME = ("linke22", "zheng07", "more15", "cacciato13", "zheng07+off_centring")


@pytest.mark.parametrize(
    "occupation",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.slow)
     for name in [*OCCUPATIONS, "zheng07+off_centring", "zheng07+c_sat"]],
)  # fmt: skip
def test_points_of_one_cosmology_are_those_of_the_whole_graph(occupation):
    model = load("tinker10", occupation=occupation, out_of_range="nan")
    assert halves(cut(model.graph, model.outputs)) is not None
    assert model.sessions.parts(model.outputs) is not None
    points = drawn(model)
    x = np.stack([points[name] for name in model.names], axis=1)
    expected = whole(model, x, model.outputs)
    assert_same(model(points), expected)
    for i in range(5):
        one = model({name: float(values[i]) for name, values in points.items()})
        assert_same(one, {name: values[i] for name, values in expected.items()})


def test_a_list_of_redshifts_is_the_whole_graph_to_the_last_bit():
    """Whether its cosmology was held or not, of galaxies that come and go."""
    model, z = load("tinker10", occupation="zheng07"), np.linspace(0.1, 2.0, 7)
    outputs = ["gg_total", "gm_1h", "n_g", "P_lin"]
    for sigma_8, log10Mmin in [(0.8, 13.0), (0.8, 13.1), (0.7, 13.1), (0.7, 13.0), (0.8, 13.0)]:
        point = model.example | {"sigma_8": sigma_8, "log10Mmin": log10Mmin}
        x = np.stack([np.broadcast_to((point | {"z": z})[n], 7) for n in model.names], axis=1)
        found, expected = model(point | {"z": z}, outputs), whole(model, x, outputs)
        for name in outputs:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_a_list_of_redshifts_has_its_cosmology_computed_once(monkeypatch):
    model = load("tinker10", occupation="zheng07")
    points = {"z": np.linspace(0.1, 2.0, 7)} | {
        name: value for name, value in model.example.items() if name != "z"
    }
    model(points, "gg_total")
    parted = model.sessions.parts(("gg_total",), False)
    assert parted is not None
    ran = []
    run = parted.cosmology.run
    parted.cosmology = SimpleNamespace(run=lambda *given: ran.append(1) or run(*given))
    for log10Mmin in (12.8, 12.9, 13.0):
        model(points | {"log10Mmin": log10Mmin}, "gg_total")
    assert not ran
    model(points | {"sigma_8": 0.7}, "gg_total")
    assert len(ran) == 1


def test_what_was_called_before_does_not_matter_to_the_last_bit():
    model = load("tinker10", occupation="zheng07")
    outputs = [Wp([0.5, 5.0], pi_max=60), "P_lin", "gg_total", "mm_1h", "n_g"]
    rng = np.random.default_rng(0)
    points = [
        model.example | {"sigma_8": rng.choice([0.7, 0.8]), "z": z, "log10Mmin": 12.5 + 0.01 * i}
        for i, z in enumerate(rng.uniform(0, 1, 3 * HELD)[rng.integers(0, 2 * HELD, 40)])
    ]
    for point in points:
        found, expected = model(point, outputs), load_once(point, outputs)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
    (kept,) = model.measured(outputs[:1], tuple(outputs[1:])).sessions.free.values()
    assert len(kept) == HELD


def test_cosmologies_of_one_call_share_memory_and_those_that_come_back_keep_theirs():
    model = load("tinker10")
    points = [model.example | {"sigma_8": 0.7 + 0.01 * i} for i in range(3 * HELD)]
    for point in points:
        model(point, "gg_total")
    (kept,) = model.sessions.free.values()
    assert len(kept) == 1
    for point in points[:3] * 3:
        model(point, "gg_total")
    assert {key[3] for key in kept} >= {point["sigma_8"] for point in points[:3]}


@pytest.mark.parametrize(("occupation", "reshapes"), [("zheng07", 2), ("cacciato13", 3)])
def test_a_graph_for_one_point_gives_its_numbers_with_fewer_operators(occupation, reshapes):
    model = load("tinker10", occupation=occupation)
    parts = halves(cut(model.graph, model.outputs))
    assert parts is not None
    graph = for_one_point(parts.both)
    kinds, before = (Counter(node.kind for node in g.nodes) for g in (graph, parts.both))
    assert kinds["Squeeze"] == 0
    assert kinds["Reshape"] == reshapes  # to the tables, and to rows of an integral
    assert kinds["ReduceSum"] == 1  # over the nodes
    assert kinds["Mul"] <= before["Mul"] - 2  # at once
    assert kinds["Exp"] == before["Exp"] - 2  # three powers of sigma at once
    point = model.example
    x = np.array([[*map(point.get, model.names)]], np.float32)
    names = list(model.outputs)
    session = InferenceSession(graph.encode(), providers=["CPUExecutionProvider"])
    found = session.run(names, {"theta": x})
    expected = whole(model, x, names)
    assert_same(
        {n: np.ravel(one) for n, one in zip(names, found, strict=True)},
        {n: np.ravel(one) for n, one in expected.items()},
    )


def load_once(point, outputs, cache={}):  # noqa: B006 (one emulator, which forgets)
    model = cache.setdefault("model", load("tinker10", occupation="zheng07"))
    model.measured(outputs[:1], tuple(outputs[1:])).sessions.free.clear()
    return model(point, outputs)


def test_arrays_that_were_returned_stay_as_they_are_and_may_be_written_to():
    model = load("standard")
    points = drawn(model, 3)
    first = model(points, ["P_lin", "gg_total"])
    kept = {name: values.copy() for name, values in first.items()}
    for values in first.values():
        values[:] = -1.0
    second = model(points, ["P_lin", "gg_total"])
    for name in kept:
        np.testing.assert_array_equal(second[name], kept[name])
    one = model(model.example, "P_lin")["P_lin"]
    expected = one.copy()
    one[:] = -1.0
    np.testing.assert_array_equal(model(model.example, "P_lin")["P_lin"], expected)


def test_threads_and_pickles_have_cosmologies_of_their_own():
    model = load("tinker10")
    points = [model.example | {"sigma_8": 0.7 + 0.02 * i} for i in range(2 * HELD)]
    expected = [pickle.loads(pickle.dumps(model))(one)["gg_total"] for one in points]
    assert not wrong_in_threads(
        lambda i: model(points[i])["gg_total"], expected, calls=200, stride=3
    )


def test_what_has_no_two_parts_is_computed_whole():
    model = load("standard")
    assert halves(cut(model.graph, ("P_lin",))) is None
    learnt = load("network-gg")
    assert halves(cut(learnt.graph, learnt.outputs)) is None
    assert np.isfinite(learnt(learnt.example)["gg_total"]).all()
