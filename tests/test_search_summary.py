"""The summary of searches: the Pareto front or the best, from their run directories."""

import pytest
import yaml

from benchmarks.studies.search_summary import render, search_summary
from tuning.journal import Journal

SEMIANALYTIC = {"units": 40, "rank": 9, "nodes": 48, "end": 13.0}


def ended(journal, point, state="finished", **report):
    trial = journal.propose(point)
    journal.end(trial.name, state, report | {"seconds": 60.0}, at=1.0, error="")


def search(folder, objectives):
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"objectives": objectives}))
    return Journal(folder)


@pytest.fixture
def timed(tmp_path):
    journal = search(tmp_path / "semianalytic", ["p99", "latency_us"])
    for units, p99, latency in ((40, 0.02, 5.0), (80, 0.01, 9.0), (60, 0.03, 6.0)):
        ended(journal, SEMIANALYTIC | {"units": units}, p95=p99 / 2, p99=p99, latency_us=latency)
    ended(journal, SEMIANALYTIC, "failed")
    return journal.out


def test_two_objectives_show_the_front(timed):
    result = search_summary([timed])
    (found,) = result["searches"]
    assert [trial["trial"] for trial in found["trials"]] == ["0002", "0001"]  # 0003 is beaten
    assert found["states"] == {"finished": 3, "failed": 1}
    lines = render(result).splitlines()
    assert "3 finished, 1 failed, 4 minutes of trials; the Pareto front" in lines[0]
    assert lines[-2:] == ["| 0002 | 80 | 9 | 48 | 13 | 0.5 | 1 |  | 9 |",
                          "| 0001 | 40 | 9 | 48 | 13 | 1 | 2 |  | 5 |"]  # fmt: skip


def test_one_objective_shows_the_best_and_its_last_training(emulator, tmp_path):
    journal = search(tmp_path / "network", ["p95"])
    for i in range(7):
        ended(journal, {"layers": i}, "stopped", p95=1 / (i + 1), p99=1.0)
    emulator.save(journal.out / "final" / "0007" / "emulator.safetensors")
    (found,) = search_summary([journal.out])["searches"]
    assert [trial["point"]["layers"] for trial in found["trials"]] == [6, 5, 4, 3, 2]
    worst = max(one["all"]["95"] for one in emulator.spec.record["validation"].values())
    assert found["final"]["report"]["p95"] == worst
    largest = max(one["all"]["100"] for one in emulator.spec.record["validation"].values())
    assert found["final"]["report"]["largest"] == largest
    assert found["final"]["epochs"] == emulator.spec.provenance["epochs"]


def test_folders_without_a_search_or_a_result_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no search in"):
        search_summary([tmp_path])
    journal = search(tmp_path / "empty", ["p95"])
    journal.propose(SEMIANALYTIC)
    with pytest.raises(ValueError, match="no trial of .* has ended with a result"):
        search_summary([journal.out])
