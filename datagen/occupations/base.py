"""What an occupation is: its parameters, and the moments of the numbers of galaxies in a halo."""

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

_STEP = (-6.0, 0.0, 6.0)  # widths around a threshold
_KINK = (0.0, 0.001, 0.02, 0.25)  # in ln M from where satellites begin


class Moments(NamedTuple):
    """Factorial moments of the numbers of galaxies in haloes of a mass, each of the shape of M.

    Attributes:
        centrals: <N_c>.
        satellites: <N_s>.
        central_satellite: <N_c N_s>.
        satellite_pairs: <N_s (N_s - 1)>.
    """

    centrals: Any
    satellites: Any
    central_satellite: Any
    satellite_pairs: Any


def with_central(N_c: Any, lam: Any, lam_2: Any = None) -> Moments:
    """Moments of satellites that live only where there is a central galaxy.

    A halo has no or one central; one with a central has a Poisson number of satellites of mean
    lam. So <N_s> = <N_c N_s> = N_c lam and <N_s (N_s - 1)> = N_c lam^2 (Zheng et al. 2005, ApJ
    633, 791).

    Args:
        N_c: Mean number of centrals, at most 1.
        lam: Mean number of satellites of haloes with a central.
        lam_2: Its square, if `Functions` give that better by itself.
    """
    N_s = N_c * lam
    return Moments(N_c, N_s, N_s, N_s * lam if lam_2 is None else N_c * lam_2)


def independent(N_c: Any, N_s: Any, N_s_2: Any = None) -> Moments:
    """Moments of Poisson satellites that do not ask for a central: <N_c N_s> = N_c N_s.

    Args:
        N_c: Mean number of centrals.
        N_s: Mean number of satellites.
        N_s_2: Its square, if `Functions` give that better by itself.
    """
    return Moments(N_c, N_s, N_c * N_s, N_s * N_s if N_s_2 is None else N_s_2)


class Occupation(ABC):
    """Numbers of galaxies in haloes as functions of halo mass: a halo occupation distribution.

    `moments` is written once. It is evaluated by numpy for labels, by torch for training and
    export, and by onnxruntime, through the functions that it is handed.

    Attributes:
        name: Its name, the same everywhere.
        source: The paper and its equation.
        parameters: Its parameters, with their ranges.
        width: The narrowest feature, as the standard deviation of a normal distribution in ln M,
            within the ranges of the parameters; steps have none, 0.
        extras: What is added to it; see `datagen.occupations.extras`.
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
        """Moments of the numbers of galaxies.

        Args:
            M: Halo masses [Msun].
            p: All parameters of the points by name, cosmology and z too, of shapes that broadcast
                with M.
            f: Functions of arrays of this kind.
        """

    def cuts(self, p: Mapping[str, float]) -> Sequence[float]:
        """Where an integral over ln M [ln Msun] is cut into panels, around what is sharp.

        Args:
            p: Parameters of one point.
        """
        return ()

    def features(self, p: Mapping[str, Any], f: Functions) -> Sequence[Any]:
        """What networks are told besides the parameters, if that makes them better.

        Args:
            p: Parameters of points by name.
            f: Functions of arrays of their kind.
        """
        return ()

    def threshold(self, p: Mapping[str, Any]) -> tuple[Any, Any] | None:
        """Halo mass [Msun] above which galaxies live, and its width in ln M; None if not known."""
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
    """A parameter of an occupation; it is valid in its range if nothing else is said."""
    return Parameter(name, unit, "", symbol, valid or range, range, default, sampling, text)


def around(M: float, width: float) -> tuple[float, ...]:
    """Cuts [ln Msun] around a threshold of a width in ln M; see `Occupation.cuts`."""
    return tuple(math.log(M) + width * step for step in _STEP)


def beyond(M: float) -> tuple[float, ...]:
    """Cuts [ln Msun] where a power law of M - M0 begins, denser towards M0."""
    return tuple(math.log(M) + kink for kink in _KINK) if M > 0 else ()
