"""A warning where galaxies would live in haloes that the halo model leaves out."""

import math
import warnings

import numpy as np
import pytest

from export.lowest_mass import BelowLowestMassWarning, LowestMass
from export.runtime import load


def test_galaxies_below_the_lowest_halo_mass_are_warned_of():
    """Against the integral itself; n_g of Mth = 1e10 Msun and sigma = 1 is 47 % low (halomod#7)."""
    emulator = load("standard")
    point = dict(zip(emulator.names, [0.25, 0.05, 0.7, 0.82, 0.96, 1.0, 1.0, 1e10, 1e14, 1.0]))
    with pytest.warns(BelowLowestMassWarning, match="row 0: 48 % of the central galaxies would"):
        emulator(point, "n_g")
    table = np.array([[*point.values()], [*(point | {"Mth": 1e13}).values()]])
    with pytest.warns(BelowLowestMassWarning, match=r"lowest halo mass of this .*, 1e\+10 Msun"):
        emulator(table, "n_g", out_of_range="clip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for change in ({"Mth": 1e13}, {"sigma": 0.01}, {"alpha": 0.0}, {"Mth": 3e10, "sigma": 0.3}):
            emulator(point | change, "n_g")


def test_the_share_below_the_lowest_halo_mass_is_that_of_the_integral():
    lowest = LowestMass(("Mth", "sigma", "alpha"), 1e10, 1.0)
    ln_M = np.linspace(np.log(1e4), np.log(1e17), 200_001)
    for M_th, sigma in ((1e10, 1.0), (3e10, 0.7), (1e11, 1.0), (1.2e10, 0.1)):
        e = np.array([0.5 * math.erfc(-x) for x in (ln_M - math.log(M_th)) / (2**0.5 * sigma)])
        galaxies = e * np.exp(-0.9 * ln_M)
        expected = galaxies[ln_M < math.log(1e10)].sum() / galaxies.sum()
        found = lowest.share(np.array([[M_th, sigma, 1.0]], np.float32))[0]
        assert found == pytest.approx(expected, abs=1e-4)
