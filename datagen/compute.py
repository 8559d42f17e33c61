"""Compute spectra of points on any machine, with the reasons of failed points."""

import socket
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.linear_power import LinearPower
from datagen.record import maker
from datagen.request import LIBRARIES, MODULES
from datagen.shards import Shard, differences

__all__ = ["check_machine", "compute", "gather"]

Array = NDArray[np.float64]


def compute(
    theta: Array,
    *,
    model: HaloModelConfig,
    table: LinearPower | None,
    occupation: str = "linke22",
    made_by: dict[str, str] | None = None,
) -> tuple[Shard, dict[int, str]]:
    """Compute the spectra of points.

    Args:
        theta: Points, columns in the order of `datagen.space.parameters_of`, shape (N, P).
        model: Settings of the halo model.
        table: Linear power; None if the model runs CAMB at every point.
        occupation: Name of the occupation.
        made_by: If given, code and libraries that this machine must have; see
            `datagen.record.maker`.

    Returns:
        Arrays of `datagen.halomodel.HaloModel` of the points that could be computed, by name; and
        the reasons of the other points, by row.

    Raises:
        ValueError: This machine has other code or libraries.
    """
    if made_by:
        check_machine(made_by)
    halo_model = HaloModel(model, table, occupation)
    failed: dict[int, str] = {}
    try:
        rows = halo_model(theta)
    except Exception:  # one by one, so that a bad point does not cost the others
        rows, failed = gather([_attempt(halo_model, point) for point in theta])
    kept = np.setdiff1d(np.arange(len(theta)), list(failed))
    finite = np.ones(len(kept), dtype=bool)
    for name, array in rows.items():
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        failed |= {int(row): f"{name} is not finite" for row in kept[bad & finite]}
        finite &= ~bad
    return {name: array[finite] for name, array in rows.items()}, failed


def check_machine(made_by: dict[str, str]) -> None:
    """Check that this machine has the expected code and libraries.

    Raises:
        ValueError: It has others.
    """
    if differ := differences(maker(LIBRARIES, MODULES), made_by):
        raise ValueError(
            f"{socket.gethostname()} would compute labels of its own kind ({'; '.join(differ)}); "
            f"install on all machines of the cluster what this one has"
        )


def _attempt(halo_model: HaloModel, point: Array) -> Shard | str:
    """Spectra of one point, shape (P,), or the reason of its failure."""
    try:
        return halo_model(point[None])
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def gather(singles: Sequence[Shard | str]) -> tuple[Shard, dict[int, str]]:
    """Join points computed one by one: a shard of the successful ones, and reasons by row."""
    failed = {row: single for row, single in enumerate(singles) if isinstance(single, str)}
    good = [single for single in singles if not isinstance(single, str)]
    names = good[0] if good else ()
    return {name: np.concatenate([single[name] for single in good]) for name in names}, failed
