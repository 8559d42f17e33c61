"""The emulator object: additive, saved as it is, and damaged files refused."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from datagen.space import Space
from datagen.splits import Split
from emulator.data import SpectraData
from emulator.emulator import Emulator, EmulatorFileError, NetworkEmulator, Spec
from emulator.network import ACTIVATIONS, NetworkConfig
from emulator.train import TrainConfig, make_emulator


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


def test_components_are_of_what_the_network_predicts(spectra):
    """All of them give what the network learns without; few give the values that they span."""
    network = NetworkConfig(layers=1, units=8, components=5)
    data = SpectraData(spectra, TrainConfig().outputs, Split(), 32)
    emulator = make_emulator(spectra, TrainConfig(network=network))
    data.fit_scalings(emulator)
    assert emulator.network[-1].out_features == 5
    with torch.no_grad():
        for weights in emulator.network[-1].parameters():
            weights.zero_()
        emulator.network[-1].bias[0] = 1.0  # one deviation along the first component
        predicted = emulator(torch.tensor(spectra.theta[:2]).float())
    ln = np.log([data.train_spectra[name] for name in ("gg_1h", "gg_2h")])  # (O, N, K)
    y = ((ln - ln.mean(1, keepdims=True)) / ln.std(1, keepdims=True)).transpose(1, 0, 2)
    y = y.reshape(len(ln[0]), -1)  # (O, N, K) -> (N, O K)
    _, values, directions = np.linalg.svd(y, full_matrices=False)
    first = (values[0] / np.sqrt(len(y)) * directions[0]).reshape(2, -1)
    for i, Pk in enumerate(predicted[:2]):
        found = (np.log(Pk[0].numpy()) - ln[i].mean(0)) / ln[i].std(0)
        sign = np.sign(found[0] * first[i, 0])
        np.testing.assert_allclose(found, sign * first[i], rtol=0, atol=1e-3)


def test_total_as_sum_needs_its_terms(spectra):
    with pytest.raises(ValueError, match="a total that is a sum needs 1h and 2h"):
        TrainConfig(terms=("1h", "total"))
    spec = replace(make_emulator(spectra, TrainConfig()).spec, outputs=("gg_total",))
    with pytest.raises(ValueError, match="gg_total as a sum needs gg_1h and gg_2h"):
        NetworkEmulator(spec)


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


TINY = Spec(
    kind="network",
    space=Space(),
    k=(0.1, 1.0),
    outputs=("gg_1h", "gg_2h", "gg_total"),
    total="sum",
    network=NetworkConfig(1, 2),
    halo_model={},
)


@pytest.fixture
def tiny(tmp_path):
    """The file of an emulator of two kilobytes."""
    NetworkEmulator(TINY).save(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_every_altered_bit_is_noticed(tiny):
    """Some in every part of the file; all of them were tried once."""
    whole = tiny.read_bytes()
    assert Emulator.load(tiny).spec == TINY
    flips = np.random.default_rng(1).choice(8 * len(whole), 500, replace=False)
    for flip in (*range(64), *flips):  # the first eight bytes are the header's length
        content = bytearray(whole)
        content[flip // 8] ^= 1 << flip % 8
        tiny.write_bytes(content)
        with pytest.raises(EmulatorFileError):
            Emulator.load(tiny)


def test_every_cut_is_noticed(tiny):
    whole = tiny.read_bytes()
    for end in (*range(0, len(whole), 11), len(whole) - 1):
        tiny.write_bytes(whole[:end])
        with pytest.raises(EmulatorFileError, match="tiny.safetensors"):
            Emulator.load(tiny)
    tiny.write_bytes(whole + b"\0")
    with pytest.raises(EmulatorFileError, match="checksum does not match"):
        Emulator.load(tiny)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.onnx", b"\x08\x0a\x12\x07pytorch", "is an ONNX file; give the emulator.safetensors"),
        ("x.safetensors", b"\x08\x0a\x12\x07pytorch", "is an ONNX file; give the emulator"),
        ("labels.h5", b"\x89HDF\r\n\x1a\n" + bytes(9), "is an HDF5 file, as labels are"),
        ("last.ckpt", b"PK\x03\x04" + bytes(9), "is a zip archive, as checkpoints"),
        ("config.yaml", b"data: labels.h5", "is not an emulator file; give an emulator.saf"),
        ("x.safetensors", b"", "is not an emulator file"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EmulatorFileError, match=f"{name} {message}"):
        Emulator.load(tmp_path / name)


def test_a_folder_and_a_foreign_safetensors_are_named(tmp_path):
    with pytest.raises(EmulatorFileError, match=r"is a folder; give the emulator\.safetensors in"):
        Emulator.load(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(EmulatorFileError, match="model.safetensors is not an emulator file; give"):
        Emulator.load(tmp_path / "model.safetensors")


def test_an_emulator_of_an_older_version_is_told_from_a_damaged_one(tiny):
    save_file({}, tiny, metadata={"schema": "hodspectra-emulator-4", "spec": "{}"})
    with pytest.raises(
        EmulatorFileError,
        match="has schema 'hodspectra-emulator-4', this version reads 'hodspectra-emulator-5'; "
        "repeat the command that made it",
    ):
        Emulator.load(tiny)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_has_the_mode_that_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        NetworkEmulator(TINY).save(tmp_path / "e.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "e.safetensors").stat().st_mode & 0o777 == mode


def test_the_hash_is_that_of_the_content(tiny, tmp_path):
    one = Emulator.load(tiny)
    copy = shutil.copy(tiny, tmp_path / "copy.safetensors")
    assert Emulator.load(copy).hash() == one.hash()
    other = Emulator.load(copy)
    with torch.no_grad():
        other.network[0].weight[0, 0] += 1e-3
    assert other.hash() != one.hash()
    assert Emulator.load(copy).update_spec(k=(0.1, 2.0)).hash() != one.hash()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: spec.pop("total"), "spec lacks total"),
        (lambda spec: spec.pop("record"), "spec lacks record"),
        (lambda spec: spec.update(temperature=1), "spec has the unknown temperature"),
        (lambda spec: spec["network"].pop("units"), "spec.network lacks units"),
        (lambda spec: spec["network"].update(width=3), "spec.network has the unknown width"),
        (lambda spec: spec["space"].pop("Mth"), "space lacks Mth"),
        (lambda spec: spec["space"].update(Om_k=spec["space"]["h"]), "space has the unknown Om_k"),
        (lambda spec: spec["space"]["w0"].pop("default"), "space.w0 lacks default"),
        (lambda spec: spec["space"]["z"].update(group="cosmology"), "space.z.group is 'cosmology'"),
        (lambda spec: spec.pop("kind"), "spec lacks kind"),
        (lambda spec: spec.update(kind="tree"), "spec.kind is 'tree', not one of "),
        (lambda spec: spec.update(k=["a"]), r"spec.k\[0\] is 'a', not a number"),
        (lambda spec: spec.update(z=0.0), "spec has the unknown z"),
        (lambda spec: spec.update(total="mean"), "spec.total is 'mean', not one of 'sum', 'net"),
        (lambda spec: spec.update(network=[]), "spec.network is"),
    ],
)
def test_a_spec_that_is_not_whole_is_refused(change, message):
    spec = TINY.as_dict()
    assert Spec.from_dict(TINY.as_dict()) == TINY
    change(spec)
    with pytest.raises(ValueError, match=message):
        Spec.from_dict(spec)
