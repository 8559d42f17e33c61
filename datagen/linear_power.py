"""The linear matter power from a small table of CAMB runs, and sigma(M) from it.

`datagen.layouts` says what is tabulated and why two densities are enough; a Chebyshev interpolation
of ln P in their logarithms replaces one CAMB run a point.
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

MASSES = (1e8, 1e17)  # that a halo model may have [Msun]
_R, _R_STEP = 0.2, np.log(650) / 191  # a radius [Mpc], and the steps in ln R from there
_MARGIN = 0.5  # in ln R, for grids that begin before the lowest mass
_ROUNDING = 1e-12


class LinearPower(Protocol):
    """The linear power of many cosmologies at once."""

    def __call__(self, cosmology: Mapping[str, Array]) -> tuple[CubicSpline, CubicSpline]:
        """Splines of ln P_lin(ln k) and ln sigma(ln R) at z = 0.

        Args:
            cosmology: ``Om_c, Om_b, h, sigma_8, n_s`` by name, each (B,).

        Returns:
            ln P_lin [ln Mpc^3] over ln k [ln 1/Mpc] and ln sigma over ln R [ln Mpc], each with
            values of shape (..., B), and NaN where they know nothing.
        """
        ...


@dataclass(frozen=True)
class TableBox:
    """Which physical densities a table covers, with how many Chebyshev nodes, by which CAMB.

    Attributes:
        omega_c: Smallest and largest Om_c h^2.
        baryons: Smallest and largest second density, see `Layout.tilt`.
        nodes: Number of nodes in the logarithms of the two.
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
        """The smallest box that holds a parameter space; converged, with the layout's own nodes."""
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
        """What its tables store."""
        return LAYOUTS[self.camb]

    def covers(self, other: "TableBox") -> bool:
        """Whether a table of this box serves another box of the same CAMB."""
        ends = ((self.omega_c, other.omega_c), (self.baryons, other.baryons))
        return self.camb == other.camb and all(
            ours[0] <= theirs[0] * (1 + _ROUNDING) and theirs[1] <= ours[1] * (1 + _ROUNDING)
            for ours, theirs in ends
        )

    def request(self) -> dict[str, Any]:
        """What the table is to be, as JSON takes it."""
        return {
            "camb": self.camb,
            "omega_c": list(self.omega_c),
            "baryons": list(self.baryons),
            "nodes": list(self.nodes),
            "layout": self.layout.key(),
        }

    @property
    def key(self) -> str:
        """Content key: a hash of all that decides the table's numbers."""
        code = code_hash(*self.layout.modules, imports=False)
        content = {**self.request(), "code": code, "version": version("camb")}
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def points(self) -> Array:
        """The nodes (omega_c, omega_b), shape (nodes[0] * nodes[1], 2)."""
        axes = [
            np.mean(np.log(ends)) + 0.5 * np.log(ends[1] / ends[0]) * _chebyshev_nodes(n)
            for ends, n in zip((self.omega_c, self.baryons), self.nodes, strict=True)
        ]
        ln_c, ln_b = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        return np.exp(np.stack([ln_c, ln_b + self.layout.tilt * ln_c], axis=-1))

    def node(self, point: Array) -> Array:
        """One run of CAMB, at a node (omega_c, omega_b): what the table stores of it."""
        return self.layout.node(*map(float, point))

    def basis(self, omega_c: Array, omega_b: Array) -> Array:
        """The products of Chebyshev polynomials, shape (B, nodes[0] * nodes[1]).

        Raises:
            ValueError: A density outside of the box.
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
        """Radii [ln Mpc] that hold the masses of every halo in the box, and a margin, (R,)."""
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
    """P_lin(k) and sigma(M) of any cosmology in a box, without running CAMB.

    Args:
        box: What it covers.
        nodes: What CAMB gave at its nodes, shape (N, `Layout.width`).
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
        """See `LinearPower`.

        Raises:
            ValueError: A density outside the table's box.
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
