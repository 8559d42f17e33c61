"""Time and memory against size: the fit, the flat memory, and a small run."""

import json

import numpy as np
import pytest

from benchmarks.codes.memory import main as memory_main
from benchmarks.studies import scaling as module
from benchmarks.studies.scaling import PUBLISHED, STUDY, fit, render, scaling
from export.runtime import load

SMALL = {"sizes": (10, 1000), "widths": (8,), "depths": (1,)}


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("benchmarks.codes.timing.ROUND_SECONDS", 0.001)
    monkeypatch.setattr("benchmarks.codes.timing.ONE_CORE", 99)  # nothing is claimed of these times
    monkeypatch.setattr("export.parity.RANDOM_POINTS", 10)
    monkeypatch.setattr(module, "DIRECT", {"labels": (1, 2), "pyccl": (1, 2)})


def test_fit_finds_the_cost_of_a_point():
    points = np.array([100, 10_000, 1_000_000])
    noise = 1 + 0.02 * np.random.default_rng(1).standard_normal(3)
    found = fit(points, (3e-3 + 1e-5 * points) * noise)
    assert found["per_point"] == pytest.approx(1e-5, rel=0.05)
    assert found["start"] == pytest.approx(3e-3, rel=0.1)


def test_published_cost_is_the_one_that_was_published():
    calculation = PUBLISHED["calculation"]
    cost = fit(list(calculation), list(calculation.values()))["per_point"]
    assert cost == pytest.approx(14.531, rel=1e-2)  # their own fit, which weighs large sets more


def test_memory_does_not_grow_with_the_points(small_file):
    few, many = (module.stream(str(small_file), points, 1) for points in (16_384, 81_920))
    assert many["memory"] < 1.1 * few["memory"]  # 120 MB more if results were kept
    assert many["cpu"] > 2 * few["cpu"]


def test_a_small_run(small_file, tmp_path, monkeypatch, capsys):
    model = load(small_file, occupation="zheng07")
    spaces, codes = [], {"labels": model, "pyccl": model}
    monkeypatch.setattr(module, "direct", lambda _, space: spaces.append(space) or codes)
    result = STUDY.run(tmp_path, emulator=str(small_file), **SMALL, occupation="zheng07")
    assert [one.occupation for one in spaces] == ["zheng07"]
    assert "small.onnx with zheng07" in render(result)
    assert json.loads((tmp_path / "scaling.json").read_text())["fits"] == result["fits"]
    assert [one["weights"] for one in result["networks"]] == [1220, 29_028]
    assert (tmp_path / "scaling.pdf").exists()
    assert render(result) in capsys.readouterr().out
    assert render(json.loads((tmp_path / "scaling.json").read_text())) == render(result)


def test_codes_that_disagree_are_refused(small_file, monkeypatch):
    model = load(small_file)

    def other(theta):
        return {name: 1.5 * values for name, values in model(theta).items()}

    monkeypatch.setattr(module, "direct", lambda *_: {"labels": other})
    monkeypatch.setattr(module, "stream", None)  # before the sizes are timed
    with pytest.raises(ValueError, match="labels differs by .* in mm_1h .*not timed"):
        scaling(str(small_file), **SMALL)


def test_mistakes():
    with pytest.raises(ValueError, match=r"sizes = \[10\] must be two or more positive numbers"):
        scaling(sizes=(10,))
    with pytest.raises(ValueError, match=r"widths = \[0\] and depths = .* one positive number"):
        scaling(sizes=(10, 20), widths=(0,))
    with pytest.raises(FileNotFoundError, match="no emulator 'nothing'"):
        scaling(emulator="nothing", **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "10"], "error: no emulator 'nothing': neither a file nor"),
        (["standard", "10", "--occupation", "none"], "error: "),
        (["standard", "0"], "error: points = 0 must be at least 1\n"),
    ],
)
def test_what_cannot_be_evaluated_ends_in_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        memory_main(arguments)
    error = capsys.readouterr().err
    assert error.startswith(f"python -m benchmarks.codes.memory: {message}")
    assert error.count("\n") == 1
