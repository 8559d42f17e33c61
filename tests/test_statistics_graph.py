"""Statistics of one point in the emulator's graph are those that numpy makes of its spectra."""

import numpy as np
import pytest
from support.threads import wrong_in_threads

from datagen.occupations import Occupation, parameter, with_central
from datagen.space import BACKGROUND
from export.ranges import OutOfRange, OutOfRangeWarning
from export.runtime import load
from export.statistics import DeltaSigma, Sigma, Wp, Xi

R = np.geomspace(0.1, 30, 12)
PER_H = {"lengths": "Mpc/h"}
SETS = {
    "comoving": [Wp(R, 100), DeltaSigma(R)],
    "per h": [Wp(R, 60, **PER_H), DeltaSigma(R, units="h Msun/pc^2", **PER_H), "n_g"],
    "physical": [
        Wp(R[:8], physical=True),
        DeltaSigma(R[:8], physical=True, units="Msun/pc^2", bins=True, **PER_H),
    ],
    "terms": [
        Xi(R, terms=("1h", "2h", "total")),
        Wp(R, bins=True, terms="2h"),
        Wp(R, terms="1h", name="more", **PER_H),
        "gg_total",
    ],
    "matter": [
        Xi(R, "mm"), Xi(R, "gm", terms=("total", "1h")), Sigma(R, **PER_H),
        Sigma(R, correlation="mm", units="Msun/pc^2"), "P_lin", "b_eff",
    ],
    "a point mass": [
        DeltaSigma(R, point_mass=1e12, terms=("total", "1h", "2h")),
        DeltaSigma(R, point_mass=1e11, name="other", physical=True, **PER_H),
    ],
}  # fmt: skip
# of the largest value: both are in double precision; a wrong cosmology or matrix shows at 1e-3
ROUNDING = 1e-10
SPECTRA = 1e-5  # single precision, sums in another order


@pytest.fixture(scope="module")
def emulator():
    return load("tinker10", occupation="zheng07")


def drawn(model, N, seed=1):
    """Points with galaxies, whose cosmology is held for some calls, as dictionaries."""
    points = model.sample(4 * N, seed)
    has_galaxies = np.isfinite(model(points, "n_g", out_of_range="nan")["n_g"])
    points = {name: values[has_galaxies][:N] for name, values in points.items()}
    for name in BACKGROUND:
        points[name] = np.repeat(points[name][::3], 3)[:N]
    return [{name: float(values[i]) for name, values in points.items()} for i in range(N)]


def by_numpy(model, statistics, point):
    """The statistics of a point, as batches have them."""
    measured = model.measured([one for one in statistics if not isinstance(one, str)])
    x = np.array([[point[name] for name in model.names]], np.float32)
    values = model.wider.sessions.run(measured.needed, x)
    spectra = dict(zip(measured.needed, values, strict=True))
    found = measured(spectra, dict(zip(model.names, x.T, strict=True)))
    return {name: one[0] for name, one in found.items()}


def has_graph(model, *statistics):
    return model.measured(statistics).sessions is not None


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize(
    ("name", "occupation"),
    [
        ("tinker10", "zheng07+damping+off_centring"), ("standard", "linke22"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (
            ("tinker10", "zheng07"), ("tinker10", "leauthaud11"), ("standard", "zheng07+c_sat"),
        )),
    ],
)  # fmt: skip
def test_the_graph_gives_what_numpy_makes_of_its_spectra(name, occupation, kind):
    model, statistics = load(name, occupation=occupation), SETS[kind]
    assert has_graph(model, *(one for one in statistics if not isinstance(one, str)))
    for point in drawn(model, 9):
        found, expected = model(point, statistics), by_numpy(model, statistics, point)
        for key, values in expected.items():
            assert found[key].shape == values.shape
            assert found[key].dtype == np.float64
            atol = ROUNDING * np.abs(values).max()
            np.testing.assert_allclose(found[key], values, rtol=ROUNDING, atol=atol, err_msg=key)
        others = [name for name in statistics if isinstance(name, str)]
        for key, value in (model(point, others) if others else {}).items():
            np.testing.assert_allclose(found[key], value, rtol=SPECTRA, err_msg=key)


def test_what_was_called_before_does_not_matter(emulator):
    """Also of points that are arrays, or rows of one."""
    points = drawn(emulator, 12)
    statistics = SETS["per h"]
    first = [emulator(point, statistics) for point in points]
    for i in np.random.default_rng(0).integers(0, 12, 60):
        x = np.array([points[i][name] for name in emulator.names])
        for given in (points[i], x, x[None]):
            for name, values in emulator(given, statistics).items():
                np.testing.assert_array_equal(np.ravel(values), np.ravel(first[i][name]))


def test_results_may_be_written_to(emulator):
    point, statistics = emulator.example, SETS["matter"]
    expected = {name: values.copy() for name, values in emulator(point, statistics).items()}
    for values in emulator(point, statistics).values():
        if values.ndim:
            values[:] = -1.0
    for name, values in emulator(point, statistics).items():
        np.testing.assert_array_equal(values, expected[name])


def test_threads_have_cosmologies_of_their_own(emulator):
    points, statistics = drawn(emulator, 9), SETS["per h"]
    expected = [emulator(point, statistics)["w_p"] for point in points]
    assert not wrong_in_threads(
        lambda i: emulator(points[i], statistics)["w_p"], expected, calls=100, stride=2
    )


def test_outputs_beside_statistics_are_at_the_emulators_own_wavenumbers(emulator):
    found = emulator(emulator.example, [Wp(R), "gg_total", "P_lin", "n_g"])
    assert list(found) == ["gg_total", "P_lin", "n_g", "w_p"]
    assert found["gg_total"].shape == found["P_lin"].shape == emulator.k.shape
    assert np.ndim(found["n_g"]) == 0


@pytest.mark.parametrize(
    "name", ["theta", "column/h", "projection/h", "gg_1h", "n_g", "background"]
)
def test_a_statistic_may_have_any_name(emulator, name):
    found = emulator(emulator.example, [Wp(R, name=name)])[name]
    np.testing.assert_array_equal(found, emulator(emulator.example, [Wp(R)])["w_p"])


def test_where_there_are_no_galaxies_is_said_as_elsewhere():
    class Shared(Occupation):
        name, source, width = "shared", "a test", 1.0
        parameters = (parameter("share", (0.0, 1.0), "s", "Share of haloes with a galaxy."),)

        def moments(self, M, p, f):
            return with_central(p["share"] + 0.0 * M, 0.0 * M)

    model = load("tinker10", occupation=Shared())
    assert has_graph(model, Wp(R))
    point = model.example | {"share": 0.0}
    for given in (point, np.array(list(point.values()))):
        with pytest.raises(OutOfRange, match="row 0: no galaxies, n_g = 0"):
            model(given, [Wp(R)])
        with pytest.warns(OutOfRangeWarning, match="row 0: no galaxies"):
            found = model(given, [Wp(R), DeltaSigma(R, correlation="mm")], out_of_range="warn")
        assert np.isnan(found["w_p"]).all()
        assert np.isfinite(found["Delta_Sigma_mm"]).all()
        assert np.isnan(model(given, [Wp(R, **PER_H)], out_of_range="nan")["w_p"]).all()
    quiet = load("tinker10", occupation=Shared(), out_of_range="nan")
    assert np.isnan(quiet(point, [Wp(R)])["w_p"]).all()
    assert np.isfinite(quiet(point | {"share": 0.1}, [Wp(R)])["w_p"]).all()


def test_separations_beyond_the_limits_of_a_point_are_refused_as_in_batches(emulator):
    """Up to 250 Mpc/h, or physical: some points have them, others not."""
    point = emulator.example
    for one, h, z in (
        (Wp([1.0, 250.0], **PER_H), 0.84, 0.5),
        (DeltaSigma([0.012, 1.0], **PER_H), 0.58, 0.5),
        (Xi([1.0, 150.0], physical=True), 0.7, 0.9),
    ):
        found = emulator(point | {"h": h, "z": z}, [one])
        for name, values in by_numpy(emulator, [one], point | {"h": h, "z": z}).items():
            np.testing.assert_allclose(found[name], values, rtol=1e-8)
        assert has_graph(emulator, one)
        other = point | {"h": 0.7, "z": 1.5}
        for given in (other, {name: np.full(3, value) for name, value in other.items()}):
            with pytest.raises(ValueError, match="reaches"):
                emulator(given, [one])


def test_points_beyond_the_ranges_are_those_of_batches(emulator):
    """Their lengths are beyond the matrices that the graph has."""
    for h in (0.4, 1.1):
        point, statistics = emulator.example | {"h": h}, SETS["per h"]
        with pytest.warns(OutOfRangeWarning, match="h = "):
            one = emulator(point, statistics, out_of_range="warn")
        with pytest.warns(OutOfRangeWarning, match="h = "):
            rows = emulator(
                {name: np.full(2, value) for name, value in point.items()},
                statistics,
                out_of_range="warn",
            )
        for name, values in one.items():
            np.testing.assert_allclose(values, rows[name][0], rtol=1e-4)


def test_what_has_no_graph_is_left_to_numpy(emulator):
    other = (
        Wp(R, 60, kaiser=True), Wp(R, bias="tinker05"), Wp(R, exclusion="spheres"),
        DeltaSigma(R, point_mass="M_point"), Xi(R, "mm"),
    )  # fmt: skip
    for one in other:
        assert not has_graph(emulator, one)
    pair = load("tinker10", occupation={"red": "zheng07", "blue": "linke22"})
    assert not has_graph(pair, Wp(R, of="red"))
    assert not has_graph(load("tinker10", occupation="zheng07+transition"), Wp(R))
    assert not has_graph(load("network-gg"), Wp(R))
    found = emulator(emulator.example, [Xi(R, "mm"), Wp(R, 60, kaiser=True)])
    assert all(np.isfinite(values).all() for values in found.values())
