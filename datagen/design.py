"""Space-filling designs: which points of the parameter space get labels."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from datagen.space import PARAMETERS, Space

__all__ = ["Design", "draw"]


@dataclass(frozen=True)
class Design:
    """How points are spread over the box.

    Attributes:
        points: Number of points.
        method: ``lhs`` is a Latin hypercube (each parameter evenly covered at this very number
            of points), ``sobol`` a scrambled Sobol sequence (any prefix is well spread, so it
            can be extended).
        seed: Seed of the random numbers; equal seeds give equal points.
    """

    points: int = 10_000
    method: Literal["lhs", "sobol"] = "lhs"
    seed: int = 1

    def __post_init__(self) -> None:
        if self.points < 1:
            raise ValueError(f"points = {self.points} must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed} must not be negative")
        if self.method not in ("lhs", "sobol"):
            raise ValueError(f"method = {self.method!r} must be 'lhs' or 'sobol'")


def draw(design: Design, space: Space) -> NDArray[np.float64]:
    """Points of the box, shape (points, 10), columns in the order of `PARAMETERS`."""
    dimensions = len(PARAMETERS)
    if design.method == "lhs":
        unit = qmc.LatinHypercube(dimensions, rng=design.seed).random(design.points)
    else:
        # drawn to a power of two, where Sobol's balance holds, and cut
        exponent = int(np.ceil(np.log2(design.points)))
        unit = qmc.Sobol(dimensions, rng=design.seed).random_base2(exponent)[: design.points]
    return space.from_unit(unit)
