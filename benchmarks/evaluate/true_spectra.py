"""True spectra to test emulators: those of a label file, or new ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.design import Design
from datagen.fields import from_record
from datagen.generate import generate
from datagen.halomodel import HaloModelConfig
from datagen.outputs import output
from datagen.parallel import RayConfig
from datagen.shards import differences
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from export.runtime import OnnxEmulator

__all__ = ["Truth", "check_alike", "check_fits", "is_made_of", "true_spectra"]

# Numerical settings of the same physics; labels with finer ones are as good a test, or better.
NUMERICS = ("linear_power", "table_nodes", "panels", "panel_nodes")


@dataclass(frozen=True)
class Truth:
    """True spectra at points that none of the tested emulators was trained on.

    Attributes:
        labels: The points and their spectra.
        source: Their origin, as stored in results: ``file`` (empty for new points), ``sha256``,
            ``design``, ``model``, and numbers of points: ``points``; ``unseen``, those that no
            emulator was trained on; ``not_positive``, those left out of the unseen because a
            spectrum is not positive; and ``refused``, those left out of the rest because they lie
            outside an emulator's domain.
    """

    labels: Spectra
    source: dict[str, Any]

    @property
    def space(self) -> Space:
        """Ranges of the points, equal to those of the emulators."""
        return Space.from_dict(self.labels.metadata["space"])

    def shared(self, model: OnnxEmulator) -> list[str]:
        """Outputs of an emulator with true values in the labels."""
        return [name for name in model.outputs if _stored(name) <= set(self.labels.arrays)]


def true_spectra(
    models: Sequence[OnnxEmulator],
    data: Path | None = None,
    points: int = 1000,
    seed: int = 7,
    ray: RayConfig = RayConfig(),
) -> Truth:
    """Return true spectra for emulators of one box and halo model.

    Of labels that one of the emulators was trained on, only the test split is used.

    Args:
        models: The emulators.
        data: Label file; default: new points in the emulators' own ranges and sampling, computed
            with their own halo model.
        points: Number of new points.
        seed: Seed of the new points.
        ray: Settings of Ray, which computes the new points.

    Raises:
        ValueError: Emulators or labels that differ in halo model, ranges or wavenumbers; no unseen
            points, or none where all spectra are positive.
    """
    check_alike(models)
    if data:
        return _choose(models, data, str(data))
    for model in models:  # check before computing
        _check_design(model, asdict(Design(points, seed=seed)), f"seed = {seed}")
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
    read = [n for n in outputs if not output(n).is_number or n in there.unread]
    labels = Spectra.read(path, read)
    unseen = labels.select(rows)
    spectra = [n for n in outputs if output(n).correlation and _stored(n) <= set(labels.arrays)]
    positive = np.flatnonzero(unseen.is_positive(spectra)) if spectra else np.arange(len(rows))
    answered = np.all([model.is_inside(unseen.theta[positive]) for model in models], axis=0)
    if not len(positive):
        raise ValueError(
            f"at none of {len(unseen)} points of {name} are all of {', '.join(spectra)} positive, "
            f"so errors are undefined; choose other labels"
        )
    source = {
        "file": name if file is None else file,
        "sha256": there.hash(),
        "design": there.metadata["design"],
        "model": there.metadata["model"],
        "points": len(there),
        "unseen": len(unseen),
        "not_positive": len(unseen) - len(positive),
        "refused": int((~answered).sum()),  # outside the domain of an emulator
    }
    return Truth(unseen.select(positive[answered]), source)


def _stored(name: str) -> set[str]:
    """Arrays of a label file that an output consists of."""
    return set(output(name).terms or (name,))


def is_made_of(model: OnnxEmulator, labels: Spectra) -> bool:
    """Whether an emulator was trained on these labels, or selected with them."""
    return any(one["labels"]["sha256"] == labels.hash() for one in _sources(model))


def _sources(model: OnnxEmulator) -> list[dict[str, Any]]:
    """Provenances with labels, of an emulator and of those merged into it."""
    made = model.metadata["provenance"]
    return [one for one in (made, *made.get("merged", ())) if "labels" in one]


def _unseen_rows(model: OnnxEmulator, labels: Spectra, name: str) -> NDArray[np.intp]:
    """Rows of labels that an emulator has not seen: its test split, or all of other labels."""
    rows = np.arange(len(labels))
    for made in _sources(model):
        if made["labels"]["sha256"] == labels.hash():
            split = from_record(Split, made["training"]["split"], f"{model.path}: split")
            rows = np.intersect1d(rows, split.rows(len(labels), "test"))
        else:
            _check_design(model, labels.metadata["design"], name)
    return rows


def _check_design(model: OnnxEmulator, design: dict[str, Any], name: str) -> None:
    """Refuse a different file with the points that an emulator was trained on."""
    if any(made["labels"]["design"] == design for made in _sources(model)):
        raise ValueError(
            f"{name} has points that {model.path} was trained on; make labels with another seed"
        )


def check_alike(models: Sequence[OnnxEmulator]) -> None:
    """Check that emulators can be tested with the same labels.

    Raises:
        ValueError: Different halo models, ranges or wavenumbers.
    """
    first = models[0]
    for other in models[1:]:
        both = _judged_by(first), _judged_by(other)
        if reason := _differ(*both) or _differ(*reversed(both)):
            raise ValueError(
                f"{other.path} has {reason[0]} than {first.path} ({reason[1]}); only emulators "
                f"of one halo model, one box and one set of wavenumbers can be compared"
            )


def check_fits(model: OnnxEmulator, labels: Spectra, name: str, any_k: bool = False) -> None:
    """Check that labels can test an emulator.

    Args:
        model: The emulator.
        labels: The labels.
        name: Name of the labels in messages.
        any_k: Allow other wavenumbers.

    Raises:
        ValueError: Labels of another halo model, ranges or wavenumbers.
    """
    space, choices = labels.metadata["space"], labels.metadata["model"]
    k = model.k if any_k else labels.k
    if reason := _differ(_judged_by(model), (choices, space, k)):
        raise ValueError(
            f"{name} has {reason[0]} than {model.path} ({reason[1]}); choose labels like those "
            f"that the emulator was trained on"
        )


_Choices = tuple[dict[str, Any], dict[str, Any], NDArray[np.float64]]


def _judged_by(model: OnnxEmulator) -> _Choices:
    """Properties that labels must share with an emulator: halo model, ranges, wavenumbers."""
    return model.metadata["halo_model"], model.metadata["parameters"], model.k


def _differ(mine: _Choices, theirs: _Choices) -> tuple[str, str] | None:
    """Name and details of the first difference; None if there is none."""
    if mine[1].keys() != theirs[1].keys():
        of, own = (Space.from_dict(choices[1]).occupation for choices in (theirs, mine))
        return "other galaxies", f"{of}, not {own}; of semi-analytic ones, occupation chooses them"
    physics, my_physics = (
        {key: value for key, value in choices.items() if key not in (*NUMERICS, "k")}
        for choices, _, _ in (theirs, mine)
    )
    wider = {
        name: f"[{one['low']:g}, {one['high']:g}]"
        for name, one in theirs[1].items()
        if one["low"] < mine[1][name]["low"] or one["high"] > mine[1][name]["high"]
    }  # with any sampling
    k, other = mine[2], theirs[2]
    same_k = len(k) == len(other) and np.allclose(k, other)
    for what, differ in (
        ("another halo model", differences(physics, my_physics)),
        ("wider ranges", [f"{name} {ends}" for name, ends in wider.items()]),
        ("other wavenumbers", [] if same_k else [f"{_grid(other)}, not {_grid(k)}"]),
    ):
        if differ:
            return what, "; ".join(differ)
    return None


def _grid(k: NDArray[np.float64]) -> str:
    return f"{len(k)} from {k[0]:g} to {k[-1]:g} 1/Mpc"
