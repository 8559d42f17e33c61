"""Fit the network of the cosmology by least squares, and tabulate the rest of the halo model.

The hidden layer is drawn at random, and what follows is linear: given the hidden layer, least
squares have one solution. The hidden layer is then improved by L-BFGS on the residuals of the least
squares (variable projection; Golub & Pereyra 1973, SIAM J. Numer. Anal. 10, 413). No spectra are
needed: the targets are functions of the cosmology, a hundred times cheaper than labels.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from tqdm.auto import tqdm

from datagen.ccl import matter_density
from datagen.growth import matter_fractions
from datagen.halomodel import HaloModelConfig
from datagen.ingredients import check_densities
from datagen.linear_power import LinearPower
from datagen.space import COSMOLOGY, Space
from emulator.semianalytic.cosmology import FEATURES, CosmologyNetwork
from emulator.semianalytic.grid import MassGrid
from emulator.semianalytic.growth import check_ranges
from emulator.semianalytic.ingredients import Concentration
from emulator.semianalytic.logarithms import scaled, span
from emulator.semianalytic.model import Units

__all__ = ["FitConfig", "covering", "fit_cosmology", "functions", "halo_model_units"]

Array = NDArray[np.float64]

_RIDGE = 1e-11  # keeps weights below ~100, where float32 still gives 1e-5
# How fast hidden units vary along ln Om_c h^2, ln Om_b h^2, ln n_s, ln h, and the share of such
# units: the shape of P_lin varies most along the first two.
_KINDS = (
    (0.45, (2.0, 1.0, 0.0, 0.0)),
    (0.30, (0.6, 0.4, 0.4, 0.2)),
    (0.25, (0.5, 0.3, 0.4, 0.3)),
)
_DELTA_C, _NUMBER_CUT = 1.686, 20.0  # haloes with 0.35 nu^2 beyond the cut hardly count
_MOST = 12.0  # largest change of ln n per change of ln sigma that counts in the fit
_MEMORY = 30  # steps that L-BFGS remembers
_OUTER, _AT_END = 0.3, 0.3  # share of points at faces, and of their parameters at an end
_CHUNK = 128  # cosmologies whose linear power is computed at once
_ROUNDING = 1e-9
_EDGE = 5.0  # spacings between the first node and the lowest mass, for the step there


@dataclass(frozen=True)
class FitConfig:
    """Settings of the fit of the network of the cosmology.

    Attributes:
        cosmologies: Number of cosmologies, at least 2; some lie at faces and edges of the box, the
            others are drawn uniformly within.
        iterations: Maximum number of steps that improve the hidden layer; 0 keeps the random one.
        seed: Seed of the cosmologies and of the hidden layer.
    """

    cosmologies: int = 8192
    iterations: int = 1200
    seed: int = 1

    def __post_init__(self) -> None:
        if self.cosmologies < 2 or self.iterations < 0:
            raise ValueError(
                f"fit: cosmologies = {self.cosmologies} must be at least 2, and iterations = "
                f"{self.iterations} must not be negative"
            )


def functions(linear_power: LinearPower, space: Space, theta: Array, x: Array, k: Array) -> Array:
    """Targets of the network: ln s (Q), ln -dln s / dx (Q), ln T [ln Mpc^3] (K) and n (Q).

    n is the slope of the linear power, dln P / dln k, at ``k = 2 pi / R`` of the grid.

    Args:
        linear_power: Linear power spectrum of the labels.
        space: The box; its names are the columns of the points.
        theta: Points in physical units, shape (N, P).
        x: The grid, 3 ln(R_L / Mpc), shape (Q,).
        k: Wavenumbers [1/Mpc], shape (K,).

    Returns:
        The functions side by side, in that order, shape (N, 3 Q + K).
    """
    rows = []
    for start in tqdm(range(0, len(theta), _CHUNK), desc="linear power", disable=None):
        points = dict(zip(space.names, theta[start : start + _CHUNK].T, strict=True))
        cosmology = {name: points[name] for name in COSMOLOGY}
        cosmology["sigma_8"] = np.ones_like(cosmology["sigma_8"])
        ln_P, ln_sigma = linear_power(cosmology)
        ln_k = np.log(k)
        parts = ln_sigma(x / 3), np.log(-ln_sigma(x / 3, 1) / 3), ln_P(ln_k)
        rows.append(np.concatenate([*parts, ln_P(math.log(2 * np.pi) - x / 3, 1)]).T)
    return np.concatenate(rows)


def fit_cosmology(
    network: CosmologyNetwork,
    space: Space,
    linear_power: LinearPower,
    x: Array,
    k: Array,
    fit: FitConfig,
) -> None:
    """Fit the network in place.

    Args:
        network: The network, changed in place.
        space: Box of the parameters.
        linear_power: Linear power spectrum of the labels.
        x: The grid, 3 ln(R_L / Mpc), shape (Q,).
        k: Wavenumbers [1/Mpc], shape (K,).
        fit: Settings of the fit.
    """
    rng = np.random.default_rng(fit.seed)
    theta = space.from_unit(_spread(rng, fit.cosmologies, len(space.names)))
    ends = _ends(space)
    points = dict(zip(space.names, np.log(theta.clip(1e-300)).T, strict=True))
    features = np.stack([_value(scaled(f, *span(f, ends)), points) for f in FEATURES], axis=1)
    targets, slopes = np.split(functions(linear_power, space, theta, x, k), [-len(x)], axis=1)
    importance = _importance(targets, len(x), space.sigma_8.high)
    _solve(network, features, targets, importance, rng, fit.iterations)
    _solve_slope(network, features, slopes)


def _spread(rng: np.random.Generator, points: int, parameters: int) -> Array:
    """Points of the unit cube (N, P), some of them with parameters at their ends.

    Without points at the ends, errors at the corners of a box are ten times larger.
    """
    unit = rng.random((points, parameters))
    outer = unit[: round(_OUTER * points)]
    at_end = rng.random(outer.shape) < _AT_END
    outer[at_end] = outer[at_end].round()
    return unit


def _value(powers: dict[str, float], logs: dict[str, Array]) -> Array:
    total: Array = sum(
        (power * logs[name] for name, power in powers.items() if name),
        np.array(powers.get("", 0.0)),
    )
    return total


def _importance(targets: Array, Q: int, amplitude: float) -> Array:
    """Approximate change of ln P per change of each function."""
    exponent = 0.5 * 0.707 * (_DELTA_C / (amplitude * np.exp(targets[:, :Q]))) ** 2
    exponent = exponent.mean(axis=0)
    counts = 1 / (1 + exponent / _NUMBER_CUT)
    weights = np.ones(targets.shape[1])
    weights[:Q] = _MOST * counts
    weights[Q : 2 * Q] = counts
    return weights


def _hidden(units: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random weights (F, units) and biases; each unit turns over somewhere within the box."""
    counts = [round(share * units) for share, _ in _KINDS[:-1]]
    counts.append(units - sum(counts))
    scales = np.repeat([rates for _, rates in _KINDS], counts, axis=0).T
    weights = rng.normal(size=(len(FEATURES), units)) * scales
    return weights, -(weights * rng.uniform(-1, 1, size=weights.shape)).sum(axis=0)


def _principal(targets: Array, rank: int) -> Array:
    """Directions (F, rank) along which centred targets (N, F) vary most."""
    directions: Array = np.linalg.eigh(targets.T @ targets)[1][:, ::-1][:, :rank]
    return directions


def _least_squares(A: Tensor, Y: Tensor) -> Tensor:
    """Coefficients (U, F) of centred columns A (N, U) for Y (N, F)."""
    ridge = _RIDGE * torch.eye(A.shape[1], dtype=A.dtype)
    return torch.linalg.solve(A.T @ A / len(A) + ridge, A.T @ Y / len(A))


def _improve(
    weights: Array, bias: Array, x: Array, targets: Array, iterations: int
) -> tuple[Array, Array]:
    """Improve weights (F, units) and biases of the hidden layer by variable projection.

    Args:
        weights: Initial weights.
        bias: Initial biases.
        x: Features, shape (N, F).
        targets: Centred targets, each times its importance.
        iterations: Maximum number of steps.
    """
    inputs, Y = torch.from_numpy(x), torch.from_numpy(targets / (targets.std() or 1.0))

    def left_over(flat: Array) -> tuple[float, Array]:
        variables = torch.from_numpy(flat).requires_grad_()
        hidden = variables.unflatten(0, (-1, weights.shape[1]))
        A = torch.cat([torch.tanh(inputs @ hidden[:-1] + hidden[-1]), inputs], dim=1)
        A = A - A.mean(dim=0)
        with torch.no_grad():  # at the minimum, its derivative with A does not contribute
            linear = _least_squares(A, Y)
        loss = (A @ linear - Y).square().mean()
        loss = loss + _RIDGE * linear.square().sum() / Y.shape[1]
        loss.backward()
        assert variables.grad is not None
        return float(loss.detach()), variables.grad.numpy()

    with tqdm(total=iterations, desc="hidden layer", unit="step", disable=None) as bar:
        found = minimize(
            left_over,
            np.concatenate([weights, bias[None]]).ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=lambda _: bar.update(),
            options={
                "maxiter": iterations, "maxfun": 2 * iterations + 20, "maxcor": _MEMORY,
                "ftol": 0.0, "gtol": 0.0,
            },
        )  # fmt: skip
    *rows, last = found.x.reshape(-1, weights.shape[1])
    return np.array(rows), last


def _solve(
    network: CosmologyNetwork,
    x: Array,
    targets: Array,
    importance: Array,
    rng: np.random.Generator,
    iterations: int,
) -> None:
    """Fit the hidden layer, then the rest by least squares and its principal components."""
    units, rank = network.hidden.out_features, network.past.out_features
    mean = targets.mean(axis=0)
    Y = (targets - mean) * importance
    weights, bias = _hidden(units, rng)
    if iterations:
        weights, bias = _improve(weights, bias, x, Y @ _principal(Y, rank), iterations)
    design = np.concatenate([np.tanh(x @ weights + bias), x], axis=1)
    centre = design.mean(axis=0)
    A = design - centre
    linear = _least_squares(torch.from_numpy(A), torch.from_numpy(Y)).numpy()
    directions = _principal(A @ linear, rank)
    condense = linear @ directions
    values = {
        "hidden.weight": weights.T,
        "hidden.bias": bias,
        "condense.weight": condense[:units].T,
        "past.weight": condense[units:].T,
        "past.bias": -centre @ condense,
        "expand.weight": directions / importance[:, None],
        "expand.bias": mean,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in values.items()}
    weights_of = {name: tensor.float() for name, tensor in tensors.items()}
    network.load_state_dict(weights_of, strict=False)  # the slope is fitted later


def _solve_slope(network: CosmologyNetwork, x: Array, slopes: Array) -> None:
    """Fit the map to the slope of the power; the layers before it are not changed."""
    with torch.no_grad():
        A = network.condensed(torch.from_numpy(x).float()).double().numpy()
    centre, mean = A.mean(axis=0), slopes.mean(axis=0)
    scale = A.std(axis=0).max() or 1.0
    design, targets = torch.from_numpy((A - centre) / scale), torch.from_numpy(slopes - mean)
    weights = _least_squares(design, targets).numpy().T / scale
    network.slope.load_state_dict({
        "weight": torch.from_numpy(weights).float(),
        "bias": torch.from_numpy(mean - weights @ centre).float(),
    })  # fmt: skip


def halo_model_units(model: HaloModelConfig, space: Space, grid: MassGrid) -> tuple[Units, Array]:
    """Constants that relate parameters to nodes, and slope and value of ln c at x = 0.

    Slope and value are 0 if the concentration is not a power law.

    Raises:
        ValueError: If the box exceeds the range of the growth network, the grid or the mass
            function; or if the halo model is not ``standard`` or has no table of linear power.
    """
    if model.model != "standard":
        raise ValueError(
            f"model = {model.model!r}: a semi-analytic emulator needs model: standard, with one "
            f"definition of the halo mass and converged integrals"
        )
    if model.linear_power != "table":
        raise ValueError(
            f"linear_power = {model.linear_power!r}: a semi-analytic emulator is fitted to "
            f"thousands of linear spectra, and needs linear_power: table"
        )
    check_densities(model.mass_function, model.mass_def, matter_fractions(space))
    rho_unit, ends = float(matter_density(1.0, 1.0)), _ends(space)
    check_ranges(ends | {name: (space[name].low, space[name].high) for name in ("w0", "wa", "z")})
    _check_grid(grid, model, space)
    law = Concentration.named(model.concentration, model.mass_def).power_law()
    powers, ln_A = law or ({}, 0.0)
    # ln M = ln(4 pi / 3 rho_unit) + ln Om_m + 2 ln h + x
    slope = powers.pop("M", 0.0)
    powers["Om_m"] = powers.get("Om_m", 0.0) + slope
    powers["h"] = powers.get("h", 0.0) + 2 * slope
    straight = np.array([slope, ln_A + slope * np.log(4 * np.pi / 3 * rho_unit)])
    return Units(rho_unit, model.log10M_min, powers, ends), straight


def _ends(space: Space) -> dict[str, tuple[float, float]]:
    """Smallest and largest values of the terms of sums of logarithms, by name."""
    ends = {name: (space[name].low, space[name].high) for name in ("Om_c", "Om_b", "h", "n_s")}
    ends["Om_m"] = (space.Om_c.low + space.Om_b.low, space.Om_c.high + space.Om_b.high)
    ends["1 + z"] = (1 + space.z.low, 1 + space.z.high)
    return ends


def _check_grid(grid: MassGrid, model: HaloModelConfig, space: Space) -> None:
    latest = _lowest(model, space) - _EDGE * grid.spacing
    if latest < grid.start - _ROUNDING:
        raise ValueError(
            f"grid.start = {grid.start:g} must be at most {latest:.2f}, so "
            f"that the nodes reach below haloes of 10^{model.log10M_min:g} Msun"
        )


def covering(model: HaloModelConfig, space: Space, nodes: int, end: float) -> MassGrid:
    """Grid from just below the lowest haloes of a box to a last node.

    Args:
        model: The halo model.
        space: Box of the parameters.
        nodes: Number of nodes, more than five.
        end: Last node, 3 ln(R_L / Mpc).
    """
    lowest = _lowest(model, space)
    spacing = (end - lowest) / (nodes - 1 - _EDGE)
    return MassGrid(nodes, spacing, lowest - _EDGE * spacing)


def _lowest(model: HaloModelConfig, space: Space) -> float:
    """3 ln(R_L / Mpc) of the lowest halo mass, in the densest cosmology of a box."""
    densest = float(matter_density(space.Om_c.high + space.Om_b.high, space.h.high))
    return float(np.log(10**model.log10M_min / (4 * np.pi / 3 * densest)))
