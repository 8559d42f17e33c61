"""Whatever is killed, broken or full: the same command goes on, and the file is the same."""

import errno
import re
import resource
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import ray as ray_library
from support.coarse import MODEL, SHARD, SPACE, command_line, make, shards_of, start

from datagen import generate as generate_module
from datagen import request as request_module
from datagen.design import Design
from datagen.generate import generate
from datagen.halomodel import KGrid
from datagen.shards import Shards
from datagen.space import Range
from datagen.store import Spectra


def full_after(number):
    """`Shards.write`, until the disk is full."""
    write, written = Shards.write, []

    def failing(self, *shard):
        if len(written) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *shard)
        written.append(shard)

    return failing


@pytest.fixture(scope="module")
def stopped(table, tmp_path_factory):
    """A run of four shards on a disk that took two of them."""
    out = tmp_path_factory.mktemp("stopped") / "labels.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shards, "write", full_after(2))
        with pytest.raises(OSError, match="No space left on device"):
            make(out, 4 * SHARD)
    assert not out.exists()
    assert len(shards_of(out)) == 2
    return out


@pytest.fixture
def interrupted(stopped, tmp_path):
    """A copy of what it left."""
    shutil.copytree(stopped.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "labels.h5"


@pytest.mark.slow
def test_killed_three_times_and_resumed_it_is_the_file_of_an_uninterrupted_run(
    ray, table, tmp_path
):
    points = 40 * SHARD
    whole, out = tmp_path / "whole.h5", tmp_path / "killed.h5"
    make(whole, points)
    address = ray_library.get_runtime_context().gcs_address
    command = command_line(out, points, "--ray.address", address)
    survived = []
    for _ in range(3):
        before = set(shards_of(out))
        run = start(command)
        while len(shards_of(out)) < len(before) + 3:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        run.stderr.close()
        assert before <= set(shards_of(out))  # nothing that was done is lost
        assert not out.exists()
        survived.append(len(shards_of(out)))
    assert 3 <= survived[0] < survived[1] < survived[2] < 40
    run = start(command)
    bar = run.communicate()[1]
    assert run.returncode == 0
    assert f"{survived[2] * SHARD}/{points}" in bar  # the bar starts from what is there
    assert Spectra.read(out).hash() == Spectra.read(whole).hash()
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "killed.h5", "killed.yaml", "whole.h5",
    ]  # fmt: skip


def test_a_failed_write_keeps_the_shards_and_the_same_command_goes_on(
    interrupted, four_shards, capsys
):
    make(interrupted, 4 * SHARD)
    printed = capsys.readouterr()
    assert "resuming: 2 of 4 shards are there" in printed.out
    assert f"{2 * SHARD}/{4 * SHARD}" in printed.err
    assert interrupted.read_bytes() == four_shards.read_bytes()


def test_a_full_disk_leaves_whole_shards_and_nothing_partial(table, tmp_path, four_shards):
    """The limit on file sizes fails a write in its middle just as a full disk does."""
    out, limits = tmp_path / "labels.h5", resource.getrlimit(resource.RLIMIT_FSIZE)
    for size, message in ((5_000, "File too large"), (50_000, "File too large.*labels.h5")):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))  # a shard: 17 kB
        try:
            with pytest.raises(OSError, match=message):
                make(out, 4 * SHARD)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not list(tmp_path.glob("**/*.partial"))
        assert len(shards_of(out)) == (0 if size < 17_000 else 4)
        assert not out.exists()
    assert make(out, 4 * SHARD).read_bytes() == four_shards.read_bytes()


def damaged(path, damage):
    """The content of a shard, damaged."""
    content = bytearray(path.read_bytes())
    if damage == "flipped byte":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[-100:]
    elif damage == "empty":
        content.clear()
    elif damage == "of other points":
        content = bytearray(sorted(path.parent.glob("[0-9]*.npz"))[1].read_bytes())
    else:  # of another request, under the same name
        other = Shards(path.parent.with_name("other"), {"another": "request"})
        other.write(int(path.stem), {"n_g": np.ones(SHARD)}, {})
        content = bytearray((other.folder / path.name).read_bytes())
    return content


@pytest.mark.parametrize(
    "damage", ["flipped byte", "cut", "empty", "of other points", "of another request"]
)
def test_a_damaged_shard_is_computed_again(interrupted, four_shards, damage):
    path = shards_of(interrupted)[0]
    path.write_bytes(damaged(path, damage))
    make(interrupted, 4 * SHARD)
    assert interrupted.read_bytes() == four_shards.read_bytes()


NARROW = replace(SPACE, beta=Range(0.5, 1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"design": Design(150)}, "design.points is 200, not 150"),
        ({"design": Design(200, seed=2)}, "design.seed is 1, not 2"),
        ({"space": NARROW}, "space.beta.high is 2.0, not 1.0; space.beta.low is 0.1, not 0.5"),
        ({"model": replace(MODEL, k=KGrid(points=5))}, "model.k.points is 4, not 5"),
        ({"space": replace(SPACE, z=Range(0.0, 2.0))}, "space.z.high is 1.0, not 2.0"),
        ({"model": replace(MODEL, log10M_min=9.0)}, "model.log10M_min is 10.0, not 9.0"),
    ],
)
def test_shards_of_another_request_are_not_mixed_in(interrupted, changes, message):
    request = {"design": Design(200), "space": SPACE, "model": MODEL} | changes
    before = [path.read_bytes() for path in shards_of(interrupted)]
    with pytest.raises(ValueError, match=re.escape(f"shards of another request ({message}")):
        generate(interrupted, **request)
    assert [path.read_bytes() for path in shards_of(interrupted)] == before


def test_shards_of_another_version_are_not_mixed_in(interrupted, monkeypatch):
    made_by = request_module.maker(request_module.LIBRARIES, request_module.MODULES)
    for name in made_by:  # whatever the commit says, of a tree that was edited or installed
        changed = made_by | {name: "another"}
        monkeypatch.setattr(request_module, "maker", lambda *_, changed=changed: changed)
        with pytest.raises(ValueError, match=rf"made_by.{name} is .*, not another"):
            make(interrupted, 4 * SHARD)


def test_overwrite_discards_shards_of_another_request(interrupted, four_shards):
    seven = {"design": Design(4 * SHARD, seed=7), "space": SPACE, "model": MODEL}
    with pytest.raises(ValueError, match="pass --overwrite true to discard them"):
        generate(interrupted, **seven)
    generate(interrupted, **seven, overwrite=True)
    assert Spectra.read(interrupted).metadata["design"]["seed"] == 7


def test_a_request_without_a_finished_shard_is_in_nobodys_way(table, tmp_path, monkeypatch):
    out = tmp_path / "labels.h5"
    with monkeypatch.context() as patch:
        patch.setattr(Shards, "write", full_after(0))
        with pytest.raises(OSError, match="No space left"):
            make(out, 20)
    assert list(tmp_path.iterdir()) == []
    Shards(tmp_path / "labels.h5.shards", {"another": "request"}).write(0, {}, {})
    shards_of(out)[0].write_bytes(b"")  # damaged, as the only one
    make(out, 20)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "deep", "list", "bytes"])
def test_a_damaged_request_costs_no_shard(interrupted, four_shards, capsys, damage):
    path = shards_of(interrupted)[0].with_name("request.json")
    text = path.read_text()
    content = {"empty": "", "cut": text[:100], "flipped": text.replace("lhs", "lhr"),
               "deep": "[" * 100_000, "list": "[]", "bytes": ""}[damage]  # fmt: skip
    path.write_bytes(b"\xff\xfe" if damage == "bytes" else content.encode())
    make(interrupted, 4 * SHARD)
    assert "resuming: 2 of 4 shards are there" in capsys.readouterr().out
    assert interrupted.read_bytes() == four_shards.read_bytes()


def test_of_a_damaged_request_shards_of_another_one_stay(interrupted):
    shards_of(interrupted)[0].with_name("request.json").write_text("{}")
    with pytest.raises(ValueError, match=r"another request .request.json is damaged."):
        make(interrupted, 3 * SHARD)
    assert len(shards_of(interrupted)) == 2


def test_nothing_but_shards_is_cleared_away(interrupted):
    note = shards_of(interrupted)[0].with_name("note.txt")
    note.write_text("of the user")
    make(interrupted, 4 * SHARD)
    assert list(note.parent.iterdir()) == [note]


def test_a_finished_file_leaves_shards_of_another_request_alone(four_shards, tmp_path):
    out = tmp_path / "labels.h5"
    out.write_bytes(four_shards.read_bytes())
    Shards(tmp_path / "labels.h5.shards", {"another": "request"}).write(0, {}, {})
    make(out, 4 * SHARD)
    assert len(shards_of(out)) == 1


def test_what_a_kill_left_behind_is_cleared_away(interrupted, four_shards):
    left = interrupted.with_name(".labels.h5.0123456789abcdef.partial")
    left.write_bytes(b"half a label file")
    request = (shards_of(interrupted)[0].parent / "request.json").read_bytes()
    make(interrupted, 4 * SHARD)
    assert [path.name for path in interrupted.parent.iterdir()] == ["labels.h5"]
    folder = interrupted.with_name("labels.h5.shards")  # killed between label file and clearing
    folder.mkdir()
    (folder / "request.json").write_bytes(request)
    make(interrupted, 4 * SHARD)
    assert not folder.exists()


def test_an_extension_that_was_interrupted_goes_on(table, tmp_path, monkeypatch):
    paths = [tmp_path / f"{name}.h5" for name in ("a", "b")]
    for path in paths:
        make(path, 60, method="sobol")
    with monkeypatch.context() as patch:
        patch.setattr(generate_module, "write_blocks", None)
        with pytest.raises(TypeError):
            make(paths[0], 140, method="sobol")
    assert len(Spectra.read(paths[0])) == 60  # the old file until the new one is whole
    for path in paths:
        make(path, 140, method="sobol")
    assert paths[0].read_bytes() == paths[1].read_bytes()
