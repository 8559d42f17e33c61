r"""Transition from the 1-halo to the 2-halo term: scale-dependent bias and halo exclusion.

Both change the 2-halo term of xi, and thereby every statistic: the change of xi is transformed to a
change of the spectrum, which is projected like the spectrum itself.

- ``tinker05``: xi_2h is multiplied by zeta^2(r) = [1 + 1.17 xi_m]^1.49 / [1 + 0.69 xi_m]^2.09, with
  xi_m(r) the halo model's correlation function of matter (Tinker et al. 2005, ApJ 631, 41,
  equation B7).
- ``spheres``: haloes are spheres that do not overlap. At separation r only haloes whose radius is
  below r / 2 contribute: 1 + xi_2h = [n_g'(r) / n_g]^2 [1 + xi_2h'(r)], where n_g' and xi_2h' leave
  out galaxies in larger haloes (Zheng 2004, ApJ 610, 61; Tinker et al. 2005, section 3). For
  galaxies and matter, one factor n_g' / n_g is replaced by the share of matter outside of larger
  haloes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.occupations import Moments, Occupation
from datagen.parameters import Parameter
from export.interpolate import spline_matrix
from export.statistics.hankel import Modes, spherical

__all__ = [
    "SEPARATIONS",
    "CutOccupation",
    "MatterAbove",
    "Smaller",
    "added",
    "largest_mass",
]

Array = NDArray[np.float64]

SEPARATIONS = np.geomspace(0.1, 16.0, 28)
"""Separations [Mpc] at which halo exclusion is computed; haloes are too small for any beyond."""

_R = np.geomspace(1e-3, 300.0, 260)  # Mpc
_OVERDENSITY = 200.0
_M_CUT = Parameter(
    "M_cut", "Msun", "cut", r"M_\mathrm{cut}", (1e8, 1e18), (1e8, 1e18), sampling="log10"
)


class CutOccupation(Occupation):
    """An occupation without galaxies in haloes above a mass, M_cut.

    Args:
        base: The occupation.
    """

    name = "cut"
    source = ""
    parameters = ()

    def __init__(self, base: Occupation) -> None:
        self._base = base
        parameters = (*base.parameters, _M_CUT)
        vars(self).update(name=f"{base.name} cut", width=0.0, parameters=parameters)

    def moments(self, M: Any, p: Mapping[str, Any], f: Any) -> Moments:
        """See `Occupation.moments`."""
        kept = p["M_cut"] >= M
        return Moments(*(moment * kept for moment in self._base.moments(M, p, f)))


class MatterAbove(Occupation):
    """Matter in haloes above a mass, M_cut, as satellites of mass `MASS`."""

    name = "matter above"
    source = ""
    parameters = (_M_CUT,)
    MASS = 1e13
    """[Msun]"""

    def moments(self, M: Any, p: Mapping[str, Any], f: Any) -> Moments:
        """See `Occupation.moments`."""
        N = np.where(p["M_cut"] < M, M / self.MASS, 0.0)
        return Moments(0 * N, N, 0 * N, N**2)


@dataclass(frozen=True)
class Smaller:
    """2-halo power outside of large haloes, those above `largest_mass`, at X separations.

    Attributes:
        P: 2-halo power at the nodes, in units of the mean densities outside of large haloes, shape
            (N, X, K); 0 if nothing is there.
        share: Fraction of all pairs, shape (N, X).
    """

    P: Array
    share: Array

    @classmethod
    def of_galaxies(cls, P: Array, share: Array) -> "Smaller":
        """Power of galaxies with galaxies.

        Args:
            P: 2-halo power of galaxies in smaller haloes, shape (N, X, K); NaN without any.
            share: Fraction of galaxies in smaller haloes, shape (N, X).
        """
        share = np.where(np.isfinite(share), share, 0.0)
        return cls(_known(P), share**2)

    @classmethod
    def of_matter(cls, P: Array, P_above: Array, share: Array, share_above: Array) -> "Smaller":
        """Power of galaxies with matter.

        Args:
            P: 2-halo power of galaxies in smaller haloes with all matter, shape (N, X, K).
            P_above: 2-halo power of these galaxies with matter in larger haloes, shape (N, X, K);
                NaN without any.
            share: Fraction of galaxies in smaller haloes, shape (N, X).
            share_above: Fraction of matter in larger haloes, shape (N, X).
        """
        share, above = (np.where(np.isfinite(one), one, 0.0) for one in (share, share_above))
        rest = 1 - above
        inside = _known(P) - above[..., None] * _known(P_above)
        return cls(inside / rest[..., None], share * rest)


def _known(P: Array) -> Array:
    return np.where(np.isfinite(P), P, 0.0)


def largest_mass(point: Mapping[str, Any], rho_critical: float) -> Array:
    """Mass [Msun] of haloes (200m) whose radius is half of `SEPARATIONS`, shape (N, X).

    Args:
        point: ``Om_c``, ``Om_b``, ``h`` by name, each (N,).
        rho_critical: Critical density for h = 1 [Msun / Mpc^3].
    """
    Om_c, Om_b, h = (np.asarray(point[name], np.float64) for name in ("Om_c", "Om_b", "h"))
    rho_m = rho_critical * (Om_c + Om_b) * h**2
    volume = 4 / 3 * np.pi * (SEPARATIONS / 2) ** 3
    result: Array = _OVERDENSITY * rho_m[:, None] * volume
    return result


@cache
def _to_xi(refine: float) -> Array:
    """Matrix from P at the nodes to xi at the separations ``_R``, shape (K, R)."""
    from export.statistics.evaluate import modes

    rows = modes(refine).rows(spherical(0), _R[:, None], np.ones((len(_R), 1)))
    return rows.matrix().T.copy()


@cache
def _to_P(refine: float) -> Array:
    """Matrix from xi at the separations ``_R`` to P at the nodes, shape (R, K)."""
    from export.statistics.evaluate import nodes

    k = nodes(refine)
    rows = Modes(_R).rows(spherical(0), k[:, None], np.ones((len(k), 1)))
    return 8 * np.pi**3 * rows.matrix().T


@cache
def _at_separations(refine: float) -> Array:
    """Matrix from P at the nodes to xi at `SEPARATIONS`, shape (X, K)."""
    from export.statistics.evaluate import modes

    count = len(SEPARATIONS)
    return modes(refine).rows(spherical(0), SEPARATIONS[:, None], np.ones((count, 1))).matrix()


def added(
    bias: str,
    smaller: Smaller | None,
    P_2h: Array,
    spectra: Mapping[str, Any],
    refine: float,
) -> Array:
    """Change of a 2-halo term [Mpc^3] at the nodes, shape (N, K).

    Args:
        bias: ``tinker05``, or empty for none.
        smaller: Power outside of large haloes, for halo exclusion; None without.
        P_2h: 2-halo term at the nodes [Mpc^3], shape (N, K).
        spectra: ``mm_1h`` and ``mm_2h`` at the nodes, for the bias.
        refine: See `export.statistics.evaluate.nodes`.
    """
    before = P_2h @ _to_xi(refine)
    xi = before
    if smaller:
        there = np.einsum("nxk,xk->nx", smaller.P, _at_separations(refine))
        here = P_2h @ _at_separations(refine).T
        xi = _excluded(xi, there / here, smaller.share)
    if bias:
        xi_m = np.maximum((spectra["mm_1h"] + spectra["mm_2h"]) @ _to_xi(refine), -0.5)
        zeta = (1 + 1.17 * xi_m) ** 1.49 / (1 + 0.69 * xi_m) ** 2.09
        xi = np.where(xi > -1, xi, -1.0)
        xi = xi * np.where(xi > 0, zeta, 1.0)
    result: Array = (xi - before) @ _to_P(refine)
    return result


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
