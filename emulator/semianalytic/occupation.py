"""Galaxies on the grid of halo masses: haloes times the moments of an occupation."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import Tensor, nn
from torch.nn.functional import conv1d

from datagen.occupations import Occupation
from datagen.occupations.grid import REACH, between, cells_of, kernel
from emulator.functions import TorchOnGrid
from emulator.semianalytic.grid import MassGrid
from emulator.semianalytic.logarithms import LogSums, Powers
from emulator.semianalytic.shifts import VARIANCE, combination, gaussian_moment

__all__ = [
    "NO_HALOES",
    "ExactLinke22",
    "Galaxies",
    "Sampled",
    "Threshold",
    "Weights",
    "galaxies_of",
]

Array = NDArray[np.float64]

ORDER = 8  # moments that a narrow threshold keeps
_AROUND = 8  # nodes on each side of the threshold that depend on its width
_FARTHEST = 5.0  # widths between threshold and lowest mass beyond which nothing is cut
_CURVES = 20  # error functions that the moments of a cut threshold are fitted with
_CURVE_WIDTH, _RIDGE = 0.7, 1e-14
_ROOT_2 = math.sqrt(2)
_MIDDLE = 0.5  # of the densities that restore moments: above the threshold, in spacings
_TILT = _MIDDLE / VARIANCE  # moments are of integrands that fall like exp(-_TILT x), x in spacings
_SERIES = 40  # plain moments that tilted ones are summed from
_WIDTHS = np.linspace(0.0, 2.0, 41)  # of thresholds that weights are made for, in resolved ones
_CUTS = np.append(-2 * _FARTHEST, np.linspace(-_FARTHEST, 0.0, 26))  # and their cuts, in widths
_CUT_COUNTS = 0.01  # beside a threshold that is not cut
NO_HALOES = -85.0  # ln n that is negligible in all integrals; float32 ends soon after
_LN_M = "ln M"  # of a halo at x = 0


class Weights(NamedTuple):
    """Galaxies per node [1/Mpc^3]: haloes times factorial moments of the occupation, scaled.

    They include the lower limit of halo masses. Division by ``scale`` (its square, for pairs) keeps
    numbers within float32 for all amplitudes of centrals and satellites.

    Attributes:
        centrals: n <N_c> / scale, shape (B, Q).
        satellites: n <N_s> / scale, shape (B, Q).
        central_satellite: n <N_c N_s> / scale^2, shape (B, Q).
        satellite_pairs: n <N_s (N_s - 1)> / scale^2, shape (B, Q).
        scale: Scale of the moments, shape (B, 1).
    """

    centrals: Tensor
    satellites: Tensor
    central_satellite: Tensor
    satellite_pairs: Tensor
    scale: Tensor


class Galaxies(Protocol):
    """Function that returns the galaxies of an occupation on the grid."""

    def __call__(
        self, theta: Tensor, ln_M: Tensor, ln_n: Tensor, n: Tensor, step: Tensor
    ) -> Weights:
        """Galaxies at the nodes.

        Args:
            theta: Points, physical units, shape (B, P).
            ln_M: ln M [ln Msun] at x = 0, shape (B, 1).
            ln_n: ln of the haloes per node [1/Mpc^3], shape (B, Q).
            n: Haloes per node [1/Mpc^3], shape (B, Q), with a tiny lower limit.
            step: Unit step at the lowest mass, shape (B, Q).
        """


class Sampled(nn.Module):
    """Galaxies of any occupation, computed on a finer grid and summed to the nodes.

    Between the nodes, ln n and the other factors of the integrands are interpolated, so that
    features of the moments between the nodes are integrated correctly
    (`datagen.occupations.grid`).

    Args:
        occupation: The occupation.
        names: Columns of the points.
        grid: The grid of masses.
    """

    x: Tensor
    between: Tensor
    kernel: Tensor

    def __init__(self, occupation: Occupation, names: Sequence[str], grid: MassGrid) -> None:
        super().__init__()
        self.occupation, self.names = occupation, tuple(names)
        self.cells = cells = cells_of(occupation.width, grid.spacing)
        self.even = grid.start, grid.spacing / cells, (grid.nodes - 1) * cells + 1
        places = grid.start + grid.spacing / cells * np.arange(self.even[-1])
        arrays = {"x": places, "between": between(grid.nodes, cells), "kernel": kernel(cells)}
        for name, array in arrays.items():
            tensor = torch.tensor(array, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)

    def forward(
        self, theta: Tensor, ln_M: Tensor, ln_n: Tensor, n: Tensor, step: Tensor
    ) -> Weights:
        """Galaxies at the nodes; see `Galaxies`."""
        n = torch.exp(ln_n @ self.between)  # 0 beyond all haloes, however many galaxies in them
        point = dict(zip(self.names, theta.split(1, dim=1), strict=True))
        functions = TorchOnGrid(ln_M, *self.even)
        moments = self.occupation.moments(torch.exp(ln_M + self.x), point, functions)
        distinct = {id(one): one for one in moments}
        fine = torch.cat([n * one for one in distinct.values()], dim=0).unsqueeze(1)  # (D B, 1, F)
        summed = conv1d(
            fine, self.kernel[None, None], stride=self.cells, padding=REACH * self.cells
        )
        nodes = summed.squeeze(1).chunk(len(distinct), dim=0)
        at = {name: one * step for name, one in zip(distinct, nodes, strict=True)}
        centrals, satellites, both, pairs = (at[id(one)] for one in moments)
        return Weights(centrals, satellites, both, pairs, torch.ones_like(ln_M))


def galaxies_of(
    occupation: Occupation, names: Sequence[str], grid: MassGrid, log10M_min: float
) -> nn.Module:
    """Module that computes the moments of an occupation on a grid.

    Args:
        occupation: The occupation.
        names: Columns of the points.
        grid: The grid of masses.
        log10M_min: log10 of the lowest halo mass [Msun].
    """
    if occupation.name == "linke22":
        return ExactLinke22(names, grid, log10M_min)
    return Sampled(occupation, names, grid)


class Threshold(nn.Module):
    """e = [1 + erf(ln(M/Mth) / (sqrt(2) sigma))] / 2 above a lowest mass, and e^2, on the grid.

    e is the share of haloes whose own, normally distributed, threshold lies below M. A step that
    the grid resolves is used unchanged. A narrower step is replaced by the narrowest resolved step
    and a few normal densities around Mth that restore moments of the true step
    (`emulator.semianalytic.shifts`). Haloes become rarer with mass, the faster the more massive
    they are, so both have the same integral against a polynomial of seventh degree times a steep
    exponential, ``exp(-_TILT x)``; flatter functions are smooth anyway. Where the lowest mass cuts
    the step, thresholds below are moved onto it before their moments are taken; for wide steps the
    cut is a factor by itself, and between the two the weight changes evenly.

    Args:
        grid: The grid of masses.
    """

    curves: Tensor
    places: Tensor
    moments: Tensor
    uncut: Tensor
    wide: Tensor
    to_weights: Tensor
    shifted: Tensor
    around: Tensor
    between: Tensor

    def __init__(self, grid: MassGrid) -> None:
        super().__init__()
        self.last, self.resolved = grid.nodes - 1, VARIANCE**0.5 * grid.spacing
        self.start, self.spacing = grid.start, grid.spacing
        places = np.linspace(-_FARTHEST - 1, 1, _CURVES)
        weights, uncut = _cut_moments(places)
        shifts = (np.arange(ORDER) - 0.5 * (ORDER - 1) + _MIDDLE).astype(np.float64)
        between = np.arange(-_AROUND - shifts[-1], _AROUND - shifts[0] + 1)
        arrays = {
            "curves": np.full((1, _CURVES), 1 / _CURVE_WIDTH),
            "places": -places / _CURVE_WIDTH,
            "moments": weights,
            "uncut": uncut,
            "to_weights": _weights_of_moments(shifts),
            "shifted": _shifted(len(between)),
            "around": np.arange(-_AROUND, _AROUND + 1),
            "between": between,
        }
        arrays["wide"] = -_moments(np.array([-2 * _FARTHEST])).T * arrays["to_weights"]
        for name, array in arrays.items():
            tensor = torch.tensor(array, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)

    def sums(self, x: Powers) -> tuple[dict[str, list[Powers]], dict[str, Powers]]:
        """Sums of logarithms, and of parameters, that `forward` takes by name.

        Args:
            x: Sum that is the place x of the threshold on the grid.
        """
        place: Powers = _times(x, 1 / self.spacing, -self.start / self.spacing)
        nodes = self.start + self.spacing * np.arange(self.last + 1)
        width = {"sigma": 1.0, "": -math.log(self.resolved)}
        sums: dict[str, list[Powers]] = {
            "ln M / Mth": [_times(x, -1.0, float(node)) for node in nodes],
            "node of Mth": [place],
            "powers of sigma": [_times(width, float(p)) for p in [*range(1, ORDER + 1)] * 2],
        }
        linear: dict[str, Powers] = {
            "root 2 sigma": {"sigma": _ROOT_2},
            "narrow": {"sigma": -1 / self.resolved, "": 2.0},
        }
        return sums, linear

    def forward(
        self, columns: Mapping[str, Tensor], sigma: Tensor, gap: Tensor, step: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Shares of haloes that host galaxies, e and e^2, each (B, Q).

        Args:
            columns: Values of the sums of `sums`, by name.
            sigma: Width of the threshold in ln M, shape (B, 1).
            gap: ln(M_min / Mth), shape (B, 1), not above 0.
            step: The unit step at M_min, shape (B, Q).
        """
        narrow = columns["narrow"].clamp(0.0, 1.0)  # 1 for narrow steps, 0 for wide ones
        width = columns["root 2 sigma"].clamp(min=_ROOT_2 * self.resolved)
        e = 0.5 + 0.5 * torch.erf(columns["ln M / Mth"] / width)
        plain = e * (step + narrow * (1 - step))
        index, lacking = self._lacking(columns, gap / sigma, narrow)
        both = (plain, plain * e)
        e, e2 = (
            values.scatter_add(1, index, local) for values, local in zip(both, lacking, strict=True)
        )
        return e, e2

    def _lacking(
        self, columns: Mapping[str, Tensor], g: Tensor, narrow: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A few nodes around Mth (B, A), and e and e^2 there, less those of a resolved step."""
        curves = torch.erf(torch.addmm(self.places, g.clamp(-_FARTHEST, 0.0), self.curves))
        moments = torch.addmm(self.uncut, curves, self.moments)  # of a step of width 1
        powers = columns["powers of sigma"]
        moments = moments * torch.exp(powers)
        wide = torch.exp(powers.clamp(min=0.0)) @ self.wide  # off go those that the step has
        weights = torch.addmm(wide, moments, self.to_weights) * narrow  # (B, 2 ORDER)
        place = columns["node of Mth"]
        nearest = torch.round(place).clamp(_AROUND, self.last - _AROUND)
        t = (nearest - place) + self.between  # (B, A + ORDER - 1)
        shapes = torch.exp((t * t) * (-0.5 / VARIANCE)) @ self.shifted  # (B, ORDER A)
        local = weights.unflatten(1, (2, ORDER)) @ shapes.unflatten(1, (ORDER, -1))
        return (nearest + self.around).long(), local.flatten(1).chunk(2, dim=1)


class ExactLinke22(nn.Module):
    """Galaxies of the occupation `linke22`, with a threshold of any width.

    Equal to `Sampled` of that occupation, but faster for narrow thresholds. The scale of the
    moments is alpha + S, S = (Mth / Mprime)^beta.

    Args:
        names: Columns of the points.
        grid: The grid of masses.
        log10M_min: log10 of the lowest halo mass [Msun].
    """

    def __init__(self, names: Sequence[str], grid: MassGrid, log10M_min: float) -> None:
        super().__init__()
        self.threshold = Threshold(grid)
        sums, linear = self.threshold.sums({"Mth": 1.0, _LN_M: -1.0})
        sums["ln Mth / Mprime"] = [{"Mth": 1.0, "Mprime": -1.0}]
        sums["ln M_min / Mth"] = [{"Mth": -1.0, "": log10M_min * math.log(10)}]
        linear |= {name: {name: 1.0} for name in ("alpha", "beta", "sigma")}
        self.sums = LogSums(names, sums, linear, logarithms=(_LN_M,))

    def forward(
        self, theta: Tensor, ln_M: Tensor, ln_n: Tensor, n: Tensor, step: Tensor
    ) -> Weights:
        """Galaxies at the nodes; see `Galaxies`."""
        columns = self.sums(theta, ln_M)
        alpha, beta = columns["alpha"], columns["beta"]
        e, e2 = self.threshold(columns, columns["sigma"], columns["ln M_min / Mth"], step)
        S = torch.exp(beta * columns["ln Mth / Mprime"])
        scale = alpha + S
        central, slope = alpha / scale, torch.exp(beta * columns["ln M / Mth"]) * (S / scale)
        n_e, n_e2 = n * e, n * e2
        satellites = n_e2 * slope
        return Weights(n_e * central, n_e * slope, satellites * central, satellites * slope, scale)


def _times(powers: Powers, factor: float, added: float = 0.0) -> dict[str, float]:
    """Multiply a sum by a factor, and add a number."""
    multiple = {name: factor * power for name, power in powers.items()}
    return multiple | {"": multiple.get("", 0.0) + added}


def _moments(g: Array, order: int = ORDER) -> Array:
    """Moments 1 .. order of thresholds that are moved up to a cut g where they lie below.

    Thresholds of e are normal, of density phi and share Phi below; those of e^2 are the larger of
    two, of density 2 phi Phi. ``<max(z, g)^p> = g^p F(g) + int_g^inf z^p f(z) dz``, and the
    integrals follow by parts: of phi, ``I_p = g^(p-1) phi + (p-1) I_(p-2)``; of 2 phi Phi,
    ``K_p = 2 g^(p-1) phi Phi + (p-1) K_(p-2) + 2 J_(p-1)``; of phi^2,
    ``2 J_p = g^(p-1) phi^2 + (p-1) J_(p-2)``.

    Returns:
        Moments of e, then of e^2, shape (N, 2 order).
    """
    Phi = 0.5 * (1 + erf(g / _ROOT_2))
    phi = np.exp(-0.5 * g * g) / math.sqrt(2 * math.pi)
    I, J, K = [1 - Phi], [(1 - erf(g)) / (4 * math.sqrt(math.pi))], [1 - Phi**2]
    for p in range(1, order + 1):
        of_I, of_J, of_K = (rows[p - 2] * (p - 1) if p > 1 else 0.0 for rows in (I, J, K))
        power = g ** (p - 1)
        I.append(power * phi + of_I)
        J.append(0.5 * (power * phi**2 + of_J))
        K.append(2 * power * phi * Phi + of_K + 2 * J[p - 1])
    powers = [g**p for p in range(1, order + 1)]
    rows = [power * Phi + each for power, each in zip(powers, I[1:], strict=True)]
    rows += [power * Phi**2 + each for power, each in zip(powers, K[1:], strict=True)]
    return np.array(rows).T


def _cut_moments(places: Array) -> tuple[Array, Array]:
    """Weights (curves, 2 ORDER) of error functions at places, and a constant, to fit `_moments`."""
    g = 0.5 * _FARTHEST * (np.cos(np.linspace(0, np.pi, 600)) - 1)
    wanted = _moments(g)
    size = np.abs(wanted).max(axis=0)
    curves = np.c_[erf((g[:, None] - places) / _CURVE_WIDTH), np.ones(len(g))]
    ridge = math.sqrt(_RIDGE * len(g)) * np.eye(curves.shape[1])
    targets = np.r_[wanted / size, np.zeros((len(ridge), len(size)))]
    weights = np.linalg.lstsq(np.r_[curves, ridge], targets, rcond=None)[0] * size
    return weights[:-1], weights[-1]


def _weights_of_moments(shifts: Array) -> Array:
    """Matrix from moments 1 .. ORDER of thresholds, in resolved widths, to weights of densities.

    Block by block for e and e^2. Densities get the tilted moments ``int C x^p exp(-_TILT x) dx``,
    p < ORDER, of the shares C of haloes that a resolved step lacks. These are linear in all plain
    moments of thresholds; least squares over widths and cuts express them by the first ORDER.
    """
    width, cut = (each.ravel() for each in np.meshgrid(_WIDTHS, _CUTS))
    counts = np.where((cut < -_FARTHEST) & (width <= 1), 1, _CUT_COUNTS / width.clip(1) ** ORDER)
    density = np.exp(0.5 * VARIANCE * _TILT**2 - _TILT * shifts)  # a tilted one's integral
    weights = np.zeros((2 * ORDER, 2 * ORDER))
    for start, lacking in zip((0, ORDER), _lacking_moments(width, cut), strict=True):
        rows = counts[:, None] * lacking
        tilted = rows * VARIANCE ** (0.5 * np.arange(1, _SERIES + 1)) @ _tilting()
        wanted = np.linalg.lstsq(rows[:, :ORDER], tilted, rcond=1e-13)[0].T.astype(np.float64)
        block = combination(shifts - _MIDDLE, gaussian_moment, wanted).T / density
        weights[start : start + ORDER, start : start + ORDER] = block
    return weights / math.sqrt(2 * math.pi * VARIANCE)


def _lacking_moments(width: Array, cut: Array) -> list[Array]:
    """Moments 1 .. _SERIES of thresholds less those of the steps in their place.

    Args:
        width: Widths of thresholds, in resolved widths, shape (N,).
        cut: Lowest mass, in widths from the threshold, shape (N,).

    Returns:
        Moments of e, and of e^2, in resolved widths, each (N, _SERIES).
    """
    powers = np.tile(np.arange(1.0, _SERIES + 1), 2)
    true = width[:, None] ** powers * _moments(cut, _SERIES)
    step = width[:, None].clip(1.0) ** powers * _moments(np.full(1, -2 * _FARTHEST), _SERIES)
    narrow = (2 - width[:, None]).clip(0.0, 1.0)
    return np.split(narrow * (true - step), 2, axis=1)


def _tilting() -> Array:
    """Matrix from moments of thresholds to tilted moments of shares C, shape (_SERIES, ORDER).

    By parts, ``int C x^p dx = - (moment p + 1) / (p + 1)``; the exponential is a series in x.
    """
    matrix = np.zeros((_SERIES, ORDER))
    for row in range(_SERIES):
        for p in range(min(row + 1, ORDER)):
            matrix[row, p] = -((-_TILT) ** (row - p)) / math.factorial(row - p) / (row + 1)
    return matrix


def _shifted(places: int) -> Array:
    """Matrix from a normal density at places between nodes to its shifted copies at the nodes.

    Row: place; column: shift times nodes plus node.
    """
    nodes = 2 * _AROUND + 1
    matrix = np.zeros((places, ORDER, nodes))
    for shift in range(ORDER):
        for node in range(nodes):
            matrix[node + ORDER - 1 - shift, shift, node] = 1
    return matrix.reshape(places, -1)
