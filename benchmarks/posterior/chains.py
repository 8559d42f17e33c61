"""Chains of samplers, their convergence, and files to resume them."""

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
WORST = 1e30  # -2 ln P of invalid points, for minimisers
GROWTH = 1.1  # factor by which a chain grows between two tests of convergence
R_HAT = 1.01  # upper limit for a converged chain (Vehtari et al. 2021, Bayesian Analysis 16, 667)
LENGTHS = 50  # length of a converged chain in autocorrelation times, as emcee advises

# Differential evolution (ter Braak 2006) has a third of the autocorrelation time of the stretch
# move on these posteriors. emcee's snooker move is not used: up to emcee 3.1.6 the exponent of its
# acceptance is half of the right one (dfm/emcee, pull request 531), which makes posteriors too
# narrow, by 6 % for 10 parameters where a fifth of the moves are of this kind.
_MOVES = ((emcee.moves.DEMove(), 0.8), (emcee.moves.StretchMove(), 0.2))


class Target(ABC):
    """A probability density to sample, on the unit cube.

    Attributes:
        evaluations: Number of points evaluated so far.
        seconds: Wall time of the evaluations [s].
    """

    def __init__(self) -> None:
        self.evaluations, self.seconds = 0, 0.0

    def __call__(self, unit: Array) -> Any:
        """Return ln P at points (N, P), shape (N,); -inf outside the unit cube."""
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
        """Return ln P at points within the unit cube (N, P), shape (N,)."""

    def in_jax(self) -> Callable[[Any], Any]:
        """Return ln P of one point (P,) as a pure function of JAX, in double precision.

        Raises:
            ModuleNotFoundError: JAX is not installed.
            ValueError: The density cannot be translated to JAX.
        """
        raise ValueError(f"{type(self).__name__} has no gradients")

    def cost(self, unit: Array) -> Any:
        """Return -2 ln P, always finite, at points (P, N) or (P,), for scipy's minimisers."""
        cost = np.minimum(-2 * self(np.atleast_2d(unit.T)), WORST)
        return cost if unit.ndim == 2 else cost[0]


@dataclass(frozen=True)
class Chain:
    """Steps of many walkers.

    Attributes:
        samples: Points of the unit cube, shape (rows, walkers, P).
        ln_L: ln P of the samples, shape (rows, walkers).
        evaluations: Number of points evaluated by the end of the chain.
        seconds: Wall time of the evaluations [s].
        divergences: Number of divergent steps of a sampler with gradients.
        every: Number of steps per row.
        ensembles: Number of independent ensembles of equally many walkers.
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
        """Number of steps of each walker."""
        return len(self.samples) * self.every

    @cached_property
    def autocorrelation(self) -> Array:
        """Autocorrelation times in steps, shape (P,); underestimated if the chain is short.

        They equal the length of the chain if a walker never moved.
        """
        if (np.ptp(self.samples, axis=0) == 0).any():
            return np.full(self.samples.shape[-1], float(self.steps))
        times: Array = emcee.autocorr.integrated_time(self.samples, tol=0)
        return np.maximum(times, 1.0) * self.every

    @property
    def effective(self) -> Array:
        """Effective number of samples, shape (P,); overestimated if the chain is short."""
        return self.ln_L.size * self.every / self.autocorrelation

    @cached_property
    def r_hat(self) -> Array:
        """R-hat of the ensembles, shape (P,); see `split_r_hat`."""
        return split_r_hat(self.samples, self.ensembles)

    @cached_property
    def is_converged(self) -> bool:
        """Whether the chain is long enough, and its ensembles agree.

        Steady autocorrelation times are not required: on posteriors with narrow corners, where
        single walkers stay for long, they grow with the chain.
        """
        return bool(self.steps >= LENGTHS * self.autocorrelation.max() and self.r_hat.max() < R_HAT)

    def thinned(self, number: int) -> tuple[Array, Array]:
        """Return at most about `number` independent points (N, P), and their ln P (N,)."""
        rows, walkers, P = self.samples.shape
        independent = int(np.ceil(self.autocorrelation.max() / self.every))
        apart = max(independent, rows * walkers // number)
        taken = slice(min(apart, rows) - 1, None, apart)
        return self.samples[taken].reshape(-1, P), self.ln_L[taken].reshape(-1)

    @classmethod
    def joined(cls, chains: Sequence["Chain"]) -> "Chain":
        """Join chains of one likelihood and equal length into one with all walkers."""
        return replace(
            chains[-1],
            samples=np.concatenate([chain.samples for chain in chains], axis=1),
            ln_L=np.concatenate([chain.ln_L for chain in chains], axis=1),
            ensembles=sum(chain.ensembles for chain in chains),
        )

    def after(self, rows: int) -> "Chain":
        """Return the chain without its first rows."""
        return replace(self, samples=self.samples[rows:], ln_L=self.ln_L[rows:])


def reflected(unit: Array) -> Array:
    """Reflect points that are slightly outside the unit cube back into it.

    Args:
        unit: Points, of any shape.
    """
    unit = np.abs(unit)
    return np.clip(1 - np.abs(1 - unit), 1e-6, 1 - 1e-6)


def split_r_hat(samples: Array, ensembles: int) -> Array:
    """R-hat of ensembles of walkers, each split into two halves, shape (P,); 1 is perfect.

    See Gelman et al. 2013, Bayesian Data Analysis, 3rd edition, section 11.4. The mean and variance
    of all walkers of an ensemble replace those of a chain.

    Args:
        samples: Shape (rows, walkers, P), with at least 4 rows.
        ensembles: Number of ensembles, each of neighbouring walkers; equal to the number of walkers
            if each is a chain of its own.
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
    """A move of all ensembles in one call of the likelihood, each within itself.

    One half of an ensemble is moved by means of the other half, as in emcee (Foreman-Mackey et al.
    2013, PASP 125, 306).

    Args:
        move: The move of one half.
        ensembles: Number of ensembles, each of neighbouring walkers.
    """

    def __init__(self, move: Any, ensembles: int) -> None:
        self._move, self._ensembles = move, ensembles

    def propose(self, model: Any, state: Any) -> tuple[Any, NDArray[np.bool_]]:
        """Return the walkers after one step, and which of them moved."""
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
    """Walkers of the sampler emcee, in independent ensembles.

    Args:
        likelihood: The density to sample.
        start: Starting points, with the walkers of an ensemble next to each other, shape (walkers,
            P).
        ensembles: Number of ensembles of equally many walkers.
        seed: Seed of the steps.
        every: Number of steps per stored row.
        file: File that stores the rows, at intervals and after each run, to resume an interrupted
            run.
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
        # without emcee's wrapper, which prints tracebacks on signals
        self._sampler.log_prob_fn = likelihood
        if file and (kept := read_arrays(file, SCHEMA)):
            likelihood.evaluations = int(kept["evaluations"])
            likelihood.seconds = float(kept["seconds"])
            _put_back(self._backend, kept)
        else:
            self._sampler.random_state = np.random.RandomState(seed).get_state()

    def run(self, rows: int, bar: Any = None) -> Chain:
        """Return the first rows of the chain; missing rows are sampled.

        Args:
            rows: Number of rows.
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
        """Sample `number` more rows."""
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
    """Sample a chain of one ensemble, with all steps; see `Ensembles`.

    Args:
        likelihood: The density to sample.
        start: Starting points, shape (walkers, P).
        steps: Number of steps of each walker.
        seed: Seed of the steps.
        label: Label of the progress bar; empty for no progress bar.
        file: File that stores the steps.
    """
    walkers = Ensembles(likelihood, start, 1, seed, file=file)
    with tqdm(total=steps, desc=label, unit="step", disable=not label) as bar:
        return walkers.run(steps, bar)


def _keep(file: Path, backend: Any, evaluations: int, seconds: float) -> None:
    """Write the samples so far, and the state of the random numbers."""
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
    """Restore the content of `_keep` into a new backend of emcee."""
    steps, walkers, P = kept["chain"].shape
    position, has_gauss, gauss = kept["random_rest"]
    backend.reset(walkers, P)
    backend.chain, backend.log_prob = kept["chain"], kept["ln_L"]
    backend.accepted, backend.iteration, backend.initialized = kept["accepted"], steps, True
    backend.random_state = (
        "MT19937", kept["random_words"], int(position), int(has_gauss), float(gauss)
    )  # fmt: skip


class Reweighted:
    """Samples of one posterior, reweighted to another one.

    The same points then represent both posteriors, so their difference is much more precise than
    each of them.

    Args:
        points: Independent points of the first posterior, shape (N, P).
        change: ln of the second posterior minus ln of the first, up to a constant, shape (N,).
    """

    def __init__(self, points: Array, change: Array) -> None:
        weights = np.exp(change - change.max())
        self._points, self._weights = points, weights / weights.mean()

    def effective(self) -> float:
        """Effective fraction of the points, (sum w)^2 / (N sum w^2)."""
        return float(1 / np.square(self._weights).mean())

    def mean(self) -> Array:
        """Means of the second posterior, shape (P,)."""
        return np.average(self._points, axis=0, weights=self._weights)

    def std(self) -> Array:
        """Standard deviations of the second posterior, shape (P,)."""
        square = np.square(self._points - self.mean())
        return np.sqrt(np.average(square, axis=0, weights=self._weights))

    def shift(self) -> tuple[Array, Array]:
        """Means of the first posterior minus those of the second, and Monte Carlo errors, (P,)."""
        mean, plain = self.mean(), self._points.mean(axis=0)
        influence = (self._points - plain) - self._weights[:, None] * (self._points - mean)
        return plain - mean, influence.std(axis=0) / np.sqrt(len(influence))

    def width(self) -> Array:
        """Standard deviations of the first posterior divided by those of the second, (P,)."""
        return self._points.std(axis=0) / self.std()
