"""The semi-analytic emulator: a learnt cosmology and the integrals of the halo model.

theta -> sigma(M), P_lin (network and growth) -> n(M), b(M) (formulas) -> N(M) (the occupation)
-> integrals over M with u(k, M) -> spectra. Each step is a module of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from datagen.occupations import Extended, occupation
from datagen.occupations.extras import parameters_of
from datagen.space import BACKGROUND, Space
from emulator.semianalytic.cosmology import FEATURES, CosmologyConfig, CosmologyNetwork
from emulator.semianalytic.grid import SCALE, LowerLimit, MassGrid
from emulator.semianalytic.growth import LOGARITHMS, Growth
from emulator.semianalytic.ingredients import Bias, Concentration, Epoch, MassFunction
from emulator.semianalytic.logarithms import LogSums, Powers, scaled, span
from emulator.semianalytic.occupation import NO_HALOES, Weights, galaxies_of
from emulator.semianalytic.radii import Radii, ShiftedFunctions
from emulator.semianalytic.scaled_concentration import ScaledConcentration
from emulator.semianalytic.spectra import Haloes, Spectra

__all__ = ["SemiAnalytic", "Units"]


@dataclass(frozen=True)
class Units:
    """Constants of the halo model that relate parameters to nodes of the grid.

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
            shift: Largest shift of the nodes in ln M.
        """
        low, high = span(self.concentration, self.ends)
        more = abs(self.slope) * shift
        return low - more, high + more


class _Cosmos(NamedTuple):
    """Functions of the cosmology of each point at the Q nodes.

    Attributes:
        epoch: Scale factor and matter density of each point.
        shift: Shift of the nodes in x, shape (B, 1); None if nodes are not shifted.
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
    """Spectra from integrals over the halo mass.

    If the concentration is a power law of mass, profiles depend on the point through its amplitude
    alone, and sums over the grid are taken first; otherwise profiles depend on ln c of each node.
    If the halo radius depends on the cosmology, nodes follow the radius; see
    `emulator.semianalytic.radii`.

    Args:
        grid: Grid of halo masses, Q nodes.
        cosmology: Size of the network for the cosmology.
        k: Wavenumbers [1/Mpc], shape (K,).
        units: Constants of the halo model.
        fits: Mass function, bias and concentration of haloes.
        radii: Shifts of the nodes that follow the halo radius.
        space: Box of the parameters, with the occupation.
    """

    x: Tensor
    ln_volume: Tensor
    volume: Tensor

    def __init__(
        self,
        grid: MassGrid,
        cosmology: CosmologyConfig,
        k: Sequence[float],
        units: Units,
        fits: tuple[MassFunction, Bias, Concentration],
        radii: Radii,
        space: Space,
    ) -> None:
        super().__init__()
        self.radii = radii
        self.mass_function, self.bias, concentration = fits
        self.grid = nodes = radii.nodes(grid)
        self.cosmology = CosmologyNetwork(cosmology, grid.nodes, len(k))
        self.growth = Growth()
        self.functions = _functions(grid, radii, concentration)
        self.lower_limit = LowerLimit(nodes.nodes, _highest_edge(nodes, units, radii.half))
        whose = occupation(space.occupation)
        base = whose.base if isinstance(whose, Extended) else whose
        self.galaxies = galaxies_of(base, space.names, nodes, units.log10M_min)
        self.extras = {p.name: space.names.index(p.name) for p in parameters_of(whose.extras)}
        self.concentration = None
        if not concentration.power_law():
            self.concentration = ScaledConcentration(concentration, nodes.nodes)
        self.spectra = Spectra(nodes.nodes, k)
        self.sums = LogSums(BACKGROUND, *self._sums(units))
        ends = units.amplitudes(radii.half)
        self.shifts = {
            "ln M": 1.0,
            "M / M_min": SCALE / nodes.spacing,
            "concentration": 1.0 if self.concentration else scaled({"x": units.slope}, *ends)["x"],
        }
        x = nodes.x()
        for name, value in {
            "x": x, "ln_volume": nodes.volume().log() - math.log(nodes.spacing),
            "volume": nodes.volume(),
        }.items():  # fmt: skip
            self.register_buffer(name, value.float(), persistent=False)

    def _sums(self, units: Units) -> tuple[dict[str, list[Powers]], dict[str, Powers]]:
        """Sums that are linear in parameters or in their logarithms, for `LogSums`."""
        place = {name: -power for name, power in _ln_M(units).items()}  # x of a halo of 1 Msun
        start, unit = self.grid.start, SCALE / self.grid.spacing
        edge = {name: -unit * power for name, power in place.items()}
        edge[""] += unit * (start - units.log10M_min * math.log(10))
        amplitude = scaled(units.concentration, *units.amplitudes(self.radii.half))
        sums: dict[str, list[Powers]] = {
            "features": [scaled(one, *span(one, units.ends)) for one in FEATURES],
            "growth": [{name: 1.0} for name in LOGARITHMS],
            "ln a": [{"1 + z": -1.0}],
            "ln sigma_8": [{"sigma_8": 1.0}],
            "ln M": [_ln_M(units)],
            "concentration": [amplitude],
            "M / M_min": [
                edge | {"": edge[""] + SCALE * float(position)}
                for position in self.lower_limit.positions
            ],
        }
        return sums, {name: {name: 1.0} for name in ("w0", "wa")}

    def forward(self, theta: Tensor) -> dict[str, Tensor]:
        """Spectra and ``P_lin`` [Mpc^3], ``n_g`` [1/Mpc^3], ``b_eff`` and ``f_sat`` by name.

        Args:
            theta: Points in physical units, columns in the order of the box, shape (B, P).
        """
        background = theta[:, : len(BACKGROUND)]
        extras = {name: theta[:, i : i + 1] for name, i in self.extras.items()}
        return self.of_galaxies(background, lambda *grid: self.galaxies(theta, *grid), extras)

    def of_galaxies(
        self,
        background: Tensor,
        galaxies: Callable[[Tensor, Tensor, Tensor, Tensor], Weights],
        extras: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return the outputs of `forward` for given galaxies, with the haloes at the nodes.

        Args:
            background: Cosmology and redshift of points, columns `BACKGROUND`, shape (B, 8).
            galaxies: Function that returns the galaxies at the nodes. Its arguments are ln M
                [ln Msun] at x = 0, (B, 1), ln of the haloes per node, the haloes per node, and the
                unit step at the lowest mass, each (B, Q).
            extras: Parameters of effects added to the occupation, by name, each (B, 1).

        Returns:
            Spectra and numbers by name, and the arguments of ``galaxies`` as ``ln_M``, ``ln_n``,
            ``n`` and ``step``.
        """
        haloes, t, P_lin, given = self.before_galaxies(background)
        weights = galaxies(*given.values())
        return self.spectra(haloes, weights, t, P_lin, extras) | given

    def before_galaxies(
        self, background: Tensor
    ) -> tuple[Haloes, Tensor, Tensor, dict[str, Tensor]]:
        """Haloes, concentrations, linear power, and arguments of ``galaxies`` by name.

        Args:
            background: As for `of_galaxies`.
        """
        columns, cosmos = self.cosmos(background)
        t = columns["concentration"]
        if self.concentration is not None and cosmos.ln_c is not None:
            t = self.concentration(cosmos.ln_c)
        step, delta = self.lower_limit(columns["M / M_min"])
        haloes = self.haloes(cosmos, step, delta)
        given = {"ln_M": columns["ln M"], "ln_n": haloes.ln_n, "n": haloes.n, "step": step}
        return haloes, t, torch.exp(cosmos.ln_P), given

    def concentrations(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Ln c and ln sigma at the nodes, each (B, Q), if c is not a power law of mass.

        Args:
            theta: Points as in `forward`.
        """
        _, cosmos = self.cosmos(theta[:, : len(BACKGROUND)])
        assert cosmos.ln_c is not None
        return cosmos.ln_c, cosmos.ln_sigma

    def cosmos(self, background: Tensor) -> tuple[dict[str, Tensor], _Cosmos]:
        """Sums of parameters by name, and functions of the cosmology at the shifted nodes.

        Args:
            background: As for `of_galaxies`.
        """
        columns = self.sums(background)
        expansion = columns["growth"], columns["w0"], columns["wa"]
        ln_D, Om_m = self.growth.of_logarithms(*expansion)
        amplitude, epoch = columns["ln sigma_8"] + ln_D, Epoch(columns["ln a"], Om_m)
        shift = self.radii.shift(epoch)
        if shift is not None:
            shifted = {name: columns[name] + factor * shift for name, factor in self.shifts.items()}
            columns |= shifted
        ln_sigma, ln_slope, n_eff, ln_P = self.learnt(columns["features"], amplitude, shift)
        ln_c = None
        if self.concentration is not None:
            universe = self.growth.universe(ln_D, *expansion)
            ln_M = self.x + columns["ln M"]
            ln_c = self.concentration.ln_c(ln_M, ln_sigma, n_eff, universe, epoch)
        return columns, _Cosmos(epoch, shift, ln_sigma, ln_slope, ln_P, ln_c)

    def learnt(
        self, features: Tensor, amplitude: Tensor, shift: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Outputs of `CosmologyNetwork`, and the slope n_eff for the concentration, (B, Q)."""
        if self.functions is None:
            ln_sigma, ln_slope, ln_P = self.cosmology(features, amplitude)
            return ln_sigma, ln_slope, ln_slope, ln_P  # n_eff is not used
        numbers = self.cosmology.condensed(features)
        *maps, (weights, constants), power = self.cosmology.maps()
        slope = self.concentration.fit.slope if self.concentration else ""
        maps += {"": [], "sigma": [maps[1]], "power": [power]}[slope]
        t = torch.zeros_like(numbers[:, :1]) if shift is None else shift * (1 / self.radii.half)
        ln_s, ln_slope, *rest = self.functions(numbers, maps, t)
        n_eff = rest[0] if rest else ln_slope
        if slope == "sigma":
            n_eff = 6 * torch.exp(n_eff) - 3  # -3 - 2 dln sigma / dln R, x = 3 ln R
        ln_T = torch.addmm(constants, numbers, weights.T)
        return ln_s + amplitude, ln_slope, n_eff, ln_T + 2 * amplitude

    def haloes(self, cosmos: _Cosmos, step: Tensor, delta: Tensor) -> Haloes:
        """Mass function and bias at the nodes: n = f(sigma) |dln sigma / dlnM| / V."""
        ln_n = self.mass_function.ln_f(cosmos.ln_sigma, cosmos.epoch) + cosmos.ln_slope
        ln_n, volume = ln_n - self.ln_volume, self.volume
        if cosmos.shift is not None:
            ln_n, volume = ln_n - cosmos.shift, volume * torch.exp(cosmos.shift)
        n = torch.exp(ln_n.clamp(min=NO_HALOES))
        return Haloes(n, ln_n, self.bias.b(cosmos.ln_sigma, cosmos.epoch), step, delta, volume)


def _functions(
    grid: MassGrid, radii: Radii, concentration: Concentration
) -> ShiftedFunctions | None:
    """Module that evaluates functions of the cosmology at shifted nodes; None if unshifted."""
    offsets: dict[str, list[float]] = {
        "": [],
        "sigma": [3 * math.log(concentration.scale)],
        "power": [0.0],
    }
    if not radii.half and not concentration.slope:
        return None
    return ShiftedFunctions(grid, radii, [0.0, 0.0, *offsets[concentration.slope]])


def _ln_M(units: Units) -> dict[str, float]:
    """Powers of parameters whose sum of logarithms is ln M [Msun] at x = 0."""
    return {"Om_m": 1.0, "h": 2.0, "": math.log(4 * math.pi / 3 * units.rho_unit)}


def _highest_edge(grid: MassGrid, units: Units, shift: float) -> float:
    """Highest place of the lowest mass, in nodes from the first: in the least dense cosmology."""
    least = span(_ln_M(units), units.ends)[0] if units.ends else _ln_M(units)[""]
    highest = units.log10M_min * math.log(10) - least + shift
    return (highest - grid.start) / grid.spacing
