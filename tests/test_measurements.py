"""Files of measured statistics, and their likelihood."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.posterior.survey_tables import main as survey_tables
from benchmarks.posterior.survey_tables import more15, zehavi11
from datagen.texts import TableError
from export.measurements import Measurements
from export.runtime import load
from export.statistics import DeltaSigma, Wp

POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96, "z": 0.3,
    "log10Mmin": 12.8, "sigma_logM": 0.3, "log10M0": 12.9, "log10M1": 14.0, "alpha": 1.1,
}  # fmt: skip
HEADER = """# hodspectra-data-1
# SDSS, made up
# w_p: {"kind": "Wp", "lengths": "Mpc/h", "pi_max": 60}
# Delta_Sigma: {"kind": "DeltaSigma", "lengths": "Mpc/h", "units": "h Msun/pc^2"}
# n_g: {"unit": "h^3/Mpc^3"}
"""
ROWS = """statistic,x,value,error
n_g,,3.0e-4,6.0e-5
w_p,1.5,120,6
w_p,0.17,536.1,25.4
w_p,8,20,2
Delta_Sigma,0.5,14,2
"""
SINGLE = 1e-6  # the emulator computes with single precision; the order of its sums may change


@pytest.fixture(scope="module")
def emulator():
    return load("tinker10", occupation="zheng07")


@pytest.fixture
def written(tmp_path):
    def write(text: str, name: str = "data.csv", **options: str) -> Path:
        (tmp_path / name).write_text(text, **options)
        return tmp_path / name

    return write


def test_a_file_is_read_in_the_order_of_its_statistics(written):
    measured = Measurements.read(written(HEADER + ROWS))
    assert measured.names == ("w_p", "Delta_Sigma", "n_g")
    assert measured.data.tolist() == [536.1, 120, 20, 14, 3e-4]
    np.testing.assert_allclose(measured.errors, [25.4, 6, 2, 2, 6e-5])
    w_p, excess = measured.statistics
    assert (w_p.pi_max, w_p.lengths, w_p.radii.tolist()) == (60, "Mpc/h", [0.17, 1.5, 8])
    assert (excess.unit, excess.name) == ("h Msun/pc^2", "Delta_Sigma")
    assert repr(measured) == (
        "<Measurements: w_p 3 at 0.17..8 Mpc/h, Delta_Sigma 1 at 0.5..0.5 Mpc/h, "
        "n_g [h^3/Mpc^3]; 5 numbers with independent errors>"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_read(written, encoding):
    measured = Measurements.read(written(HEADER + ROWS, encoding=encoding))
    assert len(measured) == 5


def test_what_a_spreadsheet_makes_of_it_is_read(written):
    quoted = "\r\n".join(
        '"' + line.replace('"', '""') + '",,,' if line.startswith("#") else line
        for line in (HEADER + ROWS).splitlines()
    )
    split = (HEADER + ROWS).replace(
        '# w_p: {"kind": "Wp", "lengths": "Mpc/h", "pi_max": 60}',
        '"# w_p: {""kind"": ""Wp"""," ""lengths"": ""Mpc/h"""," ""pi_max"": 60}"',
    )
    for text in (quoted, split, HEADER + ROWS.replace(",", ";"), HEADER + ROWS.replace(",", "\t")):
        np.testing.assert_array_equal(
            Measurements.read(written(text)).data, [536.1, 120, 20, 14, 3e-4]
        )


def test_the_model_is_what_a_call_gives_and_chi2_is_of_it(written, emulator):
    measured = Measurements.read(written(HEADER + ROWS))
    points = {**POINT, "log10Mmin": np.array([12.8, 13.1])}
    w_p = Wp([0.17, 1.5, 8], pi_max=60, lengths="Mpc/h")
    excess = DeltaSigma([0.5], units="h Msun/pc^2", lengths="Mpc/h")
    found = emulator(points, [w_p, excess, "n_g"])
    expected = np.column_stack([found["w_p"], found["Delta_Sigma"], found["n_g"] / 0.7**3])
    model = measured.model(emulator, points)
    np.testing.assert_allclose(model, expected, rtol=SINGLE)
    chi2 = np.square((model - measured.data) / measured.errors).sum(axis=1)
    np.testing.assert_allclose(measured.chi2(emulator, points), chi2)
    as_array = np.array([[points[name]] * 2 if np.ndim(points[name]) == 0 else points[name]
                         for name in emulator.names if name in points]).T  # fmt: skip
    whole = np.insert(as_array, 5, [[-1.0], [0.0]], axis=1)
    np.testing.assert_allclose(measured.model(emulator, whole), model, rtol=SINGLE)


def test_a_single_point_has_a_number(written, emulator):
    measured = Measurements.read(written(HEADER + ROWS))
    one = measured.chi2(emulator, POINT)
    assert np.ndim(one) == 0
    many = {**POINT, "z": np.array([0.3])}
    assert one == pytest.approx(measured.chi2(emulator, many)[0], rel=1e-4)


def test_outside_of_the_ranges_chi2_is_infinite(written, emulator):
    measured = Measurements.read(written(HEADER + ROWS))
    points = {**POINT, "log10Mmin": np.array([12.8, 20.0])}
    assert np.isfinite(measured.model(emulator, points)).all(axis=1).tolist() == [True, False]
    assert np.isinf(measured.chi2(emulator, points)).tolist() == [False, True]
    assert measured.chi2(emulator, {**POINT, "log10Mmin": 20.0}) == np.inf
    with pytest.raises(ValueError, match="log10Mmin = 20 is outside"):
        measured.chi2(emulator, points, out_of_range="raise")


def test_a_covariance_is_in_the_order_of_the_rows(written, tmp_path):
    path = written(HEADER + ROWS)
    covariance = np.diag([3.6e-9, 36.0, 645.0, 4.0, 4.0])
    covariance[1, 2] = covariance[2, 1] = 100.0
    np.savetxt(tmp_path / "c.csv", covariance, delimiter=",")
    np.savez(tmp_path / "c.npz", other=np.eye(2), covariance=covariance)
    for given in (tmp_path / "c.csv", str(tmp_path / "c.npz"), covariance):
        measured = Measurements.read(path, given)
        order = [2, 1, 3, 4, 0]
        np.testing.assert_array_equal(measured.covariance, covariance[np.ix_(order, order)])
    apart = np.array([1.0, 2, 3, 4, 1e-5])
    expected = apart @ np.linalg.solve(measured.covariance, apart)
    assert measured.chi2_of(measured.data + apart) == pytest.approx(expected)
    cut = Measurements.read(path, covariance, {"w_p": (1, None)})
    np.testing.assert_array_equal(cut.covariance, measured.covariance[1:, 1:])


@pytest.mark.parametrize("is_full", [False, True])
def test_what_is_written_is_read_back(written, tmp_path, is_full):
    first = Measurements.read(written(HEADER + ROWS))
    covariance = np.diag(first.errors**2)
    if is_full:
        covariance[0, 1] = covariance[1, 0] = 10
    whole = Measurements(first.statistics, first.data, covariance, first.numbers)
    whole.write(tmp_path / "again.csv")
    again = Measurements.read(tmp_path / "again.csv")
    assert repr(again) == repr(whole)
    np.testing.assert_array_equal(again.data, whole.data)
    np.testing.assert_allclose(again.covariance, whole.covariance, rtol=1e-14)


def test_bins_are_averaged_over(written, tmp_path, emulator):
    text = '# hodspectra-data-1\n# w_p: {"kind": "Wp", "lengths": "Mpc", "pi_max": null}\n'
    rows = "statistic,low,high,value,error\nw_p,1,2,90,3\nw_p,2,4,40,2\nw_p,4,8,20,2\n"
    measured = Measurements.read(written(text + rows), cuts={"w_p": (1.5, 8)})
    (w_p,) = measured.statistics
    assert w_p.bins
    assert w_p.radii.tolist() == [2, 4, 8]
    expected = emulator(POINT, [Wp([2, 4, 8], bins=True)])["w_p"]
    np.testing.assert_allclose(measured.model(emulator, POINT), expected, rtol=SINGLE)
    measured.write(tmp_path / "again.csv")
    assert repr(Measurements.read(tmp_path / "again.csv")) == repr(measured)


def test_cuts_keep_both_ends(written):
    measured = Measurements.read(written(HEADER + ROWS), cuts={"w_p": (0.17, 1.5)})
    assert measured.data.tolist() == [536.1, 120, 14, 3e-4]


def changed(old: str, new: str) -> str:
    assert old in HEADER + ROWS
    return (HEADER + ROWS).replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS, "not a file of measurements; its first line must be # hodspectra-data-1"),
        (changed("data-1", "data-9"), "line 1: its format is hodspectra-data-9"),
        (HEADER, "it has no rows"),
        (changed("w_p,8", "wp,8"), r"line 10: wp \(did you mean 'w_p'\?\) is not in the header"),
        (changed('"Wp"', '"wp"'), r"the entry of w_p: no statistic wp \(did you mean 'Wp'\?\)"),
        (changed('"lengths": "Mpc/h", "pi_max"', '"pi_max"'), "entry of w_p has no lengths"),
        (changed(', "pi_max": 60', ""), "entry of w_p has no pi_max.*null for infinite"),
        (changed(', "units": "h Msun/pc^2"', ""), "entry of Delta_Sigma has no units"),
        (changed('{"unit": "h^3/Mpc^3"}', "{}"), "entry of n_g has nothing: .*a number its unit"),
        (changed("h^3/Mpc^3", "Mpc"), r"n_g: unit = 'Mpc' must be '1/Mpc\^3' or 'h\^3/Mpc"),
        (changed("n_g", "n_gal"), r"no output n_gal \(did you mean 'n_g'\?\)"),
        (changed("n_g", "P_lin"), "P_lin is a function of k, not a number"),
        (changed("60}", "60"), "line 3: the entry of w_p is not JSON"),
        (changed("60}", '60, "colour": 1}'), "entry of w_p: .*no option colour"),
        (changed("# SDSS", '# n_g: {"unit": "1"}\n#'), "n_g has two entries in the header"),
        (changed("120,6", "120,0"), "line 8: w_p: error = 0 must be above 0"),
        (changed("120,6", "120,nan"), "line 8: w_p: error = nan must be finite"),
        (changed("536.1", "inf"), "line 9: w_p: value = inf must be finite"),
        (changed("536.1", "many"), "line 9: w_p: value = 'many' is not a number"),
        (changed("536.1", "5,361"), "line 9 has 5 values, the columns are 4"),
        (changed("w_p,8", "w_p,1.50"), "line 10: w_p at 1.5 is there twice, also in line 8"),
        (changed("w_p,8", "w_p,"), "line 10: w_p needs a separation"),
        (changed("w_p,8", "w_p,-8"), r"entry of w_p: Wp: r_p\[0\] = -8 must be above 0"),
        (changed("n_g,,", "n_g,1,"), "n_g is a number; leave its separation empty"),
        (changed("n_g,,3.0e-4", "n_g,,1,1\nn_g,,3.0e-4"), "line 8: n_g is there twice"),
        (changed("Delta_Sigma,0.5,14,2\n", ""), "the header has Delta_Sigma.*no rows"),
        (changed("x,value", "r_p,value"), "line 6: unknown columns: r_p"),
        (changed(",error", ""), "line 7 has 4 values, the columns are 3"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(written, text, message):
    with pytest.raises(TableError, match=f"data.csv: .*{message}"):
        Measurements.read(written(text))


def test_bins_that_do_not_touch_are_named(written):
    text = '# hodspectra-data-1\n# w_p: {"kind": "Wp", "lengths": "Mpc", "pi_max": 60}\n'
    with pytest.raises(TableError, match="line 5: w_p has a bin from 3, .* ends at 2"):
        Measurements.read(
            written(text + "statistic,low,high,value,error\nw_p,1,2,9,3\nw_p,3,4,4,2\n")
        )
    with pytest.raises(TableError, match="w_p: low must be below high"):
        Measurements.read(written(text + "statistic,low,high,value,error\nw_p,2,1,9,3\n"))
    with pytest.raises(TableError, match="line 4: w_p has low; a row has x, or low and high"):
        Measurements.read(written(text + "statistic,low,high,value,error\nw_p,2,,9,3\n"))


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.eye(3), r"has shape \(3, 3\), expected \(5, 5\): a row .* before any cut"),
        (np.eye(5) + np.eye(5, k=1) / 2, "it is not symmetric"),
        (np.eye(5) - 2 * np.diag([0, 0, 1, 0, 0]), r"covariance\[2, 2\] = -1 must be above 0"),
        (np.ones((5, 5)), "not positive definite"),
        (np.eye(5) * np.nan, r"covariance\[0, 0\] = nan must be finite"),
    ],
)
def test_what_is_no_covariance_is_refused(written, tmp_path, covariance, message):
    path = written(HEADER + ROWS)
    np.savetxt(tmp_path / "c.txt", covariance)
    for given in (covariance, tmp_path / "c.txt"):
        with pytest.raises(ValueError, match=message):
            Measurements.read(path, given)


def test_files_that_are_not_there(written, tmp_path):
    with pytest.raises(FileNotFoundError, match="no measurements at"):
        Measurements.read(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="no covariance at"):
        Measurements.read(written(HEADER + ROWS), tmp_path / "none.npz")
    bare = "".join(line.rpartition(",")[0] + "\n" for line in ROWS.splitlines())
    with pytest.raises(TableError, match="neither a column error nor a covariance"):
        Measurements.read(written(HEADER + bare))
    assert len(Measurements.read(written(HEADER + bare), np.eye(5))) == 5


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ({"wp": (1, 2)}, r"cuts of wp \(did you mean 'w_p'\?\): statistics .* are w_p, Delta"),
        ({"n_g": (1, 2)}, "cuts of n_g"),
        ({"w_p": (50, 60)}, r"\[50, 60\] Mpc/h leaves none of its 3 separations.* 0.17 to 8"),
        ({"w_p": (2, 1)}, "2 must be below 1"),
        ({"w_p": 3}, "must be two numbers"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(written, cuts, message):
    with pytest.raises(ValueError, match=message):
        Measurements.read(written(HEADER + ROWS), cuts=cuts)


def test_made_up_measurements_are_checked():
    w_p = Wp([1.0, 2.0])
    with pytest.raises(ValueError, match="nothing is measured"):
        Measurements([], [], [])
    with pytest.raises(ValueError, match="w_p is measured twice"):
        Measurements([w_p, w_p], np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(2,\)"):
        Measurements([w_p], np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="only totals can be measured"):
        Measurements([Wp([1.0], terms="1h")], [1.0], [1.0])
    with pytest.raises(ValueError, match="must be finite"):
        Measurements([w_p], [1.0, np.nan], [1.0, 1.0])


ZEHAVI = """# taken from a paper
rp wp_Mr_22_21 wp_err_Mr_22_21 wp_Mr_21_20 wp_err_Mr_21_20
0.17  500.0  25.0  300.0 10.0
42.3  3.0  0.5  -3.0  0.8"""


def test_published_tables_are_read(written, tmp_path, capsys):
    measured = zehavi11(written(ZEHAVI, "z.txt"), "Mr_21_20")
    assert measured.data.tolist() == [300, -3]
    assert measured.errors.tolist() == pytest.approx([10, 0.8])
    clustering = written("rp_hMpc,rpwp_h2Mpc2 ,rpwp_upper_h2Mpc2  \n2.0, 160 ,  164\n", "w.csv")
    lensing = written(
        "rp_hMpc, DS_hMsunpc2 , DS_upper_hMsunpc2, DS_lower_hMsunpc2 \n0.5, 45 , 53 , 37\n", "d.csv"
    )
    both = more15(clustering, lensing)
    assert both.data.tolist() == [80, 45, 3e-4]
    assert both.errors.tolist() == pytest.approx([2, 8, 6e-5])
    assert both.statistics[0].pi_max == 100
    survey_tables(["--layout", "zehavi11", "--files", str(tmp_path / "z.txt"),
                   "--sample", "Mr_22_21", "--out", str(tmp_path / "z.csv")])  # fmt: skip
    assert "w_p 2 at 0.17..42.3 Mpc/h" in capsys.readouterr().out
    assert Measurements.read(tmp_path / "z.csv").data.tolist() == [500, 3]


def test_other_tables_are_refused(written):
    with pytest.raises(TableError, match=r"z.txt: no sample 'Mr_22_2' \(did you mean 'Mr_22_21'"):
        zehavi11(written(ZEHAVI, "z.txt"), "Mr_22_2")
    with pytest.raises(TableError, match="z.txt: its columns are rp, .*; expected rp_hMpc"):
        more15(written(ZEHAVI, "z.txt"), written(ZEHAVI, "z.txt"))
