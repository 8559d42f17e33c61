import json
import resource
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pytest

from datagen import store
from datagen.halomodel import HaloModelConfig
from datagen.header import SIZE, write_header
from datagen.outputs import NUMBERS, output
from datagen.space import Space
from datagen.store import Spectra, StoreError, read_blocks, write_blocks

N, K = 600, 5  # more rows than an HDF5 chunk
METADATA = {
    "model": json.loads(json.dumps(asdict(HaloModelConfig()))),
    "space": Space().as_dict(),
    "design": {"points": N + 2},
    "provenance": {"commit": "none"},
}
WITHOUT_Z = {name: entry for name, entry in METADATA["space"].items() if name != "z"}


@pytest.fixture
def spectra():
    rng = np.random.default_rng(1)
    arrays = {name: rng.random((N, K)) for name in store.STORED}
    arrays |= {name: rng.random(N) for name in NUMBERS}
    k = np.geomspace(0.01, 1, K)
    failed = {3: "why not \N{SNOWMAN}\n", 9: "n_g is not finite"}
    return Spectra(rng.random((N, len(Space().names))), k, arrays, METADATA, failed)


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
        assert file["theta"].attrs["names"].astype(str).tolist() == list(Space().names)
        assert file["theta"].attrs["units"].astype(str).tolist() == list(Space().units.values())
        assert file["k"].attrs["units"] == b"1/Mpc"
        for name in (*store.STORED, *NUMBERS):
            assert file[name].attrs["units"].decode() == output(name).unit


def test_no_text_lies_in_the_heap_of_hdf5_whose_damage_makes_it_loop(path):
    assert b"GCOL" not in path.read_bytes()


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


@pytest.mark.parametrize("rows", [7, 250, N])
def test_blocks_of_any_size_make_the_labels_of_one_write(spectra, tmp_path, rows):
    path = tmp_path / "blocks.h5"
    write_blocks(path, blocks(spectra, rows), N, spectra.k, METADATA, spectra.failed)
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
    with pytest.raises(StoreError, match=f"labels have (more|{N}) rows.* announced"):
        write_blocks(tmp_path / "x.h5", blocks(spectra, 250), announced, spectra.k, METADATA, {})
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_a_wrong_shape_are_named(spectra):
    with pytest.raises(StoreError, match=r"n_g has shape \(3,\), expected \(600,\)"):
        Spectra(spectra.theta, spectra.k, spectra.arrays | {"n_g": np.ones(3)}, {})
    with pytest.raises(StoreError, match=r"theta has shape \(600, 10\), expected \(600, 13\)"):
        Spectra(spectra.theta[:, :10], spectra.k, spectra.arrays, METADATA)


def rewrite(path, change):
    """Alter a label file with HDF5's means, and its header with it, as only our own code would."""
    with h5py.File(path, "r+") as file:
        change(file)
    write_header(path, store.SCHEMA)


@pytest.mark.parametrize("names", [(), ("gg_1h",), None])
def test_whatever_is_altered_is_seen_whatever_is_read(path, names):
    with h5py.File(path, "r+") as file:
        file["mm_1h"][5, 2] *= 1 + 1e-15
    message = "was altered or damaged: its checksum does not match its content; make it again, with"
    with pytest.raises(StoreError, match=message):
        Spectra.read(path, names)
    with pytest.raises(StoreError, match=message):
        next(read_blocks(path))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({name: v for name, v in METADATA.items() if name != "space"}, "metadata lacks space"),
        (METADATA | {"note": 1}, "metadata has the unknown note"),
        (METADATA | {"model": {"k": {}}}, "halo model lacks model, mass_function"),
        (METADATA | {"model": METADATA["model"] | {"z": 0.0}}, "halo model has the unknown z"),
        (METADATA | {"space": Space().as_dict() | {"w": 1}}, "space has the unknown w"),
        (METADATA | {"space": WITHOUT_Z}, "space lacks z"),
        ([], r"metadata is \[\], not a record of model, space, design, provenance"),
    ],
)
def test_metadata_that_lack_something_or_hold_more_are_neither_written_nor_read(
    spectra, path, metadata, message
):
    spectra.metadata = metadata
    with pytest.raises(StoreError, match=f"other.h5: {message}"):
        spectra.write(path.with_name("other.h5"))

    def change(file):
        del file["metadata"]
        file["metadata"] = np.bytes_(json.dumps(metadata))

    rewrite(path, change)
    with pytest.raises(StoreError, match=f"labels.h5: {message}"):
        Spectra.read(path)


def test_missing_file_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"make one with hodspectra generate"):
        Spectra.read(tmp_path / "none.h5")


def make_foreign(path, kind):
    if kind == "text":
        path.write_text("not HDF5")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "zip":
        np.savez(path.open("wb"), x=1)
    else:
        with h5py.File(path, "w") as file:
            file["x"] = 1.0
            file.attrs["schema"] = "hodspectra-labels-3"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "is not a label file"),
        ("empty", "is not a label file; it is empty"),
        ("folder", "is a folder, not a label file"),
        ("zip", "is not a label file; it is a zip archive of an earlier version or of another"),
        ("hdf5", "is not a label file; it is HDF5 of an earlier version or of another program"),
    ],
)
def test_what_is_no_label_file_is_refused_without_advice_to_overwrite_it(tmp_path, kind, message):
    path = tmp_path / "foreign.h5"
    make_foreign(path, kind)
    with pytest.raises(StoreError, match=f"^{path} {message}") as refused:
        Spectra.read(path)
    assert "overwrite" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_what_has_no_end_is_not_read(path):
    with pytest.raises(StoreError, match=f"^{path} is a device, not a label file$"):
        Spectra.read(Path(path))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            "hodspectra-labels-3",
            "is of kind hodspectra-labels-3; this version reads hodspectra-labels-4; make it aga",
        ),
        ("hodspectra-parameters-3", "is of kind hodspectra-parameters-3, not a label file"),
    ],
)
def test_files_of_ours_of_another_kind_or_version_are_refused_by_it(path, schema, message):
    write_header(path, schema)
    with pytest.raises(StoreError, match=message):
        Spectra.read(path)


def test_file_without_an_array_or_with_other_columns_is_refused(path):
    rewrite(path, lambda file: file.pop("gm_1h"))
    with pytest.raises(StoreError, match=r"is not a whole label file .*gm_1h"):
        Spectra.read(path)
    names = np.array(Space().names[::-1], dtype=bytes)
    rewrite(path, lambda file: file["theta"].attrs.modify("names", names))
    with pytest.raises(StoreError, match=r"has columns \['beta', "):
        Spectra.read(path)
    ten = np.array([name for name in Space().names if name not in ("w0", "wa", "z")], dtype=bytes)
    rewrite(path, lambda file: file["theta"].attrs.create("names", ten))
    with pytest.raises(
        StoreError, match=r"has columns .*'n_s', 'alpha',.* expected .*'z', 'alpha'"
    ):
        Spectra.read(path)


def damages(content):
    """Cuts, flipped bits, blocks of zeros and bytes put in, at random places and at the ends."""
    rng = np.random.default_rng(2)
    places = [0, 20, 30, 300, SIZE - 1, SIZE, *rng.integers(0, len(content), 40), len(content) - 1]
    for place in map(int, places):
        flipped, zeroed = bytearray(content), bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        zeroed[place : place + 64] = bytes(len(zeroed[place : place + 64]))
        yield from (content[:place], flipped, zeroed, content[:place] + b"x" + content[place:])
    yield content + b"\0"


def test_all_damage_is_a_store_error_before_hdf5_sees_it(path, tmp_path, monkeypatch):
    content, damaged = path.read_bytes(), tmp_path / "damaged.h5"
    monkeypatch.setattr(h5py, "File", None)
    for bad in damages(content):
        if bytes(bad) == content:  # zeros in place of zeros
            continue
        damaged.write_bytes(bad)
        with pytest.raises(StoreError, match=str(damaged)):
            Spectra.read(damaged)


def test_labels_that_memory_does_not_hold_are_refused_by_name(path, monkeypatch):
    def full(*_):
        raise MemoryError("1 TiB")

    monkeypatch.setattr(h5py, "File", full)
    with pytest.raises(StoreError, match="labels.h5 does not fit into memory .1 TiB"):
        Spectra.read(path)


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
