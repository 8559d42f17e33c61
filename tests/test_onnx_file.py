"""ONNX files from elsewhere: damaged or forged, they are refused, and nothing of them is run."""

import base64
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from datagen.seal import BLANK, seal
from export.cut import cut
from export.graph import Graph, Tensor
from export.onnx_file import OnnxEmulatorError, OnnxFile
from export.protobuf import WireError, encode, fields
from export.runtime import load
from export.shipped import shipped
from export.statistics import Wp

POINT = np.array(
    [[0.25, 0.05, 0.7, 0.82, 0.96, -1.0, 0.0, 0.0, 0.8, 0.3, 1e13, 2e14, 1.0]], np.float32
)
ROUNDING = 1e-6  # float32, of graphs that onnxruntime fuses otherwise; a wrong column is off by 1


def sealed(proto: onnx.ModelProto, **texts: str) -> bytes:
    """A file with other metadata, and a seal that is in order."""
    known = {entry.key: entry.value for entry in proto.metadata_props}
    helper.set_model_props(proto, known | texts | {"sha256": BLANK})
    return seal(proto.SerializeToString())


@pytest.fixture
def proto(small_file) -> onnx.ModelProto:
    return onnx.load(small_file)


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Load a file; it must be refused, by an error that names it, before anything is run."""

    def no_session(*arguments, **options):
        raise AssertionError("a session was opened")

    def call(content: bytes, message: str):
        path = tmp_path / "forged.onnx"
        path.write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(onnxruntime, "InferenceSession", no_session)
            with pytest.raises(OnnxEmulatorError, match=message) as error:
                load(path)
        assert str(path) in str(error.value)

    return call


def external(tensor: TensorProto) -> TensorProto:
    """A tensor whose numbers lie in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../etc/passwd"), ("length", "16")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def number(name: str = "secret") -> TensorProto:
    return numpy_helper.from_array(np.zeros(4, np.float32), name)


def in_initializer(proto):
    external(proto.graph.initializer[0])


def in_initializer_without_location(proto):
    external(proto.graph.initializer[0]).ClearField("external_data")


def in_initializer_without_flag(proto):
    external(proto.graph.initializer[0]).ClearField("data_location")


def in_attribute(proto):
    proto.graph.node.append(helper.make_node("Constant", [], ["s"], value=external(number())))


def in_list_of_tensors(proto):
    node = helper.make_node("Constant", [], ["s"])
    node.attribute.append(
        AttributeProto(name="value", type=AttributeProto.TENSORS, tensors=[external(number())])
    )
    proto.graph.node.append(node)


def in_subgraph(proto):
    out = helper.make_tensor_value_info("s", TensorProto.FLOAT, [4])
    branch = helper.make_graph([], "branch", [], [out], [external(number("s"))])
    node = helper.make_node("If", ["c"], ["s2"], then_branch=branch, else_branch=branch)
    proto.graph.node.append(node)


def in_function(proto):
    node = helper.make_node("Constant", [], ["s"], value=external(number()))
    made = helper.make_function("", "F", [], ["s"], [node], proto.opset_import)
    proto.functions.append(made)


def in_sparse_tensor(proto):
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.CopyFrom(external(number()))


def in_sparse_attribute(proto):
    node = helper.make_node("Constant", [], ["s"])
    attribute = node.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.values.CopyFrom(external(number()))
    proto.graph.node.append(node)


def in_training(proto):
    proto.training_info.add().initialization.initializer.append(external(number()))


_MAP = '"k": [1], "matrix": [[1, 2]], "offset": [0], "accuracy": {}'


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (in_initializer, "whose numbers lie in another file"),
        (in_initializer_without_location, "whose numbers lie in another file"),
        (in_initializer_without_flag, "whose numbers lie in another file"),
        (in_attribute, "'secret', whose numbers lie in another file"),
        (in_list_of_tensors, "attribute field 10"),
        (in_subgraph, "a graph within its graph"),
        (in_function, "functions"),
        (in_sparse_tensor, "sparse tensors"),
        (in_sparse_attribute, "a sparse tensor"),
        (in_training, "a training"),
    ],
)
def test_nothing_reaches_other_files(proto, refused, forge, message):
    forge(proto)
    refused(sealed(proto), f"it holds .*{message}")


def test_only_standard_operators_are_run(proto, refused):
    proto.graph.node[0].domain = "com.microsoft"
    refused(sealed(proto), "it holds operators of 'com.microsoft'")
    proto.graph.node[0].domain = ""
    proto.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    refused(sealed(proto), "it holds operators of 'ai.onnx.contrib'")


def test_what_is_said_twice_is_refused_as_readers_differ(proto, refused, small_file):
    """Of a field that is there twice, protobuf takes the last and others the first."""
    content = proto.SerializeToString()
    graph = next(one.content for one in fields(content) if one.number == 7)
    node = next(one.content for one in fields(graph) if one.number == 1)
    twice = graph.replace(encode(1, node), encode(1, encode(7, b"") + node + encode(7, b"evil")))
    assert onnx.GraphProto.FromString(twice).node[0].domain == "evil"
    forged = onnx.ModelProto.FromString(content)
    blank = sealed(forged).replace(encode(7, graph), encode(7, twice))
    refused(blank, "it has a duplicate field, '' and 'evil'")
    refused(encode(7, graph) + small_file.read_bytes(), "it holds 2 graphs, not one")


def test_a_session_gets_the_graph_that_was_checked_and_nothing_else(monkeypatch, small_file):
    contents = []
    real = onnxruntime.InferenceSession

    def spy(content, *arguments, **options):
        contents.append(content)
        return real(content, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    model = load(small_file)
    model(POINT, "P_lin")
    for content, outputs in zip(contents, (model.outputs, ("P_lin",)), strict=True):
        proto = onnx.ModelProto.FromString(content)
        onnx.checker.check_model(proto, full_check=True)
        assert [one.name for one in proto.graph.output] == list(outputs)
        assert not proto.metadata_props


@pytest.mark.parametrize("name", ["small", *shipped()])
def test_every_cut_gives_what_the_whole_gives(name, small_file):
    path = shipped().get(name, small_file)
    graph = OnnxFile.read(path.read_bytes(), path).graph
    session = onnxruntime.InferenceSession(path)
    whole = dict(zip(graph.outputs, session.run(None, {"theta": POINT}), strict=True))
    for output in graph.outputs:
        part = cut(graph, [output])
        assert len(part.nodes) <= len(graph.nodes)
        session = onnxruntime.InferenceSession(part.encode())
        (values,) = session.run(None, {"theta": POINT})
        np.testing.assert_allclose(values, whole[output], rtol=ROUNDING, err_msg=output)


def test_a_cut_leaves_out_what_is_not_needed(small_file):
    graph = OnnxFile.read(small_file.read_bytes(), small_file).graph
    linear, matter = cut(graph, ["P_lin"]), cut(graph, ["mm_1h"])
    assert len(linear.nodes) < 50 < len(matter.nodes) < len(graph.nodes)
    # of the layer that gives all functions of the cosmology, those of P_lin are left
    (wide,) = (t.array().shape for n, t in graph.tensors.items() if n.endswith("expand.bias"))
    assert wide[0] > 150
    narrow = [t.array().shape for n, t in linear.tensors.items() if n.endswith(" bias")]
    assert max(narrow) == (50,)
    assert not any(name.endswith("expand.bias") for name in linear.tensors)


def texts_of(content: bytes) -> dict[str, str]:
    return {e.key: e.value for e in onnx.ModelProto.FromString(content).metadata_props}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("k", "[0.01, ", "k is not JSON"),
        ("record", "[" * 100_000, "record is not a record"),
        ("k", "[]", "k is empty"),
        ("k", "[1, 2, 2]", "k does not increase"),
        ("k", '["1"]', "k is not an array of numbers"),
        ("k", "[NaN]", "k is not an array of numbers"),
        ("k", "[true, false]", "k is not an array of numbers"),
        ("k", "[[1], [2, 3]]", "k is not an array of numbers"),
        ("outputs", "[]", "outputs is not a record"),
        ("outputs", "{}", "no outputs with units"),
        ("outputs", '{"gg_1h": 3}', "no outputs with units"),
        ("outputs", '{"gg_3h": "Mpc^3"}', "no output gg_3h"),
        ("outputs", '{"gg_1h": "1"}', r"gg_1h is in 1, not in Mpc\^3"),
        ("parameters", "{}", "parameters has none of an occupation"),
        ("nodes", "[]", "nodes is not a record"),
        ("nodes", '{"nodes": 60}', "nodes lacks spacing, start, log10M_min"),
        (
            "nodes",
            '{"nodes": 7, "spacing": 0.2, "start": -5, "log10M_min": 10}',
            "7 nodes, 0.2 apart, are no grid of halo masses",
        ),
        ("limits", "{}", "limits is not a list"),
        ("limits", '[{"names": ["w0"]}]', "limits lacks below"),
        ("limits", '[{"names": ["w0", "w1"], "below": 0}]', "a sum of w1; there are Om_c, Om_b"),
        ("limits", '[{"names": [], "below": 0}]', "a sum of 0 parameters is below 0"),
        ("limits", '[{"names": ["w0"], "below": NaN}]', "a sum of 1 parameters is below nan"),
        ("learnt_totals", '"gg"', "learnt_totals is gg, not a list of outputs"),
        ("learnt_totals", '["xy_total"]', "learnt_totals is .*, not a list of outputs"),
        ("domains", "{}", "domains is not a list"),
        ("domains", "[{}]", "domains lacks outputs, features"),
        ("bao", '{"k": [1]}', "bao lacks matrix, offset, accuracy, below"),
        (
            "bao",
            f'{{{_MAP}, "below": {{{_MAP}}}}}',
            r"bao.below.matrix has shape \(1, 2\), expected \(1, 17\)",
        ),
        (
            "bao",
            f'{{{_MAP}, "below": {{{_MAP.replace("[1, 2]", str([0] * 17))}}}}}',
            r"bao.matrix has shape \(1, 2\), expected \(1, 50\)",
        ),
        ("bao", f'{{{_MAP}, "below": {{}}}}', "bao.below lacks k, matrix, offset, accuracy"),
        ("between", '{"k": [2]}', "between lacks graph"),
        ("between", '{"k": [3, 2], "graph": ""}', "between.k does not increase"),
        ("between", '{"k": [0.01, 2], "graph": ""}', "or repeats wavenumbers of k"),
        ("between", '{"k": [2, 200], "graph": ""}', "between.k is not between wavenumbers of k"),
        ("between", '{"k": [2], "graph": []}', "between.graph is not a text"),
        ("halo_model", "3", "halo_model is not a record"),
        ("surplus", "{}", "its metadata has the unknown surplus"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(proto, refused, name, text, message):
    refused(sealed(proto, **{name: text}), message)


@pytest.mark.parametrize("graph", ["!", "AAAA", "whole/k", "dtype", "columns"])
def test_numbers_between_wavenumbers_that_do_not_fit_are_refused(proto, tmp_path, graph):
    """When they are first needed; all else of the file works."""
    name = "model.spectra.profiles.u"
    made = {
        "whole/k": {"whole/model.sums.first": np.ones((1, 1))},
        "dtype": {f"whole/{name}": np.ones(3, int)},
        "columns": {f"columns/{name}": np.ones((3, 7))},
    }
    if graph in made:
        tensors = {n: Tensor.of(n, array) for n, array in made[graph].items()}
        content = Graph(Graph.read(proto.SerializeToString()).head, b"", {}, (), tensors).encode()
        graph = base64.b64encode(content).decode()
    path = tmp_path / "forged.onnx"
    path.write_bytes(sealed(proto, between=json.dumps({"k": [2.0], "graph": graph})))
    model = load(path)
    point = model.example
    assert model(point, "gg_total")["gg_total"].shape == model.k.shape
    with pytest.raises(OnnxEmulatorError, match="damaged or forged|cannot be run"):
        model(point, Wp([1.0, 2.0]))


def parameters_of(path) -> dict[str, dict]:
    """The record of the parameters, by name."""
    return json.loads(texts_of(path.read_bytes())["parameters"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ps: ps.pop("z"), "parameters lacks z; get it again, or export it again with"),
        (lambda ps: ps.update(Om_k=ps["h"]), "parameters has the unknown Om_k"),
        (lambda ps: ps.update(h=ps.pop("h")), "parameters are not in the order Om_c, Om_b, h"),
        (lambda ps: [ps.pop(n) for n in list(ps)[8:]], "parameters has none of an occupation"),
        (lambda ps: ps.update(h=0.7), "parameters.h is 0.7, not a record of"),
        (lambda ps: ps["h"].pop("sampling"), "parameters.h lacks sampling"),
        (lambda ps: ps["w0"].pop("default"), "parameters.w0 lacks default"),
        (lambda ps: ps["h"].update(name="x"), "parameters.h has the unknown name"),
        (lambda ps: ps["h"].update(low="0"), "parameters.h.low is '0', not a number"),
        (lambda ps: ps["h"].update(group="halo"), "parameters.h.group: no occupation 'halo'"),
        (lambda ps: ps["h"].update(group="linke22"), "parameters.h.group is not 'cosmology'"),
        (lambda ps: ps["beta"].update(group="z"), "parameters.beta.group is not 'linke22'"),
        (lambda ps: ps.pop("beta"), "parameters lacks beta"),
        (lambda ps: ps["h"].update(default="0.7"), "parameters.h.default is '0.7', not a num"),
        (lambda ps: ps["h"].update(low=2), r"h has the range \[2.0, 0.91\]"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(proto, refused, small_file, change, message):
    parameters = parameters_of(small_file)
    change(parameters)
    refused(sealed(proto, parameters=json.dumps(parameters)), message)


def test_a_file_of_an_older_version_is_refused_with_the_way_out(proto, refused):
    """Those had ten parameters, and one redshift for all of a file."""
    old = sealed(proto, schema="hodspectra-onnx-3", z="0.5")
    refused(old, "its schema is 'hodspectra-onnx-3', expected 'hodspectra-onnx-5'; get it again, "
                 "or export it again with hodspectra export")  # fmt: skip


def test_metadata_that_lack_something_are_refused(proto, refused, small_file):
    for name in ("citation", "domains", "limits", "kind", "parameters"):
        kept = [entry for entry in onnx.load(small_file).metadata_props if entry.key != name]
        del proto.metadata_props[:]
        proto.metadata_props.extend(kept)
        refused(sealed(proto), f"its metadata lacks {name}")


def test_metadata_that_are_no_text_are_refused(proto, refused):
    content = sealed(proto)
    for key in (b"citation", b"schema"):
        assert content.count(key) == 1
        refused(content.replace(key, key[:-1] + b"\xff"), "is not a readable ONNX file.*not a text")


def test_outputs_that_the_graph_does_not_give_are_refused(small_file, tmp_path):
    path = tmp_path / "forged.onnx"
    for name, text in (
        ("outputs", json.dumps({"gg_1h": "Mpc^3", "xi": "1"})),
        ("k", "[0.1, 1.0]"),
    ):
        path.write_bytes(sealed(onnx.load(small_file), **{name: text, "bao": "{}"}))
        with pytest.raises(OnnxEmulatorError, match=r"forged.onnx (is damaged|cannot be run)"):
            load(path)


def test_every_flipped_bit_is_noticed_before_anything_is_run(small_file):
    whole, rng = small_file.read_bytes(), np.random.default_rng(0)
    for position, bit in zip(rng.integers(0, len(whole), 80), rng.integers(0, 8, 80), strict=True):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(bit)
        with pytest.raises(OnnxEmulatorError, match="here.onnx"):
            OnnxFile.read(bytes(flipped), small_file.with_name("here.onnx"))


def test_a_flipped_bit_under_a_new_seal_is_an_error_of_ours_or_none(small_file):
    """Forgeries included: whatever the metadata and the graph's structure are, no other error."""
    whole, rng = small_file.read_bytes(), np.random.default_rng(1)
    digest = texts_of(whole)["sha256"].encode()
    small = [i for i in range(len(whole)) if i < 30_000 or i > len(whole) - 70_000]  # no weights
    found = set()
    for position in rng.choice(small, 80):
        flipped = bytearray(whole.replace(digest, BLANK.encode()))
        flipped[position] ^= 1 << int(rng.integers(8))
        if bytes(flipped).count(BLANK.encode()) != 1:
            continue
        try:
            OnnxFile.read(seal(bytes(flipped)), small_file)
            found.add("read")
        except OnnxEmulatorError:
            found.add("refused")
    assert found == {"read", "refused"}


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x0b", b"PK\x03\x04" * 9, b"\xff" * 40, b"{}"])
def test_other_files_are_no_emulators(refused, content):
    refused(content, "is not a readable ONNX file|its schema is None")


def test_messages_that_end_early_are_none():
    for message in (
        b"\x80",
        b"\x0a\x05abc",
        b"\x0d\x00",
        b"\x09" + 7 * b"\x00",
        11 * b"\x80",
        b"\x0b",
    ):
        with pytest.raises(WireError):
            list(fields(message))
    (one,) = fields(encode(3, 300))
    assert (one.number, one.value, one.raw) == (3, 300, b"\x18\xac\x02")
    with pytest.raises(WireError, match="field 3 is a number"):
        _ = one.content
