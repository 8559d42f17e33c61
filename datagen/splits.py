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

    A size below 1 is a fraction of the rows, one above 1 is a number of rows; the rest trains.

    Attributes:
        validation: Fraction or number of rows that validate.
        test: Fraction or number of rows kept for the final test; 0 for none.
        seed: Seed of the shuffle.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            size = getattr(self, name)
            if not (0 <= size < 1 or (1 < size < np.inf and size == int(size))):  # 1 is unclear
                raise ValueError(
                    f"split.{name} = {size:g} must be a fraction in [0, 1) or 2, 3, ... rows"
                )
        fractions = sum(size for size in (self.validation, self.test) if size < 1)
        if not self.validation > 0 or not fractions < 1:
            raise ValueError(
                f"split: validation = {self.validation:g} must be positive and leave, with "
                f"test = {self.test:g}, something to train on"
            )
        if self.seed < 0:
            raise ValueError(f"split.seed = {self.seed} must not be negative")

    def rows(self, n: int, part: Part) -> NDArray[np.intp]:
        """Row numbers of one part of n rows, sorted.

        Raises:
            ValueError: Too few rows for every part to get one.
        """
        shuffled = np.random.default_rng(self.seed).permutation(n)
        n_test, n_validation = (
            int(size) if size > 1 else round(size * n) for size in (self.test, self.validation)
        )
        if n_validation < 1 or n - n_test - n_validation < 1 or (self.test > 0 and n_test < 1):
            raise ValueError(
                f"{n} rows are too few for the split {self}; generate more or take smaller parts"
            )
        parts = {
            "test": shuffled[:n_test],
            "validation": shuffled[n_test : n_test + n_validation],
            "train": shuffled[n_test + n_validation :],
        }
        return np.sort(parts[part])
