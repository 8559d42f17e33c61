"""Batches of points sum over profiles with less work, and to the same numbers."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from export.cut import cut
from export.few_sums import with_few_sums
from export.graph import Tensor
from export.profile_sums import profile_sums
from export.runtime import load

SAME = 1e-5  # a share of profiles that is left out; a function too few shows at 1e-3


def numbers(graph):
    """Numbers of the constant matrices that a graph multiplies by."""
    by = [node.inputs[1] for node in graph.nodes if node.kind == "MatMul"]
    return sum(graph.tensors[name].array().size for name in by if name in graph.tensors)


def run(graph, outputs, x):
    """Outputs of a graph as it is."""
    session = onnxruntime.InferenceSession(graph.encode(), providers=["CPUExecutionProvider"])
    return session.run(list(outputs), {"theta": x})


@pytest.mark.parametrize("name", ["standard", "tinker10"])
@pytest.mark.parametrize("outputs", [None, ("gg_total",), ("mm_1h", "gm_2h")])
def test_the_numbers_are_the_same(name, outputs):
    model = load(name, out_of_range="nan")
    outputs = outputs or model.outputs
    graph = cut(model.graph, outputs)
    few = with_few_sums(graph)
    assert numbers(few) < 0.75 * numbers(graph)
    x = np.stack([*model.sample(2000).values()], axis=1).astype(np.float32)
    for expected, values in zip(run(graph, outputs, x), run(few, outputs, x), strict=True):
        there = np.isfinite(expected) & (expected > 1e-30)
        np.testing.assert_allclose(values[there], expected[there], rtol=SAME)


def test_profiles_that_are_not_alike_are_left_as_they_are():
    model = load("standard")
    graph, rng = cut(model.graph, model.outputs), np.random.default_rng(0)
    tensors = dict(graph.tensors)
    for one in profile_sums(graph):
        name = one.first.inputs[1]
        shape = tensors[name].array().shape
        tensors[name] = Tensor.of(name, rng.normal(size=shape))
    graph = replace(graph, tensors=tensors)
    assert with_few_sums(graph).nodes == graph.nodes


def test_batches_have_them():
    model = load("standard")
    x = np.stack([*model.sample(3).values()], axis=1)
    found = model(x, out_of_range="nan")
    few = with_few_sums(cut(model.graph, model.outputs))
    expected = run(few, model.outputs, x.astype(np.float32))
    for name, values in zip(model.outputs, expected, strict=True):
        np.testing.assert_array_equal(found[name], values)
