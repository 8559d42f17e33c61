"""Searches over nodes, memory, samplers, several objectives, and fine-tunings."""

import json
import math
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ray.cluster_utils import Cluster
from support.searches import BRIEF, SPACE, finish, refusal, start, until, write_config

from datagen.parallel import RayConfig
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.finetune import FinetuneConfig
from tuning.figures import Dimension, pareto_front
from tuning.finetune import search_finetune
from tuning.journal import Journal
from tuning.search import search
from tuning.searcher import OptunaSearcher
from tuning.space import FinetuneSpace
from tuning.study import Budget, trials_at_once
from tuning.task import FinetuneTask, NetworkTask, quality

RAY = RayConfig(cpus=2)


@pytest.mark.slow
def test_a_cluster_of_two_nodes_by_its_address_and_one_of_them_dies(label_file, tmp_path):
    """Two trials run at once where each node has one core; then one node is gone."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        out = tmp_path / "search"
        command = write_config(
            tmp_path / "c.yaml", label_file, out, minutes=0.3,
            budget={"trials": 3, "scheduler": "none"}, ray={"address": cluster.address},
        )  # fmt: skip
        run = start(command)
        until(run, lambda: len(list(out.glob("trials/*/last.ckpt"))) == 2)
        cluster.remove_node(node, allow_graceful=False)
        finish(run)
    finally:
        cluster.shutdown()
    trials = Journal(out).trials()
    assert [trial.state for trial in trials] == ["finished"] * 3
    assert all(trial.report["seconds"] < 0.3 * 60 * 1.5 for trial in trials)  # from checkpoints


@pytest.mark.slow
def test_two_nodes_started_by_hand_with_a_token(label_file, tmp_path):
    """As the README says; and nobody gets in without the token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    options = ["--num-cpus", "1", "--block"]
    head = ["--head", "--port", address.rpartition(":")[2], "--include-dashboard=false"]
    command = write_config(
        tmp_path / "c.yaml", label_file, tmp_path / "out", minutes=0.1,
        budget={"trials": 2, "scheduler": "none"}, ray={"address": address},
    )  # fmt: skip
    nodes = []
    try:
        for join in (head, ["--address", address]):
            nodes.append(start(["ray", "start", *join, *options], **token))
            until(nodes[-1], lambda: "block forever" in nodes[-1].stdout.readline())
        message = f"Ray does not start at '{address}'.* export RAY_AUTH_MODE=token"
        assert refusal(start(command, RAY_AUTH_MODE="disabled"), message)
        finish(start(command, **token))
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.communicate(timeout=60)
    trials = Journal(tmp_path / "out").trials()
    assert [trial.state for trial in trials] == ["finished"] * 2
    assert trials[1].at - trials[0].at < 5  # at the same time, though a node has one core


@pytest.mark.slow
def test_trials_read_the_labels_from_shared_memory(ray, label_file, tmp_path, monkeypatch):
    class Spy(NetworkTask):
        def fit(self, point, callbacks, resume):
            address = self.spectra["gg_1h"].__array_interface__["data"][0]
            for line in Path("/proc/self/maps").read_text().splitlines():
                low, high = (int(end, 16) for end in line.split()[0].split("-"))
                if low <= address < high:
                    (tmp_path / f"map{point['units']}").write_text(line)
            return super().fit(point, callbacks, resume)

    monkeypatch.setattr("tuning.search.NetworkTask", Spy)
    search(label_file, tmp_path / "out", BRIEF, SPACE, Budget(2), final=BRIEF.schedule, ray=RAY)
    maps = [path.read_text() for path in tmp_path.glob("map*")]
    assert len(maps) == 2
    assert all("/dev/shm/plasma" in line and line.split()[1].endswith("s") for line in maps)


def best_of(name, tmp_path, trials=30):
    """The best of a smooth toy, by a sampler that is asked and told as in a search."""
    journal = Journal(tmp_path / name)
    searcher = OptunaSearcher(journal, SPACE.distributions(), name, ("val_loss",), (), 1, 1)
    values = []
    for i in range(trials):
        proposed = searcher.suggest(str(i))
        point = proposed["point"]
        away = math.log10(point["lr"] / 3e-3) ** 2 + math.log10(point["units"] / 20) ** 2
        values.append(10 ** (4 * away + (point["activation"] == "tanh")))
        journal.end(proposed["trial"], "finished", {"val_loss": values[-1]}, 1.0, "")
    return min(values)


@pytest.mark.slow
def test_samplers_that_learn_beat_the_blind_one(tmp_path):
    best = {name: best_of(name, tmp_path) for name in ("random", "tpe", "gp")}
    assert best["tpe"] < best["random"]
    assert best["gp"] < best["random"]


@pytest.mark.slow
def test_latency_is_a_second_objective_with_its_pareto_front(ray, label_file, tmp_path):
    out = tmp_path / "search"
    search(label_file, out, BRIEF, SPACE, Budget(trials=3), objective="p95", latency=1,
           final=BRIEF.schedule, ray=RAY)  # fmt: skip
    table = pd.read_csv(out / "trials.csv")
    assert table["p95"].is_monotonic_increasing
    assert (table["latency_us"] > 1).all()
    assert (out / "figures" / "pareto.png").stat().st_size > 5_000
    assert "(Pareto)" in (out / "report.html").read_text()


def test_pareto_front_by_brute_force():
    points = np.random.default_rng(1).random((60, 2))
    points[7] = points[8]  # equals do not beat each other
    slow = [not any((q <= p).all() and (q < p).any() for q in points) for p in points]
    np.testing.assert_array_equal(pareto_front(points), slow)


def test_axes_of_figures_hold_what_is_drawn():
    lr = Dimension("lr", (1e-5, 1e-2), True)
    assert [lr.position(x) for x in (1e-5, 10**-3.5, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert [text for _, text in lr.ticks()] == ["1e-5", "0.0001", "0.001", "0.01"]
    layers = Dimension("layers", (1, 20), False)
    assert all(float(text).is_integer() for _, text in layers.ticks())
    names = Dimension("activation", ("gelu", "tanh"), False)
    assert names.ticks() == [(0.25, "gelu"), (0.75, "tanh")]


@pytest.mark.slow
def test_fine_tuning_is_searched_by_the_same_mechanism(ray, emulator, label_file, tmp_path):
    space = FinetuneSpace(N_bad=(16, 64), lr=(1e-5, 1e-3), batch_size=(16, 64), epochs=(2, 6))
    start, out = tmp_path / "emulator.safetensors", tmp_path / "tuned"
    base = FinetuneConfig(patience=3)
    best = search_finetune(
        start, label_file, out, base, space, Budget(trials=3, scheduler="none"), ray=RAY
    )
    table = pd.read_csv(out / "trials.csv")
    assert list(table["state"]) == ["finished"] * 3
    assert table["p99"].is_monotonic_increasing
    assert table["N_bad"].between(16, 64).all()
    assert (table["epochs"] <= 6).all()
    assert len((out / "trials.txt").read_text().splitlines()) == 3
    task = FinetuneTask(Spectra.read(label_file, emulator.spec.outputs), emulator, base, space)
    data = task.data(emulator)
    before, after = (quality(e, data)["p99"] for e in (emulator, Emulator.load(best)))
    assert after == pytest.approx(min(before, table["p99"][0]), rel=1e-3)
    tuned = Emulator.load(out / "trials" / f"{table['trial'][0]:04d}" / "emulator.safetensors")
    settings = tuned.spec.provenance["training"]["finetune"]
    assert settings["N_bad"] == table["N_bad"][0]
    assert json.loads((out / "trials" / "0001" / "history.json").read_text())["epochs"]


def test_fine_tuning_on_other_labels_is_refused(emulator, spectra, tmp_path):
    spectra.select(np.arange(399)).write(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="its test split would be trained on"):
        search_finetune(
            tmp_path / "emulator.safetensors", tmp_path / "other.h5", tmp_path / "out",
            budget=replace(Budget(), trials=1),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "number"),
    [
        (Budget(threads=1), 8),
        (Budget(threads=3), 2),
        (Budget(threads=1, gpus=1), 2),
        (Budget(threads=1, gpus=0.25), 8),
        (Budget(threads=2, gpus=0.1), 4),  # twenty by the GPUs, four by the cores
    ],
)
def test_as_many_trials_run_at_once_as_cores_and_fractions_of_gpus_allow(
    monkeypatch, budget, number
):
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})
    assert trials_at_once(budget) == number
