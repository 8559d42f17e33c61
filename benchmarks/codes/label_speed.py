"""Speed of the labels beside pyccl's own halo model: ``hodspectra labels``."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyccl
from numpy.typing import NDArray

from benchmarks.codes import timing
from benchmarks.codes.pyccl_model import PycclHaloModel
from benchmarks.codes.timing import on_one_core, seconds_per_point
from benchmarks.study import check_json
from datagen.cli import run
from datagen.design import Design, draw
from datagen.files import atomic
from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.power import linear_power
from datagen.record import provenance
from datagen.space import Range, Space

__all__ = ["SPACE", "agree", "contenders", "labels", "points", "render"]

Array = NDArray[np.float64]
Contenders = dict[str, Callable[[Array], dict[str, Array]]]

# the default space, but for thresholds that pyccl's even masses do not resolve
SPACE = Space(sigma=Range(0.1, 1.0))
AGREEMENT = 3e-3  # of every spectrum: both quadratures to 1e-3, linear power from the table to 2e-3


def points(number: int, seed: int = 1) -> Array:
    """The points to be computed, shape (number, P)."""
    return draw(Design(points=number, seed=seed), SPACE)


def contenders() -> Contenders:
    """What computes all six terms, by name, at converged accuracy.

    The table of linear power is part of neither: it is made once for all points of a space.
    """
    model = HaloModelConfig()
    table = linear_power(model, Space())
    peer = PycclHaloModel(model)
    return {"ours": HaloModel(model, table), "pyccl": peer, "pyccl, lean": partial(_lean, peer)}


def _lean(peer: PycclHaloModel, theta: Array) -> dict[str, Array]:
    """The same without what z = 0 alone does not need: sigma(M) at 6 scale factors, not 19."""
    pyccl.spline_params.A_SPLINE_NA_SM, pyccl.spline_params.A_SPLINE_NLOG_SM = 4, 2
    try:
        return peer(theta)
    finally:
        pyccl.spline_params.reload()


def agree(models: Contenders, theta: Array) -> None:
    """Let only those be timed that compute the same, each on one core.

    Raises:
        ValueError: Spectra that differ by more than the tolerance, or more than one thread.
    """
    first, *others = models
    truth = on_one_core(first, partial(models[first], theta))
    for other in others:
        timing.agree(other, models[other], theta, truth, AGREEMENT)


def labels(number: int = 16, out: Path | None = None) -> dict[str, Any]:
    """Time the labels and pyccl's halo model on the same points, one core each.

    Both start from the ten parameters, with a fresh cosmology at every point, and end at the six
    terms. The table of linear power is not timed.

    Args:
        number: Points that each computes per round.
        out: JSON file for the numbers.
    """
    check_json(out)
    theta, models = points(number), contenders()
    agree(models, theta)
    seconds = {
        name: seconds_per_point(partial(model, theta), number) for name, model in models.items()
    }
    result = {
        "seconds_per_point": seconds,
        "points": number,
        "threads": 1,
        "agreement": AGREEMENT,
        "environment": provenance(),
    }
    if out:
        with atomic(out) as unfinished:
            unfinished.write_text(json.dumps(result, indent=1))
    print(render(result))  # noqa: T201
    return result


def render(result: dict[str, Any]) -> str:
    """The times, and how many times faster than the slowest, as Markdown."""
    times = {name: seconds["median"] for name, seconds in result["seconds_per_point"].items()}
    lines = ["| all six terms, one core | ms a point | times faster |", "|---|---|---|"]
    for name, seconds in times.items():
        lines.append(f"| {name} | {1e3 * seconds:.2f} | {max(times.values()) / seconds:.0f} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line of `labels`."""
    run(labels, "python -m benchmarks.codes.label_speed", argv)


if __name__ == "__main__":
    main()
