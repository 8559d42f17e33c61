"""Halo models on the package's linear power, at points near one cosmology that CAMB is run for."""

from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
from filelock import FileLock

from datagen.boltzmann import CONVERGED, amplitudes, wavenumbers
from datagen.ccl import camb_cosmology
from datagen.files import cache_directory
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
_REDSHIFTS = np.unique(1 / np.linspace(1 / 11, 1, 41) - 1)  # that `camb_cosmology` needs


@cache
def table():
    """The linear power of the package."""
    return linear_power(HaloModelConfig(), SPACE)


@cache
def _modes():
    """CAMB's modes of `FIDUCIAL`, (Z, K), at all `_REDSHIFTS`: of one run for all tests."""
    file = cache_directory() / "fiducial_modes.npy"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            np.save(file, amplitudes(FIDUCIAL, wavenumbers(FIDUCIAL), _REDSHIFTS))
    return np.load(file)


def _one_run(cosmology, k, z=(0.0,), accuracy=CONVERGED):
    """`amplitudes` of `FIDUCIAL` at some of `_REDSHIFTS`."""
    assert all(value == FIDUCIAL[name] for name, value in cosmology.items() if name != "z")
    assert accuracy == CONVERGED
    np.testing.assert_array_equal(k, wavenumbers(FIDUCIAL))
    apart = np.abs(np.asarray(z)[:, None] - _REDSHIFTS)
    assert apart.min(axis=1).max() < 1e-12
    return _modes()[apart.argmin(axis=1)]


@contextmanager
def one_run_of_camb():
    """Converged CAMB, at `FIDUCIAL` alone, takes the modes of one run for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datagen.boltzmann.amplitudes", _one_run)
        yield


@cache
def camb():
    """A pyccl cosmology with converged CAMB behind it, at `FIDUCIAL`, for all redshifts."""
    with one_run_of_camb():
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
