"""Fine-tuning: on the worst points, judged by the tail, and never for the worse."""

import errno
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.small_network import SMALL_TRAINING

from emulator.checkpoint import LAST_CHECKPOINT, Keeper
from emulator.emulator import Emulator
from emulator.finetune import FinetuneConfig, WorstPoints, finetune, tail
from emulator.metrics import fractional_error
from emulator.optimizers import OptimizerConfig
from emulator.record import predict
from emulator.runs import run_lock
from hodspectra.ending import Interrupted

BRIEF = FinetuneConfig(
    N_bad=64, optimizer=OptimizerConfig("adam", lr=1e-4, batch_size=16), epochs=3, patience=3
)


@pytest.fixture
def points(emulator, spectra) -> WorstPoints:
    return WorstPoints(
        emulator, 64, spectra=spectra, outputs=emulator.spec.outputs, split=SMALL_TRAINING.split,
        batch_size=16,
    )  # fmt: skip


def test_the_worst_points_are_chosen(points, emulator):
    train = points.train_spectra
    worst = np.max(
        [
            fractional_error(P, train[n]).max(axis=1)
            for n, P in predict(emulator, train.theta).items()
        ],
        axis=0,
    )
    expected = emulator.features(torch.tensor(train.theta[np.argsort(worst)[-64:]])).float()
    features = torch.cat([x for x, _ in points.train_dataloader()])
    assert features.shape == expected.shape
    torch.testing.assert_close(features.sum(dim=0), expected.sum(dim=0), rtol=1e-4, atol=1e-3)


def test_tail_is_the_quantile_of_the_errors_of_P(points, emulator):
    truth = points.validation_spectra
    errors = [fractional_error(P, truth[n]) for n, P in predict(emulator, truth.theta).items()]
    assert tail(emulator, points) == pytest.approx(np.quantile(errors, 0.99), rel=0.02)


def test_it_keeps_the_better_of_both(emulator, points, label_file, tmp_path, capsys):
    before = tail(emulator, points)
    helped = finetune(tmp_path / "emulator.safetensors", label_file, tmp_path / "tuned", BRIEF)
    tuned = Emulator.load(tmp_path / "tuned" / "emulator.safetensors")
    assert tail(tuned, points) <= before
    assert helped == (tail(tuned, points) < before)
    assert "kept" in capsys.readouterr().out
    if helped:
        assert tuned.spec.provenance["training"]["finetune"]["N_bad"] == 64


def test_a_harmful_one_is_not_kept(emulator, spectra, label_file, tmp_path):
    wild = replace(BRIEF, optimizer=OptimizerConfig("adam", lr=0.03, batch_size=16))
    assert not finetune(tmp_path / "emulator.safetensors", label_file, tmp_path / "tuned", wild)
    kept = Emulator.load(tmp_path / "tuned" / "emulator.safetensors")
    for name, P in predict(emulator, spectra.theta).items():
        np.testing.assert_array_equal(predict(kept, spectra.theta)[name], P)


def test_other_labels_are_refused(emulator, spectra, tmp_path):
    other = spectra.select(np.arange(399))
    other.write(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="its test split would be trained on"):
        finetune(tmp_path / "emulator.safetensors", tmp_path / "other.h5", tmp_path / "out", BRIEF)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"N_bad": 10}, "N_bad = 10 must not be smaller than optimizer.batch_size = 16"),
        ({"epochs": 0}, "at least 1"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(BRIEF, **change)


def test_more_bad_points_than_there_are(emulator, label_file, tmp_path):
    many = replace(BRIEF, N_bad=1000)
    with pytest.raises(ValueError, match="N_bad = 1000 is more than the 320 training points"):
        finetune(tmp_path / "emulator.safetensors", label_file, tmp_path / "out", many)


LONG = replace(BRIEF, epochs=12, patience=12)


@pytest.fixture
def interrupted(emulator, label_file, tmp_path, monkeypatch):
    """Start emulator and folder of a fine-tuning that a signal ended after its first checkpoint."""

    def write(self, trainer, module):
        keep(self, trainer, module)
        if self.path.exists():
            raise Interrupted(signal.SIGTERM)

    keep = Keeper.on_train_epoch_end
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "on_train_epoch_end", write)
        with pytest.raises(Interrupted):
            finetune(tmp_path / "emulator.safetensors", label_file, tmp_path / "tuned", LONG)
    assert (tmp_path / "tuned" / LAST_CHECKPOINT).exists()
    return tmp_path / "emulator.safetensors", tmp_path / "tuned"


def test_a_resume_is_bound_to_the_start_emulator_and_not_to_its_path(
    interrupted, emulator, label_file
):
    start, out = interrupted
    shutil.copy(start, start.with_name("kept.safetensors"))
    with torch.no_grad():
        emulator.network[0].weight += 0.01
    emulator.save(start)  # another one, under the same name
    with pytest.raises(ValueError, match=r"other settings \(emulator is .*\.\.\., not .*\.\.\.\)"):
        finetune(start, label_file, out, LONG)
    start.with_name("kept.safetensors").rename(start.with_name("renamed.safetensors"))
    out.rename(out.with_name("moved"))
    finetune(start.with_name("renamed.safetensors"), label_file, out.with_name("moved"), LONG)
    history = json.loads((out.with_name("moved") / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == list(range(12))
    assert not (out.with_name("moved") / LAST_CHECKPOINT).exists()


def test_what_fails_at_its_end_is_completed_and_then_not_done_again(
    emulator, label_file, tmp_path, monkeypatch
):
    """The emulator is the last of the results."""
    start, out = tmp_path / "emulator.safetensors", tmp_path / "tuned"

    def full(self, path: Path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Emulator, "save", full)
        with pytest.raises(OSError, match="No space left"):
            finetune(start, label_file, out, BRIEF)
    before = (out / "history.json").read_text()
    finetune(start, label_file, out, BRIEF)
    assert (out / "history.json").read_text() == before  # from the checkpoint of the last epoch
    assert not (out / LAST_CHECKPOINT).exists()
    with pytest.raises(FileExistsError, match="holds a finished fine-tuning"):
        finetune(start, label_file, out, BRIEF)


def test_a_second_one_in_the_same_folder_is_kept_out(emulator, label_file, tmp_path):
    out = tmp_path / "tuned"
    with (
        run_lock(out, "fine-tuning"),
        pytest.raises(ValueError, match="another fine-tuning runs in .*tuned"),
    ):
        finetune(tmp_path / "emulator.safetensors", label_file, out, BRIEF)


def test_a_file_of_another_kind_is_named(label_file, tmp_path):
    (tmp_path / "e.onnx").write_bytes(b"\x08\x0a")
    with pytest.raises(ValueError, match="e.onnx is an ONNX file; give the emulator.safetensors"):
        finetune(tmp_path / "e.onnx", label_file, tmp_path / "out", BRIEF)


def test_what_was_not_trained_on_labels_is_refused(emulator, label_file, small_file, tmp_path):
    fitted = Emulator.load(small_file.with_suffix(".safetensors"))
    for name, one, message in (
        ("fitted", fitted, "is a semianalytic emulator, which is not trained on"),
        ("bare", emulator.update_spec(provenance={}), "does not say what it was trained on"),
    ):
        one.save(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name} {message}"):
            finetune(tmp_path / name, label_file, tmp_path / "out", BRIEF)
    assert not (tmp_path / "out").exists()
