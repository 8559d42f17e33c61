"""The search for worst points: where it looks, and what it finds there."""

import pytest

from benchmarks.evaluate.worst import PLANCK, Galaxies, Search, render, worst
from datagen.space import Space
from export.runtime import load


def test_a_search_keeps_to_its_ranges():
    whole = Space.from_dict(load("standard").metadata["parameters"])
    part = Galaxies(ranges=PLANCK).within(whole)
    assert part.names == whole.names
    for name in whole.names:
        assert (part[name].low, part[name].high) == PLANCK.get(
            name, (whole[name].low, whole[name].high)
        )
        assert part[name].sampling == whole[name].sampling


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"sigma8": (0.7, 0.8)}, "ranges: no parameter sigma8; there are Om_c, "),
        ({"sigma_8": (0.7, 1.3)}, "sigma_8 from 0.7 to 1.3 must lie within the emulator's range"),
        ({"sigma_8": (0.8, 0.7)}, "sigma_8 from 0.8 to 0.7 must lie within"),
    ],
)
def test_ranges_that_there_are_not_are_refused(ranges, message):
    whole = Space.from_dict(load("standard").metadata["parameters"])
    with pytest.raises(ValueError, match=message):
        Galaxies(ranges=ranges).within(whole)


@pytest.mark.slow
def test_a_worst_point_has_the_error_that_is_stated():
    ranges = {"z": (0.2, 0.4), "sigma": (0.5, 1.0), "sigma_8": (0.8, 0.8)}
    search = Search(generations=1, population=2, starts=1, seed=3)
    found = worst("standard", [Galaxies(ranges=ranges)], search)
    (one,) = found["found"]
    assert one["evaluations"] > 2 * 2 * 13
    assert one["error"] == max(one["errors"].values()) == one["errors"][one["spectrum"]]
    assert 1e-5 < one["error"] < 1e-2
    for name, (low, high) in ranges.items():
        assert low - 1e-9 <= one["point"][name] <= high + 1e-9
    assert "z 0.2 to 0.4, sigma 0.5 to 1, sigma_8 0.8 | " in render(found)
