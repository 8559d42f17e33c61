"""Evaluate many points block by block: ``python -m benchmarks.codes.memory EMULATOR POINTS``.

The command needs only numpy and onnxruntime, so that its peak memory is that of a user's program.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from datagen.space import Space
from export.runtime import load
from hodspectra.ending import ending, name_of

__all__ = ["BLOCK", "evaluate_in_blocks"]

BLOCK = 8192  # points that are drawn and evaluated at once
_PROG = "python -m benchmarks.codes.memory"
_AT_LEAST = 20_000  # points to time; fewer are evaluated several times


def evaluate_in_blocks(
    emulator: str, points: int, seed: int = 1, occupation: str = ""
) -> dict[str, float]:
    """Measure time and memory for random points of an emulator's box, on one core.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        points: Number of points.
        seed: Seed of the points.
        occupation: Name of an occupation in place of the one in the file; semi-analytic emulators
            only.

    Returns:
        Times [s]: ``load`` for opening the emulator, ``wall`` and ``cpu`` for the evaluation with
        all checks; ``memory``, the peak memory of this process [bytes].

    Raises:
        ValueError: `points` below 1.
    """
    if points < 1:
        raise ValueError(f"points = {points} must be at least 1")
    start = time.perf_counter()
    model = load(emulator, threads=1, out_of_range="nan", occupation=occupation or None)
    loaded = time.perf_counter() - start
    space = Space.from_dict(model.metadata["parameters"])
    rng, passes, wall, cpu = np.random.default_rng(seed), max(1, _AT_LEAST // points), 0.0, 0.0
    model(space.from_unit(rng.random((min(points, BLOCK), len(model.names)))))  # warm-up
    for _ in range(passes):
        for first in range(0, points, BLOCK):
            block = rng.random((min(BLOCK, points - first), len(model.names)))
            theta = space.from_unit(block)
            start, used = time.perf_counter(), time.process_time()
            model(theta)
            wall += time.perf_counter() - start
            cpu += time.process_time() - used
    return {
        "points": points,
        "load": loaded,
        "wall": wall / passes,
        "cpu": cpu / passes,
        "memory": _peak_memory(),
    }


def _peak_memory() -> int:
    """Peak memory of this process [bytes]."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage includes the memory of the parent
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def main(argv: list[str] | None = None) -> None:
    """Evaluate random points of an emulator block by block, and print time and memory as JSON."""
    parser = argparse.ArgumentParser(prog=name_of(_PROG), description=main.__doc__)
    parser.add_argument("emulator", help="ONNX file, or the name of a shipped emulator")
    parser.add_argument("points", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="seed of the points")
    parser.add_argument("--occupation", default="", help="whose galaxies, of a semi-analytic one")
    with ending(_PROG):
        print(json.dumps(evaluate_in_blocks(**vars(parser.parse_args(argv)))))  # noqa: T201


if __name__ == "__main__":
    main()
