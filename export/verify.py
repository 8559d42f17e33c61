"""Recompute with the true code, here, and compare with the record: ``python -m export.verify``."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from export.command import run
from export.runtime import OnnxEmulator, load

__all__ = ["verify"]

# Of a few points drawn anew, the 95th percentile scatters; at 20 points it stays within this
# factor of the record's, and a wrong halo model, version or unit misses it by far more.
FACTOR = 3.0


def verify(
    emulator: str | Path, points: int = 100, seed: int = 0, linear_power: str | None = None
) -> dict[str, dict[str, float]]:
    """Errors of an emulator on new points, recomputed by the true code, beside its record.

    Args:
        emulator: File or name.
        points: How many, a Latin hypercube over the trained ranges.
        seed: Seed of the points.
        linear_power: ``camb`` runs CAMB at every point, ``table`` makes its table first, which
            takes some hundred runs if there is none in the cache; by default as for the labels.

    Returns:
        By output: ``found`` and ``recorded``, the 95th percentile of |P/P_true - 1| over points
        and wavenumbers, and ``largest``.

    Raises:
        ValueError: A file without a record.
    """
    model = load(emulator)
    record = model.metadata["record"]
    records = record.get("test", record.get("validation"))
    if not records:
        raise ValueError(f"{model.path} has no record of its accuracy to compare with")
    labels = _labels(model, points, seed, linear_power)
    predicted = model(labels.theta)
    result = {}
    for name in [name for name in predicted if name in records]:
        error = np.abs(predicted[name] / labels[name] - 1)
        result[name] = {
            "found": float(np.percentile(error, 95)),
            "recorded": records[name]["all"]["95"],
            "largest": float(error.max()),
        }
    return result


def _labels(model: OnnxEmulator, points: int, seed: int, linear_power: str | None) -> Any:
    """New labels of an emulator's own halo model, in its ranges."""
    from datagen.design import Design  # not needed to evaluate emulators
    from datagen.generate import generate
    from datagen.halomodel import HaloModelConfig
    from datagen.space import Space
    from datagen.store import Spectra

    choices = model.metadata["halo_model"]
    if linear_power:
        choices = choices | {"linear_power": linear_power}
    space = Space.from_dict(model.metadata["parameters"])
    config = HaloModelConfig.from_dict(choices)
    with TemporaryDirectory() as folder:
        return Spectra.read(
            generate(Path(folder) / "labels.h5", Design(points, seed=seed), space, config)
        )


def table(result: dict[str, dict[str, float]]) -> str:
    """The comparison, a line for each output."""
    lines = [
        "abs(P/P_true - 1) in percent",
        "output      95 % here   95 % on record   largest here",
    ]
    for name, errors in result.items():
        found, recorded, largest = (
            f"{100 * errors[which]:.3g}" for which in ("found", "recorded", "largest")
        )
        verdict = "" if _agrees(errors) else "  NOT AS RECORDED"
        lines.append(f"{name:11s} {found:11s} {recorded:16s} {largest}{verdict}")
    return "\n".join(lines)


def _agrees(errors: dict[str, float]) -> bool:
    return errors["found"] <= FACTOR * errors["recorded"]


def main(argv: list[str] | None = None) -> None:
    """Recompute random points with the true code, here, and compare with the record.

    The exit status is 1 if an error is much larger than recorded.
    """
    parser = argparse.ArgumentParser(prog="python -m export.verify", description=main.__doc__)
    parser.add_argument("emulator", help="file, or name of a shipped one (see export.info)")
    parser.add_argument("-n", "--points", type=int, default=100, help="how many points")
    parser.add_argument("--seed", type=int, default=0, help="seed of the points")
    parser.add_argument("--linear-power", choices=["table", "camb"],
                        help="camb runs CAMB at every point; by default as of old")  # fmt: skip

    def work(arguments: argparse.Namespace) -> int:
        result = verify(**vars(arguments))
        print(table(result))  # noqa: T201
        return int(not all(map(_agrees, result.values())))

    run(parser, work, argv)


if __name__ == "__main__":
    main()
