"""Figures that compare emulators: errors by k, time and size, accuracy and time."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from datagen.figures import k_axis, log_axis, new_figure, spectrum_panels
from datagen.outputs import CORRELATIONS, spectra_of
from emulator.figures import ERROR_LABEL, error_axis
from tuning.figures import pareto_front

__all__ = ["errors_figure", "pareto_figure", "size_figure"]

# Okabe & Ito's colours, and markers for colour-blind readers or more emulators than colours
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_LINES = {"68": ":", "95": "-", "99": "--"}

Models = Mapping[str, dict[str, Any]]


def _looks(models: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each emulator."""
    return {
        name: {"color": _COLOURS[i % len(_COLOURS)], "marker": _MARKS[i % len(_MARKS)]}
        for i, name in enumerate(models)
    }


def _spectra(models: Models) -> list[str]:
    """Spectra of any of the emulators."""
    every = {name for model in models.values() for name in model["accuracy"]}
    return [name for name in spectra_of(CORRELATIONS) if name in every]


def _legend(
    figure: Figure, models: Models, more: Iterable[Line2D] = (),
    where: Any = "outside upper center", **look: Any,
) -> None:  # fmt: skip
    handles = [Line2D([], [], label=name, ms=5, **(style | look))
               for name, style in _looks(models).items()]  # fmt: skip
    figure.legend(handles=[*handles, *more], loc=where,
                  ncols=4 if where.endswith("center") else 1)  # fmt: skip


def errors_figure(k: Any, models: Models) -> Figure:
    """Plot percentiles of the errors against k, a panel for each spectrum.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        models: For each emulator, its ``accuracy``; see `emulator.metrics.spectra_accuracy`.
    """
    figure, panels = spectrum_panels(_spectra(models))
    looks = _looks(models)
    for spectrum, axes in panels.items():
        for name, model in models.items():
            if spectrum not in model["accuracy"]:
                continue
            for q, line in _LINES.items():
                per_k = model["accuracy"][spectrum]["per_k"][q]
                axes.plot(k, per_k, ls=line, lw=1.1, color=looks[name]["color"])
        error_axis(axes.yaxis)
        k_axis(axes, k, label=axes.get_subplotspec().is_last_row())  # type: ignore[union-attr]
        if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axes.set_ylabel(ERROR_LABEL)
    lines = [Line2D([], [], color="0.3", lw=1.1, ls=line, label=f"{q} % of points")
             for q, line in _LINES.items()]  # fmt: skip
    _legend(figure, models, lines, marker="", lw=2)
    return figure


def size_figure(models: Models) -> Figure:
    """Plot the CPU time per point against the number of floats in the file.

    Args:
        models: For each emulator, its ``numbers`` and ``cpu_seconds``.
    """
    figure = new_figure(7.5, 3.9)
    axes = figure.subplots()
    for name, look in _looks(models).items():
        time = models[name]["cpu_seconds"]
        axes.errorbar(models[name]["numbers"], 1e6 * time["median"], yerr=5e5 * time["iqr"],
                      ms=6, lw=0, elinewidth=1, **look)  # fmt: skip
    axes.set_xlabel("numbers in the file: weights, scalings, tables")
    axes.set_ylabel(r"CPU time per point [$\mu$s]")
    log_axis(axes.xaxis, "{:,.0f}".format)
    log_axis(axes.yaxis, "{:g}".format)
    _legend(figure, models, where="outside right upper", lw=0)
    return figure


def pareto_figure(models: Models, batch: str) -> Figure:
    """Plot the 95th percentile of the errors against the time of a call, by spectrum.

    Args:
        models: For each emulator, its ``accuracy``, and ``seconds`` by batch size.
        batch: The batch size.
    """
    figure, panels = spectrum_panels(_spectra(models), width=2.7)
    looks = _looks(models)
    for spectrum, axes in panels.items():
        names = [name for name in models if spectrum in models[name]["accuracy"]]
        points = np.array([
            [1e6 * models[name]["seconds"][batch]["median"],
             models[name]["accuracy"][spectrum]["all"]["95"]] for name in names
        ])  # fmt: skip
        best = points[pareto_front(points)]
        best = best[np.argsort(best[:, 0])]
        axes.step(best[:, 0], best[:, 1], where="post", color="0.75", lw=1.2, zorder=0)
        for name, (x, y) in zip(names, points, strict=True):
            axes.plot(x, y, ms=6, **looks[name])
        log_axis(axes.xaxis, "{:g}".format)
        error_axis(axes.yaxis)
        axes.margins(0.15)
        if axes.get_subplotspec().is_last_row():  # type: ignore[union-attr]
            axes.set_xlabel(r"time of one point [$\mu$s]")
        if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axes.set_ylabel("95 % of " + ERROR_LABEL)
    front = Line2D([], [], color="0.75", lw=1.2, label="Pareto front")
    _legend(figure, models, [front], lw=0)
    return figure
