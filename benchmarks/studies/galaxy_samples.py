"""Typical parameters of each occupation, as measured for samples of galaxies.

They are for figures and examples, rounded as the papers print them. The cosmology is that of Planck
(2020, A&A 641, A6, table 2, with lensing).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from datagen.occupations import occupation
from datagen.occupations.translate import from_h, linke22_threshold
from datagen.space import BACKGROUND
from export.ranges import Parameter

__all__ = ["COSMOLOGY", "GALAXIES", "SOURCES", "fiducial"]

COSMOLOGY: dict[str, float] = {
    "Om_c": 0.2645, "Om_b": 0.0493, "h": 0.6736, "sigma_8": 0.811, "n_s": 0.965, "w0": -1.0,
    "wa": 0.0,
}  # fmt: skip

_BRIGHT = {"log10Mmin": 12.02, "sigma_logM": 0.26, "log10M0": 11.38, "log10M1": 13.31,
           "alpha": 1.06}  # fmt: skip
_SHARP = {name: _BRIGHT[name] for name in ("log10Mmin", "log10M1", "alpha")}
_RED = {"log10Mcut": 13.08, "sigma": 0.98 / np.log(10), "log10M1": 14.06, "alpha": 0.9,
        "kappa": 1.13}  # fmt: skip
_BIN = {"log10M_star_low": 10.0, "log10M_star_high": 11.0}

GALAXIES: dict[str, tuple[float, dict[str, float]]] = {
    "linke22": (1.0, {
        **linke22_threshold(12.02, 0.26), "alpha": 0.8, "Mprime": 10.0**13.31, "beta": 1.06,
    }),
    "zheng07": (1.0, _BRIGHT),
    "zheng05": (1.0, _BRIGHT),
    "zehavi05": (1.0, _SHARP),
    "kravtsov04": (1.0, {**_SHARP, "sigma_logM": 0.26, "log10Mcut": 11.38}),
    "ccl": (1.0, {**_BRIGHT, "f_c": 1.0}),
    "kwan15": (1.0, _RED),
    "abacus": (1.0, _RED),
    "more15": (1.0, {
        "log10Mmin": 13.13, "sigma_logM": 0.22**0.5, "log10M1": 14.21, "alpha": 1.13,
        "kappa": 1.25, "alpha_inc": 0.44, "log10M_inc": 13.57,
    }),
    "leauthaud11": (0.72, {
        "log10M_star_t": 10.3, "log10M1_star": 12.52, "log10M_star0": 10.916, "beta": 0.457,
        "delta": 0.566, "gamma": 1.53, "sigma_logm": 0.206, "B_sat": 10.62, "beta_sat": 0.859,
        "B_cut": 1.47, "beta_cut": -0.13, "alpha": 1.0,
    }),
    "cacciato13": (1.0, {
        **_BIN, "log10M_star0": 10.521, "log10M1_star": 11.145, "g1": 7.385, "g2": 0.201,
        "sigma_c": 0.159, "alpha_s": -0.847, "b0": 0.12, "b1": 1.177, "b2": 0.0,
    }),
    "vanuitert16": (1.0, {
        **_BIN, "log10M_star0": 10.4, "log10M1_star": 11.7, "beta1": 7.5, "log10beta2": -0.6,
        "sigma_c": 0.2, "alpha_s": -0.83, "b0": 0.18, "b1": 0.83,
    }),
    "hmq": (1.0, {
        "log10Mc": 11.75, "sigma": 0.58, "gamma": 4.12, "Q": 100.0, "p_max": 0.33,
        "log10M0": 11.75, "log10M1": 13.53, "alpha": 1.0,
    }),
    "gaussian": (1.0, {
        "A": 0.05, "log10Mc": 11.63, "sigma": 0.12, "log10M0": 11.63,
        "log10M1": 11.7 - np.log10(0.11) / 0.6, "alpha": 0.6,
    }),
}  # fmt: skip
"""For each occupation, the Hubble constant h of its masses (1 for Msun/h), and its parameters."""

_SDSS = "galaxies of SDSS with M_r < -20, as halotools has them (Zheng et al. 2007, table 1)"
_CMASS = "BOSS CMASS, White et al. 2011, ApJ 728, 126"
SOURCES: dict[str, str] = {
    "linke22": f"{_SDSS}; a central galaxy in 80 % of the haloes",
    "zheng07": _SDSS,
    "zheng05": _SDSS,
    "zehavi05": f"{_SDSS}, with a sharp threshold",
    "kravtsov04": f"{_SDSS}, M0 as the mass of the cut",
    "ccl": _SDSS,
    "kwan15": _CMASS,
    "abacus": _CMASS,
    "more15": "BOSS CMASS, as Dark Emulator has it by default (after More et al. 2015)",
    "leauthaud11": "COSMOS at z = 0.22 to 0.48, Leauthaud et al. 2012, ApJ 744, 159, table 5",
    "cacciato13": "KiDS-1000 and GAMA, after Dvornik et al. 2023, A&A 675, A189",
    "vanuitert16": "KiDS and GAMA, near van Uitert et al. 2016, MNRAS 459, 3251; the bend is where "
    "the paper has most stellar mass for the mass of the halo",
    "hmq": "emission lines of DESI, an example of AbacusHOD's",
    "gaussian": "emission lines of DESI, an example of mocks, after Rocher et al. 2023",
}
"""Source of the parameters of each occupation."""

_ADDED = {"p_off": 0.2, "R_off": 0.1}  # R_off in Mpc, about as in Dark Emulator


def fiducial(
    name: str, z: float = 0.3, ranges: Mapping[str, Parameter] | None = None
) -> dict[str, float]:
    """Return a typical point of an occupation, by name, in the order of columns.

    Args:
        name: Name of the occupation, such as ``zheng07``, optionally with additions, such as
            ``zheng07+off_centring``.
        z: Redshift.
        ranges: Parameters of an emulator, by name; values outside their ranges are moved to the
            nearer end.

    Returns:
        Cosmology, z and the parameters of the occupation, masses in Msun or log10 Msun, without h.

    Raises:
        ValueError: Unknown occupation.
    """
    whole = occupation(name)
    theirs, given = GALAXIES[name.partition("+")[0]]
    translated = from_h(name.partition("+")[0], given, COSMOLOGY["h"], theirs)
    values: dict[str, Any] = {**COSMOLOGY, "z": z, **translated.parameters}
    for p in whole.parameters:
        if p.name not in values:
            values[p.name] = _ADDED.get(p.name, p.default)
    point = {n: float(values[n]) for n in (*BACKGROUND, *(p.name for p in whole.parameters))}
    for one in (ranges or {}).values():
        if one.name in point and one.name != "z":
            point[one.name] = float(np.clip(point[one.name], one.low, one.high))
    return point
