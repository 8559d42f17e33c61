"""Converged linear matter power from CAMB, mode by mode, at any wavenumbers.

CAMB's own power spectrum is a spline through some hundred wavenumbers, too few for the acoustic
wiggles of a universe rich in baryons; at default accuracy it is off by 0.5 % there and 0.1 %
elsewhere. Here CAMB evolves a mode at each wavenumber, with deeper hierarchies
(``lAccuracyBoost``), truncated later (``TimeSwitchBoost``); `benchmarks.studies.camb_accuracy`
measures the effect of each setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import camb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.variance import Variance
from datagen.wavenumbers import continued, ln_wavenumbers

__all__ = [
    "CONVERGED",
    "N_EFF",
    "T_CMB",
    "Accuracy",
    "amplitudes",
    "converged_power",
    "parameters",
    "wavenumbers",
]

Array = NDArray[np.float64]

# as pyccl's: temperature of the microwave background [K], effective number of neutrinos
T_CMB, N_EFF = 2.7255, 3.044
_EVEN = np.linspace(np.log(5e-5), np.log(1e3), 2048)  # for sigma_8


@dataclass(frozen=True)
class Accuracy:
    """CAMB's accuracy settings, by CAMB's names.

    Attributes:
        AccuracyTarget: 0 for the accuracy of CAMB before version 2, 1 for the default of version 2.
        high_precision: Whether to use longer hierarchies of massless neutrinos.
        AccuracyBoost: Factor on all accuracy settings below.
        lAccuracyBoost: Factor on the depth of the multipole hierarchies.
        TimeSwitchBoost: Factor that delays switching to approximations.
        IntTolBoost: Factor on the precision of the integrator.
        DoLateRadTruncation: Whether to neglect radiation perturbations at late times.
    """

    AccuracyTarget: int = 1
    high_precision: bool = True
    AccuracyBoost: float = 1.0
    lAccuracyBoost: float = 4.0
    TimeSwitchBoost: float = 4.0
    IntTolBoost: float = 2.0
    DoLateRadTruncation: bool = True


CONVERGED = Accuracy()


def amplitudes(
    cosmology: Mapping[str, float],
    k: Array,
    z: ArrayLike = (0.0,),
    accuracy: Accuracy = CONVERGED,
) -> Array:
    """Linear matter density contrast of modes of unit primordial curvature.

    The power is ``P(k) = 2 pi^2 A_s (k / k_pivot)^(n_s - 1) amplitude^2 / k^3``.

    Args:
        cosmology: ``Om_c``, ``Om_b``, ``h`` and optionally ``w0`` and ``wa`` (by default -1 and
            0), of dark energy that may cross w = -1 (CAMB's ``ppf``).
        k: Wavenumbers [1/Mpc], shape (K,).
        z: Redshifts, shape (Z,).
        accuracy: CAMB's accuracy settings.

    Returns:
        Absolute values of the amplitudes, shape (Z, K).
    """
    before = camb.config.AccuracyTarget  # of the whole process; pyccl sets it too
    camb.config.AccuracyTarget = accuracy.AccuracyTarget
    try:
        background = camb.get_background(parameters(cosmology, accuracy))
        modes = background.get_redshift_evolution(
            np.asarray(k, np.float64), np.ravel(z), ["delta_tot"], accuracy.lAccuracyBoost
        )
    finally:
        camb.config.AccuracyTarget = before
    result: Array = np.abs(modes[:, :, 0].T)
    return result


def wavenumbers(cosmology: Mapping[str, float]) -> Array:
    """Wavenumbers [1/Mpc] at which cubic splines of ln P are accurate to 5e-5, shape (K,).

    Args:
        cosmology: ``Om_c``, ``Om_b`` and ``h`` by name.
    """
    h2 = cosmology["h"] ** 2
    return np.exp(ln_wavenumbers(cosmology["Om_c"] * h2, cosmology["Om_b"] * h2))


def converged_power(cosmology: Mapping[str, float], k: Array, z: ArrayLike = (0.0,)) -> Array:
    """Linear matter power of one cosmology at several redshifts.

    Args:
        cosmology: As for `amplitudes`, with ``sigma_8`` (at z = 0) and ``n_s``.
        k: Wavenumbers [1/Mpc], shape (K,).
        z: Redshifts, shape (Z,).

    Returns:
        P_lin [Mpc^3], shape (Z, K).
    """
    ln_k = np.log(wavenumbers(cosmology))
    times, order = np.unique([0.0, *np.ravel(z)], return_inverse=True)  # CAMB needs unique ones
    modes = amplitudes(cosmology, np.exp(ln_k), times)[order]
    ln_P = 2 * np.log(modes) + (cosmology["n_s"] - 4) * ln_k
    today = continued(ln_k, ln_P[0], _EVEN)
    variance = Variance(_EVEN, np.zeros(1)).at(today[None], np.array([8 / cosmology["h"]]))
    ln_P += np.log(cosmology["sigma_8"] ** 2 / variance)
    return np.exp([continued(ln_k, row, np.log(k)) for row in ln_P[1:]])


def parameters(cosmology: Mapping[str, float], accuracy: Accuracy) -> camb.CAMBparams:
    """CAMB's parameters of a flat cosmology, with the defaults of pyccl.

    Args:
        cosmology: As for `amplitudes`.
        accuracy: CAMB's accuracy settings.
    """
    p = camb.CAMBparams()
    p.WantCls = p.DoLensing = p.Want_CMB = p.Want_CMB_lensing = False
    p.WantTransfer = True
    h2 = cosmology["h"] ** 2
    p.H0 = 100 * cosmology["h"]
    p.omch2, p.ombh2 = cosmology["Om_c"] * h2, cosmology["Om_b"] * h2
    p.omk = p.omnuh2 = 0.0
    p.TCMB = T_CMB
    p.share_delta_neff = False
    p.num_nu_massless = N_EFF
    p.num_nu_massive = p.nu_mass_eigenstates = 0
    p.nu_mass_numbers = p.nu_mass_fractions = p.nu_mass_degeneracies = []
    helium = camb.bbn.get_predictor().Y_He
    p.YHe = helium(p.ombh2 * (camb.constants.COBE_CMBTemp / T_CMB) ** 3, N_EFF - 3.044)
    p.set_dark_energy(
        cosmology.get("w0", -1.0), wa=cosmology.get("wa", 0.0), dark_energy_model="ppf"
    )
    p.Transfer.high_precision = accuracy.high_precision
    p.DoLateRadTruncation = accuracy.DoLateRadTruncation
    for name in ("AccuracyBoost", "lAccuracyBoost", "TimeSwitchBoost", "IntTolBoost"):
        setattr(p.Accuracy, name, getattr(accuracy, name))
    return p
