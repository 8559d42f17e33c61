"""Figures of one emulator's errors: examples, parameter space, tails, regimes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from datagen.figures import (
    CORRELATION_COLOURS,
    P_LABEL,
    TERM_STYLES,
    k_axis,
    new_figure,
    parameter_labels,
    spectrum_label,
    spectrum_panels,
)
from datagen.label_figures import corner_panels
from datagen.outputs import name_of, output
from datagen.space import Space
from emulator.figures import BANDS, ERROR_LABEL, error_axis, percent

__all__ = ["cases_figure", "corner_figure", "regimes_figure", "tails_figure", "varied"]

Array = NDArray[np.float64]

TERM_COLOURS = {"1h": "#E69F00", "2h": "#56B4E9", "total": "black"}
_SCALE = "cividis_r"  # dark for large errors; readable for colour-blind readers
_ENDS = (5, 99)  # percentiles of the errors at the ends of the colour scale
_BINS = 12
_SHOWN = 1e-11  # fraction of the largest P below which nothing is shown
_MARKS = {"68": "o", "95": "s", "99": "^"}


def cases_figure(
    k: Array, true: Mapping[str, Array], predicted: Mapping[str, ArrayLike], titles: list[str]
) -> Figure:
    """Plot predicted and true spectra of one correlation at several points, with their ratios.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        true: True spectra [Mpc^3] by name, each (C, K).
        predicted: Predicted spectra [Mpc^3] by name, each (C, K).
        titles: Titles of the C points.
    """
    figure = new_figure(2.4 * len(titles) + 0.7, 4.6)
    grid = figure.subplots(2, len(titles), sharex=True, height_ratios=(1.7, 1), squeeze=False)
    low = min(float(np.min(P)) for P in true.values())
    high = max(float(np.max(P)) for P in true.values())
    for column, title in enumerate(titles):
        top, bottom = grid[:, column]
        for name, P_true in true.items():
            colour = TERM_COLOURS[output(name).term]
            P = np.asarray(predicted[name], np.float64)[column]
            top.plot(k, P_true[column], color=colour, lw=2.6, alpha=0.35)
            top.plot(k, P, color=colour, lw=0.9, ls=(0, (4, 2)))
            bottom.plot(k, P / P_true[column] - 1, color=colour, lw=1)
        bottom.axhline(0, color="0.6", lw=0.7, zorder=0)
        bottom.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
        bottom.yaxis.set_major_formatter(lambda value, _: percent(value))
        bottom.tick_params(axis="y", labelsize=7)
        top.set_yscale("log")
        top.set_ylim(max(low / 2, high * _SHOWN), 3 * high)
        top.tick_params(labelleft=column == 0)
        top.set_title(title)
        k_axis(bottom, k)
    grid[0, 0].set_ylabel(P_LABEL)
    grid[1, 0].set_ylabel(r"$P / P_\mathrm{true} - 1$")
    handles = [Line2D([], [], color=TERM_COLOURS[output(n).term], label=spectrum_label(n))
               for n in true]  # fmt: skip
    handles += [
        Line2D([], [], color="0.4", lw=2.6, alpha=0.5, label="truth"),
        Line2D([], [], color="0.2", lw=0.9, ls=(0, (4, 2)), label="emulator"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def corner_figure(x: Array, labels: Sequence[str], error: Array) -> Figure:
    """Plot errors across the parameter space: every pair of parameters, and each by itself.

    The colour of a point is its error, with the largest errors on top. The diagonal shows the
    median and the 95th percentile of the errors in bins with equal numbers of points.

    Args:
        x: Points as they are sampled, shape (N, P).
        labels: Labels of the P parameters.
        error: Error of each point, shape (N,).
    """
    figure, grid = corner_panels(labels, right=0.5)
    order = np.argsort(error)
    x, error = x[order], error[order]
    low, high = np.percentile(error, _ENDS)
    norm = LogNorm(low, max(high, 1.01 * low), clip=True)
    size = float(np.clip(9000 / len(x), 1.5, 12))
    for (i, j), axes in grid.items():
        if i == j:
            _profile(axes, x[:, i], error)
            axes.set_ylim(0.7 * np.percentile(error, 20), 1.4 * np.percentile(error, _ENDS[1]))
        else:
            axes.scatter(x[:, j], x[:, i], s=size, c=error, norm=norm, cmap=_SCALE, lw=0,
                         rasterized=True)  # fmt: skip
    text = 8 + 0.5 * len(labels)
    bar_axes = figure.add_axes((0.56, 0.9, 0.38, 0.018))
    bar = figure.colorbar(ScalarMappable(norm, _SCALE), cax=bar_axes, orientation="horizontal",
                          extend="both")  # fmt: skip
    error_axis(bar.ax.xaxis)
    bar.ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
    bar.ax.tick_params(labelsize=text - 2)
    bar.set_label("largest error of a point, over spectra and $k$", fontsize=text)
    handles = [Line2D([], [], color="0.2", label="diagonal: 95th percentile"),
               Line2D([], [], color="0.2", ls=":", label="median")]  # fmt: skip
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.96, 0.85), fontsize=text)
    return figure


def _profile(axes: Axes, x: Array, error: Array) -> None:
    """Plot errors against one parameter, on a second axis at the right."""
    bins = np.array_split(np.argsort(x), min(_BINS, max(1, len(x) // 20)))
    middle = [float(np.median(x[rows])) for rows in bins]
    for q, line in ((95, "-"), (50, ":")):
        y = [float(np.percentile(error[rows], q)) for rows in bins]
        axes.plot(middle, y, color="0.2", ls=line, lw=1.2)
    axes.yaxis.tick_right()
    error_axis(axes.yaxis)
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=99))
    axes.tick_params(axis="y", which="both", labelright=True, labelsize=7)
    axes.tick_params(axis="y", which="both", labelleft=False, left=False)


def tails_figure(
    errors: Mapping[str, Array], records: Mapping[str, dict[str, Any]] | None = None
) -> Figure:
    """Plot the fraction of points whose largest error over k exceeds a value, by spectrum.

    Args:
        errors: Largest error over k by spectrum, each (N,).
        records: Errors that the emulator's file states, whose percentiles are drawn as circles.
    """
    there = {output(name).correlation for name in errors}
    used = [xy for xy in CORRELATION_COLOURS if xy in there]
    figure = new_figure(max(2.9 * len(used) + 0.7, 5.5), 3.3)
    grid = figure.subplots(1, len(used), sharex=True, sharey=True, squeeze=False)
    for axes, xy in zip(grid[0], used, strict=True):
        for term in TERM_STYLES:
            name = name_of(xy, term)
            if name not in errors:
                continue
            x = np.sort(errors[name])
            share = 1 - np.arange(len(x)) / len(x)  # of points with at least this error
            axes.step(x, share, where="pre", color=TERM_COLOURS[term], lw=1.3, label=term)
            if records and name in records:
                known = {float(q): e for q, e in records[name]["worst_k"].items() if q != "100"}
                axes.plot(list(known.values()), [1 - q / 100 for q in known], "o", ms=4.5,
                          mfc="white", color=TERM_COLOURS[term])  # fmt: skip
        error_axis(axes.yaxis)
        error_axis(axes.xaxis)
        axes.set_xlabel(r"$\max_k\," + ERROR_LABEL[1:])
        axes.set_title(rf"$P_\mathrm{{{xy}}}$")
    grid[0, 0].set_ylabel("points with a larger error")
    handles, labels = _all_labels(grid[0])
    if records:
        handles.append(Line2D([], [], marker="o", ms=4.5, mfc="white", color="0.3", lw=0))
        labels.append("the emulator's own record")
    figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    return figure


def _all_labels(panels: Any) -> tuple[list[Any], list[str]]:
    """Handles and labels of all panels, without duplicates."""
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    names = [name for name in TERM_STYLES if name in found]
    return [found[name] for name in names], names


def regimes_figure(records: Mapping[str, dict[str, Any]]) -> Figure:
    """Plot percentiles of the errors of all points, and of those in each regime, by spectrum.

    Args:
        records: Errors by spectrum; see `emulator.metrics.spectra_accuracy`.
    """
    figure, panels = spectrum_panels(records, width=2.7, height=1.7)
    first = records[next(iter(panels))]
    regimes = list(first["regimes"])
    for name, axes in panels.items():
        record, colour = records[name], CORRELATION_COLOURS[output(name).correlation]
        rows = [record["all"], *(record["regimes"][regime]["all"] for regime in regimes)]
        for y, row in enumerate(rows):
            values = [row[q] for q in BANDS]
            axes.plot(values, [y] * len(values), color=colour, lw=1)
            for q, value in zip(BANDS, values, strict=True):
                axes.plot(value, y, _MARKS[q], ms=4.5, color=colour)
        axes.axhline(0.5, color="0.8", lw=0.7)
        axes.set_yticks(range(len(rows)), ["all points", *regimes])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        error_axis(axes.xaxis)
        if axes.get_subplotspec().is_last_row():  # type: ignore[union-attr]
            axes.set_xlabel(ERROR_LABEL)
    handles = [Line2D([], [], marker=mark, ms=4.5, lw=0, color="0.3", label=f"{q} % of errors")
               for q, mark in _MARKS.items()]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def varied(theta: Array, space: Space) -> tuple[Array, list[str]]:
    """Points as they are sampled, without fixed parameters, and labels of the columns."""
    x, log = np.array(theta), space.is_log
    x[:, log] = np.log10(x[:, log])
    columns = np.flatnonzero(np.ptp(x, axis=0) > 0)
    labels = list(parameter_labels(space).values())
    return x[:, columns], [labels[i] for i in columns]
