"""The halo occupation on the grid: what the integrals over halo mass need to know of galaxies."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import hermite_e
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Linke22", "Moments", "Threshold"]

Array = NDArray[np.float64]

ORDER = 8  # moments that a narrow threshold keeps
_RESOLVED = 1.0  # narrowest step, in spacings, that a sum over the grid resolves
_WIDE = 2.0  # in these; wider steps need no help at the lowest mass
_AROUND = 12  # nodes on each side of the threshold that see its width
_END = 40.0  # exp(-t^2) hardly counts from here on
_CUT = 5.0  # widths of the threshold beyond which a cut is all or nothing
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
    weight changes evenly.

    Args:
        nodes: Nodes of the grid.
        spacing: Their spacing in ln M.
    """

    powers: Tensor
    constant: Tensor
    coefficients: Tensor
    bias: Tensor
    exponents: Tensor
    around: Tensor

    def __init__(self, nodes: int, spacing: float) -> None:
        super().__init__()
        self.nodes, self.spacing, self.resolved = nodes, spacing, _RESOLVED * spacing
        arrays = dict(zip(("powers", "constant"), _cut_moments(), strict=True))
        arrays |= zip(("coefficients", "bias"), _gram_charlier(), strict=True)
        arrays["exponents"] = np.tile(np.arange(1.0, ORDER + 1), 2)
        for name, array in arrays.items():
            tensor = torch.tensor(array, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)
        around = torch.arange(-_AROUND, _AROUND + 1)
        self.register_buffer("around", around, persistent=False)

    def forward(
        self, distance: Tensor, sigma: Tensor, gap: Tensor, step: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Shares of haloes that host galaxies, e and e^2, each (B, Q).

        Args:
            distance: ln(M / Mth), shape (B, Q).
            sigma: Width of the threshold in ln M, shape (B, 1).
            gap: ln(M_min / Mth), shape (B, 1).
            step: The unit step at M_min at the first nodes; it is 1 at the others.
        """
        width = torch.clamp(sigma, min=self.resolved)
        # 0 for narrow steps, 1 for wide ones
        w = torch.clamp(sigma * (1 / ((_WIDE - 1) * self.resolved)) - 1 / (_WIDE - 1), 0, 1)
        scale = 1 / (_ROOT_2 * width)
        index, local = self._correction(distance[:, :1], sigma, gap, width, scale, 1 - w)
        e = 0.5 + 0.5 * torch.erf(distance * scale)
        edge = step.shape[1]
        cut = torch.nn.functional.pad(1 + w * (step - 1), (0, self.nodes - edge), value=1.0)
        plain = e * cut
        corrected = (
            values.scatter_add(1, index, lacking)
            for values, lacking in zip((plain, plain * e), local, strict=True)
        )
        e, e2 = corrected
        return e, e2

    def _correction(
        self,
        first: Tensor,
        sigma: Tensor,
        gap: Tensor,
        width: Tensor,
        scale: Tensor,
        weight: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A few nodes around Mth (B, A), and what a resolved step lacks there of e and e^2."""
        g = (gap / sigma).clamp(-_CUT, _CUT)
        below = 0.5 + 0.5 * torch.erf(g / _ROOT_2)
        density = torch.exp(-0.5 * g * g) / _ROOT_2_PI
        both = density * below
        kinds = [below, density, below * below, both, density * density, torch.erf(g)]
        powers = g ** torch.arange(ORDER + 1, dtype=g.dtype)
        products = (torch.cat(kinds, dim=1).unsqueeze(2) * powers.unsqueeze(1)).flatten(1)
        moments = torch.addmm(self.constant, products, self.powers)  # (B, 2 ORDER)
        moments = moments * (sigma / width) ** self.exponents
        c = torch.addmm(self.bias, moments, self.coefficients) * weight  # (B, 2 ORDER)
        nearest = torch.round(first * (-1 / self.spacing)).clamp(_AROUND, self.nodes - 1 - _AROUND)
        index = nearest.long() + self.around  # (B, A)
        t = (first + self.spacing * index) * scale
        t2 = t * t
        basis = torch.exp(-t2.clamp(max=_END))  # (B, A)
        basis = torch.cat([basis, basis * t], dim=1)
        basis = torch.cat([basis, basis * torch.cat([t2, t2], dim=1)], dim=1)
        basis = basis.unflatten(1, (ORDER // 2, -1))
        basis = torch.cat([basis, basis * (t2 * t2).unsqueeze(1)], dim=1)  # t^0 .. t^7
        local = c.unflatten(1, (2, ORDER)) @ basis  # (B, 2, A)
        return index, local.flatten(1).chunk(2, dim=1)


class Linke22(nn.Module):
    """The occupation of Linke et al. 2022 (A&A 665, A38), satellites independent of centrals.

    ``N_c = alpha e`` and ``N_s = e (M / Mprime)^beta``, with Poisson satellites. The scale of its
    moments is alpha + S, S = (Mth / Mprime)^beta.

    Args:
        nodes: Nodes of the grid.
        spacing: Their spacing in ln M.
    """

    def __init__(self, nodes: int, spacing: float) -> None:
        super().__init__()
        self.threshold = Threshold(nodes, spacing)

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


def _cut_moments() -> tuple[Array, Array]:
    """Moments of a threshold that is moved up to a cut g where it lies below, as a linear map.

    Thresholds of e are normal, of density phi and share Phi below; those of e^2 are the larger of
    two, of density 2 phi Phi. ``<max(z, g)^p> = g^p F(g) + int_g^inf z^p f(z) dz``, and the
    integrals follow by parts: of phi, ``I_p = g^(p-1) phi + (p-1) I_(p-2)``; of 2 phi Phi,
    ``K_p = 2 g^(p-1) phi Phi + (p-1) K_(p-2) + 2 J_(p-1)``; of phi^2,
    ``2 J_p = g^(p-1) phi^2 + (p-1) J_(p-2)``.

    Returns:
        What takes ``[Phi, phi, Phi^2, phi Phi, phi^2, erf] x [1, g, .., g^ORDER]`` to the moments
        p = 1 .. ORDER of both, and what is added.
    """
    kinds = ("Phi", "phi", "Phi^2", "phi Phi", "phi^2", "erf")
    size = ORDER + 1

    def term(kind: str, power: int = 0, factor: float = 1.0) -> Array:
        row = np.zeros(len(kinds) * size + 1)
        row[-1 if kind == "1" else kinds.index(kind) * size + power] = factor
        return row

    I, J, K = [term("1") - term("Phi")], [], [term("1") - term("Phi^2")]
    J.append((term("1") - term("erf")) / (4 * math.sqrt(math.pi)))
    for p in range(1, size):
        of_I, of_J, of_K = (rows[p - 2] * (p - 1) if p > 1 else 0.0 for rows in (I, J, K))
        I.append(term("phi", p - 1) + of_I)
        J.append(0.5 * (term("phi^2", p - 1) + of_J))
        K.append(term("phi Phi", p - 1, 2.0) + of_K + 2 * J[p - 1])
    rows = [term("Phi", p) + I[p] for p in range(1, size)]
    rows += [term("Phi^2", p) + K[p] for p in range(1, size)]
    matrix = np.array(rows).T
    return matrix[:-1], matrix[-1]


def _gram_charlier() -> tuple[Array, Array]:
    """What takes moments of e and e^2, side by side, to polynomials in t that correct a step.

    Column ORDER i + j gives the coefficient of t^j, i = 0 for e and 1 for e^2; the bias takes off
    what a step of the resolved width has already.
    """
    matrix = np.zeros((2, ORDER, 2, ORDER))
    bias = np.zeros((2, ORDER))
    uncut = np.zeros(6 * (ORDER + 1))
    uncut[5 * (ORDER + 1)] = -1.0  # g -> -inf: erf is -1, all else is 0
    powers, constant = _cut_moments()
    resolved = (uncut @ powers + constant).reshape(2, ORDER)
    for n in range(1, ORDER + 1):
        of_z = hermite_e.herme2poly([0] * n + [1]) / math.factorial(n)
        of_t = hermite_e.herme2poly([0] * (n - 1) + [1]) * _ROOT_2 ** np.arange(n)
        for i in range(2):
            term = -np.outer(of_z[1:], of_t) / _ROOT_2_PI  # (power of z, power of t)
            matrix[i, :n, i, :n] += term
            bias[i, :n] -= resolved[i, :n] @ term
    return matrix.reshape(2 * ORDER, 2 * ORDER), bias.ravel()
