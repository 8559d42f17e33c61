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


class Parts(NamedTuple):
    """What spectra are made of, of each point.

    Attributes:
        central_satellite: Of gg, 1-halo, (B, K), per galaxy, as all of these.
        pairs: Pairs of satellites.
        centrals: Of gm, 1-halo.
        satellites: The same of satellites.
        matter: mm, 1-halo [Mpc^3].
        bias_of_centrals: Of I_g, (B, 1).
        bias_of_satellites: The same of satellites, (B, K).
        I_m: Of matter.
        volume: 1 / n_g, scaled, (B, 1).
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
    """From haloes and galaxies on the grid to spectra.

    The equations of `datagen.halomodel`: sums over the grid stand for integrals over ln M.

    Args:
        nodes: How many, Q.
        k: Wavenumbers [1/Mpc], shape (K,).
    """

    totals: Tensor
    minus: Tensor
    zero: Tensor
    one: Tensor
    k: Tensor

    def __init__(self, nodes: int, k: Sequence[float]) -> None:
        super().__init__()
        self.profiles = Profiles()  # they wait for the weights, or for a table
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
        """Spectra [Mpc^3], ``P_lin``, and ``n_g`` [1/Mpc^3], ``b_eff``, ``f_sat`` by name.

        Args:
            haloes: On the grid.
            galaxies: On the same grid; the lowest mass is in them.
            t: Concentrations, scaled, shape (B, Q), or (B, 1) if each node's is the same.
            P_lin: Linear power [Mpc^3], shape (B, K).
            extras: Parameters of what is added to the occupation, each (B, 1); see
                `datagen.occupations.extras`.
        """
        parts, numbers, sums = self.parts(haloes, galaxies, t)
        if extras and "c_sat" in extras:
            parts = self.with_concentration(parts, sums, t, extras["c_sat"])
        return self.of_parts(parts, P_lin, extras or {}) | self.numbers(numbers, extras or {})

    def numbers(
        self, numbers: Mapping[str, Tensor], extras: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Numbers of each point, (B,), of those that `parts` gives, (B, 1)."""
        found = dict(numbers)
        if "f_inc" in extras:
            found["n_g"] = found["n_g"] * extras["f_inc"]
        return {name: value.squeeze(1) for name, value in found.items()}

    def parts(
        self, haloes: Haloes, galaxies: Weights, t: Tensor
    ) -> tuple[Parts, dict[str, Tensor], tuple[Tensor, ...]]:
        """What spectra are made of, numbers, and the sums over the grid that satellites are in.

        Args:
            haloes: As for `forward`.
            galaxies: As well.
            t: As well.
        """
        b, V = haloes.b, haloes.volume
        N = (galaxies.centrals + galaxies.satellites).sum(dim=1, keepdim=True)
        each = 1 / N  # all below is per galaxy
        centrals, satellites = galaxies.centrals * each, galaxies.satellites * each
        matter = haloes.n * (V * haloes.step)
        b_c, b_s, b_m = centrals * b, satellites * b, matter * b
        sums = torch.addmm(self.zero, torch.cat([satellites, b_c, b_s], dim=1), self.totals)
        f_sat, b_eff, bias_of_centrals = sums.split(1, dim=1)
        # of the bias-weighted mass, in smaller haloes; by itself, as without galaxies sums are NaN
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
        """Parts with satellites of another concentration than their haloes'.

        Args:
            parts: Where they have the same.
            sums: What `parts` gives of them.
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
        """Concentrations of satellites as their table takes them; arguments as those above."""
        (low, high), half = C_SAT.range, self.profiles_of_satellites.half_width
        ln_c = t * self.profiles.half_width + torch.log(c_sat) - 0.5 * math.log(low * high)
        return ln_c / half

    def of_parts(
        self, parts: Parts, P_lin: Tensor, extras: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Spectra of their parts; arguments as for `forward`."""
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
