"""Averages: of weights over the steps of a training, of the predictions of several emulators."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.averaging import Plan, WeightAverage, averaging, render
from datagen.splits import Split
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.metrics import fractional_error
from emulator.network import NetworkConfig
from emulator.optimizers import OptimizerConfig
from emulator.record import predict
from emulator.schedule import ScheduleConfig
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import SemiAnalyticConfig
from emulator.train import TrainConfig, fit

SMALL = Plan(
    schedules=("cosine",),
    network=NetworkConfig(layers=1, units=8),
    optimizer=OptimizerConfig("adam", batch_size=32),
    minutes=0.02,
    semianalytic=SemiAnalyticConfig(cosmology=CosmologyConfig(units=20, rank=8)),
)


def test_a_small_plan(ray, label_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.timing.ROUND_SECONDS", 0.01)
    monkeypatch.setattr("benchmarks.averaging._SHORT", {"cosmologies": 200, "iterations": 2})
    result = averaging(label_file, tmp_path, SMALL)
    kinds = [(row["of"], row["kind"]) for row in result["rows"]]
    assert kinds == [
        ("1 x 8, cosine", "one network"),
        ("1 x 8, cosine", "one network, weights averaged over steps"),
        ("1 x 8, cosine", "mean of 2 networks"),
        ("semi-analytic, 20 units", "one"),
        ("semi-analytic, 20 units", "mean of 2"),
        ("semi-analytic, 40 units", "one"),
    ]
    assert json.loads((tmp_path / "averaging.json").read_text())["points"] == 20
    assert render(result) in capsys.readouterr().out

    # an ensemble is the mean of ln P, and takes the time of its members
    labels = Spectra.read(label_file)
    labels = labels.select(Split(validation=0.05, test=0.0).rows(len(labels), "validation"))
    members = [Emulator.load(tmp_path / f"cosine-{seed}.safetensors") for seed in (1, 2)]
    ln_P = np.mean([np.log(predict(one, labels.theta)["gg_total"]) for one in members], axis=0)
    error = np.percentile(fractional_error(np.exp(ln_P), labels["gg_total"]), 95)
    one, _, both = result["rows"][:3]
    assert both["errors"]["95"] == pytest.approx(error, rel=1e-3)
    assert both["microseconds"] == pytest.approx(2 * one["microseconds"])


def test_weights_are_averaged_over_the_steps(spectra):
    schedule = ScheduleConfig("stages", max_epochs=(3,), patience=(3,))
    config = TrainConfig(network=NetworkConfig(layers=1, units=4), schedule=schedule)
    frozen, last = WeightAverage(decay=1.0), WeightAverage(decay=0.0)
    emulator, history = fit(spectra, config, callbacks=(frozen, last))
    assert history["best_epoch"] == 2  # the last epoch, so that its weights are those that count
    trained, started = emulator.state_dict(), frozen.averaged.module.state_dict()
    for name, weights in last.averaged.module.state_dict().items():
        torch.testing.assert_close(weights, trained[name])
    assert any(not torch.equal(started[name], trained[name]) for name in trained)


def test_an_ensemble_of_one_is_refused():
    with pytest.raises(ValueError, match="seeds = .1. must be two or more"):
        replace(SMALL, seeds=(1,))
