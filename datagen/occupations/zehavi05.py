"""The occupation of Zehavi et al. 2005."""

from collections.abc import Mapping, Sequence
from typing import Any

from datagen.occupations.base import Moments, Occupation, with_central
from datagen.occupations.functions import LN_10, Functions
from datagen.occupations.shapes import ALPHA, LOG10_M1, LOG10_MMIN, ten_to

__all__ = ["Zehavi05"]


class Zehavi05(Occupation):
    """One central in every halo above a mass; satellites need a central, a power law of M.

    ``<N_c> = 1`` and ``<N_s> = (M / M1)^alpha`` for ``M >= Mmin``, else 0.
    """

    name = "zehavi05"
    source = "Zehavi et al. 2005, ApJ 630, 1"
    parameters = (LOG10_MMIN, LOG10_M1, ALPHA)
    width = 1.0  # without the step, which grids correct for

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        N_c = f.step(M, ten_to(p["log10Mmin"], f))
        ln_lam = p["alpha"] * (f.log(M) - LN_10 * p["log10M1"])
        return with_central(N_c, f.exp(ln_lam))

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        return (LN_10 * p["log10Mmin"],)

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any]:
        """See `Occupation.threshold`."""
        return 10.0 ** p["log10Mmin"], 0.0
