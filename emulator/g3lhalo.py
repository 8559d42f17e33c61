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

The 1-halo term of gg, whose pairs of satellites are N_s (N_s - 1), has a zero, near which its
logarithm is steep. There ``<N_s (2 N_c + N_s)> = <N_s>`` in a mean over the mass function.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.halomodel import G3LHALO_MASSES
from datagen.occupations.linke22 import Linke22
from emulator.functions import TORCH

__all__ = ["g3lhalo_inputs"]

Array = NDArray[np.float64]

_HARMONICS = (1, 2, 3, 4)
# weights of satellites relative to centrals, as the profiles at k = 10 and 100 1/Mpc weigh them
_AT_THRESHOLD = (1e-2, 1e-4)
_MASSIVE, _IN_MASSIVE = 1e15, 1e-3  # a mass [Msun], and the weight there
# mass functions of early, middle and late cosmologies: dn/dlnM ~ M^-0.9 exp[-(M / M_cut)^0.7]
_M_CUT = (3e13, 1.5e14, 7e14)  # Msun


def g3lhalo_inputs(point: Mapping[str, Tensor], halo_model: Mapping[str, Any]) -> Tensor:
    """Return additional inputs of networks for points of `g3lhalo`, whose occupation is `linke22`.

    Besides the phases, these are ln (Mth / Mprime)^beta, logarithms of the fraction of centrals,
    ``(N_c + w N_s) / (N_c + N_s)``, with weights w of the satellites, and ln of the ratio that is 1
    where gg_1h is 0, for three mass functions. gm depends on alpha and Mprime only through such
    fractions, which have limits without centrals or satellites.

    Args:
        point: Parameters in physical units by name, each of shape (B, 1).
        halo_model: Settings of the halo model, see `datagen.halomodel.HaloModelConfig`.

    Returns:
        Inputs, shape (B, F).
    """
    M_min, M_max = (10 ** halo_model[name] for name in ("log10M_min", "log10M_max"))
    M = np.geomspace(M_min, M_max, G3LHALO_MASSES)
    return torch.cat([_phases(point, M), _fractions(point), _pairs(point, M)], dim=1)


def _phases(point: Mapping[str, Tensor], M: Array) -> Tensor:
    """Phases of the matter density and, if narrow, of the threshold on a grid of masses M."""
    frequencies = 2 * math.pi / math.log(M[1] / M[0]) * np.array(_HARMONICS)
    omega = _like(frequencies, point["Mth"])
    density = omega * torch.log((point["Om_c"] + point["Om_b"]) * point["h"] ** 2)
    threshold = omega * torch.log(point["Mth"] / M[0])
    left = torch.exp(-0.5 * (omega * point["sigma"]) ** 2)
    waves = (torch.cos, torch.sin)
    return torch.cat([*(f(density) for f in waves), *(left * f(threshold) for f in waves)], dim=1)


def _fractions(point: Mapping[str, Tensor]) -> Tensor:
    """Ln of satellites at the threshold, and of fractions of centrals."""
    N_c, ln_N_s = point["alpha"], point["beta"] * torch.log(point["Mth"] / point["Mprime"])
    N_s = torch.exp(ln_N_s)
    N_s_massive = torch.exp(point["beta"] * torch.log(_MASSIVE / point["Mprime"]))
    each = [(w, N_s) for w in _AT_THRESHOLD] + [(_IN_MASSIVE, N_s_massive)]
    return torch.cat([ln_N_s, *(torch.log((N_c + w * N) / (N_c + N)) for w, N in each)], dim=1)


def _pairs(point: Mapping[str, Tensor], M: Array) -> Tensor:
    """Ln of <N_s (2 N_c + N_s)> / <N_s> on a grid of masses M, for each mass function."""
    N_c, N_s, _, _ = Linke22().moments(_like(M, point["Mth"]), point, TORCH)  # (B, masses)
    cut = M[:, None] / np.array(_M_CUT)
    n = (np.gradient(M) / M)[:, None] * cut**-0.9 * np.exp(-(cut**0.7))
    weights = _like(n / n.max(axis=0), point["Mth"])
    return torch.log((N_s * (2 * N_c + N_s)) @ weights / (N_s @ weights))


def _like(values: Array, x: Tensor) -> Tensor:
    """Numbers as a tensor of the type of another and in its place."""
    return torch.tensor(values, dtype=x.dtype, device=x.device)
