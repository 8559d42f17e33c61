"""The commands of a user: predict, info, verify, and the evaluation behind the record."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.small_network import SMALL_MODEL, SMALL_SPACE

from benchmarks.evaluate.accuracy import evaluate, main
from benchmarks.evaluate.file_record import render
from datagen.design import Design, write_design
from datagen.error_budget import ErrorBudget
from datagen.generate import generate
from datagen.occupations import OCCUPATIONS
from datagen.space import Range, Space
from datagen.store import Spectra
from emulator.metrics import fractional_error
from export import info, occupations, predict, shipped, verify
from export.runtime import load
from export.to_onnx import rewrite

ROOT = Path(__file__).resolve().parent.parent
POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96, "z": 0.5,
    "alpha": 0.9, "sigma": 0.3, "Mth": 1e12, "Mprime": 2e13, "beta": 1.0,
}  # fmt: skip
DIGITS = 1e-6  # a table has eight
HEADER = ",".join(Space().names) + "\n"


@pytest.fixture
def points(tmp_path) -> dict[str, Path]:
    """The same three points in every form that is read."""
    write_design(tmp_path / "points.csv", Design(3))
    _, header, *rows = (tmp_path / "points.csv").read_text().splitlines()
    theta = np.array([list(map(float, row.split(","))) for row in rows])
    columns = dict(zip(header.split(","), theta.T.tolist(), strict=True))
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    rows = [dict(zip(Space().names, row, strict=True)) for row in theta.tolist()]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    np.savez(tmp_path / "columns.npz", **{n: np.array(c) for n, c in columns.items()})
    np.savez(tmp_path / "theta.npz", theta=theta)
    names = ("points.csv", "columns.json", "rows.json", "columns.npz", "theta.npz")
    return {name: tmp_path / name for name in names}


def command(module, *arguments) -> int:
    """Its exit status."""
    try:
        module.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_predict_reads_and_writes_every_form(points, tmp_path):
    theta = np.load(points["theta.npz"])["theta"]
    expected = load("standard")(theta)
    for path in points.values():
        assert command(predict, "standard", path, tmp_path / "out.npz") == 0
        with np.load(tmp_path / "out.npz") as written:
            assert set(written) == {"k", *expected}
            np.testing.assert_array_equal(written["gg_total"], expected["gg_total"])
            np.testing.assert_array_equal(written["n_g"], expected["n_g"])


def test_predict_writes_a_table(points, tmp_path):
    out = tmp_path / "out.csv"
    assert command(predict, "standard", points["points.csv"], out, "--k", 0.001, 0.1,
                   "--extrapolate", "--outputs", "gm_1h", "n_g") == 0  # fmt: skip
    described, header, *rows = out.read_text().splitlines()
    assert described == "# k [1/Mpc], gm_1h [Mpc^3], n_g [1/Mpc^3]"
    assert header == "point,k,gm_1h,n_g"
    table = np.array([row.split(",") for row in rows], dtype=float)
    theta = np.load(points["theta.npz"])["theta"]
    expected = load("standard")(theta, k=[0.001, 0.1], extrapolate=True)
    np.testing.assert_array_equal(table[:, 0], [0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(table[:, 1], [0.001, 0.1] * 3)
    np.testing.assert_allclose(table[:, 2], expected["gm_1h"].ravel(), rtol=DIGITS)
    np.testing.assert_allclose(table[::2, 3], expected["n_g"], rtol=DIGITS)


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".PDF", b"%PDF")])
def test_predict_draws_what_is_asked_for_and_nothing_more(points, tmp_path, suffix, start):
    folder = tmp_path / "figures"
    assert command(predict, "standard", points["rows.json"], folder / f"out{suffix}") == 0
    assert [path.name for path in folder.iterdir()] == [f"out{suffix}"]
    assert (folder / f"out{suffix}").read_bytes()[:4] == start


def test_predict_of_a_single_point(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(POINT))
    assert command(predict, "standard", tmp_path / "p.json", tmp_path / "out.npz") == 0
    with np.load(tmp_path / "out.npz") as written:
        assert written["mm_1h"].shape == (1, 50)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty; its first line must name the parameters"),
        ("Om_c,h\n0.3,0.7\n", "missing parameters: Om_b, sigma_8"),
        (HEADER + "0.3\n", "p.csv: line 2: row 0 has 1 values, the header 13 names"),
        (HEADER + "0.3," * 12 + "high\n", "p.csv: line 2: row 0: beta = 'high' is not a number"),
        (HEADER, "p.csv holds no points"),
        (HEADER + "0.3," * 12 + "1\n", "row 0: Om_b = 0.3 is outside"),
    ],
)
def test_predict_names_what_is_wrong_with_a_table(tmp_path, capsys, content, message):
    (tmp_path / "p.csv").write_text(content)
    assert command(predict, "standard", tmp_path / "p.csv", tmp_path / "out.csv") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "points.csv", "o.csv"], "no emulator 'nothing': neither a file nor one that"),
        (["standard", "none.csv", "o.csv"], "no points at "),
        (["standard", "o.xlsx", "o.csv"], "o.xlsx: points are read from .csv, .tsv, .txt, .dat,"),
        (
            ["standard", "points.csv", "points.csv"],
            "points.csv holds the points; write the results",
        ),
        (["standard", "points.csv", "o.txt"], "results are written to .csv, .npz, .png, .pdf"),
        (["standard", "points.csv", "o.csv", "--outputs", "gg"], "no output gg; there are"),
        (["standard", "points.csv", "o.png", "--k", "0.1"], "at two wavenumbers at least"),
        (["standard", "points.csv", "o.csv", "--k", "0.001"], "pass extrapolate=True"),
    ],
)
def test_predict_names_mistakes(points, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert command(predict, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_info_lists_and_explains(capsys):
    assert command(info) == 0
    assert "standard " in capsys.readouterr().out
    assert command(info, "standard") == 0
    text = capsys.readouterr().out
    for part in ("Sheth99", "Mth         Msun   1e+10     1e+15     log10", "gg_total [Mpc^3]",
                 "z           1      0         3         linear", "where w0 + wa is not below -0.1",
                 " test points, over points", "by wavenumber [1/Mpc]", "alpha < 0.1", "z > 1",
                 "please cite  Linke et al. 2022"):  # fmt: skip
        assert part in text
    assert command(info, "nothing") == 2
    assert "no emulator 'nothing'" in capsys.readouterr().err


def test_other_galaxies_by_option(small_file, tmp_path, capsys):
    zheng07 = {"log10Mmin": 12.1, "sigma_logM": 0.3, "log10M0": 11.5, "log10M1": 13.3, "alpha": 1}
    point = {name: POINT[name] for name in ("Om_c", "Om_b", "h", "sigma_8", "n_s", "z")} | zheng07
    (tmp_path / "p.json").write_text(json.dumps(point))
    arguments = (small_file, tmp_path / "p.json", tmp_path / "out.npz", "--occupation", "zheng07")
    assert command(predict, *arguments) == 0
    with np.load(tmp_path / "out.npz") as written:
        expected = load(small_file, occupation="zheng07")(point)["gg_total"]
        np.testing.assert_array_equal(written["gg_total"][0], expected)
    assert command(predict, *arguments[:-1], "zheng") == 2
    assert "no occupation 'zheng' (did you mean 'zheng07'?)" in capsys.readouterr().err
    assert command(info, small_file) == 0
    text = capsys.readouterr().out
    assert "Duffy08, masses 200m\noccupation   linke22 (Linke et al. 2022, A&A 665" in text
    assert "others: load(..., occupation=...)" in text
    assert command(info, small_file, "--occupation", "zheng07") == 0
    text = capsys.readouterr().out
    for part in ("occupation   zheng07 (Z", "log10Mmin   log10 Msun 11 ", "for the occupation, Zh",
                 "not measured with this occupation"):  # fmt: skip
        assert part in text
    assert "Mprime" not in text
    assert command(info, "--occupation", "zheng07") == 2
    assert "--occupation needs an emulator" in capsys.readouterr().err
    assert command(verify, small_file, "--occupation", "zheng07") == 2
    assert "no record of its accuracy with galaxies of zheng07" in capsys.readouterr().err


def test_a_learnt_occupation_cannot_be_changed(onnx_file, capsys):
    assert command(info, onnx_file) == 0
    assert "learnt; it cannot be changed" in capsys.readouterr().out
    assert command(info, onnx_file, "--occupation", "zheng07") == 2
    assert "was trained for one occupation, linke22" in capsys.readouterr().err


def test_occupations_are_listed_with_their_parameters(capsys):
    assert command(occupations) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(OCCUPATIONS) + 2
    assert lines[-1].endswith("+transition (alpha_trans)")
    assert "zheng07      log10Mmin, sigma_logM, log10M0, log10M1, alpha" in lines
    assert command(occupations, "zheng07") == 0
    assert "log10Mmin       11 to 15 log10 Msun " in capsys.readouterr().out
    assert command(occupations, "zheng") == 2
    assert "did you mean 'zheng07'?" in capsys.readouterr().err


def test_shipped_models_are_whole_and_say_how_accurate_they_are():
    survey = {
        name: one
        for part in ("box", "linke22")
        for name, one in yaml.safe_load((ROOT / f"configs/survey/{part}.yaml").read_text())[
            "space"
        ].items()
    }
    wide = {name: (float(one["low"]), float(one["high"])) for name, one in survey.items()}
    published = {name: (Space()[name].low, Space()[name].high) for name in Space().names}
    assert "standard" in shipped.shipped()
    for name in shipped.shipped():
        model = load(name)
        box = published if name.startswith(("published", "network")) else wide
        assert {p.name: (p.low, p.high) for p in model.parameters} == box
        records = model.metadata["record"]["test"]
        assert all(record["points"] >= 10_000 for record in records.values())
        if model.metadata["kind"] == "semianalytic":
            assert all(record["all"]["95"] < 5e-4 for record in records.values())
        assert "dirty" not in model.metadata["provenance"]["commit"]


@pytest.fixture(scope="module")
def fresh(serial, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("fresh") / "fresh.h5"
    return generate(path, Design(60, seed=5), SMALL_SPACE, SMALL_MODEL)


FLOOR = ErrorBudget(quadrature=60, linear_power=4)  # each run of CAMB takes seconds


@pytest.mark.slow
def test_evaluation_measures_and_changes_no_file(onnx_file, fresh, tmp_path, capsys):
    before, labels = onnx_file.read_bytes(), Spectra.read(fresh)
    options = ["--floor.quadrature", "60", "--floor.linear_power", "4"]
    main(["--emulator", str(onnx_file), "--data", str(fresh), "--out", str(tmp_path), *options])
    assert onnx_file.read_bytes() == before
    found = json.loads((tmp_path / "evaluation.json").read_text())
    error = fractional_error(load(onnx_file)(labels.theta)["gg_1h"], labels["gg_1h"])
    record = found["accuracy"]["gg_1h"]
    assert record["all"]["95"] == pytest.approx(np.percentile(error, 95), rel=1e-3)
    assert found["test"]["sha256"] == labels.hash()
    assert found["settings"]["floor"] == {"quadrature": 60, "linear_power": 4, "seed": 1}
    printed = capsys.readouterr().out
    assert "Errors on 60 test points, abs(P/P_true - 1) in percent" in printed
    assert "largest 99 % of any spectrum: quadrature " in printed
    assert "Microseconds a point on one core" in printed


@pytest.mark.slow
def test_evaluation_writes_the_record_if_it_is_told_to(onnx_file, fresh, capsys):
    before, labels = load(onnx_file), Spectra.read(fresh)
    found = evaluate(str(onnx_file), fresh, floor=FLOOR, write_record=True)
    after = load(onnx_file)
    printed = info.card(after)
    assert "60 test points" in printed
    for source, names, points in (
        ("quadrature", "integrals", 60),
        ("linear_power", "P_lin and sigma(M)", 4),
    ):
        floor = after.metadata["floor"][source]
        assert floor["points"] == points
        assert 0 < floor["spectra"]["gg_1h"]["99"] < 0.1
        assert f"{names}, 99 %" in printed
    assert after.metadata["speed"]["microseconds"].keys() == {"1", "100", "10000"}
    assert "microseconds per point on one core" in printed
    assert after.metadata["record"]["test"] == found["accuracy"]
    assert after.metadata["record"]["validation"] == before.metadata["record"]["validation"]
    assert after.metadata["provenance"]["test"]["sha256"] == labels.hash()


def test_a_record_is_written_into_files_alone(fresh):
    with pytest.raises(ValueError, match="write_record: standard is not a file; name one, for exa"):
        evaluate("standard", fresh, write_record=True)


def test_a_box_within_makes_a_record_by_a_name(onnx_file, serial, tmp_path):
    space = replace(SMALL_SPACE, h=Range(0.68, 0.69))
    path = generate(tmp_path / "within.h5", Design(40, seed=6), space, SMALL_MODEL)
    with pytest.raises(ValueError, match="name: the labels are of a box within the emulator's"):
        evaluate(str(onnx_file), path)
    evaluate(str(onnx_file), path, "narrow_box", write_record=True)
    assert "40 test narrow box points" in info.card(load(onnx_file))
    record = load(onnx_file).metadata["record"]
    assert record["test_narrow_box"]["gg_1h"]["points"] == 40
    assert "test" not in record


def test_masses_drawn_otherwise_make_a_record_of_their_own(onnx_file, serial, tmp_path):
    evenly = {name: replace(SMALL_SPACE[name], sampling="linear") for name in ("Mth", "Mprime")}
    space = replace(SMALL_SPACE, **evenly)
    path = generate(tmp_path / "linear.h5", Design(40, seed=6), space, SMALL_MODEL)
    evaluate(str(onnx_file), path, write_record=True)
    assert "40 test linear masses points" in info.card(load(onnx_file))
    record = load(onnx_file).metadata["record"]
    assert record["test_linear_masses"]["gg_1h"]["points"] == 40
    assert "test" not in record
    assert "40 test points, masses drawn uniformly in M" in render(onnx_file)


def test_evaluation_refuses_labels_that_prove_nothing(onnx_file, label_file, fresh, tmp_path):
    with pytest.raises(ValueError, match="was trained on .*; make labels with another seed"):
        evaluate(str(onnx_file), label_file)
    labels = Spectra.read(fresh)
    labels.metadata = labels.metadata | {"model": labels.metadata["model"] | {"log10M_min": 9.0}}
    labels.write(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="has another halo model than"):
        evaluate(str(onnx_file), tmp_path / "other.h5")


def test_verify_recomputes_and_compares(onnx_file, serial, capsys):
    assert command(verify, onnx_file, "-n", 20, "--seed", 3) == 0
    out = capsys.readouterr().out
    assert out.startswith("abs(P/P_true - 1) in percent, on 20 points\n")  # nothing of a file
    assert "gg_total" in out
    assert "NOT AS RECORDED" not in out
    assert out.endswith("which allows for the scatter of few points.\n")
    assert "It agrees with its record: no error is more than 3 times the recorded" in out


def test_verify_notices_a_record_that_is_too_good(onnx_file, serial, capsys):
    record = load(onnx_file).metadata["record"]
    record["validation"]["gg_1h"]["all"]["95"] /= 100
    rewrite(onnx_file, record=record)
    assert command(verify, onnx_file, "-n", 20) == 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "NOT AS RECORDED" in line]
    assert line.startswith("gg_1h")
    assert "Not as recorded: errors of gg_1h are more than 3 times those on record" in out
    for odd, message in (
        ({}, "has no record of its accuracy"),
        ({"test": {"xi": {}}}, "has no record of its accuracy"),
        ({"test": {"gg_1h": {"points": 3}}}, "has a record that lacks 'all'"),
    ):
        rewrite(onnx_file, record=odd)
        assert command(verify, onnx_file) == 2
        assert message in capsys.readouterr().err
    assert command(info, onnx_file) == 2
    assert "has metadata that cannot be shown (KeyError('all'))" in capsys.readouterr().err
