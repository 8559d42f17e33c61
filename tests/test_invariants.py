"""What holds for every emulator: every kind that can be made, and every file that ships."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.small_network import SMALL_TRAINING

from datagen.outputs import output
from datagen.space import BACKGROUND
from emulator.emulator import Emulator
from emulator.record import predict
from emulator.schedule import ScheduleConfig
from emulator.train import fit
from export.derivatives import directions
from export.runtime import OnnxEmulator, load
from export.shipped import shipped
from export.to_onnx import to_onnx

ROUNDING = 5e-4  # float32, of ln P up to 25, in batches of other sizes
OF_DERIVATIVES = 1e-3  # of the largest, or of what changes an output once across the range


@dataclass(frozen=True)
class Case:
    """An ONNX file, and the emulators that it was made from, if they are at hand."""

    model: OnnxEmulator
    made_of: tuple[Emulator, ...] = ()

    def points(self, N: int = 24) -> np.ndarray:
        """Points in its ranges where there are galaxies, of which float32 has all digits."""
        x = np.column_stack(list(self.model.sample(40 * N, seed=1).values()))
        found = self.model(x, out_of_range="nan")
        enough = np.all([np.isfinite(v).reshape(len(x), -1).all(axis=1) for v in found.values()], 0)
        if "n_g" in found:
            enough &= found["n_g"] > 1e-5  # 1/Mpc^3
        return x[enough][:N]


def _trained(spectra, folder: Path, name: str, **settings) -> Path:
    brief = ScheduleConfig("stages", max_epochs=(2,), patience=(2,))
    emulator, _ = fit(spectra, replace(SMALL_TRAINING, schedule=brief, **settings))
    emulator.save(folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"


def _combined(spectra, folder):
    return [_trained(spectra, folder, "combined", correlations=("gm", "gg"))]


def _totals_of_their_own(spectra, folder):
    return [_trained(spectra, folder, "own", total="network")]


def _residual(spectra, folder):
    network = replace(SMALL_TRAINING.network, layers=3, residual=True)
    return [_trained(spectra, folder, "residual", network=network)]


def _components(spectra, folder):
    network = replace(SMALL_TRAINING.network, components=12)
    return [_trained(spectra, folder, "components", network=network)]


def _separate(spectra, folder):
    return [_trained(spectra, folder, term, terms=(term,)) for term in ("1h", "2h")]


KINDS = {
    "combined": _combined, "totals of their own": _totals_of_their_own, "residual": _residual,
    "components": _components, "separate": _separate,
}  # fmt: skip
SEMIANALYTIC = "semianalytic"
_MADE: dict[str, Case] = {}


@pytest.fixture
def case(request, tmp_path_factory) -> Case:
    """An emulator of the list, made once."""
    name = request.param
    if name not in _MADE:
        if name in shipped():
            _MADE[name] = Case(load(name))
        elif name == SEMIANALYTIC:
            file = request.getfixturevalue("small_file")
            _MADE[name] = Case(load(file), (Emulator.load(file.with_suffix(".safetensors")),))
        else:
            folder = tmp_path_factory.mktemp("kinds")
            files = KINDS[name](request.getfixturevalue("spectra"), folder)
            merge = files[1] if len(files) > 1 else None
            made = load(to_onnx(files[0], folder / "emulator.onnx", merge=merge))
            _MADE[name] = Case(made, tuple(Emulator.load(file) for file in files))
    return _MADE[name]


every = pytest.mark.parametrize("case", [*KINDS, SEMIANALYTIC, *shipped()], indirect=True)
# test_derivatives.py compares the semi-analytic ones that ship with JAX
in_jax = pytest.mark.parametrize(
    "case",
    ["combined", SEMIANALYTIC, "published-gm-separate"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in (*KINDS, *shipped())
        if name not in ("combined", "published-gm-separate")
    ],
    indirect=True,
)
every_kind = pytest.mark.parametrize("case", [*KINDS, SEMIANALYTIC], indirect=True)


def test_every_kind_of_emulator_is_on_this_list():
    covered = {"network", "semianalytic"}
    assert set(Emulator.kinds) == covered


@every
def test_a_batch_equals_its_rows(case):
    x = case.points()
    together = case.model(x)
    for i, row in enumerate(x[:4]):
        for name, values in case.model(row).items():
            np.testing.assert_allclose(values, together[name][i], rtol=ROUNDING, err_msg=name)


@every
def test_answers_are_positive_and_have_a_unit(case):
    found = case.model(case.points())
    assert tuple(found) == case.model.outputs == tuple(case.model.units)
    for name, values in found.items():
        assert (values > 0).all(), name
        assert values.shape[1:] == ((len(case.model.k),) if output(name).axis == "k" else ())


@every
def test_totals_are_sums_unless_they_are_learnt(case):
    found = case.model(case.points())
    totals = [name for name in found if output(name).is_total]
    assert totals
    for name in totals:
        terms = [found[name.replace("total", term)] for term in ("1h", "2h")]
        off = np.abs(found[name] / sum(terms) - 1).max()
        learnt = name in case.model.metadata["learnt_totals"]
        assert off > 1e-5 if learnt else off < 1e-5, name


@every
def test_matter_depends_on_no_galaxies(case):
    if "mm_total" not in case.model.outputs:
        pytest.skip("it has no matter")
    x = case.points()
    others = x[::-1].copy()
    background = [i for i, name in enumerate(case.model.names) if name in BACKGROUND]
    others[:, background] = x[:, background]
    inside = case.model.is_inside(others)
    one, two = (case.model(given[inside])["mm_total"] for given in (x, others))
    np.testing.assert_allclose(one, two, rtol=1e-6)


@every
def test_some_outputs_are_those_of_all(case):
    x = case.points(4)
    found = case.model(x)
    for name, values in found.items():
        np.testing.assert_allclose(case.model(x, name)[name], values, rtol=ROUNDING, err_msg=name)


@every
def test_it_pickles(case):
    x = case.points(4)
    again = pickle.loads(pickle.dumps(case.model))(x)
    for name, values in case.model(x).items():
        np.testing.assert_array_equal(again[name], values)


@every
def test_its_example_and_its_samples_are_inside(case):
    model = case.model
    assert set(model.example) <= set(model.names)
    assert all(np.isfinite(values).all() for values in model(model.example).values())
    assert model.is_inside(np.column_stack(list(model.sample(100, seed=2).values()))).all()
    assert list(model.ranges) == list(model.names)


@in_jax
def test_jax_gives_its_numbers_and_derivatives(case):
    jax = pytest.importorskip("jax")
    from hodspectra.jax import function

    model, x = case.model, case.points(32)
    outputs = [name for name in ("gg_1h", "gm_2h", "b_eff") if name in model.outputs]
    jax.config.update("jax_enable_x64", True)
    try:
        P = function(model, outputs, dtype="float64")
        values = jax.jit(jax.vmap(P))(x)
        slopes = jax.jit(jax.vmap(jax.jacfwd(P)))(x)
    finally:
        jax.config.update("jax_enable_x64", False)
    expected = model(x, outputs)
    for name in outputs:
        np.testing.assert_allclose(values[name], expected[name], rtol=ROUNDING, err_msg=name)
    found = model.jacobian(x, outputs)
    given = directions(x[0].astype(np.float32), model.parameters, range(len(model.names)))
    assert model.sessions.slopes(tuple(outputs), x[0].astype(np.float32), given) is not None
    for name in outputs:
        for parameter, slope in found[name].items():
            exact = np.asarray(slopes[name])[..., model.names.index(parameter)]
            low, high = model.ranges[parameter]
            error, most = np.abs(slope - exact), np.abs(exact).max()
            most = max(most, np.median(expected[name]) / (high - low))
            assert np.quantile(error, 0.95) <= OF_DERIVATIVES * most + 1e-8, (name, parameter)


@every_kind
def test_torch_and_onnxruntime_give_the_same(case):
    x = case.points()
    found = case.model(x)
    for one in case.made_of:
        for name, values in predict(one, x).items():
            np.testing.assert_allclose(found[name], values, rtol=ROUNDING, err_msg=name)


@every_kind
def test_saved_and_loaded_it_is_the_same(case, tmp_path):
    x = case.points(4)
    for one in case.made_of:
        one.save(tmp_path / "again.safetensors")
        again = Emulator.load(tmp_path / "again.safetensors")
        assert type(again) is type(one)
        assert again.spec == one.spec
        assert again.hash() == one.hash()
        for name, values in predict(one, x).items():
            np.testing.assert_array_equal(predict(again, x)[name], values)


@every_kind
def test_torch_s_derivatives_are_differences(case):
    """In double precision, by every parameter that is not fixed."""
    for one in case.made_of:
        double = type(one)(one.spec)
        double.load_state_dict(one.state_dict())
        double.double().eval()
        free = [i for i, p in enumerate(case.model.parameters) if p.high > p.low]
        x = torch.tensor(case.points(3))
        jacobian = dict(zip(one.spec.outputs, double.jacobian(x), strict=True))
        for i in free:
            step = torch.zeros_like(x)
            step[:, i] = 1e-6 * x[:, i].abs().clamp_min(1e-3)
            with torch.no_grad():
                ends = [double(x + sign * step) for sign in (1, -1)]
            for name, plus, minus in zip(one.spec.outputs, *ends, strict=True):
                width = 2 * step[:, i].reshape(-1, *[1] * (plus.ndim - 1))
                expected, found = (plus - minus) / width, jacobian[name][..., i]
                scale = expected.abs().max()
                assert (found - expected).abs().max() <= 1e-4 * scale + 1e-12, (name, i)
