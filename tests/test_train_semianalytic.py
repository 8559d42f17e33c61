"""Making a semi-analytic emulator: accurate, exported as it is, differentiable; refusals."""

import numpy as np
import pytest
import torch
from support.small_network import SMALL_MODEL, SMALL_SPACE

from datagen.generate import linear_power
from datagen.halomodel import HaloModel
from datagen.space import BACKGROUND
from emulator.emulator import Emulator
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import OUTPUTS, SemiAnalyticConfig
from emulator.semianalytic.fit import FitConfig
from emulator.semianalytic.grid import MassGrid
from emulator.train_semianalytic import main, train_semianalytic
from export import to_onnx as export
from export.runtime import load
from export.to_onnx import to_onnx

SMALL = SemiAnalyticConfig(MassGrid(117, 0.167, -4.77), CosmologyConfig(units=100, rank=24))
ACCURACY = 2e-3  # 95 % of (point, k), with a fifth of the default's units; a plain net is at 0.3
DERIVATIVE = 2e-2  # times the parameter's range, over P; a missing term or a wrong log is far off


@pytest.fixture(scope="module")
def file(label_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("semianalytic")
    fit = FitConfig(cosmologies=1000, iterations=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "emulator.train_semianalytic.save_figure", lambda *_: None
        )  # it takes seconds
        return train_semianalytic(out, SMALL_SPACE, SMALL_MODEL, SMALL, fit, label_file)


@pytest.fixture(scope="module")
def emulator(file) -> Emulator:
    return Emulator.load(file)


def test_it_is_accurate_without_having_seen_a_spectrum(emulator):
    record = emulator.spec.record["validation"]
    assert set(record) == set(OUTPUTS)
    for name in OUTPUTS:
        assert record[name]["all"]["95"] < ACCURACY, name


@pytest.mark.slow  # every export compares both, and test_invariants.py does
def test_its_onnx_file_gives_the_same_numbers(file, spectra, tmp_path):
    model = load(to_onnx(file, tmp_path / "semianalytic.onnx"))
    assert model.outputs == OUTPUTS
    predicted = model(spectra.theta)
    assert predicted["n_g"].shape == (len(spectra),)
    np.testing.assert_allclose(
        predicted["gg_total"], predicted["gg_1h"] + predicted["gg_2h"], rtol=1e-6
    )
    assert np.percentile(np.abs(predicted["gm_2h"] / spectra["gm_2h"] - 1), 95) < ACCURACY


@pytest.mark.slow
def test_export_takes_other_fits_for_haloes(file, tmp_path):
    changed = to_onnx(file, tmp_path / "t.onnx", mass_function="Tinker08", halo_bias="Tinker10")
    model = load(changed)
    assert model.metadata["halo_model"]["mass_function"] == "Tinker08"
    assert model.metadata["record"] == {}
    denser = {"mass_function": "Despali16", "halo_bias": "Tinker10", "concentration": "Diemer15"}
    model = load(to_onnx(file, tmp_path / "d.onnx", mass_def="200c", **denser))
    assert model.metadata["halo_model"]["mass_def"] == "200c"
    export.main([f"--emulator={file}", f"--out={tmp_path}/z.onnx", "--occupation=zheng07"])
    written, changed = load(tmp_path / "z.onnx"), load(tmp_path / "t.onnx", occupation="zheng07")
    assert written.names == changed.names
    assert written.metadata["record"] == changed.metadata["record"] == {}
    assert "Zheng, Coil & Zehavi 2007" in written.metadata["citation"]
    assert written.metadata["provenance"]["made_with_occupation"] == "linke22"
    with pytest.raises(ValueError, match="mass_function = 'Tinker2008' must be one of"):
        to_onnx(file, tmp_path / "u.onnx", mass_function="Tinker2008")


def test_jacobian_against_finite_differences_of_the_labels(emulator):
    halo_model = HaloModel(SMALL_MODEL, linear_power(SMALL_MODEL, SMALL_SPACE))
    theta = SMALL_SPACE.from_unit(np.full((1, len(SMALL_SPACE.names)), 0.45))
    jacobian = dict(zip(OUTPUTS, emulator.double().jacobian(torch.tensor(theta)), strict=True))
    for name in SMALL_SPACE.free:
        i, ends = SMALL_SPACE.names.index(name), SMALL_SPACE[name]
        step = 1e-3 * (theta[0, i] if ends.is_log else 1.0)
        shift = step * np.eye(len(SMALL_SPACE.names))[i]
        high, low = halo_model(theta + shift), halo_model(theta - shift)
        width = theta[0, i] if ends.is_log else ends.high - ends.low
        for output in ("mm_1h", "gm_2h", "gg_1h", "n_g"):
            exact = (high[output] - low[output])[0] / (2 * step)
            ours = jacobian[output][0, ..., i].numpy()
            if name not in BACKGROUND and output == "mm_1h":
                assert not ours.any()  # matter does not know of galaxies
            else:
                worst = np.max(np.abs(ours - exact) * width / high[output][0])
                assert worst < DERIVATIVE, (name, output, worst)


def test_labels_of_another_space_or_model_are_refused(spectra, label_file, tmp_path):
    other = spectra.select(np.arange(100))
    other.metadata = {
        **spectra.metadata,
        "model": {**spectra.metadata["model"], "model": "g3lhalo"},
    }
    other.write(tmp_path / "g3lhalo.h5")
    with pytest.raises(ValueError, match="is of another model than this emulator"):
        train_semianalytic(
            tmp_path / "a", SMALL_SPACE, SMALL_MODEL, SMALL, data=tmp_path / "g3lhalo.h5"
        )
    with pytest.raises(ValueError, match="is of another space than this emulator"):
        train_semianalytic(tmp_path / "a", model=SMALL_MODEL, data=label_file)


GRID = ("--semianalytic.grid.nodes=60", "--semianalytic.grid.spacing=0.33",
        "--semianalytic.grid.start=-5.6")  # fmt: skip


@pytest.mark.slow  # nor does the next one
def test_command_line_needs_no_labels(tmp_path, capsys):
    main([f"--out={tmp_path}", "--semianalytic.cosmology.units=20", "--fit.iterations=0",
          "--semianalytic.cosmology.rank=8", "--fit.cosmologies=200", *GRID])  # fmt: skip
    made = Emulator.load(tmp_path / "emulator.safetensors")
    assert made.spec.provenance["training"]["fit"]["cosmologies"] == 200
    assert not made.spec.record


def test_command_line_takes_an_occupation(tmp_path):
    main([f"--out={tmp_path}", "--semianalytic.cosmology.units=20", "--fit.iterations=0",
          "--semianalytic.cosmology.rank=8", "--fit.cosmologies=200", "--model.k.points=8",
          "--space.occupation=zheng07", "--space.log10Mmin.high=14", *GRID])  # fmt: skip
    made = Emulator.load(tmp_path / "emulator.safetensors")
    assert made.spec.provenance["training"]["fit"]["cosmologies"] == 200
    assert not made.spec.record
    space = made.spec.space
    assert space.names[-5:] == ("log10Mmin", "sigma_logM", "log10M0", "log10M1", "alpha")
    assert space["log10Mmin"].high == 14
