"""The occupation of Zheng et al. 2005."""

from collections.abc import Mapping
from typing import Any

from datagen.occupations.base import Moments, independent
from datagen.occupations.functions import Functions
from datagen.occupations.zheng07 import Zheng07

__all__ = ["Zheng05"]


class Zheng05(Zheng07):
    """Centrals above a threshold; satellites independent of centrals, a power law of M - M0.

    ``<N_c> = [1 + erf((log10 M - log10Mmin) / sigma_logM)] / 2`` and
    ``<N_s> = [(M - M0) / M1]^alpha``, none below M0; ``<N_c N_s> = <N_c> <N_s>``.
    """

    name = "zheng05"
    source = "Zheng et al. 2005, ApJ 633, 791, section 3"
    parameters = Zheng07.parameters

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        return independent(self.centrals(M, p, f), *self.satellites(M, p, f))
