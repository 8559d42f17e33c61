"""The README: its numbers come from a report, its code runs."""

import importlib
import re
from pathlib import Path

import pytest
from pages import executed
from readme import BLOCK, pages, rendered

from export.shipped import shipped
from hodspectra.commands import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_tables_are_what_the_commands_printed(page):
    text = page.read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == len(re.findall(r"<!-- (benchmarks|export)\.", text))
    for module, result, table in blocks:
        assert table == rendered(module, result)


def test_every_emulator_that_ships_has_its_card():
    cards = BLOCK.findall((ROOT / "docs/cards.md").read_text())
    assert {result for _, result, _ in cards} == {f"export/models/{n}.onnx" for n in shipped()}


def test_code_runs(tmp_path):
    text = executed(ROOT / "README.md", README, tmp_path)
    assert text.count("```text\n[") == 1 + README.count("```text\n[")


def test_every_command_exists_and_explains_itself(capsys):
    commands = set(re.findall(r"`hodspectra ([a-z][\w-]*)`", README))
    assert len(commands) >= 5
    for command in commands:
        module = COMMANDS[command].module
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(module).main(["--help"])
        assert stop.value.code == 0
        assert f"usage: python -m {module}" in capsys.readouterr().out


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_file_it_points_to_exists(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith(("http", "runs/")):  # the latter are made by the page's own code
            assert (page.parent / target).exists(), target
