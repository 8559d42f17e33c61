"""Occupations of emission-line galaxies and quasars: high-mass quenched and Gaussian."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from datagen.occupations.base import Moments, Occupation, around, beyond, independent, parameter
from datagen.occupations.functions import LN_10, NUMPY, Functions
from datagen.occupations.shapes import (
    ALPHA,
    LOG10_M0,
    LOG10_M1,
    negative,
    positive,
    power_law,
    rise,
    ten_to,
)

__all__ = ["HMQ", "Gaussian"]

_NEWTON_STEPS = 6
_STEEPEST, _DEGREE = 10.0, 10  # largest |gamma| and degree of the polynomial in `_highest`
_SIGMA_C, _GAMMA = (0.1, 1.0), (-5.0, 8.0)

_MC = parameter(
    "log10Mc", (11.0, 13.5), r"\log_{10} M_\mathrm{c}",
    "log10 of the halo mass [Msun] that centrals are around.", "log10 Msun", valid=(8.0, 16.0),
)  # fmt: skip
_SIGMA = parameter(
    "sigma", _SIGMA_C, r"\sigma",
    "Width of the peak of centrals, a standard deviation in log10 M.", valid=(0.01, 3.0),
)  # fmt: skip
_SATELLITES = (
    replace(LOG10_M0, range=(10.0, 13.5)),
    replace(LOG10_M1, range=(11.0, 15.5)),
    replace(ALPHA, range=(0.2, 2.0)),
)


class _Peak(Occupation):
    """Centrals in haloes of masses around Mc; satellites are independent of centrals."""

    def satellites(self, M: Any, p: Mapping[str, Any], f: Functions) -> tuple[Any, Any]:
        """<N_s> and its square; arguments as in `Occupation.moments`."""
        return power_law(M, ten_to(p["log10M0"], f), p["log10M1"], p["alpha"], f)

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        peak = around(10 ** p["log10Mc"], p["sigma"] * LN_10)
        return *peak, *beyond(10 ** p["log10M0"])


class HMQ(_Peak):
    """High-mass quenched: centrals of the sample in haloes around Mc, few in massive haloes.

    With ``x = (log10 M - log10Mc) / sigma``, the normal distribution phi and its integral Phi,
    ``<N_c> = 2 A phi(x) Phi(gamma x)``, plus 1 / Q above Mc (other codes have an error function
    there, 0.01 wide in log10 M). As in the paper, ``A = (p_max - 1 / Q) / max_x[2 phi(x)
    Phi(gamma x)]``, so that the peak is about p_max; AbacusHOD divides by a number given by the
    user, HODDIES by sigma. Satellites are Poisson, ``<N_s> = [(M - M0) / M1]^alpha`` above M0, and
    independent of centrals: ``<N_c N_s> = <N_c> <N_s>``. For papers with an amplitude A_s of
    satellites, multiply their M1 by ``A_s^(-1/alpha)``.
    """

    name = "hmq"
    source = "Alam et al. 2020, MNRAS 497, 581"
    parameters = (
        _MC,
        _SIGMA,
        parameter("gamma", _GAMMA, r"\gamma",
                  "Skewness of the peak of centrals; above 0 towards massive haloes.",
                  valid=(-10.0, 10.0)),
        parameter("Q", (20.0, 200.0), "Q",
                  "Quenching: a massive halo has a central of the sample with probability 1/Q.",
                  valid=(1.0, 1e4)),
        parameter("p_max", (0.05, 1.0), r"p_\mathrm{max}",
                  "Probability of a central of the sample at the peak.", valid=(0.0, 1.0)),
        *_SATELLITES,
    )  # fmt: skip
    width = _SIGMA_C[0] * LN_10 / (1 + _GAMMA[1] ** 2) ** 0.5  # without the step

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        peak = _skewed(_from_peak(M, p, f), p["gamma"], f)
        A = positive(p["p_max"] - 1.0 / p["Q"], f) / _highest(p["gamma"], f)
        N_c = A * peak + f.step(M, ten_to(p["log10Mc"], f)) / p["Q"]
        return independent(N_c, *self.satellites(M, p, f))

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """See `Occupation.cuts`."""
        narrow = p["sigma"] * LN_10 / (1 + abs(p["gamma"]))
        return *super().cuts(p), *around(10 ** p["log10Mc"], narrow)


def _from_peak(M: Any, p: Mapping[str, Any], f: Functions) -> Any:
    """Log10 of M / Mc over sigma."""
    return (f.log(M) - LN_10 * p["log10Mc"]) / (LN_10 * p["sigma"])


def _skewed(x: Any, gamma: Any, f: Functions) -> Any:
    """2 Phi(gamma x) exp(-x^2 / 2), a skewed normal distribution times sqrt(2 pi)."""
    return (1.0 + f.erf((gamma / 2**0.5) * x)) * f.exp(x * x * -0.5)


def _highest(gamma: Any, f: Functions) -> Any:
    """The largest value of `_skewed`, to 1e-5: a polynomial in ``|gamma| / (1 + |gamma|)``."""
    gamma = positive(gamma, f) - negative(gamma, f)
    u, (constant, *others) = gamma / (1.0 + gamma), _polynomial()
    powers = np.arange(1.0, _DEGREE + 1)
    return constant + f.weighted_sum(lambda i: f.power(u, i), powers, np.array(others))


@cache
def _polynomial() -> tuple[float, ...]:
    """Coefficients for `_highest`, lowest power first.

    The maximum is at ``gamma m(gamma x) = x`` with ``m = phi / Phi``. Since m is decreasing and
    convex, Newton's steps from x = 0 do not overshoot.
    """
    gamma, f = np.linspace(0.0, _STEEPEST, 2001), NUMPY
    x = 0.0 * gamma
    for _ in range(_NEWTON_STEPS):
        z = gamma * x
        m = f.exp(-z * z / 2.0) / ((2 * math.pi) ** 0.5 * rise(z / 2**0.5, f))
        x = x + (gamma * m - x) / (1.0 + gamma * gamma * m * (z + m))
    u, ends = gamma / (1.0 + gamma), [0.0, _STEEPEST / (1 + _STEEPEST)]
    fitted = np.polynomial.Chebyshev.fit(u, _skewed(x, gamma, f), _DEGREE, domain=ends)
    powers = fitted.convert(kind=np.polynomial.Polynomial).coef
    return tuple(map(float, powers))


class Gaussian(_Peak):
    """Centrals in haloes around Mc, with a normal distribution in log10 M.

    ``<N_c> = A exp[-(log10 M - log10Mc)^2 / (2 sigma^2)]``; A is the value at the peak, which is
    ``A / (sqrt(2 pi) sigma)`` in HODDIES. Satellites are Poisson,
    ``<N_s> = [(M - M0) / M1]^alpha`` above M0, and independent of centrals:
    ``<N_c N_s> = <N_c> <N_s>``.
    """

    name = "gaussian"
    source = "Gonzalez-Perez et al. 2018, MNRAS 474, 4024; Rocher et al. 2023, JCAP 10, 016"
    parameters = (
        parameter(
            "A", (0.01, 1.0), "A", "Mean number of centrals in a halo of mass Mc.", valid=(0.0, 1.0)
        ),
        _MC,
        _SIGMA,
        *_SATELLITES,
    )
    width = _SIGMA_C[0] * LN_10

    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """See `Occupation.moments`."""
        x = _from_peak(M, p, f)
        return independent(p["A"] * f.exp(x * x * -0.5), *self.satellites(M, p, f))
