"""From haloes and galaxies on the grid to the nine spectra."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from emulator.semianalytic.occupation import Moments
from emulator.semianalytic.profiles import Profiles

__all__ = ["Haloes", "spectra"]


@dataclass(frozen=True)
class Haloes:
    """The haloes of each point at the nodes of the grid.

    Attributes:
        n: Haloes per node [1/Mpc^3]: dn/dlnM times the spacing, shape (B, Q).
        b: Their bias, shape (B, Q).
        step: The unit step at the lowest mass, at the first nodes; it is 1 at the others.
        delta: The delta function there, times the spacing; it is 0 at the others.
        volume: M / rho_m [Mpc^3], shape (Q,), or (B, Q) where nodes follow the halo radius.
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
        t: Concentrations, scaled, shape (B, Q), or (B, 1) if each node's is the same.
        P_lin: Linear power [Mpc^3], shape (B, K).
    """
    n, b, V = haloes.n, haloes.b, haloes.volume
    rest = (0, n.shape[1] - haloes.step.shape[1])
    step, delta = pad(haloes.step, rest, value=1.0), pad(haloes.delta, rest)
    n_c, n_s, mass = n * galaxies.centrals, n * galaxies.satellites, n * V
    centrals, satellites, matter = n_c * b, n_s * b, mass * step
    biased = matter * b
    below = 1 - biased.sum(dim=1, keepdim=True)  # of the bias-weighted mass, in smaller haloes
    weights = (
        2 * n * galaxies.central_satellite,  # gg, 1-halo
        n_c * V,  # gm, 1-halo
        satellites,  # I_g
        biased + below * delta,  # I_m
    )
    weights_2 = (n * galaxies.satellite_pairs, n_s * V, matter * V)  # gg, gm, mm, 1-halo
    (gg, gm, I_s, I_m), (gg2, gm2, mm) = profiles(t, weights, weights_2)
    N_c, N_s, b_c, b_s = (
        part.sum(dim=1, keepdim=True) for part in (n_c, n_s, centrals, satellites)
    )
    N = N_c + N_s
    each = N.reciprocal()
    I_g = (b_c + I_s) * each
    matter_2h, galaxy_2h = I_m * P_lin, I_g * P_lin
    terms = {
        "mm": (mm, I_m * matter_2h),
        "gm": ((gm + gm2) * each, I_g * matter_2h),
        "gg": ((gg + gg2) * each * each, I_g * galaxy_2h),
    }
    numbers = {"n_g": N * galaxies.scale, "b_eff": (b_c + b_s) * each, "f_sat": N_s * each}
    results = {"P_lin": P_lin} | {name: value.squeeze(1) for name, value in numbers.items()}
    for name, (one, two) in terms.items():
        results |= {f"{name}_1h": one, f"{name}_2h": two, f"{name}_total": one + two}
    return results
