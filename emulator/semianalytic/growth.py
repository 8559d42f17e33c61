"""The linear growth factor as a small network, fitted once to the growth equation.

``ln D(z) = ln(1 + z) g``: -g, the mean growth rate since then, is smooth, and D is exactly 1 today. `emulator.semianalytic.growth_fit` finds the weights, which lie beside this file.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["RANGES", "WEIGHTS", "Growth", "check_ranges", "features"]

WEIGHTS = Path(__file__).with_name("growth.npz")
RANGES: dict[str, tuple[float, float]] = {
    "Om_m": (0.128, 0.67),
    "h": (0.55, 0.91),
    "w0": (-2.0, -0.3),
    "wa": (-3.0, 1.0),
    "z": (0.0, 3.0),
}
_ROUNDING = 1e-9  # of ends, and of sums of them
_LAYERS = (0, 2, 4)  # linear ones; tanh between them


def check_ranges(ends: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a box that the network was not fitted for.

    Args:
        ends: Smallest and largest value of each of `RANGES`.

    Raises:
        ValueError: A parameter that leaves its range.
    """
    for name, (low, high) in RANGES.items():
        if ends[name][0] < low - _ROUNDING or ends[name][1] > high + _ROUNDING:
            raise ValueError(
                f"{name} = {ends[name][0]:g}..{ends[name][1]:g} leaves [{low:g}, {high:g}], where "
                f"the growth factor of the semi-analytic emulator is fitted; narrow the space"
            )


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
    """D(z) of flat w0 wa cosmologies within `RANGES`, and with w0 + wa up to -0.1.

    It was fitted to `datagen.growth.growth_factor`.
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
        ln_D = ln_since * self.network(inputs)
        radiation = self.radiation / (Om_m * h * h)  # in units of matter today
        stretch = torch.exp(3 * (inputs[:, 6:7] - inputs[:, 7:8]))
        dark_energy = (1 / Om_m - 1 - radiation) * stretch
        return ln_D, 1 / (1 + radiation * (1 + z) + dark_energy)
