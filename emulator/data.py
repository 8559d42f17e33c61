"""Training and validation data of networks: labels as tensors."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.domain import fit_domain, terms_of
from emulator.emulator import NetworkEmulator

__all__ = ["Dropped", "Negative", "SpectraData", "batches"]

Negative = Literal["refuse", "drop"]

_VALIDATION_BATCH = 4096


@dataclass(frozen=True)
class Dropped:
    """Points that were excluded from a training, since one of their spectra is not positive.

    The emulator is valid only in the part of its box without such points.

    Attributes:
        points: Number of excluded points in the training and validation splits.
        of: Number of all points in these splits.
        outputs: Numbers of points at which a spectrum is not positive, by its name; zeros are
            omitted.
        theta: All points of these splits, shape (N, P).
        kept: Whether each point was kept, shape (N,).
    """

    points: int
    of: int
    outputs: dict[str, int]
    theta: NDArray[np.float64] = field(repr=False, compare=False)
    kept: NDArray[np.bool_] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return numbers of points, and the remaining part of the box, as plain numbers and texts.

        If any points were excluded, the part of the box is fitted, which takes some seconds; see
        `emulator.domain.fit_domain`.
        """
        share = self.points / self.of
        found = {"points": self.points, "of": self.of, "share": share, "outputs": self.outputs}
        if not self.points:
            return found
        domain = fit_domain(self.theta, self.kept, terms_of(self.outputs))
        return {**found, "domain": domain.as_dict()}


def _ln(spectra: Spectra, outputs: tuple[str, ...]) -> Tensor:
    """Ln P [ln Mpc^3] of the named spectra, shape (N, O, K), float64."""
    targets = np.empty((len(spectra), len(outputs), len(spectra.k)))
    for i, name in enumerate(outputs):
        np.log(spectra[name], out=targets[:, i])
    return torch.from_numpy(targets)


def _positive(spectra: Spectra, outputs: tuple[str, ...], negative: Negative) -> NDArray[np.bool_]:
    """Whether all outputs of each point are positive, shape (N,); an error if they must be."""
    positive = spectra.is_positive(outputs)
    if negative == "refuse" and not positive.all():
        raise ValueError(
            f"{(~positive).sum()} of {len(spectra)} points, first row "
            f"{np.flatnonzero(~positive)[0]}, have values of {', '.join(outputs)} that are "
            f"not positive, so no logarithm (the g3lhalo model has negative gg 1-halo terms, "
            f"the standard model has none); train with --train.negative drop to leave these "
            f"points out"
        )
    return positive


def _check_fits(more: Spectra, spectra: Spectra) -> None:
    """Raise a ValueError if labels are of another halo model or leave the box of others."""
    if more.metadata["model"] != spectra.metadata["model"]:
        raise ValueError("more: further labels are of another halo model; leave them out")
    if list(more.metadata["space"]) != list(spectra.metadata["space"]):
        raise ValueError("more: further labels have other parameters; leave them out")
    Space.from_dict(spectra.metadata["space"]).check(more.theta)


class SpectraData(lightning.LightningDataModule):
    """Training and validation splits of labels as tensors; the test split is not used.

    Further labels, for corners of the box with few points, are added to the training data alone:
    the scalings are those of the training split, and validation knows nothing of them.

    All features and standardised targets are in memory, in float32, and a batch is one indexing
    operation.

    Args:
        spectra: All labels.
        outputs: Names of the spectra to learn.
        split: Sizes of the splits.
        batch_size: Number of rows of a training batch.
        negative: Treatment of points with a spectrum that is not positive: ``refuse`` or ``drop``.
        seed: Seed of the shuffling.
        more: Further labels for the training, of the same halo model and inside of the box.

    Attributes:
        changes: Whether the training data change from epoch to epoch.
        train_spectra: Labels of the training split.
        validation_spectra: Labels of the validation split.
        more_spectra: Further labels for the training.
        train: Features and standardised targets for the training, after `prepare`.
        validation: Features and standardised targets of the validation split, after `prepare`.
        dropped: Excluded points.

    Raises:
        ValueError: A spectrum is not positive and ``negative`` is ``refuse``, there are too few
            points to train or validate, or further labels do not fit the others.
    """

    changes: bool = False
    train: TensorDataset
    validation: TensorDataset

    def __init__(
        self,
        spectra: Spectra,
        outputs: tuple[str, ...],
        split: Split,
        batch_size: int,
        negative: Negative = "refuse",
        seed: int = 1,
        more: Sequence[Spectra] = (),
    ) -> None:
        super().__init__()
        self.batch_size, self.seed = batch_size, seed
        positive = _positive(spectra, outputs, negative)
        for one in more:
            _check_fits(one, spectra)
        self.more_spectra = [
            one.select(np.flatnonzero(_positive(one, outputs, negative))) for one in more
        ]
        rows = {part: split.rows(len(spectra), part) for part in ("train", "validation")}
        kept = {part: index[positive[index]] for part, index in rows.items()}
        seen = np.concatenate(list(rows.values()))
        negatives = {n: int((~spectra.is_positive([n])[seen]).sum()) for n in outputs}
        self.dropped = Dropped(
            points=int((~positive[seen]).sum()),
            of=len(seen),
            outputs={name: count for name, count in negatives.items() if count},
            theta=spectra.theta[seen],
            kept=positive[seen],
        )
        self.train_spectra = spectra.select(kept["train"])
        self.validation_spectra = spectra.select(kept["validation"])
        if len(self.train_spectra) < batch_size:
            raise ValueError(
                f"{len(self.train_spectra)} training points are fewer than "
                f"batch_size = {batch_size}; generate more or take smaller batches"
            )
        if not len(self.validation_spectra):
            raise ValueError("no point with logarithms is left to validate on; generate more")
        self._ln = [_ln(s, outputs) for s in (self.train_spectra, self.validation_spectra)]
        self._ln_more = [_ln(s, outputs) for s in self.more_spectra]

    def fit_scalings(self, emulator: NetworkEmulator) -> None:
        """Fit the scalings of an emulator to the training split."""
        emulator.fit_scalings(torch.tensor(self.train_spectra.theta), self._ln[0])

    def prepare(self, emulator: NetworkEmulator) -> None:
        """Make `train` and `validation` in the scalings of an emulator."""
        parts = [self._tensors(emulator, self.train_spectra, self._ln[0])]
        for one, ln in zip(self.more_spectra, self._ln_more, strict=True):
            parts.append(self._tensors(emulator, one, ln))
        columns = zip(*(part.tensors for part in parts), strict=True)
        self.train = TensorDataset(*(torch.cat(column) for column in columns))
        self.validation = self._tensors(emulator, self.validation_spectra, self._ln[1])

    @staticmethod
    def _tensors(emulator: NetworkEmulator, spectra: Spectra, ln: Tensor) -> TensorDataset:
        with torch.no_grad():
            # computed in float64, and rounded once
            x = emulator.features(torch.tensor(spectra.theta)).float()
            y = emulator.targets(ln).float()
        return TensorDataset(x, y)

    def example(self) -> tuple[Tensor, Tensor]:
        """Return features and targets of the first points, as many as in a training batch."""
        x, y = self.train.tensors
        return x[: self.batch_size], y[: self.batch_size]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return shuffled batches of (features, standardised targets)."""
        return batches(self.train, self.batch_size, shuffle=True, seed=self.seed)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return batches of the validation split, in order."""
        return batches(self.validation, _VALIDATION_BATCH, shuffle=False)


class _Rows(Sampler[Tensor]):
    """Row numbers of each batch as a tensor, without a Python loop over rows.

    The order of an epoch depends only on the seed and the epoch's number, so that a resumed
    training has the same batches as an uninterrupted one.

    In a distributed training, shuffled batches are distributed among the processes, which shuffle
    in the same way; batches in order are seen by all processes.
    """

    def __init__(self, rows: int, size: int, shuffle: bool, seed: int) -> None:
        self.rows, self.size, self.shuffle, self.seed = rows, size, shuffle, seed
        self.epoch = 0
        is_shared = shuffle and torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if is_shared else 0
        self.world = torch.distributed.get_world_size() if is_shared else 1

    def __len__(self) -> int:
        if not self.shuffle:
            return math.ceil(self.rows / self.size)
        return self.rows // self.size // self.world  # the same number for each process

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the next epoch; called by Lightning."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.arange(self.rows)
        if self.shuffle:
            seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0])
            order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(seed))
        # a generator: Lightning makes the iterator of a resumed epoch before it sets its number
        yield from order.split(self.size)[self.rank :: self.world][: len(self)]


def batches(
    data: TensorDataset, size: int, *, shuffle: bool, seed: int = 1
) -> DataLoader[tuple[Tensor, ...]]:
    """Return batches of tensors, each by one indexing operation; shuffled ones have equal size.

    Args:
        data: Tensors.
        size: Number of rows of a batch.
        shuffle: Whether to shuffle, and drop the rest that does not fill a batch.
        seed: Seed of the shuffling.
    """
    return DataLoader(data, sampler=_Rows(len(data), size, shuffle, seed), batch_size=None)
