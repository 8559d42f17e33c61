"""Labels as tensors that networks train on."""

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
)

from datagen.splits import Split
from datagen.store import Spectra
from emulator.emulator import Emulator

__all__ = ["SpectraData", "ln_targets"]

_VALIDATION_BATCH = 4096


def ln_targets(spectra: Spectra, outputs: tuple[str, ...]) -> Tensor:
    """Ln P [ln Mpc^3] of the named spectra, shape (N, O, K), float64.

    Raises:
        ValueError: A spectrum that is not positive, so that it has no logarithm.
    """
    targets = np.empty((len(spectra), len(outputs), len(spectra.k)))
    for i, name in enumerate(outputs):
        Pk = spectra[name]
        bad = ~(Pk > 0)
        if bad.any():
            raise ValueError(
                f"{name} is not positive at {bad.any(axis=1).sum()} of {len(Pk)} points, first "
                f"at row {np.argwhere(bad)[0][0]}; its logarithm cannot be learned (the g3lhalo "
                f"model has negative gg 1-halo terms, the standard model has none)"
            )
        np.log(Pk, out=targets[:, i])
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

    Raises:
        ValueError: Fewer training rows than a batch takes.
    """

    def __init__(
        self, spectra: Spectra, outputs: tuple[str, ...], split: Split, batch_size: int
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        n = len(spectra)
        self.train_spectra = spectra.select(split.rows(n, "train"))
        self.validation_spectra = spectra.select(split.rows(n, "validation"))
        if len(self.train_spectra) < batch_size:
            raise ValueError(
                f"{len(self.train_spectra)} training points are fewer than "
                f"batch_size = {batch_size}; generate more or take smaller batches"
            )
        self._train_ln = ln_targets(self.train_spectra, outputs)
        self._validation_ln = ln_targets(self.validation_spectra, outputs)

    def fit_scalings(self, emulator: Emulator) -> None:
        """Fit the emulator's scalings on the training split."""
        emulator.fit_scalings(torch.tensor(self.train_spectra.theta), self._train_ln)

    def prepare(self, emulator: Emulator) -> None:
        """Make the tensors, in the emulator's own scalings."""
        self._train = self._tensors(emulator, self.train_spectra, self._train_ln)
        self._validation = self._tensors(emulator, self.validation_spectra, self._validation_ln)

    @staticmethod
    def _tensors(emulator: Emulator, spectra: Spectra, ln: Tensor) -> TensorDataset:
        with torch.no_grad():
            # in float64, then rounded once
            x = emulator.features(torch.tensor(spectra.theta)).float()
            y = emulator.targets(ln).float()
        return TensorDataset(x, y)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Shuffled batches of (features, standardised targets)."""
        return self._loader(self._train, RandomSampler(self._train), self.batch_size, True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The validation split in order."""
        sampler = SequentialSampler(self._validation)
        return self._loader(self._validation, sampler, _VALIDATION_BATCH, False)

    @staticmethod
    def _loader(
        data: TensorDataset, sampler: Sampler[int], size: int, drop_last: bool
    ) -> DataLoader[tuple[Tensor, ...]]:
        # batch_size=None: the sampler yields whole lists of rows, one indexing operation each
        return DataLoader(data, sampler=BatchSampler(sampler, size, drop_last), batch_size=None)
