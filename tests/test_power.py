"""Linear power comes from the package where that can be, else from the cache, else from CAMB."""

import errno
import json

import numpy as np
import pytest
from support.serial import without_ray

from datagen import power
from datagen.boltzmann import amplitudes
from datagen.ccl import camb_power
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.header import read_arrays, write_arrays
from datagen.linear_power import LinearPowerTable, TableBox
from datagen.power import SCHEMA, SHIPPED, WIDE, linear_power, make_shipped, shipped_table
from datagen.shards import Shards
from datagen.space import Range, Space
from datagen.wavenumbers import ln_wavenumbers

# one cosmology, four runs of CAMB as pyccl calls it
SPACE = Space(Om_c=Range(0.25, 0.25), Om_b=Range(0.05, 0.05), h=Range(0.7, 0.7))
PYCCL = HaloModelConfig(camb="pyccl", table_nodes=(2, 2))
POINT = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96}
COLUMNS = {name: np.array([value]) for name, value in POINT.items()}


class TestOfThePackage:
    def test_is_of_this_version(self):
        content = read_arrays(SHIPPED, SCHEMA)
        assert json.loads(str(content["request"])) == TableBox.of(WIDE).request()
        assert SHIPPED.stat().st_size < 1e6

    def test_its_nodes_are_what_this_code_makes_of_them(self):
        """At the cheapest wavenumbers of one node."""
        box = TableBox.of(WIDE)
        point = box.points()[60]
        nodes = read_arrays(SHIPPED, SCHEMA)["nodes"]
        h = np.sqrt(point.sum() / 0.33)
        universe = {"Om_c": point[0] / h**2, "Om_b": point[1] / h**2, "h": h}
        some = slice(0, 260, 20)
        ln_k = ln_wavenumbers(*point)[some]
        modes = np.log(amplitudes(universe, np.exp(ln_k))[0])
        np.testing.assert_allclose(2 * modes - 4 * ln_k, nodes[60, some], atol=3e-6)

    @pytest.mark.parametrize("space", [WIDE, Space(), SPACE])
    def test_serves_every_space_inside_of_its_box(self, space, monkeypatch):
        monkeypatch.setattr(power, "_cached_nodes", None)
        assert linear_power(HaloModelConfig(), space) is shipped_table()

    @pytest.mark.parametrize(
        ("model", "space"),
        [
            (HaloModelConfig(), Space(Om_b=Range(0.04, 0.08))),
            (HaloModelConfig(), Space(h=Range(0.5, 0.7))),
            (HaloModelConfig(table_nodes=(14, 8)), SPACE),
            (HaloModelConfig(camb="pyccl"), SPACE),
            (HaloModelConfig(model="g3lhalo"), SPACE),
        ],
    )
    def test_serves_no_other(self, model, space, monkeypatch):
        asked = []

        def nodes(box, ray):
            asked.append(box)
            return np.zeros((box.nodes[0] * box.nodes[1], box.layout.width))

        monkeypatch.setattr(power, "_cached_nodes", nodes)
        linear_power(model, space)
        assert asked == [TableBox.of(space, model.camb, model.table_nodes)]

    def test_of_another_version_gives_way(self, tmp_path, monkeypatch):
        other = tmp_path / "other.npz"
        content = read_arrays(SHIPPED, SCHEMA)
        write_arrays(other, SCHEMA, content | {"request": json.dumps({"camb": "another"})})
        monkeypatch.setattr(power, "SHIPPED", other)
        assert shipped_table.__wrapped__() is None
        monkeypatch.setattr(power, "SHIPPED", tmp_path / "nowhere.npz")
        assert shipped_table.__wrapped__() is None

    def test_is_made_by_a_command(self, tmp_path, monkeypatch):
        nodes = read_arrays(SHIPPED, SCHEMA)["nodes"]
        monkeypatch.setattr(power, "_cached_nodes", lambda box, ray: nodes.astype(np.float64))
        made = read_arrays(make_shipped(tmp_path / "made.npz"), SCHEMA)
        np.testing.assert_array_equal(made["nodes"], nodes, strict=True)
        assert str(made["request"]) == str(read_arrays(SHIPPED, SCHEMA)["request"])


def test_camb_at_every_point_needs_no_table():
    assert linear_power(HaloModelConfig(linear_power="camb"), SPACE) is None


def test_g3lhalo_has_pyccl_s_camb_and_standard_the_converged_one():
    assert HaloModelConfig().camb == "converged"
    assert HaloModelConfig(model="g3lhalo").camb == "pyccl"
    assert HaloModelConfig(camb="pyccl").camb == "pyccl"
    with pytest.raises(ValueError, match="camb = 'class' must be 'converged' or 'pyccl'"):
        HaloModelConfig(camb="class")


def test_wavenumbers_beyond_the_known_power_are_refused():
    with pytest.raises(ValueError, match="k grid up to 300 1/Mpc.*ends at 110.*lower k.high"):
        HaloModelConfig(k=KGrid(high=300.0))
    assert HaloModelConfig(k=KGrid(high=300.0), camb="pyccl")


def full_after(number):
    """`Shards.write`, until the disk is full."""
    write, written = Shards.write, []

    def failing(self, *shard):
        if len(written) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *shard)
        written.append(shard)

    return failing


class TestCache:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory):
        """A cache with a table of four runs of CAMB, interrupted once."""
        return tmp_path_factory.mktemp("power")

    @pytest.fixture(autouse=True)
    def _here(self, folder, monkeypatch):
        monkeypatch.setenv("HODSPECTRA_CACHE", str(folder))
        without_ray(monkeypatch, power)

    def test_what_was_run_before_an_interruption_is_not_run_again(self, folder, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(Shards, "write", full_after(1))
            with pytest.raises(OSError, match="No space left"):
                linear_power(PYCCL, SPACE)
        runs, ray_map = [], power.ray_map

        def counting(function, items, **options):
            runs.append(len(items))
            return ray_map(function, items, **options)

        monkeypatch.setattr(power, "ray_map", counting)
        table = linear_power(PYCCL, SPACE)
        assert runs == [3]
        assert [path.suffix for path in folder.iterdir()] == [".npz"]  # no shards are left
        k = np.geomspace(0.01, 100, 9)
        ln_P, _ = table(COLUMNS)
        np.testing.assert_allclose(np.exp(ln_P(np.log(k)))[:, 0], camb_power(POINT, k), rtol=1e-5)

    def test_second_time_reads_the_first(self, monkeypatch):
        monkeypatch.setattr(power, "run_camb", None)
        assert isinstance(linear_power(PYCCL, SPACE), LinearPowerTable)

    def test_damaged_one_is_made_again(self, folder, monkeypatch):
        (path,) = folder.glob("*.npz")
        whole = path.read_bytes()
        monkeypatch.setattr(power, "run_camb", lambda box, shards: np.ones((4, box.layout.width)))
        for damage in (whole[:1000], whole[:3000] + bytes(64) + whole[3064:], b""):
            path.write_bytes(damage)
            table = linear_power(PYCCL, SPACE)
            assert table.coefficients.max() == pytest.approx(1)

    def test_another_one_is_not_taken_for_it(self, monkeypatch):
        monkeypatch.setattr(power, "run_camb", lambda box, shards: np.ones((6, box.layout.width)))
        linear_power(HaloModelConfig(camb="pyccl", table_nodes=(3, 2)), SPACE)


def test_node_that_fails_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HODSPECTRA_CACHE", str(tmp_path))

    def failing(function, items, **options):
        yield 0, np.ones(3)
        yield 1, ChildProcessError("killed")

    monkeypatch.setattr(power, "ray_map", failing)
    box = TableBox.of(SPACE, "pyccl", (2, 2))
    with pytest.raises(ChildProcessError, match="CAMB for P_lin, node 1: killed"):
        power.run_camb(box, Shards(tmp_path / "x", {"table": box.key}))
