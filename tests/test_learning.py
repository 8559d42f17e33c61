"""Learning curves: the plan changes one thing at a time, and a small one runs."""

import json
from dataclasses import replace

import pytest
from support.small_network import SMALL_MODEL, SMALL_SPACE, SMALL_TRAINING

from benchmarks.studies.learning import PUBLISHED, STUDY, Plan, learning, render
from datagen.design import Design
from datagen.generate import generate
from datagen.store import Spectra
from emulator.network import NetworkConfig
from emulator.optimizers import OptimizerConfig
from emulator.schedule import FinishConfig

SMALL = Plan(
    points=(200, 400),
    sizes=((1, 8),),
    tflop=0.002,
    components=(4,),
    finish=FinishConfig(evaluations=3, points=100),
    base=replace(
        SMALL_TRAINING,
        network=NetworkConfig(layers=2, units=16),
        optimizer=OptimizerConfig("SOAP", batch_size=32),
        weighting=0.5,
    ),
)


def test_one_thing_changes_at_a_time():
    runs = Plan().runs()
    base = runs[2]["config"].as_dict()
    assert [run["points"] for run in runs[:3]] == [20_000, 50_000, 200_000]
    for run in runs[3:]:
        config = run["config"].as_dict()
        changed = [name for name in base if config[name] != base[name]]
        assert len(changed) == (4 if run["name"] == PUBLISHED else 1), run["name"]
        assert config["schedule"]["max_tflop"] == 3


@pytest.fixture(scope="module")
def test_labels(serial, label_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("test") / "labels.h5"
    return generate(out, Design(points=30, seed=2), SMALL_SPACE, SMALL_MODEL)


@pytest.mark.slow
def test_a_small_plan(ray, label_file, test_labels, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.codes.timing.ROUND_SECONDS", 0.01)
    result = STUDY.run(tmp_path, data=label_file, test=test_labels, plan=SMALL)
    assert len(result["networks"]) == 2 + 10 + 1 + 1
    assert all(one["test"]["gg_total"]["points"] == 30 for one in result["networks"])
    assert json.loads((tmp_path / "learning.json").read_text())["semianalytic"]["name"]
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": ()}, r"plan.points = \[\] must be numbers of 2 or more"),
        ({"sizes": ((4, 0),)}, "network.units = 0 must be"),
        ({"tflop": -1.0}, "max_tflop = -1"),
    ],
)
def test_plans_that_cannot_be_done_are_refused_at_once(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_too_few_labels(label_file, test_labels, tmp_path):
    with pytest.raises(ValueError, match="has 400 points, the plan needs 500"):
        learning(label_file, test_labels, tmp_path, replace(SMALL, points=(500,)))
