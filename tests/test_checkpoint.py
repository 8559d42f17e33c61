"""Checkpoints: whole or not at all, of one training only, and nothing in them runs."""

import errno
import os
import pickle
import resource

import pytest
import torch

from datagen.record import combined_hash
from emulator.checkpoint import CheckpointError, Checkpoints

KEY, OTHER = (combined_hash({"labels": name}) for name in ("ours", "theirs"))
STATE = {
    "epoch": 3,
    "weights": {"a": torch.arange(1000.0)},
    "best": float("inf"),
    "epochs": [{"lr": 1e-3, "stage": 0}],
}


@pytest.fixture
def last(tmp_path):
    """A checkpoint."""
    Checkpoints(KEY).save_checkpoint(STATE, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_what_was_written_is_read(last):
    found = Checkpoints(KEY).load_checkpoint(last)
    assert torch.equal(found.pop("weights")["a"], STATE["weights"]["a"])
    assert found == {name: value for name, value in STATE.items() if name != "weights"}
    assert Checkpoints(KEY).usable(last) == last
    assert last.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_there_is_none_to_begin_with(tmp_path):
    assert Checkpoints(KEY).usable(tmp_path / "last.ckpt") is None
    assert Checkpoints(KEY).usable(None) is None


def test_that_of_another_training_is_refused(last):
    with pytest.raises(CheckpointError, match="with other labels, settings or code; choose"):
        Checkpoints(OTHER).usable(last)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "it does not begin as a checkpoint does"),
        (lambda content: content[:-7], "its checksum does not match"),
        (lambda content: content[:50], "its checksum does not match"),
        (lambda content: content[:3000] + bytes(64) + content[3064:], "its checksum does not"),
        (
            lambda content: content.replace(Checkpoints(KEY).key, Checkpoints(OTHER).key),
            "its checksum does not",
        ),
    ],
)
def test_a_damaged_one_is_passed_over_with_a_word(last, capsys, damage, message):
    last.write_bytes(damage(last.read_bytes()))
    assert Checkpoints(KEY).usable(last) is None
    printed = capsys.readouterr().out
    assert f"{last} is damaged ({message}" in printed
    assert printed.count("\n") == 1


class Bomb:
    """What runs when it is unpickled, where that is allowed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_in_one_runs(tmp_path, capsys):
    """As a bare pickle, as torch writes it, and even with our seal and key."""
    bomb, last = Bomb(tmp_path / "ran"), tmp_path / "last.ckpt"
    last.write_bytes(pickle.dumps(bomb))
    assert Checkpoints(KEY).usable(last) is None
    torch.save({"state_dict": bomb}, last)
    assert Checkpoints(KEY).usable(last) is None
    Checkpoints(KEY).save_checkpoint({"state_dict": bomb}, last)
    assert Checkpoints(KEY).usable(last) is None
    assert "it holds more than arrays and numbers" in capsys.readouterr().out
    assert not bomb.path.exists()


def test_a_full_disk_keeps_the_one_before(last):
    """The limit on file sizes fails a write in its middle just as a full disk does."""
    before, limits = last.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    more = STATE | {"weights": {"a": torch.zeros(100_000)}}
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError) as full:  # noqa: PT011 (its number is looked at)
            Checkpoints(KEY).save_checkpoint(more, last)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (full.value.errno, full.value.filename) == (errno.EFBIG, str(last))
    assert last.read_bytes() == before
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]


def test_only_the_folder_of_the_run_is_written_to(last, tmp_path, monkeypatch):
    """Not one for temporary files, from which a checkpoint would be copied, not moved."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    monkeypatch.setattr("tempfile.tempdir", None)
    Checkpoints(KEY).save_checkpoint(STATE, last)
    assert Checkpoints(KEY).usable(last) == last
