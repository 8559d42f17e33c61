"""Halo profiles in Fourier space, as a table on the grid of masses."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from torch import Tensor, nn

from datagen.halomodel import nfw_fourier

__all__ = ["ProfileTable", "Profiles", "tabulate"]

Array = NDArray[np.float64]

_FINE = 64  # points per interval of the grid that the profile is averaged over
_PAD = 14  # intervals beyond both ends, so that the end conditions of the spline do not matter
_SAMPLES = 17  # concentrations at which profiles are computed
_TOLERANCE = 1e-5  # share of u, and of u^2, that powers of the concentration may miss
_RANK = 36  # of u over k; the next singular value is below 1e-7


@dataclass(frozen=True)
class ProfileTable:
    """u(k, M) and u^2, averaged over the grid, as ``sum_pr phi_p(t) table[q, p, r] basis[r, k]``.

    t runs over [-1, 1] with the logarithm of the concentration's amplitude, and ``phi = [1, t,
    t^2, ...] @ powers``.

    Attributes:
        u: Table of u, shape (Q, m R).
        u_basis: Shape (R, K).
        u_powers: Shape (D, m).
        u2: Table of u^2.
        u2_basis: As `u_basis`.
        u2_powers: As `u_powers`.
    """

    u: Array
    u_basis: Array
    u_powers: Array
    u2: Array
    u2_basis: Array
    u2_powers: Array


def tabulate(x: Array, k: Array, R: Array, ln_c: Array, low: float, high: float) -> ProfileTable:
    """The table for concentrations exp(ln_c + a), a between two ends.

    Between the nodes the other factors of an integrand follow a quintic spline; its cardinal
    functions are what u is averaged with, so that its oscillations integrate exactly.

    Args:
        x: The grid, shape (Q,).
        k: Wavenumbers [1/Mpc], shape (K,).
        R: Comoving halo radii at x = 0 [Mpc]; they go as exp(x / 3).
        ln_c: Slope and value at x = 0 of ln c at a = 0, a straight line in x.
        low: Smallest a.
        high: Largest a.
    """
    step = x[1] - x[0]
    wide = x[0] + step * np.arange(-_PAD, len(x) + _PAD)
    fine = np.linspace(wide[0], wide[-1], (len(wide) - 1) * _FINE + 1)
    cardinal = make_interp_spline(wide, np.eye(len(wide)), k=5)(fine)[:, _PAD:-_PAD] / _FINE
    t = np.cos(np.pi * (np.arange(_SAMPLES) + 0.5) / _SAMPLES)
    radius, straight = R * np.exp(fine / 3), np.polyval(ln_c, fine)
    parts: list[Array] = []
    samples = [
        nfw_fourier(k, radius, np.exp(straight + 0.5 * (low + high + (high - low) * v))) for v in t
    ]
    for power in (1, 2):
        parts += _compress(t, np.array([cardinal.T @ u**power for u in samples]))
    return ProfileTable(*parts)


def _compress(t: Array, u: Array) -> tuple[Array, Array, Array]:
    """Table (Q, m R), basis (R, K) and powers (D, m) of values (T, Q, K) at t."""
    T, Q, K = u.shape
    size = np.abs(u).max(axis=0)  # (Q, K)
    left, singular, _ = np.linalg.svd((u / size).reshape(T, -1), full_matrices=False)
    m = int((singular > _TOLERANCE * singular[0]).sum())
    polynomials = np.vander(t, T - 4, increasing=True)
    powers = np.linalg.lstsq(polynomials, left[:, :m], rcond=None)[0]  # (D, m)
    phi = polynomials @ powers
    coefficients = np.linalg.lstsq(phi, u.reshape(T, -1), rcond=None)[0].reshape(m, Q, K)
    scale = np.sqrt((size**2).mean(axis=0))  # (K,)
    rows = (coefficients / scale).transpose(1, 0, 2).reshape(Q * m, K)
    basis = np.linalg.svd(rows, full_matrices=False)[2][: min(_RANK, K)]
    return (rows @ basis.T).reshape(Q, -1), basis * scale, powers


class Profiles(nn.Module):
    """Sums over the grid of weights times u(k, M), or times u^2."""

    def __init__(self, table: ProfileTable) -> None:
        super().__init__()
        for name in ("u", "u_basis", "u_powers", "u2", "u2_basis", "u2_powers"):
            values = torch.from_numpy(np.ascontiguousarray(getattr(table, name))).float()
            self.register_buffer(name, values)

    def forward(self, t: Tensor, weights: Tensor, weights_2: Tensor) -> tuple[Tensor, Tensor]:
        """Integrals over the profile, shapes (B, W, K) and (B, W2, K).

        Args:
            t: Amplitude of the concentration, scaled to [-1, 1], shape (B, 1).
            weights: Of u, shape (B, W, Q).
            weights_2: Of u^2, shape (B, W2, Q).
        """
        powers = [torch.ones_like(t), t]
        while len(powers) < len(self.u_powers):
            powers.append(powers[-1] * t)
        t_powers = torch.cat(powers, dim=1)
        one = _project(weights, self.u, t_powers @ self.u_powers, self.u_basis)
        return one, _project(weights_2, self.u2, t_powers @ self.u2_powers, self.u2_basis)


def _project(weights: Tensor, table: Tensor, phi: Tensor, basis: Tensor) -> Tensor:
    m = phi.shape[1]
    sums = (weights @ table).unflatten(2, (m, -1))  # (B, W, m, R)
    return (sums * phi[:, None, :, None]).sum(dim=2) @ basis  # (B, W, K)
