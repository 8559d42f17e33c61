"""Differences in standard errors are that, and splits are called good or bad accordingly."""

import numpy as np
import pytest
from scipy import stats

from datagen.agreement import MIN_ROWS, agreement, difference_in_errors, features
from datagen.space import Range, Space
from datagen.splits import Split
from datagen.store import STORED, Spectra

# of the spread of 2000 standardised differences, itself known to 1 / sqrt(4000); catches a
# missing factor of two in an error, or the Gaussian formula used for every distribution
SPREAD_TOLERANCE = 0.08


def labels(n=400, space=Space(), seed=5):
    """Smooth random spectra of random points of a space."""
    rng = np.random.default_rng(seed)
    k = np.geomspace(1e-2, 1e2, 6)
    arrays = {name: np.exp(rng.normal(3.0, 1.0, (n, 1)) - np.log(k)) for name in STORED}
    theta = space.from_unit(rng.random((n, len(Space().names))))
    return Spectra(theta, k, arrays, {"space": space.as_dict()})


def test_difference_of_means_is_welchs_statistic():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, (300, 4)), rng.normal(0.1, 2, (300, 4))
    mean, _ = difference_in_errors(a, b)
    welch = stats.ttest_ind(a, b, equal_var=False).statistic
    np.testing.assert_allclose(mean, welch * np.sqrt(300 / 299), rtol=1e-12)


@pytest.mark.parametrize("kind", ["normal", "uniform", "exponential"])
def test_differences_of_equal_distributions_have_unit_spread(kind):
    rng = np.random.default_rng(2)
    a, b = getattr(rng, kind)(size=(2000, 2000)), getattr(rng, kind)(size=(500, 2000))
    for z in difference_in_errors(a, b):
        assert z.std() == pytest.approx(1, abs=SPREAD_TOLERANCE)


def test_difference_has_the_sign_of_the_first_minus_the_second():
    rng = np.random.default_rng(3)
    mean, spread = difference_in_errors(rng.normal(1, 2, 500), rng.normal(0, 1, 500))
    assert mean > 5
    assert spread > 5


def test_features_are_as_sampled():
    spectra = labels(20)
    x = features(spectra)
    for i, name in enumerate(Space().names):
        sampled = spectra.theta[:, i]
        sampled = np.log10(sampled) if name in ("Mth", "Mprime") else sampled
        np.testing.assert_array_equal(x[:, i], sampled, err_msg=name)


def test_random_splits_agree():
    spectra = labels()
    bad = sum(not agreement(spectra, Split(seed=seed))["verdict"]["agree"] for seed in range(40))
    assert bad <= 4  # 0.8 are expected


def test_a_biased_parameter_is_found_and_named():
    spectra = labels()
    rows = Split().rows(len(spectra), "validation")
    h = Space().names.index("h")
    spectra.theta[rows, h] = 0.64 + 0.5 * (spectra.theta[rows, h] - 0.64)
    verdict = agreement(spectra, Split())["verdict"]
    assert not verdict["agree"]
    assert "DO NOT AGREE" in verdict["text"]
    assert verdict["largest_difference"]["where"].startswith(("mean of h,", "spread of h,"))
    assert verdict["smallest_ks_p"]["where"].startswith("h, ")


def test_a_biased_spectrum_is_found_and_named():
    spectra = labels()
    rows = Split().rows(len(spectra), "test")
    spectra.arrays["gg_1h"][rows] *= 8
    verdict = agreement(spectra, Split())["verdict"]
    assert not verdict["agree"]
    assert "ln gg_1h, test - " in verdict["largest_difference"]["where"]


def test_without_a_test_part_one_pair_is_compared():
    result = agreement(labels(), Split(test=0.0))
    assert list(result["features"]) == list(result["targets"]) == ["validation - train"]
    assert result["parts"] == {"train": 360, "validation": 40}


def test_what_is_constant_or_has_no_logarithm_is_left_out():
    spectra = labels(space=Space(h=Range(0.7, 0.7)))
    spectra.arrays["mm_1h"][:] = 1.0
    spectra.arrays["mm_2h"][:] = 2.0
    spectra.arrays["gg_1h"] *= -1
    result = agreement(spectra, Split())
    assert "h" not in result["features"]["test - train"]
    assert not {"mm_1h", "mm_2h", "mm_total", "gg_1h"} & set(result["targets"]["test - train"])
    assert "gm_total" in result["targets"]["test - train"]


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=f"has 5 rows, a comparison needs {MIN_ROWS}"):
        agreement(labels(50), Split())
