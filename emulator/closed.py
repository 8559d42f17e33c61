"""The closed form: a small network for the cosmology, the mass integrals in the graph.

With n(M) = exp(g - exp(y)), b(M) and P_lin(k) from a network of the cosmology alone, and u(k, M)
from a table, the integrals of `datagen.halomodel` are sums over a grid that is even in ln M. So
nothing but smooth functions of five variables is learnt; the dependence on the occupation is
exact, totals are sums, and mm does not see the occupation.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emulator.steps import Threshold, lower_edge

__all__ = ["ClosedConfig", "ClosedForm", "CosmologyNetwork", "Tables"]

_COSMOLOGY = 5
_FIXED = 1e-6  # a narrower range of a feature is that of a fixed one, up to rounding
_NO_HALOES = -60.0  # ln n of which no integral sees anything; subnormal numbers are slow
# theta -> what has a logarithm: Om_c, Om_b, Om_m, h, sigma_8, n_s, sigma, Mth, Mprime
_LOGS = ((0,), (1,), (0, 1), (2,), (3,), (4,), (6,), (7,), (8,))
_OM_M, _H, _MTH, _MPRIME = 2, 3, 7, 8
# features of the network in these logarithms: Om_c h^2, Om_b h^2, n_s, h, sigma_8
_FEATURES = ({0: 1.0, 3: 2.0}, {1: 1.0, 3: 2.0}, {5: 1.0}, {3: 1.0}, {4: 1.0})


@dataclass(frozen=True)
class ClosedConfig:
    """A closed form: a network of the cosmology, then integrals over the halo mass.

    The defaults are what ``configs/standard/closed.yaml`` found, and a few more nodes: three at the
    lower end, for boxes that are denser than the published one, and four at the upper end, up to
    the largest haloes of the labels, which count where beta is near 2.

    Attributes:
        units: Hidden units of the network.
        rank: Numbers that its hidden units are condensed to.
        nodes: Nodes of the integrals.
        spacing: Their spacing in ln M.
        start: First node, 3 ln(R_L / Mpc), R_L the Lagrangian radius of the halo mass.
    """

    units: int = 494
    rank: int = 39
    nodes: int = 115
    spacing: float = 0.167
    start: float = -5.0

    def __post_init__(self) -> None:
        if self.units < 1 or not 1 <= self.rank <= self.units + _COSMOLOGY:
            raise ValueError(
                f"units = {self.units} must be at least 1 and rank = {self.rank} must lie in "
                f"[1, units + {_COSMOLOGY}]"
            )
        if self.nodes < 16 or not 0.05 <= self.spacing <= 0.5:
            raise ValueError(
                f"nodes = {self.nodes} must be at least 16 and spacing = {self.spacing:g} must "
                f"lie in [0.05, 0.5], where the integrals converge"
            )

    def x(self) -> Tensor:
        """The nodes, 3 ln(R_L / Mpc), shape (Q,), float64."""
        return self.start + self.spacing * torch.arange(self.nodes, dtype=torch.float64)


class CosmologyNetwork(nn.Module):
    """One hidden layer, condensed to a few numbers, and a linear map past it.

    Args:
        units: Hidden units.
        rank: Numbers that the hidden units and the inputs are condensed to.
        outputs: Numbers that come out.
    """

    def __init__(self, units: int, rank: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(_COSMOLOGY, units)
        self.condense = nn.Linear(units, rank, bias=False)
        self.past = nn.Linear(_COSMOLOGY, rank)
        self.expand = nn.Linear(rank, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Functions of the cosmology (B, outputs) from features in [-1, 1], shape (B, 5)."""
        hidden = torch.tanh(self.hidden(features))
        condensed = torch.addmm(self.past(features), hidden, self.condense.weight.T)
        functions: Tensor = self.expand(condensed)
        return functions


@dataclass(frozen=True)
class Tables:
    """What a closed form takes from the halo model as it is.

    Attributes:
        u: Coefficients of u(k, x) in powers of the scaled concentration amplitude, (m, Q, K).
        u2: The same of u(k, x)^2.
        slopes: dln q / dln Om_m and dln q / dln h of the concentration's amplitude q.
        middle: Middle of the range of q.
        half: Half its width.
        rho_unit: Mean matter density [Msun / Mpc^3] of Om_m h^2 = 1.
        M_min: Lowest halo mass [Msun].
        low: Smallest values of the five features (natural logarithms).
        high: Their largest values.
    """

    u: Tensor
    u2: Tensor
    slopes: tuple[float, float]
    middle: float
    half: float
    rho_unit: float
    M_min: float
    low: Tensor
    high: Tensor

    def feature_ranges(self) -> tuple[Tensor, Tensor]:
        """Middle of each feature's range and half its width, or 1 for one that is held fixed."""
        low, high = self.low.double(), self.high.double()
        width = high - low
        return 0.5 * (low + high), torch.where(width > _FIXED, 0.5 * width, 1.0)


class ClosedForm(nn.Module):
    """Spectra of points through integrals over the halo mass.

    Args:
        config: Network and nodes.
        wavenumbers: How many.
        powers: Coefficients of the profile in the concentration's amplitude.
    """

    _mix: Tensor
    _offset: Tensor
    _u: Tensor
    _u2: Tensor
    _centre: Tensor
    _pick: Tensor
    _x: Tensor
    _volume: Tensor

    def __init__(self, config: ClosedConfig, wavenumbers: int, powers: int = 3) -> None:
        super().__init__()
        self.config, self.K, self.powers = config, wavenumbers, powers
        Q = config.nodes
        self.network = CosmologyNetwork(config.units, config.rank, 3 * Q + wavenumbers)
        self.threshold = Threshold(config.spacing)
        self.register_buffer("_mix", torch.zeros(len(_LOGS), _COSMOLOGY + 5))
        self.register_buffer("_offset", torch.zeros(_COSMOLOGY + 5))
        self.register_buffer("_u", torch.zeros(Q, powers * wavenumbers))
        self.register_buffer("_u2", torch.zeros(Q, powers * wavenumbers))
        self.register_buffer("_centre", torch.zeros(()))
        pick = torch.zeros(10, len(_LOGS))
        for j, columns in enumerate(_LOGS):
            pick[list(columns), j] = 1
        self.register_buffer("_pick", pick, persistent=False)
        self.register_buffer("_x", config.x().float(), persistent=False)
        volume = 4 * math.pi / 3 * config.x().exp()  # M / rho_m [Mpc^3]
        self.register_buffer("_volume", volume.float(), persistent=False)

    def set_tables(self, tables: Tables) -> None:
        """Take up what is not learnt."""
        mix = torch.zeros(self._mix.shape, dtype=torch.float64)
        offset = torch.zeros(self._offset.shape, dtype=torch.float64)
        middle, half = tables.feature_ranges()
        for j, feature in enumerate(_FEATURES):
            for row, power in feature.items():
                mix[row, j] = power / half[j]
        offset[:5] = -middle / half
        ln_unit, ln_min = math.log(4 * math.pi / 3 * tables.rho_unit), math.log(tables.M_min)
        scale = 1 / (math.sqrt(2) * self.config.spacing)
        mix[_OM_M, 5], mix[_H, 5], mix[_MTH, 5], offset[5] = -1, -2, 1, -ln_unit  # x of Mth
        mix[_MTH, 6], mix[_MPRIME, 6] = 1, -1  # ln(Mth / Mprime)
        mix[_OM_M, 7], mix[_H, 7] = -scale, -2 * scale  # x of M_min, scaled
        offset[7] = scale * (ln_min - ln_unit)
        mix[_MTH, 8], offset[8] = -1, ln_min  # ln(M_min / Mth)
        mix[_OM_M, 9], mix[_H, 9], offset[9] = *tables.slopes, -math.log(tables.half)
        self._mix.copy_(mix)
        self._offset.copy_(offset)
        self._centre.fill_(tables.middle / tables.half)
        self._u.copy_(tables.u.transpose(0, 1).flatten(1))
        self._u2.copy_(tables.u2.transpose(0, 1).flatten(1))

    def scalars(self, theta: Tensor) -> Tensor:
        """The five features, and five numbers per point that the integrals need, (B, 10)."""
        return torch.addmm(self._offset, torch.log(theta @ self._pick), self._mix)

    def forward(self, theta: Tensor, functions: Tensor | None = None) -> dict[str, Tensor]:
        """Spectra [Mpc^3], ``P_lin``, and ``n_g``, ``b_eff``, ``f_sat`` by name.

        Args:
            theta: Points, columns `datagen.space.PARAMETERS`, physical units, shape (B, 10).
            functions: Functions of the cosmology in place of the network's, (B, 3 Q + K).
        """
        Q = self.config.nodes
        scalars = self.scalars(theta).split([_COSMOLOGY, 1, 1, 1, 1, 1], dim=1)
        features, x_th, ln_ratio, edge, gap, ln_q = scalars
        if functions is None:
            functions = self.network(features)
        y, g, ln_b, ln_P = functions.split([Q, Q, Q, self.K], dim=1)
        ln_n = g - torch.exp(y)
        n = torch.where(ln_n > _NO_HALOES, torch.exp(ln_n), 0.0)  # x spacing
        b, P = torch.exp(ln_b), torch.exp(ln_P)
        step, delta = lower_edge(self._x / (math.sqrt(2) * self.config.spacing) - edge)
        matter = self._matter(n * step, b, delta)
        cut = n, b, step
        galaxies, numbers = self._galaxies(theta, cut, self._x - x_th, ln_ratio, gap)
        sums = self._project([*galaxies, *matter], torch.exp(ln_q) - self._centre)
        return self._spectra(sums, numbers, P)

    def _matter(self, n2: Tensor, b: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of u in I_m and of u^2 in mm's 1-halo term; n2 is twice the haloes per node."""
        V = self._volume
        biased = n2 * (b * (0.5 * V))
        missing = 1 - biased.sum(dim=1, keepdim=True)  # mass in haloes below the lowest
        return biased + missing * delta, n2 * (0.5 * V * V)

    def _galaxies(
        self,
        theta: Tensor,
        haloes: tuple[Tensor, Tensor, Tensor],
        distance: Tensor,
        ln_ratio: Tensor,
        gap: Tensor,
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Weights of u in gg, gm, I_g and of u^2 in gg and gm, all for n_g = 1; numbers.

        Satellites are counted in units of S = (Mth / Mprime)^beta, and both kinds are divided by
        alpha + S, which cancels: so nothing overflows, also at alpha = 0.
        """
        n, b, step = haloes
        _, alpha, sigma, _, beta = theta.split([_COSMOLOGY, 1, 1, 2, 1], dim=1)
        e, e2, is_narrow = self.threshold(distance, sigma, gap)  # 2 e, 4 e^2
        n = n * torch.where(is_narrow, 2.0, step)
        S = torch.exp(beta * ln_ratio)
        both = alpha + S
        central, satellites = alpha / both, torch.exp(beta * distance) * (S / both)
        hosts = n * e
        per_host = satellites + central
        total = (hosts * per_host).sum(dim=1, keepdim=True)  # 4 n_g / (alpha + S)
        inverse = total.reciprocal()
        hosts = hosts * inverse
        pairs = n * e2 * satellites * (2 * inverse * inverse)  # 8 n e^2 -> n e^2 / n_g^2
        mass, biased = hosts * self._volume, hosts * b
        weights = (pairs * (2 * central), mass * central, biased * satellites)
        squares = (pairs * satellites, mass * satellites)
        numbers = {
            "centrals": biased.sum(dim=1, keepdim=True) * central,
            "n_g": (0.25 * total * both).squeeze(1),
            "b_eff": (biased * per_host).sum(dim=1),
            "f_sat": (hosts * satellites).sum(dim=1),
        }
        return (*weights, *squares), numbers

    def _project(self, weights: list[Tensor], t: Tensor) -> tuple[Tensor, ...]:
        """Integrals over the profile: of u with gg, gm, I_g, I_m, of u^2 with gg, gm, mm."""
        gg, gm, I_g, gg2, gm2, I_m, mm2 = weights
        sums: tuple[Tensor, ...] = ()
        for rows, table in (((gg, gm, I_g, I_m), self._u), ((gg2, gm2, mm2), self._u2)):
            w = torch.cat(rows, dim=1).unflatten(1, (len(rows), -1))  # (B, rows, Q)
            *powers, result = (w @ table).split(self.K, dim=2)  # each (B, rows, K)
            for lower in reversed(powers):
                result = result * t.unsqueeze(1) + lower
            sums += result.flatten(1).split(self.K, dim=1)
        return sums

    def _spectra(
        self, sums: tuple[Tensor, ...], numbers: dict[str, Tensor], P: Tensor
    ) -> dict[str, Tensor]:
        """The nine spectra by name, and the numbers of the galaxies."""
        gg, gm, satellites, I_m, gg2, gm2, mm = sums
        I_g = numbers.pop("centrals") + satellites
        matter, galaxies = I_m * P, I_g * P
        terms = {"mm": (mm, I_m * matter), "gm": (gm + gm2, I_g * matter)}
        terms["gg"] = (gg + gg2, I_g * galaxies)
        spectra: dict[str, Tensor] = {"P_lin": P, **numbers}
        for name, (one, two) in terms.items():
            spectra |= {f"{name}_1h": one, f"{name}_2h": two, f"{name}_total": one + two}
        return spectra
