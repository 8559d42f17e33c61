"""Formulas written down as a graph, and graphs whose galaxies can be changed for others."""

import numpy as np
import onnxruntime
import pytest

from datagen.occupations.functions import NUMPY
from export.galaxies import PREFIX, with_galaxies, without_galaxies
from export.graph import Graph, Node, Tensor, described
from export.onnx_file import OnnxFile
from export.protobuf import encode
from export.trace import Trace, Traced, TracedFunctions

CELL = 0.1
X = np.array([[-3.0], [-0.04], [0.0], [0.02], [0.7], [2.5]], np.float32)


@pytest.fixture
def head(small_file):
    return OnnxFile.read(small_file.read_bytes(), small_file).graph.head


def evaluated(head, formula, x=X):
    """A formula of x and functions, by onnxruntime."""
    trace = Trace("t/")
    result = formula(Traced(trace, "x"), TracedFunctions(trace, Traced(trace, "x"), 0.0, CELL, 64))
    trace.apply("Identity", result, outputs=("y",))
    graph = Graph(
        head, encode(11, described("x", 1)), {"y": encode(12, described("y", 1))},
        tuple(trace.nodes), trace.tensors,
    )  # fmt: skip
    return onnxruntime.InferenceSession(graph.encode()).run(["y"], {"x": x})[0]


@pytest.mark.parametrize(
    "formula",
    [
        lambda x, f: x + 1,
        lambda x, f: 1 + x,
        lambda x, f: x - 2.5,
        lambda x, f: 2.5 - x,
        lambda x, f: 3 * x * np.float64(2),
        lambda x, f: np.float64(2) * x,
        lambda x, f: x / 4,
        lambda x, f: 4 / (x + 10),
        lambda x, f: -x,
        lambda x, f: x**2,
        lambda x, f: x**3,
        lambda x, f: (x + 4) ** x,
        lambda x, f: 2.0**x,
        lambda x, f: f.exp(x) + f.erf(x),
        lambda x, f: f.log(x + 5),
        lambda x, f: f.power(x, 1.3),
        lambda x, f: f.power(x, 2.5),
        lambda x, f: f.clip(x, -1.0, 1.0),
    ],
)
def test_formulas_are_what_numpy_computes(head, formula):
    expected = formula(X.astype(np.float64), NUMPY)
    np.testing.assert_allclose(evaluated(head, formula), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: np.exp(x),
        lambda x: np.where(x, 1.0, 0.0) if x else 0.0,
        lambda x: x if x > 1 else 0.0,
        lambda x: 1.0 * (x >= 1),
        lambda x: 1.0 * (x == 1),
        lambda x: 1.0 * (x != 1),
        lambda x: np.maximum(x, 0.0),
        lambda x: float(x),
        lambda x: abs(x),
        lambda x: len(x),
    ],
)
def test_what_would_compute_is_refused(formula):
    with pytest.raises(TypeError):
        formula(Traced(Trace(""), "x"))


def test_constants_are_shared():
    trace = Trace("t/")
    x = Traced(trace, "x")
    _ = (x + 2) * 2 - 2.0 + np.float64(2)
    assert list(trace.tensors) == ["t/constant_0"]
    assert trace.constant([2.0]) != trace.constant(2.0)  # another shape
    assert trace.constant(2, np.int64) != trace.constant(2.0)
    assert trace.tensors[trace.constant(2, np.int64)].array() == 2
    assert len({node.outputs[0] for node in trace.nodes}) == len(trace.nodes) == 4
    assert all(node.outputs[0].startswith("t/") for node in trace.nodes)


def test_attributes_and_tensors_are_read_again(head):
    node = Node.of("Split", ["x", "sizes"], ["a", "b"], {"axis": 1, "num_outputs": 2})
    other = Node.of("Transpose", ["a"], ["c"], {"perm": [1, 0]})
    tensor = Tensor.of("sizes", np.array([3, -4]))
    graph = Graph(
        head, encode(11, described("x", 7)), {"c": encode(12, described("c"))},
        (node, other), {"sizes": tensor},
    )  # fmt: skip
    again = Graph.read(graph.encode())
    assert [one.kind for one in again.nodes] == ["Split", "Transpose"]
    assert again.nodes[0].inputs == ("x", "sizes")
    assert again.nodes[0].numbers == {"axis": 1, "num_outputs": 2}
    numbers = again.tensors["sizes"].array()
    assert numbers.dtype == np.int64
    np.testing.assert_array_equal(numbers, [3, -4])
    assert again.encode() == graph.encode()
    single = Tensor.of("one", np.array([[0.5, 1e-3]]))
    assert single.array().dtype == np.float32
    assert single.array().shape == (1, 2)


def test_names_change_and_no_name_stays_none():
    node = Node.of("Clip", ["x", "", "high"], ["y"], {})
    renamed = node.renamed(lambda name: f"p/{name}")
    assert renamed.inputs == ("p/x", "", "p/high")
    assert renamed.outputs == ("p/y",)
    tensor = Tensor.of("a", np.ones(3)).renamed("b")
    np.testing.assert_array_equal(tensor.array(), np.ones(3))
    assert b"b" in tensor.content


def test_galaxies_are_taken_out_and_put_in_again(small_file):
    graph = OnnxFile.read(small_file.read_bytes(), small_file).graph
    haloes = without_galaxies(graph)
    assert not any(name.startswith(PREFIX) for name in haloes.tensors)
    assert not any(out.startswith(PREFIX) for node in haloes.nodes for out in node.outputs)
    taken = {name for node in haloes.nodes for name in node.inputs}
    assert "background" in taken
    assert f"{PREFIX}centrals" in taken
    part = [
        n for n in graph.nodes if n.outputs[0].startswith(PREFIX) and "slice" not in n.inputs[0]
    ]
    tensors = {name: one for name, one in graph.tensors.items() if name.startswith(PREFIX)}
    again = with_galaxies(haloes, part[::-1], tensors, 13)  # in whatever order
    known = {"theta", *again.tensors}
    for node in again.nodes:
        assert {name for name in node.inputs if name} <= known, node.outputs
        known.update(node.outputs)
    x = np.array([[0.25, 0.05, 0.7, 0.82, 0.96, -1, 0, 0, 0.8, 0.3, 1e13, 2e14, 1.0]], np.float32)
    ours, theirs = (
        onnxruntime.InferenceSession(one.encode()).run(list(graph.outputs), {"theta": x})
        for one in (again, graph)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_graph_without_a_part_for_galaxies_is_refused(small_file):
    haloes = without_galaxies(OnnxFile.read(small_file.read_bytes(), small_file).graph)
    with pytest.raises(ValueError, match="its galaxies are not a separate part"):
        without_galaxies(haloes)
