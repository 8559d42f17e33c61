"""The report: of the test split alone, and only of the emulator's own labels."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from support.small_network import SMALL_TRAINING

from benchmarks.evaluate import report as module
from benchmarks.evaluate.error_figures import varied
from benchmarks.evaluate.report import STUDY, report
from datagen.analyse import SCHEMA
from datagen.error_budget import ErrorBudget
from emulator.metrics import fractional_error
from emulator.network import NetworkConfig
from emulator.record import predict
from tuning.journal import Journal
from tuning.space import SearchSpace


@pytest.fixture
def brief(monkeypatch):
    """Little is measured and drawn."""
    monkeypatch.setattr("benchmarks.codes.speed.PYCCL_POINTS", 2)
    monkeypatch.setattr(module, "BUDGET", ErrorBudget(quadrature=2, linear_power=1))
    monkeypatch.setattr("benchmarks.codes.timing.ROUND_SECONDS", 0.01)
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)  # nothing is claimed of these times
    monkeypatch.setattr(
        "benchmarks.evaluate.error_analysis.varied", _few
    )  # many panels take time to draw


def _few(theta, space):
    x, labels = varied(theta, space)
    return x[:, 5:8], labels[5:8]


@pytest.mark.slow
def test_report_is_of_the_test_split(brief, emulator, onnx_file, spectra, label_file, tmp_path):
    result = STUDY.run(tmp_path / "report", emulator=str(onnx_file), data=label_file)
    test = spectra.select(SMALL_TRAINING.split.rows(len(spectra), "test"))
    error = fractional_error(predict(emulator, test.theta)["gg_1h"], test["gg_1h"])
    record = result["accuracy"]["gg_1h"]
    assert record["points"] == len(test) == 40
    assert record["all"]["95"] == pytest.approx(np.percentile(error, 95), rel=1e-2)
    assert set(result["speed"]["onnxruntime"]) == {"1", "100", "10000"}
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == result
    text = (tmp_path / "report" / "report.md").read_text()
    assert f"| gg_1h | {100 * record['all']['68']:.2g} |" in text
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"<td>gg_1h</td><td>{100 * record['all']['68']:.2g}</td>" in page
    for heading in ("The labels", "Training", "The emulator", "Speed", "Tails", "Made with"):
        assert f"<h2>{heading}</h2>" in page
    assert "Search" not in page  # no search lies there
    assert "python -m datagen.analyse --data" in page
    assert page.count('src="data:image/png;base64,') == 5
    assert 0 < result["floor"]["quadrature"]["spectra"]["gg_1h"]["all"]["95"] < 1e-3


def test_other_labels_have_no_known_test_split(onnx_file, spectra, tmp_path):
    spectra.select(np.arange(399)).write(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="so its test points are unknown"):
        report(str(onnx_file), tmp_path / "other.h5", tmp_path / "report")


def test_the_search_beside_the_emulator_is_shown(tmp_path):
    run = tmp_path / "run"
    journal = Journal(run)
    for units, loss in ((8, 0.2), (16, 0.1)):
        network = asdict(NetworkConfig(layers=1, units=units))
        trial = journal.propose(
            network | {"optimizer": "adam", "lr": 1e-3, "batch_size": 32, "loss": "rms"}
        )
        measured = {"val_loss": loss, "p95": loss, "p99": loss, "epochs": 4, "seconds": 1.0}
        journal.end(trial.name, "finished", measured, at=9.0, error="")
    space = SearchSpace(
        (1, 1), (8, 32), ("gelu",), ("adam",), lr=(1e-3, 1e-3), batch_size=(32, 32),
        dropout=(0, 0), residual=(False,), loss=("rms",),
    )  # fmt: skip
    config = {"objectives": ["val_loss"], "space": asdict(space)}
    (run / "config.yaml").write_text(json.dumps(config | {"shared": {}}))
    found = module.search_section(run, run / "report")
    assert "The best is trial 0002 with validation loss 0.1 on" in found["Search: result"][0]
    assert 'href="../figures/progress.pdf"' in found["Search: progress"][0]
    assert (run / "report" / "../figures/progress.pdf").resolve().exists()
    assert "units 16" in found["Search: best trials"][0]


def test_the_report_of_the_labels_is_found(label_file, spectra, tmp_path):
    data = Path(shutil.copy(label_file, tmp_path / "labels.h5"))
    summary = {
        "schema": SCHEMA,
        "labels": {"sha256": spectra.hash()},
        "agreement": {"verdict": {"text": "They agree.", "agree": True}},
    }
    for folder, change in (("another", {"labels": {"sha256": "0"}}), ("this", {})):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "summary.json").write_text(json.dumps(summary | change))
    page = "".join(module.labels_section(data, tmp_path / "report"))
    assert '<p class="good">They agree.</p>' in page
    assert '<a href="../this/index.html">The labels in figures</a>' in page
