import narrow
import numpy as np
import pyccl
import pytest

from datagen.ccl import Fits, camb_power, matter_density
from datagen.haloes import TableHaloes, haloes_of
from datagen.halomodel import HaloModelConfig, KGrid

MASS_FUNCTIONS = (
    "Angulo12", "Bocquet16", "Despali16", "Jenkins01", "Press74", "Sheth99", "Tinker08",
    "Tinker10", "Watson13",
)  # fmt: skip
HALO_BIASES = ("Bhattacharya11", "Sheth01", "Sheth99", "Tinker10")

# pyccl takes dln sigma / dlnM from differences of its spline; a wrong factor (ln 10, 3, growth)
# or a wrong argument of a fit misses by far more
SLOPE = 2e-3
M = np.geomspace(1e10, 3e15, 40)
K = KGrid().values()


def fits(**names):
    return HaloModelConfig(**names).fits()


def on_table(fits, z=0.0):
    """The haloes of the fiducial cosmology, from the table."""
    (haloes,) = haloes_of(narrow.fiducial(1)[:, :5], fits, z, K, narrow.table())
    assert isinstance(haloes, TableHaloes)
    return haloes


@pytest.mark.parametrize("z", [0.0, 1.0])
@pytest.mark.parametrize("name", MASS_FUNCTIONS)
def test_mass_function_by_name_is_pyccl_s(name, z):
    dn_dlnM, _ = on_table(fits(mass_function=name), z).dn_dlnM_and_bias(M)
    theirs = pyccl.halos.MassFunc.from_name(name)(mass_def="200m", mass_def_strict=False)
    expected = theirs(narrow.camb(), M, 1 / (1 + z)) / np.log(10)
    np.testing.assert_allclose(dn_dlnM, expected, rtol=SLOPE)


@pytest.mark.parametrize("z", [0.0, 1.0])
@pytest.mark.parametrize("name", HALO_BIASES)
def test_halo_bias_by_name_is_pyccl_s(name, z):
    _, bias = on_table(fits(halo_bias=name), z).dn_dlnM_and_bias(M)
    theirs = pyccl.halos.HaloBias.from_name(name)(mass_def="200m", mass_def_strict=False)
    np.testing.assert_allclose(bias, theirs(narrow.camb(), M, 1 / (1 + z)), rtol=SLOPE)


@pytest.mark.parametrize("name", ["Constant", "Duffy08"])
def test_concentration_by_name_is_pyccl_s(name):
    haloes = on_table(fits(concentration=name), z=1.0)
    theirs = pyccl.halos.Concentration.from_name(name)(mass_def="200m")
    np.testing.assert_array_equal(haloes.concentration(M), theirs(narrow.camb(), M, 0.5))


def test_radius_holds_200_times_the_matter():
    haloes = on_table(fits(), z=1.0)  # comoving, so at any redshift
    density = M / (4 / 3 * np.pi * haloes.radius(M) ** 3)
    np.testing.assert_allclose(density, 200 * haloes.rho_m)


def test_table_and_camb_are_the_same_haloes():
    (camb,) = haloes_of(narrow.fiducial(1)[:, :5], fits(), 0.0, K, None)
    table = on_table(fits())
    assert table.rho_m == camb.rho_m
    for ours, theirs in zip(table.dn_dlnM_and_bias(M), camb.dn_dlnM_and_bias(M), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=SLOPE)
    np.testing.assert_array_equal(table.radius(M), camb.radius(M))


def test_g3lhalo_leaves_every_fit_at_its_own_masses():
    own = fits(model="g3lhalo")
    masses = {
        name: getattr(own, f"_{name}").mass_def.name
        for name in ("mass_function", "halo_bias", "concentration")
    }
    assert masses == {"mass_function": "fof", "halo_bias": "fof", "concentration": "200c"}


def test_matter_density_is_pyccl_s():
    expected = narrow.camb().rho_x(1.0, "matter", is_comoving=True)
    assert matter_density(0.29 + 0.0475, 0.7) == pytest.approx(expected, rel=1e-12)


def test_camb_power_has_the_sigma_8_asked_for():
    k = np.geomspace(1e-4, 1e2, 3000)
    x = k * 8 / narrow.FIDUCIAL["h"]
    top_hat = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    power = camb_power(narrow.FIDUCIAL, k) * k**3 * top_hat**2 / (2 * np.pi**2)
    sigma_8 = np.sqrt(np.trapezoid(power, np.log(k)))
    assert sigma_8 == pytest.approx(narrow.FIDUCIAL["sigma_8"], rel=1e-4)  # pyccl's own integral


@pytest.mark.parametrize("field", ["mass_function", "halo_bias", "concentration"])
def test_unknown_fit_is_refused_with_the_known_ones(field):
    with pytest.raises(ValueError, match=f"{field} = 'Tinkr08' must be one of .*,"):
        HaloModelConfig(**{field: "Tinkr08"})


@pytest.mark.parametrize("name", ["Nishimichi19", "Bocquet20"])
def test_emulated_mass_functions_are_refused(name):
    with pytest.raises(ValueError, match=f"mass_function = '{name}' must be one of Angulo12"):
        HaloModelConfig(mass_function=name)


@pytest.mark.parametrize("name", ["Diemer15", "Ishiyama21", "Klypin11", "Prada12"])
def test_concentration_of_other_masses_is_refused(name):
    with pytest.raises(ValueError, match=f"concentration = '{name}'.*not defined for 200m"):
        HaloModelConfig(concentration=name)


def test_concentration_with_power_of_its_own_needs_camb():
    with pytest.raises(ValueError, match="'Bhattacharya13' needs a power spectrum.*camb"):
        HaloModelConfig(concentration="Bhattacharya13")
    assert HaloModelConfig(concentration="Bhattacharya13", linear_power="camb")


def test_fits_are_compared_by_what_they_name():
    assert fits() == Fits("Sheth99", "Sheth01", "Duffy08", "200m") != fits(halo_bias="Tinker10")
