"""Speed of the labels compared with pyccl's own halo model: ``hodspectra label-speed``."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyccl
from numpy.typing import NDArray

from benchmarks.codes import timing
from benchmarks.codes.pyccl_model import PycclHaloModel
from benchmarks.codes.timing import on_one_core, seconds_per_point
from benchmarks.study import Study
from datagen.design import Design, draw
from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.power import linear_power
from datagen.space import Range, Space

__all__ = ["SPACE", "STUDY", "agree", "draw_points", "label_speed", "models", "render"]

Array = NDArray[np.float64]
Models = dict[str, Callable[[Array], dict[str, Array]]]

# the default space, without thresholds that pyccl's grid of masses does not resolve
SPACE = Space(sigma=Range(0.1, 1.0))
AGREEMENT = 3e-3  # for every spectrum: 1e-3 from the integrals, 2e-3 from the linear power table


def draw_points(number: int, seed: int = 1) -> Array:
    """Draw points of the timed space.

    Args:
        number: Number of points N.
        seed: Seed of the points.

    Returns:
        Points, shape (N, P).
    """
    return draw(Design(points=number, seed=seed), SPACE)


def models() -> Models:
    """Codes that compute all six terms at converged accuracy, by name.

    The table of linear power is not timed: it is computed once for all points of a space.
    """
    model = HaloModelConfig()
    table = linear_power(model, Space())
    peer = PycclHaloModel(model)
    return {"ours": HaloModel(model, table), "pyccl": peer, "pyccl, lean": partial(_lean, peer)}


def _lean(peer: PycclHaloModel, theta: Array) -> dict[str, Array]:
    """Pyccl's model with sigma(M) at 6 scale factors, enough for z = 0, rather than 19."""
    pyccl.spline_params.A_SPLINE_NA_SM, pyccl.spline_params.A_SPLINE_NLOG_SM = 4, 2
    try:
        return peer(theta)
    finally:
        pyccl.spline_params.reload()


def agree(codes: Models, theta: Array) -> None:
    """Check that codes agree, and that each uses one core, before they are timed.

    Raises:
        ValueError: Spectra that differ by more than the tolerance; more than one thread.
    """
    first, *others = codes
    truth = on_one_core(first, partial(codes[first], theta))
    for other in others:
        timing.agree(other, codes[other], theta, truth, AGREEMENT)


def label_speed(points: int = 16, seed: int = 1) -> dict[str, Any]:
    """Time the labels and pyccl's halo model on the same points, on one core each.

    Both start from the ten parameters, with a new cosmology at every point, and return the six
    terms. The table of linear power is not timed.

    Args:
        points: Number of points per round.
        seed: Seed of the points.
    """
    theta, codes = draw_points(points, seed), models()
    agree(codes, theta)
    seconds = {
        name: seconds_per_point(partial(code, theta), points) for name, code in codes.items()
    }
    return {
        "seconds_per_point": seconds,
        "points": points,
        "threads": 1,
        "agreement": AGREEMENT,
    }


def render(result: dict[str, Any]) -> str:
    """Format the times, and the ratios to the slowest one, as Markdown."""
    times = {name: seconds["median"] for name, seconds in result["seconds_per_point"].items()}
    lines = ["| all six terms, one core | ms a point | times faster |", "|---|---|---|"]
    for name, seconds in times.items():
        lines.append(f"| {name} | {1e3 * seconds:.2f} | {max(times.values()) / seconds:.0f} |")
    return "\n".join(lines)


STUDY = Study("label_speed", label_speed, render)
main = STUDY.main

if __name__ == "__main__":
    main()
