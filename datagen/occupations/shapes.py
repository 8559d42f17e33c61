"""Common parameters and functions of occupations: thresholds, power laws, small helpers."""

from typing import Any

from datagen.occupations.base import parameter
from datagen.occupations.functions import LN_10, Functions

__all__ = [
    "ALPHA",
    "KAPPA",
    "LOG10_M0",
    "LOG10_M1",
    "LOG10_MCUT",
    "LOG10_MMIN",
    "SIGMA_LOGM",
    "negative",
    "positive",
    "power_law",
    "rise",
    "smaller",
    "softplus",
    "ten_to",
]

_HUGE = 1e30  # larger than all numbers here, within single precision

LOG10_MMIN = parameter(
    "log10Mmin", (11.0, 15.0), r"\log_{10} M_\mathrm{min}",
    "log10 of the halo mass [Msun] that hosts a central galaxy with probability 1/2.",
    "log10 Msun", valid=(8.0, 16.0),
)  # fmt: skip
SIGMA_LOGM = parameter(
    "sigma_logM", (0.05, 1.5), r"\sigma_{\log M}",
    "Width of the threshold in log10 M, sqrt(2) times a standard deviation.", valid=(0.01, 3.0),
)  # fmt: skip
LOG10_M0 = parameter(
    "log10M0", (10.0, 15.0), r"\log_{10} M_0",
    "log10 of the halo mass [Msun] below which there are no satellites.",
    "log10 Msun", valid=(0.0, 16.0),
)  # fmt: skip
LOG10_M1 = parameter(
    "log10M1", (11.0, 15.5), r"\log_{10} M_1",
    "log10 of the halo mass [Msun] of one satellite, beyond M0.",
    "log10 Msun", valid=(8.0, 18.0),
)  # fmt: skip
LOG10_MCUT = parameter(
    "log10Mcut", (10.0, 15.0), r"\log_{10} M_\mathrm{cut}",
    "log10 of the halo mass [Msun] below which satellites die out exponentially.",
    "log10 Msun", valid=(0.0, 16.0),
)  # fmt: skip
ALPHA = parameter(
    "alpha", (0.5, 2.5), r"\alpha",
    "Power-law slope of the satellite number.", valid=(0.0, 4.0),
)  # fmt: skip
KAPPA = parameter(
    "kappa", (0.01, 3.0), r"\kappa",
    "Halo mass below which there are no satellites, over that of the threshold of centrals.",
    valid=(0.0, 30.0),
)  # fmt: skip


def ten_to(x: Any, f: Functions) -> Any:
    """10^x."""
    return f.exp(LN_10 * x)


def rise(x: Any, f: Functions) -> Any:
    """[1 + erf(x)] / 2, which rises from 0 to 1."""
    return 0.5 + 0.5 * f.erf(x)


def power_law(M: Any, M0: Any, log10_M1: Any, alpha: Any, f: Functions) -> tuple[Any, Any]:
    """[(M - M0) / M1]^alpha for M > M0, else 0; and its square.

    Args:
        M: Halo masses [Msun].
        M0: Mass where the power law begins [Msun].
        log10_M1: log10 of M1 [Msun].
        alpha: Slope.
        f: Functions for arrays of this type.
    """
    return f.beyond(M, M0, ten_to(log10_M1, f), alpha)


def positive(x: Any, f: Functions) -> Any:
    """max(x, 0)."""
    return f.clip(x, 0.0, _HUGE)


def negative(x: Any, f: Functions) -> Any:
    """min(x, 0)."""
    return f.clip(x, -_HUGE, 0.0)


def smaller(a: Any, b: Any, f: Functions) -> Any:
    """min(a, b)."""
    return b + negative(a - b, f)


def softplus(x: Any, f: Functions) -> Any:
    """ln(1 + e^x), for any x."""
    up = positive(x, f)
    return up + f.log(1.0 + f.exp(negative(x, f) - up))
