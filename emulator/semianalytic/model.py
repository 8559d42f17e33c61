"""The semi-analytic emulator: a learnt cosmology, and the integrals of the halo model.

theta -> sigma(M), P_lin (network and growth) -> n(M), b(M) (formulas) -> N(M) (the occupation)
-> integrals over M with u(k, M) -> spectra. Each step is a module of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from emulator.semianalytic.cosmology import FEATURES, CosmologyConfig, CosmologyNetwork
from emulator.semianalytic.grid import MassGrid, lower_limit
from emulator.semianalytic.growth import Growth
from emulator.semianalytic.ingredients import Bias, Epoch, MassFunction
from emulator.semianalytic.logarithms import LogSums, scaled, span
from emulator.semianalytic.occupation import Linke22
from emulator.semianalytic.profiles import Profiles, ProfileTable
from emulator.semianalytic.spectra import Haloes, spectra

__all__ = ["SemiAnalytic", "Units"]

_NO_HALOES = -85.0  # ln n of which no integral sees anything; float32 ends soon after
_AROUND = 9  # nodes above the lowest mass that see it
_ROOT_2 = math.sqrt(2)


@dataclass(frozen=True)
class Units:
    """Numbers of the halo model that turn parameters into nodes of the grid.

    Attributes:
        rho_unit: Mean matter density [Msun / Mpc^3] of Om_m h^2 = 1.
        log10M_min: log10 of the lowest halo mass [Msun].
        concentration: Powers of parameters in the concentration's amplitude; see `LogSums`.
        ends: Smallest and largest value of each parameter that features depend on.
    """

    rho_unit: float = 1.0
    log10M_min: float = 10.0
    concentration: dict[str, float] = field(default_factory=dict)
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def amplitudes(self) -> tuple[float, float]:
        """Smallest and largest logarithm of the concentration's amplitude."""
        return span(self.concentration, self.ends)


class SemiAnalytic(nn.Module):
    """Spectra of points through integrals over the halo mass.

    Args:
        grid: The grid of masses.
        cosmology: Size of the network of the cosmology.
        wavenumbers: How many, K.
        units: Of the halo model.
        mass_function: Name of a `MassFunction`.
        halo_bias: Name of a `Bias`.
        mass_def: Definition of the halo mass.
        names: Columns of the points.
        table: Halo profiles; without one, they wait for the weights.
    """

    x: Tensor
    ln_volume: Tensor
    volume: Tensor

    def __init__(
        self,
        grid: MassGrid,
        cosmology: CosmologyConfig,
        wavenumbers: int,
        units: Units,
        mass_function: str,
        halo_bias: str,
        mass_def: str,
        names: Sequence[str],
        table: ProfileTable | None = None,
    ) -> None:
        super().__init__()
        self.grid, self.names = grid, tuple(names)
        self.cosmology = CosmologyNetwork(cosmology, grid.nodes, wavenumbers)
        self.growth = Growth()
        self.mass_function = MassFunction.named(mass_function, mass_def)
        self.bias = Bias.named(halo_bias, mass_def)
        self.occupation = Linke22(grid.nodes, grid.spacing)
        self.edge = min(_edge_nodes(grid, units), grid.nodes)
        self.profiles = Profiles(table)
        self.sums = LogSums(names, _sums(grid, units))
        buffers = {
            "x": grid.x(),
            "ln_volume": grid.volume().log() - math.log(grid.spacing),
            "volume": grid.volume(),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.float(), persistent=False)

    def forward(self, theta: Tensor) -> dict[str, Tensor]:
        """Spectra [Mpc^3], ``P_lin``, ``n_g``, ``b_eff``, ``f_sat`` by name.

        Args:
            theta: Points, columns `names`, physical units, shape (B, P).
        """
        columns = dict(zip(self.names, theta.split(1, dim=1), strict=True))
        features, *sums = self.sums(theta).split([len(FEATURES), *[1] * 6], dim=1)
        ln_sigma_8, x_th, ln_ratio, gap, edge, t = sums
        ln_D, Om_m = self.growth(
            columns["Om_c"] + columns["Om_b"],
            *(columns[name] for name in ("h", "w0", "wa", "z")),
        )
        amplitude, epoch = ln_sigma_8 + ln_D, Epoch(-torch.log1p(columns["z"]), Om_m)
        ln_s, ln_slope, ln_T = self.cosmology(features)
        haloes = self.haloes(ln_s + amplitude, ln_slope, epoch, edge)
        galaxies = self.occupation(
            *(columns[name] for name in ("alpha", "sigma", "beta")),
            self.x - x_th,
            ln_ratio,
            gap,
            haloes.step,
        )
        P_lin = torch.exp(ln_T + 2 * amplitude)
        return spectra(haloes, galaxies, self.profiles, t, P_lin)

    def haloes(self, ln_sigma: Tensor, ln_slope: Tensor, epoch: Epoch, edge: Tensor) -> Haloes:
        """Mass function and bias at the nodes: n = f(sigma) |dln sigma / dlnM| / V."""
        ln_n = self.mass_function.ln_f(ln_sigma, epoch) + ln_slope  # times V / spacing
        ln_n = ln_n - self.ln_volume
        n = torch.exp(ln_n.clamp(min=_NO_HALOES))
        first = self.x[: self.edge] * (1 / (_ROOT_2 * self.grid.spacing))  # others lie above it
        step, delta = lower_limit(first - edge)
        return Haloes(n, self.bias.b(ln_sigma, epoch), step, delta, self.volume)


def _edge_nodes(grid: MassGrid, units: Units) -> int:
    """How many nodes may see the lowest mass: up to that of the least dense cosmology."""
    lightest = {"Om_m": -1.0, "h": -2.0}
    x = units.log10M_min * math.log(10) - math.log(4 * math.pi / 3 * units.rho_unit)
    highest = x + (span(lightest, units.ends)[1] if units.ends else 0.0)
    return max(math.ceil((highest - grid.start) / grid.spacing), 0) + _AROUND


def _sums(grid: MassGrid, units: Units) -> dict[str, dict[str, float]]:
    """Features, and where masses and concentrations lie: what is linear in logarithms."""
    sums: dict[str, dict[str, float]] = {}
    for i, feature in enumerate(FEATURES):
        sums[f"feature {i}"] = scaled(feature, *span(feature, units.ends))
    ln_unit = math.log(4 * math.pi / 3 * units.rho_unit)
    ln_min, wide = units.log10M_min * math.log(10), 1 / (_ROOT_2 * grid.spacing)
    sums["ln sigma_8"] = {"sigma_8": 1}
    sums["x of Mth"] = {"Mth": 1, "Om_m": -1, "h": -2, "": -ln_unit}
    sums["ln Mth / Mprime"] = {"Mth": 1, "Mprime": -1}
    sums["ln M_min / Mth"] = {"Mth": -1, "": ln_min}
    sums["x of M_min"] = {"Om_m": -wide, "h": -2 * wide, "": wide * (ln_min - ln_unit)}
    sums["concentration"] = scaled(units.concentration, *span(units.concentration, units.ends))
    return sums
