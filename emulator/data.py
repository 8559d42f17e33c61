"""Labels as tensors that networks train on."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from datagen.splits import Split
from datagen.store import Spectra
from emulator.domain import fit_domain, terms_of
from emulator.emulator import NetworkEmulator

__all__ = ["Dropped", "Negative", "SpectraData", "batches"]

Negative = Literal["refuse", "drop"]

_VALIDATION_BATCH = 4096


@dataclass(frozen=True)
class Dropped:
    """Points that a training left out, since a spectrum of theirs has no logarithm.

    There the emulator has learnt nothing, so that it holds on a part of its box only.

    Attributes:
        points: How many, in training and validation split together.
        of: Of how many.
        outputs: Points without a logarithm, by the spectrum that has none; only those above 0.
        theta: All of these points, dropped or kept, shape (N, 10).
        kept: Which were kept, shape (N,).
    """

    points: int
    of: int
    outputs: dict[str, int]
    theta: NDArray[np.float64] = field(repr=False, compare=False)
    kept: NDArray[np.bool_] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings: how many, their share, and which part of the box is left.

        That part takes a fit of some seconds, if any were dropped.
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


class SpectraData(lightning.LightningDataModule):
    """Training and validation split of labels; it never touches the test split.

    Everything lies in memory as features and standardised targets, in float32, and a batch is
    one indexing operation.

    Args:
        spectra: All labels.
        outputs: Names of the spectra to learn.
        split: Which rows train and which validate.
        batch_size: Rows of a training batch.
        negative: What to do with points that have no logarithm.
        seed: Seed of the shuffling.

    Attributes:
        changes: Whether the training data differ from epoch to epoch.
        train_spectra: Labels of the training split.
        validation_spectra: Labels of the validation split.
        train: Features and standardised targets of the training split, after `prepare`.
        validation: Features and standardised targets of the validation split, after `prepare`.
        dropped: Points without a logarithm, which were dropped.

    Raises:
        ValueError: Spectra that are not positive, or fewer training rows than a batch takes.
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
    ) -> None:
        super().__init__()
        self.batch_size, self.seed = batch_size, seed
        positive = spectra.is_positive(outputs)
        if negative == "refuse" and not positive.all():
            raise ValueError(
                f"{(~positive).sum()} of {len(spectra)} points, first row "
                f"{np.flatnonzero(~positive)[0]}, have values of {', '.join(outputs)} that are "
                f"not positive, so no logarithm (the g3lhalo model has negative gg 1-halo terms, "
                f"the standard model has none); train with --train.negative drop to leave these "
                f"points out"
            )
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

    def fit_scalings(self, emulator: NetworkEmulator) -> None:
        """Fit the emulator's scalings on the training split."""
        emulator.fit_scalings(torch.tensor(self.train_spectra.theta), self._ln[0])

    def prepare(self, emulator: NetworkEmulator) -> None:
        """Make the tensors, in the emulator's own scalings."""
        self.train = self._tensors(emulator, self.train_spectra, self._ln[0])
        self.validation = self._tensors(emulator, self.validation_spectra, self._ln[1])

    @staticmethod
    def _tensors(emulator: NetworkEmulator, spectra: Spectra, ln: Tensor) -> TensorDataset:
        with torch.no_grad():
            # in float64, then rounded once
            x = emulator.features(torch.tensor(spectra.theta)).float()
            y = emulator.targets(ln).float()
        return TensorDataset(x, y)

    def example(self) -> tuple[Tensor, Tensor]:
        """Features and targets of as many points as a training batch has."""
        x, y = self.train.tensors
        return x[: self.batch_size], y[: self.batch_size]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Shuffled batches of (features, standardised targets)."""
        return batches(self.train, self.batch_size, shuffle=True, seed=self.seed)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The validation split in order."""
        return batches(self.validation, _VALIDATION_BATCH, shuffle=False)


class _Rows(Sampler[Tensor]):
    """Row numbers of one batch after the other, as tensors: no Python loop over rows.

    How an epoch is shuffled depends on the seed and on its number, so that a training that was
    interrupted sees the same batches as one that was not.

    Shuffled batches are shared out among the processes of a distributed training, which shuffle
    alike since they have the same seed; all others see every batch.
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
        return self.rows // self.size // self.world  # equally many for each process

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes; Lightning says so."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.arange(self.rows)
        if self.shuffle:
            seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0])
            order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(seed))
        # one by one: Lightning makes the iterator of a resumed epoch before it says which it is
        yield from order.split(self.size)[self.rank :: self.world][: len(self)]


def batches(
    data: TensorDataset, size: int, *, shuffle: bool, seed: int = 1
) -> DataLoader[tuple[Tensor, ...]]:
    """Batches of tensors, each by one indexing operation; when shuffled, all of equal size."""
    return DataLoader(data, sampler=_Rows(len(data), size, shuffle, seed), batch_size=None)
