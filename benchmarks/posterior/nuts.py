"""Chains with gradients: NUTS of NumPyro.

Imported where it is asked for, as it needs JAX and NumPyro (Phan, Pradhan & Jankowiak 2019,
arXiv:1912.11554). The flat prior on the unit cube becomes one on all numbers by a sigmoid for each
parameter. All is in double precision, whatever JAX does elsewhere.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from numpyro.infer import NUTS
from scipy.special import expit, logit
from tqdm.auto import tqdm

from benchmarks.posterior.chains import WORST, Chain, Target
from benchmarks.posterior.gradients import Gradient, climb
from benchmarks.posterior.sampling import Best, Sampling, check_end, minimum
from datagen.header import read_arrays, write_arrays

__all__ = ["draw", "sample"]

Array = NDArray[np.float64]

SCHEMA = "hodspectra-nuts-1"
_KEPT_EVERY = 30.0  # seconds
_EDGE = 0.01  # the climb in the sigmoid's argument begins this far inside of the cube
_FLAT = 0.05  # least curvature of ln P along any direction, where chains begin
_HALVED = 10  # times at most, the way to where a chain begins, if there is no answer
_DIFFERENCE = 1e-3  # of the sigmoid's argument, for the curvature
_ACCEPTED = 0.9  # share of steps
_DEPTH = (8, 10)  # of trees, in the burn-in and after it: at most 255 and 1023 moves a step
_APART = 0.5  # of ln P in JAX and in onnxruntime: rounding of single precision is below 0.1
_COMPARED = 100  # points for that


def _around(gradient: Gradient, unit: Array) -> tuple[Array, Array]:
    """A guess of a posterior near a point of the cube: mean (F,) and covariance (F, F).

    Of the sigmoid's arguments: where it is highest in these, and the inverse of its curvature.
    """
    start = logit(np.clip(unit, _EDGE, 1 - _EDGE))
    z, _ = minimum(gradient.potential, start)
    moves = _DIFFERENCE * np.eye(len(z))
    slopes = [gradient.potential(z + move)[1] - gradient.potential(z - move)[1] for move in moves]
    curvature = np.array(slopes) / (2 * _DIFFERENCE)
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    return z, (vectors / np.maximum(values, _FLAT)) @ vectors.T


def _with_answer(gradient: Gradient, z: Array, move: Array) -> Array:
    """A point as far from another along a move as has an answer."""
    for _ in range(_HALVED):
        if gradient.potential(z + move)[0] < WORST:
            return z + move
        move = move / 2
    return z


def draw(
    target: Target, number: int, sampling: Sampling, folder: Path | None = None
) -> tuple[list[Best], Chain]:
    """As `benchmarks.posterior.sampling.draw`."""
    given = sampling.as_dict()
    try:
        ln = target.in_jax()
    except ValueError as error:
        raise ValueError(f"sampler = 'nuts': {error}; or take sampler = 'emcee'") from error
    gradient = Gradient(ln)
    begun = time.perf_counter()
    ends = [climb(target, gradient, number, sampling.seed + i) for i in range(given["chains"])]
    best = int(np.argmin([end.cost for end in ends]))
    check_end(ends[best])
    around = [_around(gradient, end.unit) for end in ends]
    noise = np.random.default_rng(sampling.seed).standard_normal((len(ends), number))
    start = np.array([
        _with_answer(gradient, z, np.linalg.cholesky(covariance) @ one)
        for (z, covariance), one in zip(around, noise, strict=True)
    ])  # fmt: skip
    target.evaluations += gradient.evaluations
    target.seconds += time.perf_counter() - begun
    return ends, sample(
        target, ln, start, around[best][1], given["burn_in"], given["steps"],
        sampling.seed, label=f"{len(ends)} chains", file=folder / "chain.npz" if folder else None,
    )  # fmt: skip


def sample(
    target: Target,
    ln: Callable[[Any], Any],
    start: Array,
    covariance: Array,
    burn_in: int,
    steps: int,
    seed: int,
    *,
    label: str = "",
    file: Path | None = None,
) -> Chain:
    """Chains of NUTS, all at once; a dense mass matrix and the step adapt in the burn-in.

    A step into where there is no answer, or none that is a number, counts as a divergence and is
    not taken.

    Args:
        target: What is sampled; it counts the evaluations.
        ln: The same as a function of JAX, of points (F,).
        start: Where chains start, in the sigmoid's arguments, shape (chains, F).
        covariance: What is guessed of them, shape (F, F).
        burn_in: Steps that are left out.
        steps: Steps after these.
        seed: Of the random numbers.
        label: Stands before the progress bar; without one there is none.
        file: File that keeps the steps; chains that were interrupted go on from it.

    Raises:
        ValueError: No answer where a chain starts.
        RuntimeError: ln P in JAX is not that of the target.
    """

    def potential(z: Any) -> Any:
        return -ln(jax.nn.sigmoid(z)) - (jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)).sum()

    kernel = NUTS(
        potential_fn=potential, dense_mass=True, inverse_mass_matrix=covariance,
        target_accept_prob=_ACCEPTED, max_tree_depth=_DEPTH,
    )  # fmt: skip
    begun, saved = time.perf_counter(), time.monotonic()
    found: list[list[Any]] = []
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.PRNGKey(seed), len(start))
        state = kernel.init(keys, burn_in, jnp.asarray(start), (), {})
        if not np.isfinite(state.potential_energy).all():
            raise ValueError("no answer where a chain starts; another seed may help")
        if file and (kept := read_arrays(file, SCHEMA)):
            found = [list(step) for step in zip(*(kept[name] for name in _STORED), strict=True)]
            leaves = [kept[f"state_{i}"] for i in range(len(jax.tree.leaves(state)))]
            state = jax.tree.unflatten(jax.tree.structure(state), map(jnp.asarray, leaves))
            begun -= float(kept["seconds"])
        done = len(found)
        step = jax.jit(lambda state: kernel.sample(state, (), {}))
        try:
            with tqdm(
                total=burn_in + steps, initial=done, desc=label, unit="step", disable=not label
            ) as bar:
                while len(found) < burn_in + steps:
                    state = step(state)
                    now = state.z, state.potential_energy, state.num_steps, state.diverging
                    found.append([np.array(one) for one in now])
                    bar.update()
                    if file and time.monotonic() - saved > _KEPT_EVERY:
                        _keep(file, found, state, time.perf_counter() - begun)
                        saved = time.monotonic()
        finally:
            if file and len(found) > done:
                _keep(file, found, state, time.perf_counter() - begun)
    target.seconds += time.perf_counter() - begun
    z, energy, moves, diverging = (np.array(one) for one in zip(*found, strict=True))
    target.evaluations += int(moves.sum())
    jacobian = -(np.logaddexp(0, -z) + np.logaddexp(0, z)).sum(axis=-1)
    chain = Chain(
        expit(z), -energy - jacobian, target.evaluations, target.seconds, ensembles=len(start),
    ).after(burn_in)  # fmt: skip
    _check(target, chain)
    return replace(chain, divergences=int(diverging[burn_in:].sum()))


_STORED = ("z", "energy", "moves", "diverging")


def _keep(file: Path, found: list[list[Any]], state: Any, seconds: float) -> None:
    """Write what is sampled so far, and all that the sampler goes on with."""
    arrays = dict(zip(_STORED, map(np.array, zip(*found, strict=True)), strict=True))
    leaves = {f"state_{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(state))}
    write_arrays(file, SCHEMA, {**arrays, **leaves, "seconds": seconds})


def _check(target: Target, chain: Chain) -> None:
    """Refuse chains of anything but the target."""
    points, ln_P = chain.thinned(_COMPARED)
    apart = np.abs(target(points) - ln_P).max()
    if not (np.isfinite(chain.ln_L).all() and apart < _APART):
        raise RuntimeError(
            f"ln P in JAX and in onnxruntime differ by {apart:g} on the chain, more than {_APART}; "
            f"take sampler = 'emcee', and please report it"
        )
