"""The occupation of Kravtsov et al. 2004, in the form used by surveys."""

from collections.abc import Mapping
from typing import Any

from datagen.occupations.base import Moments, with_central
from datagen.occupations.functions import LN_10, Functions
from datagen.occupations.shapes import ALPHA, LOG10_M1, LOG10_MCUT, LOG10_MMIN, SIGMA_LOGM
from datagen.occupations.zheng07 import Threshold

__all__ = ["Kravtsov04"]


class Kravtsov04(Threshold):
    """Centrals above a threshold; satellites need a central, with an exponential cut-off.

    ``<N_c> = [1 + erf((log10 M - log10Mmin) / sigma_logM)] / 2`` and
    ``<N_s> = <N_c> (M / M1)^alpha exp(-Mcut / M)``.
    """

    name = "kravtsov04"
    source = "Kravtsov et al. 2004, ApJ 609, 35; as in Zhai et al. 2017, ApJ 848, 76"
    parameters = (LOG10_MMIN, SIGMA_LOGM, LOG10_MCUT, LOG10_M1, ALPHA)

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        ln_M = f.log(M)
        exponent = p["alpha"] * (ln_M - LN_10 * p["log10M1"])
        cut = f.exp(LN_10 * p["log10Mcut"] - ln_M)
        return with_central(self.centrals(M, p, f), f.exp(exponent - cut))
