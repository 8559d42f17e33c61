"""Nodes that follow the halo radius if it depends on the cosmology.

Haloes of mean density Delta_m have the radius ``R_L Delta_m^(-1/3)``. At a fixed Lagrangian radius
R_L, u(k, M) oscillates with Delta_m, and a table of it would need dozens of functions. So nodes
lie at fixed halo radii instead: ``x = 3 ln R_L`` of each is shifted by ln Delta_m, less its middle
over the box. Profiles are then the same for every cosmology, and only sigma(R), which is smooth, is
evaluated at shifted nodes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from torch import Tensor, nn

from datagen.growth import matter_fractions
from datagen.space import Space
from emulator.semianalytic.fits import Epoch, ln_delta_m
from emulator.semianalytic.grid import MassGrid

__all__ = ["Radii", "ShiftedFunctions", "interpolation"]

Array = NDArray[np.float64]

_DIGITS = 100  # ends are rounded outwards to hundredths, the same wherever they are computed
_SHIFTS = 6  # number of shifts that functions are tabulated at; ln sigma between is good to 1e-7


@dataclass(frozen=True)
class Radii:
    """Shifts of the nodes over a box.

    Attributes:
        mass_def: Definition of the halo mass.
        middle: Logarithm of the haloes' density [mean matter density] in the middle of the box.
        half: Largest distance from the middle; 0 if the density is the same everywhere.
    """

    mass_def: str = "200m"
    middle: float = math.log(200.0)
    half: float = 0.0

    @classmethod
    def of(cls, mass_def: str, space: Space) -> "Radii":
        """Shifts over a box, for a definition of the halo mass."""
        shares = torch.linspace(*matter_fractions(space), 64, dtype=torch.float64)
        ln_delta = ln_delta_m(mass_def, shares[:, None])
        if len(ln_delta) == 1:
            return cls(mass_def, float(ln_delta))
        low = math.floor(float(ln_delta.min()) * _DIGITS) / _DIGITS
        high = math.ceil(float(ln_delta.max()) * _DIGITS) / _DIGITS
        return cls(mass_def, 0.5 * (low + high), 0.5 * (high - low))

    @property
    def radius(self) -> float:
        """Comoving halo radius [Mpc] of a node at x = 0; proportional to exp(x / 3)."""
        return math.exp(-self.middle / 3)

    def nodes(self, grid: MassGrid) -> MassGrid:
        """Grid whose nodes cover the given grid for every shift."""
        more = math.ceil(self.half / grid.spacing)
        return MassGrid(grid.nodes + 2 * more, grid.spacing, grid.start - more * grid.spacing)

    def shift(self, epoch: Epoch) -> Tensor | None:
        """Shift of the nodes in x, shape (B, 1); None if nodes are not shifted."""
        return ln_delta_m(self.mass_def, epoch.Om_m) - self.middle if self.half else None


class ShiftedFunctions(nn.Module):
    """Functions of the cosmology at shifted nodes, from their linear maps to the grid.

    Each function is interpolated to a few shifts, by a spline within the grid and straight lines
    beyond, and between the shifts by a polynomial. All of this is linear and applied to the maps.

    Args:
        grid: Grid that the maps lead to.
        radii: Shifts of the nodes.
        offsets: Additional shift in x of each function.
    """

    at: Tensor
    powers: Tensor

    def __init__(self, grid: MassGrid, radii: Radii, offsets: Sequence[float]) -> None:
        super().__init__()
        n = _SHIFTS if radii.half else 1
        t = np.cos(np.pi * (np.arange(n) + 0.5) / n)
        x, nodes = grid.x().numpy(), radii.nodes(grid).x().numpy()
        places = np.add.outer(np.array(offsets), np.add.outer(radii.half * t, nodes))
        powers = np.linalg.inv(polynomial.polyvander(t, n - 1))  # column i is 1 at t_i alone
        for name, value in (("at", interpolation(x, places)), ("powers", powers)):
            self.register_buffer(name, torch.from_numpy(value).float(), persistent=False)

    def forward(
        self, numbers: Tensor, maps: Sequence[tuple[Tensor, Tensor]], t: Tensor
    ) -> tuple[Tensor, ...]:
        """The functions, each (B, Q').

        Args:
            numbers: Numbers that the maps are applied to, shape (B, R).
            maps: Weights (Q, R) and constants (Q,) that lead to the grid, for each function.
            t: Shift in units of the largest, shape (B, 1).
        """
        shares = t ** torch.arange(len(self.powers), dtype=t.dtype) @ self.powers  # (B, n)
        numbers = torch.cat([numbers, torch.ones_like(t)], dim=1)
        products = (shares.unsqueeze(2) * numbers.unsqueeze(1)).flatten(1)  # (B, n (R + 1))
        columns = [
            at @ torch.cat([weights, constants.unsqueeze(1)], dim=1)  # (n, Q', R + 1)
            for at, (weights, constants) in zip(self.at, maps, strict=True)
        ]
        together = torch.cat(columns, dim=1).transpose(1, 2).flatten(0, 1)
        return (products @ together).chunk(len(columns), dim=1)


def interpolation(x: Array, places: Array) -> Array:
    """Matrix from values at x (Q,) to values at places (...), shape (..., Q)."""
    spline = make_interp_spline(x, np.eye(len(x)), k=5)
    within = places.clip(x[0], x[-1])
    values: Array = spline(within) + (places - within)[..., None] * spline(within, 1)
    return values
