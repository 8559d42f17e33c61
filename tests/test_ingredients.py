"""Every registered fit against pyccl's own class, with a cosmology that is pyccl's."""

from itertools import product

import numpy as np
import pyccl
import pytest
import torch
from support import narrow

from datagen.ccl import Fits
from datagen.growth import matter_fraction
from datagen.haloes import haloes_of
from datagen.halomodel import HaloModelConfig
from datagen.ingredients import (
    CONCENTRATIONS,
    HALO_BIASES,
    KINDS,
    MASS_DEFINITIONS,
    MASS_FUNCTIONS,
    PARTNERS,
    density,
)
from datagen.ingredients import combinations as combinations_of_labels
from emulator.semianalytic.ingredients import (
    Bias,
    Concentration,
    Epoch,
    Haloes,
    Ingredients,
    MassFunction,
    Universe,
    combinations,
    exportable,
    ln_delta_m,
)

SIGMA = np.geomspace(0.05, 20, 60)
A = 1 / (1 + np.array([0.0, 0.3, 1.0, 3.0]))
COSMOS = [
    pyccl.CosmologyCalculator(Omega_c=Om_c, Omega_b=0.05, h=0.7, sigma8=0.8, n_s=0.96, w0=w0, wa=wa)
    for Om_c, w0, wa in ((0.25, -1, 0), (0.55, -0.4, -1.8), (0.11, -0.9, 0.7))
]
FLOAT64 = 1e-6  # pyccl's formulas are the same; a wrong digit of a constant shows at 1e-4
FLOAT32 = 1e-4  # of n and b, where haloes count
COUNTS = np.exp(-60)
PAIRS = [(kind, name, mass_def) for kind in (MassFunction, Bias)
         for name, fit in kind.known.items() for mass_def in fit.mass_defs]  # fmt: skip


def theirs(kind, name, mass_def, cosmology, a):
    """F or b of pyccl, or None where the fit ends for this cosmology."""
    base = pyccl.halos.MassFunc if kind is MassFunction else pyccl.halos.HaloBias
    strict = {} if name == "Bocquet16" else {"mass_def_strict": False}
    fit = base.from_name(name)(mass_def=mass_def, **strict)
    try:
        if kind is MassFunction:
            return fit._get_fsigma(cosmology, SIGMA, a, np.full_like(SIGMA, 30.0))
        return fit._get_bsigma(cosmology, SIGMA, a)
    except ValueError:  # haloes denser than in Tinker's table
        return None


def ours(kind, name, mass_def, cosmology, a, dtype):
    fit = kind.named(name, mass_def)
    share = cosmology.omega_x(a, "matter")
    epoch = Epoch(*(torch.tensor([[value]], dtype=dtype) for value in (np.log(a), share)))
    ln_sigma = torch.tensor(np.log(SIGMA)[None], dtype=dtype)
    values = (fit.ln_f(ln_sigma, epoch) if kind is MassFunction else fit.b(ln_sigma, epoch))[0]
    return np.exp(values.double().numpy()) if kind is MassFunction else values.numpy()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0].kind}-{p[1]}-{p[2]}")
def test_fit_is_pyccl_s(pair):
    compared = 0
    for cosmology in COSMOS:
        for a in A:
            expected = theirs(*pair, cosmology, a)
            if expected is None:
                continue
            compared += 1
            there = expected > 1e-280
            values = ours(*pair, cosmology, a, torch.float64)
            np.testing.assert_allclose(values[there], expected[there], rtol=FLOAT64)
            there = expected > COUNTS
            values = ours(*pair, cosmology, a, torch.float32)
            assert np.isfinite(values).all()
            np.testing.assert_allclose(values[there], expected[there], rtol=FLOAT32)
    assert compared


@pytest.mark.parametrize("z", [0.0, 1.2])
@pytest.mark.parametrize(("name", "mass_def"), [(name, mass_def)
                         for name, fit in Concentration.known.items()
                         for mass_def in fit.mass_defs])  # fmt: skip
def test_concentration_is_that_of_the_labels(name, mass_def, z):
    fits = HaloModelConfig(
        mass_function="Despali16", halo_bias="Tinker10", concentration=name, mass_def=mass_def
    ).fits()
    columns = narrow.columns(narrow.fiducial(1, z=z, w0=-0.9, wa=0.2))
    (theirs,) = haloes_of(columns, fits, np.array([0.1]), narrow.table())
    M = np.geomspace(1e8, 1e16, 60)
    ours = Concentration.named(name, mass_def)
    cosmology = theirs.cosmo  # tested against pyccl's own in test_ccl
    if ours.slope == "power":
        k = 2 * np.pi / cosmology.mass2radius_lagrangian(M)
        n_eff = cosmology.get_linear_power()(k, 1.0, derivative=True)
    else:
        n_eff = -3 - 2 * cosmology.sigma_slope(M * ours.scale**3)
    Om_m, h, a = 0.29 + 0.0475, 0.7, 1 / (1 + z)
    rate = cosmology.growth_rate(a)
    numbers = (Om_m, cosmology["Omega_l"], h, np.log(cosmology.growth_factor(a)), rate)
    share = float(matter_fraction(Om_m, h, -0.9, 0.2, z))
    rows = np.log(M), np.log(cosmology.sigmaM(M, a)), n_eff
    for dtype, rtol in ((torch.float64, FLOAT64), (torch.float32, FLOAT32)):
        haloes = Haloes(*(torch.tensor(row[None], dtype=dtype) for row in rows))
        universe = Universe(*(torch.tensor([[value]], dtype=dtype) for value in numbers))
        epoch = Epoch(*(torch.tensor([[value]], dtype=dtype) for value in (np.log(a), share)))
        c = ours.ln_c(haloes, universe, epoch).exp().double().numpy()
        np.testing.assert_allclose(c[0], theirs.concentration(M), rtol=rtol)


def test_diemer15_is_finite_where_oscillations_are_steep():
    n_eff = torch.tensor([[-6.0, -4.7, -4.0]])
    haloes = Haloes(torch.full_like(n_eff, 35.0), torch.zeros_like(n_eff), n_eff)
    one = torch.ones(1, 1)
    universe, epoch = Universe(one, one, one, one, one), Epoch(one, one)
    ln_c = Concentration.named("Diemer15", "200c").ln_c(haloes, universe, epoch)
    assert torch.isfinite(ln_c).all()


@pytest.mark.parametrize("mass_def", ["200m", "200c", "500c", "vir"])
def test_densities_are_pyccl_s(mass_def):
    for cosmology in COSMOS:
        for a in A:
            share = cosmology.omega_x(a, "matter")
            expected = pyccl.halos.MassDef.from_name(mass_def)._get_Delta_m(cosmology, a)
            ours = ln_delta_m(mass_def, torch.tensor([[share]], dtype=torch.float64)).exp()
            np.testing.assert_allclose([ours.item(), density(mass_def, share)], expected)


@pytest.mark.parametrize(("kind", "fits"), [(MassFunction, MASS_FUNCTIONS), (Bias, HALO_BIASES),
                                            (Concentration, CONCENTRATIONS)])  # fmt: skip
def test_the_graph_has_the_fits_of_the_labels(kind, fits):
    assert set(kind.known) == set(fits)
    assert KINDS[kind.kind] is fits
    for name, fit in kind.known.items():
        if name == "Bocquet16":  # of other masses it depends on M besides sigma
            assert fit.mass_defs == ("200m",)
        else:
            assert fit.mass_defs == fits[name], name


def test_what_combines_is_listed():
    found = combinations()
    assert len(found) == len(set(found)) > 100
    for one in (
        Ingredients(),
        Ingredients("Tinker10", "Tinker10", "Duffy08", "200m"),
        Ingredients("Tinker08", "Tinker10", "Diemer15", "200c"),
        Ingredients("Despali16", "Tinker10", "Klypin11", "vir"),
    ):
        assert one in found
    for one in found:
        assert one.halo_bias in PARTNERS[one.mass_function]
        assert all(fit.mass_def == one.mass_def for fit in one.fits())


def test_all_that_combines_is_exportable():
    found = exportable()
    assert found == combinations()
    assert {one.concentration for one in found} == set(Concentration.known)
    assert {one.mass_def for one in found} == set(MASS_DEFINITIONS)


def test_labels_combine_what_their_fits_accept():
    for four in combinations_of_labels():
        Fits(*four)
    every = product(MASS_FUNCTIONS, HALO_BIASES, CONCENTRATIONS, MASS_DEFINITIONS)
    for four in set(every) - set(combinations_of_labels()):
        with pytest.raises(ValueError, match="has no fit for mass_def|does not go with"):
            Fits(*four)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Tinkr08", "Tinker10", "Duffy08", "200m"), "mass_function = 'Tinkr08' must be one of A"),
        (("Tinker08", "Tinker8", "Duffy08", "200m"), "halo_bias = 'Tinker8' must be one of Bh"),
        (("Tinker08", "Tinker10", "Duffy", "200m"), "concentration = 'Duffy' must be one of Bh"),
        (("Sheth99", "Sheth01", "Duffy08", "200c"), "'Sheth99' has no fit for mass_def = '200c'"),
        (("Tinker08", "Tinker10", "Duffy08", "500c"), "'Duffy08' has no fit for .* 200m, 200c"),
        (("Sheth99", "Sheth01", "Duffy08", "fof"), "mass_def = 'fof' must be one of 200m, 200c"),
        (("Sheth99", "Tinker10", "Duffy08", "200m"), "'Tinker10' does not go with .* = 'Sheth99'"),
        (("Tinker08", "Sheth01", "Duffy08", "200m"), "takes Tinker10; it belongs to Angulo12"),
    ],
)
def test_what_does_not_combine_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        Ingredients(*names)


def test_cosmologies_beyond_a_table_are_refused():
    Ingredients("Tinker08", "Tinker10", "Duffy08", "vir").check_densities((0.2, 0.6))
    with pytest.raises(ValueError, match="Om_m.z. = 0.99; choose another, or narrow the space"):
        Ingredients("Tinker08", "Tinker10", "Duffy08", "vir").check_densities((0.2, 0.99))


def test_own_fit_enters_by_its_name():
    class Own(MassFunction):
        def ln_f(self, ln_sigma, epoch):
            return -ln_sigma

    try:
        assert MassFunction.named("Own", "vir").mass_def == "vir"
        with pytest.raises(ValueError, match="not go with mass_function = 'Own', which takes none"):
            Ingredients("Own", "Tinker10")
    finally:
        del MassFunction.known["Own"]


def test_haloes_that_are_too_rare_or_common_give_finite_numbers_in_float32():
    ln_sigma = torch.linspace(-3.0, 3.0, 200)[None]  # sigma 0.05..20
    for kind in (MassFunction, Bias):
        for name in kind.known:
            fit = kind.named(name)
            epoch = Epoch(torch.tensor([[-1.3]]), torch.tensor([[0.97]]))
            values = fit.ln_f(ln_sigma, epoch) if kind is MassFunction else fit.b(ln_sigma, epoch)
            assert torch.isfinite(values).all(), name
