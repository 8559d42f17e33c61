import resource

import h5py
import numpy as np
import pytest

from datagen import store
from datagen.halomodel import DERIVED
from datagen.space import PARAMETERS, UNITS
from datagen.store import Spectra, StoreError, read_blocks, write_blocks

N, K = 600, 5  # more rows than an HDF5 chunk


@pytest.fixture
def spectra():
    rng = np.random.default_rng(1)
    arrays = {name: rng.random((N, K)) for name in store.STORED}
    arrays |= {name: rng.random(N) for name in DERIVED}
    metadata = {"model": {"z": 0.0}, "design": {"points": N + 2}}
    k = np.geomspace(0.01, 1, K)
    return Spectra(rng.random((N, 10)), k, arrays, metadata, {3: "why not", 9: "n_g is not finite"})


@pytest.fixture
def path(spectra, tmp_path):
    spectra.write(tmp_path / "labels.h5")
    return tmp_path / "labels.h5"


def blocks(spectra, rows):
    arrays = {**spectra.arrays, "theta": spectra.theta}
    for start in range(0, len(spectra), rows):
        yield {name: array[start : start + rows] for name, array in arrays.items()}


def test_what_is_written_is_read(spectra, path):
    read = Spectra.read(path)
    np.testing.assert_array_equal(read.theta, spectra.theta)
    np.testing.assert_array_equal(read.k, spectra.k)
    assert read.arrays.keys() == spectra.arrays.keys()
    for name, array in spectra.arrays.items():
        np.testing.assert_array_equal(read[name], array)
    assert read.metadata == spectra.metadata
    assert read.failed == spectra.failed
    assert read.hash() == spectra.hash()


def test_units_and_names_stand_in_the_file(path):
    with h5py.File(path) as file:
        assert list(file["theta"].attrs["names"]) == list(PARAMETERS)
        assert list(file["theta"].attrs["units"]) == list(UNITS.values())
        assert file["k"].attrs["units"] == "1/Mpc"
        assert {file[name].attrs["units"] for name in store.STORED} == {"Mpc^3"}
        assert {name: file[name].attrs["units"] for name in DERIVED} == DERIVED


def test_totals_are_the_sums_of_their_terms(spectra):
    np.testing.assert_array_equal(spectra["gg_total"], spectra["gg_1h"] + spectra["gg_2h"])
    with pytest.raises(KeyError, match="no spectrum 'gx_total'; there are P_lin, mm_1h"):
        spectra["gx_total"]


def test_selected_rows_are_labels_of_their_own(spectra):
    rows = np.array([5, 2])
    part = spectra.select(rows)
    np.testing.assert_array_equal(part["mm_2h"], spectra["mm_2h"][rows])
    np.testing.assert_array_equal(part.theta, spectra.theta[rows])
    assert part.hash() != spectra.hash()


def test_reading_some_spectra_loads_only_these_and_keeps_the_hash_of_all(spectra, path):
    read = Spectra.read(path, names=["gg_total", "n_g"])
    assert set(read.arrays) == {"gg_1h", "gg_2h", "n_g"}
    np.testing.assert_array_equal(read["gg_total"], spectra["gg_total"])
    assert read.hash() == spectra.hash()
    with pytest.raises(KeyError, match="mm_1h was not read; there are gg_1h, gg_2h, n_g"):
        read["mm_total"]
    with pytest.raises(KeyError, match="no spectrum 'gg_3h'; there are"):
        Spectra.read(path, names=["gg_3h"])
    with pytest.raises(StoreError, match="labels lack P_lin, mm_1h"):
        read.write(path.with_name("part.h5"))
    assert not path.with_name("part.h5").exists()


def test_damage_is_seen_where_it_is_read_and_only_there(spectra, path):
    with h5py.File(path, "r+") as file:
        file["mm_1h"][5, 2] *= 1 + 1e-15
    assert Spectra.read(path, names=["gg_1h"]).hash() == spectra.hash()
    with pytest.raises(StoreError, match="was altered: the checksum of mm_1h does not match"):
        Spectra.read(path)
    with pytest.raises(StoreError, match="was altered: the checksum of mm_1h does not match"):
        list(read_blocks(path))


@pytest.mark.parametrize("rows", [7, 250, N])
def test_blocks_of_any_size_make_the_labels_of_one_write(spectra, tmp_path, rows):
    path = tmp_path / "blocks.h5"
    write_blocks(path, blocks(spectra, rows), N, spectra.k, spectra.metadata, spectra.failed)
    read = Spectra.read(path)
    assert read.hash() == spectra.hash()
    assert (read.metadata, read.failed) == (spectra.metadata, spectra.failed)


def test_equal_labels_are_equal_files(spectra, path):
    spectra.write(path.with_name("again.h5"))
    assert path.with_name("again.h5").read_bytes() == path.read_bytes()


def test_a_file_read_in_blocks_is_the_file(spectra, path):
    parts = list(read_blocks(path, rows=250))
    assert [len(part["theta"]) for part in parts] == [250, 250, 100]
    for name, array in {**spectra.arrays, "theta": spectra.theta}.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), array)


@pytest.mark.parametrize("announced", [N - 1, N + 1])
def test_rows_that_do_not_come_or_come_unannounced_are_an_error(spectra, tmp_path, announced):
    with pytest.raises(StoreError, match=f"rows of labels .* (announced|{N})"):
        write_blocks(tmp_path / "x.h5", blocks(spectra, 250), announced, spectra.k, {}, {})
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_a_wrong_shape_are_named(spectra):
    with pytest.raises(StoreError, match=r"n_g has shape \(3,\), expected \(600,\)"):
        Spectra(spectra.theta, spectra.k, spectra.arrays | {"n_g": np.ones(3)}, {})


def alter(path, what):
    with h5py.File(path, "r+") as file:
        if what == "metadata":
            file.attrs["metadata"] = file.attrs["metadata"].replace('"z": 0.0', '"z": 1.0')
        elif what == "failed":
            file["failed/index"][0] = 4
        elif what == "checksum of an array":
            file["k"].attrs["sha256"] = "0" * 64


@pytest.mark.parametrize("what", ["metadata", "failed", "checksum of an array"])
def test_whatever_is_altered_is_seen_before_an_array_is_read(path, what):
    alter(path, what)
    with pytest.raises(StoreError, match="was altered: its checksum does not match its content"):
        Spectra.read(path, names=())


def test_missing_file_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"make one with python -m datagen\.generate"):
        Spectra.read(tmp_path / "none.h5")


def test_foreign_truncated_and_other_schema_are_refused(path, tmp_path):
    foreign, cut = tmp_path / "foreign.h5", tmp_path / "cut.h5"
    foreign.write_text("not HDF5")
    cut.write_bytes(path.read_bytes()[:-1000])
    for damaged in (foreign, cut):
        with pytest.raises(StoreError, match=f"{damaged} is not a whole label file"):
            Spectra.read(damaged)
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = "hodspectra-labels-0"
    with pytest.raises(StoreError, match="has schema 'hodspectra-labels-0', this version reads"):
        Spectra.read(path)
    with h5py.File(foreign, "w") as file:
        file["x"] = 1.0
    with pytest.raises(StoreError, match="has schema None, this version reads"):
        Spectra.read(foreign)


def test_file_without_an_array_or_with_other_columns_is_refused(path):
    with h5py.File(path, "r+") as file:
        del file["gm_1h"]
    with pytest.raises(StoreError, match=r"is not a whole label file .*gm_1h"):
        Spectra.read(path)
    with h5py.File(path, "r+") as file:
        file["theta"].attrs["names"] = list(reversed(PARAMETERS))
    with pytest.raises(StoreError, match=r"has columns \['beta', "):
        Spectra.read(path)


def test_no_byte_can_be_lost_unseen(path, spectra, tmp_path):
    """Every cut and every flipped byte is a StoreError, or leaves all content as it was."""
    whole, damaged = path.read_bytes(), tmp_path / "damaged.h5"
    rng = np.random.default_rng(2)
    for position in rng.integers(0, len(whole), 150):
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        damaged.write_bytes(flipped)
        try:
            read = Spectra.read(damaged)
        except StoreError:
            continue
        assert read.hash() == spectra.hash()
        assert (read.metadata, read.failed) == (spectra.metadata, spectra.failed)


@pytest.mark.parametrize("size", [0, 3000, 100_000, 200_000])
def test_a_disk_that_takes_no_more_is_an_os_error_and_leaves_the_old_file(spectra, path, size):
    """The limit on file sizes fails a write just as a full disk does."""
    old, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            spectra.write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == old
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
