"""The run directory of a search: kept by content, never in the way, and damage is named."""

import json
from contextlib import ExitStack, nullcontext
from dataclasses import asdict

import pytest
from support.searches import BRIEF, SPACE, states
from test_search_kills import Report, point, small_space

from datagen.parallel import RayConfig
from emulator.emulator import EmulatorFileError
from emulator.train import EMULATOR_FILE
from tuning import study
from tuning.journal import Journal
from tuning.results import candidate, open_study, read_study
from tuning.search import search
from tuning.study import Budget, run_study

SHARED = {"labels": "0" * 64, "train": BRIEF.as_dict()}


def open_in(out, shared=SHARED, space=SPACE, **paths):
    """A search in a folder, without its trials."""
    request = {"data": "labels.h5", "out": str(out), "space": asdict(space), **paths}
    open_study(Journal(out), shared, request, ("val_loss",), Budget())


def test_labels_and_start_emulators_are_known_by_content(tmp_path):
    first, moved = tmp_path / "first", tmp_path / "moved"
    open_in(first, SHARED | {"emulator": "1" * 64}, emulator="a.safetensors")
    Report(first).add(point(8), 0.1)
    first.rename(moved)
    open_in(moved, SHARED | {"emulator": "1" * 64}, emulator="b.safetensors", data="copy.h5")
    assert read_study(moved)["data"] == "copy.h5"
    with pytest.raises(ValueError, match="shared.emulator is 111111111111..., not 222222222222..."):
        open_in(moved, SHARED | {"emulator": "2" * 64}, emulator="a.safetensors")
    with pytest.raises(ValueError, match="shared.labels is 000000000000..., not 333333333333..."):
        open_in(moved, SHARED | {"emulator": "1" * 64, "labels": "3" * 64})
    assert states(moved) == {"0001": "finished"}


def test_a_search_that_came_to_nothing_gives_way(tmp_path):
    open_in(tmp_path)
    Report(tmp_path).add(point(8), 0.1, "failed")
    (tmp_path / "trials" / "0001" / "history.json").unlink()
    open_in(tmp_path)  # the same one tries it again
    assert states(tmp_path) == {"0001": "failed"}
    open_in(tmp_path, space=small_space())  # another one does not know it
    assert states(tmp_path) == {}


@pytest.mark.parametrize("state", ["open", "finished", "diverged"])
def test_a_search_that_came_to_something_does_not(tmp_path, state):
    open_in(tmp_path)
    Report(tmp_path).add(point(8), 0.1, state)
    with pytest.raises(ValueError, match=r"other settings \(space.batch_size is \[16, 64\], not"):
        open_in(tmp_path, space=small_space())
    assert states(tmp_path) == {"0001": state}


def test_a_wrong_option_is_corrected_in_the_same_folder(ray, label_file, tmp_path, monkeypatch):
    """What is refused after the folder was opened has computed nothing yet."""
    command = {"data": label_file, "out": tmp_path / "search", "train": BRIEF, "space": SPACE,
               "final": BRIEF.schedule, "ray": RayConfig(cpus=1)}  # fmt: skip
    with pytest.raises(ValueError, match=r"budget.threads = 64, but Ray sees . CPUs"):
        search(**command, budget=Budget(trials=1, threads=64))
    monkeypatch.setattr("tuning.command.run_study", lambda *_, **__: None)
    with pytest.raises(ValueError, match="the budget of .* allowed no trial"):
        search(**command, budget=Budget(trials=1))
    assert read_study(tmp_path / "search")["budget"]["threads"] == 1


class Spaced:
    """A task, as far as a search without trials needs it."""

    ranges = small_space()


@pytest.mark.parametrize(("trials", "says"), [(4, True), (2, False)])
def test_a_space_that_is_used_up_ends_the_search_with_a_word(
    tmp_path, monkeypatch, capsys, trials, says
):
    past = Report(tmp_path)

    def two(*_, **__):
        past.add(point(8), 0.1)
        past.add(point(9), 0.2)

    class Session(nullcontext):
        dashboard_url = ""

        def __enter__(self):
            return self

    monkeypatch.setattr(study, "ray_session", Session)
    monkeypatch.setattr(study, "_run_trials", two)
    run_study(
        Spaced(), past.journal, Budget(trials=trials), sampler="tpe", objectives=("val_loss",),
        known=(), seed=1, ray=RayConfig(), stack=ExitStack(),
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert ("ends after 2 trials: its space holds no further point" in printed) == says


@pytest.mark.parametrize("name", ["point.json", "trial.json"])
def test_a_damaged_note_is_named(tmp_path, name):
    trial = Report(tmp_path).add(point(8), 0.1)
    (trial.folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"0001/{name} is damaged .*; delete it to have that"):
        Journal(tmp_path).trials()


def test_a_damaged_emulator_of_a_trial_says_what_to_delete(tmp_path):
    trial = Report(tmp_path).add(point(8), 0.1)
    (trial.folder / EMULATOR_FILE).write_bytes(b"half of")
    with pytest.raises(EmulatorFileError, match="0001 to have another trial in its place"):
        candidate(None, trial)


def test_a_damaged_configuration_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("shared: [")
    with pytest.raises(ValueError, match=r"config\.yaml is damaged"):
        read_study(tmp_path)
    (tmp_path / "config.yaml").write_text(json.dumps("a text"))
    with pytest.raises(FileNotFoundError, match="no search in"):
        read_study(tmp_path)
