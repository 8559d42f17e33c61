"""Searches that are really killed, in every way: the same command goes on, and nothing is lost."""

import json
import math
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from support.searches import (
    BRIEF,
    SPACE,
    finish,
    refusal,
    start,
    states,
    until,
    workers,
    write_config,
)

from datagen.parallel import RayConfig
from tuning.journal import Clock, Journal, key_of, write_json
from tuning.results import known_trials
from tuning.search import search
from tuning.searcher import OptunaSearcher
from tuning.study import Budget, make_scheduler

TRIALS = 6


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_search_whose_driver_is_killed_goes_on(label_file, tmp_path, sign):
    out = tmp_path / "search"
    budget = {"trials": TRIALS, "minutes": 60, "scheduler": "none"}
    command = write_config(tmp_path / "c.yaml", label_file, out, minutes=0.2, budget=budget)
    run = start(command)
    # some are done, and some are in their middle, with a checkpoint
    until(run, lambda: len([s for s in states(out).values() if s == "finished"]) >= 2
          and len(list(out.glob("trials/*/last.ckpt"))) == 2)  # fmt: skip
    run.send_signal(sign)
    errors = run.communicate(timeout=60)[1]
    assert run.returncode == (-sign if sign == signal.SIGKILL else 128 + sign)
    assert sign == signal.SIGKILL or "interrupted; rerun the command to resume" in errors
    before = {trial.name: trial for trial in Journal(out).trials()}
    kept = {path: path.read_bytes() for path in out.glob("trials/*/trial.json")}
    epochs = {name: trial.report.get("epochs", 0) for name, trial in before.items()}
    used = Journal(out).seconds
    time.sleep(3)
    printed = finish(start(command))
    assert f"resuming: {len(kept)} trials are done" in printed
    after = {trial.name: trial for trial in Journal(out).trials()}
    assert len(after) == TRIALS
    assert {trial.state for trial in after.values()} == {"finished"}
    assert all(path.read_bytes() == content for path, content in kept.items())
    for name, trial in before.items():
        assert after[name].point == trial.point
        if trial.state == "open" and epochs[name]:  # from its checkpoint, on the same epoch axis
            history = json.loads((after[name].folder / "history.json").read_text())
            assert [epoch["epoch"] for epoch in history["epochs"]] == list(
                range(after[name].report["epochs"])
            )
            assert after[name].report["epochs"] > epochs[name]
            assert after[name].report["seconds"] < 0.2 * 60 * 1.5  # not trained twice
    assert Journal(out).seconds > used
    assert not list(out.glob("trials/*/last.ckpt"))
    assert len({key_of(trial.point) for trial in after.values()}) == TRIALS


@pytest.mark.slow
def test_a_killed_worker_costs_its_trial_nothing_but_time(label_file, tmp_path):
    out = tmp_path / "search"
    budget = {"trials": 2, "scheduler": "none"}
    command = write_config(tmp_path / "c.yaml", label_file, out, minutes=0.25, budget=budget)
    run = start(command)
    until(run, lambda: len(list(out.glob("trials/*/last.ckpt"))) == 2)
    killed = workers(run, "ImplicitFunc")
    assert len(killed) == 2
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    finish(run)
    trials = Journal(out).trials()
    assert [trial.state for trial in trials] == ["finished"] * 2
    assert all(trial.report["seconds"] < 0.25 * 60 * 1.5 for trial in trials)
    assert all(len(list(trial.folder.glob("events.*"))) == 2 for trial in trials)  # began twice


@pytest.mark.slow
def test_the_budget_of_time_holds_across_interruptions(label_file, tmp_path):
    out = tmp_path / "search"
    budget = {"trials": 0, "minutes": 0.5, "scheduler": "none"}
    command = write_config(tmp_path / "c.yaml", label_file, out, minutes=0.1, budget=budget)
    run = start(command)
    until(run, lambda: Journal(out).seconds > 15)
    run.kill()
    run.communicate()
    assert Journal(out).seconds < 30
    finish(start(command))
    assert 30 <= Journal(out).seconds < 60  # it would be 15 + 30 if it had not been counted
    number = len(states(out))
    finish(start(command))  # nothing is left, so nothing starts
    assert len(states(out)) == number


class Report:
    """Trials written as a search would have, without one."""

    def __init__(self, out):
        self.journal = Journal(out)

    def add(self, point, value, state="finished", seconds=10.0):
        trial = self.journal.propose(point)
        report = {"val_loss": value, "p95": value, "p99": value, "epochs": 1, "seconds": seconds,
                  "finished": state == "finished"}  # fmt: skip
        shares = ((0.26, True), (0.3, False), (1.0, False))
        reports = [report | {"progress": share, "milestone": is_one} for share, is_one in shares]
        write_json(trial.folder / "history.json", {"reports": reports, "epochs": []})
        if state != "open":
            self.journal.end(trial.name, state, report, seconds, "")
        return trial


def point(units=8, layers=1, activation="gelu", lr=2e-3):
    return {
        "layers": layers, "units": units, "activation": activation, "optimizer": "adam", "lr": lr,
        "batch_size": 32, "dropout": 0.0, "residual": False, "components": 0, "loss": "mse",
    }  # fmt: skip


def searcher(journal, space=SPACE, known=(), name="tpe", at_once=1):
    return OptunaSearcher(journal, space.distributions(), name, ("val_loss",), known, 1, at_once)


def end(journal, found, value, state="finished"):
    """Let a proposed trial end with a loss."""
    report = {} if state == "failed" else {"val_loss": value}
    journal.end(found["trial"], state, report, 1.0, "")


def small_space(**changes):
    return replace(SPACE, lr=(2e-3, 2e-3), batch_size=(32, 32), **changes)


def test_open_trials_come_first_and_are_waited_for(tmp_path):
    past = Report(tmp_path)
    past.add(point(8), 0.1)
    interrupted = past.add(point(9), 0.5, "open")
    search = searcher(past.journal)
    opened = search.suggest("a")
    assert opened == {"trial": interrupted.name, "point": point(9)}
    assert search.suggest("b") is None
    end(past.journal, opened, 0.5)
    assert search.suggest("b")["trial"] == "0003"


def proposals(folder, at_once, order, known=(), name="tpe", trials=16):
    """What is proposed when trials that run at once end in an order; the losses are the same."""
    journal = Journal(folder)
    search = searcher(journal, known=known, name=name, at_once=at_once)
    running, points = [], []
    while len(points) < trials or running:
        found = search.suggest(str(len(points))) if len(points) < trials else None
        if found is not None and len(running) < at_once:
            running.append(found)
            points.append(found["point"])
        if found is None or len(running) == at_once:
            one = running.pop(order(len(running)))
            end(journal, one, abs(math.log(one["point"]["lr"] / 3e-3)) + 0.1)
    return points


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_proposals_do_not_depend_on_which_trial_is_first(tmp_path, name):
    first = proposals(tmp_path / "a", 3, lambda running: 0, name=name)
    last = proposals(tmp_path / "b", 3, lambda running: running - 1, name=name)
    middle = proposals(tmp_path / "c", 3, lambda running: running // 2, name=name)
    assert first == last == middle
    # nor on an interruption
    again = proposals(tmp_path / "d", 3, lambda running: 0, name=name, trials=13)
    again += proposals(tmp_path / "d", 3, lambda running: 0, name=name, trials=3)
    assert again == first


def test_proposals_learn(tmp_path):
    """The later half is nearer to the best rate than what is drawn blindly."""
    away = {
        name: np.mean([
            abs(math.log(point["lr"] / 3e-3))
            for point in proposals(tmp_path / name, 2, lambda _: 0, name=name, trials=40)[20:]
        ])
        for name in ("tpe", "random")
    }  # fmt: skip
    assert away["tpe"] < 0.6 * away["random"]


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_nothing_is_tried_twice_until_the_space_is_used_up(tmp_path, name):
    """Twelve configurations, two of them known from elsewhere, one from before."""
    space = small_space(units=(8, 10), activation=("gelu", "tanh"))
    elsewhere = Report(tmp_path / "elsewhere")
    elsewhere.add(point(8, 1), 0.1)
    elsewhere.add(point(9, 1), 0.2)
    known = elsewhere.journal.trials()
    here = Report(tmp_path / "here")
    here.add(point(10, 1), 0.3)
    search = searcher(here.journal, space, known, name)
    proposed = []
    while (found := search.suggest(f"t{len(proposed)}")) != "FINISHED":
        proposed.append(key_of(found["point"]))
        end(here.journal, found, 0.1 * len(proposed))
    assert len(proposed) == len(set(proposed)) == 12 - 3
    assert not set(proposed) & {key_of(trial.point) for trial in known}


def test_rates_that_agree_to_three_digits_are_the_same():
    assert key_of(point(lr=2.0001e-3)) == key_of(point(lr=2e-3)) != key_of(point(lr=2.02e-3))


def test_a_failed_trial_is_not_proposed_again(tmp_path):
    journal = Journal(tmp_path)
    search = searcher(journal)
    first = search.suggest("a")
    end(journal, first, 0.0, "failed")
    assert key_of(search.suggest("b")["point"]) != key_of(first["point"])


@pytest.mark.parametrize("name", ["asha", "median"])
def test_schedulers_know_what_was_before(tmp_path, name):
    """A trial behind four earlier ones at a quarter of its time is stopped, a better one not."""
    past = Report(tmp_path)
    for i in range(4):
        past.add(point(8 + i), 0.1)
    scheduler = make_scheduler(name, ("progress", 1.0), "val_loss", past.journal.trials())

    class New:
        trial_id = "new"

    for value, decision in ((0.05, "CONTINUE"), (0.5, "STOP")):
        trial = New()
        trial.trial_id = str(value)
        scheduler.on_trial_add(None, trial)
        assert (
            scheduler.on_trial_result(None, trial, {"progress": 0.26, "val_loss": value})
            == decision
        )


def test_the_clock_goes_on_from_what_was_used():
    clock = Clock(used=59.9, limit=60.0)
    assert not clock.is_over
    time.sleep(0.11)
    assert clock.is_over


@pytest.mark.slow
def test_known_trials_of_other_labels_or_aims_are_refused(ray, label_file, tmp_path):
    command = {"data": label_file, "train": BRIEF, "space": SPACE, "final": BRIEF.schedule,
               "ray": RayConfig(cpus=1)}  # fmt: skip
    first = tmp_path / "first"
    search(out=first, budget=Budget(trials=2), **command)
    with pytest.raises(ValueError, match="cannot be compared with these .*val_loss"):
        search(out=tmp_path / "p95", objective="p95", known=(first,), **command)
    second = tmp_path / "second"
    search(out=second, budget=Budget(trials=2), known=(first,), **command)
    ours, theirs = ({key_of(t.point) for t in Journal(p).trials()} for p in (second, first))
    assert len(ours | theirs) == 4
    shared = json.loads(json.dumps({"labels": "x"}))
    with pytest.raises(ValueError, match="shared.labels is"):
        known_trials((first,), shared, ("val_loss",), SPACE)
    with pytest.raises(FileNotFoundError, match="no search in"):
        known_trials((tmp_path,), shared, ("val_loss",), SPACE)


@pytest.mark.slow  # test_generate.py has the same of labels
def test_a_cluster_that_does_not_answer(label_file, tmp_path):
    """In a process of its own, since this one is connected already."""
    command = write_config(
        tmp_path / "c.yaml", label_file, tmp_path / "out", minutes=0.1,
        ray={"address": "127.0.0.1:9"},
    )  # fmt: skip
    assert refusal(start(command), "no Ray cluster answers at '127.0.0.1:9' .*; start one with")
    assert not states(tmp_path / "out")
