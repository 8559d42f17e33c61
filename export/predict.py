"""Spectra of a table of points: ``python -m export.predict``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from export.command import run
from export.ranges import Policy
from export.runtime import load
from export.tables import READ, WRITTEN, read_points, write_results

__all__ = ["predict"]


def predict(
    emulator: str | Path,
    points: Path,
    out: Path,
    outputs: Sequence[str] | None = None,
    k: Sequence[float] | None = None,
    out_of_range: Policy = "raise",
    extrapolate: bool = False,
) -> None:
    """Evaluate an emulator on the points of a file, and write what comes out to another.

    Args:
        emulator: File or name.
        points: See `export.tables.read_points`.
        out: See `export.tables.write_results`.
        outputs: Which outputs; all by default.
        k: Wavenumbers [1/Mpc]; the emulator's by default.
        out_of_range: What happens to points outside the trained ranges.
        extrapolate: Whether k may lie below the emulator's.
    """
    model = load(emulator)
    if out.suffix not in WRITTEN:
        raise ValueError(f"{out}: results are written to {', '.join(WRITTEN)}")
    theta = read_points(points)
    results = model(theta, outputs, k, out_of_range=out_of_range, extrapolate=extrapolate)
    write_results(out, model.k if k is None else np.asarray(k), results, model.units)


def main(argv: list[str] | None = None) -> None:
    """Evaluate an emulator on the points of a file, and write what comes out to another."""
    parser = argparse.ArgumentParser(prog="python -m export.predict", description=main.__doc__)
    parser.add_argument("emulator", help="file, or name of a shipped one (see export.info)")
    parser.add_argument("points", type=Path, help=f"points by parameter name: {', '.join(READ)}")
    parser.add_argument("out", type=Path, help=f"what to write: {', '.join(WRITTEN)}")
    parser.add_argument("--outputs", nargs="+", help="which outputs; all by default")
    parser.add_argument("--k", nargs="+", type=float, help="wavenumbers in 1/Mpc")
    parser.add_argument("--out-of-range", choices=get_args(Policy), default="raise",
                        help="what happens to points outside the trained ranges")  # fmt: skip
    parser.add_argument("--extrapolate", action="store_true", help="k may lie below the grid")
    run(parser, lambda arguments: predict(**vars(arguments)), argv)


if __name__ == "__main__":
    main()
