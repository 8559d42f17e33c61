"""Figures of a training: its losses, and its accuracy over k."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from datagen.figures import (
    CORRELATION_COLOURS,
    PART_COLOURS,
    k_axis,
    new_figure,
    spectrum_label,
)

__all__ = ["accuracy_figure", "history_figure"]

_BANDS = {"68": 0.45, "95": 0.25, "99": 0.12}  # percentile -> opacity


def history_figure(epochs: list[dict[str, Any]]) -> Figure:
    """Training and validation loss against epochs, with the learning rate below.

    Args:
        epochs: ``epoch``, ``lr``, ``train_loss``, ``val_loss`` of each.
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


def accuracy_figure(k: Any, records: dict[str, dict[str, Any]]) -> Figure:
    """Bands of abs(P/P_true - 1) over k that hold 68, 95 and 99 % of the points.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        records: `emulator.metrics.spectra_accuracy`.
    """
    records = {name: r for name, r in records.items() if name[:2] in CORRELATION_COLOURS}
    rows = list(dict.fromkeys(name.split("_")[0] for name in records))
    columns = list(dict.fromkeys(name.split("_")[1] for name in records))
    figure = new_figure(2.6 * len(columns) + 0.6, 2.1 * len(rows) + 0.5)
    grid = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for i, xy in enumerate(rows):
        for j, term in enumerate(columns):
            axes, per_k = grid[i, j], records[f"{xy}_{term}"]["per_k"]
            for q, opacity in _BANDS.items():
                axes.fill_between(k, per_k[q], color=CORRELATION_COLOURS[xy], alpha=opacity, lw=0)
                axes.plot(k, per_k[q], color=CORRELATION_COLOURS[xy], lw=0.8)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
            k_axis(axes, k, label=i == len(rows) - 1)
            axes.set_title(spectrum_label(f"{xy}_{term}"))
            if j == 0:
                axes.set_ylabel(r"$|P / P_\mathrm{true} - 1|$")
    handles = [Patch(color="0.3", alpha=opacity, lw=0, label=f"{q} % of points")
               for q, opacity in _BANDS.items()]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure
