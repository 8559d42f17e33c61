"""Spectra of some points, on whatever machine, and why some could not be computed."""

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
    """Spectra of some points, and the reason for every row that could not be computed.

    Args:
        theta: The points, columns `datagen.space.parameters_of` the occupation, shape (N, P).
        model: The halo model.
        table: Its linear power; None if it runs CAMB.
        occupation: Numbers of galaxies in haloes, by name.
        made_by: What the labels are to be made by; this machine may have something else.

    Raises:
        ValueError: It has.
    """
    if made_by:
        check_machine(made_by)
    halo_model = HaloModel(model, table, occupation)
    failed: dict[int, str] = {}
    try:
        rows = halo_model(theta)
    except Exception:  # find out which of the points it was; a bad point must not cost the rest
        rows, failed = gather([_attempt(halo_model, point) for point in theta])
    kept = np.setdiff1d(np.arange(len(theta)), list(failed))
    finite = np.ones(len(kept), dtype=bool)
    for name, array in rows.items():
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        failed |= {int(row): f"{name} is not finite" for row in kept[bad & finite]}
        finite &= ~bad
    return {name: array[finite] for name, array in rows.items()}, failed


def check_machine(made_by: dict[str, str]) -> None:
    """Refuse to compute on a machine that has other code or libraries than it is to be done by."""
    if differ := differences(maker(LIBRARIES, MODULES), made_by):
        raise ValueError(
            f"{socket.gethostname()} would compute labels of its own kind ({'; '.join(differ)}); "
            f"install on all machines of the cluster what this one has"
        )


def _attempt(halo_model: HaloModel, point: Array) -> Shard | str:
    """Spectra of one point, shape (P,), or the reason why there are none."""
    try:
        return halo_model(point[None])
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def gather(singles: Sequence[Shard | str]) -> tuple[Shard, dict[int, str]]:
    """One shard from points computed one by one, and the reasons among them by row."""
    failed = {row: single for row, single in enumerate(singles) if isinstance(single, str)}
    good = [single for single in singles if not isinstance(single, str)]
    names = good[0] if good else ()
    return {name: np.concatenate([single[name] for single in good]) for name in names}, failed
