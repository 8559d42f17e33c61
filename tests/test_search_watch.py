"""Watching a search: the dashboard in a real browser, its token, the terminal, the report."""

import os
import pty
import re
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from support.browser import chromium, visit
from support.searches import start, states, until, write_config

from datagen.cluster import free_port
from tuning.journal import Clock, Journal
from tuning.progress import Watch
from tuning.report import report


def taken_port():
    """A socket that listens at a port of its own."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def test_a_taken_port_gives_way_to_a_free_one():
    with taken_port() as taken:
        port = taken.getsockname()[1]
        other = free_port(port)
    assert other != port
    assert free_port(other) == other


@pytest.mark.slow
def test_the_dashboard_shows_the_trials_to_those_who_have_the_token(label_file, tmp_path):
    chromium()  # or skip
    out = tmp_path / "search"
    with taken_port() as taken:
        port = taken.getsockname()[1]
        command = write_config(
            tmp_path / "c.yaml", label_file, out, minutes=5, budget={"trials": 2},
            ray={"cpus": 2, "dashboard": True, "dashboard_port": port},
        )  # fmt: skip
        run = start(command)
        line = run.stdout.readline()
    found = re.fullmatch(
        r"Ray dashboard: (http://127\.0\.0\.1:(\d+)), with the token of 'ray get-auth-token' "
        rf"\(port {port} is taken\)\n",
        line,
    )
    assert found, line
    url = found[1]
    try:
        until(run, lambda: len(list(out.glob("trials/*/history.json"))) == 2)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/logical/actors")
        token = subprocess.run(
            ["ray", "get-auth-token"], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        text = visit(
            f"{url}/#/actors", tmp_path, headers={"Authorization": f"Bearer {token}"},
            expected="trial 0001", seconds=60,
        )  # fmt: skip
        assert re.search(r"trial 0002: layers \d, units \d+", text), text
        assert "ALIVE" in text
        # the report of a running search, from another process
        page = report(out).read_text()
        assert "2 open" in page
    finally:
        run.kill()
        run.communicate()


@pytest.mark.slow
def test_a_terminal_sees_a_live_table(label_file, tmp_path):
    out = tmp_path / "search"
    command = write_config(tmp_path / "c.yaml", label_file, out, minutes=0.1, budget={"trials": 2})
    ours, theirs = pty.openpty()
    run = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL,
                           env=os.environ | {"COLUMNS": "160", "TERM": "xterm"})  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        shown += more
    os.close(ours)
    assert run.wait() == 0
    text = shown.decode()
    assert re.search(r"[12] of 2 trials done", text)
    assert "running" in text
    assert "to go" in text
    assert set(states(out).values()) <= {"finished", "stopped"}


class Stub:
    """A trial as Ray Tune hands it to callbacks."""

    status = "RUNNING"

    def __init__(self, name, result):
        self.config = {"trial": name, "point": {"units": 8, "lr": 1e-3}}
        self.last_result = result


def test_the_table_and_the_estimate(tmp_path, capsys):
    """Two of four trials took 20 s, so that as much is to come; no more than the time allows."""
    journal = Journal(tmp_path)
    names = [journal.propose({"units": 8, "lr": 1e-3}).name for _ in range(4)]
    clock = Clock(20.0, 1e9)
    watch = Watch(journal, clock, ("p95",), 4, 2, lambda trials: 30.0)
    result = {"val_loss": 0.25, "p95": 0.031, "p99": 2.0, "epochs": 7, "seconds": 10.0,
              "finished": True}  # fmt: skip
    watch.on_trial_complete(0, [], Stub(names[0], result))
    cut = {"p95": 0.5, "finished": False, "capped": True}
    watch.on_trial_complete(0, [], Stub(names[1], result | cut))
    lines = capsys.readouterr().out.splitlines()
    assert (
        "[1/4, 0:00:20 used, 0:00:45 to go] trial 0001 finished: 95 % error 3.1 % after 7"
        in lines[0]
    )
    assert "trial 0002 stopped (max_minutes): 95 % error 50 %" in lines[1]
    assert watch.remaining == pytest.approx(20 / 2 + 30, rel=0.05)  # two at once, then the final
    clock.limit = 25.0
    assert watch.remaining == pytest.approx(5 + 30, rel=0.05)
    watch.on_step_end(0, [Stub(names[2], result)])
    table = watch.table()
    assert "2 of 4 trials done, 1 running" in table.title
    assert list(table.columns[0].cells) == ["0001", "0002", "0003"]
    assert list(table.columns[1].cells) == ["finished", "stopped (max_minutes)", "running"]
    assert table.columns[2].header == "95 % error [%]"
    assert list(table.columns[2].cells)[:2] == ["3.1", "50"]
    assert states(tmp_path) == {"0001": "finished", "0002": "stopped", "0003": "open",
                                "0004": "open"}  # fmt: skip


def test_no_ended_trial_is_shown_as_running(tmp_path):
    """The last table comes sooner than the next look at which trials run."""
    journal = Journal(tmp_path)
    names = [journal.propose({"units": 8, "lr": 1e-3}).name for _ in range(2)]
    watch = Watch(journal, Clock(20.0, 1e9), ("val_loss",), trials=2)
    result = {"val_loss": 0.25, "p95": 1.0, "p99": 2.0, "epochs": 7, "seconds": 9.0,
              "finished": True}  # fmt: skip
    trials = [Stub(name, result) for name in names]
    watch.on_step_end(0, trials)
    assert "0 of 2 trials done, 2 running" in watch.table().title
    watch.on_trial_complete(0, [], trials[0])
    table = watch.table()
    assert "1 of 2 trials done, 1 running" in table.title
    assert list(table.columns[0].cells) == names
    assert list(table.columns[1].cells) == ["finished", "running"]
    watch.close()
    assert "1 of 2 trials done, 0 running" in watch.table().title  # interrupted: none runs on
