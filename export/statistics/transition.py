r"""Between the 1-halo and the 2-halo term: scale-dependent bias and halo exclusion, in real space.

Both change the 2-halo term of xi, and from there every statistic: what they add to xi is taken back
to an addition to the spectrum, which is projected like the spectrum itself.

- ``tinker05``: xi_2h is multiplied by zeta^2(r) = [1 + 1.17 xi_m]^1.49 / [1 + 0.69 xi_m]^2.09, with
  xi_m(r) the halo model's correlation function of matter (Tinker et al. 2005, ApJ 631, 41,
  equation B7).
- ``spheres``: haloes are spheres that do not overlap. At separation r only those count whose radius
  is below r / 2: 1 + xi_2h = [n_g'(r) / n_g]^2 [1 + xi_2h'(r)], where galaxies in larger haloes are
  left out of n_g' and xi_2h' (Zheng 2004, ApJ 610, 61; Tinker et al. 2005, section 3).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.occupations import Moments, Occupation
from datagen.parameters import Parameter
from export.interpolate import spline_matrix
from export.statistics.hankel import Modes, spherical

__all__ = ["EXCLUDED", "SEPARATIONS", "CutOccupation", "added", "largest_mass", "unexcluded"]

Array = NDArray[np.float64]

EXCLUDED = "without large haloes"
"""Under which name the spectra of the smaller haloes are given."""

SEPARATIONS = np.geomspace(0.1, 16.0, 28)
"""[Mpc], between which the exclusion of haloes changes; above there are none so large."""

_R = np.geomspace(1e-3, 300.0, 260)  # Mpc
_OVERDENSITY = 200.0


class CutOccupation(Occupation):
    """The galaxies of an occupation in haloes up to a mass, M_cut.

    Args:
        base: The occupation.
    """

    name = "cut"
    source = ""
    parameters = ()

    def __init__(self, base: Occupation) -> None:
        self._base = base
        limit = Parameter(
            "M_cut", "Msun", "cut", r"M_\mathrm{cut}", (1e8, 1e18), (1e8, 1e18), sampling="log10"
        )
        vars(self).update(name=f"{base.name} cut", width=0.0, parameters=(*base.parameters, limit))

    def moments(self, M: Any, p: Mapping[str, Any], f: Any) -> Moments:
        """See `Occupation.moments`."""
        kept = p["M_cut"] >= M
        return Moments(*(moment * kept for moment in self._base.moments(M, p, f)))


def largest_mass(point: Mapping[str, Any], rho_critical: float) -> Array:
    """Mass [Msun] of haloes (200m) whose radius is half of `SEPARATIONS`, shape (N, X).

    Args:
        point: ``Om_c``, ``Om_b``, ``h`` by name, each (N,).
        rho_critical: Of h = 1 [Msun / Mpc^3].
    """
    Om_c, Om_b, h = (np.asarray(point[name], np.float64) for name in ("Om_c", "Om_b", "h"))
    rho_m = rho_critical * (Om_c + Om_b) * h**2
    volume = 4 / 3 * np.pi * (SEPARATIONS / 2) ** 3
    result: Array = _OVERDENSITY * rho_m[:, None] * volume
    return result


@cache
def _to_xi(refine: float) -> Array:
    """What takes P at the nodes to xi at the separations within, shape (K, R)."""
    from export.statistics.evaluate import modes

    rows = modes(refine).rows(spherical(0), _R[:, None], np.ones((len(_R), 1)))
    return rows.matrix().T.copy()


@cache
def _to_P(refine: float) -> Array:
    """What takes xi at the separations within to P at the nodes, shape (R, K)."""
    from export.statistics.evaluate import nodes

    k = nodes(refine)
    rows = Modes(_R).rows(spherical(0), k[:, None], np.ones((len(k), 1)))
    return 8 * np.pi**3 * rows.matrix().T


@cache
def _at_separations(refine: float) -> Array:
    """What takes P at the nodes to xi at `SEPARATIONS`, shape (X, K)."""
    from export.statistics.evaluate import modes

    count = len(SEPARATIONS)
    return modes(refine).rows(spherical(0), SEPARATIONS[:, None], np.ones((count, 1))).matrix()


def added(
    bias: str, exclusion: str, P_2h: Array, spectra: Mapping[str, Any], refine: float
) -> Array:
    """What is added to a 2-halo term, at the nodes, shape (N, K).

    Args:
        bias: ``tinker05``, or none.
        exclusion: ``spheres``, or none.
        P_2h: The 2-halo term at the nodes, shape (N, K).
        spectra: ``mm_1h`` and ``mm_2h`` at the nodes for the bias, and `EXCLUDED` for the
            exclusion: what `unexcluded` gives.
        refine: See `export.statistics.evaluate.nodes`.
    """
    before = P_2h @ _to_xi(refine)
    xi = before
    if exclusion:
        smaller, share = spectra[EXCLUDED]
        there = np.einsum("nxk,xk->nx", smaller, _at_separations(refine))
        here = P_2h @ _at_separations(refine).T
        xi = _excluded(xi, there / here, share)
    if bias:
        xi_m = np.maximum((spectra["mm_1h"] + spectra["mm_2h"]) @ _to_xi(refine), -0.5)
        zeta = (1 + 1.17 * xi_m) ** 1.49 / (1 + 0.69 * xi_m) ** 2.09
        xi = np.where(xi > -1, xi, -1.0)
        xi = xi * np.where(xi > 0, zeta, 1.0)
    result: Array = (xi - before) @ _to_P(refine)
    return result


def unexcluded(P: Array, n: Array, n_all: Array) -> tuple[Array, Array]:
    """Spectra of the galaxies in smaller haloes, and their squared share, for `added`.

    Args:
        P: At the nodes, shape (N, X, K), NaN where there are none.
        n: Their numbers, shape (N, X).
        n_all: Of all, shape (N,).
    """
    none = ~np.isfinite(n) | (n <= 0)
    share = np.where(none, 0.0, n / n_all[:, None]) ** 2
    return np.where(none[..., None], 0.0, P), share


def _excluded(xi: Array, ratio: Array, share: Array) -> Array:
    """1 + xi -> share (1 + ratio xi), both interpolated in ln r."""
    ln_x, ln_r = np.log(SEPARATIONS), np.log(_R)
    matrix = spline_matrix(ln_x, np.clip(ln_r, ln_x[0], ln_x[-1])).T
    share = np.clip(share @ matrix, 0.0, 1.0)
    ratio = np.clip(ratio @ matrix, 0.0, None)
    share[:, ln_r < ln_x[0]] = 0.0
    far = ln_r > ln_x[-1]
    share[:, far] = ratio[:, far] = 1.0
    result: Array = share * (1 + ratio * xi) - 1
    return result
