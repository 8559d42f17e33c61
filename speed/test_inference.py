"""Every shipped emulator in onnxruntime, torch and numpy, and the true codes, by batch size."""

from typing import Any

import numpy as np
import pytest

from benchmarks.codes.implementations import AGREEMENT, BATCHES, Implementation, direct, forms
from benchmarks.codes.timing import TURNS, agree, in_turn
from datagen.halomodel import HaloModelConfig
from datagen.record import provenance
from datagen.space import Space
from export.runtime import load
from export.shipped import shipped

SEED, ROUNDS, FIRST = 1, 5, 4  # points that all must agree on before any is timed
DTYPES = {"labels": "float64", "pyccl": "float64"}
Timed = tuple[str, dict[str, Implementation], Space]
CASES = [(name, batch) for name, batches in BATCHES.items() for batch in batches]


@pytest.fixture(scope="module", params=sorted(shipped()))
def emulator(request: pytest.FixtureRequest) -> Timed:
    """Name of an emulator, all that computes the same, once that is certain, and its box."""
    model = load(request.param, threads=1)
    space = Space.from_dict(model.metadata["parameters"])
    theta = points(FIRST, space)
    implementations = forms(model)
    if request.param.startswith("standard"):  # plain networks do not agree with the codes so well
        implementations |= direct(HaloModelConfig.from_dict(model.metadata["halo_model"]), space)
    truth = model(theta)
    for name, call in implementations.items():
        agree(name, call, theta, truth, AGREEMENT[name])
    return request.param, implementations, space


def points(number: int, space: Space) -> np.ndarray:
    return space.from_unit(np.random.default_rng(SEED).random((number, len(space.names))))


@pytest.mark.parametrize(("name", "batch"), CASES)
def test_inference(name: str, batch: int, emulator: Timed, benchmark: Any) -> None:
    shipped_as, implementations, space = emulator
    if name not in implementations:  # networks have no torch form without their weights' file
        pytest.skip(f"{shipped_as} has no form in {name}")
    several = points(batch * (TURNS if batch == 1 else 1), space).reshape(
        -1, batch, len(space.names)
    )
    call = in_turn(implementations[name], several)
    benchmark.group = f"{shipped_as}, {batch:,} at once"
    benchmark.extra_info.update(
        emulator=shipped_as, batch=batch, dtype=DTYPES.get(name, "float32"), device="CPU",
        threads=1, agreement=AGREEMENT[name], versions=provenance(),
    )  # fmt: skip
    iterations = 1 if name in DTYPES else max(1, 100 // batch)
    benchmark.pedantic(call, rounds=ROUNDS, iterations=iterations, warmup_rounds=1)
