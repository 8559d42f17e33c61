"""The occupation of Linke et al. 2022."""

from collections.abc import Mapping, Sequence
from typing import Any

from datagen.occupations.base import Moments, Occupation, around, independent, parameter
from datagen.occupations.functions import Functions

__all__ = ["Linke22"]

_FEW_CENTRALS = 1e-4  # keeps the logarithm finite; smaller fractions hardly matter


class Linke22(Occupation):
    """Centrals and satellites above a threshold; satellites are independent of centrals.

    ``<N_c> = alpha e``, ``<N_s> = e (M / Mprime)^beta``, with
    ``e = [1 + erf(ln(M / Mth) / (sqrt(2) sigma))] / 2`` and the natural logarithm.
    """

    name = "linke22"
    source = "Linke et al. 2022, A&A 665, A38"
    parameters = (
        parameter("alpha", (0.0, 1.0), r"\alpha",
                  "Fraction of haloes above threshold that host a central galaxy."),
        parameter("sigma", (0.01, 1.0), r"\sigma",
                  "Width of the threshold in ln M (natural logarithm).", valid=(1e-3, 5.0)),
        parameter("Mth", (1e10, 1e15), r"M_\mathrm{th}",
                  "Threshold halo mass of hosting galaxies [Msun].",
                  "Msun", valid=(1e8, 1e16), sampling="log10"),
        parameter("Mprime", (1e10, 1e17), r"M\mathrm{′}",
                  "Halo mass with one satellite on average [Msun].",
                  "Msun", valid=(1e8, 1e19), sampling="log10"),
        parameter("beta", (0.1, 2.0), r"\beta",
                  "Power-law slope of the satellite number.", valid=(0.0, 4.0)),
    )  # fmt: skip
    width = 0.01

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        e = 0.5 + 0.5 * f.erf(f.log(M / p["Mth"]) / (2**0.5 * p["sigma"]))
        return independent(p["alpha"] * e, e * f.exp(p["beta"] * f.log(M / p["Mprime"])))

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        return around(p["Mth"], p["sigma"])

    def features(self, p: Mapping[str, Any], f: Functions) -> Sequence[Any]:
        """Return ln alpha and ln (Mth / Mprime)^beta.

        They are proportional to ln of the numbers of centrals and satellites at the threshold.
        """
        return f.log(p["alpha"] + _FEW_CENTRALS), p["beta"] * f.log(p["Mth"] / p["Mprime"])

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any]:
        """See `Occupation.threshold`."""
        return p["Mth"], p["sigma"]
