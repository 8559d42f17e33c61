"""The report of a label file: what is counted, what is drawn, what is written."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from support.coarse import ROOT

from datagen.analyse import SCHEMA, analyse, bands, main, sign_counts
from datagen.error_budget import ErrorBudget
from datagen.figures import (
    new_figure,
    parameter_label,
    parameter_labels,
    save_figure,
    spectrum_label,
    spectrum_panels,
    style,
)
from datagen.files import BusyError, exclusive
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.label_figures import spectra_figure
from datagen.occupations import OCCUPATIONS
from datagen.outputs import SPECTRA
from datagen.report import markdown, page, paragraph, table
from datagen.space import Range, Space, parameters_of
from datagen.splits import Split
from datagen.store import STORED, Spectra

QUICK = ErrorBudget(quadrature=0, linear_power=0)
FIDUCIAL = {
    "Om_c": 0.26, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.8, "n_s": 0.96, "alpha": 1.0, "sigma": 0.5,
}  # fmt: skip
FIGURES = ("agreement", "parameters", "spectra")


def labels(space=Space(), failed=(), n=150):
    """Random power laws at random points of a space."""
    rng = np.random.default_rng(6)
    grid = KGrid(points=6)
    k = grid.values()
    arrays = {name: np.exp(rng.normal(3.0, 1.0, (n, 1)) - np.log(k)) for name in STORED}
    metadata = {
        "space": space.as_dict(),
        "model": asdict(HaloModelConfig(k=grid)),
        "design": {"method": "lhs", "points": n, "seed": 1},
        "provenance": {"commit": "unknown"},
    }
    theta = space.from_unit(rng.random((n, len(space.names))))
    return Spectra(theta, k, arrays, metadata, dict(failed))


def run(tmp_path, spectra, **options):
    spectra.write(tmp_path / "labels.h5")
    options = {"budget": QUICK, "corner_points": 50} | options
    return analyse(tmp_path / "labels.h5", tmp_path / "report", **options)


@pytest.fixture
def undrawn(monkeypatch):
    """An empty file stands for each figure."""

    def save(figure, path):
        png = path.with_name(path.name + ".png")
        png.touch()
        return png

    monkeypatch.setattr("datagen.analyse.save_figure", save)
    monkeypatch.setattr("datagen.analyse.corner_figure", lambda *_: None)  # the slow one


def test_bands_are_percentiles_over_points():
    spectra = labels()
    np.testing.assert_allclose(bands(spectra)["gg_total"]["50"], np.median(spectra["gg_total"], 0))
    assert bands(spectra)["gg_1h"]["positive"] == 1
    spectra.arrays["gg_1h"][:30, 2] *= -1
    assert bands(spectra)["gg_1h"]["positive"] == pytest.approx(0.8)


def test_points_without_a_logarithm_are_counted():
    spectra = labels()
    spectra.arrays["gg_1h"][3:5] *= -1
    spectra.arrays["gg_2h"][7, 0] = np.inf
    counts = sign_counts(spectra)
    assert counts["gg_1h"] == {"not_finite": 0, "not_positive": 2}
    assert counts["gg_2h"] == {"not_finite": 1, "not_positive": 0}
    assert counts["gg_total"]["not_finite"] == 1
    assert counts["mm_total"] == {"not_finite": 0, "not_positive": 0}


@pytest.mark.slow
def test_the_report_is_whole(tmp_path, capsys):
    summary = run(tmp_path, labels())
    folder = tmp_path / "report"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["index.html", "summary.json", *(f"{f}.{s}" for f in FIGURES for s in ("pdf", "png"))]
    )
    for name in FIGURES:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["schema"] == SCHEMA
    assert set(summary["bands"]) == set(SPECTRA)
    html = (folder / "index.html").read_text()
    assert html.count('src="data:image/png;base64,') == html.count("<img") == len(FIGURES)
    assert "Every spectrum of every point is finite and positive." in html
    printed = capsys.readouterr().out
    assert summary["agreement"]["verdict"]["text"] in printed


@pytest.mark.parametrize("count", [pytest.param(90, marks=pytest.mark.slow), 150])
def test_negative_terms_are_reported_and_drawn(tmp_path, capsys, count, undrawn):
    spectra = labels()
    spectra.arrays["gg_1h"][:count] *= -1
    run(tmp_path, spectra)
    spectra_figure(spectra.k, bands(spectra)).draw_without_rendering()  # warnings are errors
    assert f"gg_1h: {count} points not positive, 0 not finite" in capsys.readouterr().out
    html = (tmp_path / "report" / "index.html").read_text()
    assert f"<td>gg_1h</td><td>0</td><td>{count}</td>" in html


def test_failed_points_are_listed_with_their_reasons(tmp_path, undrawn):
    failed = {i: f"n_g < {i}" for i in range(200, 225)}
    summary = run(tmp_path, labels(failed=failed))
    assert summary["labels"]["failed"] == {str(i): reason for i, reason in failed.items()}
    html = (tmp_path / "report" / "index.html").read_text()
    assert "<td>219</td><td>n_g &lt; 219</td>" in html
    assert "and 5 more, in summary.json" in html


def test_fixed_parameters_and_a_split_without_test(tmp_path, monkeypatch):
    monkeypatch.setattr("datagen.analyse.spectra_figure", lambda *_: new_figure(1, 1))
    fixed = {name: Range(value, value) for name, value in FIDUCIAL.items()}
    space = Space(**fixed, Mth=Range(1e12, 1e13, "linear"))
    summary = run(tmp_path, labels(space), split=Split(test=0.0))
    differences = summary["agreement"]["features"]
    assert {pair: list(names) for pair, names in differences.items()} == {
        "validation - train": ["Mth", "Mprime", "beta"]
    }


def test_command_line(tmp_path, capsys, undrawn):
    spectra = labels()
    spectra.write(tmp_path / "labels.h5")
    command = [f"--data={tmp_path}/labels.h5", f"--out={tmp_path}/report", "--corner_points=10"]
    main([*command, "--budget.quadrature=0", "--budget.linear_power=0", "--split.seed=3"])
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["split"]["seed"] == 3
    for arguments, message in (
        ([f"--data={tmp_path}/none.h5", f"--out={tmp_path}/report"], "no label file at"),
        ([*command, "--corner_points=0"], "corner_points = 0 must be at least 1"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        assert f"datagen.analyse: error: {message}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["emulator.onnx", "emulator.safetensors", "points.csv"])
def test_what_is_no_label_file_is_refused_and_no_advice_would_destroy_it(tmp_path, name, capsys):
    path = ROOT / "export" / "models" / "published-gg.onnx" if "onnx" in name else tmp_path / name
    if "onnx" not in name:
        path.write_text("x,y\n1,2\n")
    with pytest.raises(SystemExit, match="2"):
        main([f"--data={path}", f"--out={tmp_path}/report"])
    error = capsys.readouterr().err
    assert error == f"python -m datagen.analyse: error: {path} is not a label file\n"
    assert not (tmp_path / "report").exists()


def test_two_reports_in_one_folder_are_not_mixed(tmp_path, undrawn):
    with exclusive(tmp_path / "report", folder=True), pytest.raises(BusyError, match="report is"):
        run(tmp_path, labels())
    assert not (tmp_path / "report").exists()
    run(tmp_path, labels())


def test_labels_of_which_there_is_nothing_to_say_are_named(tmp_path, undrawn):
    spectra = labels()
    spectra.arrays["gm_2h"][:, 2] = np.nan
    with pytest.raises(ValueError, match="gm_2h is finite at none of 150 points"):
        run(tmp_path, spectra)
    spectra = labels()
    spectra.theta[:] = spectra.theta[0]
    with pytest.raises(ValueError, match="all 150 points are the same; there is nothing to comp"):
        run(tmp_path, spectra)


def test_the_budget_has_its_table_and_figure(tmp_path, monkeypatch, undrawn):
    percentiles = {"all": dict.fromkeys(("50", "95", "100"), 0.0001), "per_k": {"95": [1e-4] * 6}}
    entry = {"points": 9, "spectra": dict.fromkeys(SPECTRA, percentiles)}
    budget = {"quadrature": entry, "linear_power": {"skipped": "of a reason"}}
    monkeypatch.setattr("datagen.analyse.error_budget", lambda *_: budget)
    run(tmp_path, labels())
    html = (tmp_path / "report" / "index.html").read_text()
    assert "over 9 points and all k" in html
    assert "<td>gg_total</td><td>1.0e-04</td><td>1.0e-04</td><td>1.0e-04</td>" in html
    assert "with CAMB run at each point: not computed, of a reason." in html
    assert (tmp_path / "report" / "error_budget.png").exists()


def test_text_is_escaped():
    html = page("a < b", {"c & d": [paragraph('"e" <f>', "bad"), table(["g > h"], [["<i>"]])]})
    assert "<title>a &lt; b</title>" in html
    assert "<h2>c &amp; d</h2>" in html
    assert '<p class="bad">&quot;e&quot; &lt;f&gt;</p>' in html
    assert "<th>g &gt; h</th>" in html
    assert "<td>&lt;i&gt;</td>" in html


def test_tables_of_markdown_become_tables():
    html = markdown("One < two\n\n| a | b |\n|---|---|\n| 1 | |\n| 3 | 4 |\n\nlast\n")
    assert html.count("<p ") == 2
    assert "One &lt; two" in html
    assert "<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td></td></tr>" in html
    assert html.index("</table>") < html.index("last")


def test_every_spectrum_has_its_panel():
    figure, panels = spectrum_panels(["gg_1h", "mm_2h", "n_g"])
    assert list(panels) == ["gg_1h", "mm_2h"]
    assert [axes.get_title() for axes in panels.values()] == [*map(spectrum_label, panels)]
    assert sum(axes.axison for axes in figure.axes) == 2


def test_a_logarithm_of_a_mass_is_shown_as_one():
    labels = parameter_labels(Space(Mprime=Range(1e12, 1e13, "linear")))
    assert labels["Mth"] == r"$\log_{10}\,M_\mathrm{th}\,/\,\mathrm{M}_\odot$"
    assert labels["Mprime"] == r"$M\mathrm{′}$ [M$_\odot$]"
    assert labels["h"] == "$h$"
    labels = parameter_labels(Space(occupation="zheng07"))
    assert labels["log10M1"] == r"$\log_{10} M_1\,/\,\mathrm{M}_\odot$"
    assert labels["sigma_logM"] == r"$\sigma_{\log M}$"


def test_every_label_can_be_set_and_equal_figures_give_equal_files(tmp_path):
    texts = [spectrum_label(name) for name in SPECTRA]
    for name in OCCUPATIONS:
        known = parameters_of(name).values()
        own = [parameter_label(p, is_log) for p in known for is_log in (True, False)]
        assert len(set(own)) == len(own)
        texts += own
    with style():
        figure = new_figure(4, 8)
        for text in dict.fromkeys(texts):
            figure.text(0.1, 0.1, text)
        figure.draw_without_rendering()  # warnings are errors
    written = []
    for name in ("a", "b"):
        with style():
            figure = new_figure(4, 8)
            for i, text in enumerate(texts[:6]):
                figure.text(0.1, (i + 1) / 8, text)
            png = save_figure(figure, tmp_path / name)
        written.append((png.read_bytes(), png.with_suffix(".pdf").read_bytes()))
    assert written[0] == written[1]


def test_figures_need_no_window_system():
    code = "import sys, datagen.analyse; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
