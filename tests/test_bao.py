"""Between its wavenumbers an emulator knows the wiggles, from the linear power it is made with."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from datagen.halomodel import KGrid
from datagen.power import shipped_table
from datagen.space import Space, columns_by_name
from emulator.bao import fit_bao
from export.interpolate import spline_matrix

GRID = KGrid().values()
SPACE = Space()


@pytest.fixture(scope="module")
def bao():
    return fit_bao(GRID, shipped_table(), SPACE)


@pytest.fixture(scope="module")
def spectra():
    """Ln P_lin of other cosmologies at the grid, and between its wavenumbers."""
    theta = SPACE.from_unit(np.random.default_rng(5).random((200, len(SPACE.names))))
    ln_P, _ = shipped_table()(columns_by_name(theta, SPACE.names))
    between = np.sqrt(GRID[:26] * GRID[1:27])
    return ln_P(np.log(GRID)).T, ln_P(np.log(between)).T, between


def corrected(bao, on_grid, k):
    """A spline through the grid, and what it misses."""
    missed = on_grid @ np.array(bao["matrix"]).T + bao["offset"]
    fine = spline_matrix(np.log(bao["k"]), np.log(k))
    return CubicSpline(np.log(GRID), on_grid, axis=1)(np.log(k)) + missed @ fine.T


def test_wiggles_between_wavenumbers_are_there(bao, spectra):
    on_grid, between, k = spectra
    plain = np.abs(CubicSpline(np.log(GRID), on_grid, axis=1)(np.log(k)) - between)
    error = np.abs(corrected(bao, on_grid, k) - between)
    assert np.percentile(error, 95) < 1e-3 < 1e-2 < np.percentile(plain, 95)


def test_accuracy_that_it_tells_is_the_one_that_it_has(bao, spectra):
    on_grid, between, k = spectra
    error = np.abs(corrected(bao, on_grid, k) - between)
    assert np.percentile(error, 95) == pytest.approx(bao["accuracy"]["95"], rel=0.5)
    values = list(bao["accuracy"].values())
    assert values == sorted(values)


def test_amplitude_does_not_matter(bao, spectra):
    """So that it holds at every redshift."""
    on_grid, _, k = spectra
    shift = corrected(bao, on_grid + 3.0, k) - corrected(bao, on_grid, k)
    np.testing.assert_allclose(shift, 3.0, atol=1e-4)


def test_on_the_grid_nothing_is_added(bao, spectra):
    on_grid, _, _ = spectra
    wanted = np.array(bao["k"])[::4]
    np.testing.assert_allclose(
        corrected(bao, on_grid, wanted), on_grid[:, : len(wanted)], atol=1e-6
    )


def test_record_is_plain_numbers(bao):
    assert set(bao) == {"k", "matrix", "offset", "accuracy", "below"}
    assert np.array(bao["matrix"]).shape == (len(bao["k"]), len(GRID))
    assert len(bao["offset"]) == len(bao["k"])


def test_grid_too_short_for_a_spline_has_none():
    assert fit_bao(GRID[:3], shipped_table(), SPACE) == {}
