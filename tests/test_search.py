"""The search: its spaces, a real small one, what it leaves, its resume, and its failures."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from support.searches import BRIEF, SPACE

from datagen.fields import from_record
from datagen.parallel import RayConfig
from emulator.emulator import Emulator
from emulator.finetune import FinetuneConfig
from emulator.record import validation_loss
from emulator.train import EMULATOR_FILE, TrainConfig, fit
from tuning.journal import Journal
from tuning.report import report
from tuning.search import search
from tuning.space import FinetuneSpace, SearchSpace
from tuning.study import Budget
from tuning.task import NetworkTask, quality


def test_published_spaces_are_there():
    path = Path(__file__).parent.parent / "configs/published/search.yaml"
    space = from_record(SearchSpace, yaml.safe_load(path.read_text())["space"], "space")
    tuning = FinetuneSpace()
    assert (space.layers, space.units, space.batch_size) == ((1, 20), (16, 2048), (16, 2048))
    assert len(space.activation) == 8
    assert (tuning.lr, tuning.epochs) == ((1e-6, 1e-4), (100, 20000))
    assert tuning.of(320).N_bad == (10, 320)


@pytest.mark.parametrize(
    ("space", "change", "message"),
    [
        (SearchSpace, {"layers": (3, 2)}, "space.layers = .3, 2. is reversed"),
        (SearchSpace, {"activation": ()}, "space.activation is empty"),
        (SearchSpace, {"activation": ("gelu", "gelu")}, "activation = .* names a choice twice"),
        (SearchSpace, {"activation": ("gelu", "step", "tanh")}, "activation = 'step' must be one"),
        (SearchSpace, {"layers": (0, 2)}, "layers = 0 must be at least 1"),
        (SearchSpace, {"dropout": (0.0, 1.0)}, "dropout = 1 must lie in"),
        (SearchSpace, {"lr": (0.0, 1e-2)}, "lr = 0 must lie in"),
        (SearchSpace, {"lr": (1e-5, float("nan"))}, "space.lr = .* must be finite"),
        (FinetuneSpace, {"lr": (0.0, 1e-4)}, "space.lr = .0.0, 0.0001. must be positive"),
        (FinetuneSpace, {"N_bad": (10, 5)}, "space.N_bad = .10, 5. is reversed"),
        (FinetuneSpace, {"epochs": (100, 10)}, "space.epochs = .100, 10. is reversed"),
    ],
)
def test_bad_spaces_are_refused(space, change, message):
    with pytest.raises(ValueError, match=message):
        space(**change)


def test_more_worst_points_than_there_are():
    with pytest.raises(ValueError, match="N_bad = .10, 500. reaches beyond the 320"):
        FinetuneSpace(N_bad=(10, 500)).of(320)


def draws(space, number=200):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [study.ask(space.distributions()).params for _ in range(number)]


def test_every_draw_lies_in_the_space_and_sets_the_training():
    for point in draws(SPACE):
        assert SPACE.contains(point)
        config = SPACE.apply(point, BRIEF)
        assert 1 <= config.network.layers <= 2
        assert 8 <= config.network.units <= 32
        assert config.network.activation in SPACE.activation
        assert 16 <= config.optimizer.batch_size <= 64
        assert config.network.dropout == 0
        assert config.schedule == BRIEF.schedule
    assert not SPACE.contains(point | {"units": 33})
    assert not SPACE.contains(point | {"activation": "relu"})


def test_components_are_a_choice_that_is_checked_against_the_labels(spectra):
    space = replace(SPACE, components=(0, 8))
    assert {space.apply(point, BRIEF).network.components for point in draws(space)} == {0, 8}
    assert NetworkTask(spectra, BRIEF, space).space == space
    values = 2 * len(spectra.k)
    with pytest.raises(ValueError, match=f"components = {values + 1} must be at most .* {values};"):
        NetworkTask(spectra, BRIEF, replace(SPACE, components=(values + 1,)))


def test_no_dropout_at_all_is_among_the_draws():
    space = SearchSpace(dropout=(0.0, 0.07))
    values = sorted({point["dropout"] for point in draws(space)})
    assert values == pytest.approx([0.007 * i for i in range(11)])
    point = draws(space, 1)[0]
    assert space.contains(point | {"dropout": 0.0})
    assert not space.contains(point | {"dropout": 0.001})


def test_every_draw_of_a_fine_tuning_is_one():
    space = FinetuneSpace().of(320)
    sizes = set()
    for point in draws(space):
        config = space.apply(point, FinetuneConfig())
        assert config.optimizer.batch_size == min(point["batch_size"], point["N_bad"])
        sizes.add(point["batch_size"] > point["N_bad"])
    assert sizes == {True, False}


def test_quality_is_that_of_the_record(spectra, emulator):
    task = NetworkTask(spectra, BRIEF, SPACE)
    found = quality(emulator, task.data(emulator))
    record = emulator.spec.record["validation"]
    for name in ("95", "99"):
        worst = max(entry["all"][name] for entry in record.values())
        assert found[f"p{name}"] == pytest.approx(worst, rel=0.05)  # another rule between ranks
    assert found["val_loss"] > 0


def test_search_finds_trains_and_writes_the_best(ray, label_file, tmp_path, monkeypatch, capsys):
    out = tmp_path / "search"
    command = {"data": label_file, "out": out, "train": BRIEF, "space": SPACE,
               "final": BRIEF.schedule, "ray": RayConfig(cpus=1)}  # fmt: skip
    monkeypatch.setattr("emulator.train.save_figure", lambda *_: None)  # they take seconds
    one_by_one = Budget(2, at_once=1, scheduler="none")  # in one process, which takes seconds
    best = search(**command, budget=one_by_one)
    table = pd.read_csv(out / "trials.csv", dtype={"trial": str})
    assert list(table["state"]) == ["finished"] * 2
    assert table["val_loss"].is_monotonic_increasing
    config = yaml.safe_load((out / "best.yaml").read_text())["train"]
    assert config["network"]["units"] == table["units"][0]
    assert config["optimizer"]["batch_size"] == table["batch_size"][0]
    first = out / "final" / table["trial"][0] / EMULATOR_FILE
    losses = [validation_loss(first), table["val_loss"][0]]
    emulator = Emulator.load(best)
    assert emulator.spec.network.units == table["units"][0]
    task = NetworkTask(emulator_spectra(label_file), BRIEF, SPACE)
    assert quality(emulator, task.data(emulator))["val_loss"] <= max(losses) * 1.001
    # the table, the format of NNPowerspectra, the histories and the curves tell of the same trials
    lines = (out / "trials.txt").read_text().splitlines()
    assert len(lines) == 2
    assert all("test_loss=," in line and "test_mae=," in line for line in lines)
    for trial in Journal(out).trials():
        history = json.loads((trial.folder / "history.json").read_text())
        assert len(history["epochs"]) == trial.report["epochs"] == 4
        assert history["epochs"][-1]["val_loss"] >= trial.report["val_loss"] * 0.999
        assert scalars(trial.folder)["val_loss"] == list(range(4))
        assert f"'n_units': {trial.point['units']}" in lines[int(trial.name) - 1]
    assert "[2/2, 0:0" in capsys.readouterr().out
    # trials and the final training count epochs; hyperparameters and objectives stand beside
    assert scalars(first.parent / "tensorboard")["val_loss"] == list(range(4))
    assert "best p95 [%]" in scalars(trial.folder)
    for name in ("progress", "corner", "parallel"):
        for suffix in (".png", ".pdf"):
            assert (out / "figures" / (name + suffix)).stat().st_size > 10_000
    # the same command finds all done, and does nothing again
    monkeypatch.setattr("tuning.command.report", lambda _: None)
    before = first.stat().st_mtime_ns
    search(**command, budget=one_by_one)
    assert "trial 0" not in capsys.readouterr().out.split("emulator.safetensors")[0]
    assert first.stat().st_mtime_ns == before
    # another request is refused and changes nothing
    with pytest.raises(ValueError, match="other settings .space.units is .8, 32., not .8, 64."):
        search(
            **command | {"space": replace(SPACE, units=(8, 64))},
            budget=replace(one_by_one, trials=3),
        )
    assert len(Journal(out).trials()) == 2


@pytest.mark.slow  # test_search_kills.py has proposals and schedulers that go on
def test_a_larger_budget_goes_on(ray, label_file, tmp_path, monkeypatch):
    monkeypatch.setattr("tuning.command.report", lambda _: None)
    command = {"train": BRIEF, "space": SPACE, "final": BRIEF.schedule, "ray": RayConfig(cpus=1)}
    search(label_file, tmp_path, budget=Budget(1, scheduler="none"), **command)
    (first,) = Journal(tmp_path).trials()
    search(label_file, tmp_path, budget=Budget(2, scheduler="none"), **command)
    trials = Journal(tmp_path).trials()
    assert [trial.state for trial in trials] == ["finished"] * 2
    assert (trials[0].point, trials[0].report) == (first.point, first.report)


@pytest.mark.slow
def test_a_busy_machine_finds_what_a_quiet_one_finds(ray, label_file, tmp_path, monkeypatch):
    """Trials that take their time, each another one, change nothing."""

    class Slow(NetworkTask):
        def fit(self, point, *args):
            time.sleep(2.0 * (point["units"] % 2))
            return super().fit(point, *args)

    command = {"train": BRIEF, "space": SPACE, "final": BRIEF.schedule, "ray": RayConfig(cpus=2)}
    budget, found = Budget(5, at_once=2, scheduler="asha"), []
    for task in (NetworkTask, Slow):
        out = tmp_path / task.__name__
        monkeypatch.setattr("tuning.search.NetworkTask", task)
        best = search(label_file, out, budget=budget, **command)
        trials = Journal(out).trials()
        found.append([(one.point, one.state, one.report["p95"]) for one in trials])
        found[-1].append([w.tolist() for w in Emulator.load(best).network.parameters()])
    assert found[0] == found[1]


def scalars(folder):
    """Steps of each scalar in a folder of TensorBoard events."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [one.step for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def emulator_spectra(label_file):
    from datagen.store import Spectra

    return Spectra.read(label_file, BRIEF.outputs)


@pytest.mark.slow
def test_all_trials_failing_says_why_and_the_same_command_tries_again(
    ray, label_file, tmp_path, monkeypatch, capsys
):
    class Broken(NetworkTask):
        def fit(self, *_):
            raise RuntimeError("broken on purpose")

    out = tmp_path / "search"
    with monkeypatch.context() as patch:
        patch.setattr("tuning.search.NetworkTask", Broken)
        with pytest.raises(ValueError, match="all 2 trials failed: RuntimeError: broken on purpos"):
            search(label_file, out, BRIEF, SPACE, Budget(trials=2), final=BRIEF.schedule)
    assert "failed: RuntimeError" in capsys.readouterr().out
    assert "broken on purpose" in (out / "trials" / "0001" / "error.txt").read_text()
    points = [trial.point for trial in Journal(out).trials()]
    search(label_file, out, BRIEF, SPACE, Budget(trials=2), final=BRIEF.schedule)
    trials = Journal(out).trials()
    assert [trial.point for trial in trials] == points
    assert {trial.state for trial in trials} == {"finished"}


def test_batches_larger_than_the_training_split_are_refused(label_file, tmp_path):
    space = replace(SPACE, batch_size=(16, 500))
    with pytest.raises(ValueError, match="batch_size reaches 500, but only 320 points train"):
        search(label_file, tmp_path / "search", BRIEF, space, Budget(trials=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": -1}, "budget.trials = -1 must not be negative"),
        ({"trials": 0}, "trials = 0 sets no limit, and minutes = 0 none either"),
        ({"minutes": -1.0}, "budget.minutes = -1 must be finite, not negative"),
        ({"threads": 0}, "budget.threads = 0 must be at least 1"),
        ({"gpus": -0.5}, "budget.gpus = -0.5 must be a fraction of one"),
        ({"gpus": 1.5}, "budget.gpus = 1.5 must be a fraction of one"),
    ],
)
def test_bad_budgets_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Budget(**change)


@pytest.mark.parametrize(("name", "kind"), [("threads", "CPU"), ("gpus", "GPU")])
def test_trials_that_cannot_run_are_refused(ray, label_file, tmp_path, name, kind):
    budget = Budget(trials=1, **{name: 64})
    with pytest.raises(ValueError, match=f"budget.{name} = 64, but Ray sees . {kind}s"):
        search(label_file, tmp_path / "search", BRIEF, SPACE, budget)


def test_missing_labels_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"make one with hodspectra generate"):
        search(tmp_path / "none.h5", tmp_path / "out", TrainConfig())


def test_a_second_search_in_the_same_folder_is_kept_out(label_file, tmp_path):
    out = tmp_path / "search"
    with Journal(out).lock(), pytest.raises(ValueError, match="another search runs in"):
        search(label_file, out, BRIEF, SPACE, Budget(trials=1))


def test_a_report_of_nothing_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no search in .*; start one with"):
        report(tmp_path)


def test_a_trials_own_emulator_has_the_record_of_a_whole_training(spectra, tmp_path):
    """What `Task.describe` writes of a stopped trial is what a finished one has."""
    task = NetworkTask(spectra, BRIEF, SPACE)
    point = draws(SPACE, 1)[0]
    emulator, history = fit(spectra, SPACE.apply(point, BRIEF))
    bare = Emulator.of(replace(emulator.spec, provenance={}, record={}))
    bare.load_state_dict(emulator.state_dict())
    described = task.describe(bare.eval(), point)
    assert described.spec.record == emulator.spec.record
    assert described.spec.provenance["training"] == emulator.spec.provenance["training"]
    np.testing.assert_array_equal(len(history["epochs"]), 4)
