"""From haloes and galaxies on the grid to the nine spectra."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from datagen.occupations.extras import C_SAT, central_profile, damping, total
from datagen.outputs import spectra_of
from emulator.functions import TORCH
from emulator.semianalytic.occupation import Weights
from emulator.semianalytic.profiles import Profiles

__all__ = ["Haloes", "Parts", "Spectra"]


@dataclass(frozen=True)
class Haloes:
    """Haloes of each point at the nodes of the grid, each attribute of shape (B, Q).

    Attributes:
        n: Haloes per node [1/Mpc^3]: dn/dlnM times the spacing.
        ln_n: Logarithm of n, without the lower limit of n.
        b: Bias of haloes.
        step: Unit step at the lowest mass.
        delta: Delta function at the lowest mass, times the spacing.
        volume: M / rho_m [Mpc^3], shape (Q,), or (B, Q) where nodes follow the halo radius.
    """

    n: Tensor
    ln_n: Tensor
    b: Tensor
    step: Tensor
    delta: Tensor
    volume: Tensor


class Parts(NamedTuple):
    """Parts of the spectra of each point, per galaxy, of shape (B, K) unless stated.

    Attributes:
        central_satellite: Pairs of centrals and satellites, in the 1-halo term of gg.
        pairs: Pairs of satellites, in the 1-halo term of gg.
        centrals: Centrals, in the 1-halo term of gm.
        satellites: Satellites, in the 1-halo term of gm.
        matter: 1-halo term of mm [Mpc^3].
        bias_of_centrals: Centrals in I_g, shape (B, 1).
        bias_of_satellites: Satellites in I_g.
        I_m: Bias-weighted integral of matter.
        volume: 1 / n_g, scaled, shape (B, 1).
    """

    central_satellite: Tensor
    pairs: Tensor
    centrals: Tensor
    satellites: Tensor
    matter: Tensor
    bias_of_centrals: Tensor
    bias_of_satellites: Tensor
    I_m: Tensor
    volume: Tensor


class Spectra(nn.Module):
    """Spectra of haloes and galaxies on the grid.

    The equations are those of `datagen.halomodel`, with sums over the grid for integrals over ln M.

    Args:
        nodes: Number of nodes, Q.
        k: Wavenumbers [1/Mpc], shape (K,).
    """

    totals: Tensor
    minus: Tensor
    zero: Tensor
    one: Tensor
    k: Tensor

    def __init__(self, nodes: int, k: Sequence[float]) -> None:
        super().__init__()
        self.profiles = Profiles()  # empty until weights or a table are set
        self.profiles_of_satellites = Profiles()
        rows = [[1.0, 0, 0], [0, 1, 1], [0, 1, 0]]  # of sums over the grid
        totals = torch.tensor(rows, dtype=torch.float32).T.repeat_interleave(nodes, dim=0)
        self.register_buffer("totals", totals, persistent=False)
        self.register_buffer("minus", torch.full((nodes, 1), -1.0), persistent=False)
        self.register_buffer("zero", torch.zeros(3), persistent=False)
        self.register_buffer("one", torch.ones(1), persistent=False)
        self.register_buffer("k", torch.tensor(k, dtype=torch.float32)[None], persistent=False)

    def forward(
        self,
        haloes: Haloes,
        galaxies: Weights,
        t: Tensor,
        P_lin: Tensor,
        extras: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Spectra and ``P_lin`` [Mpc^3], ``n_g`` [1/Mpc^3], ``b_eff`` and ``f_sat`` by name.

        Args:
            haloes: Haloes on the grid.
            galaxies: Galaxies on the grid, with the lower limit of halo masses.
            t: Concentrations, scaled, shape (B, Q), or (B, 1) if the same at all nodes.
            P_lin: Linear power [Mpc^3], shape (B, K).
            extras: Parameters of effects added to the occupation, by name, each (B, 1); see
                `datagen.occupations.extras`.
        """
        parts, numbers, sums = self.parts(haloes, galaxies, t)
        if extras and "c_sat" in extras:
            parts = self.with_concentration(parts, sums, t, extras["c_sat"])
        return self.of_parts(parts, P_lin, extras or {}) | self.numbers(numbers, extras or {})

    def numbers(
        self, numbers: Mapping[str, Tensor], extras: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Numbers of each point, (B,), from those of `parts`, (B, 1)."""
        found = dict(numbers)
        if "f_inc" in extras:
            found["n_g"] = found["n_g"] * extras["f_inc"]
        return {name: value.squeeze(1) for name, value in found.items()}

    def parts(
        self, haloes: Haloes, galaxies: Weights, t: Tensor
    ) -> tuple[Parts, dict[str, Tensor], tuple[Tensor, ...]]:
        """Parts of the spectra, numbers, and the weights of satellites in sums over the grid.

        Args:
            haloes: As for `forward`.
            galaxies: As for `forward`.
            t: As for `forward`.
        """
        b, V = haloes.b, haloes.volume
        N = (galaxies.centrals + galaxies.satellites).sum(dim=1, keepdim=True)
        each = 1 / N  # all below is per galaxy
        centrals, satellites = galaxies.centrals * each, galaxies.satellites * each
        matter = haloes.n * (V * haloes.step)
        b_c, b_s, b_m = centrals * b, satellites * b, matter * b
        sums = torch.addmm(self.zero, torch.cat([satellites, b_c, b_s], dim=1), self.totals)
        f_sat, b_eff, bias_of_centrals = sums.split(1, dim=1)
        # bias-weighted mass in smaller haloes; by itself, since other sums may be NaN
        below = torch.addmm(self.one, b_m, self.minus)
        cs, ss, s_V = (
            galaxies.central_satellite * each,
            galaxies.satellite_pairs * each,
            satellites * V,
        )
        of_u = (cs, centrals * V, b_s, b_m + below * haloes.delta)  # gg, gm, I_g, I_m
        of_u2 = (ss, s_V, matter * V)  # gg, gm, mm
        (gg, gm, I_s, I_m), (gg2, gm2, mm) = self.profiles(t, of_u, of_u2)
        parts = Parts(gg, gg2, gm, gm2, mm, bias_of_centrals, I_s, I_m, each)
        numbers = {"n_g": N * galaxies.scale, "b_eff": b_eff, "f_sat": f_sat}
        return parts, numbers, (cs, b_s, ss, s_V)

    def with_concentration(
        self, parts: Parts, sums: Sequence[Tensor], t: Tensor, c_sat: Tensor
    ) -> Parts:
        """Parts if the concentration of satellites differs from that of their haloes.

        Args:
            parts: Parts with equal concentrations.
            sums: Weights of satellites, the last output of `parts`.
            t: As for `forward`.
            c_sat: Concentration of satellites over that of haloes, shape (B, 1).
        """
        t_s = self.scaled(t, c_sat)
        cs, b_s, ss, s_V = sums
        (gg, I_s), (gg2,) = self.profiles_of_satellites(t_s, (cs, b_s), (ss,))
        both = self.profiles.each(t) * self.profiles_of_satellites.each(t_s)  # (B, Q, K)
        gm2 = (s_V.unsqueeze(1) @ both).squeeze(1)
        return parts._replace(
            central_satellite=gg, pairs=gg2, satellites=gm2, bias_of_satellites=I_s
        )

    def scaled(self, t: Tensor, c_sat: Tensor) -> Tensor:
        """Scaled concentrations of satellites; arguments as for `with_concentration`."""
        (low, high), half = C_SAT.range, self.profiles_of_satellites.half_width
        ln_c = t * self.profiles.half_width + torch.log(c_sat) - 0.5 * math.log(low * high)
        return ln_c / half

    def of_parts(
        self, parts: Parts, P_lin: Tensor, extras: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Spectra by name from their parts; other arguments as for `forward`."""
        gg, gm, I_c = parts.central_satellite, parts.centrals, parts.bias_of_centrals
        if "p_off" in extras:
            profile = central_profile(self.k, extras, TORCH)
            gg, gm, I_c = gg * profile, gm * profile, I_c * profile
        I_g = I_c + parts.bias_of_satellites
        matter_2h, galaxy_2h = parts.I_m * P_lin, I_g * P_lin
        terms = {
            "mm": (parts.matter, parts.I_m * matter_2h),
            "gm": (gm + parts.satellites, I_g * matter_2h),
            "gg": ((2 * gg + parts.pairs) * parts.volume, I_g * galaxy_2h),
        }
        results = {"P_lin": P_lin}
        damped = damping(self.k, extras, TORCH) if "k_damp" in extras else None
        for name, (one, two) in terms.items():
            if damped is not None:
                one = one * damped
            both = total(one, two, extras, TORCH) if "alpha_trans" in extras else one + two
            results |= zip(spectra_of([name]), (one, two, both), strict=True)
        return results
