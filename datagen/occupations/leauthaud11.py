"""The occupation of Leauthaud et al. 2011."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from datagen.occupations.base import Moments, Occupation, around, parameter, with_central
from datagen.occupations.functions import LN_10, Functions
from datagen.occupations.shapes import ALPHA, negative, positive, rise, smaller

__all__ = ["Leauthaud11"]

_BISECTIONS, _NEWTON_STEPS = 2, 3  # to 2e-4 in log10 m at worst, 2e-6 at 99.9 % of points
_STEEP = 1e8  # slope of a clipped line that replaces sign(x)
_SMALL = 75.0  # e^-75 is negligible, and e^75 is within single precision
_NO_HALO = 30.0  # log10 Msun
_PIVOT = 12.0  # log10 Msun
_BETA, _SIGMA = (0.2, 0.9), (0.1, 0.5)


class Leauthaud11(Occupation):
    """Galaxies above a stellar mass, from a stellar-to-halo-mass relation.

    The central of a halo of mass M has the stellar mass m(M) on average, with a normal scatter in
    log10 m. The relation of Behroozi, Conroy & Wechsler 2010 is the inverse of

    ``log10 M(m) = log10M1_star + beta x + t^delta / (1 + t^-gamma) - 1/2``

    with ``t = m / m0``, ``x = log10 t``. For a sample above m_t,
    ``<N_c> = erfc[(log10 m_t - log10 m(M)) / (sqrt(2) sigma_logm)] / 2`` and
    ``<N_s> = <N_c> (M / Msat)^alpha exp(-Mcut / M)``, only in haloes with a central, where
    ``Msat = B_sat 10^12 (M(m_t) / 10^12)^beta_sat`` and
    ``Mcut = B_cut 10^12 (M(m_t) / 10^12)^beta_cut``.

    All masses are in Msun. Papers quote masses for the h that they assume, mostly 0.72: multiply
    their halo masses by 0.72 / h and their stellar masses by (0.72 / h)^2, while the pivot of
    10^12 Msun is fixed. `datagen.occupations.translate.from_h` does this.
    """

    name = "leauthaud11"
    source = "Leauthaud et al. 2011, ApJ 738, 45, eqs. 8 and 12 to 14"
    parameters = (
        parameter("log10M_star_t", (8.5, 11.0), r"\log_{10} m_\mathrm{t}",
                  "log10 of the stellar mass [Msun] above which galaxies are in the sample.",
                  "log10 Msun", valid=(6.0, 12.5)),
        parameter("log10M1_star", (11.5, 13.5), r"\log_{10} M_1",
                  "log10 of the halo mass [Msun] whose central has the stellar mass m0.",
                  "log10 Msun", valid=(10.0, 15.0)),
        parameter("log10M_star0", (10.3, 11.5), r"\log_{10} m_0",
                  "log10 of the stellar mass m0 [Msun] where the relation bends.",
                  "log10 Msun", valid=(8.0, 13.0)),
        parameter("beta", _BETA, r"\beta",
                  "Slope of log10 of the halo mass with log10 of the stellar mass, below m0.",
                  valid=(0.05, 3.0)),
        parameter("delta", (0.2, 0.9), r"\delta",
                  "Power of the stellar mass in log10 of the halo mass, above m0.",
                  valid=(0.05, 2.0)),
        parameter("gamma", (0.5, 4.0), r"\gamma",
                  "Sharpness of the bend of the relation at m0.", valid=(0.1, 6.0)),
        parameter("sigma_logm", _SIGMA, r"\sigma_{\log m}",
                  "Scatter of log10 of the stellar mass, a standard deviation.",
                  valid=(0.01, 1.0)),
        parameter("B_sat", (1.0, 25.0), r"B_\mathrm{sat}",
                  "Halo mass of one satellite for a threshold at 10^12 Msun, over that mass.",
                  valid=(0.01, 100.0)),
        parameter("beta_sat", (0.3, 1.5), r"\beta_\mathrm{sat}",
                  "Power of the halo mass of the threshold in the halo mass of one satellite.",
                  valid=(-1.0, 3.0)),
        parameter("B_cut", (0.01, 6.0), r"B_\mathrm{cut}",
                  "Halo mass below which satellites die out for a threshold at 10^12 Msun, over "
                  "that mass.", valid=(0.0, 100.0)),
        parameter("beta_cut", (-0.5, 1.5), r"\beta_\mathrm{cut}",
                  "Power of the halo mass of the threshold in the halo mass below which satellites "
                  "die out.",
                  valid=(-2.0, 3.0)),
        replace(ALPHA, range=(0.5, 1.5)),
    )  # fmt: skip
    width = _SIGMA[0] * _BETA[0] * LN_10

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        ln_M, x_t = f.log(M), p["log10M_star_t"] - p["log10M_star0"]
        x = _stellar_mass(ln_M / LN_10 - (p["log10M1_star"] - 0.5), p, f)
        N_c = rise((x - x_t) / (2**0.5 * p["sigma_logm"]), f)
        above_pivot = p["log10M1_star"] - 0.5 + _halo_mass(x_t, p, f)[0] - _PIVOT
        ln_Msat = f.log(p["B_sat"]) + LN_10 * (_PIVOT + p["beta_sat"] * above_pivot)
        ln_cut = LN_10 * (_PIVOT + p["beta_cut"] * above_pivot) - ln_M
        cut = p["B_cut"] * f.exp(f.clip(ln_cut, -_SMALL, _SMALL))
        exponent = p["alpha"] * (ln_M - ln_Msat) - cut
        return with_central(N_c, f.exp(f.clip(exponent, -_SMALL, _SMALL)))

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        log10_M, width = _threshold(p)
        return around(10**log10_M, width) if log10_M < _NO_HALO else ()

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any]:
        """See `Occupation.threshold`."""
        log10_M, width = _threshold(p)
        return 10.0**log10_M, width


def _threshold(p: Mapping[str, Any]) -> tuple[Any, Any]:
    """log10 of the halo mass [Msun] of the threshold, and its width in ln M."""
    t = 10.0 ** (p["log10M_star_t"] - p["log10M_star0"])
    share = 1 / (1 + t ** -p["gamma"])
    rest = t ** p["delta"] * share
    slope = p["beta"] + LN_10 * rest * (p["delta"] + p["gamma"] * (1 - share))
    linear = p["beta"] * (p["log10M_star_t"] - p["log10M_star0"])
    return p["log10M1_star"] + linear + rest - 0.5, p["sigma_logm"] * LN_10 * slope


def _halo_mass(x: Any, p: Mapping[str, Any], f: Functions) -> tuple[Any, Any]:
    """log10 M(m) / M1 + 1/2 for x = log10 m / m0, and its derivative."""
    gamma, delta = LN_10 * p["gamma"], LN_10 * p["delta"]
    share = f.sigmoid(gamma * x)
    rest = share * f.exp(f.clip(delta * x, -_SMALL, _SMALL))  # Newton's steps may go too far
    slope = p["beta"] + rest * ((delta + gamma) - gamma * share)
    return p["beta"] * x + rest, slope


def _stellar_mass(log10_M: Any, p: Mapping[str, Any], f: Functions) -> Any:
    """The inverse of `_halo_mass`: bisections, since its slope may be steep, then Newton's steps.

    `_halo_mass` is 1/2 at x = 0 and increasing; with its asymptotes, this brackets the solution.
    """
    below, above = negative(log10_M - 0.5, f), positive(log10_M - 0.5, f)
    low = below / p["beta"]
    high = negative(low + 0.5 / p["beta"], f) + smaller(
        above / p["beta"], f.log(1.0 + 2.0 * above) / (LN_10 * p["delta"]), f
    )
    x, width = (low + high) / 2, high - low
    for i in range(_BISECTIONS):
        share = 0.25 / 2**i
        x = x + width * f.clip(_STEEP * (log10_M - _halo_mass(x, p, f)[0]), -share, share)
    for _ in range(_NEWTON_STEPS):
        value, slope = _halo_mass(x, p, f)
        x = x + (log10_M - value) / slope
    return x
