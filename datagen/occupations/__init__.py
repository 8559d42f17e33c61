"""Halo occupations by name: numbers of galaxies as functions of halo mass.

A new one is a class of a few lines (`datagen.occupations.base.Occupation`) in a file of its own,
and an entry here.
"""

from datagen.messages import did_you_mean
from datagen.occupations.base import Moments, Occupation, independent, parameter, with_central
from datagen.occupations.linke22 import Linke22
from datagen.occupations.zheng07 import Zheng07

__all__ = [
    "OCCUPATIONS",
    "Moments",
    "Occupation",
    "independent",
    "occupation",
    "parameter",
    "with_central",
]

OCCUPATIONS: dict[str, Occupation] = {one.name: one for one in (Linke22(), Zheng07())}


def occupation(name: str) -> Occupation:
    """The occupation of a name.

    Raises:
        ValueError: There is none; the message has those that there are.
    """
    if name not in OCCUPATIONS:
        raise ValueError(
            f"no occupation {name!r}{did_you_mean(name, OCCUPATIONS)}; there are "
            f"{', '.join(OCCUPATIONS)}"
        )
    return OCCUPATIONS[name]
