"""The semi-analytic emulator against the halo model, piece by piece, and its exact properties."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.small_emulator import SPACE, analytic_power, small_semianalytic
from torch import Tensor

from datagen.halomodel import HaloModel, HaloModelConfig, KGrid
from datagen.outputs import CORRELATIONS, TERMS
from datagen.space import BACKGROUND, Range, Space
from emulator.emulator import Emulator, SemiAnalyticEmulator
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import (
    OUTPUTS,
    SemiAnalyticConfig,
    make_semianalytic,
    with_finer_grid,
    with_fits,
    with_wavenumbers,
)
from emulator.semianalytic.fit import FitConfig, covering, functions
from emulator.semianalytic.grid import SCALE, LowerLimit, MassGrid
from emulator.semianalytic.logarithms import LogSums, scaled, span
from emulator.semianalytic.occupation import Threshold, Weights

MODEL = HaloModelConfig()
FEW_K = replace(MODEL, k=KGrid(points=8))  # every seventh of its wavenumbers
GRID = covering(MODEL, SPACE, 120, 14.3)
SMALL = SemiAnalyticConfig(GRID, CosmologyConfig(40, 12))
# Worst of 9 spectra, 8 wavenumbers and 48 points with exact ingredients: where a sharp threshold
# meets the oscillations of the largest haloes' profiles. The median is 1e-5 or better.
QUADRATURE_TOLERANCE = 5e-3
QUADRATURE_MEDIAN = 2e-5
NETWORK_TOLERANCE = 5e-2  # 80 hidden units, 600 cosmologies; a wrong feature costs far more
FLOAT32 = 1e-4  # sums of 120 terms, exponentials of numbers near 20


def theta_of(points: int, seed: int) -> np.ndarray:
    return SPACE.from_unit(np.random.default_rng(seed).random((points, len(SPACE.names))))


def float32(theta: np.ndarray) -> Tensor:
    return torch.tensor(theta, dtype=torch.float32)


@pytest.fixture(scope="module")
def theta() -> np.ndarray:
    return theta_of(48, 5)


@pytest.fixture(scope="module")
def labels(theta: np.ndarray) -> dict[str, np.ndarray]:
    true = HaloModel(MODEL, analytic_power())(theta)
    return true | {f"{xy}_total": true[f"{xy}_1h"] + true[f"{xy}_2h"] for xy in CORRELATIONS}


@pytest.fixture(scope="module")
def small(small_file: Path) -> Emulator:
    return Emulator.load(small_file.with_suffix(".safetensors"))


@pytest.fixture(scope="module")
def few_k() -> SemiAnalyticEmulator:
    """The small one at few wavenumbers, whose profiles take a seventh of the time."""
    return small_semianalytic(model=FEW_K)


def named(emulator: Emulator, theta: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return dict(zip(emulator.spec.outputs, emulator(theta), strict=True))


def errors(spectra: dict[str, Tensor], true: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n: np.abs(P.double().numpy() / true[n] - 1) for n, P in spectra.items()}


class ExactCosmology(torch.nn.Module):
    """What the network of the cosmology should give at some points."""

    def __init__(self, values: np.ndarray, Q: int) -> None:
        super().__init__()
        *parts, _ = torch.from_numpy(values).split([Q, Q, values.shape[1] - 3 * Q, Q], dim=1)
        self.values = tuple(parts)

    def forward(self, features: Tensor, amplitude: Tensor) -> tuple[Tensor, ...]:
        ln_s, ln_slope, ln_T = self.values
        return ln_s + amplitude, ln_slope, ln_T + 2 * amplitude


def from_exact_ingredients(space: Space, grid: MassGrid, theta: np.ndarray) -> dict[str, Tensor]:
    """What the sums over a grid make of the true cosmology of points, by name, in float64."""
    config = replace(SMALL, grid=grid)
    fit = FitConfig(cosmologies=60, iterations=0)
    emulator = make_semianalytic(space, FEW_K, analytic_power(), config, fit).double()
    exact = functions(analytic_power(), space, theta, grid.x().numpy(), FEW_K.k.values())
    emulator.model.cosmology = ExactCosmology(exact, grid.nodes)
    return named(emulator, torch.tensor(theta))


def test_integrals_of_exact_ingredients_agree_with_the_halo_model(theta, labels) -> None:
    spectra = from_exact_ingredients(SPACE, GRID, theta)
    true = {name: P[:, ::7] if P.ndim == 2 else P for name, P in labels.items()}
    for name, error in errors(spectra, true).items():
        assert error.max() < QUADRATURE_TOLERANCE, name
        assert np.median(error) < QUADRATURE_MEDIAN, name


RARE = np.array([
    (0.577, 0.029, 0.82, 1.15, 1.09, -1.4, -0.7, 3.0, 0.5, 0.05, 7.2e14, 1e10, 0.9),
    (0.595, 0.045, 0.90, 1.20, 0.99, -1.2, -1.4, 2.8, 0.4, 0.08, 9.2e14, 1e10, 1.0),
])  # fmt: skip


@pytest.mark.parametrize(("finer", "n_g", "tolerance"), [(1, 3e-3, 0.3), (4, 1e-4, 1e-2)])
def test_narrow_thresholds_among_the_rarest_haloes(finer, n_g, tolerance) -> None:
    """n(M) falls like M^-11 there, and profiles turn by two radians from node to node."""
    space = replace(SPACE, z=Range(0.0, 3.0), Mth=Range(1e10, 1e15, "log10"))
    spectra = from_exact_ingredients(space, MassGrid().finer(finer), RARE)
    true = HaloModel(FEW_K, analytic_power())(RARE)
    wrong = errors({name: P for name, P in spectra.items() if name in true}, true)
    assert wrong["n_g"].max() < n_g
    assert wrong["mm_1h"].max() < 1e-4
    for name in ("gm_1h", "gm_2h", "gg_1h", "gg_2h"):
        assert wrong[name].max() < tolerance, name


def test_a_finer_grid_changes_only_narrow_thresholds_among_rare_haloes(few_k) -> None:
    finer = with_finer_grid(few_k, 4)
    assert finer.spec.network.grid.nodes == 4 * few_k.spec.network.grid.nodes - 3
    assert not finer.spec.record
    some = RARE.copy()
    some[:, SPACE.names.index("z")] = 0.5
    some[:, SPACE.names.index("sigma")] = 0.5
    some[:, SPACE.names.index("Mth")] = 1e13
    assert max(changes(few_k, finer, some).values()) < 2e-4
    assert changes(few_k, finer, RARE)["gg_1h"] > 0.1
    assert changes(finer, with_finer_grid(few_k, 8), RARE)["gg_1h"] < 0.03


def changes(one, other, points) -> dict[str, float]:
    """Largest relative difference of two emulators by output."""
    first = {name: P.numpy() for name, P in named(one, float32(points)).items()}
    return {name: e.max() for name, e in errors(named(other, float32(points)), first).items()}


@pytest.mark.parametrize("finer", [0, 11])
def test_a_grid_is_at_most_ten_times_finer(small, finer) -> None:
    with pytest.raises(ValueError, match=rf"finer = {finer} must lie in \[1, 10\]"):
        with_finer_grid(small, finer)


def test_a_small_emulator_agrees_with_the_halo_model(small, theta, labels) -> None:
    spectra = named(small, float32(theta))
    assert tuple(spectra) == OUTPUTS
    for name, error in errors(spectra, labels).items():
        assert np.percentile(error, 95) < NETWORK_TOLERANCE, name


def test_other_fits_for_haloes_need_no_other_network(few_k, theta) -> None:
    fits = {"mass_function": "Tinker10", "halo_bias": "Tinker10"}
    changed = with_fits(few_k, **fits)
    true = HaloModel(replace(FEW_K, **fits), analytic_power())(theta)
    for name in ("mm_1h", "gm_2h", "gg_1h", "n_g"):
        error = errors({name: named(changed, float32(theta))[name]}, true)[name]
        assert np.percentile(error, 95) < NETWORK_TOLERANCE, name
    assert changed.spec.halo_model["mass_function"] == "Tinker10"
    assert not changed.spec.record
    assert few_k.spec.halo_model["mass_function"] == "Sheth99"
    with pytest.raises(ValueError, match="Tinker10.*Sheth"):
        with_fits(few_k, halo_bias="Tinker10")


@pytest.mark.slow  # by default, test_to_torch.py and test_semianalytic_haloes.py
def test_other_galaxies_need_no_other_network(small) -> None:
    changed = with_fits(small, "zheng07", concentration="Ishiyama21", mass_def="vir")
    space = changed.spec.space
    assert space.occupation == "zheng07"
    assert all(space[name] == SPACE[name] for name in BACKGROUND)
    rng = np.random.default_rng(3)
    points = space.from_unit(0.2 + 0.5 * rng.random((20, len(space.names))))
    model = replace(MODEL, concentration="Ishiyama21", mass_def="vir")
    true = HaloModel(model, analytic_power(), "zheng07")(points)
    for name in ("mm_1h", "gm_2h", "gg_1h", "n_g"):
        error = errors({name: named(changed, float32(points))[name]}, true)[name]
        assert np.percentile(error, 95) < NETWORK_TOLERANCE, name
    assert with_fits(small, "linke22").spec.space == small.spec.space
    with pytest.raises(ValueError, match="no occupation 'zheng'"):
        with_fits(small, "zheng")


@pytest.mark.slow
def test_a_fit_is_repeated_by_its_seed() -> None:
    first, second, other = (
        make_semianalytic(SPACE, MODEL, analytic_power(), SMALL, FitConfig(60, 3, seed))
        for seed in (1, 1, 2)
    )
    weight = "model.cosmology.hidden.weight"
    torch.testing.assert_close(first.state_dict()[weight], second.state_dict()[weight])
    assert not torch.allclose(first.state_dict()[weight], other.state_dict()[weight])


def test_more_wavenumbers_are_as_accurate_and_leave_the_others_as_they_are(small, theta) -> None:
    own = np.array(small.spec.k)
    between = np.sqrt(own[1:] * own[:-1])[own[:-1] > 0.5]
    wider = with_wavenumbers(small, between)
    k = np.array(wider.spec.k)
    assert len(k) == len(own) + len(between)
    points = float32(theta)
    at_own, at_all = named(small, points), named(wider, points)
    fine = replace(MODEL, k=replace(MODEL.k, points=2 * len(own) - 1))
    true = HaloModel(fine, analytic_power())(theta)
    places = np.searchsorted(fine.k.values(), between * (1 - 1e-9))
    np.testing.assert_allclose(fine.k.values()[places], between, rtol=1e-9)
    for name, P in at_all.items():
        if P.ndim == 1:
            torch.testing.assert_close(P, at_own[name])
            continue
        torch.testing.assert_close(P[:, np.isin(k, own)], at_own[name], rtol=1e-5, atol=0)
        if name in true:
            ours = np.abs(P[:, np.isin(k, between)].numpy() / true[name][:, places] - 1)
            known = np.abs(
                at_own[name].numpy()[:, own > 0.5] / true[name][:, ::2][:, own > 0.5] - 1
            )
            for percent in (50, 95):
                assert np.percentile(ours, percent) < 1.5 * np.percentile(known, percent) + 1e-5


def test_matter_does_not_see_the_occupation(small, theta) -> None:
    x = float32(theta).requires_grad_()
    spectra = dict(zip(OUTPUTS, small(x), strict=True))
    galaxies = [i for i, name in enumerate(SPACE.names) if name not in BACKGROUND]
    others = [i for i in range(len(SPACE.names)) if i not in galaxies]
    for term in TERMS:
        (mm,) = torch.autograd.grad(spectra[f"mm_{term}"].log().sum(), x, retain_graph=True)
        (gg,) = torch.autograd.grad(spectra[f"gg_{term}"].log().sum(), x, retain_graph=True)
        assert not mm[:, galaxies].any()
        assert mm[:, others].ne(0).any(dim=0).all()
        assert gg[:, galaxies].ne(0).any(dim=0).all()
        assert torch.cat([mm, gg]).isfinite().all()


def test_matter_is_there_without_galaxies(small, theta) -> None:
    background, model = float32(theta)[:, : len(BACKGROUND)], small.model

    def none(ln_M: Tensor, ln_n: Tensor, n: Tensor, step: Tensor) -> Weights:
        return Weights(*[torch.zeros_like(n)] * 4, torch.ones_like(ln_M))

    without, some = model.of_galaxies(background, none), model(float32(theta))
    assert without["gg_2h"].isnan().all()
    for name in ("mm_1h", "mm_2h", "mm_total", "P_lin"):
        torch.testing.assert_close(without[name], some[name])


def test_dark_energy_and_redshift_enter_by_growth_alone(small) -> None:
    """sigma_8 D(z) is all that the linear power sees of them."""
    theta = np.repeat(theta_of(4, 7), 2, axis=0)
    w0, wa, z, sigma_8 = (SPACE.names.index(name) for name in ("w0", "wa", "z", "sigma_8"))
    theta[:, [w0, wa, z]] = np.tile([[-1.0, 0.0, 0.0], [-0.9, 0.2, 1.0]], (4, 1))
    power = named(small, float32(theta))["P_lin"].unflatten(0, (4, 2))
    ratio = power[:, 1] / power[:, 0]
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-5, atol=0)
    assert (ratio < 0.5).all()
    theta[:, sigma_8] *= 0.9
    scaled_power = named(small, float32(theta))["P_lin"].unflatten(0, (4, 2))
    torch.testing.assert_close(scaled_power, 0.81 * power, rtol=1e-5, atol=0)


def test_dependence_on_alpha_is_exact(small) -> None:
    # n_g and n_g b_g(k) are linear in alpha, and satellites alone are a case like any other
    theta = np.repeat(theta_of(8, 6), 3, axis=0)
    theta[:, SPACE.names.index("alpha")] = np.tile([0.0, 0.5, 1.0], 8)
    spectra = {name: P.double() for name, P in named(small, float32(theta)).items()}
    bias = (spectra["gg_2h"] / spectra["P_lin"]).sqrt()
    for values in (spectra["n_g"][:, None], spectra["n_g"][:, None] * bias):
        none, half, one = values.unflatten(0, (8, 3)).unbind(dim=1)
        torch.testing.assert_close(half, 0.5 * (none + one), rtol=FLOAT32, atol=0)
    assert all(P.isfinite().all() for P in spectra.values())
    assert torch.equal(spectra["f_sat"][::3].round(decimals=5), torch.ones(8).double())


@pytest.mark.parametrize("Mth", [1e10, 1.05e10, 1e11, 1e13])
def test_nothing_jumps_where_a_threshold_becomes_narrower_than_the_grid(small, Mth: float) -> None:
    sigma = np.linspace(0.05, 0.8, 601)
    theta = np.repeat(theta_of(1, 8), len(sigma), axis=0)
    theta[:, SPACE.names.index("sigma")] = sigma
    theta[:, SPACE.names.index("Mth")] = Mth
    for name in ("n_g", "gg_1h", "gm_2h"):
        ln = named(small.double(), torch.tensor(theta))[name].log().reshape(len(sigma), -1)
        steps = ln.diff(dim=0)
        # a jump would stand out from both of its neighbours
        kink = (steps[1:-1] - 0.5 * (steps[:-2] + steps[2:])).abs().max()
        assert kink < 2e-4, name
    small.float()


@pytest.mark.slow  # by default, test_semianalytic_haloes.py holds some fixed
@pytest.mark.parametrize("fixed", [("n_s", "sigma_8"), ("Om_c", "Om_b", "h", "n_s", "z")])
def test_cosmology_can_be_held_fixed(fixed: tuple[str, ...]) -> None:
    narrow = {name: Range(SPACE[name].low, SPACE[name].low) for name in fixed}
    space = replace(SPACE, **narrow)
    points = space.from_unit(np.random.default_rng(3).random((16, len(SPACE.names))))
    emulator = make_semianalytic(space, MODEL, analytic_power(), SMALL, FitConfig(300, 3))
    true = HaloModel(MODEL, analytic_power())(points)
    spectra = {n: P for n, P in named(emulator, float32(points)).items() if n in true}
    for name, error in errors(spectra, true).items():
        assert np.percentile(error, 95) < NETWORK_TOLERANCE, name


def test_refusals(small) -> None:
    def make(config: SemiAnalyticConfig = SMALL, **model: str) -> None:
        choices = replace(MODEL, **model)
        make_semianalytic(SPACE, choices, analytic_power(), config, FitConfig(10))

    with pytest.raises(ValueError, match="grid.start = -3 must be at most"):
        make(replace(SMALL, grid=replace(GRID, start=-3.0)))
    with pytest.raises(ValueError, match="needs model: standard, with one"):
        make(model="g3lhalo")
    with pytest.raises(ValueError, match="rank = 600 must lie in"):
        CosmologyConfig(rank=600)
    with pytest.raises(ValueError, match="nodes = 3 must be at least 16"):
        MassGrid(nodes=3)
    with pytest.raises(ValueError, match="cosmologies = 1 must be at least 2, and iterations = -1"):
        FitConfig(1, -1)
    with pytest.raises(ValueError, match="a semi-analytic emulator adds terms"):
        SemiAnalyticEmulator(replace(small.spec, total="network"))


# -- pieces ------------------------------------------------------------------------------------


def test_a_lower_limit_between_nodes_integrates_smooth_functions() -> None:
    x = MassGrid(nodes=100, spacing=0.2, start=0.0).x()
    limit = LowerLimit(100, 5.2 / 0.2).double()
    for mass in (5.0, 5.05, 5.1, 5.19):
        step, delta = limit(((limit.positions - mass / 0.2) * SCALE)[None])
        assert (step[0, -50:] == 1).all()
        assert (delta[0, -50:] == 0).all()
        decaying = torch.exp(-x)
        torch.testing.assert_close(
            float((step * decaying).sum() * 0.2), float(np.exp(-mass)), rtol=2e-5, atol=0
        )
        torch.testing.assert_close(
            float((delta * decaying).sum()), float(np.exp(-mass)), rtol=2e-5, atol=0
        )


@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.1, 0.19, 0.25, 0.35, 0.6])
@pytest.mark.parametrize("gap", [-5.0, -0.4, 0.0])
def test_thresholds_of_any_width_integrate_smooth_functions(sigma: float, gap: float) -> None:
    """e and e^2 times exp(-x), above a lowest mass that may cut the step."""
    spacing, M_th = 0.2, 10.03
    grid = MassGrid(nodes=160, spacing=spacing, start=0.0)
    x = grid.x()
    threshold, limit = Threshold(grid).double(), LowerLimit(grid.nodes, 60.0).double()
    step, _ = limit(((limit.positions - (M_th + gap) / spacing) * SCALE)[None])
    columns = LogSums(("Mth", "sigma"), *threshold.sums({"Mth": 1.0})).double()
    point = torch.tensor([[np.exp(M_th), max(sigma, 1e-6)]], dtype=torch.float64)
    shares = threshold(
        columns(point), point[:, 1:], torch.tensor([[gap]], dtype=torch.float64), step
    )
    fine = np.linspace(M_th + gap, 32.0, 2_000_001)
    e = 0.5 * torch.special.erfc(-torch.from_numpy(fine - M_th) / (2**0.5 * max(sigma, 1e-6)))
    for power, share in zip((1, 2), shares, strict=True):
        exact = np.trapezoid(e.numpy() ** power * np.exp(-fine), fine)
        ours = float((share[0] * torch.exp(-x)).sum() * spacing)
        assert abs(ours / exact - 1) < 5e-4, (power, ours / exact - 1)


def test_sums_of_logarithms_by_name() -> None:
    ends = {"a": (1.0, np.e), "Om_m": (0.2, 0.4)}
    assert span({"a": -2.0, "": 1.0}, ends) == pytest.approx((-1.0, 1.0))
    names = ("Om_c", "Om_b", "z", "a")
    sums = LogSums(
        names,
        {"x": [{"a": 2.0, "": 0.5}, {"": 4.0}], "y": [{"Om_m": 1.0, "1 + z": -1.0}]},
        {"mean": {"Om_b": 0.5, "a": 0.5, "": 1.0}},
    )
    values = sums(torch.tensor([[0.2, 0.1, 1.0, 3.0]]))
    expected = {"x": [2 * np.log(3.0) + 0.5, 4.0], "y": [np.log(0.3) - np.log(2.0)], "mean": [2.55]}
    assert list(values) == list(expected)
    for name, numbers in expected.items():
        torch.testing.assert_close(values[name][0], torch.tensor(numbers).float())
    low, high = span(scaled({"a": 3.0}, *span({"a": 3.0}, ends)), ends)
    assert (low, high) == pytest.approx((-1.0, 1.0))


def test_a_box_beyond_the_fitted_growth_is_refused():
    later = replace(SPACE, z=Range(0.0, 4.0))
    with pytest.raises(ValueError, match=r"z = 0..4 leaves \[0, 3\], where the growth"):
        make_semianalytic(later, MODEL, analytic_power(), SMALL, FitConfig(10))
