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
from emulator.semianalytic.grid import SCALE, LowerLimit, MassGrid
from emulator.semianalytic.growth import LOGARITHMS, Growth
from emulator.semianalytic.ingredients import Bias, Epoch, MassFunction
from emulator.semianalytic.logarithms import LogSums, Powers, scaled, span
from emulator.semianalytic.occupation import Linke22
from emulator.semianalytic.profiles import Profiles, ProfileTable
from emulator.semianalytic.spectra import Haloes, Spectra

__all__ = ["SemiAnalytic", "Units"]

_NO_HALOES = -85.0  # ln n of which no integral sees anything; float32 ends soon after


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

    ln_volume: Tensor

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
        self.names = tuple(names)
        self.cosmology = CosmologyNetwork(cosmology, grid.nodes, wavenumbers)
        self.growth = Growth()
        self.mass_function = MassFunction.named(mass_function, mass_def)
        self.bias = Bias.named(halo_bias, mass_def)
        self.lower_limit = LowerLimit(grid.nodes, _highest_edge(grid, units))
        self.occupation = Linke22(grid, units.log10M_min)
        self.spectra = Spectra(grid.volume(), Profiles(table))
        self.sums = LogSums(names, *self._sums(grid, units))
        ln_volume = grid.volume().log() - math.log(grid.spacing)
        self.register_buffer("ln_volume", ln_volume.float(), persistent=False)

    def _sums(
        self, grid: MassGrid, units: Units
    ) -> tuple[dict[str, list[Powers]], dict[str, Powers]]:
        """All that is linear in parameters or in their logarithms, for `LogSums`."""
        place = _place(units)
        occupation, linear = self.occupation.sums(place)
        edge = {name: -SCALE / grid.spacing * power for name, power in _edge(units).items()}
        start = SCALE / grid.spacing * grid.start
        sums: dict[str, list[Powers]] = {
            "features": [scaled(one, *span(one, units.ends)) for one in FEATURES],
            "growth": [{name: 1.0} for name in LOGARITHMS],
            "ln a": [{"1 + z": -1.0}],
            "ln sigma_8": [{"sigma_8": 1.0}],
            "concentration": [
                scaled(units.concentration, *span(units.concentration, units.ends))
            ],
            "M / M_min": [
                edge | {"": edge[""] + start + SCALE * float(position)}
                for position in self.lower_limit.positions
            ],
        }
        return sums | occupation, linear | {name: {name: 1.0} for name in ("w0", "wa")}

    def forward(self, theta: Tensor) -> dict[str, Tensor]:
        """Spectra [Mpc^3], ``P_lin``, ``n_g``, ``b_eff``, ``f_sat`` by name.

        Args:
            theta: Points, columns `names`, physical units, shape (B, P).
        """
        columns = self.sums(theta)
        ln_D, Om_m = self.growth.of_logarithms(columns["growth"], columns["w0"], columns["wa"])
        amplitude = columns["ln sigma_8"] + ln_D
        ln_sigma, ln_slope, ln_P = self.cosmology(columns["features"], amplitude)
        epoch = Epoch(columns["ln a"], Om_m)
        step, delta = self.lower_limit(columns["M / M_min"])
        haloes = Haloes(
            self.abundance(ln_sigma, ln_slope, epoch), self.bias.b(ln_sigma, epoch), step, delta
        )
        galaxies = self.occupation(columns, step)
        return self.spectra(haloes, galaxies, columns["concentration"], torch.exp(ln_P))

    def abundance(self, ln_sigma: Tensor, ln_slope: Tensor, epoch: Epoch) -> Tensor:
        """Haloes per node [1/Mpc^3], n = f(sigma) |dln sigma / dlnM| / V times the spacing."""
        ln_n = self.mass_function.ln_f(ln_sigma, epoch) + ln_slope - self.ln_volume
        return torch.exp(ln_n.clamp(min=_NO_HALOES))


def _place(units: Units) -> dict[str, float]:
    """The sum that gives 3 ln(R_L / Mpc) of a halo of 1 Msun."""
    return {"Om_m": -1.0, "h": -2.0, "": -math.log(4 * math.pi / 3 * units.rho_unit)}


def _edge(units: Units) -> dict[str, float]:
    """The sum that gives it for the lowest halo mass."""
    place = _place(units)
    return place | {"": place[""] + units.log10M_min * math.log(10)}


def _highest_edge(grid: MassGrid, units: Units) -> float:
    """Where the lowest mass lies at most, in nodes from the first: in the least dense cosmology."""
    edge = _edge(units)
    return ((span(edge, units.ends)[1] if units.ends else edge[""]) - grid.start) / grid.spacing
