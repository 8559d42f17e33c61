"""Accuracy of networks by labels, size and training: ``hodspectra learning``.

Networks that differ in one setting (label points, size, optimiser, schedule, loss) are trained with
equal work on one core, and compared with a semi-analytic emulator, which needs no labels.
"""

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.codes.timing import by_batch
from benchmarks.evaluate.tables import in_percent
from benchmarks.study import Study
from datagen.figures import log_axis, new_figure
from datagen.parallel import RayConfig, ray_map, ray_session
from datagen.shards import differences
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra
from emulator.emulator import Emulator
from emulator.metrics import spectra_accuracy
from emulator.optimizers import OptimizerConfig
from emulator.record import predict
from emulator.schedule import FinishConfig, ScheduleConfig
from emulator.train import TrainConfig, fit
from export.runtime import OnnxEmulator
from export.to_onnx import to_onnx

__all__ = ["STUDY", "Plan", "figures", "learning", "render"]

VALIDATION = 0.1
BATCHES = (1, 128)
SHOWN = ("gg_1h", "gg_2h", "gg_total")
PUBLISHED = "Adam, stages, mse"  # as the published emulators were trained


@dataclass(frozen=True)
class Plan:
    """Trainings that differ in one setting each.

    Attributes:
        points: Numbers of label points, a tenth of which are for validation.
        sizes: Numbers of hidden layers and units, with the largest number of points.
        tflop: Work of each training; see `emulator.schedule.ScheduleConfig`.
        components: Numbers of principal components of the targets.
        finish: Settings of a final optimisation with L-BFGS, of the same total work.
        float64: Fraction of the work, at the end, in float64.
        base: Settings that all others differ from in one thing.
    """

    points: tuple[int, ...] = (20_000, 50_000, 200_000)
    sizes: tuple[tuple[int, int], ...] = ((4, 128), (4, 256), (6, 128))
    tflop: float = 3.0
    components: tuple[int, ...] = (16, 32, 64)
    finish: FinishConfig = FinishConfig(evaluations=30, precision="float32")
    float64: float = 0.2
    base: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if min(self.points, default=0) < 2:
            raise ValueError(f"plan.points = {list(self.points)} must be numbers of 2 or more")
        self.runs()  # raises errors about invalid settings

    def runs(self) -> list[dict[str, Any]]:
        """Return name, number of points and settings of each training."""
        schedule = ScheduleConfig("cosine", max_epochs=(100_000,), max_tflop=self.tflop)
        stages = replace(schedule, kind="stages", max_epochs=(100_000,) * 3, patience=(10, 10, 30))
        base = replace(self.base, schedule=schedule, split=Split(validation=VALIDATION, test=0.0))
        adam = OptimizerConfig("adam", lr=2e-3, batch_size=min(256, base.optimizer.batch_size))
        muon = replace(base.optimizer, name="Muon", lr=1e-1)
        network, most = base.network, max(self.points)
        changes: dict[str, Any] = {
            "Adam": {"optimizer": adam},
            "Muon": {"optimizer": muon},
            "stages": {"schedule": stages},
            PUBLISHED: {"optimizer": adam, "schedule": stages, "loss": "mse", "weighting": 0.0},
            "mse": {"loss": "mse"},
            "errors as standardised": {"weighting": 0.0},
            "errors of P": {"weighting": 1.0},
            "L-BFGS at the end": {"schedule": replace(schedule, finish=self.finish)},
            "float64 at the end": {"schedule": replace(schedule, float64=self.float64)},
            "residual": {"network": replace(network, residual=not network.residual)},
        }
        for layers, units in self.sizes:
            sized = replace(network, layers=layers, units=units)
            changes[f"{layers} x {units}"] = {"network": sized}
        for number in self.components:
            changes[f"{number} components"] = {"network": replace(network, components=number)}
        runs = [
            {"name": f"{points:,} points", "points": points, "config": base}
            for points in self.points
        ]
        return runs + [
            {"name": name, "points": most, "config": replace(base, **change)}
            for name, change in changes.items()
        ]


def _train(settings: dict[str, Any], *, data: Path, out: Path) -> dict[str, Any]:
    """Train one network, in a worker process."""
    torch.set_num_threads(1)
    spectra = Spectra.read(data, SHOWN)
    spectra = spectra.select(np.arange(settings["points"]))
    config: TrainConfig = settings["config"]
    start = time.process_time()
    emulator, history = fit(spectra, config)
    seconds = time.process_time() - start
    path = out / (settings["name"].replace(",", "").replace(" ", "-") + ".safetensors")
    emulator.save(path)
    return {
        "name": settings["name"],
        "points": settings["points"],
        "config": config.as_dict(),
        "epochs": len(history["epochs"]),
        "steps": history["steps"],
        "cpu_seconds": seconds,
        "finish": history.get("finish"),
        "curve": [epoch["val_loss"] for epoch in history["epochs"]],
        "path": path.name,
    }


def _judge(path: Path, test: Spectra) -> dict[str, Any]:
    """Accuracy on the test labels, and time through onnxruntime on one core."""
    emulator = Emulator.load(path)
    predicted = predict(emulator, test.theta)
    space = Space.from_dict(test.metadata["space"])
    model = OnnxEmulator(to_onnx(path, path.with_suffix(".onnx")), threads=1)
    return {
        "weights": sum(weights.numel() for weights in emulator.parameters()),
        "standardised": emulator.spec.record["standardised"],
        "test": spectra_accuracy({name: predicted[name] for name in SHOWN}, test, space),
        "seconds": by_batch(model, test.theta, BATCHES),
    }


def _beside(name: str, test: Spectra) -> dict[str, Any]:
    """Accuracy and time of a semi-analytic emulator on the same labels."""
    model = OnnxEmulator(name, threads=1)
    space = Space.from_dict(test.metadata["space"])
    predicted = model(test.theta, SHOWN)
    call = partial(model, outputs=SHOWN)
    return {
        "name": name,
        "test": spectra_accuracy(predicted, test, space),
        "seconds": by_batch(call, test.theta, BATCHES),
    }


def learning(
    data: Path,
    test: Path,
    out: Path,
    plan: Plan = Plan(),
    beside: str = "standard",
    ray: RayConfig = RayConfig(),
) -> dict[str, Any]:
    """Train networks of P_gg that differ in one setting, with equal work on one core.

    Errors are those of P on separate test labels.

    Args:
        data: Label file with the largest number of points of the plan.
        test: Label file for tests, with another seed and the same halo model.
        out: Folder for the networks, ``learning.json``, ``learning.md`` and a figure.
        plan: The networks to train.
        beside: Semi-analytic emulator to compare with: an ONNX file, or the name of a shipped one.
        ray: Settings of Ray, which trains the networks on one core each.

    Returns:
        The content of ``learning.json``.

    Raises:
        ValueError: Too few labels; test labels that are among them, or of another box or halo
            model.
    """
    labels, truth = Spectra.read(data, ()), Spectra.read(test, SHOWN)
    _check(labels, truth, plan, data, test)
    work = partial(_train, data=data.resolve(), out=out.resolve())
    runs = plan.runs()
    with ray_session(ray):
        done = dict(ray_map(work, runs, label="networks", unit="training"))
    networks = [done[i] for i in range(len(runs))]
    for one in networks:
        one |= _judge(out / one["path"], truth)
    return {"plan": asdict(plan), "networks": networks, "semianalytic": _beside(beside, truth)}


def _check(labels: Spectra, truth: Spectra, plan: Plan, data: Path, test: Path) -> None:
    """Check that labels fit the plan, before anything is trained."""
    if len(labels) < max(plan.points):
        raise ValueError(f"{data} has {len(labels)} points, the plan needs {max(plan.points)}")
    mine, theirs = ({n: one.metadata[n] for n in ("model", "space")} for one in (labels, truth))
    if differ := differences(theirs, mine):
        raise ValueError(f"{test} is not of the box and halo model of {data} ({'; '.join(differ)})")
    if {row.tobytes() for row in truth.theta} & {row.tobytes() for row in labels.theta}:
        raise ValueError(f"{test} shares points with {data}; draw it with another design.seed")


def render(result: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    plan, base = result["plan"], result["plan"]["base"]
    points = result["semianalytic"]["test"]["gg_total"]["points"]
    network, optimizer = base["network"], base["optimizer"]
    lines = [
        f"Error of the gg total on {points:,} test points, abs(P/P_true - 1) in percent, and time "
        f"per point of the three gg spectra through onnxruntime on one core. Every network had "
        f"{plan['tflop']:g} * 10^12 operations on one core. First: {network['layers']} x "
        f"{network['units']} {network['activation']}, {optimizer['name']} with batches of "
        f"{optimizer['batch_size']} along a cosine, loss {base['loss']}; all others differ from "
        f"the third in one thing.",
        "",
        "| network | label points | epochs | CPU s | weights | MSE train / validation "
        "| 68 % | 95 % | 99 % | gg 1h, 95 % | "
        + " | ".join(f"us, {batch:,} at once" for batch in BATCHES)
        + " |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in result["networks"]:
        mse = " / ".join(f"{one['standardised'][p]['mse']:.1e}" for p in ("train", "validation"))
        made = [f"{one['points']:,}", str(one["epochs"]), f"{one['cpu_seconds']:.0f}",
                f"{one['weights']:,}", mse]  # fmt: skip
        lines.append(f"| {' | '.join([one['name'], *made, *_numbers(one)])} |")
    one = result["semianalytic"]
    cells = [f"semi-analytic, `{one['name']}`", "none", *[""] * 4, *_numbers(one)]
    lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_ends(result)])


def _ends(result: dict[str, Any]) -> list[str]:
    """Notes on the end of some trainings."""
    plan, lines = result["plan"], []
    for one in result["networks"]:
        if found := one.get("finish"):
            config = plan["finish"]
            lines.append(
                f"L-BFGS: {found['evaluations']} evaluations of {config['points']:,} points in "
                f"{config['precision']}; validation loss {found['before']:.4g} before, "
                f"{found['best']:.4g} after."
            )
    return [*lines, f"float64: the last {100 * plan['float64']:.0f} % of the work."]


def _numbers(one: dict[str, Any]) -> list[str]:
    record = one["test"]["gg_total"]["all"]
    errors = [record["68"], record["95"], record["99"], one["test"]["gg_1h"]["all"]["95"]]
    times = [one["seconds"][str(batch)]["median"] for batch in BATCHES]
    return [in_percent(x) for x in errors] + [f"{1e6 * x:.3g}" for x in times]


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    """Plot validation loss against work for some settings, and the 95 % error against labels."""
    figure = new_figure(8, 3.2)
    left, right = figure.subplots(1, 2)
    networks = {one["name"]: one for one in result["networks"]}
    most = max(one["points"] for one in networks.values())
    base, tflop = f"{most:,} points", result["plan"]["tflop"]
    shown = {base: "SOAP", "Muon": "Muon", "Adam": "Adam", PUBLISHED: PUBLISHED}
    for name, label in shown.items():
        curve = networks[name]["curve"]
        left.semilogy(tflop * np.arange(1, len(curve) + 1) / len(curve), curve, label=label)
    left.set_xlabel(r"work [$10^{12}$ operations]")
    left.set_ylabel("validation loss")
    left.legend()
    chosen = [one for one in result["networks"] if one["name"].endswith(" points")]
    for q, line in (("68", ":"), ("95", "-"), ("99", "--")):
        errors = [100 * one["test"]["gg_total"]["all"][q] for one in chosen]
        right.loglog([one["points"] for one in chosen], errors, line, marker="o", ms=4,
                     color="#0072B2", label=f"{q} %")  # fmt: skip
    log_axis(right.xaxis, "{:,.0f}".format)
    log_axis(right.yaxis, "{:g}".format)
    right.set_xlabel("label points")
    right.set_ylabel(r"gg total: $|P / P_\mathrm{true} - 1|$ [%]")
    right.legend()
    return {"learning": figure}


STUDY = Study("learning", learning, render, figures)
main = STUDY.main

if __name__ == "__main__":
    main()
