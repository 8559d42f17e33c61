"""The halo occupation on the grid: what the integrals over halo mass need to know of galaxies."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import hermite_e
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator.semianalytic.grid import bell

__all__ = ["Linke22", "Moments", "Threshold"]

ORDER = 8  # moments that a narrow threshold keeps
_RESOLVED = 1.0  # narrowest step, in spacings, that a sum over the grid resolves
_WIDE = 2.0  # in these; wider steps need no help at the lowest mass
_DRAWS = 48  # nodes of the threshold's distribution, over +- 4.6 sigma
_ROOT_2, _ROOT_2_PI = math.sqrt(2), math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class Moments:
    """Factorial moments of the occupation at the nodes, divided by a number of each point.

    The lower limit of halo masses is in them. Division by ``scale`` (its square, for pairs) keeps
    numbers within float32, whatever the amplitudes of centrals and satellites.

    Attributes:
        centrals: <N_c> / scale, shape (B, Q).
        satellites: <N_s> / scale.
        central_satellite: <N_c N_s> / scale^2.
        satellite_pairs: <N_s (N_s - 1)> / scale^2.
        scale: Shape (B, 1).
    """

    centrals: Tensor
    satellites: Tensor
    central_satellite: Tensor
    satellite_pairs: Tensor
    scale: Tensor


class Threshold(nn.Module):
    """e = [1 + erf(ln(M/Mth) / (sqrt(2) sigma))] / 2 above a lowest mass, and e^2, on the grid.

    e is the share of haloes whose own, normally distributed, threshold lies below M. A step that
    the grid resolves is taken as it is. A narrower one is replaced by the narrowest resolved one,
    times Hermite polynomials that restore the moments of the true distribution of thresholds
    (Gram-Charlier A): against a smooth function both have the same integral up to its ninth
    derivative. Where the lowest mass cuts the step, thresholds below are moved onto it before
    their moments are taken; for wide steps the cut is a factor by itself, and between the two the
    weight changes smoothly.

    Args:
        spacing: Spacing of the grid in ln M.
    """

    draws: Tensor
    coefficients: Tensor
    bias: Tensor

    def __init__(self, spacing: float) -> None:
        super().__init__()
        self.resolved = _RESOLVED * spacing
        draws, coefficients, bias = _moment_coefficients()
        for name, array in (("draws", draws), ("coefficients", coefficients), ("bias", bias)):
            tensor = torch.tensor(array, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)

    def forward(
        self, distance: Tensor, sigma: Tensor, gap: Tensor, step: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Shares of haloes that host galaxies, e and e^2, each (B, Q).

        Args:
            distance: ln(M / Mth), shape (B, Q).
            sigma: Width of the threshold in ln M, shape (B, 1).
            gap: ln(M_min / Mth), shape (B, 1).
            step: The unit step at M_min, shape (B, Q).
        """
        width = torch.clamp(sigma, min=self.resolved)
        w = torch.clamp(sigma * (1 / ((_WIDE - 1) * self.resolved)) - 1 / (_WIDE - 1), 0, 1)
        w = w * w * (3 - 2 * w)  # 0 for narrow steps, 1 for wide ones
        z = torch.maximum(sigma * self.draws, gap) / width  # (B, draws)
        z2 = z * z
        low = torch.cat([z, z2, z2 * z, z2 * z2], dim=1)
        powers = torch.cat([low, low * (z2 * z2).repeat(1, 4)], dim=1)  # z .. z^8
        c = torch.addmm(self.bias, powers, self.coefficients) * (1 - w)  # (B, 2 ORDER)
        t = distance / (width * _ROOT_2)
        t2 = t * t
        density = bell(t2)
        odd = torch.stack([density, density * t], dim=1)  # (B, 2, Q)
        odd = torch.cat([odd, odd * t2.unsqueeze(1)], dim=1)
        basis = torch.cat([odd, odd * (t2 * t2).unsqueeze(1)], dim=1)  # t^0 .. t^7
        correction, correction_2 = (c.unflatten(1, (2, ORDER)) @ basis).unbind(dim=1)
        e = 0.5 + 0.5 * torch.erf(t)
        cut = 1 + w * (step - 1)
        return e * cut + correction, e * e * cut + correction_2


class Linke22(nn.Module):
    """The occupation of Linke et al. 2022 (A&A 665, A38), satellites independent of centrals.

    ``N_c = alpha e`` and ``N_s = e (M / Mprime)^beta``, with Poisson satellites. The scale of its
    moments is alpha + S, S = (Mth / Mprime)^beta.

    Args:
        spacing: Spacing of the grid in ln M.
    """

    def __init__(self, spacing: float) -> None:
        super().__init__()
        self.threshold = Threshold(spacing)

    def forward(
        self,
        alpha: Tensor,
        sigma: Tensor,
        beta: Tensor,
        distance: Tensor,
        ln_ratio: Tensor,
        gap: Tensor,
        step: Tensor,
    ) -> Moments:
        """Moments at the nodes.

        Args:
            alpha: Shape (B, 1), as all that follow but `distance` and `step`.
            sigma: Width of the threshold in ln M.
            beta: Slope of the satellites.
            distance: ln(M / Mth), shape (B, Q).
            ln_ratio: ln(Mth / Mprime).
            gap: ln(M_min / Mth).
            step: The unit step at M_min, shape (B, Q).
        """
        e, e2 = self.threshold(distance, sigma, gap, step)
        S = torch.exp(beta * ln_ratio)
        scale = alpha + S
        central, slope = alpha / scale, torch.exp(beta * distance) * (S / scale)
        satellites = e2 * slope
        return Moments(e * central, e * slope, satellites * central, satellites * slope, scale)


def _moment_coefficients() -> tuple[NDArray[np.float64], ...]:
    """Nodes of the thresholds, and what takes their powers to polynomials in t.

    The thresholds of e are normal, those of e^2 are the larger of two normal numbers. Column
    ORDER i + j gives the coefficient of t^j, i = 0 for e and 1 for e^2; the bias takes off what a
    step of the resolved width has already.
    """
    draws = (np.arange(_DRAWS) + 0.5) / _DRAWS * 9.2 - 4.6
    below = torch.special.ndtr(torch.from_numpy(draws)).numpy()
    weights = np.exp(-0.5 * draws**2) * np.stack([np.ones(_DRAWS), below])
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((ORDER, _DRAWS, 2, ORDER))
    for n in range(1, ORDER + 1):
        of_z = hermite_e.herme2poly([0] * n + [1]) / math.factorial(n)
        of_t = hermite_e.herme2poly([0] * (n - 1) + [1]) * _ROOT_2 ** np.arange(n)
        for i in range(2):
            for power in range(1, n + 1):
                term = -of_z[power] * of_t / _ROOT_2_PI
                matrix[power - 1, :, i, :n] += weights[i][:, None] * term
    flat = matrix.reshape(ORDER * _DRAWS, 2 * ORDER)
    resolved = np.concatenate([draws**power for power in range(1, ORDER + 1)])
    return draws, flat, -resolved @ flat
