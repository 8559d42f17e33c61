"""What many tests share: one Ray, real labels of a small box, an emulator trained in seconds."""

import functools
import gc
import json
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from datagen.store import Spectra
    from emulator.emulator import Emulator

# What fixtures need is imported within: pytest-xdist's first process, which runs no test, loads
# this file before it starts the others, and all imports take it seconds

# Read when libraries are imported: workers share the cores, and threads would wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")
# JAX reads them when it is imported: functions are compiled for a call or two
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false"  # 0.4 of the time of compilation

# Long, and they make files that others wait for: with --no-loadscope-reorder they start first
FIRST = ("test_search.py", "test_adapter_cobaya.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `FIRST` before all others."""
    items.sort(key=lambda item: item.path.name not in FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect garbage rarely, and never what was imported: else a tenth of the time of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def cache(made_once) -> Path:
    """A cache of all workers, empty at first: no test leans on what was computed before."""
    import torch
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    from export import parity

    path = made_once("cache", lambda _: None)
    os.environ["HODSPECTRA_CACHE"] = str(path)
    torch.set_num_threads(1)
    parity.RANDOM_POINTS = 1000  # besides all corners
    # torch reads its whole table of operators anew at each export
    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
    return path


@pytest.fixture(scope="session")
def ray():
    """Ray on two cores, for tests of what it does; for labels alone see `serial`."""
    from datagen.parallel import RayConfig, ray_session

    with ray_session(RayConfig(cpus=2)) as session:
        yield session


@pytest.fixture(scope="module")
def serial():
    """Labels are computed in this process, until the end of the module: it starts no Ray."""
    from support.serial import without_ray

    from datagen import generate

    with pytest.MonkeyPatch.context() as patch:
        without_ray(patch, generate)
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory):
    """Makes a folder that all workers read, in the one that asks for it first."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        path = shared / f"shared_{name}"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                partial = tmp_path_factory.mktemp(name)
                make(partial)
                partial.rename(path)
        return path

    return folder


@pytest.fixture(scope="session")
def label_file(made_once) -> Path:
    """A label file of a few hundred points."""
    from support.serial import without_ray
    from support.small_network import SMALL_MODEL, SMALL_SPACE

    from datagen import generate as generate_module
    from datagen.design import Design
    from datagen.generate import generate

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            without_ray(patch, generate_module)
            generate(folder / "labels.h5", Design(points=400), SMALL_SPACE, SMALL_MODEL)

    return made_once("labels", make) / "labels.h5"


@pytest.fixture(scope="session")
def table(ray, made_once):
    """The linear power of the coarse model, and Ray for all that computes with it."""
    from support.coarse import MODEL, SPACE

    from datagen.power import linear_power

    made_once("table", lambda _: linear_power(MODEL, SPACE))  # into the cache of all workers
    return linear_power(MODEL, SPACE)


@pytest.fixture(scope="session")
def four_shards(table, made_once) -> Path:
    """A label file of the coarse model that took four shards, uninterrupted."""
    from support.coarse import SHARD, make

    return made_once("coarse", lambda folder: make(folder / "labels.h5", 4 * SHARD)) / "labels.h5"


@pytest.fixture(scope="session")
def spectra(label_file: Path) -> "Spectra":
    """Its content."""
    from datagen.store import Spectra

    return Spectra.read(label_file)


@pytest.fixture(scope="session")
def trained(spectra: "Spectra", made_once) -> Path:
    """A folder with a combined gg emulator trained in seconds, its history and its ONNX file."""
    from support.small_network import SMALL_TRAINING

    from emulator.train import fit
    from export.to_onnx import to_onnx

    def make(folder: Path) -> None:
        emulator, history = fit(spectra, SMALL_TRAINING)
        emulator.save(folder / "emulator.safetensors")
        (folder / "history.json").write_text(json.dumps(history))
        to_onnx(folder / "emulator.safetensors", folder / "emulator.onnx")

    return made_once("trained", make)


@pytest.fixture
def emulator(trained: Path, tmp_path: Path) -> "Emulator":
    """The trained emulator, of a copy of its file."""
    from emulator.emulator import Emulator

    return Emulator.load(shutil.copy(trained / "emulator.safetensors", tmp_path))


@pytest.fixture
def onnx_file(emulator: "Emulator", trained: Path, tmp_path: Path) -> Path:
    """A copy of its ONNX file, beside its own."""
    return Path(shutil.copy(trained / "emulator.onnx", tmp_path))


@pytest.fixture(scope="session")
def small_file(made_once) -> Path:
    """An ONNX file of a semi-analytic emulator for every redshift; see `support.small_emulator`."""
    from support.small_emulator import small_onnx

    return made_once("small", small_onnx) / "small.onnx"
