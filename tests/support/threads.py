"""Calls from several threads at once."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["wrong_in_threads"]


def wrong_in_threads(
    call: Callable[[int], Any], expected: Sequence[Any], calls: int, stride: int
) -> list[int]:
    """Return the indices of results that differ from the expected ones, of calls by four threads.

    Args:
        call: Takes an index of `expected`, returns an array.
        expected: The arrays to expect.
        calls: Number of calls of each thread, of successive indices.
        stride: Distance of the first indices of successive threads.
    """
    wrong = []

    def many(start: int) -> None:
        for i in range(start, start + calls):
            which = i % len(expected)
            if not np.array_equal(call(which), expected[which]):
                wrong.append(which)

    threads = [threading.Thread(target=many, args=(stride * i,)) for i in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return wrong
