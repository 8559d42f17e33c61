"""Labels beside pyccl's halo model point by point, one core each; the table shows the ratios."""

from typing import Any

import numpy as np
import pytest

from benchmarks.codes.label_speed import AGREEMENT, Models, agree, draw_points, models
from datagen.record import provenance

POINTS = 8
ITERATIONS = {"ours": 60, "pyccl": 1, "pyccl, lean": 1}  # so that every round takes a second


@pytest.fixture(scope="module")
def theta() -> np.ndarray:
    return draw_points(POINTS)


@pytest.fixture(scope="module")
def codes(theta: np.ndarray) -> Models:
    codes = models()
    agree(codes, theta)
    return codes


@pytest.mark.parametrize("name", ITERATIONS)
def test_labels(name: str, codes: Models, theta: np.ndarray, benchmark: Any) -> None:
    benchmark.group = f"all terms of {POINTS} points"
    benchmark.extra_info.update(
        points=POINTS, threads=1, agreement=AGREEMENT, versions=provenance()
    )
    benchmark.pedantic(
        codes[name], args=(theta,), rounds=5, iterations=ITERATIONS[name], warmup_rounds=1
    )
