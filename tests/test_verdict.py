"""What a report says of a search at its top."""

import re
from copy import deepcopy

import pytest

from emulator.train import EMULATOR_FILE
from tuning.verdict import verdict, write_choice


def of(emulator, tmp_path, values, kept, train=1e-4, validation=1e-4):
    """The verdict on a search that had so much to choose from."""
    record = deepcopy(emulator.spec.record)
    for part, mse in (("train", train), ("validation", validation)):
        record["standardised"][part]["mse"] = mse
    for one in record["validation"].values():
        one["all"] |= {"95": 0.01, "99": 0.02}
    record["validation"]["gg_2h"]["all"]["95"] = 0.031
    emulator.update_spec(record=record, provenance=emulator.spec.provenance)
    emulator.save(tmp_path / EMULATOR_FILE)
    write_choice(tmp_path, "p95", values, kept)
    return verdict(tmp_path)


BOTH = {"trial 0007": 0.031, "its final training": 0.012}


def test_no_verdict_while_the_search_goes_on(tmp_path):
    assert verdict(tmp_path) == []


def test_how_good_it_is_and_what_was_kept(emulator, tmp_path):
    first, second, _ = of(emulator, tmp_path, BOTH, "its final training")
    assert (
        "95 % of all values of gg_2h, the spectrum with the largest errors, are within 3.1 %"
        in first
    )
    assert "uncertain by 9.3 % or more" in first
    assert second == (
        "Kept: its final training, with 95 % error 1.2 % (trial 0007 has 95 % error 3.1 %)."
    )


@pytest.mark.parametrize(
    ("values", "kept", "validation", "says"),
    [
        (BOTH, "its final training", 1e-3, "Labels limit it: its loss is 10.0 times larger"),
        (
            BOTH,
            "its final training",
            1e-4,
            "Work limits it: from 95 % error 3.1 % of .* 1.2 %",
        ),
        (BOTH, "trial 0007", 1e-4, "did not improve on the trial"),
        ({"trial 1": 0.01, "its final training": 0.0099}, "its final training", 1e-4, "The space"),
    ],
)
def test_what_limits_it_and_what_next(emulator, tmp_path, values, kept, validation, says):
    last = of(emulator, tmp_path, values, kept, validation=validation)[-1]
    assert re.search(says, last)
    assert re.search("hodspectra|repeat the command", last)
