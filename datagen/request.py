"""Requests of labels: whether a label file answers a request, or can be extended to it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.halomodel import HaloModelConfig
from datagen.header import check_replaceable
from datagen.record import maker
from datagen.shards import differences
from datagen.space import Space
from datagen.store import SCHEMA, Spectra

__all__ = [
    "LIBRARIES",
    "MODULES",
    "answers",
    "extension",
    "known_points",
    "labels_request",
    "other_makers",
    "request_of",
    "standing_labels",
]

LIBRARIES = ("numpy", "scipy", "pyccl", "camb")  # libraries that labels depend on
MODULES = ("datagen.generate",)  # modules of this package that labels depend on
_ASKED = ("design", "space", "model")


def labels_request(design: dict[str, Any], space: Space, model: HaloModelConfig) -> dict[str, Any]:
    """Return everything that determines labels, as JSON types: settings, code and libraries.

    Args:
        design: Entries of a design, see `datagen.design.Points`.
        space: Box of the parameters.
        model: Settings of the halo model.
    """
    asked = {"design": design, "space": space.as_dict(), "model": asdict(model)}
    request: dict[str, Any] = json.loads(json.dumps(asked))
    return request | {"made_by": maker(LIBRARIES, MODULES)}


def request_of(labels: Spectra) -> dict[str, Any]:
    """Return the request that labels answer."""
    provenance = labels.metadata["provenance"]
    made_by = {name: provenance.get(name, "unknown") for name in maker(LIBRARIES, MODULES)}
    kept = {name: labels.metadata[name] for name in (*_ASKED, "extends") if name in labels.metadata}
    return kept | {"made_by": made_by}


def standing_labels(out: Path, overwrite: bool) -> Spectra | None:
    """Read the points of an existing label file, unless it is to be overwritten.

    Args:
        out: Label file that a command is to write.
        overwrite: Whether to replace it.

    Returns:
        Labels without arrays, after a check of the whole file; None if there are none to keep.

    Raises:
        FileExistsError: The file is not a label file.
        StoreError: The file is damaged.
    """
    if not out.exists():
        return None
    check_replaceable(out, SCHEMA, "label file", overwrite=True)
    return None if overwrite else Spectra.read(out, names=())


def answers(base: Spectra, request: dict[str, Any]) -> bool:
    """Return whether labels answer a request."""
    return not _differ(base, request)


def _differ(base: Spectra, request: dict[str, Any]) -> list[str]:
    have = request_of(base)
    return differences({n: have[n] for n in _ASKED}, {n: request[n] for n in _ASKED})


def other_makers(base: Spectra, request: dict[str, Any]) -> str:
    """Return a remark on labels of other code or libraries; empty if they are the same."""
    others = differences(request_of(base)["made_by"], request["made_by"])
    return f"; other code or libraries computed it ({'; '.join(others)})" if others else ""


def extension(out: Path, base: Spectra, request: dict[str, Any]) -> dict[str, Any]:
    """Return the entry ``extends`` of a request for more points of the same Sobol sequence.

    Args:
        out: Label file, for messages.
        base: Labels of the file.
        request: Request of the extended file.

    Raises:
        FileExistsError: The labels cannot be extended to the request, or are of other code.
    """
    have, design, differ = base.metadata["design"], request["design"], _differ(base, request)
    more = design.get("points", 0) > have.get("points", 0)
    if not (len(differ) == 1 and differ[0].startswith("design.points") and more):
        raise FileExistsError(
            f"{out} exists and has other settings ({'; '.join(differ)}); "
            f"pass --overwrite true or another --out"
        )
    if design.get("method") != "sobol":
        raise FileExistsError(
            f"{out} holds {have['points']} points of a Latin hypercube, which cannot be extended "
            f"(its points depend on their number); use design.method sobol, or make a second file "
            f"with another design.seed"
        )
    if others := other_makers(base, request):
        raise FileExistsError(
            f"{out} cannot be extended{others}; pass --overwrite true to recompute all of it, "
            f"or another --out"
        )
    earlier = {"extends": base.metadata["extends"]} if "extends" in base.metadata else {}
    return {**earlier, "points": have["points"], "sha256": base.hash()}


def known_points(out: Path, base: Spectra | None, theta: NDArray[np.float64]) -> int:
    """Return the number of points that are in the label file already, as its first rows.

    Raises:
        ValueError: The label file has other points than the design.
    """
    if base is None:
        return 0
    known: int = base.metadata["design"]["points"]
    if not np.array_equal(base.theta, np.delete(theta[:known], list(base.failed), axis=0)):
        raise ValueError(
            f"{out} cannot be extended: this version of scipy draws other points; "
            f"pass --overwrite true to compute all of them"
        )
    return known
