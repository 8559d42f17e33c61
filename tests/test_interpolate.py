"""What interpolation in k is made of, against scipy and pyccl."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from export.interpolate import linear_shape, spline_matrix


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
