"""What interpolation in k is made of, against scipy and pyccl."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from datagen.large_scales import linear_shape
from export.interpolate import AtK, spline_matrix
from export.ranges import is_inside, read_only
from export.runtime import load

SHAPE = ("Om_c", "Om_b", "h", "n_s")


def test_spline_matrix_is_scipys_spline():
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(12))
    y, wanted = rng.random((12, 3)), np.linspace(x[0], x[-1], 77)
    np.testing.assert_allclose(spline_matrix(x, wanted) @ y, CubicSpline(x, y)(wanted), atol=1e-12)
    with pytest.raises(ValueError, match="needs 4 wavenumbers, the emulator has 3"):
        spline_matrix(x[:3], x[:3])


def test_linear_shape_is_that_of_pyccl():
    pyccl = pytest.importorskip("pyccl")
    parameters = {"Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "n_s": 0.96}
    cosmo = pyccl.Cosmology(
        Omega_c=0.25, Omega_b=0.05, h=0.7, n_s=0.96, sigma8=0.8,
        transfer_function="eisenstein_hu_nowiggles", T_CMB=2.7255,
    )  # fmt: skip
    k = np.geomspace(1e-4, 1, 30)
    ratio = linear_shape(k, {n: np.array([v]) for n, v in parameters.items()})[0]
    ratio /= cosmo.linear_matter_power(k, 1.0)
    np.testing.assert_allclose(ratio / ratio[0], 1, rtol=1e-3)  # pyccl's spline in k


def network(total: float) -> dict[str, np.ndarray]:
    """Terms that are powers of k, and a total that is not their sum but so many times as much."""
    one, two = np.full_like(GRID, 3.0), GRID**-1.5
    return {
        name: values[None].astype(np.float32)
        for name, values in {"gg_1h": one, "gg_2h": two, "gg_total": total * (one + two)}.items()
    }


GRID = np.geomspace(0.01, 100, 30)
COSMOLOGY = {
    "Om_c": np.array([0.25]),
    "Om_b": np.array([0.05]),
    "h": np.array([0.7]),
    "n_s": np.array([1.0]),
}


def test_a_total_that_is_learnt_is_not_replaced_by_a_sum():
    spectra, k = network(1.1), np.array([0.01, 0.5, 100.0])
    learnt = AtK(GRID, k, False, None, ["gg_total"])
    assert learnt.needed(["gg_total"], list(spectra)) == ("gg_total",)
    for needed in (["gg_total"], list(spectra)):
        at = learnt({name: spectra[name] for name in needed}, COSMOLOGY)["gg_total"]
        np.testing.assert_allclose(at[0], 1.1 * (3 + k**-1.5), rtol=1e-3)
    summed = AtK(GRID, k, False, None)({**spectra}, COSMOLOGY)
    np.testing.assert_allclose(summed["gg_total"], summed["gg_1h"] + summed["gg_2h"], rtol=1e-6)


def test_below_the_grid_a_learnt_total_goes_on_from_where_it_is():
    spectra, k = network(1.1), np.array([1e-3, 0.0099999, 0.01])
    at_k = AtK(GRID, k, True, None, ["gg_total"])
    assert set(at_k.needed(["gg_total"], list(spectra))) == set(spectra)
    total, *terms = (at_k(spectra, COSMOLOGY)[n][0] for n in ("gg_total", "gg_1h", "gg_2h"))
    np.testing.assert_allclose(total[1], total[2], rtol=1e-4)
    np.testing.assert_allclose(total, 1.1 * (terms[0] + terms[1]), rtol=1e-5)


def test_published_totals_are_the_same_on_the_grid_and_at_its_wavenumbers():
    point = [0.25, 0.05, 0.7, 0.82, 0.96, -1.0, 0.0, 0.0, 0.8, 0.3, 1e13, 2e14, 1.0]
    for name in ("published-gg", "published-gm", "published-gm-separate"):
        model = load(name)
        for output, values in model(point).items():
            np.testing.assert_allclose(model(point, k=model.k)[output], values, rtol=2e-5)


def test_blocks_of_a_matrix_leave_out_nothing_that_counts():
    grid, k = np.geomspace(0.01, 100, 75), np.geomspace(1e-4, 3e3, 250)
    at = AtK(grid, k, True, None, above=True, damped=True)
    ln_P = np.random.default_rng(1).normal(scale=10, size=(7, len(grid)))
    found = at(
        {"gg_1h": np.exp(ln_P), "gg_2h": np.exp(-ln_P)}, dict.fromkeys(SHAPE, np.full(7, 0.3))
    )
    np.testing.assert_allclose(np.log(found["gg_1h"]), ln_P @ at.matrices["one_halo"], atol=1e-9)
    is_inside_grid = k >= grid[0]
    expected = (-ln_P @ at.matrices["others"])[:, is_inside_grid]
    np.testing.assert_allclose(np.log(found["gg_2h"])[:, is_inside_grid], expected, atol=1e-9)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.7), (1e10, 1e15), (0.0, 1.0)])
def test_ends_of_an_interval_are_compared_as_float32(low, high):
    values = np.array([low, high, np.float32(low), np.float32(high), np.nan, np.inf, -1e300])
    np.testing.assert_array_equal(is_inside(values, low, high), [True] * 4 + [False] * 3)
    below = np.nextafter(np.float32(low), np.float32(-np.inf))
    above = np.nextafter(np.float32(high), np.float32(np.inf))
    assert not is_inside(np.array([below, above]), low, high).any()
    assert not is_inside(np.array([low - 1e-5 * high, high * (1 + 1e-6)]), low, high).any()


def test_a_read_only_copy_cannot_be_made_writable():
    array = np.arange(4.0)
    kept = read_only(array)
    array[0] = 9
    assert kept[0] == 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        kept.flags.writeable = True
    assert read_only(np.empty((0, 3))).shape == (0, 3)
