"""export.predict on files of any length: block by block, whole or not at all."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from datagen import tables, text_table
from datagen.design import Design, Points
from datagen.space import Range, Space
from export import predict as module
from export.predict import main, predict
from export.ranges import OutOfRange, OutOfRangeWarning
from export.runtime import load

ROOT = Path(__file__).resolve().parent.parent
N = 25
BLOCK = 10  # rows at once in these tests, so that there are three blocks
DIGITS = 1e-6  # a table has eight
ROUNDING = 2e-5  # float32, in batches of other sizes
H = Space().names.index("h")


@pytest.fixture
def theta() -> np.ndarray:
    # thresholds far above the lowest halo mass, and wide: of others there would be a warning
    box = Space(Mth=Range(1e12, 1e15, "log10"), sigma=Range(0.3, 1.0))
    return Points.of(Design(N), box).theta


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(text_table, "ROWS", BLOCK)
    monkeypatch.setattr(tables, "ROWS", BLOCK)


@pytest.fixture
def write(tmp_path):
    def write(theta, suffix=".csv"):
        path = tmp_path / f"points{suffix}"
        if suffix == ".npz":
            np.savez(path, theta=theta)
        else:
            np.savetxt(path, theta, "%.17g", ",", header=",".join(Space().names), comments="")
        return path

    return write


@pytest.fixture
def rows(monkeypatch) -> list[int]:
    """How many rows each call of the emulator gets."""
    rows = []

    class Spy:
        def __init__(self, name, occupation=None):
            self._model = load(name, occupation=occupation)

        def __getattr__(self, name):
            return getattr(self._model, name)

        def __call__(self, theta, *arguments, **options):
            rows.append(len(theta))
            return self._model(theta, *arguments, **options)

    monkeypatch.setattr(module, "load", Spy)
    return rows


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_points_come_and_results_go_block_by_block(write, tmp_path, theta, rows, suffix):
    out = tmp_path / "new" / f"out{suffix}"
    predict("standard", write(theta, suffix), out, ["gg_total", "n_g"], [0.1, 1.0])
    assert rows == [BLOCK, BLOCK, N - 2 * BLOCK]
    expected = load("standard")(theta, ["gg_total", "n_g"], [0.1, 1.0])
    if suffix == ".npz":
        with np.load(out) as found:
            assert set(found) == {"k", "gg_total", "n_g"}
            assert found["gg_total"].dtype == np.float32
            np.testing.assert_array_equal(found["k"], [0.1, 1.0])
            np.testing.assert_allclose(found["gg_total"], expected["gg_total"], rtol=ROUNDING)
            np.testing.assert_allclose(found["n_g"], expected["n_g"], rtol=ROUNDING)
    else:
        point, k, gg_total, n_g = np.loadtxt(out, delimiter=",", skiprows=2).T
        np.testing.assert_array_equal(point, np.repeat(np.arange(N), 2))
        np.testing.assert_array_equal(k, np.tile([0.1, 1.0], N))
        np.testing.assert_allclose(gg_total, expected["gg_total"].ravel(), rtol=ROUNDING)
        np.testing.assert_allclose(n_g, np.repeat(expected["n_g"], 2), rtol=ROUNDING)
    assert list(out.parent.iterdir()) == [out]


def test_a_table_does_not_depend_on_how_much_is_formatted_at_once(
    write, tmp_path, theta, monkeypatch
):
    points = write(theta)
    for name, numbers in (("a", 100_000), ("b", 1)):
        monkeypatch.setattr("export.results._AT_ONCE", numbers)
        predict("standard", points, tmp_path / f"{name}.csv", ["P_lin", "b_eff"])
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_it_says_where_the_results_are(write, tmp_path, theta, capsys, monkeypatch):
    monkeypatch.setattr(module, "DRAWN", 3)
    points = write(theta)
    for name, text in (("out.csv", "25 points"), ("out.npz", "25 points"),
                       ("out.png", "the first 3 points")):  # fmt: skip
        main(["standard", str(points), str(tmp_path / name), "--outputs", "gg_total"])
        assert capsys.readouterr().out == f"{text} in {tmp_path / name}\n"


def test_a_figure_takes_no_more_points_than_it_shows(write, tmp_path, theta, rows, monkeypatch):
    monkeypatch.setattr(module, "DRAWN", 3)
    predict("standard", write(theta), tmp_path / "out.pdf")
    assert rows == [3]


def test_messages_count_rows_from_the_beginning_of_the_file(write, tmp_path, theta):
    theta[23, H] = 0.95
    points, out = write(theta), tmp_path / "out.csv"
    with pytest.raises(OutOfRange, match="^row 23: h = 0.95 is outside the trained range"):
        predict("standard", points, out)
    with pytest.warns(OutOfRangeWarning, match="^row 23: h = 0.95 is outside") as caught:
        predict("standard", points, out, out_of_range="warn")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict("standard", points, out, ["n_g"], out_of_range="nan")
    values = np.loadtxt(out, delimiter=",", skiprows=2)[:, 2].reshape(N, -1)
    assert np.flatnonzero(np.isnan(values).any(axis=1)).tolist() == [23]


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(write, tmp_path, theta, suffix):
    points, out = write(theta), tmp_path / "out" / f"out{suffix}"
    out.parent.mkdir()
    out.write_text("old")
    lines = points.read_text().splitlines()
    points.write_text("\n".join([*lines[:22], lines[22].replace(",", ",x", 1), *lines[23:]]))
    with pytest.raises(ValueError, match=r"points.csv: line 23: row 21: Om_b = 'x.*' is not a"):
        predict("standard", points, out, ["n_g"])
    assert out.read_text() == "old"
    assert list(out.parent.iterdir()) == [out]


def test_points_are_not_replaced_by_results(write, tmp_path, theta):
    points = write(theta)
    (tmp_path / "link.csv").symlink_to(points)
    before = points.read_bytes()
    for out in (points, tmp_path / "link.csv", tmp_path / "." / "points.csv"):
        with pytest.raises(ValueError, match="holds the points; write the results to another"):
            predict("standard", points, out)
    assert points.read_bytes() == before


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_a_full_disk_is_named_with_the_file(write, tmp_path, theta, suffix):
    points, out = write(theta), tmp_path / f"out{suffix}"
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); "
        "from export.predict import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "standard", points, out], cwd=ROOT, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == f"python -m export.predict: error: {out}: File too large"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points.csv"]
