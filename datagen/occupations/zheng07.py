"""The occupation of Zheng et al. 2007."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from datagen.occupations.base import Moments, Occupation, around, beyond, with_central
from datagen.occupations.functions import LN_10, Functions
from datagen.occupations.shapes import (
    ALPHA,
    LOG10_M0,
    LOG10_M1,
    LOG10_MMIN,
    SIGMA_LOGM,
    power_law,
    rise,
    ten_to,
)
from datagen.parameters import Parameter

__all__ = ["Threshold", "Zheng07"]


class Threshold(Occupation):
    """Base class of occupations with centrals above a smooth threshold.

    ``<N_c> = [1 + erf((log10 M - log10Mmin) / sigma_logM)] / 2``.
    """

    width = SIGMA_LOGM.range[0] * LN_10 / 2**0.5

    def centrals(self, M: Any, p: Mapping[str, Any], f: Functions) -> Any:
        """<N_c>; arguments as in `Occupation.moments`."""
        return rise((f.log(M) / LN_10 - p["log10Mmin"]) / p["sigma_logM"], f)

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        return around(*self.threshold(p))

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any]:
        """See `Occupation.threshold`."""
        return 10.0 ** p["log10Mmin"], p["sigma_logM"] * (LN_10 / 2**0.5)


class Zheng07(Threshold):
    """Centrals above a threshold; satellites need a central, a power law of M - M0.

    ``<N_c> = [1 + erf((log10 M - log10Mmin) / sigma_logM)] / 2`` and
    ``<N_s> = <N_c> [(M - M0) / M1]^alpha``, none below M0.
    """

    name = "zheng07"
    source = "Zheng, Coil & Zehavi 2007, ApJ 667, 760, eqs. 1 to 3"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        LOG10_MMIN,
        SIGMA_LOGM,
        LOG10_M0,
        LOG10_M1,
        ALPHA,
    )

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        return with_central(self.centrals(M, p, f), *self.satellites(M, p, f))

    def satellites(self, M: Any, p: Mapping[str, Any], f: Functions) -> tuple[Any, Any]:
        """[(M - M0) / M1]^alpha and its square; arguments as in `Occupation.moments`."""
        return power_law(M, ten_to(p["log10M0"], f), p["log10M1"], p["alpha"], f)

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        return *super().cuts(p), *beyond(10 ** p["log10M0"])
