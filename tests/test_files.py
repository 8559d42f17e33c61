"""Files whole or not at all, with the usual mode, and one writer at a time."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datagen.design import Design, Points
from datagen.files import BusyError, atomic, exclusive
from datagen.header import HeaderError, check_replaceable, kind_of, read_arrays, write_arrays
from datagen.shards import Shards
from datagen.space import Space

ROOT = Path(__file__).resolve().parent.parent
HOLDER = """
import sys, time
from pathlib import Path
from datagen.files import exclusive
with exclusive(Path(sys.argv[1]), folder=sys.argv[2] == "folder"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def umask():
    """Sets the mask of this process."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def private(path):
    """A writer that takes a file of its own, and its own mode, as safetensors and mkstemp do."""
    path.unlink()
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


WRITERS = {
    "text": lambda path: path.write_text("x"),
    "private": private,
    "descriptor": lambda path: path.open("wb").close(),
}


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_files_have_the_mode_that_umask_says(tmp_path, umask, mask, write):
    umask(mask)
    out = tmp_path / "new" / "folder" / "x"
    with atomic(out) as partial:
        write(partial)
    assert mode(out) == 0o666 & ~mask
    assert mode(out.parent) == mode(out.parent.parent) == 0o777 & ~mask


def test_what_datagen_writes_can_be_read_by_a_colleague(tmp_path, umask):
    for name in ("points.h5", "points.csv"):
        Points.of(Design(2), Space()).write(tmp_path / "runs" / name)
    Shards(tmp_path / "runs" / "x.shards", {}).write(0, {"x": np.ones(2)}, {})
    for path in tmp_path.rglob("*"):
        assert mode(path) == (0o755 if path.is_dir() else 0o644), path


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    out = tmp_path / "x"
    out.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(out) as partial:
        partial.write_text(f"ne{1 / 0}")
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_where_a_link_leads_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "labels", tmp_path / "labels"
    target.write_text("old")
    link.symlink_to(target)
    with atomic(link) as partial:
        assert partial.parent == target.parent
        partial.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("what", ["folder", "device"])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path, what):
    path = tmp_path if what == "folder" else Path("/dev/null")
    with pytest.raises(OSError, match=f"{path} is not a file that could be replaced"), atomic(path):
        raise AssertionError
    assert path.is_dir() if what == "folder" else path.is_char_device()


def hold(path, kind):
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), kind],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_process_is_refused_until_the_first_one_dies_however(tmp_path, kind):
    path = tmp_path / "out"
    with hold(path, kind) as process:
        message = f"^{path} is being written by process {process.pid} on .*; wait until that ends"
        for name in (path, tmp_path / "x" / ".." / "out"):  # by whatever name
            with pytest.raises(BusyError, match="is being written by process"), \
                    exclusive(name, folder=kind == "folder"):  # fmt: skip
                raise AssertionError
        with pytest.raises(BusyError, match=message), exclusive(path, folder=kind == "folder"):
            raise AssertionError
        process.send_signal(signal.SIGKILL)
        process.wait()
    with exclusive(path, folder=kind == "folder"):
        pass
    assert not [left for left in tmp_path.rglob("*") if left.is_file()]


def test_different_files_of_a_folder_do_not_wait_for_each_other(tmp_path):
    with exclusive(tmp_path / "a"), exclusive(tmp_path / "b"), exclusive(tmp_path, folder=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_and_what_belongs_to_others_stays(tmp_path):
    number = "0123456789abcdef"
    own = tmp_path / f".out.{number}.partial"
    others = [tmp_path / f".out.bak.{number}.partial", tmp_path / ".out.partial", tmp_path / "out"]
    for path in (own, *others):
        path.write_text("x")
    with exclusive(tmp_path / "out"):
        assert sorted(p for p in tmp_path.iterdir() if p.suffix != ".lock") == sorted(others)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / own.name).write_text("x")
    with exclusive(tmp_path, folder=True):
        assert not list(tmp_path.rglob(f".*{number}.partial"))
    assert others[-1].exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_trusted(tmp_path, monkeypatch, code):
    def none(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    with exclusive(tmp_path / "x"):
        (tmp_path / "x").write_text("x")
    assert (tmp_path / "x").exists()


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """The one who held it removes the file just before the one who waits locks what is left."""
    flock, calls = fcntl.flock, []

    def late(file, operation):
        if not calls:
            (tmp_path / ".x.lock").unlink()
        calls.append(operation)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with exclusive(tmp_path / "x"):
        assert (tmp_path / ".x.lock").exists()
    assert len(calls) == 2


def test_arrays_are_read_whole_or_not_at_all(tmp_path):
    path, rng = tmp_path / "x.npz", np.random.default_rng(1)
    write_arrays(path, "hodspectra-test-1", {"a": np.arange(50.0), "text": "why"})
    arrays = read_arrays(path, "hodspectra-test-1")
    np.testing.assert_array_equal(arrays["a"], np.arange(50.0))
    assert str(arrays["text"]) == "why"
    assert read_arrays(path, "hodspectra-test-2") is None
    whole = path.read_bytes()
    for place in map(int, rng.integers(0, len(whole), 100)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        for bad in (flipped, whole[:place]):
            path.write_bytes(bad)
            assert read_arrays(path, "hodspectra-test-1") is None


def test_files_say_what_they_are(tmp_path):
    for name in ("points.h5", "points.csv"):
        Points.of(Design(2), Space()).write(tmp_path / name)
        assert kind_of(tmp_path / name) == "hodspectra-parameters-3"
        with pytest.raises(FileExistsError, match="exists; pass --overwrite true or another --out"):
            check_replaceable(tmp_path / name, "hodspectra-parameters-9", "parameter file", False)
        check_replaceable(tmp_path / name, "hodspectra-parameters-9", "parameter file", True)
        with pytest.raises(FileExistsError, match="is not a label file, so it is kept"):
            check_replaceable(tmp_path / name, "hodspectra-labels-4", "label file", True)
    (tmp_path / "text").write_text("hodspectra is a package")
    assert kind_of(tmp_path / "text") == ""
    assert issubclass(HeaderError, ValueError)  # a user's error
