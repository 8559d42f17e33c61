"""Steps per second of the training: Lightning, as used here, beside a bare torch loop."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from datagen.halomodel import HaloModelConfig, KGrid
from datagen.record import provenance
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.data import SpectraData
from emulator.emulator import NetworkEmulator
from emulator.loop import run_loop
from emulator.module import EmulatorModule
from emulator.network import NetworkConfig
from emulator.optimizers import OptimizerConfig
from emulator.schedule import ScheduleConfig
from emulator.train import TrainConfig, make_emulator

POINTS, EPOCHS, THREADS = 20_000, 5, 1
# The two loops shuffle differently, so their losses agree as those of two seeds do.
AGREEMENT = 0.5
SIZES = {"4x64, batch 256": (64, 256), "4x256, batch 1024": (256, 1024)}


@pytest.fixture(scope="module")
def labels() -> Spectra:
    """Smooth functions in the place of spectra; the loops do not know the difference."""
    space, k = Space(), KGrid().values()
    theta = space.from_unit(np.random.default_rng(1).random((POINTS, len(space.names))))
    x = space.to_unit(theta)[:, [space.names.index(name) for name in space.free]]
    arrays = {f"gg_{term}": np.exp(x[:, i : i + 5] @ np.log(np.tile(k + 1, (5, 1))))
              for i, term in enumerate(("1h", "2h"))}  # fmt: skip
    metadata = {"space": space.as_dict(), "model": asdict(HaloModelConfig()), "design": {}}
    return Spectra(theta, k, arrays, metadata)


def bare(emulator: NetworkEmulator, data: SpectraData, config: TrainConfig) -> float:
    """The shortest loop that does the same: shuffle, step, validate."""
    (x, y), (vx, vy) = data.train.tensors, data.validation.tensors
    optimizer = torch.optim.Adam(emulator.network.parameters(), lr=config.optimizer.lr)
    best = np.inf
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(config.optimizer.batch_size):
            if len(rows) == config.optimizer.batch_size:
                loss = mse_loss(emulator.standardised(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            best = min(best, float(mse_loss(emulator.standardised(vx), vy)))
    return best


def with_lightning(emulator: NetworkEmulator, data: SpectraData, config: TrainConfig) -> float:
    """What `emulator.train` does."""
    training = config.schedule.build()
    run_loop(EmulatorModule(emulator, config.optimizer), data, training, key="")
    return training.best


CONTENDERS: dict[str, Callable[[NetworkEmulator, SpectraData, TrainConfig], float]] = {
    "bare loop": bare,
    "lightning": with_lightning,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("contender", CONTENDERS)
def test_training(contender: str, size: str, labels: Spectra, benchmark: Any) -> None:
    units, batch = SIZES[size]
    torch.set_num_threads(THREADS)
    config = TrainConfig(
        network=NetworkConfig(units=units),
        optimizer=OptimizerConfig("adam", batch_size=batch),
        schedule=ScheduleConfig("stages", max_epochs=(EPOCHS,), patience=(EPOCHS,)),
        split=Split(test=0.0),
    )
    data = SpectraData(labels, config.outputs, config.split, batch)

    def fresh() -> tuple[tuple[NetworkEmulator, SpectraData, TrainConfig], dict]:
        lightning.seed_everything(1, verbose=False)
        emulator = make_emulator(labels, config)
        data.fit_scalings(emulator)
        data.prepare(emulator)
        return (emulator, data, config), {}

    losses = {name: run(*fresh()[0]) for name, run in CONTENDERS.items()}
    assert losses["lightning"] == pytest.approx(losses["bare loop"], rel=AGREEMENT)
    benchmark.group = size
    steps = EPOCHS * (len(data.train) // batch)
    benchmark.extra_info.update(steps=steps, threads=THREADS, **provenance())
    benchmark.pedantic(CONTENDERS[contender], setup=fresh, rounds=5, warmup_rounds=0)
