r"""Mass functions: interchangeable functions of the variance of matter.

``dn/dlnM = f(sigma) (rho_m / M) |dln sigma / dlnM|``; each class has the f of its paper, with the
constants that pyccl uses. To add a mass function, write a class with `MassFunction.ln_f`.
"""

import math
from abc import abstractmethod
from itertools import pairwise

import torch
from torch import Tensor

from emulator.semianalytic.fits import DELTA_C, Epoch, Fit, virial_density

__all__ = ["MassFunction"]

_LN_DELTA_C, _LN_1_686 = math.log(DELTA_C), math.log(1.686)
# Mass definitions for fits to friends-of-friends groups or to virialised spheres
_VIRIALISED = ("200m", "vir")
_TINKER_DENSITIES = (200.0, 300.0, 400.0, 600.0, 800.0, 1200.0, 1600.0, 2400.0, 3200.0)


class MassFunction(Fit, kind="mass_function"):
    """A fit of f(sigma)."""

    @abstractmethod
    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """Ln f(sigma), shape (B, Q).

        Args:
            ln_sigma: Logarithm of the RMS density on the scale of each mass, shape (B, Q).
            epoch: Scale factor and matter density of each point.
        """


def _ln_rise(
    ln_A: Tensor | float, slope: Tensor | float, ln_sigma: Tensor, ln_b: Tensor | float
) -> Tensor:
    """Ln of ``A (1 + b sigma^slope)``.

    Each operator of a graph takes time, so constants are placed where they need no operator.
    """
    A = torch.exp(ln_A) if isinstance(ln_A, Tensor) else math.exp(ln_A)
    return torch.log(torch.exp(slope * ln_sigma + (ln_A + ln_b)) + A)


def _warren(ln_sigma: Tensor, parameters: tuple[Tensor | float, ...]) -> Tensor:
    """``f = A [(b / sigma)^a + 1] exp(-c / sigma^2)``, from ln A, a, ln b, c."""
    ln_A, a, ln_b, c = parameters
    return _ln_rise(ln_A, -a, ln_sigma, a * ln_b) - c * torch.exp(-2 * ln_sigma)


def _sheth_tormen(
    ln_sigma: Tensor, ln_q: Tensor | float, ln_A: Tensor | float, p: Tensor | float
) -> Tensor:
    """``f = A sqrt(x) (1 + x^-p) exp(-x / 2)`` with ``x = q / sigma^2``, from ln q, ln A, p."""
    rise = _ln_rise(ln_A + 0.5 * ln_q, 2 * p, ln_sigma, -p * ln_q)
    return rise - ln_sigma - torch.exp(-2 * ln_sigma + (ln_q - math.log(2)))


def _powers_of_a(epoch: Epoch, *terms: tuple[float, float]) -> tuple[Tensor, ...]:
    """``p a^q`` for pairs p > 0, q, each (B, 1)."""
    values, powers = epoch.ln_a.new_tensor(terms).T
    return torch.exp(torch.log(values) + powers * epoch.ln_a).split(1, dim=1)


class Press74(MassFunction):
    """Press and Schechter 1974: ``f = sqrt(2 / pi) nu exp(-nu^2 / 2)``, nu = delta_c / sigma."""

    mass_defs = _VIRIALISED

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        ln_nu = _LN_DELTA_C - ln_sigma
        return ln_nu + 0.5 * math.log(2 / math.pi) - 0.5 * torch.exp(2 * ln_nu)


class Sheth99(MassFunction):
    """Sheth and Tormen 1999, eq. 10, x = 0.707 nu^2: ``f = A sqrt(x) (1 + x^-0.3) exp(-x / 2)``.

    A is 0.3222 sqrt(2 / pi), nu is delta_c / sigma.
    """

    mass_defs = _VIRIALISED

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        ln_q = math.log(0.707) + 2 * _LN_DELTA_C
        return _sheth_tormen(ln_sigma, ln_q, math.log(0.21615998645 / math.sqrt(0.707)), 0.3)


class Jenkins01(MassFunction):
    """Jenkins et al. 2001, eq. 9: ``f = 0.315 exp(-|0.61 - ln sigma|^3.8)``."""

    mass_defs = _VIRIALISED

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        return math.log(0.315) - torch.abs(0.61 - ln_sigma) ** 3.8


class Angulo12(MassFunction):
    """Angulo et al. 2012, eq. 2: ``f = 0.201 [(2.08 / sigma)^1.7 + 1] exp(-1.172 / sigma^2)``."""

    mass_defs = _VIRIALISED

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        return _warren(ln_sigma, (math.log(0.201), 1.7, math.log(2.08), 1.172))


class Watson13(MassFunction):
    """Watson et al. 2013, eq. 12 to 17: f for 178 times the mean density, times Gamma for 200.

    ``f = A [(b / sigma)^a + 1] exp(-c / sigma^2)``, where A, a, b depend on Om_m(z) and the scale
    factor, except at z = 0, which has its own constants: abundances jump there by up to a few
    percent. The paper has no fit for densities that are not multiples of the mean density.
    """

    mass_defs = ("200m",)

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        Om_m, a = epoch.Om_m, torch.exp(epoch.ln_a)
        past = (
            Om_m * (1.097 * a**3.216 + 0.074),
            Om_m * (5.907 * a**3.058 + 2.349),
            Om_m * (3.136 * a**3.599 + 2.344),
            torch.full_like(a, 1.318),
        )
        today = (0.194, 1.805, 2.267, 1.287)
        A, p, b, c = (torch.where(epoch.ln_a < 0, *two) for two in zip(past, today, strict=True))
        f_178 = _warren(ln_sigma, (torch.log(A), p, torch.log(b), c))
        excess = 200 / 178 - 1
        ln_C = 0.023 * excess - (0.456 * Om_m + 0.139) * math.log(200 / 178)
        return f_178 + ln_C - 0.072 * excess * torch.exp(-2.130 * ln_sigma)


class Bocquet16(MassFunction):
    """Bocquet et al. 2016, table 2, hydrodynamical: ``f = A [(b / sigma)^a + 1] exp(-c/sigma^2)``.

    A, a, b, c are powers of 1 + z. For masses other than 200m, f depends on M besides sigma.
    """

    mass_defs = ("200m",)

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        A, a, b, c = _powers_of_a(
            epoch, (0.228, -0.285), (2.15, 0.058), (1.69, 0.366), (1.30, 0.045)
        )
        return _warren(ln_sigma, (torch.log(A), a, torch.log(b), c))


class Despali16(MassFunction):
    """Despali et al. 2016, eq. 7 and 12: the form of Sheth and Tormen, for any halo density.

    ``f = 2 A sqrt(x / 2 pi) (1 + x^-p) exp(-x / 2)``, x = a nu^2, with A, a, p polynomials of
    log10 of the halo density over the virial density, and nu = delta_c(z) / sigma with delta_c of
    Nakamura and Suto 1997.
    """

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        ln_Om_m = torch.log(epoch.Om_m)
        ln_density = self.ln_delta_m(epoch) + ln_Om_m  # in units of the critical density
        x = (ln_density - torch.log(virial_density(epoch.Om_m))) / math.log(10)
        A = 0.3292 - 0.1362 * x
        a = 0.7665 + x * (0.2263 + 0.4332 * x)
        p = 0.2488 + x * (0.2554 - 0.1151 * x)
        delta_c = DELTA_C * (1 + 0.012299 / math.log(10) * ln_Om_m)
        ln_A = torch.log(2 / math.sqrt(2 * math.pi) * A)
        return _sheth_tormen(ln_sigma, torch.log(a * delta_c**2), ln_A, p)


class _Tinker(MassFunction):
    """Fits with a table of parameters, interpolated linearly in the log of the halo density."""

    table: tuple[tuple[float, ...], ...]

    def parameters(self, epoch: Epoch) -> tuple[Tensor, ...]:
        """Rows of the table at the halo density, each (B, 1), or (1, 1) for one density."""
        knots = [math.log(density) for density in _TINKER_DENSITIES]
        kinks = []  # changes of slope at all knots but the last
        for row in self.table:
            slopes = [
                (v1 - v0) / (k1 - k0)
                for (v0, v1), (k0, k1) in zip(pairwise(row), pairwise(knots), strict=True)
            ]
            kinks.append([slopes[0]] + [after - before for before, after in pairwise(slopes)])
        ln_delta = self.ln_delta_m(epoch)
        new = ln_delta.new_tensor
        beyond = torch.relu(ln_delta - new(knots[:-1]))  # (B, 8)
        values = beyond @ new(kinks).T + new([row[0] for row in self.table])
        return values.split(1, dim=1)


class Tinker08(_Tinker):
    """Tinker et al. 2008, eq. 3 to 8: ``f = A [(b / sigma)^a + 1] exp(-c / sigma^2)``.

    ``A = A0 (1+z)^-0.14, a = a0 (1+z)^-0.06, b = b0 (1+z)^-d`` with
    ``log10 d = -[0.75 / log10(Delta / 75)]^1.2``.
    """

    table = (
        (0.186, 0.200, 0.212, 0.218, 0.248, 0.255, 0.260, 0.260, 0.260),
        (1.47, 1.52, 1.56, 1.61, 1.87, 2.13, 2.30, 2.53, 2.66),
        (2.57, 2.25, 2.05, 1.87, 1.59, 1.51, 1.46, 1.44, 1.41),
        (1.19, 1.27, 1.34, 1.45, 1.58, 1.80, 1.97, 2.24, 2.44),
    )

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        A0, a0, b0, c = self.parameters(epoch)
        log10_ratio = self.ln_delta_m(epoch) / math.log(10) - 1.8750612633
        d = torch.exp(-math.log(10) * (0.75 / log10_ratio) ** 1.2)
        ln_A = torch.log(A0) + 0.14 * epoch.ln_a
        ln_b = torch.log(b0) + d * epoch.ln_a
        return _warren(ln_sigma, (ln_A, a0 * torch.exp(0.06 * epoch.ln_a), ln_b, c))


class Tinker10(_Tinker):
    """Tinker et al. 2010, eq. 8: ``f = A nu [1 + (b nu)^(-2 d)] nu^(2 a) exp(-c nu^2 / 2)``.

    ``b = b0 (1+z)^0.20, d = d0 (1+z)^-0.08, a = a0 (1+z)^0.27, c = c0 (1+z)^-0.01``, up to z = 3
    and constant beyond; nu = 1.686 / sigma. Normalised at z = 0 alone, as by default in pyccl.
    """

    table = (
        (0.368, 0.363, 0.385, 0.389, 0.393, 0.365, 0.379, 0.355, 0.327),
        (-0.243, -0.261, -0.261, -0.273, -0.278, -0.301, -0.301, -0.319, -0.336),
        (0.589, 0.585, 0.544, 0.543, 0.564, 0.623, 0.637, 0.673, 0.702),
        (0.864, 0.922, 0.987, 1.09, 1.20, 1.34, 1.50, 1.68, 1.81),
        (-0.729, -0.789, -0.910, -1.05, -1.20, -1.26, -1.45, -1.50, -1.49),
    )

    def ln_f(self, ln_sigma: Tensor, epoch: Epoch) -> Tensor:
        """See `MassFunction.ln_f`."""
        A, a0, b0, c0, d0 = self.parameters(epoch)
        ln_a = epoch.ln_a.clamp(min=-math.log(4))
        growth = torch.exp(ln_a * ln_a.new_tensor([-0.27, 0.01, 0.08]))
        a, c, d = (torch.cat([a0, c0, d0], dim=1) * growth).split(1, dim=1)
        ln_b, power = torch.log(b0) - 0.20 * ln_a + _LN_1_686, 1 + 2 * a
        rise = _ln_rise(torch.log(A) + power * _LN_1_686, 2 * d, ln_sigma, -2 * d * ln_b)
        return rise - power * ln_sigma - (0.5 * 1.686**2 * c) * torch.exp(-2 * ln_sigma)
