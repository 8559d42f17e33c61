from itertools import product

import numpy as np
import pyccl
import pytest
from support import narrow

from datagen.boltzmann import amplitudes
from datagen.ccl import Fits, Tabulated, camb_power, matter_density
from datagen.growth import matter_fraction
from datagen.haloes import TableHaloes, haloes_of
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.ingredients import (
    CONCENTRATIONS,
    DENSITIES,
    HALO_BIASES,
    KINDS,
    MASS_DEFINITIONS,
    MASS_FUNCTIONS,
    PARTNERS,
    check_densities,
    density,
)

# pyccl takes dln sigma / dlnM from differences of its spline; a wrong factor (ln 10, 3, growth)
# or a wrong argument of a fit misses by far more
SLOPE = 2e-3
M = np.geomspace(1e10, 3e15, 40)
K = KGrid().values()
BASES = {
    "mass_function": pyccl.halos.MassFunc,
    "halo_bias": pyccl.halos.HaloBias,
    "concentration": pyccl.halos.Concentration,
}


def fits(**names):
    return HaloModelConfig(**names).fits()


def on_table(fits, z=0.0):
    """The haloes of the fiducial cosmology, from the table."""
    (haloes,) = haloes_of(narrow.columns(narrow.fiducial(1, z=z)), fits, K, narrow.table())
    assert isinstance(haloes, TableHaloes)
    return haloes


def pyccl_s(kind, name, mass_def):
    strict = (
        {} if BASES[kind].from_name(name)._mass_def_strict_always else {"mass_def_strict": False}
    )
    return BASES[kind].from_name(name)(mass_def=mass_def, **strict)


@pytest.mark.parametrize("z", [0.0, 1.0])
@pytest.mark.parametrize(("name", "mass_def"), [(n, d) for n, ds in MASS_FUNCTIONS.items()
                                                for d in ds])  # fmt: skip
def test_mass_function_by_name_is_pyccl_s(name, mass_def, z):
    constant = {"concentration": "Constant", "halo_bias": PARTNERS[name][0], "mass_def": mass_def}
    if name in DENSITIES and density(mass_def, narrow.camb().omega_x(1 / (1 + z), "matter")) < 200:
        pytest.skip("less dense than Tinker's haloes")
    dn_dlnM, _ = on_table(fits(mass_function=name, **constant), z).dn_dlnM_and_bias(M)
    theirs = pyccl_s("mass_function", name, mass_def)
    expected = theirs(narrow.camb(), M, 1 / (1 + z)) / np.log(10)
    np.testing.assert_allclose(dn_dlnM, expected, rtol=SLOPE)


@pytest.mark.parametrize("z", [0.0, 1.0])
@pytest.mark.parametrize(("name", "mass_def"), [(n, d) for n, ds in HALO_BIASES.items()
                                                for d in ds])  # fmt: skip
def test_halo_bias_by_name_is_pyccl_s(name, mass_def, z):
    partner = "Despali16" if name == "Tinker10" else "Sheth99"
    found = fits(mass_function=partner, halo_bias=name, mass_def=mass_def, concentration="Constant")
    _, bias = on_table(found, z).dn_dlnM_and_bias(M)
    theirs = pyccl_s("halo_bias", name, mass_def)
    np.testing.assert_allclose(bias, theirs(narrow.camb(), M, 1 / (1 + z)), rtol=SLOPE)


@pytest.mark.parametrize("z", [0.0, 1.0])
@pytest.mark.parametrize(("name", "mass_def"), [(n, d) for n, ds in CONCENTRATIONS.items()
                                                for d in ds])  # fmt: skip
def test_concentration_by_name_is_pyccl_s(name, mass_def, z):
    found = fits(mass_function="Despali16", halo_bias="Tinker10", concentration=name,
                 mass_def=mass_def)  # fmt: skip
    theirs = pyccl_s("concentration", name, mass_def)(narrow.camb(), M, 1 / (1 + z))
    np.testing.assert_allclose(on_table(found, z).concentration(M), theirs, rtol=SLOPE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_fit_of_pyccl_s_with_a_formula_is_there(kind):
    emulated = {"Bocquet20", "Nishimichi19"}
    assert {fit.name for fit in BASES[kind].__subclasses__()} - emulated == set(KINDS[kind])


@pytest.mark.parametrize(("kind", "mass_def"), list(product(KINDS, MASS_DEFINITIONS)))
def test_masses_are_pyccl_s_but_for_groups(kind, mass_def):
    for name, masses in KINDS[kind].items():
        theirs = BASES[kind].from_name(name)
        strict = {} if kind == "concentration" else {"mass_def_strict": True}
        try:
            theirs(mass_def=mass_def, **strict)
            allowed = True
        except ValueError as error:
            allowed = "is not defined for" not in str(error)
        if kind != "concentration" and theirs().mass_def.name == "fof":
            allowed = mass_def in ("200m", "vir")  # the nearest to groups
        if name == "Watson13":
            allowed = mass_def == "200m"  # its densities are in units of the mean one
        assert (mass_def in masses) == allowed, name


def test_radius_holds_200_times_the_matter():
    haloes = on_table(fits(), z=1.0)  # comoving, so at any redshift
    density = M / (4 / 3 * np.pi * haloes.radius(M) ** 3)
    np.testing.assert_allclose(density, 200 * haloes.rho_m)


@pytest.mark.parametrize("mass_def", MASS_DEFINITIONS)
def test_radius_holds_the_density_of_the_masses(mass_def):
    found = fits(mass_function="Despali16", halo_bias="Tinker10", concentration="Constant",
                 mass_def=mass_def)  # fmt: skip
    haloes = on_table(found, z=1.0)
    held = M / (4 / 3 * np.pi * haloes.radius(M) ** 3) / haloes.rho_m
    share = matter_fraction(0.29 + 0.0475, 0.7, -1, 0, 1.0)
    np.testing.assert_allclose(held, density(mass_def, float(share)))


def test_table_and_camb_are_the_same_haloes(monkeypatch):
    def run(point, camb):  # CAMB, once for all tests
        assert point.items() >= {n: v for n, v in narrow.FIDUCIAL.items() if n != "z"}.items()
        assert camb == "converged"
        return narrow.camb()

    monkeypatch.setattr("datagen.haloes.camb_cosmology", run)
    columns = narrow.columns(narrow.fiducial(1))
    (camb,) = haloes_of(columns, fits(), K, None)
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


def test_dark_energy_may_cross_the_phantom_divide():
    point = {
        "Om_c": 0.25,
        "Om_b": 0.05,
        "h": 0.7,
        "sigma_8": 0.8,
        "n_s": 0.96,
        "w0": -0.8,
        "wa": -0.5,
    }
    k = np.geomspace(0.01, 1.0, 5)
    ours = camb_power(point, k)
    modes = amplitudes(point, k)[0] ** 2 * k ** (point["n_s"] - 4)  # but for the amplitude
    np.testing.assert_allclose(ours / ours[-1], modes / modes[-1], rtol=1e-3)


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
def test_concentration_of_other_masses_is_refused_with_those_it_has(name):
    message = f"concentration = '{name}' has no fit for mass_def = '200m'; it has one for "
    with pytest.raises(ValueError, match=message + ", ".join(CONCENTRATIONS[name])):
        HaloModelConfig(concentration=name)


@pytest.mark.parametrize("name", ["Sheth99", "Watson13"])
def test_mass_function_of_other_masses_is_refused_with_those_it_has(name):
    with pytest.raises(ValueError, match=f"mass_function = '{name}' has no fit for .* '200c'; it"):
        Fits(name, PARTNERS[name][0], "Duffy08", "200c")


def test_unknown_masses_are_refused():
    with pytest.raises(ValueError, match="mass_def = 'fof' must be one of 200m, 200c, 500c, vir"):
        Fits("Sheth99", "Sheth01", "Duffy08", "fof")


def test_bias_without_a_partner_is_refused_with_those_that_there_are():
    message = "'Tinker10' does not go with mass_function = 'Sheth99', which takes Sheth01 or Sheth"
    with pytest.raises(ValueError, match=message):
        HaloModelConfig(halo_bias="Tinker10")
    with pytest.raises(ValueError, match="'Sheth01' .* takes Tinker10; it belongs to .*Sheth99"):
        HaloModelConfig(mass_function="Tinker08")


def test_haloes_beyond_a_fit_s_densities_are_refused():
    check_densities("Tinker08", "200c", (0.128, 1.0))
    check_densities("Despali16", "500c", (0.128, 1.0))
    with pytest.raises(ValueError, match="'Tinker08' is fitted .* 200 to 3200 .* 'vir' has 178"):
        check_densities("Tinker08", "vir", (0.3, 0.995))
    with pytest.raises(ValueError, match=r"'500c' has 3906 where Om_m\(z\) = 0.128"):
        check_densities("Tinker10", "500c", (0.128, 0.995))


def test_fits_are_compared_by_what_they_name():
    assert fits() == Fits("Sheth99", "Sheth01", "Duffy08", "200m") != fits(halo_bias="Sheth99")


@pytest.mark.parametrize("n", [-2.7, -2.0, -1.0])
def test_ishiyama21_is_inverted_as_pyccl_does(n):
    """With sigma(M) a power law, at masses of which pyccl finds the larger root."""
    theirs = pyccl_s("concentration", "Ishiyama21", "200c")

    class PowerLaw(Tabulated):
        def sigmaM(self, M, a):
            return (M / 1e13) ** (-(n + 3) / 6)

        def sigma_slope(self, M):
            return np.full_like(M, -(n + 3) / 2)

    from datagen.ccl import ishiyama21

    cosmology = PowerLaw(narrow.FIDUCIAL, None, None, 1.0)
    nu = 1.686 / cosmology.sigmaM(M, 1.0)
    A, B = theirs.a0 * (1 + theirs.a1 * (n + 3)), theirs.b0 * (1 + theirs.b1 * (n + 3))
    c = theirs._G_inv(A / nu * (1 + nu**2 / B), np.full_like(M, n))
    shift = 1 - theirs.c_alpha * (1 - narrow.camb().growth_rate(1.0))
    np.testing.assert_allclose(ishiyama21(theirs, cosmology, M, 1.0), shift * c, rtol=1e-6)
