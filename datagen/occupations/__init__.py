"""Halo occupations by name: numbers of galaxies as functions of halo mass.

To add an occupation, write a class (`datagen.occupations.base.Occupation`) in a new file, and add
it to `OCCUPATIONS`.
"""

from datagen.messages import did_you_mean
from datagen.occupations.base import Moments, Occupation, independent, parameter, with_central
from datagen.occupations.ccl import CCL
from datagen.occupations.csmf import Cacciato13, VanUitert16
from datagen.occupations.extras import EXTRAS, Extended
from datagen.occupations.hmq import HMQ, Gaussian
from datagen.occupations.kravtsov04 import Kravtsov04
from datagen.occupations.kwan15 import Abacus, Kwan15
from datagen.occupations.leauthaud11 import Leauthaud11
from datagen.occupations.linke22 import Linke22
from datagen.occupations.more15 import More15
from datagen.occupations.zehavi05 import Zehavi05
from datagen.occupations.zheng05 import Zheng05
from datagen.occupations.zheng07 import Zheng07

__all__ = [
    "EXTRAS",
    "OCCUPATIONS",
    "Extended",
    "Moments",
    "Occupation",
    "independent",
    "occupation",
    "parameter",
    "with_central",
]

OCCUPATIONS: dict[str, Occupation] = {
    one.name: one
    for one in (
        Linke22(),
        Zheng07(),
        Zheng05(),
        Zehavi05(),
        Kravtsov04(),
        CCL(),
        Kwan15(),
        Abacus(),
        More15(),
        Leauthaud11(),
        Cacciato13(),
        VanUitert16(),
        HMQ(),
        Gaussian(),
    )
}


def occupation(name: str) -> Occupation:
    """Return an occupation by name.

    Args:
        name: Name of an occupation, optionally with extensions: ``zheng07+off_centring``.

    Raises:
        ValueError: The occupation or an extension is unknown; the message lists the known ones.
    """
    base, *extras = name.split("+")
    if base not in OCCUPATIONS:
        raise ValueError(
            f"no occupation {base!r}{did_you_mean(base, OCCUPATIONS)}; there are "
            f"{', '.join(OCCUPATIONS)}"
        )
    return Extended(OCCUPATIONS[base], extras) if extras else OCCUPATIONS[base]
