"""The linear growth factor of many cosmologies at once.

pyccl solves the growth equation of each cosmology for all times, 10 ms a point. This solves the
same equation, flat LCDM with radiation, for the one redshift that is asked for.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from datagen.ccl import radiation_density

__all__ = ["growth_factor"]

Array = NDArray[np.float64]

_LN_A_START = np.log(1e-3)  # dark energy is 1e-9 of all by then, and Meszaros' solution holds
_RTOL = 1e-11  # so that points do not depend on those that are solved with them


def growth_factor(Om_m: Array, h: Array, z: float) -> Array:
    """Linear growth factor D(z) / D(0) of flat LCDM, shape (B,).

    ``D'' + (2 + H' / H) D' = 3/2 Om_m(a) D`` with derivatives by ln a, begun in the matter era
    with the growing mode ``1 + 3/2 a / a_eq`` (Meszaros 1974, A&A 37, 225).

    Args:
        Om_m: Matter densities, shape (B,).
        h: Hubble parameters [100 km/s/Mpc], shape (B,).
        z: Redshift.
    """
    if z == 0:
        return np.ones_like(Om_m)
    Om_r = radiation_density() / h**2
    Om_L = 1 - Om_m - Om_r

    def right_side(ln_a: float, y: Array) -> Array:
        D, slope = y.reshape(2, -1)
        matter, radiation = Om_m * np.exp(-3 * ln_a), Om_r * np.exp(-4 * ln_a)
        H2 = matter + radiation + Om_L  # in units of H_0^2
        ln_H_slope = -(1.5 * matter + 2 * radiation) / H2
        return np.concatenate([slope, 1.5 * matter / H2 * D - (2 + ln_H_slope) * slope])

    growing = 1.5 * np.exp(_LN_A_START) * Om_m / Om_r
    start = np.concatenate([1 + growing, growing])
    times = (-np.log1p(z), 0.0)
    solved = solve_ivp(
        right_side, (_LN_A_START, 0.0), start, "DOP853", t_eval=times, rtol=_RTOL, atol=0.0
    )
    then, now = solved.y[: len(Om_m)].T
    ratio: Array = then / now
    return ratio
