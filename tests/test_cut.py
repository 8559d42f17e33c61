"""Graphs that are cut to some outputs: their numbers are those of the whole, and they are small."""

import numpy as np
import pytest

from export.between import joined
from export.cut import cut
from export.galaxies import PREFIX
from export.graph import Graph, Node, Tensor
from export.runtime import load

ROUNDING = 2e-5  # sums in another order; a wrong row shows at 1e-2
SETS = [
    ("gg_total",), ("gm_total",), ("mm_total",), ("mm_2h",), ("gg_1h", "gm_2h"), ("gm_1h", "mm_1h"),
    ("b_eff",), ("f_sat", "n_g"), ("P_lin",), ("gg_2h", "mm_total"), ("gm_total", "gg_total"),
]  # fmt: skip


def kinds(graph):
    return [node.kind for node in graph.nodes]


@pytest.fixture(scope="module", params=["linke22", "zheng07", "more15", "zheng07+c_sat"])
def model(request):
    return load("tinker10", occupation=request.param, out_of_range="nan")


@pytest.mark.parametrize("outputs", SETS)
def test_some_outputs_are_those_of_the_whole_graph(model, outputs):
    x = np.stack([*model.sample(50).values()], axis=1).astype(np.float32)
    whole = dict(zip(model.outputs, model.sessions.feed(model.outputs, {"theta": x}), strict=True))
    found = model.sessions.feed(outputs, {"theta": x})
    for name, values in zip(outputs, found, strict=True):
        expected = whole[name]
        there = np.isfinite(expected) & (expected > 1e-30)
        np.testing.assert_allclose(values[there], expected[there], rtol=ROUNDING, err_msg=name)


def test_matter_alone_needs_no_galaxies(model):
    for outputs in (("mm_total",), ("mm_1h", "P_lin"), ("mm_2h",)):
        nodes = cut(model.graph, outputs).nodes
        made = [name for node in nodes for name in node.outputs]
        if not model.populations.each[0].added:
            assert not any(name.startswith(PREFIX) for name in made)


def test_sums_over_profiles_are_of_the_weights_that_are_needed():
    model = load("standard")
    widths = {}
    for outputs in (model.outputs, ("gg_total",), ("gm_total",)):
        graph = cut(model.graph, outputs)
        made = {name: node for node in graph.nodes for name in node.outputs}
        sums = [n for n in graph.nodes if n.kind == "MatMul" and n.inputs[1].endswith(("u", "u2"))]
        views = [made[node.inputs[0]] for node in sums]
        assert len(sums) == 2
        widths[outputs] = [graph.tensors[view.inputs[1]].array()[1] for view in views]
    assert widths == {model.outputs: [4, 3], ("gg_total",): [2, 1], ("gm_total",): [3, 1]}


def test_logarithms_of_exponentials_are_left_out():
    model = load("tinker10", occupation="zheng07")
    before = kinds(model.graph).count("Log")
    assert kinds(cut(model.graph, model.outputs)).count("Log") < before


def test_constants_that_are_joined_become_one():
    """Exporters do so up to some size, so that graphs of different sizes differ otherwise."""
    parts = {"a": np.ones((2, 3)), "b": np.zeros((2, 1))}
    nodes = (
        Node.of("Concat", ("a", "b"), ("c",), {"axis": 1}),
        Node.of("Concat", ("theta", "a"), ("d",), {"axis": 0}),
        Node.of("MatMul", ("d", "c"), ("e",), {}),
    )
    graph = Graph(b"", b"", {}, nodes, {n: Tensor.of(n, array) for n, array in parts.items()})
    found = joined(graph)
    assert found.nodes == nodes[1:]
    assert set(found.tensors) == {"a", "c"}
    np.testing.assert_array_equal(found.tensors["c"].array(), [[1, 1, 1, 0], [1, 1, 1, 0]])
