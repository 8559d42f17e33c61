"""Figures of a label file: parameter space, spectra, agreement of its parts, error budget."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from datagen.figures import (
    CORRELATION_COLOURS,
    P_LABEL,
    PART_COLOURS,
    TERM_STYLES,
    k_axis,
    new_figure,
    spectrum_label,
)
from datagen.outputs import CORRELATIONS, TERMS, name_of, output

__all__ = [
    "agreement_figure",
    "budget_figure",
    "corner_figure",
    "corner_panels",
    "spectra_figure",
]

Array = NDArray[np.float64]

_PAIR_COLOURS = {
    "validation - train": PART_COLOURS["validation"],
    "test - train": PART_COLOURS["test"],
    "test - validation": "black",
}


def corner_figure(x: Array, labels: Sequence[str], parts: NDArray[np.str_]) -> Figure:
    """Draw every parameter against every other, coloured by the part of the split.

    Args:
        x: Points in the sampled coordinates, shape (N, P).
        labels: Labels of the columns.
        parts: Part of the split of each point, shape (N,).
    """
    figure, grid = corner_panels(labels)
    colours = [PART_COLOURS[part] for part in parts]
    for (i, j), axes in grid.items():
        if i == j:
            _histograms(axes, x[:, i], parts)
        else:
            axes.scatter(x[:, j], x[:, i], s=1.5, c=colours, lw=0, rasterized=True)
    handles = [
        Line2D([], [], color=PART_COLOURS[part], marker="o", ls="", label=part)
        for part in PART_COLOURS
        if part in parts
    ]
    figure.legend(handles=handles, loc="upper right", fontsize=8 + 0.4 * len(labels))
    return figure


def corner_panels(
    labels: Sequence[str], right: float = 0.1
) -> tuple[Figure, dict[tuple[int, int], Axes]]:
    """Return a figure with a panel for each pair of parameters, and for each on the diagonal.

    Args:
        labels: Labels of the parameters.
        right: Margin at the right [inches].

    Returns:
        The figure, and its panels by row and column.
    """
    P = len(labels)
    size = 1.05 * P + 0.8
    figure = new_figure(size, size)
    figure.set_layout_engine("none")  # slow for many panels, and not needed here
    edges = {"left": 0.75 / size, "bottom": 0.75 / size, "right": 1 - right / size,
             "top": 1 - 0.1 / size, "wspace": 0.06, "hspace": 0.06}  # fmt: skip
    grid = figure.subplots(P, P, sharex="col", squeeze=False, gridspec_kw=edges)
    for i in range(P):
        for j in range(P):
            axes = grid[i, j]
            if j > i:
                axes.remove()
                continue
            for axis in (axes.xaxis, axes.yaxis) if i != j else (axes.xaxis,):
                axis.set_major_locator(MaxNLocator(3))
                axis.set_major_formatter(_plain)
            axes.tick_params(labelsize=8, labelleft=j == 0 < i, labelbottom=i == P - 1)
            axes.tick_params(axis="x", labelrotation=90)
            if i == P - 1:
                axes.set_xlabel(labels[j], fontsize=10)
            if j == 0 < i:
                axes.set_ylabel(labels[i], fontsize=10)
    figure.align_labels()
    return figure, {(i, j): grid[i, j] for i in range(P) for j in range(i + 1)}


def _plain(value: float, _: object) -> str:
    """Tick label with its own power of ten: 0.4, 5e14."""
    return f"{value:g}".replace("e+", "e")


def _histograms(axes: Axes, x: Array, parts: NDArray[np.str_]) -> None:
    bins = np.linspace(x.min(), x.max(), 11).tolist()
    for part, colour in PART_COLOURS.items():
        if part in parts:
            axes.hist(x[parts == part], bins, density=True, histtype="step", color=colour, lw=1.2)
    axes.set_yticks([])
    axes.set_ylim(bottom=0)


def spectra_figure(k: Array, bands: dict[str, dict[str, Any]]) -> Figure:
    """Draw median, 68 % and 95 % range of the points against k, for each correlation and term.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        bands: Percentiles 2.5, 16, 50, 84, 97.5 [Mpc^3] of each spectrum, K values each, and
            ``positive``, the fraction of points that are positive at every k; see
            `datagen.analyse.bands`.
    """
    figure = new_figure(8.5, 8)
    grid = figure.subplots(len(TERMS), len(CORRELATIONS), sharex=True, sharey="row")
    for i, term in enumerate(TERMS):
        for j, xy in enumerate(CORRELATIONS):
            axes = grid[i, j]
            name = name_of(xy, term)
            _band(axes, k, bands[name], CORRELATION_COLOURS[xy])
            if term != "1h":
                axes.plot(k, bands["P_lin"]["50"], color="0.3", ls=":", lw=1)
            axes.text(0.95, 0.93, spectrum_label(name), transform=axes.transAxes,
                      ha="right", va="top", fontsize=12)  # fmt: skip
            missing = 1 - bands[name]["positive"]
            if missing > 0:
                axes.text(0.05, 0.05, f"not positive at some $k$:\n{100 * missing:.3g} % of points",
                          transform=axes.transAxes, fontsize=8)  # fmt: skip
            k_axis(axes, k, label=i == len(TERMS) - 1)
            if j == 0:
                axes.set_ylabel(P_LABEL)
    handles = [
        Line2D([], [], color="0.3", label="median"),
        Line2D([], [], color="0.3", lw=8, alpha=0.55, label="68 % of points"),
        Line2D([], [], color="0.3", lw=8, alpha=0.25, label="95 % of points"),
        Line2D([], [], color="0.3", ls=":", lw=1, label="median " + spectrum_label("P_lin")),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


def _band(axes: Axes, k: Array, band: dict[str, Any], colour: str) -> None:
    axes.set_yscale("log", nonpositive="clip")
    for low, high, alpha in (("2.5", "97.5", 0.25), ("16", "84", 0.4)):
        axes.fill_between(k, band[low], band[high], color=colour, alpha=alpha, lw=0)
    axes.plot(k, band["50"], color=colour)


def agreement_figure(k: Array, agreement: dict[str, Any], labels: Mapping[str, str]) -> Figure:
    """Draw the differences between the parts of a split, in standard errors.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        agreement: Output of `datagen.agreement.agreement`.
        labels: Labels of the parameters, by name.
    """
    figure = new_figure(10, 6.5)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.2), squeeze=False)[0]
    allowed = agreement["verdict"]["largest_difference"]["allowed"]
    limit = 1.1 * max(allowed, agreement["verdict"]["largest_difference"]["value"])
    _feature_panel(left.subplots(), agreement["features"], labels, allowed, limit)
    grid = right.subplots(len(CORRELATIONS), 2, sharex=True, sharey=True)
    for i, xy in enumerate(CORRELATIONS):
        for j, what in enumerate(("mean", "spread")):
            axes = grid[i, j]
            _chance(axes.axhspan, axes.axhline, allowed)
            for pair, by_name in agreement["targets"].items():
                for term in TERMS:
                    if (name := name_of(xy, term)) in by_name:
                        axes.plot(k, by_name[name][what], color=_PAIR_COLOURS[pair],
                                  ls=TERM_STYLES[term], lw=1)  # fmt: skip
            axes.set_ylim(-limit, limit)
            k_axis(axes, k, label=i == len(CORRELATIONS) - 1)
            if i == 0:
                axes.set_title(f"{what} of $\\ln P$")
            if j == 0:
                axes.set_ylabel(rf"$\Delta$ {xy} [standard errors]")
    handles = [
        Line2D([], [], color="0.3", ls=line, lw=1, label=term) for term, line in TERM_STYLES.items()
    ]
    grid[0, 0].legend(handles=handles, loc="upper left", ncols=3)
    handles = [
        Line2D([], [], color=_PAIR_COLOURS[pair], label=pair.replace(" - ", " − "))
        for pair in agreement["targets"]
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _feature_panel(
    axes: Axes, differences: dict[str, Any], labels: Mapping[str, str], allowed: float, limit: float
) -> None:
    names = list(next(iter(differences.values())))
    _chance(axes.axvspan, axes.axvline, allowed)
    for shift, (pair, by_name) in zip((-0.22, 0, 0.22), differences.items(), strict=False):
        y = np.arange(len(names)) + shift
        for what, face in (("mean", _PAIR_COLOURS[pair]), ("spread", "white")):
            axes.plot([by_name[name][what] for name in names], y, "o", ms=4.5,
                      color=_PAIR_COLOURS[pair], mfc=face)  # fmt: skip
    axes.set_yticks(range(len(names)), [labels[name] for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-limit, limit)
    axes.set_xlabel(r"$\Delta$ [standard errors]")
    axes.set_title("parameters: mean ●, spread ○")


def _chance(span: Any, line: Any, allowed: float) -> None:
    """Draw the range allowed by chance as a grey band around a line at zero."""
    span(-allowed, allowed, color="0.93", zorder=0)
    line(0, color="0.6", lw=0.7, zorder=1)


def budget_figure(k: Array, budget: dict[str, Any]) -> Figure:
    """Draw the 95th percentile of the error of the labels against k, one panel per source.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        budget: Entries of `datagen.error_budget.error_budget` that were not skipped.
    """
    titles = {"quadrature": "integrals over mass", "linear_power": "table of linear power"}
    figure = new_figure(4.2 * len(budget) + 0.6, 4)
    grid = figure.subplots(1, len(budget), squeeze=False)
    for axes, (source, entry) in zip(grid[0], budget.items(), strict=True):
        axes.set_yscale("log")
        for name, errors in entry["spectra"].items():
            colour = CORRELATION_COLOURS.get(output(name).correlation, "black")
            line = TERM_STYLES.get(output(name).term, "-.")
            error = np.array(errors["per_k"]["95"])
            if source == "quadrature" and name == "P_lin":
                continue  # no integral over mass in it
            axes.plot(k, np.where(error > 0, error, np.nan), color=colour,
                      ls=line, lw=1, label=spectrum_label(name))  # fmt: skip
        axes.set_title(f"{titles[source]}, {entry['points']} points")
        k_axis(axes, k)
    grid[0, 0].set_ylabel(r"95th percentile of $|P / P_\mathrm{ref} - 1|$")
    handles, labels = grid[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure
