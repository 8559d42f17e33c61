"""Linear biases of haloes: interchangeable functions of the variance of matter.

Each class has the b of its paper, with the constants that pyccl uses; nu is delta_c / sigma. To add
a bias, write a class with `Bias.b` and a line in `datagen.ingredients.PARTNERS`.
"""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from emulator.semianalytic.fits import DELTA_C, Epoch, Fit

__all__ = ["Bias"]

_LN_DELTA_C = math.log(DELTA_C)
_VIRIALISED = ("200m", "vir")


class Bias(Fit, kind="halo_bias"):
    """A fit of b(sigma)."""

    @abstractmethod
    def b(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """Bias of haloes, shape (B, Q).

        Args:
            ln_sigma: Logarithm of the RMS density on the scale of each mass, shape (B, Q).
            epoch: Scale factor and matter density of each point.
        """


def _peak_background_split(ln_x: Tensor, q: float, p: float) -> Tensor:
    """``b = 1 + [x - q + 2 p / (1 + x^p)] / delta_c``, from ln x, with x a multiple of nu^2."""
    return (torch.exp(ln_x) + 2 * p * torch.sigmoid(-p * ln_x) + (DELTA_C - q)) / DELTA_C


class Sheth99(Bias):
    """Sheth and Tormen 1999, eq. 12: ``b = 1 + [x - 1 + 0.6 / (1 + x^0.3)] / delta_c``.

    x is 0.707 nu^2.
    """

    mass_defs = _VIRIALISED

    def b(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `Bias.b`."""
        return _peak_background_split(math.log(0.707) + 2 * (_LN_DELTA_C - ln_sigma), 1.0, 0.3)


class Sheth01(Bias):
    """Sheth et al. 2001, eq. 8, of ellipsoidal collapse, with x = 0.707 nu^2.

    ``b = 1 + [r x + r / 2 x^0.4 - x^0.6 / (x^0.6 + 0.14)] / (r delta_c)``, r = sqrt(0.707).
    """

    mass_defs = _VIRIALISED

    def b(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `Bias.b`."""
        r, ln_q = 0.84083292038, math.log(0.707) + 2 * _LN_DELTA_C
        spheres = torch.exp(-2 * ln_sigma + (ln_q - _LN_DELTA_C))  # x / delta_c
        half_x_4 = torch.exp(-0.8 * ln_sigma + (0.4 * ln_q - math.log(2) - _LN_DELTA_C))
        ellipsoids = torch.sigmoid(-1.2 * ln_sigma + (0.6 * ln_q - math.log(0.14)))
        return spheres + half_x_4 + (1 - (1 / (r * DELTA_C)) * ellipsoids)


class Bhattacharya11(Bias):
    """Bhattacharya et al. 2011, eq. 17: ``b = 1 + [x - q + 2 p / (1 + x^p)] / delta_c``.

    x is ``0.788 nu^2 / (1 + z)^0.01``, p = 0.807, q = 1.795.
    """

    mass_defs = _VIRIALISED

    def b(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `Bias.b`."""
        ln_x = math.log(0.788) + 0.01 * epoch.ln_a + 2 * (_LN_DELTA_C - ln_sigma)
        return _peak_background_split(ln_x, 1.795, 0.807)


class Tinker10(Bias):
    """Tinker et al. 2010, eq. 6: ``b = 1 - A nu^a / (nu^a + delta_c^a) + B nu^1.5 + C nu^2.4``.

    A, a and C follow y, log10 of the haloes' density in units of the mean matter density.
    """

    def b(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `Bias.b`."""
        y = self.ln_delta_m(epoch) / math.log(10)
        bend = torch.exp(-((4 / y) ** 4))
        A, a = 1 + 0.24 * y * bend, 0.44 * y - 0.88
        C = 0.019 + 0.107 * y + 0.19 * bend
        falling = 1 - A * torch.sigmoid(-a * ln_sigma)  # nu^a / (nu^a + delta_c^a)
        nu_15 = torch.exp(-1.5 * ln_sigma + (math.log(0.183) + 1.5 * _LN_DELTA_C))
        return falling + nu_15 + torch.exp(-2.4 * ln_sigma + (torch.log(C) + 2.4 * _LN_DELTA_C))
