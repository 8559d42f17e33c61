"""The linear matter power from a small table of CAMB runs, and sigma(M) from it.

In flat LCDM the *shape* of P_lin(k), k in 1/Mpc, depends on the physical densities
omega_c = Om_c h^2 and omega_b = Om_b h^2 alone (to 2e-5 for k > 1e-2 1/Mpc): h acts through the
growth, which sigma_8 absorbs. The tilt is analytic, ``P ~ k^n_s T(k)^2``. So a Chebyshev
interpolation of ln P in (ln omega_c, ln omega_b) replaces one CAMB run a point.

It is as smooth as CAMB is rough: where wiggles are strong (omega_c < 0.06, k near 0.4 1/Mpc) CAMB's
own sampling in k leaves 3e-3, which no number of nodes removes (`benchmarks.convergence`).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from tqdm.auto import tqdm

from datagen.ccl import camb_power
from datagen.files import cache_directory
from datagen.header import read_arrays, write_arrays
from datagen.record import code_hash
from datagen.space import Space

__all__ = ["LinearPowerTable", "TableBox", "lagrangian_radius"]

Array = NDArray[np.float64]
NodeMap = Callable[[Callable[[Array], Array], Iterable[Array]], Iterable[Array]]

K_MIN, K_MAX, N_K = 5e-5, 1e3, 1200  # pyccl's own limits of the sigma(M) integral [1/Mpc]
R_MIN, R_MAX, N_R = 0.2, 130.0, 192  # covers 1e10..1e17 Msun for every matter density [Mpc]
N_S_REFERENCE, SIGMA_8_REFERENCE = 0.96, 0.9
OM_M_REFERENCE = 0.33  # any flat cosmology with the node's omegas will do
SCHEMA = "hodspectra-table-2"


class LinearPower(Protocol):
    """The linear power of many cosmologies at once."""

    def __call__(self, cosmology: Mapping[str, Array]) -> tuple[CubicSpline, CubicSpline]:
        """Splines of ln P_lin(ln k) and ln sigma(ln R) at z = 0.

        Args:
            cosmology: ``Om_c, Om_b, h, sigma_8, n_s`` by name, each (B,).

        Returns:
            ln P_lin [ln Mpc^3] over ln k [ln 1/Mpc] and ln sigma over ln R [ln Mpc], each with
            values of shape (..., B).
        """
        ...


@dataclass(frozen=True)
class TableBox:
    """Which physical densities a table covers, and with how many Chebyshev nodes.

    Attributes:
        omega_c: Smallest and largest Om_c h^2.
        omega_b: Smallest and largest Om_b h^2.
        nodes: Number of nodes in ln omega_c and in ln omega_b.
    """

    omega_c: tuple[float, float]
    omega_b: tuple[float, float]
    nodes: tuple[int, int] = (32, 10)

    @classmethod
    def of(cls, space: Space, nodes: tuple[int, int]) -> "TableBox":
        """The smallest box that holds a parameter space."""
        h_low, h_high = space.h.low**2, space.h.high**2
        return cls(
            omega_c=(space.Om_c.low * h_low, space.Om_c.high * h_high),
            omega_b=(space.Om_b.low * h_low, space.Om_b.high * h_high),
            nodes=nodes,
        )

    @property
    def key(self) -> str:
        """Content key: a hash of all that decides the table's numbers."""
        content = {
            "schema": SCHEMA,
            "omega_c": self.omega_c,
            "omega_b": self.omega_b,
            "nodes": self.nodes,
            "k": (K_MIN, K_MAX, N_K),
            "reference": (N_S_REFERENCE, SIGMA_8_REFERENCE, OM_M_REFERENCE),
            "code": code_hash("datagen.ccl", "datagen.linear_power", imports=False),
            "pyccl": version("pyccl"),
            "camb": version("camb"),
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def path(self) -> Path:
        """Where the table is cached."""
        return cache_directory() / f"linear-power-{self.key}.npz"

    def points(self) -> Array:
        """The nodes (ln omega_c, ln omega_b), shape (nodes[0] * nodes[1], 2)."""
        axes = [
            np.mean(np.log(ends)) + 0.5 * np.log(ends[1] / ends[0]) * _chebyshev_nodes(n)
            for ends, n in zip((self.omega_c, self.omega_b), self.nodes, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


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


def wavenumbers() -> Array:
    """The table's wavenumbers [1/Mpc], shape (N_K,)."""
    return np.geomspace(K_MIN, K_MAX, N_K)


def camb_node(point: Array) -> Array:
    """Ln P_lin from CAMB at one node (ln omega_c, ln omega_b), shape (N_K,)."""
    omega_c, omega_b = np.exp(point)
    h = np.sqrt((omega_c + omega_b) / OM_M_REFERENCE)
    cosmology = {
        "Om_c": omega_c / h**2,
        "Om_b": omega_b / h**2,
        "h": float(h),
        "sigma_8": SIGMA_8_REFERENCE,
        "n_s": N_S_REFERENCE,
    }
    return np.log(camb_power(cosmology, wavenumbers()))


def _in_turn(function: Callable[[Array], Array], points: Iterable[Array]) -> Iterable[Array]:
    return map(function, tqdm(list(points), desc="CAMB for P_lin", unit="run"))


def _top_hat(x: Array) -> Array:
    """Fourier transform of a spherical top-hat, 3 (sin x - x cos x) / x^3."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    return np.where(x < 0.02, 1 - x**2 / 10 + x**4 / 280, exact)


class LinearPowerTable:
    """P_lin(k) and sigma(M) of any cosmology in a box, without running CAMB.

    ``sigma^2(R) = int dln k k^3 P(k) W^2(k R) / (2 pi^2)`` is one matrix product over fixed
    radii; the density of the cosmology enters only when radii are named by masses.
    """

    def __init__(self, box: TableBox, ln_power: Array) -> None:
        self.box = box
        n0, n1 = box.nodes
        inverse = [np.linalg.inv(_chebyshev_basis(_chebyshev_nodes(n), n)) for n in box.nodes]
        nodes = ln_power.reshape(n0, n1, -1)
        self._coefficients = np.einsum("ai,bj,ijk->abk", *inverse, nodes).reshape(n0 * n1, -1)
        self._ln_k = np.log(wavenumbers())
        self._ln_R = np.linspace(np.log(R_MIN), np.log(R_MAX), N_R)
        step = self._ln_k[1] - self._ln_k[0]
        weights = np.full(N_K, step)
        weights[[0, -1]] /= 2
        k = wavenumbers()
        self._sigma_kernel = weights * k**3 / (2 * np.pi**2)  # (N_K,)
        self._window = _top_hat(k[:, None] * np.exp(self._ln_R)) ** 2  # (N_K, N_R)

    @classmethod
    def load_or_build(cls, box: TableBox, node_map: NodeMap | None = None) -> "LinearPowerTable":
        """The table from the cache, or from CAMB (half a second a node) and then cached.

        Args:
            box: What the table covers.
            node_map: Runs `camb_node` over the nodes, in order, perhaps in parallel; by default
                one after another.
        """
        shape = (box.nodes[0] * box.nodes[1], N_K)
        cached = read_arrays(box.path, SCHEMA)  # one that was damaged is computed again
        if cached is None or cached["ln_power"].shape != shape:
            cached = {"ln_power": np.array(list((node_map or _in_turn)(camb_node, box.points())))}
            write_arrays(box.path, SCHEMA, cached)
        return cls(box, cached["ln_power"])

    def __call__(self, cosmology: Mapping[str, Array]) -> tuple[CubicSpline, CubicSpline]:
        """Splines of ln P_lin(ln k) and ln sigma(ln R) at z = 0, for many cosmologies.

        Args:
            cosmology: ``Om_c, Om_b, h, sigma_8, n_s`` by name, each (B,).

        Returns:
            ln P_lin [ln Mpc^3] over ln k [ln 1/Mpc] and ln sigma over ln R [ln Mpc], each with
            values of shape (..., B).

        Raises:
            ValueError: A density outside the table's box.
        """
        Om_c, Om_b, h, sigma_8, n_s = (
            cosmology[name] for name in ("Om_c", "Om_b", "h", "sigma_8", "n_s")
        )
        position = []
        for name, omega, ends in (
            ("Om_c h^2", Om_c * h**2, self.box.omega_c),
            ("Om_b h^2", Om_b * h**2, self.box.omega_b),
        ):
            outside = (omega < ends[0] * (1 - 1e-12)) | (omega > ends[1] * (1 + 1e-12))
            if outside.any():
                raise ValueError(
                    f"{name} = {omega[outside][0]:g} is outside the table of linear power, "
                    f"[{ends[0]:g}, {ends[1]:g}]; widen the space or use linear_power: camb"
                )
            position.append(_interval_position(omega, ends))
        n0, n1 = self.box.nodes
        basis = _chebyshev_basis(position[0], n0)[:, :, None]
        basis = basis * _chebyshev_basis(position[1], n1)[:, None, :]  # (B, n0, n1)
        ln_power = basis.reshape(len(Om_c), -1) @ self._coefficients  # (B, N_K)
        ln_power += (n_s - N_S_REFERENCE)[:, None] * self._ln_k
        ln_power += 2 * np.log(sigma_8 / self._sigma(ln_power, 8.0 / h))[:, None]
        variance = (np.exp(ln_power) * self._sigma_kernel) @ self._window  # (B, N_R)
        return (
            CubicSpline(self._ln_k, ln_power.T),
            CubicSpline(self._ln_R, 0.5 * np.log(variance).T),
        )

    def _sigma(self, ln_power: Array, R: Array) -> Array:
        """Sigma of each row at its own radius R [Mpc], shape (B,)."""
        window = _top_hat(np.exp(self._ln_k) * R[:, None]) ** 2  # (B, N_K)
        return np.sqrt((np.exp(ln_power) * self._sigma_kernel * window).sum(axis=1))


def lagrangian_radius(M: Array, rho_m: float) -> Array:
    """Radius [Mpc] of a sphere of mean density rho_m [Msun / Mpc^3] that holds mass M [Msun]."""
    return np.cbrt(3 * M / (4 * np.pi * rho_m))
