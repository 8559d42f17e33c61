"""An emulator in depth: the errors are those that it has, and the page shows them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.judged import labels_off_by
from support.small_network import SMALL_TRAINING

import benchmarks.evaluate.error_analysis
from benchmarks.evaluate.analyse import STUDY, main
from benchmarks.evaluate.describe import describe, training_history
from benchmarks.evaluate.error_analysis import Analysis
from benchmarks.evaluate.true_spectra import true_spectra
from datagen.design import Design
from datagen.figures import parameter_labels
from datagen.generate import generate
from datagen.halomodel import HaloModelConfig
from datagen.space import Space
from emulator.metrics import fractional_error
from emulator.train import EMULATOR_FILE, train
from export.runtime import load
from export.to_onnx import rewrite, to_onnx

ROUNDING = 2e-3  # relative, of an error of 1 %: P is float32, and records have four digits
FIGURES = {"bands", "regimes", "corner", "tails", "points-gg"}
# CAMB at every point and the table of the shipped emulator's labels differ by 2e-3 at most
SHIPPED = 5e-3


@pytest.fixture(autouse=True)
def few_panels(monkeypatch):
    real = benchmarks.evaluate.error_analysis.varied

    def few(theta, space):  # many take time to draw
        x, labels = real(theta, space)
        kept = [labels.index(parameter_labels(space)[name]) for name in ("alpha", "sigma", "Mth")]
        return x[:, kept], [labels[i] for i in kept]

    monkeypatch.setattr("benchmarks.evaluate.error_analysis.varied", few)


def test_an_emulator_that_is_off_by_a_percent_is_reported_so(
    onnx_file, emulator, spectra, tmp_path, capsys
):
    data = labels_off_by(emulator, spectra, tmp_path / "labels.h5", 1.01)
    result = STUDY.run(tmp_path / "out", emulator=str(onnx_file), data=data)
    for name in ("gg_1h", "gg_2h", "gg_total"):
        record = result["accuracy"][name]
        for numbers in (record["all"], record["worst_k"], record["regimes"]["alpha > 0.1"]["all"]):
            assert list(numbers.values()) == pytest.approx([0.01] * 7, rel=ROUNDING)
    assert json.loads((tmp_path / "out" / "analysis.json").read_text()) == result
    text = (tmp_path / "out" / "analysis.html").read_text()
    assert "95 % of all gg_total are within 1 % of the true values" in text
    assert "| gg_total | 1 | 1 | 1 | 1 | 1 |" in capsys.readouterr().out
    assert text.count('src="data:image/png;base64,') == len(FIGURES)
    for name in FIGURES:
        for suffix, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
            assert (tmp_path / "out/figures" / (name + suffix)).read_bytes().startswith(start)
        assert f'href="figures/{name}.pdf"' in text


def test_the_points_that_are_drawn_are_the_best_and_the_worst(onnx_file, label_file):
    model = load(onnx_file)
    truth = true_spectra([model], label_file)
    analysis = Analysis(model, truth)
    predicted = model(truth.labels.theta)
    error = np.max(
        [fractional_error(predicted[n], truth.labels[n]).max(axis=1) for n in predicted], axis=0
    )
    cases = analysis.cases["gg"]
    assert cases["best"]["row"] == np.argmin(error)
    assert cases["worst"]["row"] == np.argmax(error)
    assert cases["median"]["error"] == pytest.approx(np.median(error), rel=0.1)
    worst = truth.labels.theta[np.argmax(error), truth.space.names.index("beta")]
    assert cases["worst"]["theta"]["beta"] == worst


def test_calibration_is_what_is_found_over_what_is_recorded(onnx_file, emulator, spectra, tmp_path):
    data = labels_off_by(emulator, spectra, tmp_path / "labels.h5", 1.01)
    model = load(onnx_file)
    recorded = model.metadata["record"]["validation"]["gg_1h"]["worst_k"]["95"]
    found = Analysis(model, true_spectra([model], data)).calibration()["gg_1h"]["95"]
    assert found == pytest.approx(0.01 / recorded, rel=1e-2)


def test_an_emulator_without_spectra_has_nothing_to_draw(tmp_path):
    class Numbers:
        path, outputs, names = "numbers.onnx", ("n_g",), ()

    truth = type("Truth", (), {"shared": lambda self, model: ["n_g"]})()
    with pytest.raises(ValueError, match="has none of the spectra of mm, gm, gg, only n_g"):
        Analysis(Numbers(), truth)


def test_the_history_is_that_of_its_own_training(label_file, tmp_path, onnx_file, monkeypatch):
    monkeypatch.setattr("emulator.train.save_figure", lambda *_: None)  # they take seconds
    assert training_history(load(onnx_file)) == []
    brief = replace(SMALL_TRAINING.schedule, max_epochs=(3, 2), patience=(3, 2))
    train(label_file, tmp_path / "1", replace(SMALL_TRAINING, schedule=brief))
    model = load(to_onnx(tmp_path / "1" / EMULATOR_FILE, tmp_path / "1" / "a.onnx"))
    kept = json.loads((tmp_path / "1" / "history.json").read_text())["epochs"]
    assert training_history(model) == kept
    judged = {"test": {}, "test_narrow_box": {}, "test zheng07": {}}  # does not make it another one
    rewrite(model.path, provenance=model.metadata["provenance"] | judged)
    assert training_history(load(model.path)) == kept
    assert len(kept) == 5
    shutil.copytree(tmp_path / "1", tmp_path / "2")
    shutil.copy(tmp_path / EMULATOR_FILE, tmp_path / "2")  # another emulator's history
    with pytest.raises(FileNotFoundError, match="no training in .* made .*a.onnx"):
        training_history(model, tmp_path / "2")


def test_numbers_are_those_of_the_graph(onnx_file, emulator):
    made = describe(load(onnx_file))
    weights = sum(weights.numel() for weights in emulator.parameters())
    # besides the weights: mean and spread of ten features and of two spectra, a few constants
    assert weights < made["numbers"] < weights + 20 + 4 * 50 + 50
    assert made["bytes"] == onnx_file.stat().st_size
    assert made["kind"] == "network, 2 x 64 swish"
    assert made["name"] == f"{onnx_file.parent.name}/emulator"


@pytest.mark.slow
def test_the_shipped_emulator_at_new_points(ray, tmp_path):
    camb = HaloModelConfig(linear_power="camb")
    data = generate(tmp_path / "labels.h5", Design(8, seed=5), Space(), camb)
    model = load("standard")
    analysis = Analysis(model, true_spectra([model], data))
    record = analysis.accuracy()["gg_total"]
    assert 1e-6 < record["all"]["95"] < SHIPPED
    assert analysis.main_output == "gg_total"
    assert set(analysis.cases) == {"mm", "gm", "gg"}


@pytest.mark.slow
def test_fifty_points_drawn_for_the_shipped_emulator(ray, tmp_path):
    main(["standard", "--points", "50", "--out", str(tmp_path)])  # makes the table first
    result = json.loads((tmp_path / "analysis.json").read_text())
    assert result["accuracy"]["gg_total"]["points"] == 50
    recorded = load("standard").metadata["record"]["test"]["gg_total"]["all"]["95"]
    assert result["accuracy"]["gg_total"]["all"]["95"] < 3 * recorded


def test_command_line(onnx_file, label_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Analysis, "sections", lambda *_: {})  # drawing takes time
    main([str(onnx_file), "--data", str(label_file), "--out", str(tmp_path / "out")])
    assert "Errors on 40 test points" in capsys.readouterr().out
    for arguments, message in (
        (["nothing", "--data", str(label_file)], "no emulator 'nothing'"),
        ([str(onnx_file), "--corner_points", "0"], "corner_points = 0 must be at least 1"),
        ([str(onnx_file), "second"], "second"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        assert message in capsys.readouterr().err
