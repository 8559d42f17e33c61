"""Learning curves: the plan changes one thing at a time, and a small one runs."""

import json
from dataclasses import replace

import pytest
from conftest import SMALL_MODEL, SMALL_SPACE

from benchmarks.averaging import averaging
from benchmarks.learning import Plan, learning, render
from datagen.design import Design
from datagen.generate import generate
from datagen.store import Spectra
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import SemiAnalyticConfig
from emulator.semianalytic.fit import FitConfig

SMALL = Plan(
    points=(200, 400),
    units=(8, 16),
    schedules=("cosine", "stages"),
    batch_size=32,
    layers=1,
    minutes=0.02,
    semianalytic=(SemiAnalyticConfig(cosmology=CosmologyConfig(units=20, rank=8)),),
    semianalytic_fit=FitConfig(cosmologies=200, iterations=2),
)


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
    assert json.loads((tmp_path / "learning.json").read_text())["semianalytic"][0]["weights"] > 0
    assert render(result) in capsys.readouterr().out
    assert (tmp_path / "learning.png").exists()


def test_test_labels_must_be_others(label_file, tmp_path):
    with pytest.raises(ValueError, match=r"shares points with .*; draw it with another design"):
        learning(label_file, label_file, tmp_path, SMALL)


def test_test_labels_are_of_the_same_box(label_file, test_labels, tmp_path):
    other = Spectra.read(test_labels)
    other.metadata["model"] |= {"log10M_min": 11.0}
    other.write(tmp_path / "other.h5")
    message = (
        r"is not of the box and halo model of .*labels.h5 .model.log10M_min is 11.0, not 10.0."
    )
    with pytest.raises(ValueError, match=message):
        learning(label_file, tmp_path / "other.h5", tmp_path, SMALL)


def test_labels_without_a_semi_analytic_emulator_are_refused_before_anything_is_trained(
    label_file, test_labels, tmp_path
):
    labels = Spectra.read(label_file)
    labels.metadata["model"] |= {"model": "g3lhalo"}
    labels.write(tmp_path / "g3lhalo.h5")
    for command in (
        lambda data: learning(data, test_labels, tmp_path / "out", SMALL),
        lambda data: averaging(data, tmp_path / "out"),
    ):
        with pytest.raises(ValueError, match="model = 'g3lhalo': .* needs model: standard"):
            command(tmp_path / "g3lhalo.h5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": ()}, r"plan.points = \[\] must be numbers of 2 or more"),
        ({"units": (0,)}, r"plan.units = \[0\] must be numbers of 2 or more"),
        ({"semianalytic": ()}, "schedules and semianalytic must each have one entry"),
        ({"schedules": ("often",)}, "kind = 'often' must be"),
        ({"minutes": -1.0}, "max_minutes = -1"),
        ({"layers": 0}, "layers = 0"),
        ({"lr": -1.0}, "lr = -1"),
    ],
)
def test_plans_that_cannot_be_done_are_refused_at_once(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_too_few_labels(label_file, test_labels, tmp_path):
    with pytest.raises(ValueError, match="has 400 points, the plan needs 500"):
        learning(label_file, test_labels, tmp_path, replace(SMALL, points=(500,)))
