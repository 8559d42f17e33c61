"""The emulator object: additive, saved as it is, and damaged files refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emulator.emulator import Emulator, EmulatorFileError
from emulator.network import ACTIVATIONS, NetworkConfig
from emulator.record import predict
from emulator.train import TrainConfig, make_emulator

ROUNDING = 2e-6  # float32 through a logaddexp; a total of its own differs by 1e-2


def test_total_is_the_sum_of_its_terms(emulator, spectra):
    P = predict(emulator, spectra.theta)
    np.testing.assert_allclose(P["gg_total"], P["gg_1h"] + P["gg_2h"], rtol=ROUNDING)


def test_batch_equals_its_rows(emulator, spectra):
    together = predict(emulator, spectra.theta[:5])
    for i in range(5):
        alone = predict(emulator, spectra.theta[i : i + 1])
        for name in together:
            np.testing.assert_allclose(alone[name][0], together[name][i], rtol=1e-5)


def test_save_and_load_give_equal_numbers(trained, emulator, spectra):
    for name, Pk in predict(trained[0], spectra.theta).items():
        np.testing.assert_array_equal(Pk, predict(emulator, spectra.theta)[name])
    assert emulator.spec == trained[0].spec


def test_it_describes_itself(emulator, spectra):
    spec = emulator.spec
    assert spec.outputs == ("gg_1h", "gg_2h", "gg_total")
    assert spec.halo_model["model"] == "standard"
    assert spec.space["Mth"].low == 1e12
    assert spec.provenance["labels"]["sha256"] == spectra.hash()
    assert {"commit", "torch", "training", "points"} <= set(spec.provenance)
    assert set(spec.record["validation"]) == set(spec.outputs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_builds_and_has_gradients(activation, spectra):
    config = TrainConfig(
        network=NetworkConfig(layers=2, units=8, activation=activation, dropout=0.1)
    )
    emulator = make_emulator(spectra, config)
    sum(Pk.log().sum() for Pk in emulator(torch.tensor(spectra.theta[:3]).float())).backward()
    assert all(torch.isfinite(p.grad).all() for p in emulator.network.parameters())


def test_separate_and_network_totals(spectra):
    one = make_emulator(spectra, TrainConfig(terms=("1h",)))
    assert one.spec.outputs == one.spec.predicted == ("gg_1h",)
    own = make_emulator(spectra, TrainConfig(correlations=("mm", "gg"), total="network"))
    assert own.network[-1].out_features == 6 * len(spectra.k)


def test_total_as_sum_needs_its_terms(spectra):
    with pytest.raises(ValueError, match="a total that is a sum needs 1h and 2h"):
        TrainConfig(terms=("1h", "total"))
    spec = replace(make_emulator(spectra, TrainConfig()).spec, outputs=("gg_total",))
    with pytest.raises(ValueError, match="gg_total as a sum needs gg_1h and gg_2h"):
        Emulator(spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correlations": ("gx",)}, "correlations = .* must be some of mm, gm, gg"),
        ({"terms": ()}, "terms = .* must be some of 1h, 2h, total"),
        ({"terms": ("1h", "1h")}, "terms"),
    ],
)
def test_bad_names_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**change)


def test_missing_file_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train one with python -m emulator\.train"):
        Emulator.load(tmp_path / "none.safetensors")


def test_truncated_and_foreign_files_are_refused(emulator, tmp_path):
    path = tmp_path / "emulator.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EmulatorFileError, match="not an emulator file"):
        Emulator.load(path)
    path.write_text("hello")
    with pytest.raises(EmulatorFileError, match="not an emulator file"):
        Emulator.load(path)
    save_file({"x": torch.zeros(1)}, path, metadata={"schema": "other-7"})
    with pytest.raises(EmulatorFileError, match="schema 'other-7', this version reads"):
        Emulator.load(path)
