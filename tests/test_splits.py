import re

import numpy as np
import pytest

from datagen.splits import Split

PARTS = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("split", "n", "sizes"),
    [
        (Split(), 1000, (800, 100, 100)),
        (Split(validation=0.25, test=0), 40, (30, 10, 0)),
        (Split(validation=10_000, test=10_000), 70_000, (50_000, 10_000, 10_000)),
        (Split(validation=0.1, test=30), 1000, (870, 100, 30)),
    ],
)
def test_parts_have_their_sizes_and_every_row_is_in_exactly_one(split, n, sizes):
    parts = [split.rows(n, part) for part in PARTS]
    assert tuple(map(len, parts)) == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))


def test_the_seed_decides_the_rows_and_they_are_shuffled():
    rows = Split(seed=3).rows(1000, "test")
    np.testing.assert_array_equal(rows, Split(seed=3).rows(1000, "test"))
    assert not np.array_equal(rows, Split(seed=4).rows(1000, "test"))
    assert np.ptp(rows) > 100  # not one block of neighbours


def test_fractions_and_numbers_that_mean_the_same_give_the_same_rows():
    for part in PARTS:
        np.testing.assert_array_equal(
            Split(0.1, 0.2).rows(500, part), Split(50, 100).rows(500, part)
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": -0.1}, "split.validation = -0.1 must be a fraction in [0, 1) or"),
        ({"test": 1.0}, "split.test = 1 must be a fraction in [0, 1) or"),
        ({"test": 10.5}, "split.test = 10.5 must be a fraction in [0, 1) or"),
        ({"validation": float("nan")}, "split.validation = nan must be a fraction"),
        ({"validation": 0}, "validation = 0 must be positive"),
        ({"validation": 0.5, "test": 0.5}, "something to train on"),
        ({"seed": -1}, "split.seed = -1 must not be negative"),
    ],
)
def test_sizes_that_make_no_split_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Split(**arguments)


@pytest.mark.parametrize("split", [Split(0.1, 0.1), Split(2, 2)])
def test_too_few_rows_are_an_error(split):
    with pytest.raises(ValueError, match="4 rows are too few for the split"):
        split.rows(4, "train")
