"""Random division of points into training, validation and test parts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "Split"]

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """Seeded random division of the rows of a label file into training, validation and test.

    Weights and scalings are fitted to the training rows. Validation rows stop the training and
    rank the trials of a search. Test rows are read by ``benchmarks`` only.

    Attributes:
        validation: Validation rows: a fraction in (0, 1), or a number of at least 2.
        test: Test rows: a fraction in [0, 1), or a number of at least 2; 0 for none.
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
        """Return the sorted row numbers of one part.

        Args:
            n: Number of rows of the label file.
            part: ``train``, ``validation`` or ``test``.

        Raises:
            ValueError: There are too few rows for a part to have one.

        Example:
            >>> Split(validation=0.2, test=2).rows(10, "validation")
            array([0, 7])
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
