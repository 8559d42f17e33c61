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
TURNS = 16  # points that single calls take in turn: more than those that an emulator keeps
ONE_CORE = 1.2  # CPU time over wall time; two threads would show as two


def seconds_per_point(
    call: Callable[[], Any],
    points: int,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median and interquartile range of the time [s] per point of a call, after a warm-up.

    Every round repeats the call until it has run for a third of a second or so.

    Args:
        call: Evaluates all points once.
        points: How many it evaluates.
        rounds: How often the time is taken.
        clock: What is measured: wall time, or with `time.process_time` that of the CPU.
    """
    timer = timeit.Timer(call, timer=clock)
    warm_up = timer.timeit(1)
    number = max(1, round(ROUND_SECONDS / warm_up))
    times = [seconds / (number * points) for seconds in timer.repeat(rounds, number)]
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return {"median": median, "iqr": high - low, "rounds": rounds}


def in_turn(call: Callable[[Any], Any], given: Sequence[Any]) -> Callable[[], Any]:
    """A call of one after another of what is given, again and again.

    An emulator keeps what follows from a cosmology; so points are different ones.
    """
    which = cycle(given)
    return lambda: call(next(which))


def by_batch(
    call: Callable[[Any], Any], theta: Any, batches: Iterable[int]
) -> dict[str, dict[str, float]]:
    """`seconds_per_point` for several numbers of points at once, by that number.

    Args:
        call: Takes points.
        theta: Points, shape (B, P), repeated where there are too few; single ones in turn.
        batches: How many at once.
    """
    return {
        str(n): seconds_per_point(
            in_turn(call, [*np.resize(theta, (TURNS if n == 1 else 1, n, theta.shape[1]))]), n
        )
        for n in batches
    }


def on_one_core(name: str, call: Callable[[], Any]) -> Any:
    """The result of a call that is to be timed, if it ran on one core.

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
    """Let only what computes the same, on one core, be timed.

    Args:
        name: What it is called.
        call: Takes points, and returns arrays by name.
        theta: Points.
        truth: What is to come out, as far as it is known.
        tolerance: Largest |P/P_true - 1|.

    Raises:
        ValueError: It differs, or used more than one core.
    """
    for output, values in on_one_core(name, partial(call, theta)).items():
        if output in truth:
            worst = np.abs(values / truth[output] - 1).max()
            if not worst <= tolerance:
                raise ValueError(
                    f"{name} differs by {worst:.1e} in {output} (tolerance {tolerance:g}), so it "
                    f"is not timed"
                )
