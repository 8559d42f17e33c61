"""What is timed side by side computes the same, or is refused."""

import re
import shutil

import numpy as np
import pytest
from support.coarse import SPACE

from benchmarks.codes import speed as module
from benchmarks.codes.implementations import AGREEMENT, direct, forms, torch_emulator
from benchmarks.codes.timing import agree
from datagen.halomodel import HaloModelConfig
from datagen.space import BACKGROUND, Space
from export.runtime import load
from export.shipped import shipped
from export.to_onnx import to_onnx


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("benchmarks.codes.timing.ROUND_SECONDS", 0.001)
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)  # nothing is claimed of these times


def points(model, number):
    """Random points with galaxies; without any, rounding is all that there is of gg."""
    space = Space.from_dict(model.metadata["parameters"])
    theta = space.from_unit(np.random.default_rng(3).random((number, len(space.names))))
    found = model(theta, ("n_g", "b_eff"))
    theta = theta[(found["n_g"] > 1e-12) & (found["b_eff"] < 20)]  # as export.to_onnx has it
    assert len(theta) > 0.9 * number
    return theta


def check_forms(model, names):
    implementations, theta = forms(model), points(model, 600)
    assert set(implementations) == names
    for form, call in implementations.items():
        agree(form, call, theta, model(theta), AGREEMENT[form])


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("standard")])
def test_all_forms_of_a_shipped_emulator_agree(name):
    check_forms(load(name), {"onnxruntime", "numpy"})


def test_all_forms_of_a_semi_analytic_emulator_agree(small_file):
    check_forms(load(small_file), {"onnxruntime", "torch", "numpy"})


@pytest.mark.slow
def test_other_weights_are_refused(small_file, tmp_path):
    weights = shutil.copy(small_file.with_suffix(".safetensors"), tmp_path / "changed.safetensors")
    model = load(
        to_onnx(weights, tmp_path / "changed.onnx", mass_function="Tinker08", halo_bias="Tinker10")
    )
    theta, other = points(model, 3), forms(model)["torch"]
    with pytest.raises(ValueError, match=r"torch differs by .* in mm_1h .*, so it is not timed"):
        agree("torch", other, theta, model(theta), AGREEMENT["torch"])


def test_nan_is_no_agreement():
    with pytest.raises(ValueError, match="differs by nan in P"):
        agree("one", lambda theta: {"P": theta * np.nan}, np.ones(2), {"P": np.ones(2)}, 1.0)


def test_a_network_is_taken_from_the_file_beside(onnx_file, spectra, tmp_path):
    model = load(onnx_file)
    calls = forms(model)
    for form, call in calls.items():
        agree(form, call, spectra.theta, model(spectra.theta), AGREEMENT[form])
    assert "torch" in calls
    (tmp_path / "emulator.safetensors").unlink()
    assert torch_emulator(model) is None


@pytest.mark.slow  # minutes of converged CAMB
def test_speed_times_every_contender(onnx_file, spectra, monkeypatch, capsys):
    monkeypatch.setattr(module, "PYCCL_POINTS", 2)
    config = HaloModelConfig.from_dict(spectra.metadata["model"])
    truth = {name: spectra[name][:2] for name in ("gg_1h", "gg_2h")}
    result = module.times(load(onnx_file), spectra.theta, config, truth)
    assert result["pyccl"]["median"] > result["onnxruntime"]["10000"]["median"] > 0
    text = module.render(result)
    for form in ("numpy", "torch", "onnxruntime"):
        assert len(re.findall(rf"^\| emulator, {form}[^|]*\| (1|100|10,000) \|", text, re.M)) == 3
    assert "| load the emulator |" in text
    wrong = {"gg_1h": 1.1 * truth["gg_1h"]}
    with pytest.raises(ValueError, match="labels differs by 9.1e-02 in gg_1h"):
        module.times(load(onnx_file), spectra.theta, config, wrong)


def test_pyccl_has_no_other_model():
    config = HaloModelConfig(model="g3lhalo", camb="converged")
    assert set(direct(config, SPACE)) == {"labels"}


def test_pyccl_has_no_other_occupation():
    space = Space(**{name: SPACE[name] for name in BACKGROUND}, occupation="zheng07")
    implementations = direct(HaloModelConfig(), space)
    assert set(implementations) == {"labels"}
    middle = space.from_unit(np.full((1, len(space.names)), 0.5))
    assert np.isfinite(implementations["labels"](middle)["gg_1h"]).all()
