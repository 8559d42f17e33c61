"""Linear matter power from a small table of CAMB runs, and sigma(M) from the power.

A Chebyshev interpolation of ln P in the logarithms of two densities replaces one CAMB run per
point; `datagen.layouts` explains why two densities are enough, and lists the stored quantities.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from datagen.ccl import matter_density
from datagen.layouts import LAYOUTS, CambPreset, Layout
from datagen.record import code_hash
from datagen.space import Space
from datagen.variance import Variance, lagrangian_radius

__all__ = ["LinearPower", "LinearPowerTable", "TableBox"]

Array = NDArray[np.float64]

MASSES = (1e8, 1e17)  # lowest and highest halo mass of any halo model [Msun]
_R, _R_STEP = 0.2, np.log(650) / 191  # a radius of the grid [Mpc], and its spacing in ln R
_MARGIN = 0.5  # in ln R, for grids that begin below the lowest mass
_ROUNDING = 1e-12


class LinearPower(Protocol):
    """Protocol of functions that return the linear power of many cosmologies at once."""

    def __call__(self, cosmology: Mapping[str, Array]) -> tuple[CubicSpline, CubicSpline]:
        """Return splines of ln P_lin(ln k) and ln sigma(ln R) at z = 0.

        Args:
            cosmology: ``Om_c, Om_b, h, sigma_8, n_s`` by name, each (B,).

        Returns:
            ln P_lin [ln Mpc^3] over ln k [ln 1/Mpc] and ln sigma over ln R [ln Mpc], each with
            values of shape (..., B); NaN outside of the tabulated k and R.
        """
        ...


@dataclass(frozen=True)
class TableBox:
    """Ranges of densities, number of Chebyshev nodes and CAMB accuracy of a table.

    Attributes:
        omega_c: Smallest and largest Om_c h^2.
        baryons: Smallest and largest second density, see `datagen.layouts.Layout.tilt`.
        nodes: Numbers of nodes in the logarithms of both densities.
        camb: Accuracy of CAMB, see `datagen.halomodel.HaloModelConfig`.
    """

    omega_c: tuple[float, float]
    baryons: tuple[float, float]
    nodes: tuple[int, int]
    camb: CambPreset = "converged"

    @classmethod
    def of(
        cls, space: Space, camb: CambPreset | None = None, nodes: tuple[int, int] | None = None
    ) -> "TableBox":
        """Return the smallest box that contains a parameter space.

        Args:
            space: Box of the parameters.
            camb: Accuracy of CAMB; ``converged`` by default.
            nodes: Numbers of nodes; by default those of the layout.
        """
        camb = camb or "converged"
        layout = LAYOUTS[camb]
        Om_c, Om_b, h, tilt = space.Om_c, space.Om_b, space.h, layout.tilt
        return cls(
            omega_c=(Om_c.low * h.low**2, Om_c.high * h.high**2),
            baryons=(
                Om_b.low * h.low ** (2 - 2 * tilt) / Om_c.high**tilt,
                Om_b.high * h.high ** (2 - 2 * tilt) / Om_c.low**tilt,
            ),
            nodes=nodes or layout.nodes,
            camb=camb,
        )

    @property
    def layout(self) -> Layout:
        """Layout of the tables of this box."""
        return LAYOUTS[self.camb]

    def covers(self, other: "TableBox") -> bool:
        """Return whether this box contains another one of the same CAMB accuracy."""
        ends = ((self.omega_c, other.omega_c), (self.baryons, other.baryons))
        return self.camb == other.camb and all(
            ours[0] <= theirs[0] * (1 + _ROUNDING) and theirs[1] <= ours[1] * (1 + _ROUNDING)
            for ours, theirs in ends
        )

    def request(self) -> dict[str, Any]:
        """Return the settings that define a table, as JSON types."""
        return {
            "camb": self.camb,
            "omega_c": list(self.omega_c),
            "baryons": list(self.baryons),
            "nodes": list(self.nodes),
            "layout": self.layout.key(),
        }

    @property
    def key(self) -> str:
        """Hash of everything that determines the numbers of the table, for the cache."""
        code = code_hash(*self.layout.modules, imports=False)
        content = {**self.request(), "code": code, "version": version("camb")}
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def points(self) -> Array:
        """Return the nodes (omega_c, omega_b), shape (nodes[0] * nodes[1], 2)."""
        axes = [
            np.mean(np.log(ends)) + 0.5 * np.log(ends[1] / ends[0]) * _chebyshev_nodes(n)
            for ends, n in zip((self.omega_c, self.baryons), self.nodes, strict=True)
        ]
        ln_c, ln_b = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        return np.exp(np.stack([ln_c, ln_b + self.layout.tilt * ln_c], axis=-1))

    def node(self, point: Array) -> Array:
        """Run CAMB at a node (omega_c, omega_b) and return its row of the table."""
        return self.layout.node(*map(float, point))

    def basis(self, omega_c: Array, omega_b: Array) -> Array:
        """Return products of Chebyshev polynomials, shape (B, nodes[0] * nodes[1]).

        Args:
            omega_c: Om_c h^2, shape (B,).
            omega_b: Om_b h^2, shape (B,).

        Raises:
            ValueError: A density is outside of the box.
        """
        second = omega_b / omega_c**self.layout.tilt
        values = []
        for name, omega, ends, n in (
            ("Om_c h^2", omega_c, self.omega_c, self.nodes[0]),
            (self.layout.baryons, second, self.baryons, self.nodes[1]),
        ):
            outside = (omega < ends[0] * (1 - _ROUNDING)) | (omega > ends[1] * (1 + _ROUNDING))
            if outside.any():
                raise ValueError(
                    f"{name} = {omega[outside][0]:g} is outside the table of linear power, "
                    f"[{ends[0]:g}, {ends[1]:g}]; widen the space or use linear_power: camb"
                )
            values.append(_chebyshev_basis(_interval_position(omega, ends), n))
        return (values[0][:, :, None] * values[1][:, None, :]).reshape(len(omega_c), -1)

    def radii(self) -> Array:
        """Return ln of the Lagrangian radii [ln Mpc] of all `MASSES`, with a margin, (R,)."""
        light, heavy = self._matter()
        low = np.log(lagrangian_radius(MASSES[0], heavy)) - _MARGIN
        high = np.log(lagrangian_radius(MASSES[1], light)) + _MARGIN
        steps = np.arange(
            np.floor((low - np.log(_R)) / _R_STEP), np.ceil((high - np.log(_R)) / _R_STEP) + 1
        )
        return np.log(_R) + _R_STEP * steps

    def _matter(self) -> tuple[float, float]:
        """Smallest and largest mean matter density [Msun / Mpc^3]."""
        tilt = self.layout.tilt
        omegas = (c + b * c**tilt for c, b in zip(self.omega_c, self.baryons, strict=True))
        light, heavy = (float(matter_density(omega, 1.0)) for omega in omegas)
        return light, heavy


def _chebyshev_nodes(n: int) -> Array:
    return np.cos(np.pi * (np.arange(n) + 0.5) / n)


def _chebyshev_basis(x: Array, n: int) -> Array:
    """T_0..T_{n-1} at x in [-1, 1], shape (len(x), n)."""
    return np.cos(np.arange(n) * np.arccos(np.clip(x, -1.0, 1.0))[:, None])


def _interval_position(x: Array, ends: tuple[float, float]) -> Array:
    """Position of x > 0 between two ends in the logarithm: -1 at the lower, 1 at the upper."""
    low, high = np.log(ends)
    if low == high:
        return np.zeros_like(x)
    return 2 * (np.log(x) - low) / (high - low) - 1


class LinearPowerTable:
    """P_lin(k) and sigma(M) of any cosmology in a box, interpolated between CAMB runs.

    Args:
        box: Ranges and nodes of the table.
        nodes: Rows of `TableBox.node` at `TableBox.points`, shape (N, `Layout.width`).
    """

    def __init__(self, box: TableBox, nodes: Array) -> None:
        self.box, self._layout = box, box.layout
        n0, n1 = box.nodes
        inverse = [np.linalg.inv(_chebyshev_basis(_chebyshev_nodes(n), n)) for n in box.nodes]
        values = np.asarray(nodes, np.float64).reshape(n0, n1, -1)
        self.coefficients = np.einsum("ai,bj,ijk->abk", *inverse, values).reshape(n0 * n1, -1)
        self._ln_R = box.radii()
        self._variance = Variance(self._layout.ln_k, self._ln_R)

    def __call__(self, cosmology: Mapping[str, Array]) -> tuple[CubicSpline, CubicSpline]:
        """Return splines of ln P_lin(ln k) and ln sigma(ln R); see `LinearPower`.

        Raises:
            ValueError: A density is outside of the table's box.
        """
        Om_c, Om_b, h, sigma_8, n_s = (
            np.asarray(cosmology[name], np.float64)
            for name in ("Om_c", "Om_b", "h", "sigma_8", "n_s")
        )
        omega_c, omega_b, ln_k = Om_c * h**2, Om_b * h**2, self._layout.ln_k
        stored = self.box.basis(omega_c, omega_b) @ self.coefficients
        ln_P = self._layout.spread(stored, omega_c, omega_b)
        ln_P += (n_s - self._layout.n_s)[:, None] * ln_k
        ln_P += (2 * np.log(sigma_8) - np.log(self._variance.at(ln_P, 8.0 / h)))[:, None]
        ln_sigma = 0.5 * np.log(self._variance(ln_P))
        return (
            CubicSpline(ln_k, ln_P.T, extrapolate=False),
            CubicSpline(self._ln_R, ln_sigma.T, extrapolate=False),
        )
