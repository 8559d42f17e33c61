"""Do ensembles, or averages of weights, pay? ``python -m benchmarks.averaging``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.judge import in_percent
from benchmarks.learning import timed_schedule
from benchmarks.timing import by_batch
from datagen.cli import run
from datagen.files import atomic, exclusive
from datagen.parallel import RayConfig, ray_map, ray_session
from datagen.record import provenance
from datagen.splits import Split
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.metrics import accuracy, fractional_error
from emulator.network import NetworkConfig
from emulator.optimizers import OptimizerConfig
from emulator.record import predict
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import SemiAnalyticConfig
from emulator.semianalytic.fit import FitConfig
from emulator.train import TrainConfig, fit
from emulator.train_semianalytic import check_labels, of_labels
from export.runtime import OnnxEmulator
from export.to_onnx import to_onnx

__all__ = ["Plan", "WeightAverage", "averaging", "render"]

OUTPUT = "gg_total"
LABELS = ("gg_1h", "gg_2h")
BATCH = 100
_SPLIT = Split(validation=0.05, test=0.0)
_SHORT = {"cosmologies": 8192, "iterations": 50}  # of a semi-analytic fit, the same for all

Predicted = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        seeds: Members of each ensemble; they differ by their seed alone.
        schedules: Schedules of the networks.
        network: Every network.
        optimizer: How its weights move.
        minutes: Time of each network's training, on one core.
        decay: What is left of the averaged weights after a step; an exponential average.
        semianalytic: Every semi-analytic emulator; one with as many times the hidden units as
            there are seeds stands beside their ensemble.
    """

    seeds: tuple[int, ...] = (1, 2)
    schedules: tuple[str, ...] = ("cosine", "stages")
    network: NetworkConfig = NetworkConfig(layers=4, units=256)
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-3)
    minutes: float = 3.0
    decay: float = 0.999
    semianalytic: SemiAnalyticConfig = SemiAnalyticConfig(cosmology=CosmologyConfig(units=160))

    def __post_init__(self) -> None:
        if len(self.seeds) < 2:
            raise ValueError(f"seeds = {list(self.seeds)} must be two or more for an ensemble")
        if not 0 < self.decay < 1:
            raise ValueError(f"decay = {self.decay:g} must lie between 0 and 1")
        if not self.schedules:
            raise ValueError("schedules: none is given")
        for kind in self.schedules:
            timed_schedule(kind, self.minutes)  # refuses what there is not


class WeightAverage(Callback):
    """An exponential average of the weights over all steps, beside a training.

    Args:
        decay: What is left of the average after a step.

    Attributes:
        averaged: The average, from the start of the training on.
    """

    averaged: AveragedModel

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Begin with the weights as they are."""
        emulator: Any = pl_module.emulator
        self.averaged = AveragedModel(emulator, multi_avg_fn=get_ema_multi_avg_fn(self.decay))

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Take in the weights of the step."""
        emulator: Any = pl_module.emulator
        self.averaged.update_parameters(emulator)


def _train(job: tuple[str, int], *, plan: Plan, data: Path, out: Path) -> list[str]:
    """Train a network of a schedule and a seed, in a worker; names of what it saved."""
    torch.set_num_threads(1)
    kind, seed = job
    config = TrainConfig(
        network=plan.network,
        optimizer=plan.optimizer,
        schedule=timed_schedule(kind, plan.minutes),
        split=_SPLIT,
        seed=seed,
    )
    average = WeightAverage(plan.decay)
    emulator, _ = fit(Spectra.read(data, LABELS), config, callbacks=(average,))
    averaged: Any = average.averaged.module
    averaged.spec = emulator.spec
    names = [f"{kind}-{seed}", f"{kind}-{seed}-averaged"]
    for name, one in zip(names, (emulator, averaged), strict=True):
        one.cpu().eval().save(out / f"{name}.safetensors")
    return names


def _fit(name: str, config: SemiAnalyticConfig, seed: int, spectra: Spectra, out: Path) -> str:
    emulator = of_labels(spectra, config, FitConfig(seed=seed, **_SHORT), _SPLIT)
    emulator.save(out / f"{name}.safetensors")
    return name


def _mean(members: Sequence[Predicted]) -> Predicted:
    """What an ensemble predicts: the mean of ln P."""
    mean: Predicted = np.exp(np.mean([np.log(P) for P in members], axis=0))
    return mean


def averaging(
    data: Path, out: Path, plan: Plan = Plan(), ray: RayConfig = RayConfig()
) -> dict[str, Any]:
    """Train the same emulators of P_gg from several seeds, and average them in every way.

    Ensembles average ln P and take the time of all of their members; averages over the steps of a
    training take no time. All are judged on the validation split of the labels, since this is a
    choice of how to make emulators. Written as ``averaging.json``.

    Args:
        data: Label file of ``datagen.generate``, of the ``standard`` model.
        out: Folder for the results.
        plan: What is trained.
        ray: Where, one core each.

    Returns:
        The content of ``averaging.json``.

    Raises:
        ValueError: Labels of a model without a semi-analytic emulator, or too few of them.
        BusyError: Another process writes in the folder.
    """
    there = Spectra.read(data, LABELS)
    check_labels(there, plan.semianalytic)
    _SPLIT.rows(len(there), "validation")  # refuses too few
    with exclusive(out, folder=True):
        return _averaging(data, out, plan, ray)


def _averaging(data: Path, out: Path, plan: Plan, ray: RayConfig) -> dict[str, Any]:
    jobs = [(kind, seed) for kind in plan.schedules for seed in plan.seeds]
    work = partial(_train, plan=plan, data=data.resolve(), out=out.resolve())
    with ray_session(ray):
        names = [name for _, saved in ray_map(work, jobs, label="networks", unit="training")
                 for name in saved]  # fmt: skip
    units = len(plan.seeds) * plan.semianalytic.cosmology.units
    size = replace(plan.semianalytic.cosmology, units=units)
    wide = replace(plan.semianalytic, cosmology=size)
    spectra = Spectra.read(data)
    for seed in plan.seeds:
        names.append(_fit(f"semianalytic-{seed}", plan.semianalytic, seed, spectra, out))
    names.append(_fit("semianalytic-wide", wide, plan.seeds[0], spectra, out))

    labels = spectra.select(_SPLIT.rows(len(spectra), "validation"))
    predicted, microseconds = {}, {}
    for name in names:
        path = out / f"{name}.safetensors"
        emulator = Emulator.load(path)
        predicted[name] = predict(emulator, labels.theta)[OUTPUT]
        model = OnnxEmulator(to_onnx(path, path.with_suffix(".onnx")), threads=1)
        microseconds[name] = 1e6 * by_batch(model, labels.theta, [BATCH])[str(BATCH)]["median"]
    result = {
        "plan": asdict(plan),
        "points": len(labels),
        "rows": _rows(plan, predicted, labels[OUTPUT], microseconds),
        "environment": provenance(),
    }
    with atomic(out / "averaging.json") as partial_file:
        partial_file.write_text(json.dumps(result, indent=1))
    print(render(result))  # noqa: T201
    return result


def _rows(
    plan: Plan,
    predicted: Mapping[str, Predicted],
    truth: NDArray[np.float64],
    microseconds: Mapping[str, float],
) -> list[dict[str, Any]]:
    seeds = len(plan.seeds)

    def row(of: str, kind: str, sets: Sequence[Sequence[str]]) -> dict[str, Any]:
        """The mean over sets of members, the members of each averaged."""
        errors = [fractional_error(_mean([predicted[n] for n in one]), truth) for one in sets]
        found = [accuracy(error)["all"] for error in errors]
        mean = {q: float(np.mean([one[q] for one in found])) for q in found[0]}
        time = float(np.mean([sum(microseconds[n] for n in one) for one in sets]))
        return {"of": of, "kind": kind, "errors": mean, "microseconds": time}

    rows = []
    for kind in plan.schedules:
        of = f"{plan.network.layers} x {plan.network.units}, {kind}"
        alone = [f"{kind}-{seed}" for seed in plan.seeds]
        averaged = [f"{name}-averaged" for name in alone]
        rows += [
            row(of, "one network", [[name] for name in alone]),
            row(of, "one network, weights averaged over steps", [[name] for name in averaged]),
            row(of, f"mean of {seeds} networks", [alone]),
        ]
    alone = [f"semianalytic-{seed}" for seed in plan.seeds]
    of = f"semi-analytic, {plan.semianalytic.cosmology.units} units"
    rows += [
        row(of, "one", [[name] for name in alone]),
        row(of, f"mean of {seeds}", [alone]),
        row(
            f"semi-analytic, {seeds * plan.semianalytic.cosmology.units} units",
            "one",
            [["semianalytic-wide"]],
        ),
    ]
    return rows


def render(result: dict[str, Any]) -> str:
    """The table, as Markdown."""
    plan = result["plan"]
    lines = [
        f"Error of the gg total on {result['points']:,} validation points, abs(P/P_true - 1) in "
        f"percent; time per point of {BATCH} at once. Networks had {plan['minutes']:g} minutes "
        f"each.",
        "",
        "| emulator | | 68 % | 95 % | 99 % | us a point |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        errors = [in_percent(row["errors"][q]) for q in ("68", "95", "99")]
        cells = [row["of"], row["kind"], *errors, f"{row['microseconds']:.3g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line of `averaging`."""
    run(averaging, "python -m benchmarks.averaging", argv)


if __name__ == "__main__":
    main()
