"""Chains of a sampler, that go on where they were, and what they say."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import emcee
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from datagen.header import read_arrays, write_arrays

__all__ = ["Chain", "Reweighted", "Target", "reflected", "sample", "split_r_hat"]

Array = NDArray[np.float64]

SCHEMA = "hodspectra-chain-1"
_KEPT_EVERY = 30.0  # seconds
WORST = 1e30  # -2 ln P of points without an answer, for minimisers

# Differential evolution (ter Braak 2006): a third of the stretch move's autocorrelation on these
# posteriors. Not emcee's snooker move: up to emcee 3.1.6 its acceptance has half of the exponent
# that is right (dfm/emcee, pull request 531), and posteriors come out too narrow, by 6 % for 10
# parameters where a fifth of the moves are such.
_MOVES = ((emcee.moves.DEMove(), 0.8), (emcee.moves.StretchMove(), 0.2))


class Target(ABC):
    """What is sampled.

    Attributes:
        evaluations: How many points were evaluated.
        seconds: Wall time that took.
    """

    def __init__(self) -> None:
        self.evaluations, self.seconds = 0, 0.0

    def __call__(self, unit: Array) -> Any:
        """Its logarithm at points of the unit cube (N, P), shape (N,); -inf outside of it."""
        result = np.full(len(unit), -np.inf)
        inside = ((unit >= 0) & (unit <= 1)).all(axis=1)
        if inside.any():
            start = time.perf_counter()
            result[inside] = self.ln(unit[inside])
            self.seconds += time.perf_counter() - start
            self.evaluations += int(inside.sum())
        return result

    @abstractmethod
    def ln(self, unit: Array) -> Any:
        """Its logarithm at points within the unit cube (N, P), shape (N,)."""

    def in_jax(self) -> Callable[[Any], Any]:
        """The same of one point (P,) as a pure function of JAX, in double precision.

        Raises:
            ModuleNotFoundError: JAX is not installed.
            ValueError: What it is made of cannot be translated to JAX.
        """
        raise ValueError(f"{type(self).__name__} has no gradients")

    def cost(self, unit: Array) -> Any:
        """-2 ln P, never infinite, of points (P, N) or (P,), as scipy's minimisers ask for it."""
        cost = np.minimum(-2 * self(np.atleast_2d(unit.T)), WORST)
        return cost if unit.ndim == 2 else cost[0]


@dataclass(frozen=True)
class Chain:
    """Steps of many walkers.

    Attributes:
        samples: Points of the unit cube, shape (steps, walkers, P).
        ln_L: Their ln L, shape (steps, walkers).
        evaluations: Points that the likelihood had evaluated by its end.
        seconds: Wall time that took.
        divergences: Steps of a sampler with gradients whose energy was not kept.
    """

    samples: Array
    ln_L: Array
    evaluations: int
    seconds: float
    divergences: int = 0

    def mean(self) -> Array:
        """Means of the parameters, shape (P,)."""
        return self.samples.mean(axis=(0, 1))

    def std(self) -> Array:
        """Standard deviations of the parameters, shape (P,)."""
        return self.samples.std(axis=(0, 1))

    @cached_property
    def autocorrelation(self) -> Array:
        """Autocorrelation times in steps, shape (P,); too short if the chain is."""
        times: Array = emcee.autocorr.integrated_time(self.samples, tol=0)
        return np.maximum(times, 1.0)

    @cached_property
    def r_hat(self) -> Array:
        """How far its walkers agree, see `split_r_hat`, shape (P,)."""
        return split_r_hat(self.samples)

    def thinned(self, number: int) -> tuple[Array, Array]:
        """Independent points, at most about as many as asked for, (N, P), and their ln L, (N,)."""
        steps, walkers, P = self.samples.shape
        apart = max(int(np.ceil(self.autocorrelation.max())), steps * walkers // number)
        rows = slice(min(apart, steps) - 1, None, apart)
        return self.samples[rows].reshape(-1, P), self.ln_L[rows].reshape(-1)

    @classmethod
    def joined(cls, chains: Sequence["Chain"]) -> "Chain":
        """Chains of one likelihood and equal length, one after another, as one of all walkers."""
        return cls(
            np.concatenate([chain.samples for chain in chains], axis=1),
            np.concatenate([chain.ln_L for chain in chains], axis=1),
            chains[-1].evaluations,
            chains[-1].seconds,
        )

    def after(self, steps: int) -> "Chain":
        """The chain without its first steps."""
        return replace(self, samples=self.samples[steps:], ln_L=self.ln_L[steps:])


def reflected(unit: Array) -> Array:
    """Points that left the unit cube by a little, back in it.

    Args:
        unit: Points, of any shape.
    """
    unit = np.abs(unit)
    return np.clip(1 - np.abs(1 - unit), 1e-6, 1 - 1e-6)


def split_r_hat(samples: Array) -> Array:
    """How far the walkers of chains, each cut in two halves, agree; 1 is perfect. Shape (P,).

    Gelman et al. 2013, Bayesian Data Analysis, 3rd edition, section 11.4.

    Args:
        samples: Shape (steps, walkers, P), of at least 4 steps.
    """
    half = len(samples) // 2
    parts = np.concatenate([samples[:half], samples[-half:]], axis=1)
    within = parts.var(axis=0, ddof=1).mean(axis=0)
    between = parts.mean(axis=0).var(axis=0, ddof=1)
    r_hat: Array = np.sqrt((half - 1) / half + between / within)
    return r_hat


def sample(
    likelihood: Target,
    start: Array,
    steps: int,
    seed: int,
    *,
    label: str = "",
    file: Path | None = None,
) -> Chain:
    """A chain from the sampler emcee (Foreman-Mackey et al. 2013, PASP 125, 306).

    Args:
        likelihood: What is sampled.
        start: Where the walkers start, shape (walkers, P).
        steps: Steps of each walker.
        seed: Seed of the steps.
        label: Stands before the progress bar; without one there is none.
        file: File that keeps the steps, now and then and at the end; a chain that was interrupted
            goes on from it.
    """
    backend = emcee.backends.Backend()
    sampler = emcee.EnsembleSampler(
        *start.shape, likelihood, vectorize=True, backend=backend, moves=list(_MOVES)
    )
    sampler.log_prob_fn = likelihood  # without emcee's wrapper, which prints tracebacks of signals
    state: Any = start
    if file and (kept := read_arrays(file, SCHEMA)):
        likelihood.evaluations, likelihood.seconds = (
            int(kept["evaluations"]),
            float(kept["seconds"]),
        )
        _put_back(backend, kept)
        state = backend.get_last_sample()
    else:
        sampler.random_state = np.random.RandomState(seed).get_state()
    done = backend.iteration
    spent = likelihood.evaluations, likelihood.seconds
    saved = time.monotonic()
    try:
        with tqdm(total=steps, initial=done, desc=label, unit="step", disable=not label) as bar:
            for _ in sampler.sample(state, iterations=steps - done):
                bar.update()
                spent = likelihood.evaluations, likelihood.seconds
                if file and time.monotonic() - saved > _KEPT_EVERY:
                    _keep(file, backend, *spent)
                    saved = time.monotonic()
    finally:
        if file and backend.iteration > done:
            _keep(file, backend, *spent)
    return Chain(
        sampler.get_chain(), sampler.get_log_prob(), likelihood.evaluations, likelihood.seconds
    )


def _keep(file: Path, backend: Any, evaluations: int, seconds: float) -> None:
    """Write what is sampled so far, and the state of the random numbers."""
    _, words, *rest = backend.random_state
    arrays = {
        "chain": backend.chain[: backend.iteration],
        "ln_L": backend.log_prob[: backend.iteration],
        "accepted": backend.accepted,
        "random_words": words,
        "random_rest": np.array(rest, dtype=np.float64),
        "evaluations": evaluations,
        "seconds": seconds,
    }
    write_arrays(file, SCHEMA, arrays)


def _put_back(backend: Any, kept: dict[str, Any]) -> None:
    """The inverse of `_keep`, into a new backend of emcee's."""
    steps, walkers, P = kept["chain"].shape
    position, has_gauss, gauss = kept["random_rest"]
    backend.reset(walkers, P)
    backend.chain, backend.log_prob = kept["chain"], kept["ln_L"]
    backend.accepted, backend.iteration, backend.initialized = kept["accepted"], steps, True
    backend.random_state = (
        "MT19937", kept["random_words"], int(position), int(has_gauss), float(gauss)
    )  # fmt: skip


class Reweighted:
    """Independent points of one posterior, weighted so that they stand for another.

    Both posteriors are then seen through the same points, so their difference is far sharper
    than either.

    Args:
        points: Points drawn from the first, shape (N, P).
        change: ln of the second over the first at each, up to a constant, shape (N,).
    """

    def __init__(self, points: Array, change: Array) -> None:
        weights = np.exp(change - change.max())
        self._points, self._weights = points, weights / weights.mean()

    def effective(self) -> float:
        """Share of the points that count, (sum w)^2 / (N sum w^2)."""
        return float(1 / np.square(self._weights).mean())

    def mean(self) -> Array:
        """Means of the second posterior, shape (P,)."""
        return np.average(self._points, axis=0, weights=self._weights)

    def std(self) -> Array:
        """Standard deviations of the second posterior, shape (P,)."""
        square = np.square(self._points - self.mean())
        return np.sqrt(np.average(square, axis=0, weights=self._weights))

    def shift(self) -> tuple[Array, Array]:
        """Means of the first less those of the second, and the Monte Carlo errors, each (P,)."""
        mean, plain = self.mean(), self._points.mean(axis=0)
        influence = (self._points - plain) - self._weights[:, None] * (self._points - mean)
        return plain - mean, influence.std(axis=0) / np.sqrt(len(influence))

    def width(self) -> Array:
        """Standard deviations of the first over those of the second, shape (P,)."""
        return self._points.std(axis=0) / self.std()
