"""Occupations from conditional stellar mass functions: Cacciato 2013 and van Uitert 2016."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datagen.occupations.base import Moments, Occupation, around, independent, parameter
from datagen.occupations.functions import LN_10, NUMPY, Functions
from datagen.occupations.shapes import positive, smaller, softplus, ten_to

__all__ = ["Cacciato13", "VanUitert16"]

_SATELLITES = 0.56  # characteristic stellar mass of satellites over that of the central
_TAIL = 13.0  # the integral is cut where exp(-u^2) has fallen by e^-13
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(13)
_ENDS = ("low", "high")
_FAR = (-80.0, 6.4)  # limits of ln u^2; there are no satellites beyond
_SIGMA_C = (0.1, 0.8)
_STEEPEST = 8.0

_LOW = parameter(
    "log10M_star_low", (8.5, 10.7), r"\log_{10} m_\mathrm{low}",
    "log10 of the stellar mass [Msun] where the bin begins.", "log10 Msun", valid=(6.0, 13.0),
)  # fmt: skip
_HIGH = parameter(
    "log10M_star_high", (10.9, 12.0), r"\log_{10} m_\mathrm{high}",
    "log10 of the stellar mass [Msun] where the bin ends.", "log10 Msun", valid=(6.0, 15.0),
)  # fmt: skip
_M_STAR0 = parameter(
    "log10M_star0", (9.5, 11.5), r"\log_{10} m_0",
    "log10 of the stellar mass [Msun] that the relation to halo mass is scaled by.",
    "log10 Msun", valid=(8.0, 13.0),
)  # fmt: skip
_M1 = parameter(
    "log10M1_star", (10.7, 13.5), r"\log_{10} M_1",
    "log10 of the halo mass [Msun] where the relation bends.", "log10 Msun", valid=(9.0, 15.0),
)  # fmt: skip
_SIGMA = parameter(
    "sigma_c", _SIGMA_C, r"\sigma_\mathrm{c}",
    "Scatter of log10 of the stellar mass of centrals, a standard deviation.", valid=(0.01, 1.5),
)  # fmt: skip
_ALPHA = parameter(
    "alpha_s", (-1.8, -0.3), r"\alpha_\mathrm{s}",
    "Slope of the satellites' stellar mass function where masses are low.", valid=(-2.5, 2.0),
)  # fmt: skip
_B0 = parameter(
    "b0", (-2.0, 1.5), "b_0",
    "log10 of the normalisation of satellites at a halo mass of 10^13 Msun.", valid=(-5.0, 5.0),
)  # fmt: skip
_B1 = parameter(
    "b1", (0.1, 2.5), "b_1",
    "Slope of log10 of the normalisation of satellites in log10 of the halo mass.",
    valid=(-1.0, 5.0),
)  # fmt: skip


class _StellarMassBin(Occupation):
    """Galaxies in a bin of stellar mass; satellites are Poisson and independent of centrals."""

    @abstractmethod
    def ln_stellar_mass(self, ln_M: Any, p: Mapping[str, Any], f: Functions) -> Any:
        """Logarithm of the mean stellar mass [Msun] of the centrals of haloes of ln M [Msun]."""

    @abstractmethod
    def ln_satellites(self, ln_M13: Any, p: Mapping[str, Any]) -> Any:
        """Logarithm of the normalisation of satellites, for that of M / (10^13 Msun)."""

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        ln_M = f.log(M)
        ln_m = self.ln_stellar_mass(ln_M, p, f)
        ends = [LN_10 * p[f"log10M_star_{end}"] for end in _ENDS]
        scatter = 2**0.5 * LN_10 * p["sigma_c"]
        x = ln_m / scatter
        below, above = (f.erf(end / scatter - x) for end in ends)
        N_c = positive(above - below, f) * 0.5
        ln_m2, ln_share2 = 2.0 * ln_m, 2 * math.log(_SATELLITES)
        low, high = (f.clip((2.0 * end - ln_share2) - ln_m2, *_FAR) for end in ends)
        ln_phi = self.ln_satellites(ln_M - 13.0 * LN_10, p)
        return independent(N_c, f.exp(ln_phi) * _schechter(low, high, p["alpha_s"], f))

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        ln_M = np.linspace(LN_10 * 7.0, LN_10 * 18.0, 400)
        ln_m = self.ln_stellar_mass(ln_M, p, NUMPY)
        m_ends = [LN_10 * p[f"log10M_star_{end}"] for end in _ENDS]
        ends = np.interp(m_ends, ln_m, ln_M)
        slopes = np.interp(ends, ln_M, np.gradient(ln_m, ln_M))
        widths = p["sigma_c"] * LN_10 / np.maximum(slopes, 0.05)
        return [
            x
            for end, w in zip(ends, widths, strict=True)
            for x in around(float(np.exp(end)), float(w))
        ]


def _schechter(low: Any, high: Any, alpha: Any, f: Functions) -> Any:
    """Integral of u^alpha exp(-u^2) over u, by Gauss-Legendre quadrature in ln u^2.

    Accurate to 2e-6 over two decades of u, to 3e-5 over three, and to 5e-5 over any range;
    measured for alpha from -1.8 to -0.3.

    Args:
        low: ln u^2 at the lower end.
        high: ln u^2 at the upper end.
        alpha: Slope.
        f: Functions for arrays of this type.
    """
    high = smaller(high, f.log(f.exp(low) + _TAIL), f)
    half, power = positive(high - low, f) * 0.5, (alpha + 1.0) * 0.5

    def integrand(x: Any) -> Any:
        ln_u2 = low + half * x
        return f.exp(power * ln_u2 - f.exp(ln_u2))

    return half * f.weighted_sum(integrand, 1 + _NODES, 0.5 * _WEIGHTS)


class Cacciato13(_StellarMassBin):
    """Galaxies in a bin of stellar mass, from a conditional stellar mass function.

    Stellar masses of centrals of haloes of mass M are lognormal around
    ``m_c = m0 (M / M1)^g1 / (1 + M / M1)^(g1 - g2)``, with a scatter sigma_c in log10 m, so
    ``<N_c> = [erf(x_high) - erf(x_low)] / 2`` with ``x = log10(m / m_c) / (sqrt(2) sigma_c)`` at
    the ends of the bin. Those of satellites have
    ``phi / m_s (m / m_s)^alpha_s exp[-(m / m_s)^2]``, integrated over the bin, with
    ``m_s = 0.56 m_c`` and ``log10 phi = b0 + b1 X + b2 X^2``, ``X = log10 M / (10^13 Msun)``.
    Satellites are Poisson and independent of centrals in the bin: ``<N_c N_s> = <N_c> <N_s>``.

    The paper has luminosities, and halo masses in Msun/h; here all masses, including the pivot of
    10^13, are in Msun.
    """

    name = "cacciato13"
    source = "Cacciato et al. 2013, MNRAS 430, 767; Dvornik et al. 2023, A&A 675, A189"
    parameters = (
        _LOW,
        _HIGH,
        _M_STAR0,
        _M1,
        parameter("g1", (1.0, _STEEPEST), r"\gamma_1",
                  "Slope of the central's stellar mass where halo masses are low.",
                  valid=(0.1, 20.0)),
        parameter("g2", (0.05, 0.6), r"\gamma_2",
                  "Slope of the central's stellar mass where halo masses are high.",
                  valid=(0.0, 2.0)),
        _SIGMA,
        _ALPHA,
        _B0,
        _B1,
        parameter("b2", (-0.3, 0.1), "b_2",
                  "Quadratic coefficient of log10 of the normalisation of satellites in log10 of "
                  "the halo mass.", valid=(-2.0, 2.0), default=0.0),
    )  # fmt: skip
    width = _SIGMA_C[0] * LN_10 / _STEEPEST

    def ln_stellar_mass(self, ln_M: Any, p: Mapping[str, Any], f: Functions) -> Any:
        """Logarithm of the mean stellar mass [Msun] of the centrals of haloes of ln M [Msun]."""
        x = LN_10 * p["log10M1_star"] - ln_M
        bend = f.log(1.0 + f.exp(x))  # x is not far from 0
        return LN_10 * p["log10M_star0"] - p["g2"] * x - (p["g1"] - p["g2"]) * bend

    def ln_satellites(self, ln_M13: Any, p: Mapping[str, Any]) -> Any:
        """Logarithm of the normalisation of satellites, for that of M / (10^13 Msun)."""
        return LN_10 * p["b0"] + (p["b1"] + (p["b2"] / LN_10) * ln_M13) * ln_M13


class VanUitert16(_StellarMassBin):
    """`Cacciato13` with a different relation between stellar mass of centrals and halo mass.

    ``m_c = m0 (M / M1)^beta1 / [1 + (M / M1)^(beta1 - beta2)]`` and
    ``log10 phi = b0 + b1 log10 M / (10^13 Msun)``. The paper has halo masses in Msun/h and stellar
    masses in Msun/h^2; here all masses, including the pivot of 10^13, are in Msun. For codes with
    the denominator ``[1 + M / M1]^(beta1 - beta2)``, such as KiDS-GGL, use `Cacciato13` with
    ``b2 = 0``.
    """

    name = "vanuitert16"
    source = "van Uitert et al. 2016, MNRAS 459, 3251, eqs. 11 to 18"
    parameters = (
        _LOW,
        _HIGH,
        _M_STAR0,
        _M1,
        parameter("beta1", (1.0, _STEEPEST), r"\beta_1",
                  "Slope of the central's stellar mass where halo masses are low.",
                  valid=(0.1, 20.0)),
        parameter("log10beta2", (-2.0, -0.2), r"\log_{10} \beta_2",
                  "log10 of the slope of the central's stellar mass where halo masses are high.",
                  valid=(-4.0, 1.0)),
        _SIGMA,
        _ALPHA,
        _B0,
        _B1,
    )  # fmt: skip
    width = _SIGMA_C[0] * LN_10 / _STEEPEST

    def ln_stellar_mass(self, ln_M: Any, p: Mapping[str, Any], f: Functions) -> Any:
        """Logarithm of the mean stellar mass [Msun] of the centrals of haloes of ln M [Msun]."""
        x = ln_M - LN_10 * p["log10M1_star"]
        beta2 = ten_to(p["log10beta2"], f)
        bend = softplus((beta2 - p["beta1"]) * x, f)
        return LN_10 * p["log10M_star0"] + beta2 * x - bend

    def ln_satellites(self, ln_M13: Any, p: Mapping[str, Any]) -> Any:
        """Logarithm of the normalisation of satellites, for that of M / (10^13 Msun)."""
        return LN_10 * p["b0"] + p["b1"] * ln_M13
