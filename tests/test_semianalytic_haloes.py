"""Semi-analytic emulators of every concentration and definition of the halo mass."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from scipy.interpolate import CubicSpline, make_interp_spline
from support.small_emulator import SPACE, analytic_power, small_onnx, small_semianalytic

from datagen.halomodel import HaloModel, HaloModelConfig, KGrid
from datagen.space import BACKGROUND, COSMOLOGY, Range
from emulator.emulator import Emulator
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import (
    SemiAnalyticConfig,
    SemiAnalyticEmulator,
    make_semianalytic,
    with_fits,
)
from emulator.semianalytic.fit import FitConfig, covering
from emulator.semianalytic.fits import ln_delta_m
from emulator.semianalytic.ingredients import Concentration, exportable
from export.runtime import load

# for all masses; tables of profiles take seconds with many wavenumbers
MODEL = HaloModelConfig(k=KGrid(points=15), mass_function="Despali16", halo_bias="Tinker10")
# Duffy08 and Constant at 200m have tests of their own
KINDS = sorted(
    {(one.concentration, one.mass_def) for one in exportable()}
    - {("Duffy08", "200m"), *(("Constant", mass_def) for mass_def in ("200m", "200c", "vir"))}
)
# One for each slope that concentrations follow, and all of them among the slow tests; of labels,
# test_ingredients.py has every one
FIRST = {Concentration.named(*kind).slope: kind for kind in reversed(KINDS)}
PARAMS = [
    pytest.param(kind, id="-".join(kind), marks=() if kind in FIRST.values() else pytest.mark.slow)
    for kind in KINDS
]
POINTS = 20
# Of 20 points and 15 wavenumbers, with sigma(R) exact. The worst are narrow thresholds among haloes
# whose profiles oscillate, whatever the masses; matter has no threshold. Constant has c = 1, whose
# profiles oscillate most. The bulk is what the few functions of the concentration leave out.
MEDIAN, BULK, WORST, WORST_MATTER = 1e-5, 2e-4, 2e-2, 1e-3
NETWORK_BULK = 1e-2  # of a small network, 60 nodes and 600 cosmologies
SHIFTED = 1e-4  # of ln sigma and its slope between shifts, in float32, of haloes that exist
EXIST = 11.0  # 3 ln(R_L / Mpc) of some 1e16 Msun
TERMS = ("mm_1h", "gm_1h", "gg_1h", "mm_2h", "gg_2h", "n_g", "b_eff")


def of(concentration: str, mass_def: str) -> dict[str, str]:
    """Changes of `MODEL`."""
    return {"concentration": concentration, "mass_def": mass_def}


@cache
def base() -> SemiAnalyticEmulator:
    grid = covering(MODEL, SPACE, 100, 14.3)
    config = SemiAnalyticConfig(grid, CosmologyConfig(20, 8))
    return make_semianalytic(SPACE, MODEL, analytic_power(), config, FitConfig(60, 0))


@cache
def small() -> SemiAnalyticEmulator:
    return small_semianalytic(SPACE, MODEL)


@cache
def points() -> np.ndarray:
    """Points with galaxies that are neither too rare to count nor in haloes that are."""
    theta = SPACE.from_unit(np.random.default_rng(5).random((2 * POINTS, len(SPACE.names))))
    true = HaloModel(MODEL, analytic_power())(theta)
    return theta[(true["n_g"] > 1e-7) & (true["b_eff"] < 20)][:POINTS]


def errors(emulator: Emulator, theta: np.ndarray, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """Relative errors by name of a spectrum."""
    true = HaloModel(HaloModelConfig.from_dict(emulator.spec.halo_model), analytic_power())(theta)
    with torch.no_grad():
        found = emulator(torch.tensor(theta, dtype=dtype))
    spectra = dict(zip(emulator.spec.outputs, found, strict=True))
    return {name: np.abs(spectra[name].double().numpy() / true[name] - 1) for name in TERMS}


def exact(emulator: SemiAnalyticEmulator, theta: np.ndarray):
    """What stands for `SemiAnalytic.learnt` with the true sigma(R) and power of some points."""
    columns = dict(zip(SPACE.names, theta.T, strict=True))
    cosmology = {name: columns[name] for name in COSMOLOGY} | {"sigma_8": np.ones(len(theta))}
    ln_P, ln_sigma = analytic_power()(cosmology)
    model, ln_k = emulator.model, np.log(emulator.spec.k)

    def rows(spline: CubicSpline, at: np.ndarray, derivative: int = 0) -> np.ndarray:
        return np.stack([spline(row, derivative)[:, i] for i, row in enumerate(at)])

    def learnt(_, amplitude, shift):
        x = model.x + (torch.zeros(len(theta), 1) if shift is None else shift)
        ln_R = x.double().numpy() / 3
        fit = model.concentration.fit if model.concentration else Concentration.named("Constant")
        slopes = {
            "": lambda: ln_R,
            "power": lambda: rows(ln_P, np.log(2 * np.pi) - ln_R, 1),
            "sigma": lambda: -3 - 2 * rows(ln_sigma, ln_R + np.log(fit.scale), 1),
        }
        parts = [rows(ln_sigma, ln_R), np.log(-rows(ln_sigma, ln_R, 1) / 3)]
        ln_s, ln_slope, n_eff, ln_T = map(
            torch.from_numpy, [*parts, slopes[fit.slope](), ln_P(ln_k).T]
        )
        return ln_s + amplitude, ln_slope, n_eff, ln_T + 2 * amplitude

    return learnt


@pytest.mark.parametrize("kind", PARAMS)
def test_with_exact_cosmology_it_is_the_halo_model(kind) -> None:
    emulator = with_fits(base(), **of(*kind)).double()
    emulator.model.learnt = exact(emulator, points())
    for name, error in errors(emulator, points(), torch.float64).items():
        assert np.median(error) < MEDIAN, name
        assert np.percentile(error, 95) < BULK, name
        assert error.max() < (WORST_MATTER if name.startswith("mm") else WORST), name


@pytest.mark.parametrize(
    "kind",
    [("Duffy08", "vir"), pytest.param(("Diemer15", "200c"), marks=pytest.mark.slow),
     ("Ishiyama21", "500c")],
)  # fmt: skip
def test_a_network_serves_haloes_that_it_was_not_made_for(kind) -> None:
    for name, error in errors(with_fits(small(), **of(*kind)), points(), torch.float32).items():
        assert np.percentile(error, 95) < NETWORK_BULK, name


def test_shifted_functions_are_those_of_the_grid() -> None:
    emulator = with_fits(small(), **of("Ishiyama21", "500c"))
    model, grid = emulator.model, small().model.grid
    background = torch.tensor(points()[:, : len(BACKGROUND)], dtype=torch.float32)
    features = model.sums(background)["features"]
    amplitude = torch.zeros(POINTS, 1)
    shift = torch.linspace(-model.radii.half, model.radii.half, POINTS)[:, None]
    with torch.no_grad():
        on_grid = small().model.cosmology(features, amplitude)
        ln_s, ln_slope, n_eff, ln_T = model.learnt(features, amplitude, shift)
    torch.testing.assert_close(ln_T, on_grid[2])
    x = (model.x + shift).numpy()
    there = (x > float(grid.x()[0])) & (x < EXIST)
    assert there.any(axis=1).all()
    for ours, values in ((ln_s, on_grid[0]), (ln_slope, on_grid[1])):
        spline = make_interp_spline(grid.x().numpy(), values.numpy(), k=5, axis=1)
        expected = np.stack([spline(row)[i] for i, row in enumerate(x)])
        np.testing.assert_allclose(ours.numpy()[there], expected[there], rtol=0, atol=SHIFTED)
    assert torch.isfinite(n_eff).all()


@pytest.mark.slow
def test_nodes_follow_the_radius_to_the_ends_of_the_box() -> None:
    for mass_def in ("200c", "500c", "vir"):
        radii = with_fits(base(), **of("Constant", mass_def)).model.radii
        grid, nodes = base().model.grid.x(), radii.nodes(base().model.grid).x()
        assert nodes[0] + radii.half <= grid[0]
        assert nodes[-1] - radii.half >= grid[-1]
        for share in (0.15, 0.999):  # Om_m(z)
            shift = ln_delta_m(mass_def, torch.tensor([[share]])) - radii.middle
            assert abs(float(shift)) < radii.half * 1.1
    assert with_fits(base(), mass_def="200m").model.radii.half == 0


@pytest.mark.slow
def test_saved_and_exported(tmp_path) -> None:
    emulator = with_fits(small(), **of("Ishiyama21", "vir"))
    emulator.save(tmp_path / "e.safetensors")
    loaded = Emulator.load(tmp_path / "e.safetensors")
    theta = torch.tensor(points(), dtype=torch.float32)
    with torch.no_grad():
        for a, b in zip(emulator(theta), loaded(theta), strict=True):
            assert torch.equal(a, b)
        again = with_fits(loaded, concentration="Duffy08", mass_def="200m")
        for a, b in zip(small()(theta), again(theta), strict=True):
            torch.testing.assert_close(a, b)
    path = small_onnx(tmp_path, SPACE, MODEL, **of("Ishiyama21", "vir"))  # and verified
    exported = load(path)(points())
    for name, values in zip(emulator.spec.outputs, emulator(theta), strict=True):
        np.testing.assert_allclose(exported[name], values.detach().numpy(), rtol=5e-4)


@pytest.mark.slow
def test_power_laws_at_200m_take_no_more_operators(tmp_path) -> None:
    assert len(onnx.load(small_onnx(tmp_path)).graph.node) <= 240  # as if there were nothing else


def test_refusals() -> None:
    with pytest.raises(ValueError, match="'Duffy08' has no fit for mass_def = '500c'"):
        with_fits(small(), mass_def="500c")
    with pytest.raises(ValueError, match="'Prada12' has no fit for mass_def = '200m'"):
        with_fits(small(), concentration="Prada12")
    with pytest.raises(ValueError, match="'Tinker08' is fitted for haloes of 200 to 3200 times"):
        with_fits(small(), mass_function="Tinker08", mass_def="vir")


def test_cosmology_held_fixed_fixes_the_radius() -> None:
    fixed = {name: Range(SPACE[name].low, SPACE[name].low) for name in ("Om_c", "Om_b", "z", "w0")}
    space = replace(SPACE, **fixed)
    model = replace(MODEL, **of("Diemer15", "200c"))
    config = SemiAnalyticConfig(covering(model, space, 100, 14.3), CosmologyConfig(40, 12))
    emulator = make_semianalytic(space, model, analytic_power(), config, FitConfig(300, 3))
    theta = space.from_unit(np.random.default_rng(3).random((8, len(SPACE.names))))
    for name, error in errors(emulator, theta, torch.float32).items():
        assert np.percentile(error, 95) < NETWORK_BULK, name
