"""The truth that emulators are judged by fits them, and is of points that they have not seen."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.judged import labels_off_by
from support.small_network import SMALL_TRAINING

from benchmarks.evaluate.true_spectra import is_made_of, true_spectra
from datagen.store import Spectra
from export.runtime import load
from export.to_onnx import rewrite


@pytest.fixture
def model(onnx_file):
    return load(onnx_file)


@pytest.fixture
def labels(emulator, spectra, tmp_path):
    """Content and path of labels of another design."""
    path = labels_off_by(emulator, spectra, tmp_path / "labels.h5", 1.01)
    return Spectra.read(path), path


def test_labels_like_the_emulators_own_are_taken_whole(model, labels):
    truth = true_spectra([model], labels[1])
    assert truth.source["unseen"] == truth.source["points"] == len(truth.labels) == 60
    assert truth.shared(model) == ["gg_1h", "gg_2h", "gg_total"]
    assert truth.source["sha256"] == labels[0].hash()


def test_of_its_own_labels_the_test_split_is_taken(model, label_file, spectra):
    assert is_made_of(model, Spectra.read(label_file, ()))
    truth = true_spectra([model], label_file)
    rows = SMALL_TRAINING.split.rows(len(spectra), "test")
    np.testing.assert_array_equal(truth.labels.theta, spectra.theta[rows])


def test_labels_that_left_no_test_split_are_refused(model, label_file):
    with pytest.raises(ValueError, match="no point of .* is unseen by every emulator"):
        true_spectra([_without_test(model)], label_file)


def test_other_rows_of_the_same_design_are_refused(model, spectra, tmp_path):
    spectra.select(np.arange(399)).write(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="has points that .* was trained on; make labels with an"):
        true_spectra([model], tmp_path / "other.h5")


def test_finer_integrals_are_of_the_same_halo_model(model, labels, tmp_path):
    labels[0].metadata["model"] |= {"panels": 99, "linear_power": "camb"}
    labels[0].write(tmp_path / "finer.h5")
    assert len(true_spectra([model], tmp_path / "finer.h5").labels) == 60


def test_foreign_labels_are_refused(model, labels, tmp_path):
    good, path = labels[0], tmp_path / "foreign.h5"
    metadata = good.metadata
    h = metadata["space"]["h"] | {"high": 0.71}
    for foreign, message in (
        (replace(good, metadata=metadata | {"model": metadata["model"] | {"log10M_min": 9.0}}),
         r"another halo model than .* \(log10M_min is 9.0, not 10.0\); choose labels like"),
        (replace(good, metadata=metadata | {"space": metadata["space"] | {"h": h}}),
         r"wider ranges than .* \(h \[0.67, 0.71\]\)"),
        (replace(good, k=good.k * 1.1),
         r"other wavenumbers than .* \(50 from 0.011 to 110 1/Mpc, not 50 from 0.01 to 100"),
    ):  # fmt: skip
        foreign.write(path)
        with pytest.raises(ValueError, match=message):
            true_spectra([model], path)


def test_points_without_a_ratio_are_left_out_and_counted(model, labels, tmp_path):
    labels[0].arrays["gg_1h"][3:5, 0] *= -1
    labels[0].write(tmp_path / "negative.h5")
    truth = true_spectra([model], tmp_path / "negative.h5")
    assert (truth.source["not_positive"], len(truth.labels)) == (2, 58)


def test_labels_without_a_ratio_anywhere_are_refused(model, labels, tmp_path):
    labels[0].arrays["gg_1h"][:, 0] = 0.0
    labels[0].write(tmp_path / "zero.h5")
    with pytest.raises(
        ValueError, match="at none of 60 points of .* are all of gg_1h, .* positive"
    ):
        true_spectra([model], tmp_path / "zero.h5")


def test_points_that_an_emulator_was_made_of_are_not_drawn(model, spectra, monkeypatch):
    monkeypatch.setattr(
        "benchmarks.evaluate.true_spectra.generate", None
    )  # before anything is computed
    design = spectra.metadata["design"]
    with pytest.raises(ValueError, match="seed = 1 has points that .*onnx was trained on"):
        true_spectra([model], points=design["points"], seed=design["seed"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"model": "g3lhalo"}, "model is g3lhalo, not standard"),
        ({"log10M_min": 9.0}, "log10M_min is 9.0, not 10.0"),
    ],
)
def test_emulators_of_different_truths_are_refused_before_one_is_computed(
    monkeypatch, model, tmp_path, choice, message
):
    monkeypatch.setattr("benchmarks.evaluate.true_spectra.generate", None)
    other = Path(shutil.copy(model.path, tmp_path / "other.onnx"))
    rewrite(other, halo_model=model.metadata["halo_model"] | choice)
    message = rf"other.onnx has another halo model than .*emulator.onnx \({message}\); only emul"
    with pytest.raises(ValueError, match=message):
        true_spectra([model, load(other)])


def test_points_are_drawn_in_the_emulators_own_box_and_halo_model(model, serial):
    truth = true_spectra([model], points=20, seed=9)
    assert len(truth.labels) == 20
    assert truth.source["file"] == ""
    assert truth.source["design"] == {"method": "lhs", "points": 20, "seed": 9}
    assert truth.labels.metadata["space"] == model.metadata["parameters"]
    assert truth.labels.metadata["model"] == model.metadata["halo_model"]


def _without_test(model):
    made = dict(model.metadata["provenance"])
    made["training"] = made["training"] | {"split": {"validation": 0.1, "test": 0.0, "seed": 1}}
    rewrite(model.path, provenance=made)
    return load(model.path)
