"""Halo models on the package's linear power, at points near one cosmology that CAMB is run for."""

from functools import cache

import numpy as np

from datagen.ccl import camb_cosmology
from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.outputs import CORRELATIONS, spectra_of
from datagen.power import linear_power
from datagen.space import COSMOLOGY, Range, Space, columns_by_name

TERMS = spectra_of(CORRELATIONS, ("1h", "2h"))
FIDUCIAL = {
    "Om_c": 0.29, "Om_b": 0.0475, "h": 0.7, "sigma_8": 0.83, "n_s": 0.96, "w0": -1.0, "wa": 0.0,
    "z": 0.0,
}  # fmt: skip
SPACE = Space(
    Om_c=Range(0.27, 0.31),
    Om_b=Range(0.045, 0.05),
    h=Range(0.68, 0.72),
    w0=Range(-1.2, -0.8),
    wa=Range(-0.5, 0.5),
    z=Range(0.0, 1.5),
)


@cache
def table():
    """The linear power of the package."""
    return linear_power(HaloModelConfig(), SPACE)


@cache
def camb():
    """A pyccl cosmology with converged CAMB behind it, at `FIDUCIAL`, for all redshifts."""
    return camb_cosmology(FIDUCIAL, "converged")


def model(**options):
    """A halo model on `table`."""
    return HaloModel(HaloModelConfig(**options), table())


def points(n, seed=0, **fixed):
    """Random points in `SPACE`, but for `fixed`."""
    theta = SPACE.from_unit(np.random.default_rng(seed).random((n, len(SPACE.names))))
    for name, value in fixed.items():
        theta[:, SPACE.names.index(name)] = value
    return theta


def fiducial(n, seed=0, **fixed):
    """Random occupations at the cosmology `FIDUCIAL`, today."""
    return points(n, seed, **(FIDUCIAL | fixed))


def columns(theta):
    """Cosmology and redshift of points, as linear power and haloes take them."""
    found = columns_by_name(theta, SPACE.names)
    return {name: found[name] for name in (*COSMOLOGY, "z")}


def cosmology(theta):
    """Cosmological parameters by name, of one point."""
    return {name: float(column[0]) for name, column in columns(theta[None]).items()}


def assert_close(ours, theirs, rtol, names=TERMS):
    """Spectra of two models, by name."""
    for name in names:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=rtol, err_msg=name)
