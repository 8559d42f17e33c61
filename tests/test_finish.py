"""The end of a training: L-BFGS, which cannot make it worse, and steps in float64."""

import signal
from dataclasses import replace

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from support.small_network import SMALL_TRAINING

from emulator.checkpoint import LAST_CHECKPOINT
from emulator.emulator import Emulator
from emulator.finish import validation_mse
from emulator.loop import Hardware
from emulator.schedule import FinishConfig, ScheduleConfig
from emulator.train import fit, train
from hodspectra.ending import Interrupted

BRIEF = ScheduleConfig("cosine", max_epochs=(4,))
LINE_SEARCH = 0.05  # the last one may take an evaluation or two of 20 more, of half of the work
LONG = FinishConfig(evaluations=100, points=0)
NONE = FinishConfig()


def ending_with(finish=NONE, **schedule):
    return replace(SMALL_TRAINING, schedule=replace(BRIEF, finish=finish, **schedule))


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@pytest.mark.parametrize(
    ("precision", "loss"),
    [
        ("float32", "mse"),
        ("float64", "rms"),
        pytest.param("float32", "rms", marks=pytest.mark.slow),
        pytest.param("float64", "mse", marks=pytest.mark.slow),
    ],
)
def test_a_finish_lowers_both_losses(spectra, precision, loss):
    finish = replace(LONG, precision=precision)
    emulator, history = fit(spectra, replace(ending_with(finish), loss=loss))
    found = history["finish"]
    minimised = [one["train_loss"] for one in found["losses"]]
    assert minimised[-1] < 0.8 * minimised[0]
    assert found["best"] < 0.8 * found["before"]
    assert found["before"] == pytest.approx(min(e["val_loss"] for e in history["epochs"]), rel=1e-5)
    assert found["evaluations"] == 100
    assert history["best_val_loss"] == found["best"]
    errors = emulator.spec.record["standardised"]["validation"]
    assert errors["mse"] == pytest.approx(found["best"], rel=1e-3)  # of the weights that are kept
    assert emulator.spec.provenance["finish"]["best"] == found["best"]
    assert {one.dtype for one in emulator.parameters()} == {torch.float32}


def test_a_finish_that_makes_it_worse_is_not_kept(
    spectra, label_file, tmp_path, monkeypatch, capsys
):
    """It learns two points by heart."""
    monkeypatch.setattr("emulator.train.save_figure", lambda *_: None)  # they take seconds
    config = ending_with(FinishConfig(evaluations=60, points=2), max_epochs=(30,))
    without, _ = fit(spectra, ending_with(max_epochs=(30,)))
    history = train(label_file, tmp_path, config, threads=1)
    losses = history["finish"]["losses"]
    assert losses[-1]["train_loss"] < 0.01 * losses[0]["train_loss"]
    assert losses[-1]["val_loss"] > history["finish"]["before"]
    assert history["finish"]["best_round"] == -1
    assert "the finish did not lower the validation loss" in capsys.readouterr().out
    assert same(Emulator.load(tmp_path / "emulator.safetensors"), without)


def test_a_training_that_is_killed_in_its_finish_goes_on_there(
    spectra, label_file, tmp_path, monkeypatch
):
    monkeypatch.setattr("emulator.train.save_figure", lambda *_: None)
    monkeypatch.setattr("emulator.finish._SECONDS", 0.0)
    monkeypatch.setattr("emulator.finish._SHARE", 1e9)
    whole, _ = fit(spectra, ending_with(LONG))
    look, out, rounds = validation_mse, tmp_path / "run", []

    def killed(module, data):
        rounds.append(1)
        if len(rounds) == 4:  # the first is before the finish
            raise Interrupted(signal.SIGTERM)
        return look(module, data)

    with monkeypatch.context() as patch:
        patch.setattr("emulator.finish.validation_mse", killed)
        with pytest.raises(Interrupted):
            train(label_file, out, ending_with(LONG), threads=1)
        assert (out / LAST_CHECKPOINT).exists()
        history = train(label_file, out, ending_with(LONG), threads=1)
    assert len(rounds) == 4 + 3  # two rounds lay in the checkpoint
    assert history["finish"]["evaluations"] == 100
    assert same(Emulator.load(out / "emulator.safetensors"), whole)
    assert not (out / LAST_CHECKPOINT).exists()


def test_a_finish_is_part_of_the_work(spectra):
    finish = FinishConfig(evaluations=20, points=200, precision="float32")
    schedule = {"max_epochs": (10_000,), "max_tflop": 0.01}
    _, without = fit(spectra, ending_with(**schedule))
    _, single = fit(spectra, ending_with(finish, **schedule))
    _, double = fit(spectra, ending_with(replace(finish, precision="float64"), **schedule))
    for history in (without, single, double):
        assert history["tflop"] == pytest.approx(0.01, rel=LINE_SEARCH)
    saved = without["steps"] - single["steps"]
    assert saved > 10
    assert without["steps"] - double["steps"] == pytest.approx(2 * saved, abs=2)


def test_a_finish_must_leave_work_for_the_training(spectra):
    large = ending_with(FinishConfig(evaluations=100_000), max_tflop=0.01)
    with pytest.raises(ValueError, match=r"schedule.finish takes .* lower finish.evaluations"):
        fit(spectra, large)


def test_wall_time_ends_a_finish(spectra):
    endless = FinishConfig(evaluations=10**9)
    _, history = fit(spectra, ending_with(endless, max_minutes=0.03))
    assert 0 < history["finish"]["evaluations"] < 10**9


class Watch(Callback):
    """Notes the precision of each epoch's end, and stops after some."""

    def __init__(self, checkpoint=None, last=-1):
        self.checkpoint, self.last, self.precisions = checkpoint, last, []

    def on_train_epoch_end(self, trainer, pl_module):
        self.precisions.append(pl_module.dtype)
        if trainer.current_epoch == self.last:
            trainer.save_checkpoint(self.checkpoint)
            raise KeyboardInterrupt


@pytest.mark.parametrize(("name", "last"), [("adam", 1), ("SOAP", 7)])  # in float32, in float64
def test_the_end_of_a_training_is_in_float64_and_resumes(spectra, tmp_path, name, last):
    config = ending_with(float64=0.5, max_epochs=(12,))
    config = replace(config, optimizer=replace(config.optimizer, name=name))
    watch = Watch()
    whole, history = fit(spectra, config, callbacks=(watch,))
    # a step in float64 takes up as much as two: six epochs, then three
    assert watch.precisions == [torch.float32] * 6 + [torch.float64] * 3
    assert {one.dtype for one in whole.state_dict().values()} == {torch.float32}
    with pytest.raises(SystemExit):
        fit(spectra, config, callbacks=(Watch(tmp_path / "middle.ckpt", last),))
    resumed, again = fit(spectra, config, resume=tmp_path / "middle.ckpt")
    assert again["epochs"] == history["epochs"]
    assert same(resumed, whole)


@pytest.mark.parametrize("hardware", [Hardware(precision="bf16-mixed"), Hardware(devices=2)])
def test_float64_is_for_one_process_in_full_precision(spectra, hardware):
    with pytest.raises(ValueError, match=r"schedule.float64 = 0.5 needs one process, with"):
        fit(spectra, ending_with(float64=0.5), hardware=hardware)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FinishConfig(evaluations=-1), "finish.evaluations = -1 must be at least 0"),
        (lambda: FinishConfig(memory=0), "finish.memory = 0 must be at least 1"),
        (lambda: FinishConfig(precision="float16"), "must be one of float32, float64"),
        (lambda: ScheduleConfig(float64=1.5), "schedule.float64 = 1.5 must lie in"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
