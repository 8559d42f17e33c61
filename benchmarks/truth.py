"""The truth that emulators are judged by: a label file that fits, or points drawn anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.design import Design
from datagen.generate import generate
from datagen.halomodel import CORRELATIONS, DERIVED, HaloModelConfig
from datagen.parallel import RayConfig
from datagen.shards import differences
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from export.runtime import OnnxEmulator

__all__ = ["Truth", "check_fits", "is_made_of", "true_spectra"]

# How exactly the same spectra are computed; finer labels are as good a judge, or a better one.
NUMERICS = ("linear_power", "table_nodes", "panels", "panel_nodes")


@dataclass(frozen=True)
class Truth:
    """True spectra at points that none of the judged emulators has seen.

    Attributes:
        labels: The points and their spectra.
        source: Where they come from, as stored in results: ``file`` (empty if drawn anew),
            ``sha256``, ``design``, ``model``, and the numbers of points: ``points``, ``unseen``
            (the test split, where an emulator was trained on others of them) and
            ``not_positive``, those left out of these because there P has no ratio.
    """

    labels: Spectra
    source: dict[str, Any]

    @property
    def space(self) -> Space:
        """Ranges of the points, which are those of the emulators."""
        return Space.from_dict(self.labels.metadata["space"])

    def shared(self, model: OnnxEmulator) -> list[str]:
        """Outputs of an emulator that there is a truth for."""
        return [name for name in model.outputs if _stored(name) <= set(self.labels.arrays)]


def true_spectra(
    models: Sequence[OnnxEmulator],
    data: Path | None = None,
    points: int = 1000,
    seed: int = 7,
    ray: RayConfig = RayConfig(),
) -> Truth:
    """The truth for emulators of one box and halo model.

    Of labels that one of them was trained on, its test split is taken.

    Args:
        models: The emulators.
        data: A label file; without one, points are drawn in the emulators' own ranges and
            sampling, and computed with their own halo model.
        points: How many points are drawn.
        seed: Seed of the points.
        ray: Where they are computed.

    Raises:
        ValueError: Labels of another halo model, other ranges or wavenumbers, or none unseen.
    """
    if data:
        return _choose(models, data, str(data))
    config = HaloModelConfig.from_dict(models[0].metadata["halo_model"])
    space = Space.from_dict(models[0].metadata["parameters"])
    with TemporaryDirectory() as folder:
        path = generate(Path(folder) / "labels.h5", Design(points, seed=seed), space, config, ray)
        return _choose(models, path, f"a drawn set of {points} points (seed {seed})", file="")


def _choose(
    models: Sequence[OnnxEmulator], path: Path, name: str, file: str | None = None
) -> Truth:
    there = Spectra.read(path, ())
    for model in models:
        check_fits(model, there, name)
    rows = reduce(np.intersect1d, [_unseen_rows(model, there, name) for model in models])
    if not len(rows):
        raise ValueError(f"no point of {name} is unseen by every emulator; draw others")
    outputs = dict.fromkeys(n for model in models for n in model.outputs)
    labels = Spectra.read(path, [n for n in outputs if n not in DERIVED or n in there.unread])
    unseen = labels.select(rows)
    spectra = [n for n in outputs if n[:2] in CORRELATIONS and _stored(n) <= set(labels.arrays)]
    positive = np.flatnonzero(unseen.is_positive(spectra)) if spectra else np.arange(len(rows))
    source = {
        "file": name if file is None else file,
        "sha256": there.hash(),
        "design": there.metadata["design"],
        "model": there.metadata["model"],
        "points": len(there),
        "unseen": len(unseen),
        "not_positive": len(unseen) - len(positive),
    }
    return Truth(unseen.select(positive), source)


def _stored(name: str) -> set[str]:
    """The arrays of a label file behind an output."""
    xy, _, term = name.partition("_")
    return {f"{xy}_1h", f"{xy}_2h"} if term == "total" else {name}


def is_made_of(model: OnnxEmulator, labels: Spectra) -> bool:
    """Whether these are labels that an emulator was trained on, or chosen by."""
    return any(one["labels"]["sha256"] == labels.hash() for one in _sources(model))


def _sources(model: OnnxEmulator) -> list[dict[str, Any]]:
    """How an emulator, and others that were merged into it, were made, where that is known."""
    made = model.metadata["provenance"]
    return [one for one in (made, *made.get("merged", ())) if "labels" in one]


def _unseen_rows(model: OnnxEmulator, labels: Spectra, name: str) -> NDArray[np.intp]:
    """Rows of labels that an emulator has not seen: its test split, or all of foreign labels."""
    rows = np.arange(len(labels))
    for made in _sources(model):
        if made["labels"]["sha256"] == labels.hash():
            split = Split(**made["training"]["split"])
            rows = np.intersect1d(rows, split.rows(len(labels), "test"))
        elif made["labels"]["design"] == labels.metadata["design"]:
            raise ValueError(
                f"{name} has points that {model.path} was made of; make labels with another seed"
            )
    return rows


def check_fits(model: OnnxEmulator, labels: Spectra, name: str) -> None:
    """Refuse labels that say nothing of an emulator.

    Raises:
        ValueError: Labels of another halo model, ranges or wavenumbers.
    """
    mine, theirs = (
        {key: value for key, value in choices.items() if key not in (*NUMERICS, "k")}
        for choices in (model.metadata["halo_model"], labels.metadata["model"])
    )
    same_k = len(model.k) == len(labels.k) and np.allclose(model.k, labels.k)
    box, trained = (
        {name: {end: one[end] for end in ("low", "high")} for name, one in ranges.items()}
        for ranges in (labels.metadata["space"], model.metadata["parameters"])
    )  # however the points were drawn in it
    for what, differ in (
        ("halo model", differences(theirs, mine)),
        ("ranges", differences(box, trained)),
        ("wavenumbers", [] if same_k else [f"{_grid(labels.k)}, not {_grid(model.k)}"]),
    ):
        if differ:
            raise ValueError(
                f"{name} is of another {what} than {model.path} ({'; '.join(differ)}); choose "
                f"labels like those that the emulator was made of"
            )


def _grid(k: NDArray[np.float64]) -> str:
    return f"{len(k)} from {k[0]:g} to {k[-1]:g} 1/Mpc"
