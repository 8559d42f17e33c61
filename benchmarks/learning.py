"""Learning curves: ``python -m benchmarks.learning``.

How the error falls with training points, with weights, and with the schedule, for networks that
all get the same time on one core; and semi-analytic emulators, which need no labels, beside them.
"""

import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.timing import by_batch
from datagen.cli import run
from datagen.figures import log_axis, new_figure, save_figure, style
from datagen.files import atomic, exclusive
from datagen.parallel import RayConfig, ray_map, ray_session
from datagen.record import provenance
from datagen.shards import differences
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.metrics import spectra_accuracy
from emulator.network import NetworkConfig
from emulator.optimizers import OptimizerConfig
from emulator.record import predict
from emulator.schedule import ScheduleConfig
from emulator.semianalytic.cosmology import CosmologyConfig
from emulator.semianalytic.emulator import SemiAnalyticConfig
from emulator.semianalytic.fit import FitConfig
from emulator.semianalytic.grid import MassGrid
from emulator.train import TrainConfig, fit
from emulator.train_semianalytic import check_labels, of_labels
from export.runtime import OnnxEmulator
from export.to_onnx import to_onnx

__all__ = ["Plan", "learning", "render", "timed_schedule"]

VALIDATION = 0.1
BATCHES = (1, 128)
SHOWN = ("gg_1h", "gg_2h", "gg_total")


@dataclass(frozen=True)
class Plan:
    """Which networks are trained: one changes at a time.

    Attributes:
        points: Numbers of label points, a tenth of which validate.
        units: Widths, at the largest number of points.
        layers: Depth of all.
        schedules: Schedules, at the largest number of points.
        lr: Learning rate at its highest.
        batch_size: Points in a step.
        minutes: Time of each training, on one core.
        semianalytic: Semi-analytic emulators.
        semianalytic_fit: How each of these is fitted.
    """

    points: tuple[int, ...] = (5_000, 20_000, 50_000, 200_000)
    units: tuple[int, ...] = (128, 256, 512)
    layers: int = 4
    schedules: tuple[str, ...] = ("cosine", "stages")
    lr: float = 2e-3
    batch_size: int = 256
    minutes: float = 6.0
    semianalytic: tuple[SemiAnalyticConfig, ...] = (
        SemiAnalyticConfig(MassGrid(78, 0.25, -5.45), CosmologyConfig(units=64, rank=24)),
        SemiAnalyticConfig(cosmology=CosmologyConfig(units=160)),
        SemiAnalyticConfig(),
    )
    semianalytic_fit: FitConfig = FitConfig()

    def __post_init__(self) -> None:
        for name in ("points", "units"):
            if min(getattr(self, name), default=0) < 2:
                raise ValueError(
                    f"plan.{name} = {list(getattr(self, name))} must be numbers of 2 or more"
                )
        if not self.schedules or not self.semianalytic:
            raise ValueError("plan: schedules and semianalytic must each have one entry at least")
        NetworkConfig(layers=self.layers)
        OptimizerConfig(lr=self.lr, batch_size=self.batch_size)
        for kind in self.schedules:
            timed_schedule(kind, self.minutes)  # refuses what there is not

    def runs(self) -> list[dict[str, Any]]:
        """Settings of each training; the middle width and the first schedule stand for all."""
        base = {
            "points": max(self.points),
            "units": sorted(self.units)[len(self.units) // 2],
            "schedule": self.schedules[0],
        }
        changes = [{name: value} for name, values in (
            ("points", self.points), ("units", self.units), ("schedule", self.schedules),
        ) for value in values]  # fmt: skip
        runs = [base | change for change in changes]
        return [one for i, one in enumerate(runs) if one not in runs[:i]]


def timed_schedule(kind: str, minutes: float) -> ScheduleConfig:
    """A schedule that nothing but time ends."""
    never = (100_000,) * 3
    return ScheduleConfig(kind=kind, max_epochs=never, patience=never, max_minutes=minutes)  # type: ignore[arg-type]


def _train(settings: dict[str, Any], *, plan: Plan, data: Path, out: Path) -> dict[str, Any]:
    """Train one network, in a worker."""
    torch.set_num_threads(1)
    spectra = Spectra.read(data, SHOWN)
    spectra = spectra.select(np.arange(settings["points"]))
    config = TrainConfig(
        network=NetworkConfig(layers=plan.layers, units=settings["units"]),
        optimizer=OptimizerConfig(lr=plan.lr, batch_size=plan.batch_size),
        schedule=timed_schedule(settings["schedule"], plan.minutes),
        split=Split(validation=VALIDATION, test=0.0),
    )
    start = time.process_time()
    emulator, history = fit(spectra, config)
    seconds = time.process_time() - start
    path = out / ("-".join(map(str, settings.values())) + ".safetensors")
    emulator.save(path)
    epochs = len(history["epochs"])
    return settings | {"epochs": epochs, "cpu_seconds": seconds, "path": path.name}


def _semianalytic(plan: Plan, data: Path, out: Path) -> list[dict[str, Any]]:
    """Fit the semi-analytic emulators; the labels are for their records alone."""
    spectra, found = Spectra.read(data), []
    for number, config in enumerate(plan.semianalytic, start=1):
        path = out / f"semianalytic-{number}.safetensors"
        start = time.process_time()
        emulator = of_labels(spectra, config, plan.semianalytic_fit, Split(VALIDATION, test=0.0))
        seconds = time.process_time() - start
        emulator.save(path)
        found.append({"config": asdict(config), "cpu_seconds": seconds, "path": path.name})
    return found


def _judge(path: Path, test: Spectra) -> dict[str, Any]:
    """Accuracy on the test labels, and time through onnxruntime on one core."""
    emulator = Emulator.load(path)
    names = [name for name in emulator.spec.outputs if name in SHOWN]
    predicted = predict(emulator, test.theta)
    space = Space.from_dict(test.metadata["space"])
    model = OnnxEmulator(to_onnx(path, path.with_suffix(".onnx")), threads=1)
    return {
        "weights": sum(weights.numel() for weights in emulator.parameters()),
        "standardised": emulator.spec.record["standardised"],
        "test": spectra_accuracy({name: predicted[name] for name in names}, test, space),
        "seconds": by_batch(model, test.theta, BATCHES),
    }


def learning(
    data: Path, test: Path, out: Path, plan: Plan = Plan(), ray: RayConfig = RayConfig()
) -> dict[str, Any]:
    """Train networks of P_gg that differ in one thing, and semi-analytic emulators.

    The errors are of P, on test labels that were drawn on their own and are opened here. Written
    as ``learning.json`` and a figure.

    Args:
        data: Label file, with the largest number of points of the plan.
        test: Label file to judge by, of another seed and the same halo model.
        out: Folder for the results.
        plan: Which networks.
        ray: Where they are trained, one core each.

    Returns:
        The content of ``learning.json``.

    Raises:
        ValueError: Too few labels, labels without a semi-analytic emulator, or test labels that
            are among them or of another box or halo model.
        BusyError: Another process writes in the folder.
    """
    labels, truth = Spectra.read(data, ()), Spectra.read(test, SHOWN)
    _check(labels, truth, plan, data, test)
    with exclusive(out, folder=True):
        return _learning(truth, data, out, plan, ray)


def _check(labels: Spectra, truth: Spectra, plan: Plan, data: Path, test: Path) -> None:
    """Refuse labels that the plan cannot be done with, before anything is trained."""
    if len(labels) < max(plan.points):
        raise ValueError(f"{data} has {len(labels)} points, the plan needs {max(plan.points)}")
    for config in plan.semianalytic:
        check_labels(labels, config)
    mine, theirs = ({n: one.metadata[n] for n in ("model", "space")} for one in (labels, truth))
    if differ := differences(theirs, mine):
        raise ValueError(f"{test} is not of the box and halo model of {data} ({'; '.join(differ)})")
    if {row.tobytes() for row in truth.theta} & {row.tobytes() for row in labels.theta}:
        raise ValueError(f"{test} shares points with {data}; draw it with another design.seed")


def _learning(truth: Spectra, data: Path, out: Path, plan: Plan, ray: RayConfig) -> dict[str, Any]:
    runs = plan.runs()
    work = partial(_train, plan=plan, data=data.resolve(), out=out.resolve())
    with ray_session(ray):
        done = dict(ray_map(work, runs, label="networks", unit="training"))
    networks = [done[i] for i in range(len(runs))]
    semianalytic = _semianalytic(plan, data, out)
    for one in (*networks, *semianalytic):
        one |= _judge(out / one["path"], truth)
    result = {
        "plan": asdict(plan),
        "networks": networks,
        "semianalytic": semianalytic,
        "environment": provenance(),
    }
    with atomic(out / "learning.json") as partial_file:
        partial_file.write_text(json.dumps(result, indent=1))
    with style():
        save_figure(_figure(result), out / "learning")
    print(render(result))  # noqa: T201
    return result


def render(result: dict[str, Any]) -> str:
    """The table, as Markdown."""
    points = result["semianalytic"][0]["test"]["gg_total"]["points"]
    plan = result["plan"]
    lines = [
        f"Error of the gg total on {points:,} test points, abs(P/P_true - 1) in percent, and time "
        f"per point of all outputs through onnxruntime on one core (networks: gg alone; "
        f"semi-analytic emulators: gg, gm, mm and more). Each network had {plan['minutes']:g} "
        f"minutes of wall time.",
        "",
        "| emulator | label points | schedule | CPU minutes | weights | MSE train / validation "
        "| 68 % | 95 % | 99 % | largest over k: median | "
        + " | ".join(f"us, {batch:,} at once" for batch in BATCHES)
        + " |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in result["networks"]:
        mse = " / ".join(f"{one['standardised'][p]['mse']:.1e}" for p in ("train", "validation"))
        name = f"{plan['layers']} x {one['units']}"
        lines.append(f"| {name} | {one['points']:,} | {one['schedule']} | {_numbers(one, mse)} |")
    for one in result["semianalytic"]:
        size = one["config"]
        name = f"semi-analytic, {size['cosmology']['units']} units, {size['grid']['nodes']} nodes"
        lines.append(f"| {name} | none | least squares | {_numbers(one, '')} |")
    return "\n".join(lines)


def _numbers(one: dict[str, Any], mse: str) -> str:
    record = one["test"]["gg_total"]
    errors = [record["all"][q] for q in ("68", "95", "99")] + [record["worst_k"]["50"]]
    times = [one["seconds"][str(batch)]["median"] for batch in BATCHES]
    cells = [f"{100 * x:.2g}" for x in errors] + [f"{1e6 * x:.3g}" for x in times]
    return " | ".join([f"{one['cpu_seconds'] / 60:.1f}", f"{one['weights']:,}", mse, *cells])


def _figure(result: dict[str, Any]) -> Figure:
    """95 % error of the gg total against label points, and against weights."""
    figure = new_figure(7, 3)
    plan = result["plan"]
    common = {
        "points": max(plan["points"]),
        "units": sorted(plan["units"])[len(plan["units"]) // 2],
        "schedule": plan["schedules"][0],
    }
    for axes, name, label in zip(
        figure.subplots(1, 2, sharey=True), ("points", "units"), ("label points", "weights"),
        strict=True,
    ):  # fmt: skip
        others = {key: value for key, value in common.items() if key != name}
        chosen = [one for one in result["networks"] if others.items() <= one.items()]
        chosen.sort(key=lambda one: one[name])
        x = [one["points" if name == "points" else "weights"] for one in chosen]
        for q, line in (("68", ":"), ("95", "-"), ("99", "--")):
            y = [100 * one["test"]["gg_total"]["all"][q] for one in chosen]
            axes.loglog(x, y, line, marker="o", ms=4, color="#0072B2", label=f"network, {q} %")
            best = min(one["test"]["gg_total"]["all"][q] for one in result["semianalytic"])
            axes.axhline(100 * best, ls=line, color="#D55E00", label=f"semi-analytic, {q} %")
        log_axis(axes.xaxis, "{:,.0f}".format)
        axes.set_xlabel(label)
    figure.axes[0].set_ylabel(r"$|P_\mathrm{gg} / P_\mathrm{true} - 1|$ [%]")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return figure


def main(argv: list[str] | None = None) -> None:
    """Command line of `learning`."""
    run(learning, "python -m benchmarks.learning", argv)


if __name__ == "__main__":
    main()
