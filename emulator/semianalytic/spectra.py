"""From haloes and galaxies on the grid to the nine spectra."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emulator.semianalytic.occupation import Weights
from emulator.semianalytic.profiles import Profiles

__all__ = ["Haloes", "Spectra"]


@dataclass(frozen=True)
class Haloes:
    """The haloes of each point at the nodes of the grid, of shape (B, Q) each.

    Attributes:
        n: Haloes per node [1/Mpc^3]: dn/dlnM times the spacing.
        ln_n: Their logarithm, also where there are none.
        b: Their bias.
        step: The unit step at the lowest mass.
        delta: The delta function there, times the spacing.
        volume: M / rho_m [Mpc^3], shape (Q,), or (B, Q) where nodes follow the halo radius.
    """

    n: Tensor
    ln_n: Tensor
    b: Tensor
    step: Tensor
    delta: Tensor
    volume: Tensor


class Spectra(nn.Module):
    """From haloes and galaxies on the grid to spectra.

    The equations of `datagen.halomodel`: sums over the grid stand for integrals over ln M.

    Args:
        nodes: How many, Q.
    """

    totals: Tensor
    one: Tensor

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.profiles = Profiles()  # they wait for the weights, or for a table
        rows = [[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, -1]]  # of sums over the grid
        totals = torch.tensor(rows, dtype=torch.float32).T.repeat_interleave(nodes, dim=0)
        self.register_buffer("totals", totals, persistent=False)
        self.register_buffer("one", torch.tensor([0.0, 0, 0, 1]), persistent=False)

    def forward(
        self, haloes: Haloes, galaxies: Weights, t: Tensor, P_lin: Tensor
    ) -> dict[str, Tensor]:
        """Spectra [Mpc^3], ``P_lin``, and ``n_g`` [1/Mpc^3], ``b_eff``, ``f_sat`` by name.

        Args:
            haloes: On the grid.
            galaxies: On the same grid; the lowest mass is in their moments.
            t: Concentrations, scaled, shape (B, Q), or (B, 1) if each node's is the same.
            P_lin: Linear power [Mpc^3], shape (B, K).
        """
        b, V = haloes.b, haloes.volume
        N = (galaxies.centrals + galaxies.satellites).sum(dim=1, keepdim=True)
        each = 1 / N  # all below is per galaxy
        centrals, satellites = galaxies.centrals * each, galaxies.satellites * each
        matter = haloes.n * (V * haloes.step)
        b_c, b_s, b_m = centrals * b, satellites * b, matter * b
        # below: of the bias-weighted mass, in smaller haloes
        sums = torch.addmm(self.one, torch.cat([satellites, b_c, b_s, b_m], dim=1), self.totals)
        f_sat, b_eff, bias_of_centrals, below = sums.split(1, dim=1)
        of_u = (
            galaxies.central_satellite * each,  # gg, 1-halo
            centrals * V,  # gm, 1-halo
            b_s,  # I_g
            b_m + below * haloes.delta,  # I_m
        )
        of_u2 = (galaxies.satellite_pairs * each, satellites * V, matter * V)  # gg, gm, mm, 1-halo
        (gg, gm, I_s, I_m), (gg2, gm2, mm) = self.profiles(t, of_u, of_u2)
        I_g = bias_of_centrals + I_s
        matter_2h, galaxy_2h = I_m * P_lin, I_g * P_lin
        terms = {
            "mm": (mm, I_m * matter_2h),
            "gm": (gm + gm2, I_g * matter_2h),
            "gg": ((2 * gg + gg2) * each, I_g * galaxy_2h),
        }
        numbers = {"n_g": N * galaxies.scale, "b_eff": b_eff, "f_sat": f_sat}
        results = {"P_lin": P_lin} | {name: value.squeeze(1) for name, value in numbers.items()}
        for name, (one, two) in terms.items():
            results |= {f"{name}_1h": one, f"{name}_2h": two, f"{name}_total": one + two}
        return results
