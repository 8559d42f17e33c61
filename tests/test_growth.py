import numpy as np
import pytest

from datagen.ccl import Background
from datagen.growth import growth_factor
from datagen.space import Space

# pyccl interpolates its solution in a; without radiation the growth is off by 1e-3
PYCCL = 1e-6


def cosmologies(n):
    theta = Space().from_unit(np.random.default_rng(1).random((n, 10)))
    return theta[:, :5]


@pytest.mark.parametrize("z", [0.1, 1.0, 9.0])
def test_growth_is_pyccl_s(z):
    rows = cosmologies(20)
    Om_m, h = rows[:, 0] + rows[:, 1], rows[:, 2]
    names = ("Om_c", "Om_b", "h", "sigma_8", "n_s")
    cosmos = [Background(dict(zip(names, row, strict=True))).cosmo for row in rows]
    expected = [cosmo.growth_factor(1 / (1 + z)) for cosmo in cosmos]
    np.testing.assert_allclose(growth_factor(Om_m, h, z), expected, rtol=PYCCL)


def test_growth_is_one_today():
    assert growth_factor(np.array([0.2, 0.5]), np.array([0.7, 0.8]), 0.0).tolist() == [1.0, 1.0]


def test_a_point_does_not_depend_on_its_neighbours():
    rows = cosmologies(30)
    Om_m, h = rows[:, 0] + rows[:, 1], rows[:, 2]
    alone = [growth_factor(Om_m[[i]], h[[i]], 0.5)[0] for i in range(30)]
    np.testing.assert_allclose(growth_factor(Om_m, h, 0.5), alone, rtol=1e-10)
