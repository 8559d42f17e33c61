"""Training: it learns, repeats itself, runs in stages, resumes, and says what is wrong."""

import errno
import json
import os
import re
import shutil
import signal
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from support.searches import PATIENCE, finish, refusal, start, until, workers
from support.small_network import SMALL_SPACE, SMALL_TRAINING

from datagen.space import Space, columns_by_name
from emulator.checkpoint import LAST_CHECKPOINT, CheckpointError, Keeper
from emulator.data import SpectraData
from emulator.emulator import Emulator
from emulator.loop import Hardware, TrainingFailed
from emulator.metrics import REGIMES, accuracy, fractional_error, spectra_accuracy
from emulator.network import NetworkConfig
from emulator.optimizers import MAKERS, OptimizerConfig
from emulator.record import log_line
from emulator.runs import run_lock
from emulator.schedule import ScheduleConfig
from emulator.train import fit, main, make_emulator, threads_for, train
from hodspectra.ending import Interrupted

# The same steps in another order of sums; seeds or shares of the batches that differ cost 0.1.
SAME_STEPS = 1e-3
QUICK = replace(
    SMALL_TRAINING, schedule=ScheduleConfig("stages", max_epochs=(3, 2), patience=(3, 2))
)


@pytest.fixture
def undrawn(monkeypatch):
    """Empty files stand for figures."""

    def save(figure, path):
        for suffix in (".png", ".pdf"):
            path.with_name(path.name + suffix).touch()

    monkeypatch.setattr("emulator.train.save_figure", save)


def history_of(trained):
    """The history of the training of all tests."""
    return json.loads((trained / "history.json").read_text())


def test_it_learns(trained, emulator, spectra):
    history = history_of(trained)
    losses = [epoch["val_loss"] for epoch in history["epochs"]]
    assert history["best_val_loss"] == min(losses)
    assert min(losses) < 0.2 * losses[0]
    P = spectra.select(SMALL_TRAINING.split.rows(len(spectra), "validation"))["gg_total"]
    ignorant = fractional_error(np.exp(np.log(P).mean(axis=0)), P)
    learned = emulator.spec.record["validation"]["gg_total"]["all"]["68"]
    assert learned < 0.5 * np.percentile(ignorant, 68)


def test_same_seed_same_weights(spectra):
    one, two = (fit(spectra, QUICK)[0] for _ in range(2))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_scalings_see_the_training_split_only(spectra):
    emulator = make_emulator(spectra, QUICK)
    data = SpectraData(spectra, QUICK.outputs, QUICK.split, 32)
    data.fit_scalings(emulator)
    train = spectra.select(QUICK.split.rows(len(spectra), "train"))
    mean = emulator.features.standardize.mean.numpy()
    found = dict(zip(emulator.spec.space.free, mean[:-2], strict=True))
    theta = columns_by_name(train.theta, Space().names)
    assert {"h", "Mth"} <= found.keys()
    assert not {"w0", "wa", "z"} & found.keys()  # which are held fixed
    np.testing.assert_allclose(found["h"], theta["h"].mean(), rtol=1e-6)
    np.testing.assert_allclose(found["Mth"], np.log10(theta["Mth"]).mean(), rtol=1e-6)
    np.testing.assert_allclose(
        emulator.targets.mean[0].numpy(), np.log(train["gg_1h"]).mean(axis=0), rtol=1e-5, atol=1e-5
    )


def test_stages_drop_the_rate_after_epochs_or_patience(spectra):
    schedule = ScheduleConfig("stages", max_epochs=(4, 50, 2), patience=(50, 1, 2), min_delta=0.5)
    _, history = fit(spectra, replace(QUICK, schedule=schedule))
    rates = [epoch["lr"] for epoch in history["epochs"]]
    assert [epoch["epoch"] for epoch in history["epochs"]] == list(range(len(rates)))
    np.testing.assert_allclose(rates[3:5], [3e-3, 3e-4])
    assert len(rates) < 56  # patience ended the second stage
    np.testing.assert_allclose(rates[-1], 3e-5)


def test_cosine_warms_up_and_ends_at_zero(spectra):
    schedule = ScheduleConfig("cosine", max_epochs=(10,), patience=(1,), warmup=0.2)
    _, history = fit(spectra, replace(QUICK, schedule=schedule))
    rates = [epoch["lr"] for epoch in history["epochs"]]  # at the end of each epoch
    assert len(rates) == 10
    assert rates[0] == pytest.approx(1.5e-3)
    assert max(rates) == pytest.approx(3e-3)
    assert rates[5] == pytest.approx(3e-3 * 0.5, rel=1e-6)  # half of the way down
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_small_steps_are_not_shared_among_threads(spectra):
    large = replace(
        QUICK, network=NetworkConfig(6, 512), optimizer=OptimizerConfig(batch_size=4096)
    )
    assert threads_for(spectra, QUICK) == 1
    assert threads_for(spectra, large) == min(os.cpu_count(), 35)


def test_work_is_shared_among_stages(spectra):
    """And ends a training after the same steps on any machine."""
    schedule = ScheduleConfig(
        "stages", max_epochs=(10_000, 10_000), patience=(10_000, 10_000), max_tflop=0.01
    )
    _, history = fit(spectra, replace(QUICK, schedule=schedule))
    rates = [round(np.log10(epoch["lr"] / 3e-3)) for epoch in history["epochs"]]
    assert set(rates) == {0, -1}
    assert abs(rates.count(0) - rates.count(-1)) <= 1
    assert history["tflop"] == pytest.approx(0.01, rel=0.02)
    assert history["done"] == 1
    assert not history["capped"]


def test_work_ends_a_cosine_at_rate_zero(spectra):
    schedule = ScheduleConfig("cosine", max_epochs=(10_000,), max_tflop=0.005)
    _, history = fit(spectra, replace(QUICK, schedule=schedule))
    assert history["tflop"] == pytest.approx(0.005, rel=0.02)
    assert history["epochs"][-1]["lr"] == pytest.approx(0, abs=1e-8)


def test_wall_time_is_a_cap_that_is_reported(label_file, tmp_path, capsys, undrawn):
    schedule = ScheduleConfig("cosine", max_epochs=(100_000,), max_minutes=0.01)
    history = train(label_file, tmp_path, replace(QUICK, schedule=schedule))
    assert history["capped"]
    assert history["done"] < 0.5
    printed = capsys.readouterr().out
    assert re.search(r"stopped by schedule.max_minutes with \d+ % of the schedule done", printed)
    assert Emulator.load(tmp_path / "emulator.safetensors").spec.provenance["done"] < 0.5


@pytest.mark.parametrize(
    ("name", "residual"),
    [
        ("SOAP", False), ("adam", True),
        *(pytest.param(name, residual, marks=pytest.mark.slow)
          for name in ("SOAP", "Muon", "adam", "RAdam", "AdamW") for residual in (False, True)
          if (name, residual) not in (("SOAP", False), ("adam", True))),
    ],
)  # fmt: skip
def test_every_optimiser_learns_and_resumes(spectra, tmp_path, name, residual):
    class Stop(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")
                raise KeyboardInterrupt

    lr = {"SOAP": 2e-2, "Muon": 1e-1, "RAdam": 3e-2}.get(name, 1e-2)
    config = replace(
        QUICK,
        network=NetworkConfig(layers=4, units=32, residual=residual),
        optimizer=OptimizerConfig(name, lr=lr, batch_size=32),
        loss="rms",
        weighting=0.5,
        schedule=ScheduleConfig("cosine", max_epochs=(10,)),
    )
    whole, history = fit(spectra, config)
    losses = [epoch["val_loss"] for epoch in history["epochs"]]
    assert min(losses) < 0.5 * losses[0]
    with pytest.raises(SystemExit):
        fit(spectra, config, callbacks=(Stop(),))
    resumed, again = fit(spectra, config, resume=tmp_path / "middle.ckpt")
    assert again["epochs"] == history["epochs"]
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_resumed_training_equals_an_uninterrupted_one(spectra, tmp_path):
    class Stop(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 3:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")
                raise KeyboardInterrupt

    config = replace(QUICK, schedule=ScheduleConfig("stages", max_epochs=(3, 4), patience=(3, 4)))
    _, whole_history = fit(spectra, config)
    with pytest.raises(SystemExit):
        fit(spectra, config, callbacks=(Stop(),))
    _, history = fit(spectra, config, resume=tmp_path / "middle.ckpt")
    assert len(history["epochs"]) == len(whole_history["epochs"]) == 7
    assert history["epochs"][:4] == whole_history["epochs"][:4]
    assert history["best_val_loss"] <= min(e["val_loss"] for e in history["epochs"][:4])


class Poison(Callback):
    """Makes the loss NaN from an epoch on, as a divergence does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                for weights in pl_module.parameters():
                    weights.fill_(torch.nan)


def test_diverging_training_stops_and_keeps_the_best(spectra):
    emulator, history = fit(spectra, QUICK, callbacks=(Poison(2),))
    assert history["diverged"]
    assert len(history["epochs"]) == 3
    assert history["best_val_loss"] == history["epochs"][1]["val_loss"]
    assert all(torch.isfinite(weights).all() for weights in emulator.parameters())


def test_training_that_never_worked_says_what_to_change(spectra):
    with pytest.raises(
        TrainingFailed, match="val_loss was never finite; lower the learning rate from 0.003"
    ):
        fit(spectra, QUICK, callbacks=(Poison(0),))


def test_an_epoch_longer_than_the_time_is_cut_and_validated(spectra):
    schedule = ScheduleConfig("stages", max_epochs=(5,), patience=(5,), max_minutes=1e-6)
    _, history = fit(spectra, replace(QUICK, schedule=schedule))
    assert len(history["epochs"]) == 1
    assert np.isfinite(history["best_val_loss"])


def test_more_points_in_a_batch_than_there_are(spectra):
    with pytest.raises(ValueError, match="320 training points are fewer than batch_size = 321"):
        fit(spectra, replace(QUICK, optimizer=OptimizerConfig("adam", batch_size=321)))


@pytest.fixture
def negative(spectra):
    """Labels with a negative gg 1-halo term in every tenth point, as the g3lhalo model has."""
    labels = spectra.select(np.arange(len(spectra)))
    labels.arrays["gg_1h"] = labels["gg_1h"].copy()
    labels.arrays["gg_1h"][::10, 7] *= -1
    return labels


def test_points_without_a_logarithm_are_refused(negative):
    with pytest.raises(ValueError, match="40 of 400 points, first row 0, have values of gg_1h"):
        fit(negative, QUICK)


def test_points_without_a_logarithm_are_dropped_and_counted(negative):
    emulator, _ = fit(negative, replace(QUICK, negative="drop"))
    points, dropped = (emulator.spec.provenance[name] for name in ("points", "dropped"))
    assert dropped > 0
    assert points["train"] + points["validation"] + dropped == 360  # 40 are for tests
    seen = np.concatenate([QUICK.split.rows(400, part) for part in ("train", "validation")])
    totals = int((negative["gg_total"][seen] <= 0).any(axis=1).sum())  # the 2-halo term saves most
    assert 0 < totals < dropped
    found = dict(emulator.spec.record["dropped"])
    assert found.pop("domain")["outputs"] == ["gg_1h"]  # whose sign the total's follows
    assert found == {
        "points": dropped, "of": 360, "share": dropped / 360,
        "outputs": {"gg_1h": dropped, "gg_total": totals},
    }  # fmt: skip
    assert np.isfinite(emulator.spec.record["standardised"]["train"]["mse"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ScheduleConfig("stages", max_epochs=(1, 2), patience=(1,)),
            "same number of stages",
        ),
        (lambda: ScheduleConfig(factor=0), "factor = 0 must lie in"),
        (lambda: ScheduleConfig(max_minutes=-1), "max_minutes = -1 must be finite, not negative"),
        (lambda: OptimizerConfig("adam", lr=0), "lr = 0 must lie in"),
        (lambda: OptimizerConfig(name="sgd"), "must be one of SOAP, Muon, adam"),
        (lambda: NetworkConfig(layers=0), "layers = 0 must be at least 1"),
        (lambda: NetworkConfig(activation="step"), "must be one of relu, selu"),
        (lambda: NetworkConfig(dropout=1), "dropout = 1 must lie in"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_run_directory_repeats_the_run(label_file, tmp_path, capsys, monkeypatch):
    train(label_file, tmp_path / "one", QUICK, threads=1)
    assert "validation loss" in capsys.readouterr().out
    config = yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())
    config["out"] = str(tmp_path / "two")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr("emulator.train.save_figure", lambda *_: None)  # they take seconds
    main(["--config", str(tmp_path / "again.yaml"), "--threads", "1"])
    one, two = (Emulator.load(tmp_path / run / "emulator.safetensors") for run in ("one", "two"))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert len(json.loads((tmp_path / "one" / "history.json").read_text())["epochs"]) == 5
    for figure in ("history.png", "accuracy.png", "accuracy.pdf"):
        assert (tmp_path / "one" / figure).stat().st_size > 5000
    with pytest.raises(FileExistsError, match="holds a finished training"):
        train(label_file, tmp_path / "one", QUICK)
    with pytest.raises(
        ValueError, match=r"other settings \(train.schedule.max_epochs is \[3, 2\], not \[30, 10\]"
    ):
        train(label_file, tmp_path / "one", SMALL_TRAINING)


def test_unknown_key_is_named(label_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--data", str(label_file), "--out", str(tmp_path), "--train.networks.layers", "3"])
    assert stop.value.code == 2
    assert "networks" in capsys.readouterr().err


def test_errors_are_of_P():
    P_true = np.full((4, 3), 100.0)
    error = fractional_error(P_true * np.array([1.0, 1.01, 0.98]), P_true)
    np.testing.assert_allclose(error[0], [0, 0.01, 0.02], atol=1e-12)
    record = accuracy(error)
    assert record["points"] == 4
    assert record["worst_k"]["50"] == pytest.approx(0.02)


def test_accuracy_by_wavenumber_and_regime(spectra):
    space = make_emulator(spectra, QUICK).spec.space
    P = spectra["gg_1h"].copy()
    P[:, 3] *= 1.01
    sharp = columns_by_name(spectra.theta, Space().names)["sigma"] < 0.1
    P[sharp] *= 2
    record = spectra_accuracy({"gg_1h": P}, spectra, space)["gg_1h"]
    assert record["per_k"]["50"][3] == pytest.approx(0.01, rel=1e-3)
    assert record["per_k"]["50"][4] == 0
    assert record["regimes"]["sigma < 0.1"]["points"] == sharp.sum()
    assert record["regimes"]["sigma < 0.1"]["all"]["50"] == pytest.approx(1)
    assert "Mth < 1e13" in record["regimes"]
    assert set(record["regimes"]) <= set(REGIMES)


def test_record_has_the_published_figures(trained, emulator):
    errors, best = emulator.spec.record["standardised"], history_of(trained)["best_val_loss"]
    assert errors["validation"]["mse"] == pytest.approx(best, rel=1e-4)
    line = log_line(emulator, "2026-01-01_00-00-00")
    assert re.fullmatch(
        r"2026-01-01_00-00-00 test_loss=, validation loss=0\.\d{6}, loss=0\.\d{6}, "
        r"train_mae=0\.\d{6}, val_mae=0\.\d{6}, test_mae=, params={'n_layers': 2, 'n_units': 64, "
        r"'activation': 'swish', 'optimizer': 'adam', 'lr': 0.003, 'batchsize': 32, "
        r"'dropout_rate': 0.0}",
        line,
    )


LONG = replace(QUICK, schedule=ScheduleConfig("stages", max_epochs=(12, 2), patience=(12, 2)))


@pytest.fixture
def interrupted(label_file, tmp_path, monkeypatch):
    """Folder and labels of a training that a signal ended after its first checkpoint."""

    def write(self, trainer, module):
        keep(self, trainer, module)
        if self.path.exists():
            raise Interrupted(signal.SIGTERM)

    data, out, keep = tmp_path / "data.h5", tmp_path / "run", Keeper.on_train_epoch_end
    shutil.copy(label_file, data)
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "on_train_epoch_end", write)
        with pytest.raises(Interrupted):
            train(data, out, LONG, threads=1)
    assert (out / LAST_CHECKPOINT).exists()
    assert not (out / "emulator.safetensors").exists()
    return out, data


def epochs(out):
    """The epochs of a finished training, in a row."""
    history = json.loads((out / "history.json").read_text())["epochs"]
    assert [epoch["epoch"] for epoch in history] == list(range(len(history)))
    return history


def test_a_resume_is_bound_to_the_labels_and_not_to_their_path(interrupted, spectra):
    out, data = interrupted
    before = (out / LAST_CHECKPOINT).read_bytes()
    spectra.select(np.arange(399)).write(data)  # others, under the same name
    with pytest.raises(ValueError, match=r"other settings \(labels is .*\.\.\., not .*\.\.\.\)"):
        train(data, out, LONG, threads=1)
    assert (out / LAST_CHECKPOINT).read_bytes() == before
    (out / "request.json").unlink()  # even so
    (out / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match="a training with other labels, settings or code"):
        train(data, out, LONG, threads=1)


def test_a_resume_is_bound_to_the_code(interrupted, monkeypatch):
    out, data = interrupted
    monkeypatch.setattr("emulator.train.code_hash", lambda _: "another")
    with pytest.raises(ValueError, match=r"other settings \(code is .*\.\.\., not another\)"):
        train(data, out, LONG, threads=1)


def test_a_folder_that_was_moved_goes_on_with_labels_that_were_moved(
    interrupted, tmp_path, undrawn
):
    out, data = interrupted
    out.rename(tmp_path / "moved")
    data.rename(tmp_path / "other.h5")
    train(tmp_path / "other.h5", tmp_path / "moved", LONG, threads=1)
    assert len(epochs(tmp_path / "moved")) == 14
    assert not (tmp_path / "moved" / LAST_CHECKPOINT).exists()
    with pytest.raises(FileExistsError, match="holds a finished training"):
        train(tmp_path / "other.h5", tmp_path / "moved", LONG, threads=1)


@pytest.mark.parametrize("content", [b"", b"half of it", b"\x80\x04\x95pickle"])
def test_a_damaged_checkpoint_is_named_and_the_training_begins_anew(
    interrupted, undrawn, capsys, content
):
    out, data = interrupted
    (out / LAST_CHECKPOINT).write_bytes(content)
    train(data, out, LONG, threads=1)
    assert f"{out / LAST_CHECKPOINT} is damaged (" in capsys.readouterr().out
    assert len(epochs(out)) == 14


@pytest.mark.parametrize("patience", [14, 1])
def test_a_full_disk_at_the_end_costs_nothing_but_the_same_command(
    label_file, tmp_path, monkeypatch, undrawn, patience
):
    """The emulator is the last of the results; what was trained is not trained again."""
    schedule = ScheduleConfig("stages", max_epochs=(14,), patience=(patience,), min_delta=0.5)
    config, out = replace(QUICK, schedule=schedule), tmp_path / "run"

    def full(figure, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("emulator.train.save_figure", full)
        with pytest.raises(OSError, match="No space left"):
            train(label_file, out, config, threads=1)
    assert not (out / "emulator.safetensors").exists()
    first = epochs(out)
    assert train(label_file, out, config, threads=1)["epochs"] == first
    names = {path.name for path in out.iterdir()}
    assert names == {
        "emulator.safetensors", "history.json", "log.txt", "config.yaml", "request.json",
        "tensorboard", "history.png", "history.pdf", "accuracy.png", "accuracy.pdf",
    }  # fmt: skip


def test_what_was_refused_does_not_stand_in_the_way(
    negative, label_file, tmp_path, monkeypatch, undrawn
):
    """Settings that nothing came of are corrected in the same folder."""
    negative.write(tmp_path / "negative.h5")
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="train with --train.negative drop"):
        train(tmp_path / "negative.h5", out, QUICK, threads=1)
    with pytest.raises(ValueError, match="fewer than batch_size = 500"):
        train(label_file, out, replace(QUICK, optimizer=OptimizerConfig("adam", batch_size=500)))
    wild = replace(QUICK, optimizer=OptimizerConfig("AdamW", batch_size=32))
    with monkeypatch.context() as patch:
        patch.setitem(MAKERS, "AdamW", lambda net, _: torch.optim.SGD(net.parameters(), lr=1e30))
        with pytest.raises(TrainingFailed, match="lower the learning rate"):
            train(label_file, out, wild, threads=1)
    train(label_file, out, QUICK, threads=1)
    assert len(epochs(out)) == 5


def test_a_second_training_in_the_same_folder_is_kept_out(label_file, tmp_path):
    with (
        run_lock(tmp_path, "training"),
        pytest.raises(ValueError, match="another training runs in .* process"),
    ):
        train(label_file, tmp_path, QUICK, threads=1)
    assert not (tmp_path / "config.yaml").exists()


class Signal(Callback):
    """Sends this process a signal after an epoch."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_pass_lightning_where_no_command_takes_them(spectra, number):
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = signal.signal(number, handlers[number])  # Ray has one of its own
    try:
        with pytest.raises(Interrupted) as stop:
            fit(spectra, QUICK, callbacks=(Signal(number),))
        assert stop.value.code == 128 + number
        assert signal.getsignal(number) == handlers[number]
    finally:
        signal.signal(number, before)


COMMAND = [
    sys.executable, "-m", "emulator.train", "--hardware.accelerator=cpu", "--threads=1",
    "--train.network.layers=2", "--train.network.units=64", "--train.optimizer.batch_size=32",
    "--train.optimizer.lr=3e-3", "--train.optimizer.name=adam", "--train.loss=mse",
    "--train.weighting=0", "--train.schedule.kind=stages",
]  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_together(label_file, tmp_path):
    """Distributed, on the CPU, by Lightning and by Ray Train; each step sees both's batches."""
    schedule = ["--train.schedule.max_epochs=[10,2]", "--train.schedule.patience=[10,2]",
                "--train.schedule.max_minutes=2"]  # fmt: skip
    losses = {}
    for name, options in {
        "lightning": ["--hardware.devices=2", "--hardware.strategy=ddp"],
        "ray": ["--hardware.workers=2", "--ray.cpus=2"],
    }.items():
        out = tmp_path / name
        run = finish(start([*COMMAND, *schedule, *options, f"--data={label_file}", f"--out={out}"]))
        assert "gg_total" in run
        history = json.loads((out / "history.json").read_text())
        assert len(history["epochs"]) == 12
        assert history["best_val_loss"] < 0.5 * history["epochs"][0]["val_loss"]
        record = Emulator.load(out / "emulator.safetensors").spec.record
        assert record["standardised"]["validation"]["mse"] == pytest.approx(
            history["best_val_loss"], rel=1e-3
        )
        losses[name] = [epoch["val_loss"] for epoch in history["epochs"]]
        assert not (out / ".ray_train").exists()
    assert losses["ray"] == pytest.approx(losses["lightning"], rel=SAME_STEPS)


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_command_go_on(label_file, tmp_path):
    schedule = ["--train.schedule.max_epochs=[100000]", "--train.schedule.patience=[100000]",
                "--train.schedule.max_minutes=0.4"]  # fmt: skip
    command = [*COMMAND, *schedule, "--hardware.workers=2", "--ray.cpus=2",
               f"--data={label_file}", f"--out={tmp_path}"]  # fmt: skip
    last = tmp_path / "last.ckpt"
    run = start(command)
    until(run, last.exists)
    killed = workers(run, "RayTrainWorker")
    assert len(killed) == 2
    os.kill(killed[0], signal.SIGKILL)
    until(run, lambda: len(set(workers(run, "RayTrainWorker")) - set(killed)) == 2)  # all anew
    written = last.stat().st_mtime_ns
    until(run, lambda: last.exists() and last.stat().st_mtime_ns > written)
    run.send_signal(signal.SIGINT)
    assert "interrupted; rerun the command to resume" in run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 130
    finish(start(command))
    epochs = json.loads((tmp_path / "history.json").read_text())["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == list(range(len(epochs)))
    assert not last.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_a_training_with_its_status_and_the_same_command_goes_on(
    label_file, tmp_path, number
):
    out = tmp_path / "run"
    command = [*COMMAND, "--train.schedule.max_epochs=[150]", "--train.schedule.patience=[150]",
               f"--data={label_file}", f"--out={out}"]  # fmt: skip
    run = start(command)
    until(run, (out / LAST_CHECKPOINT).exists)
    second = start(command)
    assert refusal(second, "another training runs in .*: .* is being written by process")
    run.send_signal(number)
    errors = run.communicate(timeout=PATIENCE)[1].splitlines()
    if number == signal.SIGKILL:
        assert run.returncode == -number
    else:
        assert run.returncode == 128 + number
        assert errors[-1] == "python -m emulator.train: interrupted; rerun the command to resume"
    assert not (out / "emulator.safetensors").exists()
    finish(start(command))
    assert len(epochs(out)) == 150


def test_workers_that_cannot_run_are_refused(label_file, tmp_path, monkeypatch):
    monkeypatch.setattr("emulator.workers.ray_session", nullcontext)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
    hardware = Hardware(accelerator="cpu", workers=64)
    with pytest.raises(ValueError, match="workers = 64 take 64 CPUs, but Ray sees 2"):
        train(label_file, tmp_path, QUICK, hardware)


@pytest.mark.slow
def test_what_every_worker_refuses_is_said_once(ray, label_file, tmp_path):
    many = replace(QUICK, optimizer=OptimizerConfig("adam", batch_size=500))
    with pytest.raises(ValueError, match="320 training points are fewer than batch_size = 500"):
        train(label_file, tmp_path, many, Hardware(accelerator="cpu", workers=2))


@pytest.mark.slow
def test_a_compiled_training_is_the_same(spectra, tmp_path):
    eager, plain = fit(spectra, QUICK, hardware=Hardware(accelerator="cpu"))
    emulator, history = fit(spectra, QUICK, hardware=Hardware(accelerator="cpu", compile=True))
    assert history["best_val_loss"] == pytest.approx(plain["best_val_loss"], rel=SAME_STEPS)
    assert emulator.state_dict().keys() == eager.state_dict().keys()
    emulator.save(tmp_path / "e.safetensors")
    loaded = Emulator.load(tmp_path / "e.safetensors")
    theta = torch.tensor(spectra.theta[:5]).float()
    for a, b in zip(emulator(theta), loaded(theta), strict=True):
        assert torch.equal(a, b)


def test_mixed_precision_trains_too(spectra):
    hardware = Hardware(accelerator="cpu", precision="bf16-mixed")
    _, history = fit(spectra, QUICK, hardware=hardware)
    assert history["best_val_loss"] < history["epochs"][0]["val_loss"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devices": 0}, "devices = 0 and num_nodes = 1 must be at least 1"),
        ({"workers": -1}, "workers = -1 must not be negative"),
        ({"workers": 2, "devices": 2}, "leave devices, num_nodes and strategy out"),
    ],
)
def test_bad_hardware_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Hardware(**change)


@pytest.fixture
def further(spectra):
    """Labels of the test split, as if they were of a corner of the box."""
    return spectra.select(QUICK.split.rows(len(spectra), "test"))


def test_further_labels_are_trained_on_and_nothing_else(spectra, further, tmp_path):
    plain, more = (
        SpectraData(spectra, QUICK.outputs, QUICK.split, 32, more=labels)
        for labels in ((), (further, further))
    )
    emulator = make_emulator(spectra, QUICK)
    for data in (plain, more):
        data.fit_scalings(emulator)
        data.prepare(emulator)
    assert len(more.train) == len(plain.train) + 2 * len(further) == 320 + 80
    for ours, theirs in zip(more.validation.tensors, plain.validation.tensors, strict=True):
        assert torch.equal(ours, theirs)  # also in the same scalings
    added = emulator.features(torch.tensor(further.theta)).float()
    torch.testing.assert_close(more.train.tensors[0][-40:], added)
    paths = [tmp_path / "labels.h5", tmp_path / "further.h5"]
    for labels, path in zip((spectra, further), paths, strict=True):
        labels.write(path)
    train(paths[0], tmp_path / "out", QUICK, threads=1, more=[paths[1]])
    found = Emulator.load(tmp_path / "out" / "emulator.safetensors")
    origin = found.spec.provenance["more"][0]
    assert origin["sha256"] == further.hash()
    assert origin["ranges"]["h"]["low"] == SMALL_SPACE.h.low
    assert found.spec.provenance["points"]["train"] == 320
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["more"] == [str(paths[1])]
    with pytest.raises(ValueError, match="holds a run with other settings"):
        train(paths[0], tmp_path / "out", QUICK, threads=1)


def test_further_labels_must_fit(spectra, further):
    other = replace(further, metadata=further.metadata | {"model": {"model": "g3lhalo"}})
    with pytest.raises(ValueError, match="further labels are of another halo model"):
        fit(spectra, QUICK, more=[other])
    names = further.metadata["space"]
    other = further.select(np.arange(5))
    other.metadata = further.metadata | {"space": dict(list(names.items())[::-1])}
    with pytest.raises(ValueError, match="further labels have other parameters"):
        fit(spectra, QUICK, more=[other])
    far = further.select(np.arange(5))
    far.theta[2, Space().names.index("h")] = 0.9
    with pytest.raises(ValueError, match=r"row 2: h = 0.9 is outside"):
        fit(spectra, QUICK, more=[far])
