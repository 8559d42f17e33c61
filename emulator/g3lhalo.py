"""Inputs of networks that learn the spectra of the `g3lhalo` model.

The integrals of this model are sums over a fixed grid of halo masses, even in ln M with a step D.
Its spectra therefore depend on the position of everything sharp relative to the grid. Networks
learn this only if they are given the positions as phases.

- A narrow threshold between two masses of the grid counts like one at a mass: sums over the grid
  differ from integrals by terms with the phases ``2 pi n ln(Mth) / D``, which a threshold of width
  sigma suppresses by ``exp(-(2 pi n sigma / D)^2 / 2)``.
- The profiles oscillate with the phase k R of a halo of radius R. Where it grows by ``2 pi n`` from
  one mass of the grid to the next, at ``k R = 6 pi n / D`` (R ~ M^(1/3)), the oscillations add up
  instead of cancelling. Their phase is ``2 pi n ln(rho_m) / D`` plus a constant, since
  ``M ~ rho_m R^3``. This affects k > 40 1/Mpc.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from datagen.halomodel import G3LHALO_MASSES
from datagen.occupations.functions import LN_10

__all__ = ["g3lhalo_inputs"]

_HARMONICS = (1, 2, 3, 4)
# weights of satellites relative to centrals, as the profiles at k = 10 and 100 1/Mpc weigh them
_AT_THRESHOLD = (1e-2, 1e-4)
_MASSIVE, _IN_MASSIVE = 1e15, 1e-3  # a mass [Msun], and the weight there


def g3lhalo_inputs(point: Mapping[str, Tensor], halo_model: Mapping[str, Any]) -> list[Tensor]:
    """Return additional inputs of networks for points of `g3lhalo`, whose occupation is `linke22`.

    Besides the phases, these are ln (Mth / Mprime)^beta and logarithms of the fraction of
    centrals, ``(N_c + w N_s) / (N_c + N_s)``, with weights w of the satellites: gm depends on alpha
    and Mprime only through such ratios, which have limits without centrals or satellites.

    Args:
        point: Parameters in physical units by name, each of the same shape.
        halo_model: Settings of the halo model, see `datagen.halomodel.HaloModelConfig`.

    Returns:
        Inputs, each of the shape of a parameter.
    """
    decades = halo_model["log10M_max"] - halo_model["log10M_min"]
    frequency = 2 * math.pi * (G3LHALO_MASSES - 1) / (decades * LN_10)  # 2 pi / D
    ln_density = torch.log((point["Om_c"] + point["Om_b"]) * point["h"] ** 2)
    ln_threshold = torch.log(point["Mth"] / 10 ** halo_model["log10M_min"])
    inputs = []
    for n in _HARMONICS:
        omega = n * frequency
        left = torch.exp(-0.5 * (omega * point["sigma"]) ** 2)
        inputs += [torch.cos(omega * ln_density), torch.sin(omega * ln_density)]
        inputs += [left * torch.cos(omega * ln_threshold), left * torch.sin(omega * ln_threshold)]

    ln_N_s = point["beta"] * torch.log(point["Mth"] / point["Mprime"])
    N_s = torch.exp(ln_N_s)
    N_s_massive = torch.exp(point["beta"] * torch.log(_MASSIVE / point["Mprime"]))
    fractions = [(w, N_s) for w in _AT_THRESHOLD] + [(_IN_MASSIVE, N_s_massive)]
    N_c = point["alpha"]
    return [*inputs, ln_N_s, *(torch.log((N_c + w * N) / (N_c + N)) for w, N in fractions)]
