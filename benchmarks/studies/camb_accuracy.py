"""Accuracy of CAMB at different settings: ``hodspectra camb-accuracy``.

The settings of `datagen.boltzmann` and of the table of linear power are based on this study. The
reference evolves every mode with deeper hierarchies, later approximations and finer integration,
and keeps radiation throughout. With all of these twice as fine, it changes by 5e-6.
"""

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import camb
import numpy as np
import pyccl
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.stats import qmc
from tqdm.auto import tqdm

from benchmarks.study import Study
from datagen.boltzmann import CONVERGED, Accuracy, amplitudes, converged_power
from datagen.boltzmann import parameters as camb_parameters
from datagen.ccl import camb_power
from datagen.power import WIDE, shipped_table

__all__ = ["STUDY", "camb_accuracy", "render"]

Array = NDArray[np.float64]
Power = Callable[[dict[str, float], Array], Array]

REFERENCE = Accuracy(
    AccuracyBoost=2, lAccuracyBoost=4, TimeSwitchBoost=2, IntTolBoost=1, DoLateRadTruncation=False
)
CORNERS = ("---", "--+", "-+-", "-++", "+--", "+++")  # in Om_c, Om_b, h
BANDS = {"k < 0.01": (0, 0.01), "0.01 to 10": (0.01, 10), "10 to 100": (10, 100)}  # 1/Mpc
PERCENTILES = (50, 99, 100)
EMU_PK_POINTS = 200
_ANY = {"sigma_8": 0.8, "n_s": 0.96}
_OURS = "modes: as datagen has them"


def wavenumbers() -> Array:
    """Wavenumbers of the comparison [1/Mpc], densest at the baryon acoustic oscillations."""
    return np.concatenate(
        [np.geomspace(1e-4, 1e-2, 20, endpoint=False), np.geomspace(1e-2, 1, 80, endpoint=False),
         np.geomspace(1, 10, 6, endpoint=False), [10, 17, 30, 55, 100]]
    )  # fmt: skip


def cosmologies(points: int, seed: int) -> list[dict[str, float]]:
    """Cosmologies at corners of the box of the package's table, and within it.

    Args:
        points: Number of cosmologies, corners first.
        seed: Seed of those that are no corners.

    Returns:
        Parameters by name.
    """
    low, high = (np.array([getattr(WIDE[n], end) for n in ("Om_c", "Om_b", "h")])
                 for end in ("low", "high"))  # fmt: skip
    corners = np.array([[sign == "+" for sign in corner] for corner in CORNERS], float)
    unit = np.concatenate([corners, qmc.LatinHypercube(3, rng=seed).random(points)])
    rows = low + unit[:points] * (high - low)
    return [dict(zip(("Om_c", "Om_b", "h"), map(float, row), strict=True)) | _ANY for row in rows]


def settings() -> dict[str, Power]:
    """Functions that compute linear power, by name."""
    plain = Accuracy(1, False, 1, 1, 1, 1)
    long = Accuracy(1, True, 1, 4, 1, 1)
    return {
        "pyccl's defaults": camb_power,
        "pyccl, AccuracyTarget 1, kmax 200": _pyccl,
        "CAMB's table, high_precision, kmax 200": _table_of_camb,
        "modes: CAMB's defaults": _modes(plain),
        "modes: high_precision, lAccuracyBoost 4": _modes(long),
        "modes: and TimeSwitchBoost 2": _modes(Accuracy(1, True, 1, 4, 2, 1)),
        _OURS: _modes(CONVERGED),
        "these modes, splined": lambda p, k: converged_power(p, k)[0],
        "table of the package": _table,
    }


def _pyccl(p: dict[str, float], k: Array) -> Array:
    cosmo = pyccl.Cosmology(
        Omega_c=p["Om_c"], Omega_b=p["Om_b"], h=p["h"], sigma8=p["sigma_8"], n_s=p["n_s"],
        extra_parameters={"camb": {"AccuracyTarget": 1, "kmax": 200.0}},
    )  # fmt: skip
    power: Array = cosmo.linear_matter_power(k, 1.0)
    return power


def _table_of_camb(p: dict[str, float], k: Array) -> Array:
    camb.config.AccuracyTarget = 1
    chosen = camb_parameters(p, Accuracy(1, True, 1, 1, 1, 1))
    chosen.InitPower.set_params(ns=p["n_s"])
    chosen.set_matter_power(redshifts=[0.0], kmax=200.0)
    results = camb.get_transfer_functions(chosen)
    results.calc_power_spectra()
    theirs, _, power = results.get_linear_matter_power_spectrum(hubble_units=False, k_hunit=False)
    return np.exp(CubicSpline(np.log(theirs), np.log(power[0]))(np.log(k)))


def _modes(accuracy: Accuracy) -> Power:
    def power(p: dict[str, float], k: Array) -> Array:
        return amplitudes(p, k, accuracy=accuracy)[0] ** 2 * k ** (p["n_s"] - 4)

    return power


def _table(p: dict[str, float], k: Array) -> Array:
    table = shipped_table()
    assert table is not None, "datagen/linear_power.npz is not of this version"
    ln_P, _ = table({name: np.array([value]) for name, value in p.items()})
    return np.exp(ln_P(np.log(k))[:, 0])


def emu_pk(points: int, seed: int) -> dict[str, Any] | None:
    """Errors of emu-pk, trained by others on CAMB, relative to the table; None if not installed."""
    if not find_spec("emu_pk"):
        return None
    BOX = import_module("emu_pk.box").BOX
    k = wavenumbers()
    k, emulator = k[k >= 1e-3], import_module("emu_pk").PkEmulator()
    names = ("omega_b", "omega_cdm", "h", "n_s")
    unit = np.random.default_rng(seed).random((points, len(names)))
    errors = []
    for row in unit:
        omega_b, omega_c, h, n_s = (
            BOX[name][0] + part * (BOX[name][1] - BOX[name][0])
            for name, part in zip(names, row, strict=True)
        )
        p = {"Om_c": omega_c / h**2, "Om_b": omega_b / h**2, "h": h, "sigma_8": 0.8, "n_s": n_s}
        point = [omega_b, omega_c, h, n_s, 3.044, 0, -1, 0, 0, 1 / 3, 1 / 3]
        theirs = np.asarray(emulator.pk(k / h, 0.0, np.array(point)), np.float64)
        errors.append(_errors(theirs, _table(p, k), k))
    return _percentiles(np.array(errors), k)


def _errors(ours: Array, truth: Array, k: Array) -> Array:
    """|P / P_ref - 1|, both normalised at the scales of sigma_8."""
    ratio = np.log(ours / truth)
    there = (k > 0.05) & (k < 1)
    return np.abs(np.expm1(ratio - ratio[there].mean()))


def camb_accuracy(points: int = 12, seed: int = 1) -> dict[str, Any]:
    """Measure errors of the linear power at z = 0, except for its amplitude, and CPU seconds.

    Args:
        points: Number of cosmologies, 40 s each; the first ones are corners of the box.
        seed: Seed of the other ones.

    Returns:
        ``errors``, by setting and band of wavenumbers, percentiles over all (cosmology, k);
        ``emu_pk``, those of emu-pk relative to the table; and ``seconds``, CPU time of one run by
        setting.

    Raises:
        ValueError: `points` below 1.
    """
    if points < 1:
        raise ValueError(f"points = {points} must be at least 1")
    k, ways = wavenumbers(), settings()
    errors: dict[str, list[Array]] = {name: [] for name in ways}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for p in tqdm(cosmologies(points, seed), desc="cosmologies", unit="pt"):
        truth = _modes(REFERENCE)(p, k)
        for name, power in ways.items():
            begun = time.process_time()
            error = _errors(power(p, k), truth, k)
            seconds[name].append(time.process_time() - begun)
            errors[name].append(error)
    return {
        "points": points,
        "seed": seed,
        "errors": {name: _percentiles(np.array(rows), k) for name, rows in errors.items()},
        "emu_pk": emu_pk(EMU_PK_POINTS, seed),
        "seconds": {name: round(float(np.median(times)), 2) for name, times in seconds.items()},
    }


def _percentiles(errors: Array, k: Array) -> dict[str, Any]:
    found: dict[str, Any] = {"cosmologies": len(errors)}
    for band, (low, high) in BANDS.items():
        there = (k >= low) & (k <= high)
        found[band] = {
            f"{q}": float(f"{np.percentile(errors[:, there], q):.2g}") for q in PERCENTILES
        }
    return found


def render(record: dict[str, Any]) -> str:
    """Format a table with a row for each setting: 99 % and the worst in each band, as text."""
    rows = dict(record["errors"])
    if record["emu_pk"]:
        rows["emu-pk / table of the package"] = record["emu_pk"]
    width = max(map(len, rows))
    lines = [
        "linear power: errors at 99 % / of all, by wavenumber [1/Mpc]",
        " " * width + "".join(f"{band:>18}" for band in BANDS) + "  cosmologies   CPU s",
    ]
    for name, row in rows.items():
        cells = [f"{row[band]['99']:.1e}/{row[band]['100']:.1e}" for band in BANDS]
        seconds = record["seconds"].get(name)
        lines.append(
            f"{name:<{width}}" + "".join(f"{cell:>18}" for cell in cells)
            + f"{row['cosmologies']:>13}" + (f"{seconds:>8.1f}" if seconds is not None else "")
        )  # fmt: skip
    return "\n".join(lines)


STUDY = Study("camb_accuracy", camb_accuracy, render)
main = STUDY.main

if __name__ == "__main__":
    main()
