"""Train a network emulator on labels: ``python -m emulator.train``."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from datagen.cli import run
from datagen.figures import save_figure, style
from datagen.files import atomic
from datagen.outputs import CORRELATIONS, TERMS, spectra_of
from datagen.parallel import RayConfig
from datagen.record import code_hash, combined_hash
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.checkpoint import LAST_CHECKPOINT
from emulator.data import Negative, SpectraData
from emulator.emulator import Emulator, NetworkEmulator, Spec
from emulator.figures import accuracy_figure, history_figure
from emulator.finish import outcome
from emulator.loop import Hardware, run_loop
from emulator.module import EmulatorModule, Loss, check_loss
from emulator.network import NetworkConfig
from emulator.optimizers import OptimizerConfig
from emulator.record import accuracy_table, log_line, make_record
from emulator.runs import check_run_config, run_lock
from emulator.schedule import ScheduleConfig
from emulator.workers import run_workers

__all__ = [
    "EMULATOR_FILE",
    "TrainConfig",
    "check_unfinished",
    "fit",
    "make_emulator",
    "threads_for",
    "train",
]

EMULATOR_FILE = "emulator.safetensors"
_THREAD_FLOP = 1e9  # operations per step for which another thread pays off


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training: spectra, network, loss, optimiser and schedule.

    Attributes:
        correlations: Power spectra to predict: one or several of mm, gm, gg, in one network.
        terms: Terms of each spectrum: ``[1h, 2h, total]`` for a combined emulator, ``[1h]`` or
            ``[2h]`` for a separate one.
        total: ``sum`` adds the predicted terms, ``network`` predicts the total as a separate
            output.
        network: Network.
        loss: Loss of the standardised ln P: ``rms`` is the mean over points of the
            root-mean-square error of each point, ``mse`` the mean squared error, as in the
            published emulators.
        weighting: Power of the spread of ln P, for each output and k, that multiplies errors of
            standardised ln P, in [0, 2]: 0 for no weighting, as in the published emulators, 1 for
            errors of ln P, in which spectra that vary more count more.
        optimizer: Optimiser and batch size.
        schedule: Length of the training and schedule of its learning rate.
        split: Sizes of the training, validation and test splits.
        negative: Treatment of points with a spectrum that is not positive, so that it has no
            logarithm: ``refuse`` raises an error, ``drop`` excludes them and reports their number
            in the record.
        seed: Seed of the initial weights and of the shuffling.
    """

    correlations: tuple[str, ...] = ("gg",)
    terms: tuple[str, ...] = TERMS
    total: Literal["sum", "network"] = "sum"
    network: NetworkConfig = NetworkConfig()
    loss: Loss = "rms"
    weighting: float = 0.5
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    split: Split = Split()
    negative: Negative = "refuse"
    seed: int = 1

    def __post_init__(self) -> None:
        check_loss(self.loss)
        if not 0 <= self.weighting <= 2:
            raise ValueError(f"weighting = {self.weighting:g} must lie in [0, 2]")
        for name, known in (("correlations", CORRELATIONS), ("terms", TERMS)):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values) or not set(values) <= set(known):
                raise ValueError(f"{name} = {list(values)} must be some of {', '.join(known)}")
        if "total" in self.terms and self.total == "sum" and len(self.terms) < len(TERMS):
            raise ValueError("terms: a total that is a sum needs 1h and 2h; or set total: network")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the predicted spectra: ``gg_1h``, ..."""
        return spectra_of(self.correlations, self.terms)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain numbers, strings and lists, for YAML and JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def make_emulator(spectra: Spectra, config: TrainConfig) -> NetworkEmulator:
    """Return an untrained emulator with the space, wavenumbers and halo model of labels.

    Args:
        spectra: Labels.
        config: Settings of the training.
    """
    model = spectra.metadata["model"]
    spec = Spec(
        kind="network",
        space=Space.from_dict(spectra.metadata["space"]),
        k=tuple(spectra.k.tolist()),
        outputs=config.outputs,
        total=config.total,
        network=config.network,
        halo_model=model,
    )
    return NetworkEmulator(spec)


def fit(
    spectra: Spectra,
    config: TrainConfig,
    *,
    more: Sequence[Spectra] = (),
    folder: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    bar: str = "",
    resume: Path | None = None,
    hardware: Hardware = Hardware(),
) -> tuple[NetworkEmulator, dict[str, Any]]:
    """Train an emulator on the training split, keeping the weights that validate best.

    Args:
        spectra: Labels.
        config: Settings of the training.
        more: Further labels for the training; see `SpectraData`.
        folder: Folder for TensorBoard logs and a checkpoint; None to write neither.
        callbacks: Further Lightning callbacks.
        bar: Label of a progress bar over epochs; empty for none.
        resume: Checkpoint to resume from, if it exists.
        hardware: Where the training runs.

    Returns:
        The emulator with its best weights and its validation record, and the history of the
        training: ``epochs`` (losses and learning rate of each), ``best_epoch``, ``best_val_loss``,
        ``diverged``, ``capped`` (whether ``max_minutes`` ended it), ``done`` (completed fraction
        of the schedule), ``steps``, ``tflop`` (10^12 operations), ``seconds``, and ``finish``, if
        there was one (see `emulator.finish.Finish`).

    Raises:
        ValueError: The labels or settings do not allow a training.
        TrainingFailed: The validation loss was never finite.
        CheckpointError: The checkpoint belongs to another training.
    """
    lightning.seed_everything(config.seed, verbose=False)
    data = SpectraData(
        spectra, config.outputs, config.split, config.optimizer.batch_size, config.negative,
        config.seed, more,
    )  # fmt: skip
    emulator = make_emulator(spectra, config)
    data.fit_scalings(emulator)
    data.prepare(emulator)
    training = config.schedule.build()
    module = EmulatorModule(
        emulator, config.optimizer, config.loss, config.weighting, hardware.compile
    )
    history = run_loop(
        module, data, training, key=_key(spectra, config, more), folder=folder, callbacks=callbacks,
        bar=bar, resume=resume, hardware=hardware,
    )  # fmt: skip
    make_record(
        emulator,
        spectra,
        {"train": data.train_spectra, "validation": data.validation_spectra},
        config.as_dict(),
        dropped=data.dropped,
        epochs=len(history.epochs),
        steps=training.steps,
        tflop=training.tflop,
        seconds=training.seconds,
        **({"more": [_origin(one) for one in more]} if more else {}),
        **({"done": training.done} if training.capped else {}),
        **({"finish": _summary(history.finish)} if history.finish else {}),
    )
    return emulator, {
        "best_val_loss": training.best,
        "best_epoch": training.best_epoch,
        "diverged": training.diverged,
        "capped": training.capped,
        "done": training.done,
        "steps": training.steps,
        "tflop": training.tflop,
        "seconds": training.seconds,
        "epochs": history.epochs,
        **({"finish": history.finish} if history.finish else {}),
    }


def _summary(finish: dict[str, Any]) -> dict[str, Any]:
    """Results of a finish without the losses of each round, for a record."""
    return {name: value for name, value in finish.items() if name != "losses"}


def _origin(spectra: Spectra) -> dict[str, Any]:
    """Hash, design and box of labels, for a record."""
    space = Space.from_dict(spectra.metadata["space"])
    ranges = {name: asdict(space[name]) for name in space.free}
    return {"sha256": spectra.hash(), "design": spectra.metadata["design"], "ranges": ranges}


def _content(spectra: Spectra, more: Sequence[Spectra]) -> dict[str, str]:
    """Hashes of the labels and of the code of a training."""
    further = {f"more labels {i}": one.hash() for i, one in enumerate(more, 1)}
    return {"labels": spectra.hash(), "code": code_hash("emulator.train"), **further}


def _key(spectra: Spectra, config: TrainConfig, more: Sequence[Spectra]) -> str:
    """SHA-256 of everything that determines a training."""
    settings = json.dumps(config.as_dict(), sort_keys=True)
    return combined_hash(_content(spectra, more) | {"train": settings})


def check_unfinished(out: Path, what: str) -> None:
    """Check that a run folder does not contain its result yet, which is written last.

    Args:
        out: Run folder.
        what: Kind of run, for the message.

    Raises:
        FileExistsError: The result exists.
    """
    if (out / EMULATOR_FILE).exists():
        (out / LAST_CHECKPOINT).unlink(missing_ok=True)  # of a run that was killed at its end
        raise FileExistsError(f"{out} holds a finished {what}; choose another folder")


def train(
    data: Path,
    out: Path,
    train: TrainConfig = TrainConfig(),
    hardware: Hardware = Hardware(),
    threads: int = 0,
    ray: RayConfig = RayConfig(),
    more: list[Path] | None = None,
) -> dict[str, Any]:
    """Train a network emulator on labels.

    Writes ``emulator.safetensors`` (network, scalings, names, ranges and record in one file),
    ``history.json``, figures of the losses and of the validation errors over k, ``log.txt`` (one
    line in the format of NNPowerspectra), ``config.yaml`` (which repeats the run) and
    ``tensorboard/``. To resume an interrupted training, rerun the command with the same labels,
    settings and code; files may have been moved.

    Args:
        data: Label file of ``datagen.generate``.
        out: Folder for the results.
        train: Settings of the training: spectra, network, loss, optimiser and schedule.
        hardware: Where the training runs.
        threads: Threads of each process; 0 uses one, or more if the training steps are large enough
            to benefit: small ones are slower on several threads, and much slower on a busy machine.
        ray: Where Ray runs, if ``hardware.workers`` is set; on a cluster, all machines must see the
            folder.
        more: Further label files for the training, of the same halo model, with points in corners
            of the box where `data` has few. They are used neither for validation nor for the
            scalings of inputs and outputs.

    Returns:
        The history of the training; see `fit`.

    Raises:
        ValueError: The labels or settings do not allow a training, the folder contains another
            run, or another training is running in it.
        FileExistsError: The folder contains a finished training.
    """
    spectra = Spectra.read(data, train.outputs)
    further = [Spectra.read(path, train.outputs) for path in more or ()]
    with run_lock(out, "training"):
        check_run_config(
            out,
            {
                "data": str(data),
                **({"more": [str(path) for path in more]} if more else {}),
                "out": str(out),
                "train": train.as_dict(),
            },
            _content(spectra, further),
            paths=("data", "more", "out"),
            begun=any((out / name).exists() for name in (EMULATOR_FILE, LAST_CHECKPOINT)),
        )
        check_unfinished(out, "training")
        emulator, history = _train_on(spectra, further, out, train, hardware, threads, ray)
        _report(emulator, history, out)
    return history


def _train_on(
    spectra: Spectra,
    more: Sequence[Spectra],
    out: Path,
    train: TrainConfig,
    hardware: Hardware,
    threads: int,
    ray: RayConfig,
) -> tuple[Emulator, dict[str, Any]]:
    """Train in this process or in Ray's workers, and write the results."""
    if not hardware.workers:
        return _train(spectra, more, out, train, hardware, threads or threads_for(spectra, train))
    one = partial(_train, spectra, more, out.resolve(), train, hardware, threads or 1)
    use_gpu = hardware.accelerator != "cpu"
    run_workers(one, hardware.workers, out, ray, cpus=threads or 1, use_gpu=use_gpu)
    history: dict[str, Any] = json.loads((out / "history.json").read_text())
    return Emulator.load(out / EMULATOR_FILE), history


def threads_for(spectra: Spectra, config: TrainConfig) -> int:
    """Return the number of threads that a training benefits from.

    Args:
        spectra: Labels.
        config: Settings of the training.
    """
    weights = sum(p.numel() for p in make_emulator(spectra, config).network.parameters())
    flop = 6 * config.optimizer.batch_size * weights  # 2 forwards, 4 backwards
    return max(1, min(os.cpu_count() or 1, int(flop / _THREAD_FLOP)))


def _train(
    spectra: Spectra,
    more: Sequence[Spectra],
    out: Path,
    train: TrainConfig,
    hardware: Hardware,
    threads: int,
) -> tuple[Emulator, dict[str, Any]]:
    torch.set_num_threads(threads)
    last = out / LAST_CHECKPOINT
    emulator, history = fit(
        spectra, train, more=more, folder=out, bar="training", resume=last, hardware=hardware
    )
    _write(emulator, history, out)
    return emulator, history


@rank_zero_only  # in a distributed training, one process writes
def _write(emulator: Emulator, history: dict[str, Any], out: Path) -> None:
    """Write the results, the emulator last: if it exists, the training is finished."""
    with atomic(out / "history.json") as partial:
        partial.write_text(json.dumps(history))
    with atomic(out / "log.txt") as partial:
        partial.write_text(log_line(emulator, time.strftime("%Y-%m-%d_%H-%M-%S")) + "\n")
    records = emulator.spec.record["validation"]
    with style():
        save_figure(history_figure(history["epochs"]), out / "history")
        save_figure(accuracy_figure(np.array(emulator.spec.k), records), out / "accuracy")
    emulator.save(out / EMULATOR_FILE)
    (out / LAST_CHECKPOINT).unlink(missing_ok=True)


@rank_zero_only
def _report(emulator: Emulator, history: dict[str, Any], out: Path) -> None:
    lines = [f"{out}: validation loss {history['best_val_loss']:.4g}"]
    if history["diverged"]:
        lines.append("the loss stopped being finite; kept the best weights before that")
    if history["capped"]:
        lines.append(
            f"stopped by schedule.max_minutes with {100 * history['done']:.0f} % of the schedule "
            f"done, before the learning rate had fallen to its end; raise it to do better"
        )
    if finish := history.get("finish"):
        lines.append(outcome(finish))
    if dropped := emulator.spec.provenance["dropped"]:
        lines.append(f"{dropped} points with values that are not positive were left out")
    print("\n".join([*lines, accuracy_table(emulator)]))  # noqa: T201


def main(argv: list[str] | None = None) -> None:
    """Command line of `train`."""
    run(train, "python -m emulator.train", argv)


if __name__ == "__main__":
    main()
