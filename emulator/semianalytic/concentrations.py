"""Concentrations of haloes: interchangeable functions of mass, variance and slope of the power.

Each class has the c of its paper, with the constants that pyccl uses. To add a concentration, write
a class with `Concentration.ln_c`.
"""

import math
from abc import abstractmethod
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from emulator.semianalytic.fits import DELTA_C, Epoch, Fit

__all__ = ["Concentration", "Haloes", "Universe"]

_LN_DELTA_C = math.log(DELTA_C)
_STEEPEST = -4.0  # beyond, c follows n so closely that it amplifies any error of it
# Ishiyama21's concentrations lie between these limits; Newton's steps start from the upper one
_LN_C_LOWEST, _LN_C_HIGHEST, _NEWTON_STEPS = math.log(0.05), math.log(1e3), 8


class Haloes(NamedTuple):
    """Properties of haloes that a concentration can depend on.

    Attributes:
        ln_M: Logarithm of the mass [Msun], shape (B, Q).
        ln_sigma: Logarithm of the RMS density on the scale of each mass, shape (B, Q).
        n_eff: Slope of the power, as the fit defines it (`Concentration.slope`), shape (B, Q).
    """

    ln_M: Tensor
    ln_sigma: Tensor
    n_eff: Tensor


class Universe(NamedTuple):
    """Properties of the universe that a concentration can depend on, each of shape (B, 1).

    Attributes:
        Om_m: Matter density parameter today.
        Om_de: Dark energy density parameter today.
        h: Hubble parameter [100 km/s/Mpc].
        ln_D: Logarithm of the growth factor D(z) / D(0).
        growth_rate: dln D / dln a at z.
    """

    Om_m: Tensor
    Om_de: Tensor
    h: Tensor
    ln_D: Tensor
    growth_rate: Tensor


class Concentration(Fit, kind="concentration"):
    """A fit of the concentration, the halo's radius in units of its scale radius.

    Attributes:
        slope: Definition of ``n_eff``: ``power`` is dln P / dln k at ``k = 2 pi / R``, ``sigma``
            is ``-3 - 2 dln sigma / dln R`` at ``scale`` times R, with R the Lagrangian radius of
            the mass; empty if the fit does not depend on a slope.
        scale: Factor of R for the slope ``sigma``.
    """

    slope: ClassVar[Literal["", "power", "sigma"]] = ""
    scale: float = 1.0

    @abstractmethod
    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """Ln c, of a shape that broadcasts to (B, Q)."""

    def power_law(self) -> tuple[dict[str, float], float] | None:
        """Powers of ``M`` [Msun], ``h``, ``1 + z`` in c, and ln of the constant factor.

        None if c is not a power law; emulators then take up to three times as long.
        """
        return None


class Constant(Concentration):
    """The same concentration for all haloes: 1, the default of pyccl."""

    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """See `Concentration.ln_c`."""
        return torch.zeros_like(haloes.ln_M)

    def power_law(self) -> tuple[dict[str, float], float]:
        """See `Concentration.power_law`."""
        return {}, 0.0


class Duffy08(Concentration):
    """Duffy et al. 2008, eq. 4 and table 1: ``c = A (M h / 2e12 Msun)^B (1 + z)^C``."""

    mass_defs = ("200m", "200c", "vir")
    table: ClassVar = {
        "200m": (10.14, -0.081, -1.01),
        "200c": (5.71, -0.084, -0.47),
        "vir": (7.85, -0.081, -0.71),
    }

    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """See `Concentration.ln_c`."""
        A, B, C = self.table[self.mass_def]
        of_point = B * torch.log(universe.h) - C * epoch.ln_a + (math.log(A) - B * math.log(2e12))
        return B * haloes.ln_M + of_point

    def power_law(self) -> tuple[dict[str, float], float]:
        """See `Concentration.power_law`."""
        A, B, C = self.table[self.mass_def]
        return {"M": B, "h": B, "1 + z": C}, math.log(A) - B * math.log(2e12)


class Klypin11(Concentration):
    """Klypin et al. 2011, eq. 12: ``c = 9.6 (M h / 1e12 Msun)^-0.075``, made for z = 0."""

    mass_defs = ("vir",)

    def power_law(self) -> tuple[dict[str, float], float]:
        """See `Concentration.power_law`."""
        return {"M": -0.075, "h": -0.075}, math.log(9.6) + 0.075 * math.log(1e12)

    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """See `Concentration.ln_c`."""
        return math.log(9.6) - 0.075 * (haloes.ln_M + torch.log(universe.h) - math.log(1e12))


class Bhattacharya13(Concentration):
    """Bhattacharya et al. 2013, table 2: ``c = A D^B nu^C``.

    nu is delta_c(z) / sigma with delta_c of Nakamura and Suto 1997, D is 1 today.
    """

    mass_defs = ("200m", "200c", "vir")
    table: ClassVar = {
        "200m": (9.0, 1.15, -0.29),
        "200c": (5.9, 0.54, -0.35),
        "vir": (7.7, 0.9, -0.29),
    }

    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """See `Concentration.ln_c`."""
        A, B, C = self.table[self.mass_def]
        delta_c = DELTA_C * (1 + 0.012299 / math.log(10) * torch.log(epoch.Om_m))
        of_point = math.log(A) + B * universe.ln_D + C * torch.log(delta_c)
        return of_point - C * haloes.ln_sigma


class Prada12(Concentration):
    """Prada et al. 2012, eq. 12 to 22: ``c = B0(x) C(B1(x) sigma)``.

    ``C(s) = 2.881 [(s / 1.257)^1.022 + 1] exp(0.060 / s^2)``, ``x = a (Om_de / Om_m)^(1/3)``, and
    B0, B1 are arc tangents of x in units of their values at x = 1.393.
    """

    mass_defs = ("200c",)

    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """See `Concentration.ln_c`."""
        x = torch.exp(epoch.ln_a) * (universe.Om_de / universe.Om_m) ** (1 / 3)
        B0 = _arc(x, 3.681, 5.033, 6.948, 0.424)
        B1 = _arc(x, 1.047, 1.646, 7.386, 0.526)
        ln_s = haloes.ln_sigma + torch.log(B1)
        power = torch.nn.functional.softplus(1.022 * (ln_s - math.log(1.257)))
        return power + 0.060 * torch.exp(-2 * ln_s) + torch.log(2.881 * B0)


def _arc(x: Tensor, low: float, high: float, steepness: float, centre: float) -> Tensor:
    """``low + (high - low) [atan(steepness (x - centre)) / pi + 1/2]`` over its value at 1.393."""
    middle, half = 0.5 * (low + high), (high - low) / math.pi
    today = middle + half * math.atan(steepness * (1.393 - centre))
    return (middle + half * torch.atan(steepness * (x - centre))) / today


class Diemer15(Concentration):
    """Diemer and Kravtsov 2015, eq. 9: ``c = c_min / 2 [(nu_min / nu)^1.08 + (nu / nu_min)^1.77]``.

    c_min = 6.58 + 1.27 n and nu_min = 7.28 + 1.56 n follow the slope n of the power. Both end at
    n < -4.6, which acoustic oscillations reach where baryons are a third of the matter. pyccl has
    no finite value there; here n is bounded below by -4.
    """

    mass_defs = ("200c",)
    slope = "power"

    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """See `Concentration.ln_c`."""
        n = haloes.n_eff.clamp(min=_STEEPEST)
        ln_c_min = torch.log(3.29 + 0.635 * n)
        ln_ratio = _LN_DELTA_C - haloes.ln_sigma - torch.log(7.28 + 1.56 * n)
        return ln_c_min + torch.logaddexp(-1.08 * ln_ratio, 1.77 * ln_ratio)


class Ishiyama21(Concentration):
    """Ishiyama et al. 2021, eq. 2 to 6 and table 2 (profiles fitted, all haloes).

    ``c = C(f) G^-1(A(n) / nu [1 + nu^2 / B(n)], n)`` with ``A = a0 [1 + a1 (n + 3)]``,
    ``B = b0 [1 + b1 (n + 3)]``, ``C = 1 - c_f (1 - f)``, f the growth rate, nu = 1.686 / sigma, and
    ``G(c, n) = c / [ln(1 + c) - c / (1 + c)]^((5 + n) / 6)``, inverted by Newton's steps.
    """

    mass_defs = ("200c", "500c", "vir")
    slope = "sigma"
    table: ClassVar = {
        "200c": (1.19, 2.54, 1.33, 4.04, 1.21, 0.22),
        "500c": (1.83, 1.95, 1.17, 3.57, 0.91, 0.26),
        "vir": (1.64, 2.67, 1.23, 3.92, 1.30, -0.19),
    }

    def __init__(self, mass_def: str = "200c") -> None:
        super().__init__(mass_def)
        self.scale = self.table[mass_def][0]

    def ln_c(self, haloes: Haloes, universe: Universe, epoch: Epoch) -> Tensor:
        """See `Concentration.ln_c`."""
        _, a0, a1, b0, b1, c_f = self.table[self.mass_def]
        above = haloes.n_eff + 3
        A, B = a0 * (1 + a1 * above), b0 * (1 + b1 * above)
        ln_nu = math.log(1.686) - haloes.ln_sigma
        ln_G = torch.log(A * (1 + torch.exp(2 * ln_nu) / B)) - ln_nu
        C = 1 - c_f * (1 - universe.growth_rate)
        return torch.log(C) + _inverse(ln_G, (above + 2) / 6)


def _inverse(ln_G: Tensor, power: Tensor) -> Tensor:
    """Larger solution ln c of ``ln c - power ln[ln(1 + c) - c / (1 + c)] = ln G``.

    The left side is convex in ln c, so Newton's steps approach the solution from above.
    """
    ln_c = torch.full_like(ln_G, _LN_C_HIGHEST)
    for _ in range(_NEWTON_STEPS):
        c = torch.exp(ln_c)
        share = c / (1 + c)
        mass = torch.log1p(c) - share
        miss = ln_c - power * torch.log(mass) - ln_G
        ln_c = (ln_c - miss / (1 - power * share**2 / mass)).clamp(_LN_C_LOWEST, _LN_C_HIGHEST)
    return ln_c
