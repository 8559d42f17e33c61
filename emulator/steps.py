"""Steps of any width on an even grid: where haloes begin, and where they begin to host galaxies.

A sum over an even grid integrates what is smooth on the scale of its spacing, and a step is not.
Here the derivative of a step, a density of thresholds, is replaced by a normal density of a width
that the grid resolves, times Hermite polynomials that restore its first four moments
(Gram-Charlier). Against a smooth function the integral is then the same up to its fifth
derivative, whatever the width of the true step, zero included.
"""

import math

import numpy as np
import torch
from numpy.polynomial import hermite_e
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["MOMENTS", "Threshold", "lower_edge"]

MOMENTS = 4
# Narrowest step that is taken as it is, in spacings. Errors are flat from 0.8 to 1; at 0.65, where
# a sum no longer resolves it, the 95 % error of gg's 1-halo term is six times larger.
_NARROW = 0.85
_DRAWS = 48  # nodes of the threshold's distribution, over +- 4.6 sigma
_ROOT_2, _ROOT_2_PI = math.sqrt(2), math.sqrt(2 * math.pi)
# exp(-t^2) counts as zero from here on: no abundance of haloes makes up for 1e-17, and with the
# subnormal numbers that come of it a CPU computes ten times slower.
_END = 40.0


def lower_edge(t: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the unit step, and the delta function, of width zero on an even grid.

    Args:
        t: Distance from the edge in units of sqrt(2) spacings, shape (B, Q).

    Returns:
        Twice the step, and the delta function times the spacing, each (B, Q).
    """
    # Gram-Charlier coefficients of a zero width: -1/2 of He_2 and 1/8 of He_4
    square = t * t
    bell = _bell(square)
    a, b = 1.75 * _ROOT_2 / _ROOT_2_PI, 0.5 * _ROOT_2 / _ROOT_2_PI
    step = torch.erf(t) + 1 + bell * t * (a - b * square)
    delta = bell * (1.875 / _ROOT_2_PI + square * (square * (0.5 / _ROOT_2_PI) - 2.5 / _ROOT_2_PI))
    return step, delta


class Threshold(nn.Module):
    """The occupation ``e = [1 + erf(ln(M/Mth) / (sqrt(2) sigma))] / 2`` and e^2, on a grid.

    A step wider than the spacing is taken as it is. A narrower one is replaced as the module
    says; so that it also holds where the step is cut by the lowest mass, the moments are those of
    the thresholds after moving the ones below that mass onto it.

    Args:
        spacing: Spacing of the grid in ln M.
    """

    draws: Tensor
    moments: Tensor
    bias: Tensor

    def __init__(self, spacing: float) -> None:
        super().__init__()
        self.narrow = _NARROW * spacing
        draws, moments, bias = _moments()
        self.register_buffer("draws", torch.tensor(draws, dtype=torch.float32), persistent=False)
        self.register_buffer(
            "moments", torch.tensor(moments, dtype=torch.float32), persistent=False
        )
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float32), persistent=False)

    def forward(
        self, distance: Tensor, sigma: Tensor, gap: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Twice e, four times e^2, and whether the cut at the lowest mass is in them already.

        Args:
            distance: ln(M / Mth), shape (B, Q).
            sigma: Width of the threshold in ln M, shape (B, 1).
            gap: ln(M_min / Mth), shape (B, 1).
        """
        inverse = torch.clamp(sigma, min=self.narrow).reciprocal()
        is_narrow = sigma < self.narrow
        cut = torch.where(is_narrow, gap * inverse, -100.0)
        z = torch.maximum((sigma * inverse) * self.draws, cut)  # (B, draws)
        z2 = z * z
        powers = torch.cat([z, z2, z2 * z, z2 * z2], dim=1)
        c = torch.addmm(self.bias, powers, self.moments).split(1, dim=1)
        t = distance * (inverse / _ROOT_2)
        bell, twice = _bell(t * t), torch.erf(t) + 1
        e = twice + bell * (((c[3] * t + c[2]) * t + c[1]) * t + c[0])
        e2 = twice * twice + bell * (((c[7] * t + c[6]) * t + c[5]) * t + c[4])
        return e, e2, is_narrow


def _bell(square: Tensor) -> Tensor:
    return torch.where(square < _END, torch.exp(-square), 0.0)


def _moments() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Nodes of the thresholds, and what takes their powers to cubics in t.

    The thresholds of e are normal, those of e^2 are the larger of two normal numbers. Column 4 i
    + j of the matrix gives the coefficient of t^j, i = 0 for 2 e and i = 1 for 4 e^2; the bias
    takes off what a step of the resolved width has already.
    """
    draws = (np.arange(_DRAWS) + 0.5) / _DRAWS * 9.2 - 4.6
    below = torch.special.ndtr(torch.from_numpy(draws)).numpy()
    weights = np.exp(-0.5 * draws**2) * np.stack([np.ones(_DRAWS), below])
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((MOMENTS, _DRAWS, 2, MOMENTS))
    for n in range(1, MOMENTS + 1):
        of_z = hermite_e.herme2poly([0] * n + [1]) / math.factorial(n)
        of_t = hermite_e.herme2poly([0] * (n - 1) + [1]) * _ROOT_2 ** np.arange(n)
        for i, scale in enumerate((2.0, 4.0)):
            for power in range(1, n + 1):
                term = -scale / _ROOT_2_PI * of_z[power] * of_t
                matrix[power - 1, :, i, :n] += weights[i][:, None] * term
    flat = matrix.reshape(MOMENTS * _DRAWS, 2 * MOMENTS)
    resolved = np.concatenate([draws**power for power in range(1, MOMENTS + 1)])
    return draws, flat, -resolved @ flat
