"""The occupation of More et al. 2015."""

from collections.abc import Mapping, Sequence
from typing import Any

from datagen.occupations.base import Moments, beyond, parameter, with_central
from datagen.occupations.functions import LN_10, Functions
from datagen.occupations.shapes import (
    ALPHA,
    KAPPA,
    LOG10_M1,
    LOG10_MMIN,
    SIGMA_LOGM,
    power_law,
    ten_to,
)
from datagen.occupations.zheng07 import Threshold

__all__ = ["More15"]


class More15(Threshold):
    """Incomplete sample of centrals above a threshold; satellites need a central of the sample.

    ``<N_c> = f_inc [1 + erf((log10 M - log10Mmin) / sigma_logM)] / 2`` with
    ``f_inc = 1 + alpha_inc (log10 M - log10M_inc)``, limited to [0, 1], and
    ``<N_s> = <N_c> [(M - kappa Mmin) / M1]^alpha``, none below kappa Mmin. The sample is complete
    for ``alpha_inc = 0``.
    """

    name = "more15"
    source = "More et al. 2015, ApJ 806, 2"
    parameters = (
        LOG10_MMIN,
        SIGMA_LOGM,
        LOG10_M1,
        ALPHA,
        KAPPA,
        parameter("alpha_inc", (0.0, 5.0), r"\alpha_\mathrm{inc}",
                  "Slope in log10 M of the fraction of galaxies that are in the sample.",
                  valid=(0.0, 50.0), default=0.0),
        parameter("log10M_inc", (12.0, 16.0), r"\log_{10} M_\mathrm{inc}",
                  "log10 of the halo mass [Msun] above which the sample is complete.",
                  "log10 Msun", valid=(8.0, 18.0), default=12.0),
    )  # fmt: skip

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        f_inc = f.ramp(M, ten_to(p["log10M_inc"], f), p["alpha_inc"] / LN_10)
        M0 = p["kappa"] * ten_to(p["log10Mmin"], f)
        return with_central(
            f_inc * self.centrals(M, p, f),
            *power_law(M, M0, p["log10M1"], p["alpha"], f),
        )

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        satellites = beyond(p["kappa"] * 10 ** p["log10Mmin"])
        full = [p["log10M_inc"]]
        if p["alpha_inc"] > 0.05:  # otherwise f_inc is 0 only below the mass of any halo
            full.append(p["log10M_inc"] - 1 / p["alpha_inc"])
        return *super().cuts(p), *satellites, *(LN_10 * x for x in full)
