import numpy as np
import pyccl
import pytest

from datagen.growth import growth_factor, growth_rate, matter_fraction, matter_fractions
from datagen.space import Range, Space

# pyccl's own tolerance of its solution is 1e-6, and in the far corners that is what differs;
# without radiation growth is off by 1e-3
PYCCL = 3e-6
PYCCL_RATE = 1e-5

CORNERS = np.array(
    [
        (Om_m, h, w0, wa, z)
        for Om_m in (0.128, 0.67)
        for h in (0.55, 0.91)
        for w0, wa in ((-2, -3), (-2, 1), (-0.3, -3), (-0.3, 0.19), (-1.15, 1), (-1, 0))
        for z in (0.1, 3.0)
    ]
)


def cosmologies(n):
    """Random points of the box of Om_m, h, w0, wa and z, shape (5, n)."""
    unit = np.random.default_rng(1).random((4 * n, 5))
    theta = np.array([0.128, 0.55, -2, -3, 0]) + np.array([0.542, 0.36, 1.7, 4, 3]) * unit
    return theta[theta[:, 2] + theta[:, 3] < -0.1][:n].T


def of_pyccl(theta, *functions):
    """The numbers that functions of pyccl's cosmologies and scale factors give, each (n,)."""
    values = []
    for Om_m, h, w0, wa, z in theta.T:
        cosmology = pyccl.CosmologyCalculator(
            Omega_c=Om_m - 0.04, Omega_b=0.04, h=h, sigma8=0.8, n_s=0.96, w0=w0, wa=wa
        )
        values.append([function(cosmology, 1 / (1 + z)) for function in functions])
    return np.array(values).T


@pytest.mark.parametrize("theta", [CORNERS.T, cosmologies(50)], ids=["corners", "random"])
def test_growth_is_pyccl_s(theta):
    growth, rate, fraction = of_pyccl(
        theta,
        pyccl.growth_factor,
        pyccl.growth_rate,
        lambda cosmology, a: cosmology.omega_x(a, "matter"),
    )
    np.testing.assert_allclose(growth_factor(*theta), growth, rtol=PYCCL)
    np.testing.assert_allclose(growth_rate(*theta), rate, rtol=PYCCL_RATE)
    np.testing.assert_allclose(matter_fraction(*theta), fraction, rtol=1e-12)


def test_growth_at_high_redshift_is_pyccl_s():
    theta = cosmologies(10)
    theta[4] = 9.0
    (expected,) = of_pyccl(theta, pyccl.growth_factor)
    np.testing.assert_allclose(growth_factor(*theta), expected, rtol=PYCCL)


def test_growth_of_matter_alone_is_the_scale_factor():
    z = np.array([0.5, 1.0, 3.0])
    # h so large that radiation is next to nothing
    np.testing.assert_allclose(growth_factor(1.0, 1e4, -1, 0, z), 1 / (1 + z), rtol=1e-9)


def test_growth_is_converged(monkeypatch):
    theta = np.concatenate([CORNERS.T, cosmologies(500)], axis=1)
    D, f = growth_factor(*theta), growth_rate(*theta)
    monkeypatch.setattr("datagen.growth._STEPS_BEFORE", 800)
    monkeypatch.setattr("datagen.growth._STEPS_AFTER", 320)
    np.testing.assert_allclose(D, growth_factor(*theta), rtol=1e-7)
    np.testing.assert_allclose(f, growth_rate(*theta), rtol=1e-7)


def test_growth_is_one_today():
    assert growth_factor([0.2, 0.5], [0.7, 0.8], [-1, -0.4], [0, -1.8], 0).tolist() == [1.0, 1.0]


def test_arguments_take_a_common_shape():
    D = growth_factor(0.3, np.array([[0.6], [0.8]]), -0.9, 0.1, np.array([0.0, 0.5, 1.0]))
    assert D.shape == (2, 3)
    assert D[1, 2] == growth_factor(0.3, 0.8, -0.9, 0.1, 1.0)


def test_a_point_does_not_depend_on_its_neighbours():
    theta = cosmologies(30)
    alone = [growth_factor(*row) for row in theta.T]
    np.testing.assert_allclose(growth_factor(*theta), alone, rtol=1e-13)


def test_matter_s_share_lies_between_its_values_at_corners():
    space = Space(h=Range(0.6, 0.8), w0=Range(-2, -0.3), wa=Range(-3, 1), z=Range(0.0, 3.0))
    theta = cosmologies(500)
    inside = (theta[0] > 0.14) & (theta[0] < 0.66) & (theta[1] > 0.6) & (theta[1] < 0.8)
    low, high = matter_fractions(space)
    found = matter_fraction(*theta[:, inside])
    assert low == pytest.approx(0.14)
    assert low < found.min() < found.max() < high < 1
