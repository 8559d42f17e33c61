"""A box of cosmologies so narrow that nine CAMB runs make its table of linear power."""

from functools import cache

import numpy as np

from datagen.ccl import camb_cosmology
from datagen.halomodel import CORRELATIONS, HaloModel, HaloModelConfig
from datagen.linear_power import LinearPowerTable, TableBox, camb_node
from datagen.space import COSMOLOGY, PARAMETERS, Space

BOX = TableBox(omega_c=(0.135, 0.148), omega_b=(0.0222, 0.0240), nodes=(3, 3))
TERMS = [f"{xy}_{term}" for xy in CORRELATIONS for term in ("1h", "2h")]
FIDUCIAL = {"Om_c": 0.29, "Om_b": 0.0475, "h": 0.7, "sigma_8": 0.83, "n_s": 0.96}


@cache
def table():
    """Linear power in `BOX`."""
    return LinearPowerTable(BOX, np.array([camb_node(point) for point in BOX.points()]))


@cache
def camb():
    """A pyccl cosmology with CAMB behind it, at `FIDUCIAL`."""
    return camb_cosmology(FIDUCIAL)


def model(**options):
    """A halo model on `table`."""
    return HaloModel(HaloModelConfig(**options), table())


def points(n, seed=0, **fixed):
    """Random points in `BOX` and anywhere in the default space otherwise, but for `fixed`."""
    rng = np.random.default_rng(seed)
    theta = Space().from_unit(rng.random((n, len(PARAMETERS))))
    h = theta[:, PARAMETERS.index("h")] = rng.uniform(0.68, 0.72, n)
    theta[:, PARAMETERS.index("Om_c")] = rng.uniform(*BOX.omega_c, n) / h**2
    theta[:, PARAMETERS.index("Om_b")] = rng.uniform(*BOX.omega_b, n) / h**2
    for name, value in fixed.items():
        theta[:, PARAMETERS.index(name)] = value
    return theta


def fiducial(n, seed=0, **fixed):
    """Random occupations at the cosmology `FIDUCIAL`."""
    return points(n, seed, **(FIDUCIAL | fixed))


def cosmology(theta):
    """Cosmological parameters by name, of one point."""
    return dict(zip(COSMOLOGY, map(float, theta[: len(COSMOLOGY)]), strict=True))


def assert_close(ours, theirs, rtol, names=TERMS):
    """Spectra of two models, by name."""
    for name in names:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=rtol, err_msg=name)
