"""Growth rate of structure from a fitting formula."""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["growth_rate"]


def growth_rate(point: Mapping[str, Any], xp: Any = np) -> Any:
    """Linear growth rate f = dln D / dln a of flat w0 wa universes, accurate to 0.3 %.

    f = Om_m(z)^gamma, gamma = 0.55 + 0.05 [1 + w(z = 1)], with 0.02 in place of 0.05 where w(z = 1)
    is below -1: Linder 2005, Phys. Rev. D 72, 043529, equation 16.

    Args:
        point: ``Om_c``, ``Om_b``, ``w0``, ``wa``, ``z`` by name, each (N,); the last three are -1,
            0 and 0 by default.
        xp: Array library, numpy or jax.numpy.

    Returns:
        Growth rates, shape (N,).
    """
    values = {"w0": -1.0, "wa": 0.0, "z": 0.0} | dict(point)
    Om_c, Om_b, w0, wa, z = (
        xp.asarray(values[name], float) for name in ("Om_c", "Om_b", "w0", "wa", "z")
    )
    Om_m, a = Om_c + Om_b, 1 / (1 + z)
    dark = (1 - Om_m) * a ** (-3 * (1 + w0 + wa)) * xp.exp(-3 * wa * (1 - a))
    matter = Om_m * a**-3.0
    departure = 1 + w0 + 0.5 * wa
    gamma = 0.55 + xp.where(departure < 0, 0.02, 0.05) * departure
    return (matter / (matter + dark)) ** gamma
