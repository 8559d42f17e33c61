"""What a parameter of a point is: its name, unit, limits and default."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Parameter", "Sampling"]

Sampling = Literal["linear", "log10"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a point, whatever an emulator was trained on.

    Attributes:
        name: Its name, the same everywhere.
        unit: ``1``, ``Msun`` or, of a logarithm of a mass, ``log10 Msun``.
        group: ``cosmology``, ``redshift``, or the name of an occupation.
        symbol: For figures, in TeX.
        valid: Where the halo model itself makes sense.
        range: What is sampled unless a space says otherwise.
        default: What a point has that does not give it; None if it must be given.
        sampling: How it is drawn: evenly in itself, or in its decadic logarithm.
        text: What it is, in a sentence.
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
