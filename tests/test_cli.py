"""The command lines: shipped configurations are valid, mistakes are named, exit status 2."""

import importlib
from pathlib import Path

import pytest
import yaml

from datagen.cli import run

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted((ROOT / "configs").glob("**/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_configurations_are_valid(path, capsys):
    # the first line of each says which command it is for
    command = path.read_text().split("python -m ", 1)[1].split()[0]
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(command).main(["--config", str(path), "--print_config"])
    assert stop.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    given = yaml.safe_load(path.read_text())
    assert printed["out"] == given["out"]


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        ("datagen.generate", ["--out", "x.h5", "--design.poits", "3"], "design.poits"),
        ("datagen.generate", ["--out", "x.h5", "--design.points", "many"], "many"),
        ("emulator.train", ["--data", "x", "--out", "y", "--train.network.layer", "3"], "layer"),
        ("tuning.search", ["--data", "x", "--out", "y", "--budget.trials", "0"], "trials = 0"),
        ("tuning.search", ["--data", "x", "--out", "y", "--sampler", "guess"], "guess"),
        ("export.to_onnx", ["--out", "y"], "emulator"),
        ("benchmarks.report", ["--emulator", "x", "--foo", "1"], "foo"),
    ],
)
def test_mistakes_are_named(command, arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(command).main(arguments)
    assert stop.value.code == 2 or named in str(stop.value)
    assert named in capsys.readouterr().err + str(stop.value)


def test_unknown_key_in_a_file_is_named(tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text("out: x.h5\ndesign:\n  pionts: 3\n")
    with pytest.raises(SystemExit) as stop:
        importlib.import_module("datagen.generate").main(["--config", str(path)])
    assert stop.value.code == 2
    assert "pionts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "arguments", "found"),
    [
        ("names+", ["a", "b", "--count", "2"], (["a", "b"], 2)),
        ("names+", ["--names", "[c]"], (["c"], 1)),
        ("", ["--names", "[c, d]"], (["c", "d"], 1)),
    ],
)
def test_words_before_the_first_option_are_values(words, arguments, found):
    def command(names: list[str], count: int = 1) -> tuple[list[str], int]:
        return names, count

    assert run(command, "x", arguments, words) == found


def test_a_single_word_is_not_two(capsys):
    def command(name: str) -> str:
        return name

    assert run(command, "x", ["a"], "name") == "a"
    with pytest.raises(SystemExit, match="2"):
        run(command, "x", ["a", "b"], "name")
    assert "usage: x NAME [--config FILE]" in capsys.readouterr().err
