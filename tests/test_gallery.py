"""The gallery: a figure for each parameter, the same every time, and mistakes that are named."""

import numpy as np
import pytest
from matplotlib.image import imread

from benchmarks.studies import gallery as module
from benchmarks.studies.galaxy_samples import COSMOLOGY, GALAXIES, SOURCES, fiducial
from benchmarks.studies.gallery import gallery, main, steps
from datagen.occupations import EXTRAS, OCCUPATIONS
from datagen.space import BACKGROUND, parameters_of
from export.runtime import load

SMALL = {"statistics": ("w_p", "mm_total"), "values": 3}


@pytest.fixture
def quick(monkeypatch):
    """One curve in the figure of all occupations."""
    monkeypatch.setattr(module, "GALAXIES", {"zheng07": GALAXIES["zheng07"]})


@pytest.mark.slow
def test_every_parameter_has_a_figure(quick, tmp_path, capsys):
    files = gallery(tmp_path / "new", **SMALL)
    names = [*parameters_of("zheng07"), "occupations"]
    assert [path.stem for path in files] == names
    assert {path.name for path in (tmp_path / "new").iterdir()} == {f"{n}.png" for n in names}
    assert capsys.readouterr().out.splitlines() == list(map(str, files))
    for path in files:
        assert np.ptp(imread(path)) == 1  # something is drawn


@pytest.mark.slow  # test_analyse.py compares files of equal figures
def test_figures_are_the_same_every_time(quick, tmp_path):
    one, two = (gallery(tmp_path / n, parameters=["alpha"], **SMALL)[0] for n in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_it_is_a_command(quick, tmp_path):
    main(["--out", str(tmp_path), "--occupation", "ccl+off_centring", "--parameters", "f_c",
          "R_off", "--statistics", "xi_gm", "Sigma", "--z", "1", "--values", "3"])  # fmt: skip
    assert {path.stem for path in tmp_path.iterdir()} == {"f_c", "R_off", "occupations"}


@pytest.mark.parametrize("name", [*OCCUPATIONS, *(f"zheng07+{extra}" for extra in EXTRAS)])
def test_points_are_amid_the_ranges_and_have_galaxies(name):
    model = load("tinker10", occupation=name)
    point = fiducial(name, 0.5)
    assert tuple(point) == model.names == tuple(parameters_of(name))
    assert point == fiducial(name, 0.5, {p.name: p for p in model.parameters})
    found = model(point, ["n_g", "b_eff", "f_sat"])
    assert 5e-5 < found["n_g"] < 2e-2
    assert 0.8 < found["b_eff"] < 2.5
    assert 0.02 < found["f_sat"] < 0.9


def test_every_occupation_has_a_point_with_a_source():
    assert set(GALAXIES) == set(SOURCES) == set(OCCUPATIONS)
    assert set(COSMOLOGY) | {"z"} == set(BACKGROUND)


def test_a_point_is_moved_into_the_ranges_of_an_emulator():
    model = load("published-gm")
    ranges = {p.name: p for p in model.parameters}
    assert fiducial("linke22", 0.0, ranges)["sigma_8"] == pytest.approx(0.811)
    assert ranges["w0"].high == -1 == fiducial("linke22", 0.0, ranges)["w0"]


def test_steps_stay_within_the_range():
    np.testing.assert_allclose(steps(1, 0, 4, 5, 1), [0, 0.5, 1, 2.5, 4])
    np.testing.assert_allclose(steps(1, 0, 4, 3, 0.5), [0.5, 1, 2.5])
    np.testing.assert_allclose(steps(1, 0, 1, 5, 0.5), [0.5, 0.75, 1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"statistics": ["wp"]}, "no wp (did you mean 'w_p'?); there are w_p, Delta_Sigma"),
        ({"statistics": []}, "statistics is empty; there are w_p"),
        ({"parameters": ["alpa"]}, "no alpa (did you mean 'alpha'?); the occupation zheng07 has"),
        ({"values": 4}, "values = 4 must be an odd number, 3 to 15"),
        ({"reach": 0.0}, "reach = 0 must be above 0 and at most 1"),
        ({"z": 5.0}, "z = 5"),
        ({"occupation": "zheng"}, "no occupation 'zheng' (did you mean 'zheng07'?)"),
        ({"emulator": "published-gg"}, "was trained for one occupation"),
    ],
)
def test_mistakes_are_named_before_anything_is_drawn(tmp_path, given, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is looked at below)
        gallery(tmp_path / "new", **given)
    assert message in str(error.value)
    assert not (tmp_path / "new").exists()
