"""Compare an emulator with newly computed labels: ``python -m export.verify``."""

import argparse
import io
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from export.command import add_occupation, run
from export.runtime import OnnxEmulator, OnnxEmulatorError, load

__all__ = ["verdict", "verify"]

# The 95th percentile over a few new points scatters; at 20 points it stays within this factor of
# the record's. A wrong halo model, version or unit exceeds it by far.
FACTOR = 3.0

Result = dict[str, dict[str, float]]


def verify(
    emulator: str | Path,
    points: int = 100,
    seed: int = 0,
    linear_power: str | None = None,
    occupation: str | None = None,
) -> Result:
    """Errors of an emulator on newly computed labels, next to those on its record.

    Points that are outside the domain of the emulator, and points where a spectrum is not positive,
    are left out.

    Args:
        emulator: A file, or the name of a shipped emulator.
        points: Number of points, a Latin hypercube over the trained ranges.
        seed: Seed of the points.
        linear_power: ``camb`` runs CAMB at every point; ``table`` interpolates in a table, which
            takes some hundred runs of CAMB if it is not in the cache; default: as for the labels.
        occupation: Name of an occupation in place of the one in the file.

    Returns:
        For each output: ``found`` and ``recorded``, the 95th percentile of abs(P/P_true - 1) over
        points and wavenumbers, ``largest``, the largest error, and ``points``, the number of
        points.

    Raises:
        ValueError: A file without a record of its accuracy; no points left.
    """
    model = load(emulator, occupation=occupation)
    recorded = _recorded(model)
    labels = _labels(model, points, seed, linear_power)
    rows = np.flatnonzero(labels.is_positive(model.outputs) & model.is_inside(labels.theta))
    if not len(rows):
        raise ValueError(
            f"{model.path} covers none of these {points} points; draw more with --points"
        )
    predicted = model(labels.theta[rows])
    result = {}
    for name in [name for name in predicted if name in recorded]:
        error = np.abs(predicted[name] / labels[name][rows] - 1)
        result[name] = {
            "found": float(np.percentile(error, 95)),
            "recorded": recorded[name],
            "largest": float(error.max()),
            "points": len(rows),
        }
    return result


def _recorded(model: OnnxEmulator) -> dict[str, float]:
    """The recorded 95th percentile of each output."""
    record = model.metadata["record"]
    records = record.get("test", record.get("validation"))
    if not records or not set(records) & set(model.outputs):
        whose = f" with galaxies of {model.occupation}" if model.occupation else ""
        raise ValueError(f"{model.path} has no record of its accuracy{whose} to compare with")
    try:
        return {name: float(one["all"]["95"]) for name, one in records.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise OnnxEmulatorError(f"{model.path} has a record that lacks {error}") from None


def _labels(model: OnnxEmulator, points: int, seed: int, linear_power: str | None) -> Any:
    """New labels of the emulator's halo model, within its ranges."""
    from datagen.design import Design  # not needed to evaluate emulators
    from datagen.generate import generate
    from datagen.halomodel import HaloModelConfig
    from datagen.space import Space
    from datagen.store import Spectra

    metadata = model.metadata
    choices = metadata["halo_model"]
    if linear_power:
        choices = choices | {"linear_power": linear_power}
    space = Space.from_dict(metadata["parameters"])
    config = HaloModelConfig.from_dict(choices)
    with TemporaryDirectory() as folder:
        with redirect_stdout(io.StringIO()):  # progress of a temporary file
            path = generate(Path(folder) / "labels.h5", Design(points, seed=seed), space, config)
        return Spectra.read(path)


def table(result: Result) -> str:
    """The comparison as a table, a line for each output, followed by the verdict."""
    points = next(iter(result.values()))["points"]
    lines = [
        f"abs(P/P_true - 1) in percent, on {points} points",
        "output      95 % here   95 % on record   largest here",
    ]
    for name, errors in result.items():
        found, recorded, largest = (
            f"{100 * errors[which]:.3g}" for which in ("found", "recorded", "largest")
        )
        mark = "" if _agrees(errors) else "  NOT AS RECORDED"
        lines.append(f"{name:11s} {found:11s} {recorded:16s} {largest}{mark}")
    return "\n".join([*lines, verdict(result)])


def verdict(result: Result) -> str:
    """A sentence that says whether the errors agree with the record."""
    off = [name for name, errors in result.items() if not _agrees(errors)]
    if off:
        return (
            f"Not as recorded: errors of {', '.join(off)} are more than {FACTOR:g} times those on "
            f"record; compare the versions here with those on its card (hodspectra info)."
        )
    return (
        f"It agrees with its record: no error is more than {FACTOR:g} times the recorded one, "
        f"which allows for the scatter of few points."
    )


def _agrees(errors: dict[str, float]) -> bool:
    return errors["found"] <= FACTOR * errors["recorded"]


def main(argv: list[str] | None = None) -> None:
    """Compute new random points with the halo model, and compare the errors with the record.

    The exit status is 1 if an error is much larger than recorded.
    """
    parser = argparse.ArgumentParser(prog="python -m export.verify", description=main.__doc__)
    parser.add_argument("emulator", help="file, or name of a shipped emulator")
    parser.add_argument("-n", "--points", type=int, default=100, help="number of points")
    parser.add_argument("--seed", type=int, default=0, help="seed of the points")
    parser.add_argument("--linear-power", choices=["table", "camb"],
                        help="camb runs CAMB at every point; default: as for labels")  # fmt: skip

    add_occupation(parser)

    def work(arguments: argparse.Namespace) -> int:
        result = verify(**vars(arguments))
        print(table(result))  # noqa: T201
        return int(not all(map(_agrees, result.values())))

    run(parser, work, argv)


if __name__ == "__main__":
    main()
