"""Evaluate an emulator on a table of points: ``python -m export.predict``."""

import argparse
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np

from datagen.tables import READ, read_blocks
from export.command import add_occupation, run
from export.ranges import OutOfRange, Policy
from export.results import DRAWN, WRITTEN, check_suffix, writing
from export.runtime import load

__all__ = ["predict"]

_ROW = re.compile(r"\brow (\d+)")


def predict(
    emulator: str | Path,
    points: Path,
    out: Path,
    outputs: Sequence[str] | None = None,
    k: Sequence[float] | None = None,
    out_of_range: Policy = "raise",
    extrapolate: bool = False,
    occupation: Any = None,
) -> None:
    """Evaluate an emulator on the points of a file, and write the results to another file.

    Memory does not grow with the length of the file. The output appears only when it is complete.

    Args:
        emulator: A file, or the name of a shipped emulator.
        points: Table of points; see `datagen.tables.read_blocks`.
        out: File to write; see `export.results.writing`.
        outputs: Names of outputs; default: all.
        k: Wavenumbers [1/Mpc]; default: those of the emulator.
        out_of_range: Treatment of points outside the trained ranges.
        extrapolate: Allow k below those of the emulator.
        occupation: Occupation in place of the one in the file; see `OnnxEmulator`.

    Raises:
        OutOfRange: A point outside the trained ranges.
        ValueError: Points that cannot be read; unknown outputs; an output file of another type, or
            the file of the points.
    """
    draws = check_suffix(out) not in (".csv", ".npz")
    model = load(emulator, occupation=occupation)
    if out.exists() and points.exists() and out.samefile(points):
        raise ValueError(f"{out} holds the points; write the results to another file")
    units = {parameter.name: parameter.unit for parameter in model.parameters}
    defaults = {p.name: p.default for p in model.parameters if p.default is not None}
    count, first = 0, ""
    with writing(out, model.k if k is None else np.asarray(k), model.units) as write:
        for block in read_blocks(points, units, defaults):
            theta = block[:DRAWN] if draws else block
            with _rows_from(count):
                results = model(
                    theta, outputs, k, out_of_range=out_of_range, extrapolate=extrapolate
                )
            write(results)
            count += len(theta)
            if draws:
                first = "the first " if len(block) > len(theta) else ""
                break
    print(f"{first}{count} points in {out}")  # noqa: T201


@contextmanager
def _rows_from(first: int) -> Iterator[None]:
    """Count the rows in messages from the beginning of the file instead of the block."""

    def moved(message: object) -> str:
        return _ROW.sub(lambda found: f"row {first + int(found[1])}", str(message))

    try:
        with warnings.catch_warnings(record=True) as caught:
            yield
    except OutOfRange as error:
        raise OutOfRange(moved(error)) from None
    for warning in caught:
        warnings.warn(moved(warning.message), warning.category, stacklevel=4)


def main(argv: list[str] | None = None) -> None:
    """Evaluate an emulator at the points of a file, and write the results to another file."""
    parser = argparse.ArgumentParser(prog="python -m export.predict", description=main.__doc__)
    parser.add_argument("emulator", help="file, or name of a shipped emulator")
    parser.add_argument("points", type=Path, help=f"table of points: {', '.join(READ)}")
    parser.add_argument("out", type=Path, help=f"file to write: {', '.join(WRITTEN)}")
    parser.add_argument("--outputs", nargs="+", help="names of outputs; all by default")
    parser.add_argument("--k", nargs="+", type=float, help="wavenumbers in 1/Mpc")
    parser.add_argument("--out-of-range", choices=get_args(Policy), default="raise",
                        help="treatment of points outside the trained ranges")  # fmt: skip
    parser.add_argument(
        "--extrapolate", action="store_true", help="allow k below those of the emulator"
    )
    add_occupation(parser)
    run(parser, lambda arguments: predict(**vars(arguments)), argv)


if __name__ == "__main__":
    main()
