"""Accuracy and speed of xi, w_p and Delta Sigma: ``hodspectra statistics``.

True statistics come from labels on a fine grid of wavenumbers and an independent transform: scipy's
FFTLog, with an integral over splines of xi for a finite line of sight. The errors therefore include
all steps from labels to statistics: the emulator, its 50 wavenumbers, and the extrapolation beyond
them.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.codes.fftlog import correlation, splined, surface
from benchmarks.codes.timing import TURNS, in_turn, seconds_per_point
from benchmarks.evaluate.accuracy import counts
from benchmarks.evaluate.tables import in_percent
from benchmarks.evaluate.true_spectra import check_fits
from benchmarks.study import Study
from datagen.outputs import name_of
from datagen.space import Space
from datagen.store import Spectra
from export.runtime import OnnxEmulator
from export.statistics import DeltaSigma, Sigma, Statistic, Wp, Xi

__all__ = ["STUDY", "render", "statistics"]

Array = NDArray[np.float64]

PI_MAX = 100.0  # Mpc
R = np.geomspace(0.05, 150.0, 32)  # Mpc
RANGES = {"0.05 to 0.1": (0.05, 0.1), "0.1 to 30": (0.1, 30.0), "30 to 150": (30.0, 150.0)}  # Mpc
NEAR_ZERO, OF = 0.1, 30.0  # errors are relative to max(|S|, 0.1 |S(30 Mpc)|)
PERCENTILES = (68, 95, 99, 100)
_TIMED = np.geomspace(0.1, 60.0, 20)  # Mpc
_CHUNK = 100
_ALONG = 400


def statistics(data: Path, emulator: str = "tinker10", timed: bool = True) -> dict[str, Any]:
    """Compare statistics of an emulator with those of labels, and time them.

    Args:
        data: Labels of the emulator's halo model, with any occupation, on at least 200 wavenumbers
            from 1e-3 1/Mpc or below to 100 1/Mpc or above.
        emulator: ONNX file of a semi-analytic emulator, or the name of a shipped one.
        timed: Measure times, too, on one core (OMP_NUM_THREADS=1).

    Returns:
        Errors by statistic and range of separations, and times.

    Raises:
        ValueError: Labels on too few wavenumbers, or of another halo model.
    """
    labels = Spectra.read(data)
    k = labels.k
    if len(k) < 200 or k[0] > 1e-3 or k[-1] < 100:
        raise ValueError(
            f"{data} has {len(k)} wavenumbers from {k[0]:g} to {k[-1]:g} 1/Mpc; make labels with "
            f"--model.k.low 1e-4 --model.k.high 110 --model.k.points 500"
        )
    occupation = Space.from_dict(labels.metadata["space"]).occupation
    model = OnnxEmulator(emulator, occupation=occupation)
    check_fits(model, labels, str(data), any_k=True)
    counted = labels.select(np.flatnonzero(counts(labels)))
    kinds: list[Statistic] = [
        Xi(R), Wp(R, PI_MAX), Wp(R, name="w_p, infinite"), Sigma(R), DeltaSigma(R)
    ]  # fmt: skip
    errors: dict[str, list[Array]] = {name: [] for kind in kinds for name in kind.outputs}
    for start in tqdm(range(0, len(counted), _CHUNK), desc="statistics", unit="block"):
        block = counted.select(np.arange(start, min(start + _CHUNK, len(counted))))
        found = model(block.theta, kinds)
        for name, truth in _truth(block, model).items():
            errors[name].append(_error(found[name], truth))
    return {
        "emulator": emulator,
        "occupation": occupation,
        "points": len(counted),
        "without_galaxies": len(labels) - len(counted),
        "errors": {name: _by_range(np.concatenate(rows)) for name, rows in errors.items()},
        "seconds": _times(model, counted.theta) if timed else {},
        "data": {"sha256": labels.hash(), "design": labels.metadata["design"]},
    }


def _truth(labels: Spectra, model: OnnxEmulator) -> dict[str, Array]:
    """True statistics by name, each (N, R)."""
    ln_k = np.log(labels.k)
    whole = {xy: labels[name_of(xy, "total")] for xy in ("gg", "gm")}
    names = Space.from_dict(labels.metadata["space"]).names
    point = dict(zip(names, labels.theta.T, strict=True))
    factor = Sigma(R).factor(point)[:, 0]
    x, w = np.polynomial.legendre.leggauss(_ALONG)
    end = np.arcsinh(PI_MAX / R)[:, None]
    along = R[:, None] * np.cosh(0.5 * end * (x + 1))
    weights = end * w * along
    found: dict[str, list[Array]] = {
        name: [] for name in ("xi_gg", "w_p", "w_p, infinite", "Sigma", "Delta_Sigma")
    }
    for i in range(len(labels)):
        gg, gm = (np.log(whole[xy][i]) for xy in ("gg", "gm"))
        at = splined(*correlation(ln_k, gg))
        found["xi_gg"].append(at(R))
        found["w_p"].append(np.sum(weights * at(along), axis=1))
        for name, ln_P, order, scale in (
            ("w_p, infinite", gg, 0, 1.0), ("Sigma", gm, 0, factor[i]),
            ("Delta_Sigma", gm, 2, factor[i]),
        ):  # fmt: skip
            found[name].append(scale * splined(*surface(ln_k, ln_P, order))(R))
    return {name: np.array(rows) for name, rows in found.items()}


def _error(found: Array, truth: Array) -> Array:
    at = np.abs(truth[:, [int(np.argmin(np.abs(R - OF)))]])
    error: Array = np.abs(found - truth) / np.maximum(np.abs(truth), NEAR_ZERO * at)
    return error


def _by_range(error: Array) -> dict[str, dict[str, float]]:
    return {
        name: {
            f"{q}": float(f"{value:.3g}")
            for q, value in zip(
                PERCENTILES,
                np.percentile(error[:, (low <= R) & (high >= R)], PERCENTILES),
                strict=True,
            )
        }
        for name, (low, high) in RANGES.items()
    }


def _times(model: OnnxEmulator, theta: Array) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds per point of spectra alone, and of w_p and Delta Sigma at 20 separations each."""
    per_h: dict[str, Any] = {"lengths": "Mpc/h"}
    sets: dict[str, Sequence[Any]] = {
        "spectra behind them": ("gg_1h", "gg_2h", "gm_1h", "gm_2h", "P_lin"),
        "w_p and Delta Sigma, Mpc": (Wp(_TIMED, PI_MAX), DeltaSigma(_TIMED)),
        "w_p and Delta Sigma, Mpc/h": (Wp(_TIMED, PI_MAX, **per_h), DeltaSigma(_TIMED, **per_h)),
    }
    points = [dict(zip(model.names, row, strict=True)) for row in theta[:TURNS].tolist()]
    batch = np.resize(theta, (10_000, theta.shape[1]))
    for names in sets.values():  # preparation is not timed
        for point in points:
            model(point, list(names))
    return {
        name: {
            "1": seconds_per_point(in_turn(partial(model, outputs=list(names)), points), 1),
            "10000": seconds_per_point(partial(model, batch, list(names)), len(batch)),
        }
        for name, names in sets.items()
    }


def render(result: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    lines = [
        f"`{result['emulator']}` with {result['occupation']}, {result['points']:,} points, "
        f"abs(S/S_true - 1) in percent at 68 / 95 / 99 % of (point, separation), and worst. Near "
        f"zeros, errors are relative to a tenth of the value at 30 Mpc.",
        "",
        "| statistic | " + " | ".join(f"{name} Mpc" for name in RANGES) + " |",
        "|---|" + "---|" * len(RANGES),
    ]
    for name, ranges in result["errors"].items():
        cells = (
            " / ".join(in_percent(one[f"{q}"]) for q in PERCENTILES) for one in ranges.values()
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if result["seconds"]:
        lines += [
            "",
            "| microseconds a point, one core | one at a time | 10,000 at once |",
            "|---|---|---|",
        ]
        for name, times in result["seconds"].items():
            one, many = (1e6 * times[batch]["median"] for batch in ("1", "10000"))
            lines.append(f"| {name} | {one:.0f} | {many:.1f} |")
    return "\n".join(lines)


STUDY = Study("statistics", statistics, render)
main = STUDY.main

if __name__ == "__main__":
    main()
