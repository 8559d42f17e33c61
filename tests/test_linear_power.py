from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from support import narrow

from datagen.boltzmann import amplitudes
from datagen.ccl import camb_power, matter_density
from datagen.halomodel import KGrid
from datagen.layouts import LAYOUTS
from datagen.linear_power import LinearPowerTable, TableBox
from datagen.power import WIDE, shipped_table
from datagen.space import Range, Space
from datagen.variance import Variance, lagrangian_radius, top_hat
from datagen.wavenumbers import continued, coordinates, ln_wavenumbers

# CAMB's pyccl preset is as rough as this where wiggles are moderate; a wrong tilt, amplitude or
# density misses by per cents
ROUGHNESS = 1e-4
# pyccl's spline of sigma in mass
SPLINE = 1e-4
ROUNDING = 1e-10

K = KGrid().values()
TINY = TableBox(omega_c=(0.1, 0.2), baryons=(0.02, 0.03), nodes=(3, 2), camb="pyccl")
TINY_CONVERGED = TableBox(omega_c=(0.1, 0.2), baryons=(0.05, 0.07), nodes=(8, 6))


def smooth(point):
    """What CAMB might say of a node: ln P of a power law, its amplitude a polynomial."""
    x, y = np.log(point)
    return 8 + 0.3 * x**2 - 0.2 * x * y - 1.5 * LAYOUTS["pyccl"].ln_k


def wavy(point):
    """The same for a layout that follows the sound horizon: n_s = 0, and nothing but a tilt."""
    x, y = np.log(point)
    return 8 + 0.3 * x**2 - 0.2 * x * y - 2.5 * ln_wavenumbers(*point)


def tiny_table(box=TINY, node=smooth):
    return LinearPowerTable(box, np.array([node(point) for point in box.points()]))


BOTH = pytest.mark.parametrize(
    "table", [tiny_table(), tiny_table(TINY_CONVERGED, wavy)], ids=["pyccl", "converged"]
)


def cosmology(Om_c=0.3, Om_b=0.05, h=0.7, sigma_8=0.8, n_s=0.96):
    values = {"Om_c": Om_c, "Om_b": Om_b, "h": h, "sigma_8": sigma_8, "n_s": n_s}
    return {name: np.atleast_1d(value) for name, value in values.items()}


def rows(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def P_lin(table, columns, k=K):
    return np.exp(table(columns)[0](np.log(k))).T  # (B, K)


def test_table_of_the_package_is_camb():
    """At another h than the table's, in the middle of the wiggles and at the end."""
    k = np.concatenate([np.geomspace(0.01, 1, 25), [5.0, 20.0]])
    columns = cosmology(Om_c=0.26, Om_b=0.04, h=0.8, sigma_8=0.7, n_s=1.0)
    shape = amplitudes(rows(columns)[0], k)[0] ** 2 * k ** (1.0 - 4)
    ratio = P_lin(shipped_table(), columns, k)[0] / shape
    np.testing.assert_allclose(ratio, np.sqrt(ratio.min() * ratio.max()), rtol=2e-5)
    _, ln_sigma = shipped_table()(columns)
    assert np.exp(ln_sigma(np.log(8 / 0.8))) == pytest.approx(0.7, rel=1e-5)


@pytest.mark.slow  # test_power.py compares a table of one cosmology
def test_pyccl_preset_is_pyccl():
    space = Space(Om_c=Range(0.28, 0.30), Om_b=Range(0.047, 0.048), h=Range(0.70, 0.70))
    box = TableBox.of(space, "pyccl", (3, 2))
    table = LinearPowerTable(box, np.array([box.node(point) for point in box.points()]))
    point = cosmology(0.286, 0.0473)
    np.testing.assert_allclose(
        P_lin(table, point)[0], camb_power(rows(point)[0], K), rtol=ROUGHNESS
    )


def test_sigma_is_pyccl():
    M = np.geomspace(1e10, 1e16, 25)
    rho_m = matter_density(0.29 + 0.0475, 0.7)
    _, ln_sigma = narrow.table()(narrow.columns(narrow.fiducial(1)))
    sigma = np.exp(ln_sigma(np.log(lagrangian_radius(M, rho_m))))[:, 0]
    np.testing.assert_allclose(sigma, narrow.camb().sigmaM(M, 1.0), rtol=SPLINE)


@pytest.mark.parametrize("corner", ["low", "high"])
@pytest.mark.parametrize("M", [1e8, 1e12, 1e16])
def test_sigma_is_the_integral_over_the_power(M, corner):
    """Adaptive quadrature of the same power, from the lightest haloes to the heaviest."""
    columns = cosmology(*(getattr(WIDE[name], corner) for name in ("Om_c", "Om_b", "h")))
    ln_P, ln_sigma = shipped_table()(columns)
    rho_m = matter_density(columns["Om_c"] + columns["Om_b"], columns["h"])
    R = float(lagrangian_radius(M, rho_m)[0])

    def integrand(ln_k):
        k = np.exp(ln_k)
        return k**3 * np.exp(ln_P(ln_k)[0]) * top_hat(k * R) ** 2 / (2 * np.pi**2)

    edges = np.linspace(np.log(5e-5), np.log(1e3), 60)
    variance = sum(quad(integrand, *pair, epsrel=1e-8)[0] for pair in pairwise(edges))
    assert np.exp(ln_sigma(np.log(R)))[0] == pytest.approx(np.sqrt(variance), rel=2e-6)


def test_radii_hold_every_halo_that_a_model_may_have():
    box = TableBox.of(WIDE)
    radii = box.radii()
    for end, M in (("low", 1e17), ("high", 1e8)):
        Om_m = getattr(WIDE.Om_c, end) + getattr(WIDE.Om_b, end)
        R = np.log(lagrangian_radius(M, matter_density(Om_m, getattr(WIDE.h, end))))
        assert radii[0] < R - 0.4
        assert radii[-1] > R + 0.4


def test_sigma_and_power_are_not_extrapolated():
    ln_P, ln_sigma = tiny_table()(cosmology())
    assert np.isnan(ln_sigma(np.log([1e-3, 1e4]))).all()
    assert np.isnan(ln_P(np.log([1e-6, 1e4]))).all()


class TestClaims:
    """What a table of two densities rests on, asked of CAMB itself."""

    K = np.array([1e-3, 0.01, 0.03, 0.06, 0.1, 0.2, 1.0, 5.0])

    def ratio(self, ours, theirs):
        """Of two spectra, amplitudes apart."""
        found = amplitudes(ours, self.K)[0] ** 2 / amplitudes(theirs, self.K)[0] ** 2
        return found / found[-1]

    def test_shape_depends_on_physical_densities_alone(self):
        universes = [{"Om_c": 0.14 / h**2, "Om_b": 0.023 / h**2, "h": h} for h in (0.55, 0.91)]
        ratio = self.ratio(*universes)
        np.testing.assert_allclose(ratio[1:], 1, rtol=2e-5)
        assert 1e-5 < abs(ratio[0] - 1) < 5e-4  # near the horizon h is seen

    @pytest.mark.parametrize(("w0", "wa"), [(-0.7, -0.5), (-1.3, 0.3)])
    def test_dark_energy_is_seen_in_the_amplitude_alone(self, w0, wa):
        universe = {"Om_c": 0.26, "Om_b": 0.045, "h": 0.7}
        ratio = self.ratio(universe | {"w0": w0, "wa": wa}, universe)
        np.testing.assert_allclose(ratio[2:], 1, rtol=5e-5)
        assert 5e-5 < abs(ratio[1] - 1) < 3e-4  # it clusters on the largest scales


@BOTH
def test_sigma_8_is_sigma_in_spheres_of_8_over_h(table):
    h, sigma_8 = np.array([0.69, 0.7, 0.71]), np.array([0.7, 0.8, 1.1])
    columns = cosmology(0.3 * np.ones(3), 0.05 * np.ones(3), h, sigma_8, 0.96 * np.ones(3))
    _, ln_sigma = table(columns)
    for i in range(3):
        # 1e-6: cubic spline over radii
        assert np.exp(ln_sigma(np.log(8 / h[i])))[i] == pytest.approx(sigma_8[i], rel=1e-6)


@BOTH
def test_tilt_is_a_power_law(table):
    ratio = P_lin(table, cosmology(n_s=1.1)) / P_lin(table, cosmology(n_s=0.9))
    np.testing.assert_allclose(ratio / ratio[0, 0], [(K / K[0]) ** 0.2], rtol=ROUNDING)


def test_sigma_of_a_power_law_is_a_power_law():
    """P ~ k^-1.5 has sigma ~ R^-0.75."""
    _, ln_sigma = tiny_table()(cosmology())
    R = np.geomspace(1, 20, 9)
    # 1e-4: the power below 5e-5 and above 1e3 1/Mpc, which is left out
    np.testing.assert_allclose(ln_sigma(np.log(R), 1)[:, 0], -0.75, rtol=1e-4)


@BOTH
def test_a_power_law_stays_one_at_every_wavenumber(table):
    """Of the stored powers -1.5 and -2.5 + n_s, also where wavenumbers follow the sound horizon."""
    tilt = -2.5 + 0.96 if table.box.camb == "converged" else -1.5
    ln_P = table(cosmology())[0](np.log(K))[:, 0]
    np.testing.assert_allclose(ln_P - ln_P[0], tilt * np.log(K / K[0]), atol=1e-6)


@BOTH
def test_polynomials_in_the_log_densities_are_exact(table):
    """The amplitude is sigma_8's, so it is compared before that."""
    omega_c, omega_b = np.array([0.113]), np.array([0.0221])
    stored = table.box.basis(omega_c, omega_b) @ table.coefficients
    node = wavy if table.box.camb == "converged" else smooth
    point = np.array([0.113, 0.0221])
    expected = node(point)
    if node is wavy:  # whose wavenumbers move with the densities, which is no polynomial
        stored = table.box.layout.spread(stored, omega_c, omega_b)
        expected = continued(ln_wavenumbers(*point), expected, table.box.layout.ln_k)
        inside = table.box.layout.ln_k < np.log(100)
        np.testing.assert_allclose(stored[0, inside], expected[inside], atol=1e-6)
    else:
        np.testing.assert_allclose(stored[0], expected, atol=ROUNDING)


def test_many_cosmologies_are_the_same_as_one_by_one():
    columns = narrow.columns(narrow.points(4))
    together = P_lin(narrow.table(), columns)
    alone = [
        P_lin(narrow.table(), {name: values[i : i + 1] for name, values in columns.items()})[0]
        for i in range(4)
    ]
    np.testing.assert_allclose(together, alone, rtol=ROUNDING)


def test_lagrangian_sphere_holds_its_mass():
    R = lagrangian_radius(np.array([1e10, 1e15]), 4e10)
    np.testing.assert_allclose(4 / 3 * np.pi * R**3 * 4e10, [1e10, 1e15])


@pytest.mark.parametrize("x", [1e-3, 0.0199, 0.0201, 1.0])
def test_top_hat_has_no_seam(x):
    mu = (np.polynomial.legendre.leggauss(20)[0] + 1) / 2 * x
    weights = np.polynomial.legendre.leggauss(20)[1] / 2 * x
    integral = 3 / x**3 * np.sum(weights * mu * np.sin(mu))  # int_0^x y sin y dy
    assert top_hat(np.array([x]))[0] == pytest.approx(integral, rel=1e-9)


def test_variance_at_own_radii_is_that_at_given_ones():
    ln_k = np.linspace(np.log(1e-4), np.log(1e2), 600)
    ln_P = np.stack([-1.5 * ln_k, -1.2 * ln_k])
    R = np.array([2.0, 5.0])
    table = Variance(ln_k, np.log(R))(ln_P)
    np.testing.assert_allclose(Variance(ln_k, np.zeros(1)).at(ln_P, R), np.diag(table))


class TestBox:
    @pytest.mark.parametrize("camb", ["converged", "pyccl"])
    def test_holds_every_point_of_the_space(self, camb):
        box = TableBox.of(WIDE, camb)
        unit = np.array(np.meshgrid(*[[0.0, 0.3, 1.0]] * 3)).reshape(3, -1)
        Om_c, Om_b, h = (
            WIDE[name].low + x * (WIDE[name].high - WIDE[name].low)
            for name, x in zip(("Om_c", "Om_b", "h"), unit, strict=True)
        )
        assert np.isfinite(box.basis(Om_c * h**2, Om_b * h**2)).all()
        assert box.nodes == LAYOUTS[camb].nodes

    def test_nodes_lie_inside(self):
        box = TableBox.of(Space(), "pyccl", (2, 2))
        assert box.omega_c == pytest.approx((0.1 * 0.64**2, 0.6 * 0.82**2))
        assert box.baryons == pytest.approx((0.04 * 0.64**2, 0.06 * 0.82**2))
        points = box.points()
        assert points.shape == (4, 2)
        assert (points > [box.omega_c[0], box.baryons[0]]).all()
        assert (points < [box.omega_c[1], box.baryons[1]]).all()

    def test_a_fixed_density_is_a_box_without_width(self):
        space = Space(Om_c=Range(0.3, 0.3), Om_b=Range(0.05, 0.05), h=Range(0.7, 0.7))
        for camb, node in (("pyccl", smooth), ("converged", wavy)):
            table = tiny_table(TableBox.of(space, camb, (2, 2)), node)
            assert np.isfinite(P_lin(table, cosmology())).all()

    def test_covers_what_lies_inside_of_it_and_is_of_the_same_camb(self):
        wide = TableBox.of(WIDE)
        assert wide.covers(wide)
        assert wide.covers(TableBox.of(Space()))
        assert not TableBox.of(Space()).covers(wide)
        assert not wide.covers(TableBox.of(Space(), "pyccl"))
        assert not wide.covers(TableBox.of(Space(Om_b=Range(0.04, 0.08))))

    @pytest.mark.parametrize(
        "other",
        [
            {"omega_c": (0.1, 0.21)},
            {"baryons": (0.02, 0.031)},
            {"nodes": (4, 2)},
            {"camb": "converged"},
        ],
    )
    def test_others_have_other_keys(self, other):
        options = {"omega_c": (0.1, 0.2), "baryons": (0.02, 0.03), "nodes": (3, 2), "camb": "pyccl"}
        assert TableBox(**options | other).key != TINY.key

    def test_density_outside_is_named(self):
        with pytest.raises(ValueError, match=r"Om_c h\^2 = 0.245 is outside.*\[0.1, 0.2\].*widen"):
            tiny_table()(cosmology(Om_c=0.5))
        with pytest.raises(ValueError, match=r"Om_b h\^2 = 0.0392 is outside"):
            tiny_table()(cosmology(Om_b=0.08))
        table = tiny_table(TINY_CONVERGED, wavy)
        with pytest.raises(ValueError, match=r"Om_b h / sqrt\(Om_c\) = 0.102.* is outside"):
            table(cosmology(Om_b=0.08))


class TestWavenumbers:
    @pytest.mark.parametrize("omega_c", [0.003, 0.03, 0.5, 1.2])
    @pytest.mark.parametrize("omega_b", [0.002, 0.02, 0.25])
    def test_increase_in_every_universe(self, omega_c, omega_b):
        ln_k = ln_wavenumbers(omega_c, omega_b)
        assert (np.diff(ln_k) > 0).all()
        assert ln_k[-1] == pytest.approx(np.log(110), abs=1e-3)
        assert np.exp(ln_k[0]) < 1e-4

    def test_resolve_a_wiggle_by_twelve_nodes_and_more(self):
        k = np.exp(coordinates())
        there = (k > 0.02) & (k < 0.3)
        assert (150 * np.diff(k)[there[1:]] < 2 * np.pi / 12).all()

    def test_power_beyond_the_end_goes_on_as_a_parabola(self):
        x = np.linspace(0, 2, 9)
        parabola = 1 - 2 * x + 0.3 * x**2
        wanted = np.array([0.3, 2.0, 5.0])
        expected = 1 - 2 * wanted + 0.3 * wanted**2
        np.testing.assert_allclose(continued(x, parabola, wanted), expected)
