"""The search for a semi-analytic emulator: its space, a small one, resuming, what is refused."""

import json
import signal
import sys
import weakref
from dataclasses import asdict, replace
from itertools import count, product

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from support.searches import finish, start, states, until
from support.small_network import SMALL_MODEL, SMALL_SPACE

from datagen.parallel import RayConfig
from datagen.splits import Split
from emulator.emulator import Emulator
from emulator.record import predict
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.fit import FitConfig, covering, halo_model_units
from emulator.semianalytic.grid import MassGrid
from emulator.train_semianalytic import main as train_main
from export.runtime import load
from export.to_onnx import to_onnx
from tuning.journal import Journal
from tuning.results import best_trial
from tuning.semianalytic import main, search_semianalytic
from tuning.space import FinetuneSpace, SearchSpace, SemiAnalyticSpace, space_of
from tuning.study import Budget, make_scheduler
from tuning.task import SemiAnalyticTask
from tuning.trial import evaluation_time, run_trial

SPACE = SemiAnalyticSpace(units=(32, 64), rank=(8, 12), nodes=(44, 48), end=(13.0, 13.7))
FIT = FitConfig(cosmologies=100, iterations=2)
# Quantiles of the record, and of the errors anew: the same numbers but for its four digits.
THREADS = 0.1  # least squares with other threads than a trial has; other settings give factors
DIGITS = 1e-3


@pytest.fixture(scope="module")
def task(spectra) -> SemiAnalyticTask:
    return SemiAnalyticTask(spectra, SPACE, FIT, Split())


POINT = {"units": 40, "rank": 9, "nodes": 48, "end": 13.0}


@pytest.fixture(scope="module")
def fitted(task):
    """What a fit of `POINT` gives."""
    return task.fit(POINT, (), None)


def test_nodes_follow_the_box_at_every_point_of_the_space(task):
    for nodes, end in product(SPACE.nodes, SPACE.end):
        config = task.config({"units": 40, "rank": 9, "nodes": nodes, "end": end})
        assert config.cosmology == CosmologyConfig(units=40, rank=9)
        assert config.grid.nodes == nodes
        assert config.grid.x()[-1] == pytest.approx(end)
        halo_model_units(SMALL_MODEL, SMALL_SPACE, config.grid)
        above = replace(config.grid, start=config.grid.start + 1e-6)
        with pytest.raises(ValueError, match="start = .* must be at most"):
            halo_model_units(SMALL_MODEL, SMALL_SPACE, above)
    # the default is one of these, to a tenth of a spacing
    default = MassGrid()
    found = covering(SMALL_MODEL, SMALL_SPACE, default.nodes, float(default.x()[-1]))
    assert found.spacing == pytest.approx(default.spacing, rel=0.1)
    assert found.start >= default.start


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": (8, 48)}, "nodes = 8 must be at least 16"),
        ({"rank": (8, 40)}, "rank = 40 must lie in"),
        ({"end": (13.0, float("nan"))}, "space.end = .* must be finite"),
        ({"units": (64, 32)}, "space.units = .64, 32. is reversed"),
    ],
)
def test_bad_spaces_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SPACE, **change)


def test_nodes_too_far_apart_for_the_box_are_refused(spectra):
    with pytest.raises(ValueError, match=r"spacing = 1\.\d+ must lie in"):
        SemiAnalyticTask(spectra, replace(SPACE, nodes=(20, 48)), FIT, Split())


def test_labels_without_such_an_emulator_are_refused_before_any_trial(spectra, tmp_path):
    other = spectra.select(np.arange(20))
    other.metadata = spectra.metadata | {"model": spectra.metadata["model"] | {"model": "g3lhalo"}}
    other.write(tmp_path / "g3lhalo.h5")
    with pytest.raises(ValueError, match="a semi-analytic emulator needs model: standard"):
        search_semianalytic(tmp_path / "g3lhalo.h5", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("space", [SearchSpace(), FinetuneSpace(), SPACE])
def test_a_space_is_known_by_its_ranges(space):
    assert space_of(json.loads(json.dumps(asdict(space)))) == space


@pytest.mark.parametrize("name", ["asha", "median", "none"])
def test_no_scheduler_stops_a_fit(name, task, tmp_path):
    assert make_scheduler(name, task.longest, "p95", []) is None


@pytest.mark.slow
def test_search_finds_and_writes_the_best(ray, label_file, spectra, task, tmp_path, capsys):
    out = tmp_path / "search"
    command = {"data": label_file, "out": out, "fit": FIT, "space": SPACE,
               "latency": 100, "ray": RayConfig(cpus=1)}  # fmt: skip
    best = search_semianalytic(**command, budget=Budget(trials=2))
    assert "epochs" not in capsys.readouterr().out
    search_semianalytic(**command, budget=Budget(trials=3))  # a larger budget goes on
    table = pd.read_csv(out / "trials.csv", dtype={"trial": str})
    assert list(table["state"]) == ["finished"] * 3
    assert table["p95"].is_monotonic_increasing
    assert (table[["latency_us", "seconds"]] > 0).all(axis=None)
    # the best of all lies in the folder, and its figures are those of its predictions
    emulator = Emulator.load(best)
    found, asked = emulator.spec.network, task.config(best_trial(Journal(out), "p95").point)
    assert (found.grid, found.cosmology) == (asked.grid, asked.cosmology)
    truth = spectra.select(Split().rows(len(spectra), "validation"))
    errors = {n: np.abs(P / truth[n] - 1) for n, P in predict(emulator, truth.theta).items()}
    for name, q in (("p95", 95), ("p99", 99)):
        worst = max(np.percentile(e, q) for n, e in errors.items() if n[-2:] in ("1h", "2h", "al"))
        assert table[name][0] == pytest.approx(worst, rel=DIGITS)
    # its configuration makes it again, and it exports
    main_arguments = [f"--data={label_file}", f"--out={tmp_path / 'again'}"]
    train_main([f"--config={out / 'best.yaml'}", *main_arguments])
    again = Emulator.load(tmp_path / "again" / "emulator.safetensors")
    assert again.spec.network == emulator.spec.network
    first, second = (e.spec.record["standardised"]["validation"] for e in (emulator, again))
    assert second == pytest.approx(first, rel=THREADS)
    exported = load(to_onnx(best, tmp_path / "best.onnx"))
    assert exported.outputs == emulator.spec.outputs
    page = (out / "report.html").read_text()
    assert "(Pareto)" in page
    assert "<th>epochs</th>" not in page
    assert not (out / "trials.txt").exists()  # a format that knows networks alone


def test_points_at_once_share_the_time_of_an_evaluation(fitted, monkeypatch):
    emulator, _ = fitted
    seconds = count()  # a clock that is read at the start and at the end of each evaluation
    monkeypatch.setattr("tuning.trial.time.perf_counter", lambda: next(seconds))
    assert evaluation_time(emulator, 1) == 1e6
    assert evaluation_time(emulator, 64) == 1e6 / 64


def test_a_negative_number_of_points_to_time_is_refused(label_file, tmp_path):
    with pytest.raises(ValueError, match="latency = -1 must be a number of points, or 0"):
        search_semianalytic(label_file, tmp_path / "out", FIT, space=SPACE, latency=-1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_search_out_of_time_says_so_and_goes_on_with_more(ray, label_file, tmp_path, capsys):
    arguments = [f"--data={label_file}", f"--out={tmp_path}"]
    arguments += [f"--fit.{name}={value}" for name, value in asdict(FIT).items()]
    arguments += [f"--space.{name}={list(ends)}" for name, ends in asdict(SPACE).items()]
    with pytest.raises(SystemExit):
        main([*arguments, "--budget.minutes=0.001", "--budget.trials=1"])
    assert "allowed no trial; raise budget.minutes" in capsys.readouterr().err
    assert set(states(tmp_path).values()) <= {"open"}
    main([*arguments, "--budget.minutes=5", "--budget.trials=1"])
    assert states(tmp_path) == {"0001": "finished"}


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_search_goes_on(label_file, tmp_path, sign):
    out = tmp_path / "search"
    config = {"data": str(label_file), "out": str(out), "ray": {"cpus": 1},
              "fit": {"cosmologies": 2000, "iterations": 20},
              "space": json.loads(json.dumps(asdict(SPACE))), "budget": {"trials": 4}}  # fmt: skip
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "tuning.semianalytic", "--config", str(tmp_path / "c.yaml")]
    run = start(command)
    until(run, lambda: list(states(out).values()).count("finished") == 1 and len(states(out)) == 2)
    run.send_signal(sign)
    run.communicate(timeout=60)
    before = {trial.name: trial for trial in Journal(out).trials()}
    kept = (out / "trials" / "0001" / "trial.json").read_bytes()
    printed = finish(start(command))
    assert "resuming: 1 trials are done" in printed
    after = {trial.name: trial for trial in Journal(out).trials()}
    assert [trial.state for trial in after.values()] == ["finished"] * 4
    assert all(after[name].point == trial.point for name, trial in before.items())
    assert (out / "trials" / "0001" / "trial.json").read_bytes() == kept


def test_a_trial_leaves_no_memory_behind(task, fitted, tmp_path, monkeypatch):
    """Its trainer and its data are a cycle, and the process goes on with other trials."""
    monkeypatch.setattr("ray.tune.report", lambda _: None)
    left = []

    class Cycle:
        pass

    def fit_with_a_cycle(*_):
        cycle = Cycle()
        cycle.itself = cycle
        left.append(weakref.ref(cycle))
        return fitted

    monkeypatch.setattr(SemiAnalyticTask, "fit", fit_with_a_cycle)
    trial = Journal(tmp_path).propose(POINT)
    run_trial({"trial": trial.name, "point": POINT}, task=task, folder=trial.folder.parent,
              threads=torch.get_num_threads(), latency=0)  # fmt: skip
    assert (trial.folder / "emulator.safetensors").exists()
    assert left[0]() is None
