"""Emulators side by side: the better one is found, and each is judged by what it has."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support.judged import labels_off_by

from benchmarks.evaluate.analyse import analyse
from benchmarks.evaluate.compare import STUDY, compare, main, render
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.train import EMULATOR_FILE
from export.runtime import load
from export.to_onnx import rewrite, to_onnx

ROUNDING = 1e-2  # relative: P is float32, the smaller error 1e-3


@pytest.fixture(autouse=True)
def timed_briefly(monkeypatch):
    monkeypatch.setattr("benchmarks.codes.timing.ROUND_SECONDS", 0.01)
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)  # nothing is claimed of these times


@pytest.fixture(scope="module")
def files(trained, tmp_path_factory):
    """One emulator as good, off by another percent, and with its 1-halo term alone."""
    folder = tmp_path_factory.mktemp("compared")
    plain = shutil.copy(trained / EMULATOR_FILE, folder)
    made = {"good": Path(shutil.copy(trained / "emulator.onnx", folder / "good.onnx")),
            "one": to_onnx(plain, folder / "one.onnx", outputs=["gg_1h"]),
            "two": to_onnx(plain, folder / "two.onnx", outputs=["gg_2h"])}  # fmt: skip
    shifted = Emulator.load(plain)
    with torch.no_grad():
        shifted.targets.mean += math.log(1.01)
    shifted.save(folder / "shifted.safetensors")
    made["shifted"] = to_onnx(folder / "shifted.safetensors", folder / "shifted.onnx")
    return made


@pytest.fixture
def data(emulator, spectra, tmp_path):
    return labels_off_by(emulator, spectra, tmp_path / "labels.h5", 1.001)


def test_the_better_one_is_found(files, data, tmp_path, capsys):
    both = [str(files[n]) for n in ("shifted", "good")]
    result = STUDY.run(tmp_path / "out", emulators=both, data=data)
    models = result["models"]
    assert list(models) == ["shifted", "good"]
    for name, error in (("good", 0.001), ("shifted", 1.01 * 1.001 - 1)):
        assert models[name]["accuracy"]["gg_total"]["all"]["95"] == pytest.approx(error, ROUNDING)
        assert set(models[name]["seconds"]) == {"1", "100", "10000"}
        assert models[name]["cpu_seconds"]["median"] > 0
    assert result["timed"] == ["gg_1h", "gg_2h", "gg_total"]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == result
    assert render(result) in capsys.readouterr().out
    assert "| gg_total | shifted | 1.1 | 1.1 | 1.1 | 1.1 | 1.1 |" in render(result)
    text = (tmp_path / "out" / "comparison.html").read_text()
    assert "The most accurate in gg_total is good" in text
    assert text.count('src="data:image/png;base64,') == 3
    for name in ("errors", "pareto", "size"):
        assert (tmp_path / "out/figures" / f"{name}.pdf").exists()


def test_what_two_of_them_have_is_judged(files, data, tmp_path):
    names = ("good", "one", "two")
    result = compare([str(files[n]) for n in names], tmp_path / "out", data)
    judged = {name: list(result["models"][name]["accuracy"]) for name in names}
    assert judged == {"good": ["gg_1h", "gg_2h"], "one": ["gg_1h"], "two": ["gg_2h"]}
    assert result["timed"] == []
    assert "They share no spectrum" in (tmp_path / "out" / "comparison.html").read_text()


def test_those_that_cannot_be_compared_are_refused(files, data, tmp_path):
    with pytest.raises(ValueError, match="two are called good; give each once"):
        compare([str(files["good"])] * 2, tmp_path, data)
    with pytest.raises(ValueError, match="emulators is empty"):
        compare([], tmp_path, data)
    other = shutil.copy(files["good"], tmp_path / "other.onnx")
    rewrite(other, halo_model=load(other).metadata["halo_model"] | {"log10M_min": 9.0})
    with pytest.raises(
        ValueError, match="other.onnx has another halo model than .*log10M_min is 9.0, not 10.0"
    ):
        compare([str(files["good"]), str(other)], tmp_path, data)


@pytest.mark.parametrize("run", [analyse, compare])
def test_galaxies_are_those_asked_for(run, small_file, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.codes.timing.ROUND_SECONDS", 0.001)
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)  # nothing is claimed of these times
    monkeypatch.setattr("benchmarks.evaluate.compare.BATCHES", (1, 100))
    monkeypatch.setattr("benchmarks.evaluate.compare._page", lambda *_: "")
    monkeypatch.setattr("benchmarks.evaluate.analyse.Analysis.sections", lambda *_: {})
    model = load(small_file, occupation="zheng07")
    theta = np.stack(list(model.sample(40).values()), axis=1)
    terms = [name for name in model.outputs if not name.endswith("total")]
    arrays = {n: P / np.float64(1.01) for n, P in model(theta, terms, out_of_range="nan").items()}
    keys = {"space": "parameters", "model": "halo_model"}
    metadata = {name: model.metadata[key] for name, key in keys.items()}
    metadata |= {"design": {"method": "random", "points": 40, "seed": 1}, "provenance": {}}
    Spectra(theta, model.k, arrays, metadata).write(tmp_path / "labels.h5")
    emulator = str(small_file) if run is analyse else [str(small_file)]
    out = tmp_path / "out"
    found = run(emulator, out, tmp_path / "labels.h5", occupation="zheng07")
    (of,) = [found] if run is analyse else found["models"].values()
    record = of["accuracy"]["gg_1h"]
    assert record["all"]["95"] == pytest.approx(0.01, ROUNDING)
    assert "alpha > 0.1" not in record["regimes"]  # alpha is a slope there
    with pytest.raises(
        ValueError, match="labels.h5 has other galaxies than .*zheng07, not linke22"
    ):
        run(emulator, tmp_path / "other", tmp_path / "labels.h5")


def test_what_has_no_spectrum_is_refused_before_the_truth_is_computed(
    small_file, tmp_path, monkeypatch
):
    numbers = load(small_file)
    object.__setattr__(numbers, "outputs", ("P_lin", "n_g"))
    for name in ("compare", "analyse"):
        monkeypatch.setattr(f"benchmarks.evaluate.{name}.true_spectra", None)
        monkeypatch.setattr(f"benchmarks.evaluate.{name}.OnnxEmulator", lambda *_, **__: numbers)
    with pytest.raises(ValueError, match="none of small has one .* mm, gm, gg, only P_lin, n_g"):
        compare(["numbers"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"small.onnx has none of .*: there is nothing to draw"):
        analyse("numbers", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_runs_on_more_cores_is_refused_before_the_truth_is_computed(
    files, tmp_path, monkeypatch
):
    monkeypatch.setattr("benchmarks.evaluate.compare.true_spectra", None)
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 0.0)
    with pytest.raises(ValueError, match="good ran on .* cores; set OMP_NUM_THREADS=1"):
        compare([str(files["good"])], tmp_path / "out")


def test_command_line_takes_any_number(files, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.evaluate.compare._page", lambda *_: "")  # figures
    words = [str(files["good"]), str(files["shifted"])]
    main([*words, "--data", str(data), "--out", str(tmp_path / "out")])
    assert "| shifted |" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert (
        "usage: python -m benchmarks.evaluate.compare EMULATORS [--config"
        in capsys.readouterr().out
    )
