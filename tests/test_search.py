"""The search: its space, a real small one, its resume, and its failures."""

from dataclasses import replace

import pandas as pd
import pytest
import yaml
from conftest import SMALL_TRAINING

from emulator.emulator import Emulator
from emulator.record import validation_loss
from emulator.schedule import ScheduleConfig
from emulator.train import EMULATOR_FILE, TrainConfig
from tuning.search import Budget, search
from tuning.space import SearchSpace

SPACE = SearchSpace(
    layers=(1, 2), units=(8, 32), activation=("gelu", "tanh"), optimizer=("adam",),
    lr=(1e-3, 1e-2), batch_size=(16, 64), dropout=(0.0, 0.0),
)  # fmt: skip
BRIEF = replace(SMALL_TRAINING, schedule=ScheduleConfig(max_epochs=(4,), patience=(4,)))


def test_default_space_is_the_published_one():
    space = SearchSpace()
    assert (space.layers, space.units, space.batch_size) == ((1, 20), (16, 2048), (16, 2048))
    assert len(space.activation) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": (3, 2)}, "space.layers = .3, 2. is reversed"),
        ({"activation": ()}, "space.activation is empty"),
        ({"activation": ("step",)}, "activation = 'step' must be one of"),
        ({"layers": (0, 2)}, "layers = 0 must be at least 1"),
        ({"dropout": (0.0, 1.0)}, "dropout = 1 must lie in"),
        ({"lr": (0.0, 1e-2)}, "lr = 0 must lie in"),
    ],
)
def test_bad_spaces_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**change)


def test_every_draw_lies_in_the_space_and_sets_the_training():
    for _ in range(200):
        point = {name: domain.sample() for name, domain in SPACE.distributions().items()}
        config = SPACE.apply(point, BRIEF)
        assert 1 <= config.network.layers <= 2
        assert 8 <= config.network.units <= 32
        assert config.network.activation in SPACE.activation
        assert 16 <= config.optimizer.batch_size <= 64
        assert config.network.dropout == 0
        assert config.schedule == BRIEF.schedule


def test_search_finds_trains_and_writes_the_best(ray, label_file, tmp_path, capsys):
    out = tmp_path / "search"
    best = search(label_file, out, BRIEF, SPACE, Budget(trials=3), final=BRIEF.schedule)
    table = pd.read_csv(out / "trials.csv")
    assert len(table) == 3
    assert table["val_loss"].is_monotonic_increasing
    config = yaml.safe_load((out / "best.yaml").read_text())["train"]
    assert config["network"]["units"] == table["units"][0]
    assert config["optimizer"]["batch_size"] == table["batch_size"][0]
    emulator = Emulator.load(best)
    losses = [validation_loss(out / "final" / EMULATOR_FILE), table["val_loss"][0]]
    assert validation_loss(best) == pytest.approx(min(losses), rel=1e-4)
    assert emulator.spec.network.units == table["units"][0]
    # the same command finds all done, and does nothing again
    before = (out / "final" / EMULATOR_FILE).stat().st_mtime_ns
    search(label_file, out, BRIEF, SPACE, Budget(trials=3), final=BRIEF.schedule)
    assert "resuming" in capsys.readouterr().out
    assert (out / "final" / EMULATOR_FILE).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="other settings .budget.trials is 3, not 4"):
        search(label_file, out, BRIEF, SPACE, Budget(trials=4), final=BRIEF.schedule)


def test_all_trials_failing_says_why(ray, label_file, tmp_path, monkeypatch, capsys):
    def broken(point, *, spectra, base, threads):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("tuning.search.run_trial", broken)
    with pytest.raises(ValueError, match="all 2 trials failed: RuntimeError: broken on purpose"):
        search(label_file, tmp_path / "search", BRIEF, SPACE, Budget(trials=2))
    assert "failed; see" in capsys.readouterr().out


def test_batches_larger_than_the_training_split_are_refused(label_file, tmp_path):
    space = replace(SPACE, batch_size=(16, 500))
    with pytest.raises(ValueError, match="batch_size reaches 500, but only 320 points train"):
        search(label_file, tmp_path / "search", BRIEF, space, Budget(trials=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "budget.trials = 0 must be at least 1"),
        ({"minutes": -1.0}, "budget.minutes = -1 must not be negative"),
        ({"threads": 0}, "budget.threads = 0 must be at least 1"),
    ],
)
def test_bad_budgets_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Budget(**change)


def test_missing_labels_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"make one with python -m datagen\.generate"):
        search(tmp_path / "none.h5", tmp_path / "out", TrainConfig())
