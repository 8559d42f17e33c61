"""Train a network further on its worst points: ``python -m emulator.finetune``."""

import json
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from datagen.cli import run
from datagen.fields import from_record
from datagen.files import atomic
from datagen.record import code_hash, combined_hash
from datagen.splits import Split
from datagen.store import Spectra
from emulator.checkpoint import LAST_CHECKPOINT
from emulator.data import SpectraData, batches
from emulator.emulator import Emulator, NetworkEmulator
from emulator.loop import run_loop
from emulator.module import EmulatorModule
from emulator.optimizers import OptimizerConfig
from emulator.record import make_record
from emulator.runs import check_run_config, run_lock
from emulator.schedule import ScheduleConfig
from emulator.train import EMULATOR_FILE, check_unfinished

__all__ = ["Continuation", "FinetuneConfig", "continue_training", "finetune", "load_with_labels"]

TAIL = 0.99  # quantile of the error over (point, spectrum, k) that fine-tuning should lower


@dataclass(frozen=True)
class FinetuneConfig:
    """Settings of a fine-tuning on the worst training points.

    Attributes:
        N_bad: Number of worst training points, chosen at every epoch by their largest
            abs(P/P_true - 1) over spectra and k; at least the batch size.
        optimizer: Optimiser; use a low learning rate, 1e-6 to 1e-4.
        epochs: Maximum number of epochs.
        patience: Number of epochs without a lower 99 % quantile of the validation errors that ends
            the training.
        seed: Seed of the shuffling.
    """

    N_bad: int = 1000
    optimizer: OptimizerConfig = OptimizerConfig("adam", lr=1e-5, batch_size=256)
    epochs: int = 1000
    patience: int = 100
    seed: int = 1

    def __post_init__(self) -> None:
        if self.N_bad < self.optimizer.batch_size:
            raise ValueError(
                f"N_bad = {self.N_bad} must not be smaller than "
                f"optimizer.batch_size = {self.optimizer.batch_size}"
            )
        self.schedule()  # raises for invalid numbers

    def schedule(self) -> ScheduleConfig:
        """Return the schedule, a single stage."""
        return ScheduleConfig("stages", max_epochs=(self.epochs,), patience=(self.patience,))


def point_errors(emulator: NetworkEmulator, features: Tensor, targets: Tensor) -> Tensor:
    """Return abs(P/P_true - 1), shape (N, O, K).

    Args:
        emulator: Emulator.
        features: Features, shape (N, F).
        targets: True standardised ln P, shape (N, O, K).
    """
    with torch.inference_mode():
        y = torch.cat([emulator.standardised(batch) for batch in features.split(4096)])
        return torch.expm1((y - targets) * emulator.targets.std).abs()


class WorstPoints(SpectraData):
    """Training data that consist of the worst points of an emulator, chosen at each epoch.

    Args:
        emulator: Emulator; its scalings are used.
        N_bad: Number of points.
        kwargs: Arguments of `SpectraData`.

    Raises:
        ValueError: There are fewer training points than `N_bad`.
    """

    changes = True

    def __init__(self, emulator: NetworkEmulator, N_bad: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if N_bad > len(self.train_spectra):
            raise ValueError(
                f"N_bad = {N_bad} is more than the {len(self.train_spectra)} training points"
            )
        self.emulator, self.N_bad = emulator, N_bad
        self.prepare(emulator)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return shuffled batches of the worst points."""
        features, targets = self.train.tensors
        training = self.emulator.training
        self.emulator.eval()
        worst = point_errors(self.emulator, features, targets).amax(dim=(1, 2)).topk(self.N_bad)
        self.emulator.train(training)
        rows = worst.indices.clone()
        bad = TensorDataset(features[rows], targets[rows])
        return batches(bad, self.batch_size, shuffle=True, seed=self.seed)


class TailModule(EmulatorModule):
    """Training that also logs `tail` of the validation errors, as ``val_tail``."""

    def on_validation_epoch_end(self) -> None:
        """Log the tail."""
        self.log("val_tail", tail(self.emulator, self.trainer.datamodule))  # type: ignore[attr-defined]


def tail(emulator: NetworkEmulator, data: SpectraData) -> float:
    """Return the `TAIL` quantile of abs(P/P_true - 1) over the validation split."""
    errors = point_errors(emulator, *data.validation.tensors).flatten()
    return float(errors.kthvalue(max(1, round(TAIL * len(errors)))).values)


@dataclass(frozen=True)
class Continuation:
    """Result of a fine-tuning.

    Attributes:
        points: Training and validation data.
        before: 99 % quantile of the validation errors before.
        after: 99 % quantile of the validation errors of the best weights found.
        epochs: Losses and learning rate of every epoch; see `emulator.train.fit`.
    """

    points: WorstPoints
    before: float
    after: float
    epochs: list[dict[str, Any]]


def continue_training(
    model: NetworkEmulator,
    spectra: Spectra,
    config: FinetuneConfig,
    *,
    folder: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    bar: str = "",
    resume: Path | None = None,
) -> Continuation:
    """Fine-tune an emulator in place, to the best weights found.

    Args:
        model: Emulator, with the record of its training.
        spectra: Labels on which it was trained.
        config: Settings of the fine-tuning.
        folder: Folder for TensorBoard logs and a checkpoint; None to write neither.
        callbacks: Further Lightning callbacks.
        bar: Label of a progress bar; empty for none.
        resume: Checkpoint to resume from, if it exists.

    Raises:
        ValueError: The labels do not allow the settings, or the checkpoint belongs to another
            training.
    """
    lightning.seed_everything(config.seed, verbose=False)
    trained = model.spec.provenance["training"]
    points = WorstPoints(
        model,
        config.N_bad,
        spectra=spectra,
        outputs=model.spec.outputs,
        split=from_record(Split, trained["split"], "the emulator's split"),
        batch_size=config.optimizer.batch_size,
        negative=trained["negative"],
        seed=config.seed,
    )
    before = tail(model, points)
    settings = json.dumps(asdict(config), sort_keys=True)
    key = combined_hash(_content(model, spectra) | {"finetune": settings})
    training = config.schedule().build(monitor="val_tail")
    module = TailModule(model, config.optimizer, minimised="mse")
    history = run_loop(
        module, points, training, key=key, folder=folder, callbacks=callbacks, bar=bar,
        resume=resume,
    )  # fmt: skip
    return Continuation(points, before, training.best, history.epochs)


def _content(model: NetworkEmulator, spectra: Spectra) -> dict[str, str]:
    """Hashes of emulator, labels and code of a fine-tuning."""
    return {
        "emulator": model.hash(), "labels": spectra.hash(), "code": code_hash("emulator.finetune"),
    }  # fmt: skip


def load_with_labels(emulator: Path, data: Path) -> tuple[NetworkEmulator, Spectra]:
    """Read a network emulator, and the labels on which it was trained.

    Args:
        emulator: File of the emulator.
        data: Label file.

    Raises:
        ValueError: The emulator is not a trained network, or was trained on other labels, which
            would mix its training and test splits.
    """
    model = Emulator.load(emulator)
    if not isinstance(model, NetworkEmulator):
        raise ValueError(
            f"{emulator} is a {model.spec.kind} emulator, which is not trained on spectra; give a "
            f"network"
        )
    if lost := model.unknown():
        raise ValueError(
            f"{emulator} does not know its {', '.join(lost)}: it was read from an ONNX file, which "
            f"does not hold them; give the emulator.safetensors of its training"
        )
    if "labels" not in model.spec.provenance:
        raise ValueError(f"{emulator} does not say what it was trained on; give a trained network")
    spectra = Spectra.read(data, model.spec.outputs)
    made_of = model.spec.provenance["labels"]["sha256"]
    if spectra.hash() != made_of:
        raise ValueError(
            f"{data} (sha256 {spectra.hash()[:12]}...) is not what {emulator} was trained on "
            f"({made_of[:12]}...); its test split would be trained on"
        )
    return model, spectra


def finetune(
    emulator: Path, data: Path, out: Path, finetune: FinetuneConfig = FinetuneConfig()
) -> bool:
    """Train a network further on its worst training points, and keep it if large errors decrease.

    Writes ``emulator.safetensors`` (the better of both networks), ``config.yaml`` and
    ``history.json``. Labels and split are those of the emulator's training. To resume an
    interrupted fine-tuning, rerun the command with the same emulator, labels, settings and code.

    Args:
        emulator: Emulator file of ``emulator.train`` or ``tuning.search``.
        data: Label file on which the emulator was trained.
        out: Folder for the results.
        finetune: Settings of the fine-tuning.

    Returns:
        Whether it helped: whether the 99 % quantile of abs(P/P_true - 1) on the validation split
        decreased.

    Raises:
        ValueError: The emulator was trained on other labels, the settings are invalid, the folder
            contains another run, or another fine-tuning is running in it.
        FileExistsError: The folder contains a finished fine-tuning.
    """
    model, spectra = load_with_labels(emulator, data)
    with run_lock(out, "fine-tuning"):
        check_run_config(
            out,
            {"emulator": str(emulator), "data": str(data), "out": str(out),
             "finetune": asdict(finetune)},
            _content(model, spectra),
            paths=("emulator", "data", "out"),
            begun=any((out / name).exists() for name in (EMULATOR_FILE, LAST_CHECKPOINT)),
        )  # fmt: skip
        check_unfinished(out, "fine-tuning")
        return _finetune(model, spectra, out, finetune)


def _finetune(model: NetworkEmulator, spectra: Spectra, out: Path, config: FinetuneConfig) -> bool:
    """Fine-tune, and write the better emulator, last of all files; see `finetune`."""
    before, last = deepcopy(model), out / LAST_CHECKPOINT
    tuning = continue_training(model, spectra, config, folder=out, bar="fine-tuning", resume=last)
    helped = tuning.after < tuning.before
    if helped:
        settings = {**model.spec.provenance["training"], "finetune": asdict(config)}
        points = tuning.points
        parts = {"train": points.train_spectra, "validation": points.validation_spectra}
        make_record(model, spectra, parts, settings, dropped=points.dropped)
    with atomic(out / "history.json") as partial:
        partial.write_text(json.dumps({"before": tuning.before, "epochs": tuning.epochs}))
    (model if helped else before).save(out / EMULATOR_FILE)
    last.unlink(missing_ok=True)
    print(  # noqa: T201
        f"{out}: 99 % of abs(P/P_true - 1) of all spectra together on the validation split "
        f"{100 * tuning.before:.3f} % before, {100 * tuning.after:.3f} % after: "
        f"{'kept' if helped else 'the old one is kept'}"
    )
    return helped


def main(argv: list[str] | None = None) -> None:
    """Command line of `finetune`."""
    run(finetune, "python -m emulator.finetune", argv)


if __name__ == "__main__":
    main()
