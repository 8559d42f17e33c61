"""Chains with gradients, by NUTS of NumPyro.

The module needs JAX and NumPyro (Phan, Pradhan & Jankowiak 2019, arXiv:1912.11554), and is imported
on request only. Sigmoids map the real numbers to the unit cube with its flat prior. All numbers
have double precision, independently of other uses of JAX.
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
_EDGE = 0.01  # distance from the faces of the cube at which the climb starts
_FLAT = 0.05  # smallest curvature of ln P along any direction for the initial covariance
_HALVED = 10  # largest number of halvings of the way to an invalid starting point
_DIFFERENCE = 1e-3  # step in the sigmoid's argument for the curvature
_ACCEPTED = 0.9  # target acceptance rate
_DEPTH = (8, 10)  # depth of trees in and after the burn-in: at most 255 and 1023 moves per step
_APART = 0.5  # tolerance of ln P between JAX and onnxruntime; rounding errors are below 0.1
_COMPARED = 100  # number of points to compare


def _around(gradient: Gradient, unit: Array) -> tuple[Array, Array]:
    """Estimate a posterior near a point of the cube: mean (F,) and covariance (F, F).

    Both refer to the arguments of the sigmoids: the highest point, and the inverse curvature there.
    """
    start = logit(np.clip(unit, _EDGE, 1 - _EDGE))
    z, _ = minimum(gradient.potential, start)
    moves = _DIFFERENCE * np.eye(len(z))
    slopes = [gradient.potential(z + move)[1] - gradient.potential(z - move)[1] for move in moves]
    curvature = np.array(slopes) / (2 * _DIFFERENCE)
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    return z, (vectors / np.maximum(values, _FLAT)) @ vectors.T


def _with_answer(gradient: Gradient, z: Array, move: Array) -> Array:
    """Return z + move, with the move halved until the point is valid."""
    for _ in range(_HALVED):
        if gradient.potential(z + move)[0] < WORST:
            return z + move
        move = move / 2
    return z


def draw(
    target: Target, number: int, sampling: Sampling, folder: Path | None = None
) -> tuple[list[Best], Chain]:
    """Search and sample with NUTS; see `benchmarks.posterior.sampling.draw`."""
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
    """Sample chains of NUTS; a dense mass matrix and the step size adapt in the burn-in.

    A step to an invalid point counts as a divergence, and is rejected.

    Args:
        target: The density to sample, which counts the evaluations.
        ln: ln P as a function of JAX, of a point (F,).
        start: Starting points in the arguments of the sigmoids, shape (chains, F).
        covariance: Estimate of their covariance, shape (F, F).
        burn_in: Number of steps to discard.
        steps: Number of steps after the burn-in.
        seed: Seed of the random numbers.
        label: Label of the progress bar; empty for no progress bar.
        file: File that stores the steps, to resume an interrupted run.

    Raises:
        ValueError: An invalid starting point.
        RuntimeError: ln P in JAX differs from that of the target.
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
            raise ValueError("a chain starts at an invalid point; another seed may help")
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
    """Write the samples so far, and the state of the sampler."""
    arrays = dict(zip(_STORED, map(np.array, zip(*found, strict=True)), strict=True))
    leaves = {f"state_{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(state))}
    write_arrays(file, SCHEMA, {**arrays, **leaves, "seconds": seconds})


def _check(target: Target, chain: Chain) -> None:
    """Check ln P of chains against the target."""
    points, ln_P = chain.thinned(_COMPARED)
    apart = np.abs(target(points) - ln_P).max()
    if not (np.isfinite(chain.ln_L).all() and apart < _APART):
        raise RuntimeError(
            f"ln P in JAX and in onnxruntime differ by {apart:g} on the chain, more than {_APART}; "
            f"take sampler = 'emcee', and please report it"
        )
