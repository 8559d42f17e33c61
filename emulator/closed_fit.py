"""Fit the closed form: its network by least squares, its tables from the halo model.

The hidden layer is drawn at random, and what follows is linear: given the hidden layer, least
squares have one solution. The hidden layer is then improved by L-BFGS on what least squares leave
over (variable projection; Golub & Pereyra 1973, SIAM J. Numer. Anal. 10, 413). No spectra are
needed: the targets are functions of the cosmology, a hundred times cheaper than labels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from tqdm.auto import tqdm

from datagen.ccl import matter_density
from datagen.halomodel import HaloModelConfig
from datagen.nodes import HaloNodes
from datagen.space import PARAMETERS, Space
from emulator.closed import ClosedConfig, ClosedForm, Tables

__all__ = ["FitConfig", "covering", "fit_closed"]

Array = NDArray[np.float64]

_EDGE = 3.5  # spacings between the first node and the lowest mass, for the step there
_RIDGE = 1e-11  # keeps weights below ~100, where float32 still gives 1e-5
# How fast the hidden units vary along ln Om_c h^2, ln Om_b h^2, ln n_s, ln h, ln sigma_8, and the
# share of the units: P_lin's shape varies along the first two alone, but most of all.
_KINDS = (
    (0.40, (2.0, 1.0, 0.0, 0.0, 0.0)),
    (0.35, (0.6, 0.4, 0.4, 0.2, 0.0)),
    (0.25, (0.5, 0.3, 0.4, 0.2, 0.3)),
)
_NUMBER_CUT = 20.0  # where exp(y) is beyond this, haloes hardly count
_MEMORY = 30  # steps that L-BFGS remembers


@dataclass(frozen=True)
class FitConfig:
    """How a closed form is fitted.

    Attributes:
        cosmologies: Cosmologies, drawn evenly in the box.
        iterations: Most steps that improve the hidden layer; 0 leaves it as it was drawn.
        seed: Seed of the cosmologies and of the hidden layer.
    """

    cosmologies: int = 16384
    iterations: int = 300
    seed: int = 1

    def __post_init__(self) -> None:
        if self.cosmologies < 2 or self.iterations < 0:
            raise ValueError(
                f"fit: cosmologies = {self.cosmologies} must be at least 2, and iterations = "
                f"{self.iterations} must not be negative"
            )


def features_of(cosmology: Array) -> Array:
    """Ln of Om_c h^2, Om_b h^2, n_s, h, sigma_8 from columns `datagen.space.COSMOLOGY`."""
    Om_c, Om_b, h, sigma_8, n_s = cosmology.T
    result: Array = np.log(np.stack([Om_c * h**2, Om_b * h**2, n_s, h, sigma_8], axis=1))
    return result


def fit_closed(
    config: ClosedConfig,
    space: Space,
    halo_model: HaloModelConfig,
    fit: FitConfig = FitConfig(),
) -> ClosedForm:
    """A closed form that is ready to predict.

    Args:
        config: Network and nodes.
        space: The box of the parameters.
        halo_model: The halo model; a ``standard`` one.
        fit: How the network is fitted.

    Raises:
        ValueError: Nodes that do not cover the box, or a halo model without this form.
    """
    nodes = HaloNodes(halo_model, space, config.x().numpy())
    _check_nodes(config, nodes)
    rng = np.random.default_rng(fit.seed)
    cosmology = space.from_unit(rng.random((fit.cosmologies, len(PARAMETERS))))[:, :5]
    corners = features_of(np.stack([space.low[:5], space.high[:5]]))
    profiles = nodes.profiles()
    form = ClosedForm(config, len(nodes.k), len(profiles.u))
    tables = Tables(
        u=torch.from_numpy(profiles.u),
        u2=torch.from_numpy(profiles.u2),
        slopes=(float(profiles.slopes[0]), float(profiles.slopes[1])),
        middle=profiles.middle,
        half=profiles.half,
        rho_unit=nodes.rho_unit,
        M_min=10**halo_model.log10M_min,
        low=torch.from_numpy(corners[0]),
        high=torch.from_numpy(corners[1]),
    )
    form.set_tables(tables)
    middle, half = (ends.numpy() for ends in tables.feature_ranges())
    x = (features_of(cosmology) - middle) / half
    _solve(form, x, nodes.functions(cosmology), rng, fit.iterations)
    return form.eval()


def _lowest(halo_model: HaloModelConfig, space: Space) -> float:
    """3 ln(R_L / Mpc) of the lowest halo mass, in the densest cosmology of a box."""
    densest = float(matter_density(space.Om_c.high + space.Om_b.high, space.h.high))
    return float(np.log(10**halo_model.log10M_min / (4 * np.pi / 3 * densest)))


def covering(
    halo_model: HaloModelConfig, space: Space, nodes: int, end: float
) -> tuple[float, float]:
    """Spacing and first of nodes that reach from just below the lowest haloes of a box to `end`.

    Args:
        halo_model: The halo model.
        space: The box of the parameters.
        nodes: How many; more than five.
        end: The last of them, 3 ln(R_L / Mpc).
    """
    lowest = _lowest(halo_model, space)
    spacing = (end - lowest) / (nodes - 1 - _EDGE)
    return spacing, lowest - _EDGE * spacing


def _check_nodes(config: ClosedConfig, nodes: HaloNodes) -> None:
    edge = _lowest(nodes.config, nodes.space)
    if edge - _EDGE * config.spacing < config.start:
        raise ValueError(
            f"start = {config.start:g} must be at most {edge - _EDGE * config.spacing:.2f}, so "
            f"that the nodes reach below haloes of 10^{nodes.config.log10M_min:g} Msun"
        )


def _hidden(units: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Weights (5, units) and biases: each unit turns over somewhere within the box."""
    counts = [round(share * units) for share, _ in _KINDS[:-1]]
    counts.append(units - sum(counts))
    scales = np.repeat([rates for _, rates in _KINDS], counts, axis=0).T
    weights = rng.normal(size=(5, units)) * scales
    return weights, -(weights * rng.uniform(-1, 1, size=weights.shape)).sum(axis=0)


def _importance(functions: Array, Q: int) -> Array:
    """What an error of each function costs in ln P, roughly."""
    cutoff = np.exp(functions[:, :Q]).mean(axis=0)
    counts = 1 / (1 + cutoff / _NUMBER_CUT)
    weights = np.ones(functions.shape[1])
    weights[:Q] = np.clip(cutoff, 0.3, 12.0) * counts
    weights[Q : 3 * Q] = np.tile(counts, 2)
    return weights


def _principal(functions: Array, rank: int) -> Array:
    """The directions (F, rank) along which centred functions (N, F) vary most."""
    directions: Array = np.linalg.eigh(functions.T @ functions)[1][:, ::-1][:, :rank]
    return directions


def _least_squares(A: Tensor, Y: Tensor) -> Tensor:
    """Coefficients (U, F) of centred columns A (N, U) for Y (N, F)."""
    ridge = _RIDGE * torch.eye(A.shape[1], dtype=A.dtype)
    return torch.linalg.solve(A.T @ A / len(A) + ridge, A.T @ Y / len(A))


def _improve(
    weights: Array, bias: Array, x: Array, targets: Array, iterations: int
) -> tuple[Array, Array]:
    """Weights (5, units) and biases of the hidden layer that least squares can do more with.

    Args:
        weights: Weights to begin with.
        bias: Biases to begin with.
        x: Features, shape (N, 5).
        targets: Centred functions, each in units of what its error costs, shape (N, F).
        iterations: Most steps.
    """
    inputs, Y = torch.from_numpy(x), torch.from_numpy(targets / (targets.std() or 1.0))

    def left_over(flat: Array) -> tuple[float, Array]:
        variables = torch.from_numpy(flat).requires_grad_()
        hidden = variables.unflatten(0, (-1, weights.shape[1]))
        A = torch.cat([torch.tanh(inputs @ hidden[:-1] + hidden[-1]), inputs], dim=1)
        A = A - A.mean(dim=0)
        with torch.no_grad():  # at the minimum, its change with A does not count
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
    form: ClosedForm, x: Array, functions: Array, rng: np.random.Generator, iterations: int
) -> None:
    """Find the hidden layer; the rest is least squares, and its principal components."""
    config, network = form.config, form.network
    importance, mean = _importance(functions, config.nodes), functions.mean(axis=0)
    Y = (functions - mean) * importance
    weights, bias = _hidden(config.units, rng)
    if iterations:
        weights, bias = _improve(weights, bias, x, Y @ _principal(Y, config.rank), iterations)
    design = np.concatenate([np.tanh(x @ weights + bias), x], axis=1)
    centre = design.mean(axis=0)
    A = design - centre
    linear = _least_squares(torch.from_numpy(A), torch.from_numpy(Y)).numpy()
    directions = _principal(A @ linear, config.rank)
    condense = linear @ directions
    values = {
        "hidden.weight": weights.T,
        "hidden.bias": bias,
        "condense.weight": condense[: config.units].T,
        "past.weight": condense[config.units :].T,
        "past.bias": -centre @ condense,
        "expand.weight": directions / importance[:, None],
        "expand.bias": mean,
    }
    network.load_state_dict({name: _tensor(value) for name, value in values.items()})


def _tensor(value: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(value)).float()
