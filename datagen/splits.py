"""Which points train, which validate, which test."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "Split"]

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """A seeded random division of label rows into training, validation and test.

    Training fits weights and scalings, validation stops the training and ranks the trials of a
    search, and the test rows are opened once, by ``benchmarks``.

    Attributes:
        validation: Fraction of rows that validate.
        test: Fraction of rows kept for the final test; the rest trains.
        seed: Seed of the shuffle.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"split.{name} = {getattr(self, name):g} must lie in [0, 1)")
        if not self.validation > 0 or not self.validation + self.test < 1:
            raise ValueError(
                f"split: validation = {self.validation:g} must be positive and leave, with "
                f"test = {self.test:g}, something to train on"
            )

    def rows(self, n: int, part: Part) -> NDArray[np.intp]:
        """Row numbers of one part of n rows, sorted.

        Raises:
            ValueError: Too few rows for every part to get one.
        """
        shuffled = np.random.default_rng(self.seed).permutation(n)
        n_test, n_validation = round(self.test * n), round(self.validation * n)
        if n_validation < 1 or n - n_test - n_validation < 1 or (self.test > 0 and n_test < 1):
            raise ValueError(f"{n} rows are too few for the split {self}; generate more")
        parts = {
            "test": shuffled[:n_test],
            "validation": shuffled[n_test : n_test + n_validation],
            "train": shuffled[n_test + n_validation :],
        }
        return np.sort(parts[part])
