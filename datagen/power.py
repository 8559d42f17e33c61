"""Linear power of a halo model: from the table of the package, from the cache, or from CAMB.

``python -m datagen.power`` makes the table of the package.
"""

import json
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datagen.cli import run
from datagen.compute import check_machine
from datagen.files import cache_directory
from datagen.halomodel import HaloModelConfig
from datagen.header import read_arrays, write_arrays
from datagen.linear_power import LinearPowerTable, TableBox
from datagen.parallel import RayConfig, ray_map, ray_session
from datagen.record import maker
from datagen.request import LIBRARIES, MODULES
from datagen.shards import Shards, remove_shards
from datagen.space import Range, Space

__all__ = [
    "SHIPPED",
    "WIDE",
    "linear_power",
    "make_shipped",
    "run_camb",
    "run_node",
    "shipped_table",
]

Array = NDArray[np.float64]

SCHEMA = "hodspectra-table-3"
SHIPPED = Path(__file__).with_name("linear_power.npz")
WIDE = Space(Om_c=Range(0.1, 0.6), Om_b=Range(0.028, 0.07), h=Range(0.55, 0.91))


def linear_power(
    model: HaloModelConfig, space: Space, ray: RayConfig = RayConfig()
) -> LinearPowerTable | None:
    """Return the linear power of a halo model on a parameter space.

    The table of the package covers any space inside of `WIDE`. Other spaces, CAMB accuracies or
    nodes need a new table, which is cached: three seconds per CAMB run. After an interruption,
    only the missing runs are made.

    Args:
        model: Settings of the halo model.
        space: Box of the parameters.
        ray: Where CAMB runs, if a new table is needed.

    Returns:
        The linear power, or None if the model runs CAMB at every point.
    """
    if model.linear_power == "camb":
        return None
    box = TableBox.of(space, model.camb, model.table_nodes)
    if model.table_nodes is None:
        shipped = shipped_table()
        if shipped is not None and shipped.box.covers(box):
            return shipped
    return LinearPowerTable(box, _cached_nodes(box, ray))


@lru_cache
def shipped_table() -> LinearPowerTable | None:
    """Return the table of the package; None if this version would make a different one."""
    box = TableBox.of(WIDE)
    content = read_arrays(SHIPPED, SCHEMA)
    if content is None or json.loads(str(content["request"])) != box.request():
        return None
    return LinearPowerTable(box, content["nodes"])


def make_shipped(out: Path = SHIPPED, ray: RayConfig = RayConfig()) -> Path:
    """Make the table of the package: 112 CAMB runs, five minutes on one core.

    Args:
        out: File to write.
        ray: Where CAMB runs.

    Returns:
        Path of the file.
    """
    box = TableBox.of(WIDE)
    content = {
        "nodes": _cached_nodes(box, ray).astype(np.float32),  # rounding of ln P: 2e-6
        "request": json.dumps(box.request()),
        "made_by": json.dumps({"camb": version("camb")}),
    }
    write_arrays(out, SCHEMA, content)
    return out


def _cached_nodes(box: TableBox, ray: RayConfig) -> Array:
    """Rows of `TableBox.node` at the nodes of a box, shape (N, `Layout.width`)."""
    path = cache_directory() / f"linear-power-{box.key}.npz"
    folder, request = path.with_suffix(".shards"), {"table": box.key}
    cached = read_arrays(path, SCHEMA)  # None if damaged, too
    if cached is None:
        with ray_session(ray):
            cached = {"nodes": run_camb(box, Shards(folder, request, discard=True))}
        write_arrays(path, SCHEMA, cached)
    remove_shards(folder, request)
    nodes: Array = cached["nodes"]
    return nodes


def run_camb(box: TableBox, shards: Shards) -> Array:
    """Run CAMB at the nodes of a box, and write each result to a shard at once.

    Args:
        box: Ranges and nodes of the table.
        shards: Results of an interrupted run; nodes found there are not run again.

    Returns:
        Rows of `TableBox.node`, shape (N, `Layout.width`).

    Raises:
        ChildProcessError: CAMB kills its process at a node.
    """
    points = box.points()
    done = {i: shard[0]["ln_P"] for i in range(len(points)) if (shard := shards.read(i))}
    todo = [i for i in range(len(points)) if i not in done]
    work = partial(run_node, box=box, made_by=maker(LIBRARIES, MODULES))
    runs = ray_map(
        work, [points[i] for i in todo], label="CAMB for P_lin", unit="run", done=len(done)
    )
    for i, ln_P in runs:
        if isinstance(ln_P, ChildProcessError):
            raise ChildProcessError(f"CAMB for P_lin, node {todo[i]}: {ln_P}")
        shards.write(todo[i], {"ln_P": ln_P}, {})
        done[todo[i]] = ln_P
    return np.array([done[i] for i in range(len(points))])


def run_node(point: Array, *, box: TableBox, made_by: dict[str, str]) -> Array:
    """Run CAMB at one node, after checking that this machine has the same code."""
    check_machine(made_by)
    return box.node(point)


def main(argv: list[str] | None = None) -> None:
    """Command line of `make_shipped`."""
    run(make_shipped, "python -m datagen.power", argv)


if __name__ == "__main__":
    main()
