"""Chains of a sampler, that go on where they were, and what they say."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import emcee
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from datagen.header import read_arrays, write_arrays

__all__ = ["Chain", "Ensembles", "Reweighted", "Target", "reflected", "sample", "split_r_hat"]

Array = NDArray[np.float64]

SCHEMA = "hodspectra-chain-2"
_KEPT_EVERY = 30.0  # seconds
WORST = 1e30  # -2 ln P of points without an answer, for minimisers
GROWTH = 1.1  # of a chain between two looks at whether it has converged
R_HAT = 1.01  # below, Vehtari et al. 2021, Bayesian Analysis 16, 667, and
LENGTHS = 50  # autocorrelation times or more, emcee's advice: a chain that has converged

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
        samples: Points of the unit cube, shape (rows, walkers, P).
        ln_L: Their ln L, shape (rows, walkers).
        evaluations: Points that the likelihood had evaluated by its end.
        seconds: Wall time that took.
        divergences: Steps of a sampler with gradients whose energy was not kept.
        every: Steps from one row to the next.
        ensembles: Chains that know nothing of each other, of equally many walkers.
    """

    samples: Array
    ln_L: Array
    evaluations: int
    seconds: float
    divergences: int = 0
    every: int = 1
    ensembles: int = 1

    def mean(self) -> Array:
        """Means of the parameters, shape (P,)."""
        return self.samples.mean(axis=(0, 1))

    def std(self) -> Array:
        """Standard deviations of the parameters, shape (P,)."""
        return self.samples.std(axis=(0, 1))

    @property
    def steps(self) -> int:
        """Steps of each walker."""
        return len(self.samples) * self.every

    @cached_property
    def autocorrelation(self) -> Array:
        """Autocorrelation times in steps, shape (P,); too short if the chain is.

        That of a chain with walkers that never moved is its length.
        """
        if (np.ptp(self.samples, axis=0) == 0).any():
            return np.full(self.samples.shape[-1], float(self.steps))
        times: Array = emcee.autocorr.integrated_time(self.samples, tol=0)
        return np.maximum(times, 1.0) * self.every

    @property
    def effective(self) -> Array:
        """Independent samples of each parameter, shape (P,); too many if the chain is short."""
        return self.ln_L.size * self.every / self.autocorrelation

    @cached_property
    def r_hat(self) -> Array:
        """How far its ensembles agree, see `split_r_hat`, shape (P,)."""
        return split_r_hat(self.samples, self.ensembles)

    @cached_property
    def is_converged(self) -> bool:
        """Whether it is long, and its ensembles agree.

        That the autocorrelation times are steady is not asked: on posteriors with narrow corners,
        where single walkers stay for long, they grow with the chain.
        """
        return bool(self.steps >= LENGTHS * self.autocorrelation.max() and self.r_hat.max() < R_HAT)

    def thinned(self, number: int) -> tuple[Array, Array]:
        """Independent points, at most about as many as asked for, (N, P), and their ln L, (N,)."""
        rows, walkers, P = self.samples.shape
        independent = int(np.ceil(self.autocorrelation.max() / self.every))
        apart = max(independent, rows * walkers // number)
        taken = slice(min(apart, rows) - 1, None, apart)
        return self.samples[taken].reshape(-1, P), self.ln_L[taken].reshape(-1)

    @classmethod
    def joined(cls, chains: Sequence["Chain"]) -> "Chain":
        """Chains of one likelihood and equal length, one after another, as one of all walkers."""
        return replace(
            chains[-1],
            samples=np.concatenate([chain.samples for chain in chains], axis=1),
            ln_L=np.concatenate([chain.ln_L for chain in chains], axis=1),
            ensembles=sum(chain.ensembles for chain in chains),
        )

    def after(self, rows: int) -> "Chain":
        """The chain without its first rows."""
        return replace(self, samples=self.samples[rows:], ln_L=self.ln_L[rows:])


def reflected(unit: Array) -> Array:
    """Points that left the unit cube by a little, back in it.

    Args:
        unit: Points, of any shape.
    """
    unit = np.abs(unit)
    return np.clip(1 - np.abs(1 - unit), 1e-6, 1 - 1e-6)


def split_r_hat(samples: Array, ensembles: int) -> Array:
    """How far ensembles of walkers, each cut in two halves, agree; 1 is perfect. Shape (P,).

    Gelman et al. 2013, Bayesian Data Analysis, 3rd edition, section 11.4, with the variance and the
    mean of all walkers of an ensemble in the place of those of a chain.

    Args:
        samples: Shape (rows, walkers, P), of at least 4 rows.
        ensembles: How many, of neighbouring walkers; as many as walkers if each is a chain.
    """
    half, P = len(samples) // 2, samples.shape[-1]
    parts = np.concatenate([
        np.moveaxis(rows.reshape(half, ensembles, -1, P), 1, 2).reshape(-1, ensembles, P)
        for rows in (samples[:half], samples[-half:])
    ], axis=1)  # fmt: skip  # (half * walkers / ensembles, 2 * ensembles, P)
    number = len(parts)
    within = parts.var(axis=0, ddof=1).mean(axis=0)
    between = parts.mean(axis=0).var(axis=0, ddof=1)
    r_hat: Array = np.sqrt((number - 1) / number + between / within)
    return r_hat


class _Apart(emcee.moves.Move):
    """A move of walkers by others of their ensemble, all ensembles in one call of the likelihood.

    Half of each ensemble is moved by the other half, as in emcee (Foreman-Mackey et al. 2013, PASP
    125, 306).

    Args:
        move: How one half is moved.
        ensembles: How many, of neighbouring walkers.
    """

    def __init__(self, move: Any, ensembles: int) -> None:
        self._move, self._ensembles = move, ensembles

    def propose(self, model: Any, state: Any) -> tuple[Any, NDArray[np.bool_]]:
        """The walkers after one step, and which of them moved."""
        self._move.setup(state.coords)
        accepted = np.zeros(len(state.coords), np.bool_)
        halves = np.arange(len(accepted)).reshape(self._ensembles, -1) % 2
        for half in halves:
            model.random.shuffle(half)
        for which in (0, 1):
            found = []
            for coords, half in zip(np.split(state.coords, self._ensembles), halves, strict=True):
                moved, others = coords[half == which], [coords[half != which]]
                found.append(self._move.get_proposal(moved, others, model.random))
            points, factors = (np.concatenate(each) for each in zip(*found, strict=True))
            rows = np.flatnonzero(halves.ravel() == which)
            ln_P, _ = model.compute_log_prob_fn(points)
            gain = factors + ln_P - state.log_prob[rows]
            taken = gain > np.log(model.random.rand(len(rows)))
            state.coords[rows[taken]], state.log_prob[rows[taken]] = points[taken], ln_P[taken]
            accepted[rows[taken]] = True
        return state, accepted


class Ensembles:
    """Walkers of the sampler emcee, in ensembles that know nothing of each other.

    Args:
        likelihood: What is sampled.
        start: Where the walkers start, those of an ensemble beside each other, shape (walkers, P).
        ensembles: How many, of equally many walkers.
        seed: Seed of the steps.
        every: Steps from one row that is kept to the next.
        file: File that keeps the rows, now and then and after each run; walkers that were
            interrupted go on from it.
    """

    def __init__(
        self,
        likelihood: Target,
        start: Array,
        ensembles: int,
        seed: int,
        every: int = 1,
        file: Path | None = None,
    ) -> None:
        self._likelihood, self._start, self._ensembles = likelihood, start, ensembles
        self._every, self._file = every, file
        self._backend = emcee.backends.Backend()
        self._sampler = emcee.EnsembleSampler(
            *start.shape, likelihood, vectorize=True, backend=self._backend,
            moves=[(_Apart(move, ensembles), share) for move, share in _MOVES],
        )  # fmt: skip
        # without emcee's wrapper, which prints tracebacks of signals
        self._sampler.log_prob_fn = likelihood
        if file and (kept := read_arrays(file, SCHEMA)):
            likelihood.evaluations = int(kept["evaluations"])
            likelihood.seconds = float(kept["seconds"])
            _put_back(self._backend, kept)
        else:
            self._sampler.random_state = np.random.RandomState(seed).get_state()

    def run(self, rows: int, bar: Any = None) -> Chain:
        """The first rows, shape (rows, walkers, P); those that there are not are sampled.

        Args:
            rows: How many.
            bar: Progress bar, which counts the steps.
        """
        done, likelihood = self._backend.iteration, self._likelihood
        saved, spent = time.monotonic(), (likelihood.evaluations, likelihood.seconds)
        try:
            for _ in self._rows(rows - done):
                spent = likelihood.evaluations, likelihood.seconds
                if bar is not None:
                    bar.update(self._every)
                if self._file and time.monotonic() - saved > _KEPT_EVERY:
                    _keep(self._file, self._backend, *spent)
                    saved = time.monotonic()
        finally:
            if self._file and self._backend.iteration > done:
                _keep(self._file, self._backend, *spent)
        return Chain(
            self._backend.chain[:rows], self._backend.log_prob[:rows], *spent,
            every=self._every, ensembles=self._ensembles,
        )  # fmt: skip

    def _rows(self, number: int) -> Iterable[Any]:
        """Sample as many more."""
        if number <= 0:
            return ()
        begun = self._backend.iteration > 0
        state = self._backend.get_last_sample() if begun else self._start
        rows: Iterable[Any] = self._sampler.sample(state, iterations=number, thin_by=self._every)
        return rows


def sample(
    likelihood: Target,
    start: Array,
    steps: int,
    seed: int,
    *,
    label: str = "",
    file: Path | None = None,
) -> Chain:
    """A chain of one ensemble, of so many steps, all of them kept; see `Ensembles`.

    Args:
        likelihood: What is sampled.
        start: Where the walkers start, shape (walkers, P).
        steps: Steps of each walker.
        seed: Seed of the steps.
        label: Stands before the progress bar; without one there is none.
        file: File that keeps them.
    """
    walkers = Ensembles(likelihood, start, 1, seed, file=file)
    with tqdm(total=steps, desc=label, unit="step", disable=not label) as bar:
        return walkers.run(steps, bar)


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
