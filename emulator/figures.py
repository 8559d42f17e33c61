"""Figures of a training: losses, and accuracy over k."""

from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from datagen.figures import (
    CORRELATION_COLOURS,
    PART_COLOURS,
    k_axis,
    log_axis,
    new_figure,
    spectrum_panels,
)
from datagen.outputs import output

__all__ = [
    "BANDS",
    "ERROR_LABEL",
    "accuracy_figure",
    "error_axis",
    "history_figure",
    "percent",
]

ERROR_LABEL = r"$|P / P_\mathrm{true} - 1|$"
BANDS = {"68": 0.45, "95": 0.25, "99": 0.12}  # percentile -> opacity


def history_figure(epochs: list[dict[str, Any]]) -> Figure:
    """Draw training and validation loss against epochs, with the learning rate below.

    Args:
        epochs: ``epoch``, ``lr``, ``train_loss`` and ``val_loss`` of each epoch.
    """
    figure = new_figure(6, 4.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    x = [epoch["epoch"] for epoch in epochs]
    for part, name in (("train", "train_loss"), ("validation", "val_loss")):
        losses = [epoch[name] for epoch in epochs]
        top.plot(x, losses, color=PART_COLOURS[part], label=part, lw=1)
    best = int(np.nanargmin([epoch["val_loss"] for epoch in epochs]))
    top.plot(x[best], epochs[best]["val_loss"], "o", color="0.2", ms=4, label="best")
    top.set_yscale("log")
    top.set_ylabel(r"mean square error of standardised $\ln P$")
    top.legend()
    bottom.step(x, [epoch["lr"] for epoch in epochs], color="0.3", where="mid")
    bottom.set_yscale("log")
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("epoch")
    return figure


def accuracy_figure(
    k: Any, records: dict[str, dict[str, Any]], some: dict[str, dict[str, Any]] | None = None,
    label: str = "",
) -> Figure:  # fmt: skip
    """Draw bands of abs(P/P_true - 1) over k that contain 68, 95 and 99 % of the points.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        records: Output of `emulator.metrics.spectra_accuracy`.
        some: Records of a subset of the points, drawn as dashed lines.
        label: Label of the subset.
    """
    figure, panels = spectrum_panels(records)
    for spectrum, axes in panels.items():
        colour = CORRELATION_COLOURS[output(spectrum).correlation]
        for q, opacity in BANDS.items():
            per_k = records[spectrum]["per_k"][q]
            axes.fill_between(k, per_k, color=colour, alpha=opacity, lw=0)
            axes.plot(k, per_k, color=colour, lw=0.8)
            if some:
                axes.plot(k, some[spectrum]["per_k"][q], color="0.2", lw=0.9, ls=(0, (3, 2)))
        error_axis(axes.yaxis)
        k_axis(axes, k, label=axes.get_subplotspec().is_last_row())  # type: ignore[union-attr]
        if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axes.set_ylabel(ERROR_LABEL)
    handles: list[Any] = [Patch(color="0.3", alpha=opacity, lw=0, label=f"{q} % of points")
                          for q, opacity in BANDS.items()]  # fmt: skip
    if some:
        handles.append(Line2D([], [], color="0.2", lw=0.9, ls=(0, (3, 2)), label=label))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def error_axis(axis: Axis) -> None:
    """Make an axis of fractional errors logarithmic, with labels in percent."""
    log_axis(axis, percent)


def percent(value: float) -> str:
    """Return a fraction as a tick label in percent."""
    return f"{100 * value:.6g} %".replace("-", "−")
