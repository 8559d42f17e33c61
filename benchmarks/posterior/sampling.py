"""Search and sampling of posteriors: by emcee, or with gradients by NUTS."""

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

_POPULATION = 10  # points of differential evolution per parameter
_SETTLED = 1e-3  # spread of -2 ln P over its mean at which differential evolution ends
_DESCENDED = 4  # of its points, from which gradients descend
_APART = 1e-3  # step of finite differences, in ranges of the priors
_WALL = 10.0  # excess cost of invalid points
_START = 0.02  # width of the initial distribution of walkers, in ranges of the priors
_DEFAULTS: dict[Sampler, dict[str, int]] = {
    "emcee": {"walkers": 32, "steps": 100_000, "chains": 4, "generations": 400},
    "nuts": {"burn_in": 500, "steps": 1000, "chains": 4},
}
_ADAPTS = 20  # smallest number of steps in which NUTS finds its step size
_EVERY = 10  # steps of emcee per stored row
_FEWEST = 100  # smallest number of steps of emcee
_FIRST = 1000  # steps of emcee before the first test of convergence
_LEFT_OUT = 10  # emcee discards the first 1 / 10 of a chain


@dataclass(frozen=True)
class Best:
    """Result of a search for the highest point of a posterior.

    Attributes:
        unit: The point in the unit cube, shape (F,).
        cost: -2 ln P at the point.
        evaluations: Number of evaluations of ln P, alone or with its gradient.
        by: Name of the method.
    """

    unit: Array
    cost: float
    evaluations: int
    by: str


@dataclass(frozen=True)
class Sampling:
    """Settings of search and sampler; None selects the default of the sampler.

    Attributes:
        walkers: Number of walkers of each chain; emcee only, default 32.
        burn_in: Steps of adaptation at the start of each chain, which are discarded; NUTS only,
            default 500. emcee discards the first tenth.
        steps: Steps of each chain. emcee stops when converged, after at most 100,000 by default;
            NUTS takes 1000 after the burn-in by default.
        chains: Number of chains, each from its own search for the best fit; default 4.
        generations: Largest number of generations of each search for the best fit; emcee only, for
            posteriors without gradients, default 400.
        seed: Seed of the random numbers.
        sampler: ``emcee`` (Foreman-Mackey et al. 2013, PASP 125, 306), or ``nuts``, the No-U-Turn
            sampler (Hoffman & Gelman 2014, JMLR 15, 1593), which uses gradients.

    Raises:
        ValueError: An unknown sampler, or a setting that it does not have.
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
        """Return the settings that the sampler has, as plain values."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in every.items() if value is not None}

    def check(self, names: tuple[str, ...]) -> None:
        """Check that settings are large enough to sample parameters.

        Args:
            names: Names of the sampled parameters.

        Raises:
            ValueError: A setting is too small.
        """
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
    """Search for the highest point of a posterior, and sample it from there.

    Args:
        target: The density to sample.
        number: Number of parameters F.
        sampling: Settings of search and sampler.
        folder: Folder that stores the chains, to resume an interrupted run.

    Returns:
        Result of each chain's search, and the steps of all chains after the burn-in.

    Raises:
        ValueError: No valid point; for NUTS, a target without gradients.
        ModuleNotFoundError: For NUTS, JAX or NumPyro is not installed.
        RuntimeError: For NUTS, ln P in JAX differs from that of the target.
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
    """Extend all ensembles until they have converged."""
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
    """Search for the start of each chain, with gradients if available."""
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
    """Check that a search has found a valid point.

    Raises:
        ValueError: It has not.
    """
    if best.cost >= WORST:
        raise ValueError(
            "no valid point within the priors: do they lie outside the emulator's ranges, "
            "or have no galaxies?"
        )


def find_best(target: Target, number: int, generations: int, seed: int) -> Best:
    """Find the highest point of a density on the unit cube, without gradients.

    Differential evolution over the whole cube (Storn & Price 1997, J. Glob. Optim. 11, 341) is
    followed by L-BFGS-B with finite differences from its best points, and by the simplex method of
    Nelder & Mead. All points of a generation, or of a gradient, are evaluated in one call.

    Args:
        target: The density.
        number: Number of parameters F.
        generations: Largest number of generations.
        seed: Seed of the random numbers.
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
    """Return -2 ln P and its gradient (F,) by central differences, at a point (F,)."""
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
    """Minimise a function with L-BFGS-B; return the end point and its cost.

    Invalid points have a cost slightly above the lowest one so far; a wall of 1e30 would make the
    line search fail.

    Args:
        cost: Function of a point (F,) that returns -2 ln P and its gradient (F,).
        start: Starting point, shape (F,).
        bounds: Bounds of the parameters; default: none.
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
