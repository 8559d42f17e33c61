"""Learning curves: the plan changes one thing at a time, and a small one runs."""

import json
from dataclasses import replace

import pytest
from conftest import SMALL_MODEL, SMALL_SPACE

from benchmarks.learning import Plan, learning, render
from datagen.design import Design
from datagen.generate import generate
from emulator.closed import ClosedConfig

SMALL = Plan(points=(200, 400), units=(8, 16), schedules=("cosine", "stages"), batch_size=32,
             layers=1, minutes=0.02, closed=(ClosedConfig(units=20, rank=8),))  # fmt: skip


def test_one_thing_changes_at_a_time():
    runs = Plan().runs()
    base = {"points": 200_000, "units": 256, "schedule": "cosine"}
    assert base in runs
    assert len(runs) == 7
    assert all(sum(run[name] != base[name] for name in base) <= 1 for run in runs)


@pytest.fixture(scope="module")
def test_labels(ray, label_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("test") / "labels.h5"
    return generate(out, Design(points=30, seed=2), SMALL_SPACE, SMALL_MODEL)


def test_a_small_plan(ray, label_file, test_labels, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.timing.ROUND_SECONDS", 0.01)
    result = learning(label_file, test_labels, tmp_path, SMALL)
    assert len(result["networks"]) == 4
    assert all(one["test"]["gg_total"]["points"] == 30 for one in result["networks"])
    assert json.loads((tmp_path / "learning.json").read_text())["closed"][0]["weights"] > 0
    assert render(result) in capsys.readouterr().out
    assert (tmp_path / "learning.png").exists()


def test_test_labels_must_be_others(label_file, tmp_path):
    with pytest.raises(ValueError, match=r"shares points with .*; draw it with another design"):
        learning(label_file, label_file, tmp_path, SMALL)


def test_too_few_labels(label_file, test_labels, tmp_path):
    with pytest.raises(ValueError, match="has 400 points, the plan needs 500"):
        learning(label_file, test_labels, tmp_path, replace(SMALL, points=(500,)))
