"""From haloes and galaxies on the grid to the nine spectra."""

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.semianalytic.occupation import Moments
from emulator.semianalytic.profiles import Profiles

__all__ = ["Haloes", "spectra"]


@dataclass(frozen=True)
class Haloes:
    """The haloes of each point at the nodes of the grid.

    Attributes:
        n: Haloes per node [1/Mpc^3]: dn/dlnM times the spacing, shape (B, Q).
        b: Their bias, shape (B, Q).
        step: The unit step at the lowest mass, shape (B, Q).
        delta: The delta function there, times the spacing, shape (B, Q).
        volume: M / rho_m [Mpc^3], shape (Q,).
    """

    n: Tensor
    b: Tensor
    step: Tensor
    delta: Tensor
    volume: Tensor


def spectra(
    haloes: Haloes, galaxies: Moments, profiles: Profiles, t: Tensor, P_lin: Tensor
) -> dict[str, Tensor]:
    """Spectra [Mpc^3], ``P_lin``, and ``n_g`` [1/Mpc^3], ``b_eff``, ``f_sat`` by name.

    The equations of `datagen.halomodel`: sums over the grid stand for integrals over ln M.

    Args:
        haloes: On the grid.
        galaxies: On the same grid; the lowest mass is in their moments.
        profiles: The table of u(k, M).
        t: Scaled amplitude of the concentration, shape (B, 1).
        P_lin: Linear power [Mpc^3], shape (B, K).
    """
    n, b, V = haloes.n, haloes.b, haloes.volume
    N_c, N_s = galaxies.centrals, galaxies.satellites
    hosted = n * (N_c + N_s)
    density = hosted.sum(dim=1, keepdim=True)  # n_g / scale
    n = n / density  # so that galaxies have the density 1, and nothing overflows
    n_c, n_s = n * N_c, n * N_s
    centrals, satellites = n_c * b, n_s * b
    pairs = n / density
    biased = haloes.n * haloes.step * V  # mass fraction per node
    below = 1 - (biased * b).sum(dim=1, keepdim=True)  # of the bias-weighted mass
    weights = (
        2 * pairs * galaxies.central_satellite,  # gg, 1-halo
        n_c * V,  # gm, 1-halo
        satellites,  # I_g
        biased * b + below * haloes.delta,  # I_m
    )
    weights_2 = (pairs * galaxies.satellite_pairs, n_s * V, biased * V)  # gg, gm, mm, 1-halo
    u, u2 = profiles(t, torch.stack(weights, dim=1), torch.stack(weights_2, dim=1))
    gg, gm, I_s, I_m = u.unbind(dim=1)
    gg2, gm2, mm = u2.unbind(dim=1)
    I_g = centrals.sum(dim=1, keepdim=True) + I_s
    matter, galaxy = I_m * P_lin, I_g * P_lin
    terms = {
        "mm": (mm, I_m * matter),
        "gm": (gm + gm2, I_g * matter),
        "gg": (gg + gg2, I_g * galaxy),
    }
    results = {
        "P_lin": P_lin,
        "n_g": (density * galaxies.scale).squeeze(1),
        "b_eff": (centrals + satellites).sum(dim=1),
        "f_sat": n_s.sum(dim=1),
    }
    for name, (one, two) in terms.items():
        results |= {f"{name}_1h": one, f"{name}_2h": two, f"{name}_total": one + two}
    return results
