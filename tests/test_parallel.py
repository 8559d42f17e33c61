"""Ray: one machine or a cluster, dying workers, tasks in flight."""

import os
import re
import signal
import socketserver
import stat
import threading
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import ray as ray_library
from ray.cluster_utils import Cluster
from support.coarse import SHARD, SPACE, command_line, make, start

from datagen import cluster
from datagen import generate as generate_module
from datagen.cli import run
from datagen.design import Design, draw
from datagen.generate import compute
from datagen.parallel import RayConfig, ray_map, ray_session
from datagen.store import Spectra


def test_a_killed_worker_costs_nothing(ray, tmp_path):
    mark = tmp_path / "killed"

    def once_deadly(x):
        if x == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x * x

    results = dict(ray_map(once_deadly, range(6), label="test"))
    assert mark.exists()
    assert results == {x: x * x for x in range(6)}


@pytest.mark.slow
def test_a_point_that_always_kills_its_worker_is_recorded_and_costs_no_other(
    table, tmp_path, monkeypatch
):
    theta = draw(Design(12), SPACE)

    def deadly(points, **options):
        if (points == theta[7]).all(axis=1).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(points, **options)

    monkeypatch.setattr(generate_module, "compute", deadly)
    spectra = Spectra.read(make(tmp_path / "labels.h5", 12))
    assert spectra.failed == {7: "the worker process died each time it was tried"}
    np.testing.assert_array_equal(spectra.theta, np.delete(theta, 7, axis=0))


def test_what_a_task_raises_arrives_as_it_was_raised(ray):
    def failing(x):
        raise ValueError(f"not {x}")

    with pytest.raises(ValueError, match="^not 0$"):
        list(ray_map(failing, [0], label="test"))


def test_only_two_tasks_a_core_are_in_flight(ray):
    class Items(list):
        drawn = 0

        def __iter__(self):
            for item in super().__iter__():
                self.drawn += 1
                yield item

    items = Items(range(50))
    cores = int(ray_library.cluster_resources()["CPU"])
    for done, _ in enumerate(ray_map(abs, items, label="test"), start=1):
        assert items.drawn <= 2 * cores + done


def test_a_running_ray_is_used_and_left_running(ray):
    with ray_session(RayConfig(cpus=1)):
        assert ray_library.cluster_resources()["CPU"] == 2
    assert ray_library.is_initialized()


@pytest.mark.slow
def test_a_cluster_of_two_nodes_needs_its_address_and_no_other_change(tmp_path, four_shards, table):
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes.add_node(num_cpus=1)
        out = tmp_path / "labels.h5"
        run = start(command_line(out, 4 * SHARD, "--ray.address", nodes.address))
        error = run.communicate()[1]
        assert run.returncode == 0, error
    finally:
        nodes.shutdown()
    assert out.read_bytes() == four_shards.read_bytes()


@pytest.fixture
def listener(request):
    """The port of a server that is no Ray cluster."""
    with socketserver.TCPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class Silent(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(1)
        with suppress(OSError):
            while self.request.recv(1024):
                pass


class Web(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("listener", "scheme"),
    [
        (Silent, ""),
        (Web, "ray://"),
        pytest.param(Silent, "ray://", marks=pytest.mark.slow),
        pytest.param(Web, "", marks=pytest.mark.slow),
    ],
    indirect=["listener"],
)
def test_what_listens_and_is_no_cluster_is_refused_in_time(listener, scheme, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.5)  # Ray itself would try for minutes
    with pytest.raises(ConnectionError, match="does not answer as a Ray cluster; start one with"):
        cluster.check_address(f"{scheme}127.0.0.1:{listener}")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "no.such.host.invalid:6379"])
def test_an_address_where_nobody_listens_is_refused(address):
    with pytest.raises(ConnectionError, match=f"no Ray cluster answers at '{address}'"):
        cluster.check_address(address)


@pytest.mark.parametrize("error", [Exception, RuntimeError, ValueError, OSError])
def test_whatever_keeps_ray_from_starting_is_one_kind_of_error(error, monkeypatch):
    def init(**options):
        raise error("The current node timed out\nduring startup")

    monkeypatch.setattr(ray_library, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_library, "init", init)
    monkeypatch.setattr(ray_library, "shutdown", lambda: None)
    with pytest.raises(ConnectionError, match=r"\(The current node timed out during startup\); on"):
        ray_session(RayConfig()).__enter__()


def test_a_temporary_folder_too_long_for_sockets_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    cluster.check_temporary_folder()
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 90)))
    with pytest.raises(OSError, match="xxx, is too long .* export RAY_TMPDIR=/tmp, or another"):
        cluster.check_temporary_folder()


def test_rays_token_is_for_its_owner_alone(tmp_path, monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    cluster.keep_token_private(create=False)
    assert not token.exists()
    cluster.keep_token_private(create=True)
    assert re.fullmatch("[0-9a-f]{64}", text := token.read_text())
    token.chmod(0o644)  # as Ray leaves it
    token.parent.chmod(0o755)
    cluster.keep_token_private(create=True)
    assert token.read_text() == text
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700


def test_ray_does_not_take_the_signal_that_ends_a_command(ray):
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, mine := lambda number, frame: None)
    try:
        with ray_session(RayConfig(cpus=1)):
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("signals", "finished"), [(1, True), (2, False)])
def test_a_signal_waits_until_ray_has_started_and_a_second_one_does_not(
    signals, finished, monkeypatch
):
    events = []

    def init(**options):
        signal.signal(signal.SIGTERM, lambda number, frame: events.append("Ray's"))
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGTERM)
        events.append("started")
        return SimpleNamespace(dashboard_url="")

    def command() -> None:
        with ray_session(RayConfig()):
            events.append("used")

    monkeypatch.setattr(ray_library, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_library, "init", init)
    monkeypatch.setattr(ray_library, "shutdown", lambda: events.append("stopped"))
    with pytest.raises(SystemExit, match="143"):
        run(command, "x", [])
    assert events == (["started", "stopped"] if finished else [])
