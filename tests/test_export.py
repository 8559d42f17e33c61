"""The ONNX file: torch's numbers, self-describing, and safe to call."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import export.to_onnx
from datagen.space import PARAMETERS
from emulator.record import predict
from export.runtime import OnnxEmulatorError, load
from export.to_onnx import ExportMismatch, to_onnx

ROOT = Path(__file__).resolve().parent.parent
FLOAT32 = 1e-4  # rounding of ln P up to 25, twice; a wrong scaling shows at 1e-2


@pytest.fixture
def onnx_file(emulator, tmp_path) -> Path:
    return to_onnx(tmp_path / "emulator.safetensors", tmp_path / "emulator.onnx")


@pytest.fixture
def model(onnx_file):
    return load(onnx_file)


@pytest.fixture
def point(model, spectra) -> dict[str, float]:
    return dict(zip(model.names, map(float, spectra.theta[0]), strict=True))


def test_onnxruntime_gives_torchs_numbers(model, emulator, spectra):
    ours = model(spectra.theta)
    for name, Pk in predict(emulator, spectra.theta).items():
        np.testing.assert_allclose(ours[name], Pk, rtol=FLOAT32)


def test_raw_onnxruntime_is_enough(onnx_file, model, spectra):
    session = onnxruntime.InferenceSession(onnx_file)
    assert [i.name for i in session.get_inputs()] == ["theta"]
    Pk = session.run(["gg_total"], {"theta": spectra.theta[:3].astype(np.float32)})[0]
    np.testing.assert_array_equal(Pk, model(spectra.theta[:3])["gg_total"])


def test_the_file_describes_itself(model, spectra):
    assert model.names == PARAMETERS
    Mth = model.parameters[7]
    assert (Mth.unit, Mth.low, Mth.high, Mth.sampling) == ("Msun", 1e12, 1e14, "log10")
    np.testing.assert_array_equal(model.k, spectra.k)
    assert model.metadata["halo_model"]["model"] == "standard"
    assert model.metadata["provenance"]["labels"]["sha256"] == spectra.hash()
    assert model.metadata["record"]["validation"]["gg_1h"]["points"] == 40


def test_mapping_array_and_single_point_agree(model, spectra, point):
    alone = model(point)["gg_1h"]
    assert alone.shape == (50,)
    np.testing.assert_array_equal(model(spectra.theta[0])["gg_1h"], alone)
    columns = {name: spectra.theta[:4, i] for i, name in enumerate(model.names)}
    np.testing.assert_allclose(model(columns)["gg_1h"][0], alone, rtol=1e-5)
    scan = model(point | {"h": np.array([0.68, 0.69])})
    assert scan["gg_1h"].shape == (2, 50)


def test_the_ends_of_the_ranges_are_inside_also_in_float32(model):
    for end in ("low", "high"):
        corner = [getattr(p, end) for p in model.parameters]
        model(corner)
        model(np.array(corner, np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"h": 0.9}, r"row 0: h = 0.9 is outside the trained range \[0.67, 0.7\]"),
        ({"Mth": np.nan}, r"row 0: Mth = nan is outside .* Msun"),
        ({"Mth": 13.0}, "row 0: Mth = 13 is outside the trained range"),
        ({"w0": -1.0}, "unknown parameters: w0"),
    ],
)
def test_bad_points_are_refused(model, point, change, message):
    with pytest.raises(ValueError, match=message):
        model(point | change)


def test_missing_name_and_wrong_shape_are_refused(model, point):
    point.pop("beta")
    with pytest.raises(ValueError, match="missing parameters: beta"):
        model(point)
    with pytest.raises(ValueError, match=r"theta has shape \(3, 9\), expected \(N, 10\)"):
        model(np.ones((3, 9)))


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


def test_a_wrong_graph_is_not_put_in_place(emulator, tmp_path, monkeypatch):
    real = export.to_onnx._graph

    def wrong(model):
        proto = real(model)
        with torch.no_grad():
            model.targets.mean += 1e-3  # the emulator that the file is then checked against
        return proto

    monkeypatch.setattr(export.to_onnx, "_graph", wrong)
    with pytest.raises(ExportMismatch, match=r"differs by 1\.\de-03 .tolerance 0.0001. between"):
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
