"""Interface of occupations: parameters, and moments of the numbers of galaxies in a halo."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from datagen.occupations.functions import Functions
from datagen.parameters import Parameter, Sampling

__all__ = [
    "Moments",
    "Occupation",
    "around",
    "beyond",
    "independent",
    "parameter",
    "with_central",
]

_STEP = (-6.0, 0.0, 6.0)  # cuts around a threshold, in units of its width
_KINK = (0.0, 0.001, 0.02, 0.25)  # cuts above the lowest mass with satellites, in ln M


class Moments(NamedTuple):
    """Factorial moments of the numbers of galaxies in haloes of mass M, each of the shape of M.

    Attributes:
        centrals: Mean number of centrals <N_c>.
        satellites: Mean number of satellites <N_s>.
        central_satellite: Mean number of central-satellite pairs <N_c N_s>.
        satellite_pairs: Mean number of ordered satellite pairs <N_s (N_s - 1)>.
    """

    centrals: Any
    satellites: Any
    central_satellite: Any
    satellite_pairs: Any


def with_central(N_c: Any, lam: Any, lam_2: Any = None) -> Moments:
    """Return the moments if only haloes with a central galaxy have satellites.

    A halo has zero or one central; haloes with a central have a Poisson number of satellites of
    mean lam. So <N_s> = <N_c N_s> = N_c lam and <N_s (N_s - 1)> = N_c lam^2 (Zheng et al. 2005,
    ApJ 633, 791).

    Args:
        N_c: Mean number of centrals, at most 1.
        lam: Mean number of satellites of haloes with a central.
        lam_2: The square of lam, where a grid integrates it more accurately; see
            `Functions.beyond`.
    """
    N_s = N_c * lam
    return Moments(N_c, N_s, N_s, N_s * lam if lam_2 is None else N_c * lam_2)


def independent(N_c: Any, N_s: Any, N_s_2: Any = None) -> Moments:
    """Return the moments if satellites are Poisson and independent of centrals.

    So <N_c N_s> = N_c N_s and <N_s (N_s - 1)> = N_s^2.

    Args:
        N_c: Mean number of centrals.
        N_s: Mean number of satellites.
        N_s_2: The square of N_s, where a grid integrates it more accurately; see
            `Functions.beyond`.
    """
    return Moments(N_c, N_s, N_c * N_s, N_s * N_s if N_s_2 is None else N_s_2)


class Occupation(ABC):
    """Halo occupation distribution: numbers of galaxies in haloes as functions of halo mass.

    `moments` is written once, with the functions passed to it: those of numpy for labels, of torch
    for training, and of an ONNX graph for export.

    Attributes:
        name: Name, in configurations and files.
        source: Paper and equations.
        parameters: Parameters with their ranges; `parameter` makes them.
        width: Width of the narrowest feature within the ranges of the parameters, as the standard
            deviation of a normal distribution in ln M; 0 for a step.
        extras: Names of its extensions, of `datagen.occupations.extras.EXTRAS`.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    width: ClassVar[float] = 0.0
    extras: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "parameters" in vars(cls):
            cls.parameters = tuple(replace(p, group=cls.name) for p in cls.parameters)

    @abstractmethod
    def moments(self, M: Any, p: Mapping[str, Any], f: Functions) -> Moments:
        """Return the moments of the numbers of galaxies.

        Args:
            M: Halo masses [Msun].
            p: All parameters of the points by name, including cosmology and redshift; they
                broadcast with M.
            f: Functions for arrays of this type.
        """

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """Return ln M [ln Msun] at which integrals are cut into panels, around sharp features.

        Args:
            p: Parameters of one point by name.
        """
        return ()

    def features(self, p: Mapping[str, Any], f: Functions) -> Sequence[Any]:
        """Return additional inputs of networks, each of the shape of a parameter.

        Args:
            p: Parameters of the points by name.
            f: Functions for arrays of this type.
        """
        return ()

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any] | None:
        """Return the threshold mass of centrals [Msun] and its width in ln M; None if unknown.

        Args:
            p: Parameters of the points by name.
        """
        return None


def parameter(
    name: str,
    range: tuple[float, float],  # noqa: A002
    symbol: str,
    text: str,
    unit: str = "1",
    valid: tuple[float, float] | None = None,
    default: float | None = None,
    sampling: Sampling = "linear",
) -> Parameter:
    """Return a parameter of an occupation; see `datagen.parameters.Parameter`.

    Args:
        name: Name.
        range: Lowest and highest sampled value.
        symbol: TeX symbol.
        text: Description in one sentence.
        unit: Unit, such as ``log10 Msun``.
        valid: Lowest and highest valid value; by default those of ``range``.
        default: Value in points that omit the parameter; None if it is required.
        sampling: ``linear`` or ``log10``.
    """
    return Parameter(name, unit, "", symbol, valid or range, range, default, sampling, text)


def around(M: float, width: float) -> tuple[float, ...]:
    """Return cuts [ln Msun] around a threshold M [Msun] of a width in ln M.

    See `Occupation.cuts`.
    """
    return tuple(math.log(M) + width * step for step in _STEP)


def beyond(M: float) -> tuple[float, ...]:
    """Return cuts [ln Msun] above M [Msun], where a power law begins, denser towards M."""
    return tuple(math.log(M) + kink for kink in _KINK) if M > 0 else ()
