"""Tasks of a search: training of a network, fine-tuning, or fit of a semi-analytic emulator."""

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from lightning.pytorch.callbacks import Callback

from datagen.fields import from_record
from datagen.halomodel import HaloModelConfig
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.data import SpectraData
from emulator.emulator import Emulator, NetworkEmulator, SemiAnalyticEmulator
from emulator.finetune import FinetuneConfig, continue_training
from emulator.record import largest_quantile, make_record
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import SemiAnalyticConfig
from emulator.semianalytic.fit import FitConfig, covering, halo_model_units
from emulator.semianalytic.grid import MassGrid
from emulator.train import TrainConfig, fit, make_emulator
from emulator.train_semianalytic import of_labels
from tuning.space import FinetuneSpace, Ranges, SearchSpace, SemiAnalyticSpace

__all__ = ["OBJECTIVES", "FinetuneTask", "NetworkTask", "SemiAnalyticTask", "Task", "quality"]

OBJECTIVES = ("val_loss", "p95", "p99")
_BATCH = 4096

History = dict[str, Any]
E = TypeVar("E", bound=Emulator)


def quality(emulator: NetworkEmulator, data: SpectraData) -> dict[str, float]:
    """Return the `OBJECTIVES` of a network on the validation split.

    ``val_loss`` is the mean squared error of the standardised ln P; ``p95`` and ``p99`` are
    percentiles of abs(P/P_true - 1) over points and k, the largest of all spectra.
    """
    x, target = data.validation.tensors
    with torch.inference_mode():
        y = torch.cat([emulator.standardised(batch) for batch in x.split(_BATCH)])
    difference = y - target
    errors = torch.expm1(difference * emulator.targets.std).abs()
    errors = errors.transpose(0, 1).flatten(1)  # (N, O, K) -> (O, N K)
    found = {"val_loss": float(difference.square().mean())}
    for name, q in (("p95", 0.95), ("p99", 0.99)):
        rank = max(1, round(q * errors.shape[1]))
        found[name] = float(errors.kthvalue(rank, dim=1).values.max())
    return found


@dataclass(frozen=True)
class Task(ABC, Generic[E]):
    """Base class of tasks; a task is sent to Ray's workers as one object.

    Attributes:
        spectra: Labels; the test split is not used.
    """

    spectra: Spectra

    @property
    @abstractmethod
    def ranges(self) -> Ranges:
        """Search space."""

    @property
    @abstractmethod
    def longest(self) -> tuple[str, float] | None:
        """Measure of a trial's progress and its maximum; None for trials that cannot be stopped.

        The measure is ``progress``, the completed fraction of the schedule, or ``epochs``.
        """

    @abstractmethod
    def fit(
        self, point: dict[str, Any], callbacks: tuple[Callback, ...], resume: Path | None
    ) -> tuple[E, History]:
        """Train the emulator of a point.

        Args:
            point: Hyperparameters by name.
            callbacks: Lightning callbacks.
            resume: Checkpoint to resume from, if it exists.

        Returns:
            The emulator with its record, and the history of the training.
        """

    @abstractmethod
    def quality(self, emulator: E) -> dict[str, float]:
        """Return the `OBJECTIVES` of an emulator on the validation split."""

    @abstractmethod
    def describe(self, emulator: E, point: dict[str, Any]) -> E:
        """Add the record to an emulator whose training was stopped before its end.

        Args:
            emulator: Emulator of the trial.
            point: Hyperparameters by name.
        """


class TrainingTask(Task[NetworkEmulator]):
    """Task that trains on the labels, epoch by epoch."""

    @abstractmethod
    def settings(self, point: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the settings of the training of a point, or those common to all points.

        Args:
            point: Hyperparameters by name; None for the common settings.
        """

    def data(self, emulator: NetworkEmulator) -> SpectraData:
        """Return the training and validation splits in the scalings of an emulator."""
        settings = self.settings()
        data = SpectraData(
            self.spectra,
            emulator.spec.outputs,
            from_record(Split, settings["split"], "split"),
            batch_size=1,
            negative=settings["negative"],
        )
        data.prepare(emulator)
        return data

    def quality(self, emulator: NetworkEmulator) -> dict[str, float]:
        """See `Task`."""
        return quality(emulator, self.data(emulator))

    def describe(self, emulator: NetworkEmulator, point: dict[str, Any]) -> NetworkEmulator:
        """See `Task`."""
        data = self.data(emulator)
        parts = {"train": data.train_spectra, "validation": data.validation_spectra}
        make_record(emulator, self.spectra, parts, self.settings(point), dropped=data.dropped)
        return emulator


@dataclass(frozen=True)
class NetworkTask(TrainingTask):
    """Training of a network.

    Attributes:
        base: All settings, except for those in the space.
        space: Ranges of the hyperparameters.

    Raises:
        ValueError: Batches may be larger than the training split, or there are more components
            than values.
    """

    base: TrainConfig
    space: SearchSpace

    def __post_init__(self) -> None:
        points = len(self.base.split.rows(len(self.spectra), "train"))
        if self.space.batch_size[1] > points:
            raise ValueError(
                f"space.batch_size reaches {self.space.batch_size[1]}, but only {points} points "
                f"train; lower it or generate more labels"
            )
        for number in filter(None, self.space.components):
            network = replace(self.base.network, components=number)
            make_emulator(self.spectra, replace(self.base, network=network))  # raises if too many

    @property
    def ranges(self) -> SearchSpace:
        """See `Task`."""
        return self.space

    @property
    def longest(self) -> tuple[str, float]:
        """See `Task`."""
        return "progress", 1.0

    def settings(self, point: dict[str, Any] | None = None) -> dict[str, Any]:
        """See `Task`."""
        return (self.space.apply(point, self.base) if point else self.base).as_dict()

    def fit(
        self, point: dict[str, Any], callbacks: tuple[Callback, ...], resume: Path | None
    ) -> tuple[NetworkEmulator, History]:
        """See `Task`."""
        config = self.space.apply(point, self.base)
        return fit(self.spectra, config, callbacks=callbacks, resume=resume)


@dataclass(frozen=True)
class FinetuneTask(TrainingTask):
    """Fine-tuning of a trained emulator.

    Attributes:
        emulator: Emulator to improve.
        base: All settings, except for those in the space.
        space: Ranges of the hyperparameters.
    """

    emulator: NetworkEmulator
    base: FinetuneConfig
    space: FinetuneSpace

    @property
    def ranges(self) -> FinetuneSpace:
        """See `Task`."""
        return self.space.of(len(self.data(self.emulator).train_spectra))

    @property
    def longest(self) -> tuple[str, float]:
        """See `Task`."""
        return "epochs", self.space.epochs[1]

    def settings(self, point: dict[str, Any] | None = None) -> dict[str, Any]:
        """See `Task`."""
        trained: dict[str, Any] = dict(self.emulator.spec.provenance["training"])
        if point:
            trained["finetune"] = asdict(self.space.apply(point, self.base))
        return trained

    def fit(
        self, point: dict[str, Any], callbacks: tuple[Callback, ...], resume: Path | None
    ) -> tuple[NetworkEmulator, History]:
        """See `Task`."""
        model = deepcopy(self.emulator)
        config = self.space.apply(point, self.base)
        tuning = continue_training(model, self.spectra, config, callbacks=callbacks, resume=resume)
        return self.describe(model, point), {"epochs": tuning.epochs}


@dataclass(frozen=True)
class SemiAnalyticTask(Task[SemiAnalyticEmulator]):
    """Fit of a semi-analytic emulator.

    Attributes:
        space: Ranges of the hyperparameters.
        fitting: Settings of all fits.
        split: Sizes of the splits of the labels.

    Raises:
        ValueError: The halo model has no such emulator, or a grid does not cover its box.
    """

    space: SemiAnalyticSpace
    fitting: FitConfig
    split: Split

    def __post_init__(self) -> None:
        for nodes, end in product(self.space.nodes, self.space.end):
            halo_model_units(*self._halo_model, self._grid(nodes, end))  # raises if not covered

    @property
    def _halo_model(self) -> tuple[HaloModelConfig, Space]:
        metadata = self.spectra.metadata
        return HaloModelConfig.from_dict(metadata["model"]), Space.from_dict(metadata["space"])

    def _grid(self, nodes: int, end: float) -> MassGrid:
        return covering(*self._halo_model, nodes, end)

    @property
    def ranges(self) -> SemiAnalyticSpace:
        """See `Task`."""
        return self.space

    @property
    def longest(self) -> None:
        """None: a fit has no steps at which it could be stopped."""

    def config(self, point: dict[str, Any]) -> SemiAnalyticConfig:
        """Return the settings of a point."""
        size = CosmologyConfig(units=point["units"], rank=point["rank"])
        return SemiAnalyticConfig(self._grid(point["nodes"], point["end"]), size)

    def fit(
        self, point: dict[str, Any], callbacks: tuple[Callback, ...], resume: Path | None
    ) -> tuple[SemiAnalyticEmulator, History]:
        """See `Task`; a fit has no callbacks and no checkpoint."""
        emulator = of_labels(self.spectra, self.config(point), self.fitting, self.split)
        return emulator, {"epochs": [], "seconds": emulator.spec.provenance["seconds"]}

    def quality(self, emulator: SemiAnalyticEmulator) -> dict[str, float]:
        """See `Task`; taken from the emulator's record."""
        loss = emulator.spec.record["standardised"]["validation"]["mse"]
        p95, p99 = (largest_quantile(emulator.spec, q) for q in ("95", "99"))
        return {"val_loss": loss, "p95": p95, "p99": p99}

    def describe(
        self, emulator: SemiAnalyticEmulator, point: dict[str, Any]
    ) -> SemiAnalyticEmulator:
        """See `Task`; the emulator has its record already, since no fit is stopped."""
        return emulator
