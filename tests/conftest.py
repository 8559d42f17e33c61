"""What many tests share: one Ray, real labels of a small box, an emulator trained in seconds."""

import os
from pathlib import Path

import pytest
import torch
from support.coarse import MODEL, SHARD, SPACE, make
from support.small_emulator import small_onnx
from support.small_network import SMALL_MODEL, SMALL_SPACE, SMALL_TRAINING

from datagen.design import Design
from datagen.generate import generate
from datagen.parallel import RayConfig, ray_session
from datagen.power import linear_power
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.train import fit


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty cache, so that no test leans on what this machine computed before."""
    path = tmp_path_factory.mktemp("cache")
    os.environ["HODSPECTRA_CACHE"] = str(path)
    torch.set_num_threads(1)
    return path


@pytest.fixture(scope="session")
def ray():
    """Ray on two cores, for all tests that need it."""
    with ray_session(RayConfig(cpus=2)) as session:
        yield session


@pytest.fixture(scope="session")
def label_file(ray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label file of a few hundred points."""
    path = tmp_path_factory.mktemp("labels") / "labels.h5"
    return generate(path, Design(points=400), SMALL_SPACE, SMALL_MODEL)


@pytest.fixture(scope="session")
def table(ray):
    """The linear power of the coarse model, and Ray for all that computes with it."""
    return linear_power(MODEL, SPACE)


@pytest.fixture(scope="session")
def four_shards(table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label file of the coarse model that took four shards, uninterrupted."""
    return make(tmp_path_factory.mktemp("coarse") / "labels.h5", 4 * SHARD)


@pytest.fixture(scope="session")
def spectra(label_file: Path) -> Spectra:
    """Its content."""
    return Spectra.read(label_file)


@pytest.fixture(scope="session")
def trained(spectra: Spectra) -> tuple[Emulator, dict]:
    """A combined gg emulator trained in seconds, and its history."""
    return fit(spectra, SMALL_TRAINING)


@pytest.fixture
def emulator(trained: tuple[Emulator, dict], tmp_path: Path) -> Emulator:
    """A copy of the trained emulator, by way of its file."""
    trained[0].save(tmp_path / "emulator.safetensors")
    return Emulator.load(tmp_path / "emulator.safetensors")


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of a semi-analytic emulator for every redshift; see `support.small_emulator`."""
    return small_onnx(tmp_path_factory.mktemp("small"))
