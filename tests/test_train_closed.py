"""The closed-form emulator: accurate, exported as it is, differentiable, and refused elsewhere."""

import errno
import shutil

import numpy as np
import pytest
import torch
from conftest import SMALL_MODEL, SMALL_SPACE

from datagen.generate import load_table
from datagen.halomodel import HaloModel
from datagen.space import PARAMETERS
from emulator.closed import ClosedConfig
from emulator.closed_fit import FitConfig
from emulator.emulator import Emulator
from emulator.runs import run_lock
from emulator.train_closed import OUTPUTS, main, train_closed
from export.runtime import load
from export.to_onnx import to_onnx

SMALL = ClosedConfig(units=100, rank=24)
ACCURACY = 2e-3  # 95 % of (point, k), with a fifth of the default's units; a plain net is at 0.3
DERIVATIVE = 2e-2  # times the parameter's range, over P; a missing term or a wrong log is far off


@pytest.fixture(scope="module")
def closed_file(label_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("closed")
    return train_closed(label_file, out, SMALL, FitConfig(cosmologies=1000, iterations=20))


@pytest.fixture(scope="module")
def closed(closed_file) -> Emulator:
    return Emulator.load(closed_file)


def test_it_is_accurate_without_having_seen_a_spectrum(closed):
    record = closed.spec.record["validation"]
    assert set(record) == set(OUTPUTS)
    for name in OUTPUTS:
        assert record[name]["all"]["95"] < ACCURACY, name


def test_its_onnx_file_gives_the_same_numbers(closed_file, spectra, tmp_path):
    model = load(to_onnx(closed_file, tmp_path / "closed.onnx"))
    assert model.outputs == OUTPUTS
    predicted = model(spectra.theta)
    assert predicted["n_g"].shape == (len(spectra),)
    np.testing.assert_allclose(
        predicted["gg_total"], predicted["gg_1h"] + predicted["gg_2h"], rtol=1e-6
    )
    assert np.percentile(np.abs(predicted["gm_2h"] / spectra["gm_2h"] - 1), 95) < ACCURACY


def test_jacobian_against_finite_differences_of_the_labels(closed, ray):
    halo_model = HaloModel(SMALL_MODEL, load_table(SMALL_MODEL, SMALL_SPACE))
    theta = SMALL_SPACE.from_unit(np.full((1, len(PARAMETERS)), 0.45))
    jacobian = dict(zip(OUTPUTS, closed.double().jacobian(torch.tensor(theta)), strict=True))
    for i, name in enumerate(PARAMETERS):
        step = 1e-3 * (theta[0, i] if SMALL_SPACE[name].is_log else 1.0)
        shift = step * np.eye(len(PARAMETERS))[i]
        high, low = halo_model(theta + shift), halo_model(theta - shift)
        for output in ("mm_1h", "gm_2h", "gg_1h", "n_g"):
            exact = (high[output] - low[output])[0] / (2 * step)
            ours = jacobian[output][0, ..., i].numpy()
            width = (
                theta[0, i]
                if SMALL_SPACE[name].is_log
                else SMALL_SPACE[name].high - SMALL_SPACE[name].low
            )
            worst = np.max(np.abs(ours - exact) * width / high[output][0])
            if name in PARAMETERS[5:] and output == "mm_1h":
                assert not ours.any()  # matter does not know of galaxies
            else:
                assert worst < DERIVATIVE, (name, output, worst)


def test_halo_models_without_a_closed_form_are_refused(spectra, tmp_path):
    other = spectra.select(np.arange(100))
    other.metadata = {
        **spectra.metadata,
        "model": {**spectra.metadata["model"], "model": "g3lhalo"},
    }
    other.write(tmp_path / "g3lhalo.h5")
    with pytest.raises(ValueError, match="haloes on a grid need model: standard"):
        train_closed(tmp_path / "g3lhalo.h5", tmp_path / "out", SMALL)


TINY = {"closed": ClosedConfig(units=20, rank=8), "fit": FitConfig(200, iterations=0)}


def test_what_fails_at_its_end_is_completed_and_then_not_done_again(
    label_file, spectra, tmp_path, monkeypatch, capsys
):
    """The emulator is the last of the results, and stays that of its labels."""
    out, data = tmp_path / "run", tmp_path / "data.h5"
    shutil.copy(label_file, data)

    def full(figure, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("emulator.train_closed.save_figure", full)
        with pytest.raises(OSError, match="No space left"):
            train_closed(data, out, **TINY)
    file = train_closed(data, out, **TINY)
    assert {"accuracy.png", "accuracy.pdf"} < {path.name for path in out.iterdir()}
    before = file.read_bytes()
    data.rename(tmp_path / "moved.h5")
    assert train_closed(tmp_path / "moved.h5", out, **TINY) == file
    assert "is there already and answers this request" in capsys.readouterr().out
    spectra.select(np.arange(399)).write(data)  # others, under the same name
    with pytest.raises(ValueError, match=r"other settings \(labels is .*\.\.\., not .*\.\.\.\)"):
        train_closed(data, out, **TINY)
    with run_lock(out, "training"), pytest.raises(ValueError, match="another training runs in"):
        train_closed(tmp_path / "moved.h5", out, **TINY)
    assert file.read_bytes() == before


def test_command_line(label_file, tmp_path, capsys):
    main([f"--data={label_file}", f"--out={tmp_path}", "--closed.units=20", "--closed.rank=8",
          "--fit.cosmologies=200", "--fit.iterations=0"])  # fmt: skip
    assert "gg_total" in capsys.readouterr().out
    assert (tmp_path / "accuracy.png").exists()
