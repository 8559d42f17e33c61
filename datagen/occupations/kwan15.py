"""The occupations of Kwan et al. 2015 and of AbacusHOD."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from datagen.occupations.base import (
    Moments,
    Occupation,
    around,
    beyond,
    independent,
    parameter,
    with_central,
)
from datagen.occupations.functions import LN_10, Functions
from datagen.occupations.shapes import ALPHA, KAPPA, LOG10_M1, power_law, rise, ten_to

__all__ = ["Abacus", "Kwan15"]

_SIGMA = (0.05, 1.5)


class Kwan15(Occupation):
    """Centrals above a threshold; satellites need a central, a power law of M - kappa Mcut.

    ``<N_c> = [1 + erf((log10 M - log10Mcut) / (sqrt(2) sigma))] / 2`` and
    ``<N_s> = <N_c> [(M - kappa Mcut) / M1]^alpha``, none below kappa Mcut.

    Logarithms are base 10, as in the code of AbacusHOD; its documentation and the paper have
    natural logarithms, with sigma larger by a factor ln 10.
    """

    name = "kwan15"
    source = "Kwan et al. 2015, ApJ 810, 35; White et al. 2011, ApJ 728, 126"
    parameters = (
        parameter("log10Mcut", (12.0, 14.5), r"\log_{10} M_\mathrm{cut}",
                  "log10 of the halo mass [Msun] that hosts a central galaxy with probability "
                  "1/2.", "log10 Msun", valid=(8.0, 16.0)),
        parameter("sigma", _SIGMA, r"\sigma",
                  "Width of the threshold, a standard deviation in log10 M.", valid=(1e-3, 3.0)),
        LOG10_M1,
        replace(ALPHA, range=(0.3, 2.0)),
        replace(KAPPA, range=(0.0, 3.0)),
    )  # fmt: skip
    width = _SIGMA[0] * LN_10

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        return with_central(*self.means(M, p, f))

    def means(self, M: Any, p: Mapping[str, Any], f: Functions) -> tuple[Any, Any, Any]:
        """<N_c>, and mean satellites of haloes with a central and its square.

        Arguments as in `Occupation.moments`.
        """
        x = (f.log(M) / LN_10 - p["log10Mcut"]) / (2**0.5 * p["sigma"])
        M0 = p["kappa"] * ten_to(p["log10Mcut"], f)
        return rise(x, f), *power_law(M, M0, p["log10M1"], p["alpha"], f)

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        Mcut, width = self.threshold(p)
        return *around(Mcut, width), *beyond(p["kappa"] * Mcut)

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any]:
        """See `Occupation.threshold`."""
        return 10.0 ** p["log10Mcut"], p["sigma"] * LN_10


class Abacus(Kwan15):
    """Mean numbers of kwan15, with satellites independent of centrals.

    ``<N_c N_s> = <N_c> <N_s>`` and ``<N_s (N_s - 1)> = <N_s>^2``.
    """

    name = "abacus"
    source = "Yuan et al. 2022, MNRAS 510, 3301, and abacusnbody.hod.GRAND_HOD"
    parameters = Kwan15.parameters

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        N_c, lam, lam_2 = self.means(M, p, f)
        return independent(N_c, N_c * lam, N_c * N_c * lam_2)
