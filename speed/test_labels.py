"""Labels beside pyccl's halo model point by point, one core each; the table shows the ratios."""

from typing import Any

import numpy as np
import pytest

from benchmarks.codes.label_speed import AGREEMENT, Contenders, agree, contenders, points
from datagen.record import provenance

POINTS = 8
ITERATIONS = {"ours": 60, "pyccl": 1, "pyccl, lean": 1}  # so that every round takes a second


@pytest.fixture(scope="module")
def theta() -> np.ndarray:
    return points(POINTS)


@pytest.fixture(scope="module")
def models(theta: np.ndarray) -> Contenders:
    models = contenders()
    agree(models, theta)
    return models


@pytest.mark.parametrize("name", ITERATIONS)
def test_labels(name: str, models: Contenders, theta: np.ndarray, benchmark: Any) -> None:
    benchmark.group = f"all terms of {POINTS} points"
    benchmark.extra_info.update(
        points=POINTS, threads=1, agreement=AGREEMENT, versions=provenance()
    )
    benchmark.pedantic(
        models[name], args=(theta,), rounds=5, iterations=ITERATIONS[name], warmup_rounds=1
    )
