"""The occupation of the Core Cosmology Library."""

from collections.abc import Mapping
from typing import Any

from datagen.occupations.base import Moments, parameter
from datagen.occupations.functions import Functions
from datagen.occupations.zheng07 import Zheng07

__all__ = ["CCL"]


class CCL(Zheng07):
    """Zheng et al. 2007 with a fraction f_c of the central galaxies observed.

    ``<N_c> = f_c e``, ``e = [1 + erf((log10 M - log10Mmin) / sigma_logM)] / 2``, and
    ``<N_s> = e [(M - M0) / M1]^alpha``, none below M0. Only haloes with a central, observed or
    not, have satellites: ``<N_c N_s> = f_c <N_s>``.
    """

    name = "ccl"
    source = "pyccl.halos.HaloProfileHOD, after Nicola et al. 2020, JCAP 03, 044"
    parameters = (
        *Zheng07.parameters,
        parameter("f_c", (0.0, 1.0), r"f_\mathrm{c}",
                  "Fraction of the central galaxies that are observed.", default=1.0),
    )  # fmt: skip

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        N_c, N_s, central_satellite, pairs = super().moments(M, p, f)
        return Moments(p["f_c"] * N_c, N_s, p["f_c"] * central_satellite, pairs)
