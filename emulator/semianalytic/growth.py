"""The linear growth factor as a small network, fitted once to the growth equation.

``ln D(z) = -ln(1 + z) g`` with D(0) = 1: g, the mean growth rate since then, is smooth, and D is
exactly 1 today. `emulator.semianalytic.growth_fit` finds the weights, which lie beside this file.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["WEIGHTS", "Growth", "features"]

WEIGHTS = Path(__file__).with_name("growth.npz")
_LAYERS = (0, 2, 4)  # linear ones; tanh between them


def features(Om_m: Tensor, h: Tensor, w0: Tensor, wa: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """What the network is a function of, shape (B, 8), and ln(1 + z), shape (B, 1).

    Besides the parameters' logarithms, and w0 and wa themselves, these are the two terms by which
    the density of dark energy evolves, ``(w0 + wa) ln(1 + z)`` and ``wa z / (1 + z)``. Arguments
    as those of `Growth.forward`.
    """
    since = 1 + z
    logs = torch.log(torch.cat([since, Om_m, 1 - Om_m, h], dim=1))
    ln_since = logs[:, :1]
    return torch.cat([logs, w0, wa, (w0 + wa) * ln_since, wa * z / since], dim=1), ln_since


class Growth(nn.Module):
    """D(z) of flat w0 wa cosmologies, fitted for

    z = 0..3, Om_m = 0.128..0.67, h = 0.55..0.91, w0 = -2..-0.3, wa = -3..1, w0 + wa <= -0.1.

    `datagen.growth.growth_factor` is what it was fitted to.
    """

    radiation: Tensor

    def __init__(self) -> None:
        super().__init__()
        with np.load(WEIGHTS) as file:
            arrays = {name: torch.from_numpy(file[name]).float() for name in file.files}
        layers: list[nn.Module] = []
        for i in _LAYERS:
            layers += [nn.Linear(*reversed(arrays[f"{i}.weight"].shape)), nn.Tanh()]
        self.network = nn.Sequential(*layers[:-1])
        self.register_buffer("radiation", arrays.pop("radiation"))
        self.network.load_state_dict(arrays)
        self.requires_grad_(False)

    def forward(
        self, Om_m: Tensor, h: Tensor, w0: Tensor, wa: Tensor, z: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Ln D(z) / D(0), and matter's share of the density at z, each (B, 1).

        Args:
            Om_m: Matter densities, shape (B, 1).
            h: Hubble parameters [100 km/s/Mpc], shape (B, 1).
            w0: Equations of state of dark energy today, shape (B, 1).
            wa: Their change, -dw/da, shape (B, 1).
            z: Redshifts, shape (B, 1).
        """
        inputs, ln_since = features(Om_m, h, w0, wa, z)
        ln_D = -ln_since * self.network(inputs)
        radiation = self.radiation / (Om_m * h * h)  # in units of matter today
        stretch = torch.exp(3 * (inputs[:, 6:7] - inputs[:, 7:8]))
        dark_energy = (1 / Om_m - 1 - radiation) * stretch
        return ln_D, 1 / (1 + radiation * (1 + z) + dark_energy)
