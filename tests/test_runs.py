"""Run folders: kept by content and not by path, never in the way, one command at a time."""

import json
import re
import shutil

import pytest
import yaml

from datagen.record import combined_hash
from emulator.runs import check_run_config, run_lock

LABELS, OTHER = (combined_hash({"labels": name}) for name in ("ours", "theirs"))
CONFIG = {"data": "a/labels.h5", "out": "a/run", "train": {"terms": ("1h", "2h"), "seed": 1}}


def check(folder, labels=LABELS, begun=True, **changes):
    """A command in a folder."""
    return check_run_config(
        folder, CONFIG | changes, {"labels": labels}, paths=("data", "out"), begun=begun
    )


def test_the_same_goes_on_and_another_is_refused(tmp_path):
    check(tmp_path, begun=False)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["train"]["terms"] == ["1h", "2h"]
    check(tmp_path)
    with pytest.raises(ValueError, match=r"other settings \(train.seed is 1, not 2\); repeat them"):
        check(tmp_path, train=CONFIG["train"] | {"seed": 2})
    different = f"labels is {LABELS[:12]}..., not {OTHER[:12]}..."
    with pytest.raises(ValueError, match=re.escape(different)):
        check(tmp_path, labels=OTHER)
    check(tmp_path)  # a refusal changes nothing


def test_paths_are_not_what_a_run_is(tmp_path):
    check(tmp_path / "a", begun=False)
    shutil.move(tmp_path / "a", tmp_path / "b")
    check(tmp_path / "b", data="/elsewhere/copy.h5", out=str(tmp_path / "b"))
    config = yaml.safe_load((tmp_path / "b" / "config.yaml").read_text())
    assert config["data"] == "/elsewhere/copy.h5"  # so that it repeats the run as it is now


def test_a_run_that_came_to_nothing_gives_way(tmp_path):
    assert not check(tmp_path, begun=False)
    assert check(tmp_path, begun=False, train={"terms": ("1h",), "seed": 1})
    assert not check(tmp_path, train={"terms": ("1h",), "seed": 1})
    assert json.loads((tmp_path / "request.json").read_text())["train"]["terms"] == ["1h"]


def test_a_configuration_from_elsewhere_is_not_overwritten(tmp_path):
    (tmp_path / "config.yaml").write_text("# mine\n")
    with pytest.raises(ValueError, match=r"config\.yaml is of an older version or was put there"):
        check(tmp_path, begun=False)
    assert (tmp_path / "config.yaml").read_text() == "# mine\n"


def test_a_damaged_request_is_named(tmp_path):
    check(tmp_path, begun=False)
    (tmp_path / "request.json").write_bytes(b"")
    with pytest.raises(ValueError, match=r"request\.json is damaged .*choose another folder"):
        check(tmp_path)


def test_a_second_command_is_kept_out(tmp_path):
    folder = tmp_path / "run"
    with (
        run_lock(folder, "training"),
        pytest.raises(ValueError, match="another training runs in .*run: .*process"),
        run_lock(folder, "training"),
    ):
        pass
    with run_lock(folder, "training"):
        pass
    assert not folder.exists()  # nothing came of it
