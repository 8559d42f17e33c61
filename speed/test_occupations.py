"""A call, and a batch, of a shipped emulator with each occupation, one's own, and two of them."""

import itertools
from typing import Any

import numpy as np
import pytest

from datagen.occupations import OCCUPATIONS, occupation
from datagen.space import Space
from export.runtime import load

EMULATOR, BATCH, SEED = "tinker10", 1000, 1
CYCLE = 100  # points of different cosmologies


class Own:
    """An occupation of one's own, which is integrated in Python."""

    parameters = {p.name: p.range for p in occupation("zheng07").parameters}  # noqa: RUF012

    def moments(self, M: Any, p: Any, f: Any) -> Any:
        """Those of zheng07."""
        return occupation("zheng07").moments(M, p, f)


GALAXIES: dict[str, Any] = {name: name for name in OCCUPATIONS} | {
    "zheng07+off_centring": "zheng07+off_centring",
    "zheng07+c_sat": "zheng07+c_sat",
    "one's own": Own(),
    "two populations": {"red": "zheng07", "blue": "more15"},
}


def points(emulator: Any, number: int) -> np.ndarray:
    """Points of its ranges; dark energy is a cosmological constant, so that all of them count."""
    unit = np.random.default_rng(SEED).random((number, len(emulator.names)))
    theta = []
    for p, column in zip(emulator.parameters, unit.T, strict=True):
        low, high = np.log10([p.low, p.high]) if p.sampling == "log10" else (p.low, p.high)
        value = low + (high - low) * (0.25 + 0.5 * column)
        theta.append(10**value if p.sampling == "log10" else value)
    theta = np.array(theta).T
    for name in [n for n in emulator.names if n.endswith(("blue_A", "blue_epsilon"))]:
        theta[:, emulator.names.index(name)] = 0.0
    theta[:, [emulator.names.index(name) for name in ("w0", "wa")]] = Space().w0.low, Space().wa.low
    return theta


@pytest.mark.parametrize("name", GALAXIES)
@pytest.mark.parametrize("cosmology", ["held", "new"])
def test_a_call(name: str, cosmology: str, benchmark: Any) -> None:
    emulator = load(EMULATOR, occupation=GALAXIES[name], out_of_range="nan")
    theta = points(emulator, 1 if cosmology == "held" else CYCLE)
    cycle = itertools.cycle([dict(zip(emulator.names, row, strict=True)) for row in theta.tolist()])
    benchmark.group = f"a call of {EMULATOR}, by occupation, its cosmology {cosmology}"
    benchmark(lambda: emulator(next(cycle)))


@pytest.mark.parametrize("name", GALAXIES)
def test_a_batch(name: str, benchmark: Any) -> None:
    emulator = load(EMULATOR, occupation=GALAXIES[name], out_of_range="nan")
    benchmark.group = f"{BATCH} points of {EMULATOR}, by occupation"
    benchmark.pedantic(emulator, (points(emulator, BATCH),), rounds=3, warmup_rounds=1)
