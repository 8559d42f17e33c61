"""The occupation of Zheng et al. 2007."""

from collections.abc import Mapping, Sequence
from typing import Any

from datagen.occupations.base import Moments, Occupation, around, beyond, parameter, with_central
from datagen.occupations.functions import LN_10, Functions

__all__ = ["LOG10_MMIN", "LOG10_M1", "SIGMA_LOGM", "Zheng07"]

LOG10_MMIN = parameter(
    "log10Mmin", (11.0, 15.0), r"\log_{10} M_\mathrm{min}",
    "log10 of the halo mass [Msun] that hosts a central galaxy with probability 1/2.",
    "log10 Msun", valid=(8.0, 16.0),
)  # fmt: skip
SIGMA_LOGM = parameter(
    "sigma_logM", (0.05, 1.5), r"\sigma_{\log M}",
    "Width of the threshold in log10 M, sqrt(2) times a standard deviation.", valid=(0.01, 3.0),
)  # fmt: skip
LOG10_M1 = parameter(
    "log10M1", (11.0, 15.5), r"\log_{10} M_1",
    "log10 of the halo mass [Msun] of one satellite, beyond M0.",
    "log10 Msun", valid=(8.0, 18.0),
)  # fmt: skip


class Zheng07(Occupation):
    """A threshold for centrals; satellites only beside a central, a power law of M - M0.

    ``<N_c> = [1 + erf((log10 M - log10Mmin) / sigma_logM)] / 2`` and
    ``<N_s> = <N_c> [(M - M0) / M1]^alpha``, none below M0.
    """

    name = "zheng07"
    source = "Zheng, Coil & Zehavi 2007, ApJ 667, 760, eqs. 1 to 3"
    parameters = (
        LOG10_MMIN,
        SIGMA_LOGM,
        parameter("log10M0", (10.0, 15.0), r"\log_{10} M_0",
                  "log10 of the halo mass [Msun] below which there are no satellites.",
                  "log10 Msun", valid=(0.0, 16.0)),
        LOG10_M1,
        parameter("alpha", (0.5, 2.5), r"\alpha",
                  "Power-law slope of the satellite number.", valid=(0.0, 4.0)),
    )  # fmt: skip
    width = 0.05 * LN_10 / 2**0.5

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        ln_M = f.log(M)
        N_c = 0.5 + 0.5 * f.erf((ln_M / LN_10 - p["log10Mmin"]) / p["sigma_logM"])
        M0, M1 = f.exp(LN_10 * p["log10M0"]), f.exp(LN_10 * p["log10M1"])
        return with_central(N_c, f.power((M - M0) / M1, p["alpha"]))

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        threshold = around(10 ** p["log10Mmin"], p["sigma_logM"] * LN_10 / 2**0.5)
        return *threshold, *beyond(10 ** p["log10M0"])

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any]:
        """See `Occupation.threshold`."""
        return 10.0 ** p["log10Mmin"], p["sigma_logM"] * (LN_10 / 2**0.5)
