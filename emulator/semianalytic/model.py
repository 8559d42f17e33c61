"""The semi-analytic emulator: a learnt cosmology, and the integrals of the halo model.

theta -> sigma(M), P_lin (network and growth) -> n(M), b(M) (formulas) -> N(M) (the occupation)
-> integrals over M with u(k, M) -> spectra. Each step is a module of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from emulator.semianalytic.cosmology import FEATURES, CosmologyConfig, CosmologyNetwork
from emulator.semianalytic.grid import MassGrid, lower_limit
from emulator.semianalytic.growth import Growth
from emulator.semianalytic.ingredients import Bias, Concentration, Epoch, MassFunction
from emulator.semianalytic.logarithms import LogSums, scaled, span
from emulator.semianalytic.occupation import Linke22
from emulator.semianalytic.profiles import Profiles
from emulator.semianalytic.radii import Radii, ShiftedFunctions
from emulator.semianalytic.scaled_concentration import ScaledConcentration
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
    def slope(self) -> float:
        """Power of the mass in the concentration."""
        return self.concentration.get("Om_m", 0.0)  # of a Lagrangian radius

    def amplitudes(self, shift: float = 0.0) -> tuple[float, float]:
        """Smallest and largest logarithm of the concentration's amplitude.

        Args:
            shift: How far nodes are shifted in ln M, at most.
        """
        low, high = span(self.concentration, self.ends)
        more = abs(self.slope) * shift
        return low - more, high + more


class _Cosmos(NamedTuple):
    """What the cosmology of each point gives at the nodes, Q of them.

    Attributes:
        epoch: Its moment.
        shift: How far x of the nodes is shifted, shape (B, 1); None if nowhere.
        ln_sigma: Logarithm of the RMS density, shape (B, Q).
        ln_slope: Logarithm of -dln sigma / dx, shape (B, Q).
        ln_P: Logarithm of the linear power [Mpc^3], shape (B, K).
        ln_c: Logarithm of the concentration, shape (B, Q); None if it is a power law.
    """

    epoch: Epoch
    shift: Tensor | None
    ln_sigma: Tensor
    ln_slope: Tensor
    ln_P: Tensor
    ln_c: Tensor | None


class SemiAnalytic(nn.Module):
    """Spectra of points through integrals over the halo mass.

    Where the concentration is a power law of mass, its amplitude is all that profiles see of a
    point, and sums over the grid come first; else profiles see ln c of each node. Where the halo
    radius depends on the cosmology, nodes follow it, see `emulator.semianalytic.radii`.

    Args:
        grid: The grid of masses.
        cosmology: Size of the network of the cosmology.
        wavenumbers: How many, K.
        units: Of the halo model.
        fits: The fits for haloes.
        radii: How the nodes follow the halo radius.
        names: Columns of the points.
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
        fits: tuple[MassFunction, Bias, Concentration],
        radii: Radii,
        names: Sequence[str],
    ) -> None:
        super().__init__()
        self.names, self.radii = tuple(names), radii
        self.mass_function, self.bias, concentration = fits
        self.grid = nodes = radii.nodes(grid)
        self.cosmology = CosmologyNetwork(cosmology, grid.nodes, wavenumbers)
        self.growth = Growth()
        self.functions = _functions(grid, radii, concentration)
        self.occupation = Linke22(nodes.nodes, nodes.spacing)
        self.edge = min(_edge_nodes(nodes, units, radii.half), nodes.nodes)
        self.profiles = Profiles()  # they wait for the weights, or for a table
        law = concentration.power_law()
        self.concentration = ScaledConcentration(concentration, nodes.nodes) if not law else None
        ends = units.amplitudes(radii.half)
        self.tilt = scaled({"x": units.slope}, *ends)["x"]
        of_concentration = scaled(units.concentration, *ends) if law else _ln_M(units)
        self.sums = LogSums(names, _sums(nodes, units) | {"concentration": of_concentration})
        buffers = {
            "x": nodes.x(),
            "ln_volume": nodes.volume().log() - math.log(nodes.spacing),
            "volume": nodes.volume(),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.float(), persistent=False)

    def forward(self, theta: Tensor) -> dict[str, Tensor]:
        """Spectra [Mpc^3], ``P_lin``, ``n_g``, ``b_eff``, ``f_sat`` by name.

        Args:
            theta: Points, columns `names`, physical units, shape (B, P).
        """
        columns, features, sums = self._inputs(theta)
        ln_sigma_8, x_th, ln_ratio, gap, edge, t = sums
        cosmos = self.cosmos(columns, features, ln_sigma_8, t)
        if cosmos.shift is not None:  # masses, as far as they lie above shifted nodes
            x_th = x_th - cosmos.shift
            edge = edge - cosmos.shift * (1 / (_ROOT_2 * self.grid.spacing))
            t = t + cosmos.shift * self.tilt
        if self.concentration is not None and cosmos.ln_c is not None:
            t = self.concentration(cosmos.ln_c)
        haloes = self.haloes(cosmos, edge)
        galaxies = self.occupation(
            *(columns[name] for name in ("alpha", "sigma", "beta")),
            self.x - x_th,
            ln_ratio,
            gap,
            haloes.step,
        )
        return spectra(haloes, galaxies, self.profiles, t, torch.exp(cosmos.ln_P))

    def _inputs(self, theta: Tensor) -> tuple[dict[str, Tensor], Tensor, list[Tensor]]:
        """Columns of the points by name, features (B, 4), and the other sums, each (B, 1)."""
        columns = dict(zip(self.names, theta.split(1, dim=1), strict=True))
        features, *sums = self.sums(theta).split([len(FEATURES), *[1] * 6], dim=1)
        return columns, features, sums

    def concentrations(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Ln c, of a concentration that is no power law, and ln sigma at the nodes, each (B, Q).

        Args:
            theta: Points as in `forward`.
        """
        columns, features, (ln_sigma_8, *_, ln_M) = self._inputs(theta)
        cosmos = self.cosmos(columns, features, ln_sigma_8, ln_M)
        assert cosmos.ln_c is not None
        return cosmos.ln_c, cosmos.ln_sigma

    def cosmos(
        self, columns: dict[str, Tensor], features: Tensor, ln_sigma_8: Tensor, ln_M: Tensor
    ) -> _Cosmos:
        """What the cosmology gives; ln M [Msun] is that of x = 0, where concentrations need it."""
        background = (
            columns["Om_c"] + columns["Om_b"],
            *(columns[name] for name in ("h", "w0", "wa", "z")),
        )
        ln_D, Om_m = self.growth(*background)
        amplitude, epoch = ln_sigma_8 + ln_D, Epoch(-torch.log1p(columns["z"]), Om_m)
        shift = self.radii.shift(epoch)
        ln_s, ln_slope, n_eff, ln_T = self.learnt(features, shift)
        ln_sigma, ln_c = ln_s + amplitude, None
        if self.concentration is not None:
            ln_M = self.x + ln_M if shift is None else self.x + shift + ln_M
            universe = self.growth.universe(ln_D, *background)
            ln_c = self.concentration.ln_c(ln_M, ln_sigma, n_eff, universe, epoch)
        return _Cosmos(epoch, shift, ln_sigma, ln_slope, ln_T + 2 * amplitude, ln_c)

    def learnt(self, features: Tensor, shift: Tensor | None) -> tuple[Tensor, ...]:
        """Ln s, ln -dln s / dx, a slope n_eff for the concentration (B, Q), and ln T (B, K)."""
        if self.functions is None:
            ln_s, ln_slope, ln_T = self.cosmology(features)
            return ln_s, ln_slope, ln_slope, ln_T  # n_eff is not asked for
        numbers = self.cosmology.condensed(features)
        *maps, (weights, constants), power = self.cosmology.maps()
        slope = self.concentration.fit.slope if self.concentration else ""
        maps += {"": [], "sigma": [maps[1]], "power": [power]}[slope]
        t = torch.zeros_like(numbers[:, :1]) if shift is None else shift * (1 / self.radii.half)
        ln_s, ln_slope, *rest = self.functions(numbers, maps, t)
        n_eff = rest[0] if rest else ln_slope
        if slope == "sigma":
            n_eff = 6 * torch.exp(n_eff) - 3  # -3 - 2 dln sigma / dln R, x = 3 ln R
        return ln_s, ln_slope, n_eff, torch.addmm(constants, numbers, weights.T)

    def haloes(self, cosmos: _Cosmos, edge: Tensor) -> Haloes:
        """Mass function and bias at the nodes: n = f(sigma) |dln sigma / dlnM| / V."""
        ln_n = self.mass_function.ln_f(cosmos.ln_sigma, cosmos.epoch) + cosmos.ln_slope
        ln_n, volume = ln_n - self.ln_volume, self.volume
        if cosmos.shift is not None:
            ln_n, volume = ln_n - cosmos.shift, volume * torch.exp(cosmos.shift)
        n = torch.exp(ln_n.clamp(min=_NO_HALOES))
        first = self.x[: self.edge] * (1 / (_ROOT_2 * self.grid.spacing))  # others lie above it
        step, delta = lower_limit(first - edge)
        return Haloes(n, self.bias.b(cosmos.ln_sigma, cosmos.epoch), step, delta, volume)


def _functions(
    grid: MassGrid, radii: Radii, concentration: Concentration
) -> ShiftedFunctions | None:
    """What takes functions of the cosmology to shifted nodes, or None if none is shifted."""
    offsets: dict[str, list[float]] = {
        "": [],
        "sigma": [3 * math.log(concentration.scale)],
        "power": [0.0],
    }
    if not radii.half and not concentration.slope:
        return None
    return ShiftedFunctions(grid, radii, [0.0, 0.0, *offsets[concentration.slope]])


def _ln_M(units: Units) -> dict[str, float]:
    """Sum that is ln M [Msun] at x = 0."""
    return {"Om_m": 1.0, "h": 2.0, "": math.log(4 * math.pi / 3 * units.rho_unit)}


def _edge_nodes(grid: MassGrid, units: Units, shift: float) -> int:
    """How many nodes may see the lowest mass: up to that of the least dense cosmology."""
    lightest = {"Om_m": -1.0, "h": -2.0}
    x = units.log10M_min * math.log(10) - math.log(4 * math.pi / 3 * units.rho_unit)
    highest = x + (span(lightest, units.ends)[1] if units.ends else 0.0)
    return max(math.ceil((highest + shift - grid.start) / grid.spacing), 0) + _AROUND


def _sums(grid: MassGrid, units: Units) -> dict[str, dict[str, float]]:
    """Features, and where masses lie: what is linear in logarithms."""
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
    return sums
