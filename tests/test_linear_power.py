import narrow
import numpy as np
import pytest

from datagen import linear_power
from datagen.ccl import camb_power, matter_density
from datagen.halomodel import KGrid
from datagen.linear_power import LinearPowerTable, TableBox, lagrangian_radius, wavenumbers
from datagen.space import Range, Space

# CAMB's own sampling in k makes its power rough at this level where wiggles are moderate; a
# wrong tilt, amplitude or density misses by per cents
CAMB_ROUGHNESS = 1e-4
# pyccl's spline of sigma in mass
SPLINE = 1e-4
ROUNDING = 1e-10

K = KGrid().values()
TINY = TableBox(omega_c=(0.1, 0.2), omega_b=(0.02, 0.03), nodes=(3, 2))


def smooth(point):
    """What CAMB might say of a node: ln P of a power law, its amplitude a polynomial."""
    x, y = point
    return 8 + 0.3 * x**2 - 0.2 * x * y - 1.5 * np.log(wavenumbers())


def tiny_table():
    return LinearPowerTable(TINY, np.array([smooth(point) for point in TINY.points()]))


def cosmology(Om_c=0.3, Om_b=0.05, h=0.7, sigma_8=0.8, n_s=0.96):
    return np.array([[Om_c, Om_b, h, sigma_8, n_s]])


def P_lin(table, cosmologies, k=K):
    return np.exp(table(cosmologies)[0](np.log(k))).T  # (B, K)


def test_table_is_camb():
    theta = narrow.points(3, seed=1)
    direct = [camb_power(narrow.cosmology(row), K) for row in theta]
    np.testing.assert_allclose(P_lin(narrow.table(), theta[:, :5]), direct, rtol=CAMB_ROUGHNESS)


def test_sigma_is_pyccl():
    M = np.geomspace(1e10, 1e16, 25)
    rho_m = matter_density(0.29 + 0.0475, 0.7)
    _, ln_sigma = narrow.table()(narrow.fiducial(1)[:, :5])
    sigma = np.exp(ln_sigma(np.log(lagrangian_radius(M, rho_m))))[:, 0]
    np.testing.assert_allclose(sigma, narrow.camb().sigmaM(M, 1.0), rtol=SPLINE)


def test_shape_depends_on_physical_densities_alone():
    """The claim that the table rests on, asked of CAMB itself."""
    spectra = []
    for h in (0.64, 0.82):
        names = {"Om_c": 0.14 / h**2, "Om_b": 0.023 / h**2, "h": h, "sigma_8": 0.8, "n_s": 0.96}
        spectra.append(camb_power(names, K))
    ratio = spectra[0] / spectra[1]
    np.testing.assert_allclose(ratio / ratio[0], 1, rtol=2e-5)


def test_sigma_8_is_sigma_in_spheres_of_8_over_h():
    cosmologies = narrow.points(5)[:, :5]
    _, ln_sigma = narrow.table()(cosmologies)
    for i, (_, _, h, sigma_8, _) in enumerate(cosmologies):
        # 1e-6: cubic spline over 192 radii
        assert np.exp(ln_sigma(np.log(8 / h)))[i] == pytest.approx(sigma_8, rel=1e-6)


def test_tilt_is_a_power_law():
    ratio = P_lin(tiny_table(), cosmology(n_s=1.1)) / P_lin(tiny_table(), cosmology(n_s=0.9))
    np.testing.assert_allclose(ratio / ratio[0, 0], [(K / K[0]) ** 0.2], rtol=ROUNDING)


def test_sigma_of_a_power_law_is_a_power_law():
    """P ~ k^-1.5 has sigma ~ R^-0.75."""
    _, ln_sigma = tiny_table()(cosmology())
    R = np.geomspace(1, 20, 9)
    # 1e-4: the power below 5e-5 and above 1e3 1/Mpc, which is left out
    np.testing.assert_allclose(ln_sigma(np.log(R), 1)[:, 0], -0.75, rtol=1e-4)


def test_polynomials_in_the_log_densities_are_exact():
    table, omegas = tiny_table(), np.array([0.113, 0.0271])
    h = 0.7
    ln_P = table(cosmology(omegas[0] / h**2, omegas[1] / h**2, h))[0](table._ln_k)[:, 0]
    expected = smooth(np.log(omegas))
    np.testing.assert_allclose(ln_P - ln_P[0], expected - expected[0], atol=ROUNDING)


def test_many_cosmologies_are_the_same_as_one_by_one():
    cosmologies = narrow.points(4)[:, :5]
    together = P_lin(narrow.table(), cosmologies)
    alone = [P_lin(narrow.table(), row[None])[0] for row in cosmologies]
    np.testing.assert_allclose(together, alone, rtol=ROUNDING)


def test_growth_is_camb_s():
    theta = narrow.fiducial(1)
    for z in (0.5, 2.0):
        ours = narrow.model(z=z)(theta)["P_lin"][0]
        theirs = narrow.camb().linear_matter_power(K, 1 / (1 + z))
        np.testing.assert_allclose(ours, theirs, rtol=CAMB_ROUGHNESS)


def test_lagrangian_sphere_holds_its_mass():
    R = lagrangian_radius(np.array([1e10, 1e15]), 4e10)
    np.testing.assert_allclose(4 / 3 * np.pi * R**3 * 4e10, [1e10, 1e15])


@pytest.mark.parametrize("x", [1e-3, 0.0199, 0.0201, 1.0])
def test_top_hat_has_no_seam(x):
    mu = (np.polynomial.legendre.leggauss(20)[0] + 1) / 2 * x
    weights = np.polynomial.legendre.leggauss(20)[1] / 2 * x
    integral = 3 / x**3 * np.sum(weights * mu * np.sin(mu))  # int_0^x y sin y dy
    assert linear_power._top_hat(np.array([x]))[0] == pytest.approx(integral, rel=1e-9)


def test_box_holds_every_corner_of_the_space():
    box = TableBox.of(Space(), (2, 2))
    assert box.omega_c == pytest.approx((0.1 * 0.64**2, 0.6 * 0.82**2))
    assert box.omega_b == pytest.approx((0.04 * 0.64**2, 0.06 * 0.82**2))
    inside = np.exp(box.points())
    assert inside.shape == (4, 2)
    assert (inside > [box.omega_c[0], box.omega_b[0]]).all()
    assert (inside < [box.omega_c[1], box.omega_b[1]]).all()


def test_a_fixed_density_is_a_box_without_width():
    space = Space(Om_c=Range(0.3, 0.3), Om_b=Range(0.05, 0.05), h=Range(0.7, 0.7))
    box = TableBox.of(space, (2, 2))
    table = LinearPowerTable(box, np.array([smooth(point) for point in box.points()]))
    assert np.isfinite(P_lin(table, cosmology())).all()


@pytest.mark.parametrize("other", [((0.1, 0.21), (3, 2)), ((0.1, 0.2), (4, 2))])
def test_other_tables_have_other_keys(other):
    omega_c, nodes = other
    assert TableBox(omega_c, TINY.omega_b, nodes).key != TINY.key


class TestCache:
    @pytest.fixture(autouse=True)
    def empty(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HODSPECTRA_CACHE", str(tmp_path))

    @staticmethod
    def build():
        """The table, and how many nodes had to be computed for it."""
        computed = []

        def node_map(_, points):
            return [computed.append(point) or smooth(point) for point in points]

        return LinearPowerTable.load_or_build(TINY, node_map), len(computed)

    def test_second_time_reads_the_first(self):
        first, computed = self.build()
        assert computed == 6
        second, computed = self.build()
        assert computed == 0
        np.testing.assert_array_equal(
            P_lin(first, cosmology()), P_lin(second, cosmology()), strict=True
        )

    def test_interrupted_build_leaves_nothing(self, tmp_path):
        def broken(_, points):
            yield smooth(points[0])
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            LinearPowerTable.load_or_build(TINY, broken)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("damage", ["cut", "zeros", "flipped bit", "foreign", "empty"])
    def test_a_damaged_file_is_made_again(self, damage):
        self.build()
        whole = TINY.path.read_bytes()
        content, middle = bytearray(whole), len(whole) // 2
        if damage == "cut":
            del content[middle:]
        elif damage == "zeros":
            content[middle : middle + 64] = bytes(64)
        elif damage == "flipped bit":
            content[middle] ^= 4
        else:
            content = b"PK" if damage == "foreign" else b""
        TINY.path.write_bytes(content)
        _, computed = self.build()
        assert computed == 6
        assert TINY.path.read_bytes() == whole

    def test_tables_of_other_code_are_not_taken(self, monkeypatch):
        before = TINY.key
        monkeypatch.setattr("datagen.linear_power.code_hash", lambda *_, **__: "other")
        assert TINY.key != before


def test_density_outside_the_box_is_named():
    with pytest.raises(ValueError, match=r"Om_c h\^2 = 0.245 is outside.*\[0.1, 0.2\].*widen"):
        tiny_table()(cosmology(Om_c=0.5))
    with pytest.raises(ValueError, match=r"Om_b h\^2 = 0.0392 is outside"):
        tiny_table()(cosmology(Om_b=0.08))
