"""The linear growth factor as a small network, fitted once to the growth equation.

``ln D(z) = ln(1 + z) g``: -g, the mean growth rate since z, is smooth, and D is exactly 1 today.
The inputs of the network include the density of dark energy at a few times between z and today.
`emulator.semianalytic.growth_fit` fits the weights, which are stored beside this file.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emulator.semianalytic.concentrations import Universe

__all__ = [
    "LOGARITHMS", "RANGES", "WEIGHTS", "Growth", "check_ranges", "features", "logarithms",
]  # fmt: skip

WEIGHTS = Path(__file__).with_name("growth.npz")
RANGES: dict[str, tuple[float, float]] = {
    "Om_m": (0.128, 0.67),
    "h": (0.55, 0.91),
    "w0": (-2.0, -0.3),
    "wa": (-3.0, 1.0),
    "z": (0.0, 3.0),
}
LOGARITHMS = ("1 + z", "Om_m", "1 - Om_m", "h")  # whose logarithms are inputs of the network
_SHIFT = 0.02  # in ln a, for differences: between rounding and curvature
_ROUNDING = 1e-9  # tolerance of ends, and of their sums
# Moments in ln a between z (1) and today (0) whose dark energy is a feature
_MOMENTS = (1 / 3, 2 / 3, 1.0)


def check_ranges(ends: Mapping[str, tuple[float, float]]) -> None:
    """Raise an error if a box exceeds the range that the network was fitted for.

    Args:
        ends: Smallest and largest value of each parameter of `RANGES`.

    Raises:
        ValueError: If a parameter leaves its range.
    """
    for name, (low, high) in RANGES.items():
        if ends[name][0] < low - _ROUNDING or ends[name][1] > high + _ROUNDING:
            raise ValueError(
                f"{name} = {ends[name][0]:g}..{ends[name][1]:g} leaves [{low:g}, {high:g}], where "
                f"the growth factor of the semi-analytic emulator is fitted; narrow the space"
            )


def logarithms(Om_m: Tensor, h: Tensor, z: Tensor) -> Tensor:
    """Ln of 1 + z, Om_m, 1 - Om_m and h, the order of `LOGARITHMS`, shape (B, 4)."""
    return torch.log(torch.cat([1 + z, Om_m, 1 - Om_m, h], dim=1))


def features(logs: Tensor, w0: Tensor, wa: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features of the network, and quantities computed with them.

    Args:
        logs: See `logarithms`, shape (B, 4).
        w0: Equation of state of dark energy today, shape (B, 1).
        wa: Its change, -dw/da, shape (B, 1).

    Returns:
        Features, shape (B, 16); ln(1 + z), shape (B, 1); the logarithm of the density of dark
        energy over that of matter at z, without radiation, shape (B, 1).
    """
    ln_since, _ = logs.split([1, len(LOGARITHMS) - 1], dim=1)
    moments = logs.new_tensor(_MOMENTS)
    a = torch.exp(-moments * ln_since)
    inputs = torch.cat([logs, wa, (w0 + wa) * ln_since, wa * a, w0, a], dim=1)  # (B, 13)
    # ln(1 - Om_m) - ln Om_m + 3 [(w0 + wa) t ln(1 + z) - wa (1 - a)] at a = (1 + z)^-t
    n = len(_MOMENTS)
    ones, none = torch.ones_like(moments)[None], torch.zeros(1 + n, n, dtype=logs.dtype)
    rows = [0 * ones, -ones, ones, 0 * ones, -3 * ones, 3 * moments[None], 3 * torch.eye(n), none]
    ln_ratio = inputs @ torch.cat([row.to(inputs) for row in rows])  # (B, 3)
    return torch.cat([inputs, torch.sigmoid(ln_ratio)], dim=1), ln_since, ln_ratio[:, -1:]


class Growth(nn.Module):
    """D(z) of flat w0 wa cosmologies within `RANGES`, and with w0 + wa up to -0.1.

    It was fitted to `datagen.growth.growth_factor`.
    """

    radiation: Tensor

    def __init__(self) -> None:
        super().__init__()
        with np.load(WEIGHTS) as file:
            arrays = {name: torch.from_numpy(file[name]).float() for name in file.files}
        units, inputs = arrays["hidden.weight"].shape
        self.hidden = nn.Linear(inputs, units)
        self.mean_rate = nn.Linear(units, 1)
        self.register_buffer("radiation", torch.zeros(()))
        self.load_state_dict(arrays)
        self.requires_grad_(False)

    def forward(
        self, Om_m: Tensor, h: Tensor, w0: Tensor, wa: Tensor, z: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Ln [D(z) / D(0)], and the matter density parameter at z, each (B, 1).

        Args:
            Om_m: Matter density parameter today, shape (B, 1).
            h: Hubble parameter [100 km/s/Mpc], shape (B, 1).
            w0: Equation of state of dark energy today, shape (B, 1).
            wa: Its change, -dw/da, shape (B, 1).
            z: Redshift, shape (B, 1).
        """
        return self.of_logarithms(logarithms(Om_m, h, z), w0, wa)

    def of_logarithms(self, logs: Tensor, w0: Tensor, wa: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of `forward` from the arguments of `features`."""
        ln_D, ln_ratio = self._ln_growth(logs, w0, wa)
        since, Om_m, Om_de, h = torch.exp(logs).split(1, dim=1)
        Om_r = self.radiation / (h * h)
        dark_energy = torch.exp(ln_ratio) * (1 - Om_r / Om_de)  # in units of matter
        return ln_D, 1 / (1 + Om_r / Om_m * since + dark_energy)

    def universe(self, ln_D: Tensor, logs: Tensor, w0: Tensor, wa: Tensor) -> Universe:
        """Properties of the universe, from ln D and the arguments of `features`."""
        _, Om_m, Om_de, h = torch.exp(logs).split(1, dim=1)
        return Universe(Om_m, Om_de - self.radiation / (h * h), h, ln_D, self._rate(logs, w0, wa))

    def rate(self, Om_m: Tensor, h: Tensor, w0: Tensor, wa: Tensor, z: Tensor) -> Tensor:
        """Growth rate dln D / dln a at z, shape (B, 1); arguments as in `forward`."""
        return self._rate(logarithms(Om_m, h, z), w0, wa)

    def _rate(self, logs: Tensor, w0: Tensor, wa: Tensor) -> Tensor:
        shift = logs.new_tensor([_SHIFT, 0, 0, 0])
        later, earlier = (self._ln_growth(logs + one, w0, wa)[0] for one in (-shift, shift))
        return (later - earlier) / (2 * _SHIFT)

    def _ln_growth(self, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        """Ln D, and the last output of `features`."""
        inputs, ln_since, ln_ratio = features(*arguments)
        return ln_since * self.mean_rate(torch.tanh(self.hidden(inputs))), ln_ratio
