"""The report: of the test split alone, and only of the emulator's own labels."""

import json

import numpy as np
import pytest
from conftest import SMALL_TRAINING

from benchmarks import report as module
from benchmarks.report import report
from datagen.error_budget import ErrorBudget
from emulator.metrics import fractional_error
from emulator.record import predict
from export.to_onnx import to_onnx


@pytest.fixture
def onnx_file(emulator, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.speed.PYCCL_POINTS", 2)
    monkeypatch.setattr(module, "BUDGET", ErrorBudget(quadrature=2, linear_power=1))
    monkeypatch.setattr("benchmarks.timing.ROUND_SECONDS", 0.01)
    monkeypatch.setattr("benchmarks.timing.ONE_CORE", 99)  # nothing is claimed of these times
    return to_onnx(tmp_path / "emulator.safetensors", tmp_path / "emulator.onnx")


def test_report_is_of_the_test_split(emulator, onnx_file, spectra, label_file, tmp_path):
    result = report(onnx_file, label_file, tmp_path / "report")
    test = spectra.select(SMALL_TRAINING.split.rows(len(spectra), "test"))
    error = fractional_error(predict(emulator, test.theta)["gg_1h"], test["gg_1h"])
    record = result["accuracy"]["gg_1h"]
    assert record["points"] == len(test) == 40
    assert record["all"]["95"] == pytest.approx(np.percentile(error, 95), rel=1e-2)
    assert set(result["speed"]["onnxruntime"]) == {"1", "100", "10000"}
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == result
    text = (tmp_path / "report" / "report.md").read_text()
    assert f"| gg_1h | {100 * record['all']['68']:.2g} |" in text
    assert 0 < result["floor"]["quadrature"]["spectra"]["gg_1h"]["all"]["95"] < 1e-3


def test_other_labels_have_no_known_test_split(onnx_file, spectra, tmp_path):
    spectra.select(np.arange(399)).write(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="so its test points are unknown"):
        report(onnx_file, tmp_path / "other.h5", tmp_path / "report")
