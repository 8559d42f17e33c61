"""Ray: one machine or a cluster, dying workers, tasks in flight."""

import os
import signal

import numpy as np
import pytest
import ray as ray_library
from coarse import SHARD, SPACE, command_line, make, start
from ray.cluster_utils import Cluster

from datagen import generate as generate_module
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
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        out = tmp_path / "labels.h5"
        run = start(command_line(out, 4 * SHARD, "--ray.address", cluster.address))
        error = run.communicate()[1]
        assert run.returncode == 0, error
    finally:
        cluster.shutdown()
    assert out.read_bytes() == four_shards.read_bytes()
