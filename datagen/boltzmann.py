"""The linear matter power of CAMB, converged: mode by mode, at wavenumbers of one's choice.

CAMB's own table of the power is splined over some hundred wavenumbers, too few for the acoustic
wiggles of a universe rich in baryons, and its defaults leave 0.5 % there and 0.1 % elsewhere. Here
CAMB evolves each mode that is asked for, with deeper hierarchies (``lAccuracyBoost``) that are cut
later (``TimeSwitchBoost``); `benchmarks.camb_accuracy` shows what each setting is worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import camb
import numpy as np
from numpy.typing import NDArray

__all__ = ["CONVERGED", "Accuracy", "amplitudes"]

Array = NDArray[np.float64]

# as pyccl's: temperature of the microwave background [K], effective number of neutrinos
T_CMB, N_EFF = 2.7255, 3.044


@dataclass(frozen=True)
class Accuracy:
    """CAMB's accuracy settings, by CAMB's names.

    Attributes:
        AccuracyTarget: 0 is CAMB before version 2, 1 the default of version 2.
        high_precision: Longer hierarchies of massless neutrinos.
        AccuracyBoost: Scales all that follows too.
        lAccuracyBoost: Depth of the multipole hierarchies.
        TimeSwitchBoost: How late approximations are switched on.
        IntTolBoost: Tolerance of the integrator.
        DoLateRadTruncation: Whether radiation is left out once it does not matter.
    """

    AccuracyTarget: int = 1
    high_precision: bool = True
    AccuracyBoost: float = 1.0
    lAccuracyBoost: float = 4.0
    TimeSwitchBoost: float = 4.0
    IntTolBoost: float = 2.0
    DoLateRadTruncation: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, as stored in files."""
        return asdict(self)


CONVERGED = Accuracy()


def amplitudes(
    cosmology: Mapping[str, float],
    k: Array,
    z: Sequence[float] = (0.0,),
    accuracy: Accuracy = CONVERGED,
) -> Array:
    """Linear matter density of modes of unit primordial curvature, shape (Z, K).

    The power is ``P(k) = 2 pi^2 A_s (k / k_pivot)^(n_s - 1) amplitude^2 / k^3``.

    Args:
        cosmology: ``Om_c``, ``Om_b``, ``h`` and, where dark energy is not a constant, ``w0`` and
            ``wa`` (as a fluid that may cross w = -1).
        k: Wavenumbers [1/Mpc], shape (K,).
        z: Redshifts.
        accuracy: CAMB's settings.
    """
    before = camb.config.AccuracyTarget  # of the whole process; pyccl sets it too
    camb.config.AccuracyTarget = accuracy.AccuracyTarget
    try:
        background = camb.get_background(_parameters(cosmology, z, accuracy))
        modes = background.get_redshift_evolution(
            np.asarray(k, np.float64), list(z), ["delta_tot"], accuracy.lAccuracyBoost
        )
    finally:
        camb.config.AccuracyTarget = before
    result: Array = np.abs(modes[:, :, 0].T)
    return result


def _parameters(
    cosmology: Mapping[str, float], z: Sequence[float], accuracy: Accuracy
) -> camb.CAMBparams:
    """CAMB's parameters of a flat cosmology, with what pyccl fixes by default."""
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
    p.set_dark_energy(cosmology.get("w0", -1.0), wa=cosmology.get("wa", 0.0), dark_energy_model="ppf")
    p.set_matter_power(redshifts=sorted(set(z), reverse=True))
    p.Transfer.high_precision = accuracy.high_precision
    p.DoLateRadTruncation = accuracy.DoLateRadTruncation
    for name in ("AccuracyBoost", "lAccuracyBoost", "TimeSwitchBoost", "IntTolBoost"):
        setattr(p.Accuracy, name, getattr(accuracy, name))
    return p
