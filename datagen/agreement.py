"""Test whether training, validation and test rows come from the same distribution."""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from datagen.outputs import CORRELATIONS, spectra_of
from datagen.space import Space
from datagen.splits import Part, Split
from datagen.store import Spectra

__all__ = ["agreement", "difference_in_errors", "features"]

Array = NDArray[np.float64]

MIN_ROWS = 10  # smallest part for which a spread and its error are estimated
_CONSTANT = 1e-9  # spread of ln P below which differences are rounding errors
FALSE_ALARMS = 0.01  # probability of rejecting a good split, for each of the two kinds of test


def features(spectra: Spectra) -> Array:
    """Return the points in the sampled coordinates, log10 of some parameters, shape (N, P)."""
    x = spectra.theta.copy()
    log = Space.from_dict(spectra.metadata["space"]).is_log
    x[:, log] = np.log10(x[:, log])
    return x


def difference_in_errors(a: Array, b: Array) -> tuple[Array, Array]:
    """Differences of means and of logarithms of spreads, in units of their standard errors.

    The error of a mean is s / sqrt(n). For any distribution, that of ln s is
    sqrt((m_4 / s^4 - 1) / n) / 2 with the fourth central moment m_4.

    Args:
        a: Samples, shape (n_a, ...).
        b: Samples, shape (n_b, ...).

    Returns:
        Differences a - b of the means and of ln s, each of shape (...).
    """
    means, ln_spreads, mean_variance, spread_variance = [], [], [], []
    for x in (a, b):
        centred = x - x.mean(axis=0)
        s2, m4 = (centred**2).mean(axis=0), (centred**4).mean(axis=0)
        means.append(x.mean(axis=0))
        ln_spreads.append(0.5 * np.log(s2))
        mean_variance.append(s2 / len(x))
        spread_variance.append((m4 / s2**2 - 1) / (4 * len(x)))
    return (
        (means[0] - means[1]) / np.sqrt(sum(mean_variance)),
        (ln_spreads[0] - ln_spreads[1]) / np.sqrt(sum(spread_variance)),
    )


def agreement(spectra: Spectra, split: Split) -> dict[str, Any]:
    """Compare the parts of a split in the inputs and targets of a network: features and ln P.

    Constant parameters and spectra, and points without a logarithm, are omitted.

    Args:
        spectra: Labels.
        split: Sizes of the parts.

    Returns:
        ``parts`` (rows of each), for every pair of parts ``features`` (by parameter:
        differences ``mean`` and ``spread`` in standard errors, and ``ks_p``, the p-value of the
        two-sample Kolmogorov-Smirnov test) and ``targets`` (by spectrum: ``mean`` and ``spread``
        at each k), and the ``verdict``.

    Raises:
        ValueError: A part has too few rows, or all points are the same.
    """
    names: list[Part] = ["train", "validation"]
    if split.test > 0:
        names.append("test")
    rows = {part: split.rows(len(spectra), part) for part in names}
    smallest = min(map(len, rows.values()))
    if smallest < MIN_ROWS:
        raise ValueError(
            f"a part of the split has {smallest} rows, a comparison needs {MIN_ROWS}; "
            f"give the split larger parts or generate more points"
        )
    pairs = [(b, a) for a, b in combinations(names, 2)]
    x, columns = features(spectra), Space.from_dict(spectra.metadata["space"]).names
    varied = [i for i in range(len(columns)) if np.ptp(x[:, i]) > 0]
    if not varied:
        raise ValueError(f"all {len(x)} points are the same; there is nothing to compare")
    result: dict[str, Any] = {
        "parts": {part: len(row) for part, row in rows.items()},
        "features": {
            f"{a} - {b}": {columns[i]: _feature(x[rows[a], i], x[rows[b], i]) for i in varied}
            for a, b in pairs
        },
        "targets": {f"{a} - {b}": {} for a, b in pairs},
    }
    for name in spectra_of(CORRELATIONS):
        ln = {part: _ln(spectra[name][row]) for part, row in rows.items()}
        if all(len(y) >= MIN_ROWS and (y.std(axis=0) > _CONSTANT).all() for y in ln.values()):
            for a, b in pairs:
                mean, spread = difference_in_errors(ln[a], ln[b])
                result["targets"][f"{a} - {b}"][name] = {
                    "mean": mean.tolist(),
                    "spread": spread.tolist(),
                }
    result["verdict"] = _verdict(result, smallest)
    return result


def _ln(Pk: Array) -> Array:
    """Ln P of those points that are positive at every k."""
    return np.log(Pk[((Pk > 0) & np.isfinite(Pk)).all(axis=1)])


def _feature(a: Array, b: Array) -> dict[str, float]:
    mean, spread = difference_in_errors(a, b)
    p = stats.ks_2samp(a, b, method="asymp").pvalue
    return {"mean": float(mean), "spread": float(spread), "ks_p": float(p)}


def _verdict(result: dict[str, Any], smallest: int) -> dict[str, Any]:
    """Compare the largest differences with those expected by chance (Bonferroni)."""
    z: list[tuple[float, str]] = []
    p: list[tuple[float, str]] = []
    for pair, by_name in result["features"].items():
        for name, d in by_name.items():
            z += [(abs(d[what]), f"{what} of {name}, {pair}") for what in ("mean", "spread")]
            p.append((d["ks_p"], f"{name}, {pair}"))
    for pair, by_name in result["targets"].items():
        for name, d in by_name.items():
            for what in ("mean", "spread"):
                z += [(abs(value), f"{what} of ln {name}, {pair}") for value in d[what]]
    # Student's t for the smallest part: with few rows, errors are themselves uncertain
    z_allowed = float(stats.t.isf(FALSE_ALARMS / (2 * len(z)), smallest - 1))
    p_allowed = FALSE_ALARMS / len(p)
    (z_worst, z_where), (p_worst, p_where) = max(z), min(p)
    agree = z_worst <= z_allowed and p_worst >= p_allowed
    text = (
        f"The parts of the split {'agree' if agree else 'DO NOT AGREE'}: of {len(z)} differences "
        f"the largest is {z_worst:.1f} standard errors ({z_where}; chance allows "
        f"{z_allowed:.1f}), of {len(p)} KS tests the smallest p is {p_worst:.2g} ({p_where}; "
        f"chance allows {p_allowed:.1g})."
    )
    return {
        "agree": agree,
        "text": text,
        "largest_difference": {"value": z_worst, "allowed": z_allowed, "where": z_where},
        "smallest_ks_p": {"value": p_worst, "allowed": p_allowed, "where": p_where},
    }
