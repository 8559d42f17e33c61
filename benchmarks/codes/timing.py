"""Timing of calls: warm-up, rounds, median and spread."""

import statistics
import time
import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

__all__ = ["TURNS", "agree", "by_batch", "in_turn", "on_one_core", "seconds_per_point"]

ROUNDS = 5
ROUND_SECONDS = 0.3
TURNS = 16  # points that single calls cycle through: more than an emulator caches
ONE_CORE = 1.2  # largest ratio of CPU to wall time; two threads have a ratio of about 2


def seconds_per_point(
    call: Callable[[], Any],
    points: int,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median and interquartile range of the time [s] per point of a call, after a warm-up.

    Each round repeats the call for about a third of a second.

    Args:
        call: Function that evaluates all points once.
        points: Number of points per call.
        rounds: Number of rounds.
        clock: Clock: wall time by default, `time.process_time` for CPU time.
    """
    timer = timeit.Timer(call, timer=clock)
    warm_up = timer.timeit(1)
    number = max(1, round(ROUND_SECONDS / warm_up))
    times = [seconds / (number * points) for seconds in timer.repeat(rounds, number)]
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return {"median": median, "iqr": high - low, "rounds": rounds}


def in_turn(call: Callable[[Any], Any], given: Sequence[Any]) -> Callable[[], Any]:
    """A function that calls `call` with each of the given arguments in turn, endlessly.

    An emulator caches results that depend on the cosmology, so successive points must differ.
    """
    which = cycle(given)
    return lambda: call(next(which))


def by_batch(
    call: Callable[[Any], Any], theta: Any, batches: Iterable[int]
) -> dict[str, dict[str, float]]:
    """`seconds_per_point` for several batch sizes, by batch size.

    Args:
        call: Function of points.
        theta: Points, shape (B, P), repeated where there are too few; single points in turn.
        batches: The batch sizes.
    """
    return {
        str(n): seconds_per_point(
            in_turn(call, [*np.resize(theta, (TURNS if n == 1 else 1, n, theta.shape[1]))]), n
        )
        for n in batches
    }


def on_one_core(name: str, call: Callable[[], Any]) -> Any:
    """Return the result of a call, after a check that it used one core.

    Raises:
        ValueError: It used more.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    cores = (time.process_time() - cpu) / (time.perf_counter() - wall)
    if cores > ONE_CORE:
        raise ValueError(f"{name} ran on {cores:.1f} cores; set OMP_NUM_THREADS=1")
    return result


def agree(
    name: str,
    call: Callable[[Any], Mapping[str, Any]],
    theta: Any,
    truth: Mapping[str, Any],
    tolerance: float,
) -> None:
    """Check that a function agrees with known results and uses one core, before it is timed.

    Args:
        name: Name of the function in messages.
        call: Function of points that returns arrays by name.
        theta: Points.
        truth: Known results by name; others are not compared.
        tolerance: Largest |P/P_true - 1|.

    Raises:
        ValueError: Results that disagree; more than one core in use.
    """
    for output, values in on_one_core(name, partial(call, theta)).items():
        if output in truth:
            worst = np.abs(values / truth[output] - 1).max()
            if not worst <= tolerance:
                raise ValueError(
                    f"{name} differs by {worst:.1e} in {output} (tolerance {tolerance:g}), so it "
                    f"is not timed"
                )
