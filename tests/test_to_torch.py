"""An ONNX file gives back the torch emulator that it was made of."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as read_arrays
from safetensors.torch import save as write_arrays

from emulator.emulator import Emulator
from emulator.finetune import finetune
from export.onnx_file import OnnxEmulatorError, OnnxFile
from export.runtime import load as load_onnx
from export.to_onnx import rewrite, to_onnx
from hodspectra.torch import load

# of float32, of galaxies in no extreme corner; a wrong weight shows at 1e-2
ROUNDING = {"tinker10": 2e-5, "standard": 2e-5, "network-gg": 2e-5, "published-gm": 2e-5}


def example(model, N=5):
    """Points about the emulator's example, (N, P), float32."""
    rows = [model.example | {"sigma_8": 0.82 + 0.02 * i} for i in range(N)]
    return np.array([[row[name] for name in model.names] for row in rows], np.float32)


@pytest.mark.parametrize("name", ROUNDING)
def test_shipped_files_give_back_their_emulators(name):
    emulator, model = load(name), load_onnx(name)
    x = example(model)
    with torch.inference_mode():
        found = emulator.double()(torch.from_numpy(x).double())
    expected = model(x, list(emulator.spec.outputs))
    for output, ours in zip(emulator.spec.outputs, found, strict=True):
        np.testing.assert_allclose(ours.numpy(), expected[output], rtol=ROUNDING[name])


@pytest.mark.parametrize(
    ("name", "output"), [("standard", "gg_total"), ("published-gm", "gm_total")]
)
def test_gradients_are_those_of_the_file(name, output):
    emulator, model = load(name), load_onnx(name)
    x = example(model, 1)
    found = emulator.jacobian(torch.from_numpy(x))
    expected = model.jacobian(x[0], output, ["sigma_8", "h"])[output]
    by_torch = found[emulator.spec.outputs.index(output)][0].numpy()
    for parameter, slope in expected.items():
        ours = by_torch[:, model.names.index(parameter)]
        np.testing.assert_allclose(ours, slope, atol=1e-3 * np.abs(slope).max())


def test_other_galaxies_are_those_of_the_file_with_them():
    emulator, model = load("standard", "zheng07"), load_onnx("standard", occupation="zheng07")
    x = example(model)
    with torch.inference_mode():
        found = emulator(torch.from_numpy(x))
    assert emulator.spec.space.names == model.names
    gg = found[emulator.spec.outputs.index("gg_total")]
    np.testing.assert_allclose(gg, model(x, "gg_total")["gg_total"], rtol=1e-4)


def test_an_exported_file_holds_all_weights_to_the_last_bit(small_file):
    original = Emulator.load(small_file.with_suffix(".safetensors"))
    again = load(small_file)
    assert not again.unknown()
    state = again.state_dict()
    for name, value in original.state_dict().items():
        np.testing.assert_array_equal(state[name].numpy(), value.numpy(), err_msg=name)
    assert again.spec == original.spec
    assert again.hash() == original.hash()


@pytest.mark.slow  # the test above has all weights, and the one below another export
def test_what_was_read_is_saved_and_exported_again(small_file, tmp_path):
    load(small_file).save(tmp_path / "again.safetensors")
    again = to_onnx(tmp_path / "again.safetensors", tmp_path / "again.onnx")
    first, second = load_onnx(small_file), load_onnx(again)
    x = example(first)
    for name, values in first(x).items():
        np.testing.assert_allclose(second(x, name)[name], values, rtol=1e-6)


def test_what_a_file_lacks_is_refused_by_name(small_file, tmp_path):
    path = tmp_path / "less.onnx"
    path.write_bytes(small_file.read_bytes())
    stored = json.loads(OnnxFile.read(path.read_bytes(), path).texts["weights"])
    arrays = read_arrays(base64.b64decode(stored))
    kept = {name: array for name, array in arrays.items() if ".slope." not in name}
    rewrite(path, weights=base64.b64encode(write_arrays(kept)).decode())
    assert load(path).unknown() == [
        "model.cosmology.slope.weight",
        "model.cosmology.slope.bias",
    ]
    with pytest.raises(ValueError, match="Diemer15 follows the slope .* model.cosmology.slope"):
        load(path, mass_function="Tinker08", halo_bias="Tinker10", concentration="Diemer15",
             mass_def="200c")  # fmt: skip
    load("network-gg").save(tmp_path / "emulator.safetensors")
    with pytest.raises(ValueError, match=r"does not know its targets.mean, targets.std: .* ONNX"):
        finetune(tmp_path / "emulator.safetensors", tmp_path / "labels.h5", tmp_path / "out")
    with pytest.raises(OnnxEmulatorError, match="holds several emulators as one"):
        load("published-gm-separate")


def test_weights_that_are_not_those_of_the_graph_are_refused(small_file, tmp_path):
    original = Emulator.load(small_file.with_suffix(".safetensors"))
    path = tmp_path / "other.onnx"
    path.write_bytes(small_file.read_bytes())
    with torch.no_grad():
        original.model.cosmology.expand.bias += 0.01
    rewrite(path, weights=_as_text(original))
    with pytest.raises(OnnxEmulatorError, match="do not give what its graph gives"):
        load(path)
    rewrite(path, weights="no arrays")
    with pytest.raises(OnnxEmulatorError, match="weights are not arrays"):
        load(path)


def _as_text(emulator) -> str:
    """All of its weights, as a file holds those that are not in its graph."""
    from export.weights import left_over

    return left_over(emulator)


def test_networks_of_one_kind_are_given_back(tmp_path):
    """Exported anew, the scalings of sums are there."""
    emulator = load("network-gg")
    with torch.no_grad():
        emulator.targets.mean.nan_to_num_(1.0)
        emulator.targets.std.nan_to_num_(2.0)
    emulator.save(tmp_path / "one.safetensors")
    again = load(to_onnx(tmp_path / "one.safetensors", tmp_path / "one.onnx"))
    for name, value in emulator.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name].numpy(), value.numpy(), err_msg=name)


@pytest.mark.slow  # by default, test_semianalytic.py
def test_a_shipped_emulator_is_exported_with_a_finer_grid(tmp_path):
    made = to_onnx(Path("standard"), tmp_path / "fine.onnx", finer=2, between=False)
    fine, own = load_onnx(made), load_onnx("standard")
    x = example(own)
    for name, value in fine(x).items():
        np.testing.assert_allclose(value, own(x)[name], rtol=1e-3)
    nodes = [one.metadata["network"]["grid"]["nodes"] for one in (own, fine)]
    assert nodes[1] == 2 * nodes[0] - 1
    assert not fine.metadata["record"]
    again = to_onnx(made, tmp_path / "again.onnx", outputs=["gg_total"], between=False)
    np.testing.assert_allclose(
        load_onnx(again)(x)["gg_total"], fine(x)["gg_total"], rtol=ROUNDING["standard"]
    )


def test_a_network_has_no_finer_grid(tmp_path):
    with pytest.raises(ValueError, match="finer: a network emulator has no grid"):
        to_onnx(Path("network-gg"), tmp_path / "fine.onnx", finer=2)


def test_a_name_that_is_no_shipped_emulator_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="standrd"):
        to_onnx(Path("standrd"), tmp_path / "fine.onnx")
