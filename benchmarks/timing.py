"""Timing of calls: warm-up, rounds, median and spread."""

import statistics
import timeit
from collections.abc import Callable
from typing import Any

__all__ = ["seconds_per_point"]

ROUNDS = 5
ROUND_SECONDS = 0.3


def seconds_per_point(
    call: Callable[[], Any], points: int, rounds: int = ROUNDS
) -> dict[str, float]:
    """Median and interquartile range of the wall time [s] per point of a call, after a warm-up.

    Every round repeats the call until it has run for a third of a second or so.

    Args:
        call: Evaluates all points once.
        points: How many it evaluates.
        rounds: How often the time is taken.
    """
    timer = timeit.Timer(call)
    warm_up = timer.timeit(1)
    number = max(1, round(ROUND_SECONDS / warm_up))
    times = [seconds / (number * points) for seconds in timer.repeat(rounds, number)]
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return {"median": median, "iqr": high - low, "rounds": rounds}
