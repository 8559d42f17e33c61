"""How a posterior is searched and sampled: by emcee, or with gradients by NUTS."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution, minimize
from tqdm.auto import tqdm

from benchmarks.posterior.chains import GROWTH, WORST, Chain, Ensembles, Target, reflected

__all__ = ["Best", "Sampler", "Sampling", "draw", "find_best", "minimum"]

Array = NDArray[np.float64]
Sampler = Literal["emcee", "nuts"]

_POPULATION = 10  # points of differential evolution for each parameter
_SETTLED = 1e-3  # spread of -2 ln P over its mean, where differential evolution ends
_DESCENDED = 4  # of its points, from which gradients descend
_APART = 1e-3  # of both points of a difference from that between them, of the priors' ranges
_WALL = 10.0  # of points without an answer, in the cost
_START = 0.02  # width of the first ball of walkers, of the priors' ranges
_DEFAULTS: dict[Sampler, dict[str, int]] = {
    "emcee": {"walkers": 32, "steps": 100_000, "chains": 4, "generations": 400},
    "nuts": {"burn_in": 500, "steps": 1000, "chains": 4},
}
_ADAPTS = 20  # steps that NUTS needs at least to find its own step
_EVERY = 10  # steps of emcee from one that is kept to the next
_FEWEST = 100  # steps of emcee
_FIRST = 1000  # steps of emcee, after which it is first looked at
_LEFT_OUT = 10  # one part in so many of a chain of emcee, at its start


@dataclass(frozen=True)
class Best:
    """Where a search for the highest point of a posterior ended.

    Attributes:
        unit: The point of the unit cube, shape (F,).
        cost: -2 ln P there.
        evaluations: How often the search evaluated ln P, alone or with its gradient.
        by: How it searched.
    """

    unit: Array
    cost: float
    evaluations: int
    by: str


@dataclass(frozen=True)
class Sampling:
    """How a posterior is sampled. What is None has the sampler's default.

    Attributes:
        walkers: Walkers of each chain; of emcee alone (32).
        burn_in: Steps that each chain leaves out at its start, in which it adapts; of NUTS alone
            (500). emcee leaves out the first tenth.
        steps: Steps of each chain: of emcee at most (100,000), it ends when it has converged; of
            NUTS after the burn-in (1000).
        chains: Chains, each from a search for the best fit of its own (4).
        generations: Generations of that search, at most; of emcee alone, where there are no
            gradients (400).
        seed: Of the random numbers.
        sampler: ``emcee`` (Foreman-Mackey et al. 2013, PASP 125, 306), or ``nuts``, the No-U-Turn
            sampler (Hoffman & Gelman 2014, JMLR 15, 1593), which takes gradients.

    Raises:
        ValueError: A sampler there is not, or what it does not have.
    """

    walkers: int | None = None
    burn_in: int | None = None
    steps: int | None = None
    chains: int | None = None
    generations: int | None = None
    seed: int = 1
    sampler: Sampler = "emcee"

    def __post_init__(self) -> None:
        if self.sampler not in _DEFAULTS:
            raise ValueError(f"sampler = {self.sampler!r} must be {' or '.join(_DEFAULTS)}")
        (other,) = (one for one in _DEFAULTS if one != self.sampler)
        known = _DEFAULTS[self.sampler]
        for name in {**known, **_DEFAULTS[other]}:
            value = getattr(self, name)
            if value is None:
                object.__setattr__(self, name, known.get(name))
            elif name not in known:
                raise ValueError(
                    f"{name} = {value}: sampler = {self.sampler!r} has no {name}; leave it out, "
                    f"or take sampler = {other!r}"
                )

    def as_dict(self) -> dict[str, Any]:
        """All that the sampler has, as plain values."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in every.items() if value is not None}

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse what cannot be sampled with."""
        given = self.as_dict()
        if self.sampler == "nuts":
            least = {"chains": 1, "burn_in": _ADAPTS, "steps": 4}
        else:
            least = {"chains": 1, "generations": 1, "steps": _FEWEST, "walkers": 2 * len(names)}
        for name, value in least.items():
            if given[name] < value:
                why = f", twice as many as there are parameters to sample ({', '.join(names)})"
                raise ValueError(
                    f"{name} = {given[name]} must be at least {value}"
                    f"{why if name == 'walkers' else ''}"
                )


def draw(
    target: Target, number: int, sampling: Sampling, folder: Path | None = None
) -> tuple[list[Best], Chain]:
    """Search for where a posterior is highest, and sample it from there.

    Args:
        target: What is sampled.
        number: Of its parameters, F.
        sampling: How.
        folder: Where chains are kept, to go on if they are interrupted.

    Returns:
        Where the search of each chain ended, and the steps of all chains after the burn-in.

    Raises:
        ValueError: No point that has an answer; a target that has no gradients, for NUTS.
        ModuleNotFoundError: JAX or NumPyro is not installed, for NUTS.
        RuntimeError: The gradients' ln P is not that of the target.
    """
    if sampling.sampler == "emcee":
        return _by_emcee(target, number, sampling, folder)
    try:
        from benchmarks.posterior import nuts
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "sampler = 'nuts' needs JAX and NumPyro: pip install 'hodspectra[posterior]', or take "
            "sampler = 'emcee'",
            name=error.name,
        ) from error
    return nuts.draw(target, number, sampling, folder)


def _by_emcee(
    target: Target, number: int, sampling: Sampling, folder: Path | None
) -> tuple[list[Best], Chain]:
    """Ensembles that grow, all alike, until they have converged."""
    given = sampling.as_dict()
    ends, starts = _searches(target, number, sampling), []
    for i, end in enumerate(ends):
        check_end(end)
        rng = np.random.default_rng(sampling.seed + i)
        noise = rng.standard_normal((given["walkers"], number))
        starts.append(reflected(end.unit + _START * noise))
    file = folder / "chain.npz" if folder else None
    walkers = Ensembles(target, np.concatenate(starts), len(ends), sampling.seed, _EVERY, file)
    last = given["steps"] // _EVERY
    rows = min(_FIRST // _EVERY, last)
    with tqdm(desc=f"{len(ends)} chains", unit="step") as bar:
        while True:
            chain = walkers.run(rows, bar).after(rows // _LEFT_OUT)
            if rows == last or chain.is_converged:
                return ends, chain
            rows = min(ceil(GROWTH * rows), last)


def _searches(target: Target, number: int, sampling: Sampling) -> list[Best]:
    """Where the search of each chain ends: with gradients, where there are any."""
    given = sampling.as_dict()
    seeds = range(sampling.seed, sampling.seed + given["chains"])
    try:
        ln = target.in_jax()
    except (ModuleNotFoundError, ValueError):
        return [find_best(target, number, given["generations"], seed) for seed in seeds]
    from benchmarks.posterior.gradients import Gradient, climb

    begun, gradient = time.perf_counter(), Gradient(ln)
    ends = [climb(target, gradient, number, seed) for seed in seeds]
    target.evaluations += gradient.evaluations
    target.seconds += time.perf_counter() - begun
    return ends


def check_end(best: Best) -> None:
    """Refuse a posterior whose search ended without an answer."""
    if best.cost >= WORST:
        raise ValueError(
            "no point of the priors has an answer: do they leave the emulator's ranges, "
            "or have no galaxies?"
        )


def find_best(target: Target, number: int, generations: int, seed: int) -> Best:
    """The point of the unit cube where a posterior is highest.

    Differential evolution over the whole cube (Storn & Price 1997, J. Glob. Optim. 11, 341), then
    L-BFGS-B with differences for gradients from its best points, and the simplex of Nelder & Mead
    from where that ends. All points of a generation, or of a gradient, are one call.

    Args:
        target: Which.
        number: Of its parameters, F.
        generations: At most.
        seed: Of the random numbers.
    """
    bounds, before = [(0.0, 1.0)] * number, target.evaluations
    found = differential_evolution(
        target.cost, bounds, popsize=_POPULATION, maxiter=generations, tol=_SETTLED,
        rng=np.random.default_rng(seed), vectorized=True, updating="deferred", polish=False,
    )  # fmt: skip
    starts = found.population[np.argsort(found.population_energies)[:_DESCENDED]]
    ends = [minimum(partial(_with_slope, target), start, bounds) for start in starts]
    at, cost = min(ends, key=lambda end: end[1])
    polished = minimize(
        target.cost, at, method="Nelder-Mead", bounds=bounds,
        options={"maxfev": 150 * number, "xatol": 1e-4, "fatol": 1e-3},
    )  # fmt: skip
    if polished.fun <= cost:
        at, cost = polished.x, float(polished.fun)
    return Best(at, cost, target.evaluations - before, "differential evolution")


def _with_slope(target: Target, unit: Array) -> tuple[float, Array]:
    """-2 ln P and its slope (F,) by central differences, of a point of the unit cube (F,)."""
    below, above = np.clip([unit - _APART, unit + _APART], 0.0, 1.0)
    rows = np.where(np.eye(len(unit), dtype=bool), np.stack([below, above])[:, None], unit)
    cost, *others = target.cost(np.concatenate([unit[None], *rows]).T)
    low, high = np.reshape(others, (2, -1))
    known = np.maximum(low, high) < WORST
    return float(cost), np.where(known, (high - low) / (above - below), 0.0)


def minimum(
    cost: Callable[[Array], tuple[float, Array]],
    start: Array,
    bounds: list[tuple[float, float]] | None = None,
) -> tuple[Array, float]:
    """Where L-BFGS-B ends, and the cost there.

    Points without an answer are a little above the lowest so far: a wall of 1e30 would make its
    line search give up.

    Args:
        cost: -2 ln P and its gradient (F,) of a point (F,).
        start: Where it begins, shape (F,).
        bounds: Of the parameters; none by default.
    """
    lowest = WORST

    def walled(x: Array) -> tuple[float, Array]:
        nonlocal lowest
        value, slope = cost(x)
        if value >= WORST:
            return lowest + _WALL, np.zeros(len(x))
        lowest = min(lowest, value)
        return value, slope

    end = minimize(walled, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return end.x, float(end.fun)
