"""The ONNX file: torch's numbers, self-describing, and safe to call."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from support.small_network import SMALL_TRAINING

import export.to_onnx
from datagen.space import Range, Space
from emulator.emulator import Emulator
from emulator.record import predict
from emulator.schedule import ScheduleConfig
from emulator.train import fit
from export.parity import ExportMismatch
from export.runtime import OnnxEmulatorError, load
from export.to_onnx import OPSET, rewrite, to_onnx

ROOT = Path(__file__).resolve().parent.parent
FLOAT32 = 1e-4  # rounding of ln P up to 25, twice; a wrong scaling shows at 1e-2


@pytest.fixture
def model(onnx_file):
    return load(onnx_file)


def test_raw_onnxruntime_is_enough(onnx_file, model, spectra):
    session = onnxruntime.InferenceSession(onnx_file)
    assert [i.name for i in session.get_inputs()] == ["theta"]
    Pk = session.run(["gg_total"], {"theta": spectra.theta[:3].astype(np.float32)})[0]
    np.testing.assert_array_equal(Pk, model(spectra.theta[:3])["gg_total"])


def test_the_file_describes_itself(model, spectra):
    assert model.names == Space().names
    Mth = model.parameters[Space().names.index("Mth")]
    assert (Mth.unit, Mth.low, Mth.high, Mth.sampling) == ("Msun", 1e12, 1e14, "log10")
    for p in model.parameters:
        known = Space().parameters[p.name]
        assert (p.unit, p.group, p.symbol) == (known.unit, known.group, known.symbol)
    defaults = {p.name: p.default for p in model.parameters if p.default is not None}
    assert defaults == {"w0": -1.0, "wa": 0.0, "z": 0.0}
    assert model.metadata["kind"] == "network"
    assert model.metadata["limits"] == []  # there is one w0 and one wa
    assert model.units == dict.fromkeys(("gg_1h", "gg_2h", "gg_total"), "Mpc^3")
    np.testing.assert_array_equal(model.k, spectra.k)
    assert model.metadata["halo_model"]["model"] == "standard"
    assert model.metadata["provenance"]["labels"]["sha256"] == spectra.hash()
    assert model.metadata["record"]["validation"]["gg_1h"]["points"] == 40
    assert model.metadata["export"]["onnxruntime"] == onnxruntime.__version__
    assert "A&A 665, A38" in model.metadata["citation"]


@pytest.mark.parametrize("ln_P", [pytest.param(-95.0, marks=pytest.mark.slow), 95.0])
def test_what_float32_cannot_hold_is_no_mismatch(emulator, tmp_path, ln_P):
    emulator.targets.mean.fill_(ln_P)
    emulator.save(tmp_path / "extreme.safetensors")
    assert to_onnx(tmp_path / "extreme.safetensors", tmp_path / "extreme.onnx").exists()


def test_the_graph_is_plain(onnx_file):
    proto = onnx.load(onnx_file)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", OPSET)]
    assert {node.domain for node in proto.graph.node} == {""}
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param  # free
    assert not proto.functions
    assert b"/emulator/" not in onnx_file.read_bytes()  # nor does it tell where it was made


def test_damaged_and_foreign_files_are_refused(onnx_file, tmp_path):
    with pytest.raises(FileNotFoundError, match="no emulator at"):
        load(tmp_path / "none.onnx")
    whole = onnx_file.read_bytes()
    onnx_file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OnnxEmulatorError, match="not a readable ONNX file"):
        load(onnx_file)
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [info], [out])
    foreign = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(foreign, onnx_file)
    with pytest.raises(OnnxEmulatorError, match="its schema is None, expected 'hodspectra"):
        load(onnx_file)
    helper.set_model_props(foreign, {"schema": "hodspectra-onnx-1"})
    onnx.save(foreign, onnx_file)
    with pytest.raises(OnnxEmulatorError, match="its schema is 'hodspectra-onnx-1', expected"):
        load(onnx_file)


@pytest.mark.parametrize("where", ["weight", "parameters", "record", "sha256"])
def test_altered_files_are_refused(onnx_file, where):
    proto = onnx.load(onnx_file)
    if where == "weight":
        weights = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        weights.raw_data = weights.raw_data[:-1] + bytes([weights.raw_data[-1] ^ 1])
    else:
        (entry,) = (e for e in proto.metadata_props if e.key == where)
        digit = min(set(entry.value) & set("12345678"))  # a checksum may lack any one of them
        entry.value = entry.value.replace(digit, str(int(digit) + 1), 1)
    onnx.save(proto, onnx_file)
    with pytest.raises(OnnxEmulatorError, match="was altered: its checksum does not match"):
        load(onnx_file)


def test_every_flipped_byte_is_noticed(onnx_file):
    whole = onnx_file.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[position] ^= 0x55
        onnx_file.write_bytes(changed)
        with pytest.raises(OnnxEmulatorError):
            load(onnx_file)


def test_every_truncation_is_noticed(onnx_file):
    whole = onnx_file.read_bytes()
    for length in [0, 1, len(whole) - 1, *np.random.default_rng(0).integers(0, len(whole), 40)]:
        onnx_file.write_bytes(whole[:length])
        with pytest.raises(OnnxEmulatorError):
            load(onnx_file)


def test_metadata_can_be_added_to(onnx_file, model, spectra):
    rewrite(onnx_file, record={"test": {"points": 3}})
    again = load(onnx_file)
    assert again.metadata == model.metadata | {"record": {"test": {"points": 3}}}
    np.testing.assert_array_equal(
        again(spectra.theta[:2])["gg_1h"], model(spectra.theta[:2])["gg_1h"]
    )


def separate(spectra, folder, term, **changes) -> Path:
    """An emulator of one term of gg, hardly trained."""
    config = replace(
        SMALL_TRAINING,
        terms=(term,),
        schedule=ScheduleConfig("stages", max_epochs=(2,), patience=(2,)),
    )
    emulator, _ = fit(spectra, config)
    emulator.update_spec(**changes).save(folder / f"{term}.safetensors")
    return folder / f"{term}.safetensors"


def test_separate_terms_become_one_file(spectra, tmp_path):
    one, two = (separate(spectra, tmp_path, term) for term in ("1h", "2h"))
    model = load(to_onnx(one, tmp_path / "both.onnx", merge=two))
    assert model.outputs == ("gg_1h", "gg_2h", "gg_total")
    ours = model(spectra.theta[:9])
    for file, name in ((one, "gg_1h"), (two, "gg_2h")):
        theirs = predict(Emulator.load(file), spectra.theta[:9])[name]
        np.testing.assert_allclose(ours[name], theirs, rtol=FLOAT32)
    np.testing.assert_allclose(ours["gg_total"], ours["gg_1h"] + ours["gg_2h"], rtol=1e-6)
    assert set(model.metadata["record"]["validation"]) == {"gg_1h", "gg_2h"}
    assert len(model.metadata["provenance"]["merged"]) == 1


def test_what_does_not_belong_together_is_not_merged(spectra, emulator, tmp_path):
    file = tmp_path / "emulator.safetensors"
    with pytest.raises(ValueError, match="two emulators have gg_1h, gg_2h, gg_total"):
        to_onnx(file, tmp_path / "x.onnx", merge=file)
    later = replace(emulator.spec.space, z=Range(0.5, 0.5))
    other = separate(spectra, tmp_path, "2h", space=later)
    message = r"cannot be merged: .*space.z.high is 0.0, not 0.5; space.z.low is 0.0, not 0.5$"
    with pytest.raises(ValueError, match=message):
        to_onnx(file, tmp_path / "x.onnx", merge=other)
    with pytest.raises(ValueError, match="no output mm_1h; there are gg_1h, gg_2h, gg_total"):
        to_onnx(file, tmp_path / "x.onnx", outputs=["mm_1h"])
    assert not list(tmp_path.glob("*.onnx"))


def test_some_outputs_make_a_file_of_their_own(emulator, tmp_path, spectra, onnx_file):
    some = to_onnx(tmp_path / "emulator.safetensors", tmp_path / "s.onnx", outputs=["gg_2h"])
    assert load(some).outputs == ("gg_2h",)
    np.testing.assert_allclose(
        load(some)(spectra.theta)["gg_2h"], load(onnx_file)(spectra.theta)["gg_2h"], rtol=1e-5
    )


def test_a_wrong_graph_is_not_put_in_place(emulator, tmp_path, monkeypatch):
    real = export.to_onnx.graph_of

    def wrong(model, between):
        made = real(model, between)
        with torch.no_grad():
            model.emulators[
                0
            ].targets.mean += 1e-3  # the emulator that the file is then checked against
        return made

    monkeypatch.setattr(export.to_onnx, "graph_of", wrong)
    with pytest.raises(ExportMismatch, match=r"differs by 1\.\de-03 .tolerance 0.0005. between"):
        to_onnx(tmp_path / "emulator.safetensors", tmp_path / "wrong.onnx")
    assert not list(tmp_path.glob("*wrong*"))


def test_it_runs_where_nothing_else_can_be_imported(onnx_file, spectra):
    blocked = ["torch", "lightning", "ray", "pyccl", "scipy", "h5py", "onnx"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        f"from export.runtime import load\n"
        f"print(load({str(onnx_file)!r})({spectra.theta[0].tolist()})['gg_total'][0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert float(done.stdout) > 0
