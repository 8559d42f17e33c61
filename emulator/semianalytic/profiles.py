"""Halo profiles in Fourier space, as a table on the grid of masses."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from torch import Tensor, nn

from datagen.halomodel import nfw_fourier

__all__ = ["Line", "ProfileTable", "Profiles", "tabulate"]

Array = NDArray[np.float64]
Line = Callable[[Array], Array]  # a number of ln c at each x

_FINE = 600  # points per unit of ln M that the profile is averaged over
_PAD = 14  # intervals beyond both ends, so that the end conditions of the spline do not matter
_SAMPLES = 17  # concentrations at which profiles are computed
_TOLERANCE = 3e-5  # share of u, and of u^2, that functions of the concentration may miss


@dataclass(frozen=True)
class ProfileTable:
    """u(k, M) and u^2, averaged over the grid, as ``sum_p phi_p(t) table[q, k, p]``.

    t runs over [-1, 1] with the logarithm of the concentration, and
    ``phi = [1, t, t^2, ...] @ powers``: the few functions that describe u best.

    Attributes:
        u: Table of u, shape (Q, K m).
        u_powers: Powers of the functions for u, shape (D, m).
        u2: Table of u^2.
        u2_powers: Powers of the functions for u^2.
        half_width: Half the range of ln c, shape (1,), or (Q,) if it differs between nodes.
    """

    u: Array
    u_powers: Array
    u2: Array
    u2_powers: Array
    half_width: Array


def tabulate(
    x: Array, k: Array, R: float, middle: Line, half: Line, known: Sequence[Array] = ()
) -> ProfileTable:
    """Tabulate profiles for concentrations ``exp[middle(x) + half(x) t]``, t in [-1, 1].

    Between the nodes the other factors of an integrand follow a quintic spline. u is averaged with
    its cardinal functions, so that the oscillations of u integrate exactly.

    Args:
        x: The grid, shape (Q,).
        k: Wavenumbers [1/Mpc], shape (K,).
        R: Comoving halo radius at x = 0 [Mpc]; proportional to exp(x / 3).
        middle: Middle of the range of ln c, as a function of x.
        half: Half the width of that range, as a function of x.
        known: Powers of the functions for u and for u^2, each (D, m); chosen by default.
    """
    step = x[1] - x[0]
    wide = x[0] + step * np.arange(-_PAD, len(x) + _PAD)
    points = math.ceil(step * _FINE)  # in each interval
    fine = np.linspace(wide[0], wide[-1], (len(wide) - 1) * points + 1)
    cardinal = make_interp_spline(wide, np.eye(len(wide)), k=5)(fine)[:, _PAD:-_PAD] / points
    t = np.cos(np.pi * (np.arange(_SAMPLES) + 0.5) / _SAMPLES)
    radius, ln_c, width = R * np.exp(fine / 3), middle(fine), half(fine)
    samples = [nfw_fourier(k, radius, np.exp(ln_c + width * v)) for v in t]
    u, u2 = (
        _few_functions(t, np.array([cardinal.T @ u**power for u in samples]), powers)
        for power, powers in zip((1, 2), known or (None, None), strict=True)
    )
    halves = half(x)
    return ProfileTable(*u, *u2, halves[:1] if np.ptp(halves) == 0 else halves)


def _few_functions(t: Array, u: Array, powers: Array | None = None) -> tuple[Array, Array]:
    """Table (Q, K m) and powers (D, m), found or given, of values (T, Q, K) at t."""
    T, Q, K = u.shape
    polynomials = np.vander(t, T - 4, increasing=True)
    if powers is None:
        relative = u / np.abs(u).max(axis=0)
        left, singular, _ = np.linalg.svd(relative.reshape(T, -1), full_matrices=False)
        m = int((singular > _TOLERANCE * singular[0]).sum())
        powers = np.linalg.lstsq(polynomials, left[:, :m], rcond=None)[0]  # (D, m)
    table: Any = np.linalg.lstsq(polynomials @ powers, u.reshape(T, -1), rcond=None)[0]  # (m, Q K)
    by_node: Array = table.reshape(-1, Q, K).transpose(1, 2, 0).reshape(Q, -1)
    return by_node, powers


class Profiles(nn.Module):
    """Sums over the grid of weights times u(k, M), or times u^2.

    Args:
        table: The table; if None, its shapes are those of the weights that are loaded.
    """

    _TABLES = ("u", "u_powers", "u2", "u2_powers", "half_width")
    u: Tensor
    u_powers: Tensor
    u2: Tensor
    u2_powers: Tensor
    half_width: Tensor

    def __init__(self, table: ProfileTable | None = None) -> None:
        super().__init__()
        for name in self._TABLES:
            values = np.zeros((1, 1)) if table is None else getattr(table, name)
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)).float())

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name in self._TABLES:
            if f"{prefix}{name}" in state_dict:
                setattr(self, name, torch.empty_like(state_dict[f"{prefix}{name}"]))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(
        self, t: Tensor, weights: Sequence[Tensor], weights_2: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Integrals over the profile, each (B, K).

        Args:
            t: Concentrations, scaled to [-1, 1], shape (B, Q), or (B, 1) if the same at all nodes.
            weights: Weights of u, each (B, Q).
            weights_2: Weights of u^2, each (B, Q).
        """
        if t.shape[1] > 1:
            return (
                _project_each(weights, self.u, _polynomials(t, self.u_powers)),
                _project_each(weights_2, self.u2, _polynomials(t, self.u2_powers)),
            )
        powers = t ** torch.arange(len(self.u_powers), dtype=t.dtype)
        return (
            _project(weights, self.u, powers @ self.u_powers),
            _project(weights_2, self.u2, powers @ self.u2_powers),
        )

    def each(self, t: Tensor) -> Tensor:
        """Averaged u of each node, shape (B, Q, K).

        Args:
            t: As for `forward`.
        """
        Q, m = len(self.u), self.u_powers.shape[1]
        if t.shape[1] > 1:
            rows = self.u.unflatten(1, (-1, m)).transpose(1, 2)  # (Q, m, K)
            phi = _polynomials(t, self.u_powers).transpose(1, 2).unsqueeze(2)  # (B, Q, 1, m)
            return (phi @ rows).squeeze(2)
        phi = t ** torch.arange(len(self.u_powers), dtype=t.dtype) @ self.u_powers
        return (phi @ self.u.reshape(-1, m).T).unflatten(1, (Q, -1))


def _project(weights: Sequence[Tensor], table: Tensor, phi: Tensor) -> tuple[Tensor, ...]:
    """Sums (B, K) for each of the weights (B, Q), with functions phi (B, m) of the point."""
    W, m = len(weights), phi.shape[1]
    sums = torch.cat(tuple(weights), dim=1).unflatten(1, (W, -1)) @ table  # (B, W, K m)
    sums = sums.flatten(1).unflatten(1, (-1, m)) @ phi[:, :, None]  # (B, W K, 1)
    return sums.flatten(1).chunk(W, dim=1)


def _project_each(weights: Sequence[Tensor], table: Tensor, phi: Tensor) -> tuple[Tensor, ...]:
    """As `_project`, with functions phi (B, m, Q) of the point and the node."""
    W, m = len(weights), phi.shape[1]
    rows = table.unflatten(1, (-1, m)).permute(2, 0, 1).flatten(0, 1)  # (m Q, K)
    each = torch.stack(tuple(weights), dim=1).unsqueeze(2) * phi.unsqueeze(1)  # (B, W, m, Q)
    return (each.flatten(2) @ rows).flatten(1).chunk(W, dim=1)


def _polynomials(t: Tensor, powers: Tensor) -> Tensor:
    """Functions of t (B, Q) with given powers (D, m), shape (B, m, Q)."""
    monomials = t.unsqueeze(1) ** torch.arange(len(powers), dtype=t.dtype).unsqueeze(1)
    return powers.T @ monomials
