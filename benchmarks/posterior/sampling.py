"""How a posterior is searched and sampled: by emcee, or with gradients by NUTS."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution, minimize

from benchmarks.posterior.chains import WORST, Chain, Target, reflected, sample

__all__ = ["Best", "Sampler", "Sampling", "draw", "find_best"]

Array = NDArray[np.float64]
Sampler = Literal["emcee", "nuts"]

_POPULATION = 10  # points of differential evolution for each parameter
_SETTLED = 1e-3  # spread of -2 ln P over its mean, where differential evolution ends
_START = 0.02  # width of the first ball of walkers, of the priors' ranges
_DEFAULTS: dict[Sampler, dict[str, int]] = {
    "emcee": {"walkers": 64, "burn_in": 1000, "steps": 5000, "chains": 2, "generations": 400},
    "nuts": {"burn_in": 500, "steps": 1000, "chains": 4},
}
_ADAPTS = 20  # steps that NUTS needs at least to find its own step


@dataclass(frozen=True)
class Best:
    """Where a search for the highest point of a posterior ended.

    Attributes:
        unit: The point of the unit cube, shape (F,).
        cost: -2 ln P there.
        evaluations: How often the search evaluated ln P, alone or with its gradient.
    """

    unit: Array
    cost: float
    evaluations: int


@dataclass(frozen=True)
class Sampling:
    """How a posterior is sampled. What is None has the sampler's default.

    Attributes:
        walkers: Walkers of each chain; of emcee alone (64).
        burn_in: Steps that each chain leaves out at its start, in which NUTS adapts (1000, 500).
        steps: Steps after these (5000, 1000).
        chains: Chains, each from a search for the best fit of its own (2, 4).
        generations: Generations of that search, at most; of emcee alone (400).
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
        known = _DEFAULTS[self.sampler]
        for name in _DEFAULTS["emcee"]:
            value = getattr(self, name)
            if value is None:
                object.__setattr__(self, name, known.get(name))
            elif name not in known:
                raise ValueError(
                    f"{name} = {value}: sampler = {self.sampler!r} has no {name}; leave it out, "
                    f"or take sampler = 'emcee'"
                )

    def as_dict(self) -> dict[str, Any]:
        """All that the sampler has, as plain values."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in every.items() if value is not None}

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse what cannot be sampled with."""
        given = self.as_dict()
        least = {"chains": 1, "generations": 1, "burn_in": 0, "steps": 1}
        if self.sampler == "nuts":
            least |= {"burn_in": _ADAPTS, "steps": 4}
        else:
            least["walkers"] = 2 * len(names)
        for name, value in least.items():
            if given.get(name, value) < value:
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
    given = sampling.as_dict()
    ends, chains = [], []
    for i in range(given["chains"]):
        seed = sampling.seed + i
        ends.append(find_best(target, number, given["generations"], seed))
        check_end(ends[-1])
        noise = np.random.default_rng(seed).standard_normal((given["walkers"], number))
        start = reflected(ends[-1].unit + _START * noise)
        file = folder / f"chain_{i + 1}.npz" if folder else None
        chain = sample(
            target, start, given["burn_in"] + given["steps"], seed,
            label=f"chain {i + 1} of {given['chains']}", file=file,
        )  # fmt: skip
        chains.append(chain.after(given["burn_in"]))
    return ends, Chain.joined(chains)


def check_end(best: Best) -> None:
    """Refuse a posterior whose search ended without an answer."""
    if best.cost >= WORST:
        raise ValueError(
            "no point of the priors has an answer: do they leave the emulator's ranges, "
            "or have no galaxies?"
        )


def find_best(target: Target, number: int, generations: int, seed: int) -> Best:
    """The point of the unit cube where a posterior is highest.

    Differential evolution over the whole cube (Storn & Price 1997, J. Glob. Optim. 11, 341), all
    points of a generation in one call, and the simplex of Nelder & Mead from where it ends.

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
    polished = minimize(
        target.cost, found.x, method="Nelder-Mead", bounds=bounds,
        options={"maxfev": 150 * number, "xatol": 1e-4, "fatol": 1e-3},
    )  # fmt: skip
    best = polished if polished.fun <= found.fun else found
    return Best(best.x, float(best.fun), target.evaluations - before)
