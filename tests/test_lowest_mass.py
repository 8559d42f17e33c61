"""A warning where galaxies would live in haloes that the halo model leaves out."""

import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from datagen.space import BACKGROUND
from export.lowest_mass import SHARE, BelowLowestMassWarning, LowestMass
from export.populations import populations
from export.runtime import load
from export.to_onnx import rewrite

POINT = {
    "Om_c": 0.25, "Om_b": 0.05, "h": 0.7, "sigma_8": 0.82, "n_s": 0.96, "w0": -1.0, "wa": 0.0,
    "z": 0.0, "alpha": 1.0, "sigma": 1.0, "Mth": 1e10, "Mprime": 1e14, "beta": 1.0,
}  # fmt: skip


def test_galaxies_below_the_lowest_halo_mass_are_warned_of(small_file):
    """Against the integral itself; n_g of Mth = 1e10 Msun and sigma = 1 is 47 % low (halomod#7)."""
    emulator, point = load(small_file), POINT
    with pytest.warns(BelowLowestMassWarning, match="row 0: 48 % of the central galaxies would"):
        emulator(point, "n_g")
    table = np.array([[*point.values()], [*(point | {"Mth": 1e13}).values()]])
    with pytest.warns(BelowLowestMassWarning, match=r"lowest halo mass of this .*, 1e\+10 Msun"):
        emulator(table, "n_g", out_of_range="clip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for change in ({"Mth": 1e13}, {"sigma": 0.01}, {"alpha": 0.0}, {"Mth": 3e10, "sigma": 0.3}):
            emulator(point | change, "n_g")


@pytest.mark.parametrize(("log10_M", "named"), [(11.0, r"1e\+11"), (9, r"1e\+09"), (None, None)])
def test_the_lowest_mass_is_that_of_the_file(small_file, tmp_path, log10_M, named):
    path = Path(shutil.copy(small_file, tmp_path))
    halo_model = load(path).metadata["halo_model"] | {"log10M_min": log10_M}
    if log10_M is None:
        del halo_model["log10M_min"]
    rewrite(path, halo_model=halo_model)
    emulator, M_min = load(path), 10.0 ** (log10_M or 10.0)
    wide = POINT | {"Mth": 10 * M_min, "sigma": 2.5}  # the widest that this file has
    narrow = wide | {"sigma": 0.3}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        emulator(narrow, "n_g")
        if log10_M is None:
            emulator(wide, "n_g")
            return
    for theta in (wide, [wide], np.array([[*narrow.values()], [*wide.values()]])):
        with pytest.warns(BelowLowestMassWarning, match=f"80 % .* halo model, {named} Msun"):
            emulator(theta, "n_g")


def test_the_share_below_the_lowest_halo_mass_is_that_of_the_integral():
    names = (*BACKGROUND, "alpha", "sigma", "Mth", "Mprime", "beta")
    low, high = np.array([0.1, 0.01, 1e10, 1e10, 0.1]), np.array([1.0, 2.5, 3e13, 1e17, 2.0])
    ends = (np.r_[np.ones(len(BACKGROUND)), each] for each in (low, high))
    galaxies = populations("linke22")
    lowest = LowestMass(names, 1e10, galaxies, *ends)
    ln_M = np.linspace(np.log(1e4), np.log(1e17), 200_001)
    for M_th, sigma in ((1e10, 1.0), (3e10, 0.7), (1e11, 1.0), (1.2e10, 0.1)):
        e = np.array([0.5 * math.erfc(-x) for x in (ln_M - math.log(M_th)) / (2**0.5 * sigma)])
        haloes = e * np.exp(-0.9 * ln_M)
        expected = haloes[ln_M < math.log(1e10)].sum() / haloes.sum()
        point = np.array([[*np.ones(len(BACKGROUND)), 1.0, sigma, M_th, 1e14, 1.0]], np.float32)
        (found,) = lowest.share(galaxies.each[0], point)
        assert found == pytest.approx(expected, abs=1e-4)
        assert lowest.is_near(point[0].tolist()) == (found > SHARE)


def test_other_occupations_are_warned_of_by_their_own_thresholds(small_file):
    background = {name: POINT[name] for name in BACKGROUND}
    zheng = {"sigma_logM": 0.8, "log10M0": 12.0, "log10M1": 14.0, "alpha": 1.0}
    emulator = load(small_file, occupation="zheng07")
    with pytest.warns(BelowLowestMassWarning, match="row 0: .* of the central galaxies would"):
        emulator(background | zheng | {"log10Mmin": 11.0, "sigma_logM": 1.5}, "n_g")
    both = load(small_file, occupation={"one": "zheng07", "two": "zheng07"})
    two = {f"two_{name}": value for name, value in zheng.items()}
    one = {f"one_{name}": value for name, value in zheng.items()} | {"one_log10Mmin": 13.0}
    wide = {"two_log10Mmin": 11.0, "two_sigma_logM": 1.5}
    with pytest.warns(BelowLowestMassWarning, match="row 0: .* of the central galaxies would"):
        both(background | one | two | wide, "two_n_g")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        emulator(background | zheng | {"log10Mmin": 12.5}, "n_g")
        both(background | one | two | {"two_log10Mmin": 12.5}, "two_n_g")
        load(small_file, occupation="gaussian")  # without a threshold there is nothing to tell
