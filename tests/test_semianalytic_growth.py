import numpy as np
import pytest
import torch

from datagen.growth import growth_factor, growth_rate, matter_fraction
from emulator.semianalytic.growth import RANGES, Growth, check_ranges
from emulator.semianalytic.growth_fit import GrowthFit, box, fit_growth

BULK, CORNERS = 1e-5, 1e-4  # of D: 95 % of points, and all of them
ROUNDING = 1e-6  # of float32, in which a fit of these weights is used


def of_network(theta, growth=None):
    columns = [torch.tensor(values, dtype=torch.float32)[:, None] for values in theta]
    ln_D, Om_m = (growth or Growth())(*columns)
    return ln_D.double().exp()[:, 0].numpy(), Om_m[:, 0].double().numpy()


@pytest.mark.parametrize("kind", ["", "edges", "lcdm"])
def test_growth_is_that_of_the_equation(kind):
    theta = box(20_000, np.random.default_rng(3), kind)
    D, Om_m = of_network(theta)
    error = np.abs(D / growth_factor(*theta) - 1)
    assert np.percentile(error, 95) < BULK
    assert error.max() < CORNERS
    np.testing.assert_allclose(Om_m, matter_fraction(*theta), rtol=2 * ROUNDING)


def test_growth_rate_is_that_of_the_equation():
    theta = box(5_000, np.random.default_rng(4))
    theta[4, :50] = 0
    columns = [torch.tensor(values, dtype=torch.float32)[:, None] for values in theta]
    rate = Growth().rate(*columns)[:, 0].double().numpy()
    np.testing.assert_allclose(rate, growth_rate(*theta), rtol=1e-3)  # as concentrations need it


def test_growth_is_one_today_exactly():
    theta = box(100, np.random.default_rng(3))
    theta[4] = 0
    assert (of_network(theta)[0] == 1).all()


def test_points_of_the_box_keep_to_it():
    for kind in ("", "edges", "lcdm"):
        theta = box(500, np.random.default_rng(3), kind)
        assert theta.shape == (5, 500)
        for values, (low, high) in zip(theta, RANGES.values(), strict=True):
            assert low <= values.min() <= values.max() <= high
        assert (theta[2] + theta[3] < -0.1 + 1e-9).all()


def test_fit_is_repeatable_and_converges(tmp_path, monkeypatch):
    fit = GrowthFit(units=8, points=400, iterations=20)
    first, second = (fit_growth(tmp_path / f"{i}.npz", fit) for i in "ab")
    assert first.read_bytes() == second.read_bytes()
    monkeypatch.setattr("emulator.semianalytic.growth.WEIGHTS", first)
    theta = box(1000, np.random.default_rng(3))
    error = np.abs(of_network(theta)[0] / growth_factor(*theta) - 1)
    assert np.percentile(error, 95) < 1e-2  # of a network too small for more


def test_a_box_beyond_the_fit_is_refused():
    check_ranges(RANGES | {"Om_m": (0.1 + 0.028, 0.6 + 0.07)})
    with pytest.raises(ValueError, match=r"z = 0..4 leaves \[0, 3\].*narrow the space"):
        check_ranges(RANGES | {"z": (0.0, 4.0)})
