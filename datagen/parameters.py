"""Description of one parameter of a point: name, unit, limits and default."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Parameter", "Sampling"]

Sampling = Literal["linear", "log10"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a point, independent of any parameter space.

    Attributes:
        name: Name, in columns of points, configurations and files.
        unit: ``1``, ``Msun``, ``Mpc``, ``1/Mpc`` or, for the logarithm of a mass, ``log10 Msun``.
        group: ``cosmology``, ``redshift``, or the name of an occupation.
        symbol: TeX symbol for figures.
        valid: Lowest and highest value for which the halo model is defined, in ``unit``.
        range: Lowest and highest sampled value, unless a `datagen.space.Space` sets others.
        default: Value in points that omit the parameter; None if it is required.
        sampling: ``linear`` samples uniformly in the value, ``log10`` in its base-10 logarithm.
        text: Description in one sentence.
    """

    name: str
    unit: str
    group: str
    symbol: str
    valid: tuple[float, float]
    range: tuple[float, float]
    default: float | None = None
    sampling: Sampling = "linear"
    text: str = ""
