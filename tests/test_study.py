"""What every study has: one command line, one meaning of its options, one way to be written."""

import importlib
import json
from inspect import signature
from pathlib import Path

import pytest
from readme import BLOCK, pages

from benchmarks.study import Study
from datagen.figures import new_figure
from datagen.files import BusyError, exclusive

ROOT = Path(__file__).resolve().parent.parent
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
    if "\nSTUDY = " in path.read_text()
]
STORED = [(m, r) for page in pages() for m, r, _ in BLOCK.findall(page.read_text())]


def squares(data: Path, points: int = 3, seed: int = 1) -> dict:
    """Squares of some numbers.

    Args:
        data: A file.
        points: How many.
        seed: Of nothing.
    """
    if points < 1:
        raise ValueError(f"points = {points} must be at least 1")
    return {"squares": [n * n for n in range(points)]}


def keeps(out: Path, points: int = 3) -> dict:
    """Write a file by itself.

    Args:
        out: Folder for it.
        points: How many.
    """
    (out / "kept").write_text("x" * points)
    return {"squares": [points]}


def table(result: dict) -> str:
    return " ".join(map(str, result["squares"]))


def figures(result: dict) -> dict:
    figure = new_figure(1, 1)
    figure.subplots().plot(result["squares"])
    return {"curve": figure}


STUDY = Study("squares", squares, table, figures)


def test_a_study_is_measured_written_and_printed(tmp_path, capsys):
    STUDY.main(["--data", "a/b.h5", "--points", "4", "--out", str(tmp_path)])
    assert capsys.readouterr().out == f"0 1 4 9\n\n{tmp_path}\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "squares.json", "squares.md", "curve.png", "curve.pdf"
    }  # fmt: skip
    assert (tmp_path / "squares.md").read_text() == "0 1 4 9\n"
    stored = json.loads((tmp_path / "squares.json").read_text())
    assert stored["squares"] == [0, 1, 4, 9]
    assert stored["settings"] == {"data": "b.h5", "points": 4, "seed": 1}
    assert {"machine", "python", "commit", "code", "numpy"} <= stored["environment"].keys()
    assert table(stored) == "0 1 4 9"


def test_no_path_of_this_machine_is_stored(tmp_path):
    file = tmp_path / "labels.h5"
    STUDY.run(tmp_path / "out", data=file)
    assert str(tmp_path) not in (tmp_path / "out" / "squares.json").read_text()


def test_what_is_wrong_ends_in_one_line_and_leaves_no_folder(tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="2"):
        STUDY.main(["--data", "a", "--points", "0", "--out", str(out)])
    assert (
        capsys.readouterr().err == f"python -m {__name__}: error: points = 0 must be at least 1\n"
    )
    assert not out.exists()


def test_results_do_not_go_where_something_else_is(tmp_path):
    file = tmp_path / "emulator.onnx"
    file.write_text("an emulator")
    for out in (file, tmp_path / "results.json"):
        with pytest.raises(ValueError, match=f"out = {out} must be a folder, for squares.json"):
            STUDY.run(out, data=file)
    assert file.read_text() == "an emulator"
    with exclusive(tmp_path, folder=True), pytest.raises(BusyError):
        STUDY.run(tmp_path, data=file)


def test_one_that_keeps_more_gets_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Study("kept", keeps, table).main(["--points", "2"])
    assert (tmp_path / "runs/kept/kept").read_text() == "xx"
    assert json.loads((tmp_path / "runs/kept/kept.json").read_text())["settings"] == {"points": 2}


@pytest.mark.parametrize("name", MODULES)
def test_every_study_says_the_same_with_the_same_words(name, capsys):
    module = importlib.import_module(name)
    with pytest.raises(SystemExit, match="0"):
        module.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"default: runs/{module.STUDY.name})" in text
    assert "--out OUT Folder for " in text
    options = signature(module.STUDY.measure).parameters
    if "emulator" in options:
        assert "--emulator EMULATOR ONNX file" in text
        assert options["emulator"].annotation is str
    if "seed" in options:
        assert options["seed"].annotation is int
    assert module.STUDY.table is module.render
    assert "judged" not in options


def test_every_study_is_found():
    assert len(MODULES) >= 15


@pytest.mark.parametrize(("module", "result"), [s for s in STORED if s[1].endswith(".json")])
def test_stored_results_can_be_drawn_again(module, result):
    study = importlib.import_module(module).STUDY
    stored = json.loads((ROOT / result).read_text())
    assert study.table(stored)
    if study.figures:
        assert all(figure.axes for figure in study.figures(stored).values())
