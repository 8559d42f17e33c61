"""Labels of a coarse halo model, right in kind but not converged, in a fraction of a second."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from datagen import generate as generate_module
from datagen.design import Design
from datagen.generate import generate
from datagen.halomodel import HaloModelConfig, KGrid
from datagen.space import BACKGROUND, Range, Space

ROOT = Path(__file__).resolve().parents[2]
SHARD = 50  # points, a fifth of what commands take: many shards in little time
generate_module.SHARD["table"] = SHARD

# one universe, seen at many redshifts and with many amplitudes and dark energies
SPACE = Space(
    Om_c=Range(0.25, 0.25),
    Om_b=Range(0.05, 0.05),
    h=Range(0.7, 0.7),
    n_s=Range(0.96, 0.96),
    sigma_8=Range(0.8, 0.9),
    w0=Range(-1.2, -0.8),
    wa=Range(-0.5, 0.5),
    z=Range(0.0, 1.0),
)
MODEL = HaloModelConfig(k=KGrid(points=4), panels=4, panel_nodes=4)


def make(out, points, space=SPACE, method="lhs", **options):
    """A label file."""
    return generate(out, Design(points, method), space, MODEL, **options)


def command_line(out, points, *more):
    """The command of `make`, for a process of its own."""
    config = out.with_suffix(".yaml")
    space = {name: asdict(SPACE[name]) for name in BACKGROUND}  # and any galaxies
    config.write_text(json.dumps({"space": space, "model": asdict(MODEL)}))
    main = f"from datagen import generate as g; g.SHARD['table'] = {SHARD}; g.main()"
    command = [sys.executable, "-c", main, "--config", str(config)]
    return [*command, "--out", str(out), "--design.points", str(points), *more]


def start(command):
    """A process of its own, its errors and progress bar to be read."""
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def shards_of(out):
    """The shards that lie on disk for a label file."""
    return sorted(out.with_name(out.name + ".shards").glob("[0-9]*.npz"))
