"""The closed form against the halo model, and its exact properties."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from datagen.haloes import Haloes
from datagen.halomodel import CORRELATIONS, TERMS, HaloModel, HaloModelConfig, KGrid
from datagen.linear_power import LinearPowerTable, TableBox
from datagen.nodes import HaloNodes
from datagen.space import PARAMETERS, Range, Space
from emulator.closed import ClosedConfig, ClosedForm
from emulator.closed_fit import FitConfig, fit_closed
from emulator.emulator import Emulator, Spec

# A small box, so that its table of linear power takes six CAMB runs.
SPACE = Space(
    Om_c=Range(0.22, 0.3), Om_b=Range(0.045, 0.05), h=Range(0.66, 0.74), n_s=Range(0.94, 0.99)
)
HALO_MODEL = HaloModelConfig(k=KGrid(points=12), table_nodes=(3, 2))
CONFIG = ClosedConfig(units=60)
SPECTRA = tuple(f"{xy}_{term}" for xy in CORRELATIONS for term in TERMS)
# Worst of 9 spectra, 12 wavenumbers and 64 points: where a sharp threshold among the largest
# haloes meets the oscillations of their profiles. The median is 1e-5 or better.
QUADRATURE_TOLERANCE = 5e-3
QUADRATURE_MEDIAN = 2e-5
NETWORK_TOLERANCE = 1e-2  # 60 hidden units; a wrong feature or a lost term costs far more
IMPROVED = 0.5  # of the error of a hidden layer as it was drawn, after 40 steps
FLOAT32 = 1e-4  # sums of 64 terms, exponentials of numbers near 20


def theta_of(points: int, seed: int) -> np.ndarray:
    return SPACE.from_unit(np.random.default_rng(seed).random((points, len(PARAMETERS))))


@pytest.fixture(scope="module")
def form() -> ClosedForm:
    return fit_closed(CONFIG, SPACE, HALO_MODEL, FitConfig(800, iterations=0))


@pytest.fixture(scope="module")
def emulator(form: ClosedForm) -> Emulator:
    spec = Spec(SPACE, tuple(HALO_MODEL.k.values()), 0.0, SPECTRA, "sum", CONFIG, {})
    return Emulator(spec, form).eval()


@pytest.fixture(scope="module")
def theta() -> np.ndarray:
    return theta_of(64, 5)


@pytest.fixture(scope="module")
def labels(theta: np.ndarray) -> dict[str, np.ndarray]:
    table = LinearPowerTable.load_or_build(TableBox.of(SPACE, HALO_MODEL.table_nodes))
    true = HaloModel(HALO_MODEL, table)(theta)
    return true | {f"{xy}_total": true[f"{xy}_1h"] + true[f"{xy}_2h"] for xy in CORRELATIONS}


def float32(theta: np.ndarray) -> Tensor:
    return torch.tensor(theta, dtype=torch.float32)


def errors(spectra: dict[str, Tensor], true: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n: np.abs(P.detach().double().numpy() / true[n] - 1) for n, P in spectra.items()}


def test_integrals_of_exact_ingredients_agree_with_the_halo_model(
    form: ClosedForm, theta: np.ndarray, labels: dict[str, np.ndarray]
) -> None:
    functions = HaloNodes(HALO_MODEL, SPACE, CONFIG.x().numpy()).functions(theta[:, :5])
    for name, error in errors(form(float32(theta), float32(functions)), labels).items():
        assert error.max() < QUADRATURE_TOLERANCE, name
        assert np.median(error) < QUADRATURE_MEDIAN, name


def test_the_fitted_network_agrees_with_the_halo_model(
    form: ClosedForm, theta: np.ndarray, labels: dict[str, np.ndarray]
) -> None:
    spectra = form(float32(theta))
    assert set(spectra) == {*SPECTRA, "P_lin", "n_g", "b_eff", "f_sat"}
    for name, error in errors(spectra, labels).items():
        assert error.max() < NETWORK_TOLERANCE, name


def test_an_improved_hidden_layer_is_better_at_unseen_cosmologies(
    form: ClosedForm, theta: np.ndarray, labels: dict[str, np.ndarray]
) -> None:
    improved = fit_closed(CONFIG, SPACE, HALO_MODEL, FitConfig(800, iterations=40))
    drawn, found = (errors(one(float32(theta)), labels) for one in (form, improved))
    for name in ("P_lin", "mm_2h", "n_g"):
        assert np.percentile(found[name], 95) < IMPROVED * np.percentile(drawn[name], 95), name


def test_a_fit_is_repeated_by_its_seed(form: ClosedForm) -> None:
    first, second, other = (
        fit_closed(CONFIG, SPACE, HALO_MODEL, FitConfig(100, 3, seed)).network.hidden.weight
        for seed in (1, 1, 2)
    )
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, other)


def test_totals_are_sums(form: ClosedForm, theta: np.ndarray) -> None:
    spectra = form(float32(theta))
    for xy in CORRELATIONS:
        assert torch.equal(spectra[f"{xy}_total"], spectra[f"{xy}_1h"] + spectra[f"{xy}_2h"])


def test_matter_does_not_see_the_occupation(form: ClosedForm, theta: np.ndarray) -> None:
    x = float32(theta).requires_grad_()
    spectra = form(x)
    for term in TERMS:
        (mm,) = torch.autograd.grad(spectra[f"mm_{term}"].log().sum(), x, retain_graph=True)
        (gg,) = torch.autograd.grad(spectra[f"gg_{term}"].log().sum(), x, retain_graph=True)
        assert torch.equal(mm[:, 5:], torch.zeros_like(mm[:, 5:]))
        assert mm[:, :5].ne(0).all()
        assert gg[:, 5:].ne(0).any(dim=0).all()
        assert torch.cat([mm, gg]).isfinite().all()


def test_dependence_on_alpha_is_exact(form: ClosedForm) -> None:
    # n_g and n_g b_g(k) are linear in alpha, and satellites alone are a case like any other
    theta = np.repeat(theta_of(8, 6), 3, axis=0)
    theta[:, PARAMETERS.index("alpha")] = np.tile([0.0, 0.5, 1.0], 8)
    spectra = {name: P.double() for name, P in form(float32(theta)).items()}
    bias = (spectra["gg_2h"] / spectra["P_lin"]).sqrt()
    for values in (spectra["n_g"][:, None], spectra["n_g"][:, None] * bias):
        none, half, one = values.unflatten(0, (8, 3)).unbind(dim=1)
        torch.testing.assert_close(half, 0.5 * (none + one), rtol=FLOAT32, atol=0)
    assert all(P.isfinite().all() for P in spectra.values())
    assert torch.equal(spectra["f_sat"][::3].round(decimals=5), torch.ones(8).double())


def test_a_batch_equals_its_rows(form: ClosedForm, theta: np.ndarray) -> None:
    x = float32(theta[:5])
    for name, P in form(x).items():
        rows = torch.cat([form(row[None])[name] for row in x])
        torch.testing.assert_close(P, rows, rtol=FLOAT32, atol=0)


def test_saved_and_loaded(emulator: Emulator, theta: np.ndarray, tmp_path: Path) -> None:
    emulator.save(tmp_path / "e.safetensors")
    loaded = Emulator.load(tmp_path / "e.safetensors")
    assert loaded.spec == emulator.spec
    for a, b in zip(emulator(float32(theta)), loaded(float32(theta)), strict=True):
        assert torch.equal(a, b)


# raised inside torch's exporter (torch 2.13)
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_onnxruntime_agrees_for_any_batch(
    emulator: Emulator, theta: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "e.onnx"
    program = torch.onnx.export(
        emulator,
        (float32(theta[:2]),),
        dynamo=True,
        external_data=False,
        dynamic_shapes=({0: torch.export.Dim("points")},),
        verbose=False,
    )
    program.save(path)
    session = onnxruntime.InferenceSession(path)
    (name,) = (value.name for value in session.get_inputs())
    for points in (1, 7, 64):
        x = float32(theta[:points])
        outputs = session.run(None, {name: x.numpy()})
        for P, P_torch in zip(outputs, emulator(x), strict=True):
            np.testing.assert_allclose(P, P_torch.detach().numpy(), rtol=FLOAT32)


def test_refusals(form: ClosedForm) -> None:
    with pytest.raises(ValueError, match="start = -3 must be at most"):
        fit_closed(replace(CONFIG, start=-3.0), SPACE, HALO_MODEL, FitConfig(10))
    with pytest.raises(ValueError, match="need model: standard"):
        fit_closed(CONFIG, SPACE, replace(HALO_MODEL, model="g3lhalo"), FitConfig(10))
    with pytest.raises(ValueError, match="rank = 600 must lie in"):
        ClosedConfig(rank=600)
    with pytest.raises(ValueError, match="cosmologies = 1 must be at least 2, and iterations = -1"):
        FitConfig(1, -1)
    spec = Spec(SPACE, tuple(HALO_MODEL.k.values()), 0.0, ("gg_1h",), "network", CONFIG, {})
    with pytest.raises(ValueError, match="a closed form adds its terms"):
        Emulator(spec, form)


def test_refuses_a_concentration_that_is_no_power_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Haloes, "concentration", lambda self, M: 5 + (M / 1e13) ** -0.1)
    with pytest.raises(ValueError, match="'Duffy08' is no power law of mass and density"):
        fit_closed(CONFIG, SPACE, HALO_MODEL, FitConfig(10))


def test_few_weights_are_subnormal(form: ClosedForm, theta: np.ndarray, monkeypatch) -> None:
    """A CPU computes ten times slower with them; without care, a percent of the weights are."""
    seen: list[Tensor] = []
    project = form._project
    monkeypatch.setattr(form, "_project", lambda w, t: (seen.extend(w), project(w, t))[1])
    form(float32(theta))
    weights = torch.cat(seen, dim=1)
    subnormal = (weights != 0) & (weights.abs() < torch.finfo(torch.float32).tiny)
    assert float(subnormal.float().mean()) < 2e-3


@pytest.mark.parametrize("fixed", [("n_s", "sigma_8"), ("Om_c", "Om_b", "h", "n_s", "sigma_8")])
def test_cosmology_can_be_held_fixed(fixed: tuple[str, ...]) -> None:
    narrow = {name: Range(SPACE[name].low, SPACE[name].low) for name in fixed}
    space = replace(SPACE, **narrow)
    points = space.from_unit(np.random.default_rng(3).random((16, len(PARAMETERS))))
    form = fit_closed(CONFIG, space, HALO_MODEL, FitConfig(200, iterations=3))
    table = LinearPowerTable.load_or_build(TableBox.of(space, HALO_MODEL.table_nodes))
    true = HaloModel(HALO_MODEL, table)(points)
    spectra = {name: P for name, P in form(float32(points)).items() if name in true}
    assert max(error.max() for error in errors(spectra, true).values()) < NETWORK_TOLERANCE
