"""Figures of fits: the data with the model, and the posterior."""

from collections.abc import Mapping
from typing import Any

import corner
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.posterior.priors import Prior, Priors
from datagen.figures import TERM_STYLES, new_figure
from export.measurements import Measurements, as_record
from export.runtime import OnnxEmulator
from export.statistics import Statistic, statistic

__all__ = ["data_figure", "posterior_figure"]

Array = NDArray[np.float64]

_FINE = 100  # separations per line
_DATA, _MODEL = "0.15", "#D55E00"
_TERMS = {"1h": "1-halo", "2h": "2-halo", "total": "best fit"}
_HEADROOM = 1.6  # factor between the data and the ends of logarithmic axes


def data_figure(measured: Measurements, emulator: OnnxEmulator, best: Mapping[str, Any]) -> Figure:
    """Plot each statistic with the best fit and its terms, and residuals in standard deviations.

    Args:
        measured: The data.
        emulator: The emulator that predicts them.
        best: The best-fitting point, arrays (1,) by name.
    """
    statistics = measured.statistics
    figure = new_figure(3.4 * max(len(statistics), 1) + 0.4, 3.8)
    if not statistics:
        return figure
    model = measured.model(emulator, best)[0]
    lines = [_fine(one) for one in statistics]
    curves = emulator(best, lines)
    grid = figure.subplots(
        2, len(statistics), sharex="col", squeeze=False, gridspec_kw={"height_ratios": [3, 1]}
    )
    for one, line, (above, below) in zip(statistics, lines, grid.T, strict=True):
        rows = measured.rows[one.name]
        r, left, right = _positions(one)
        data, error = measured.data[rows], measured.errors[rows]
        above.errorbar(
            r, data, error, [r - left, right - r] if one.bins else None,
            fmt="o", ms=3, lw=0.9, color=_DATA, label="measured", zorder=3,
        )  # fmt: skip
        for term, name in zip(line.terms, line.outputs, strict=True):
            above.plot(
                line.radii, curves[name][0], TERM_STYLES[term], color=_MODEL, label=_TERMS[term]
            )
        symbol = next(iter(one.outputs.values())).symbol
        above.set(xscale="log", yscale="log", ylabel=f"${symbol}$ [{_unit(one.unit)}]")
        shown = data[data > 0]
        if len(shown):
            above.set_ylim(shown.min() / _HEADROOM, data.max() * _HEADROOM)
        below.axhline(0, color=_MODEL, lw=0.9)
        below.plot(r, (data - model[rows]) / error, "o", ms=3, color=_DATA)
        end = max(3.0, 1.1 * float(np.abs((data - model[rows]) / error).max()))
        axis = {"r": "r", "r_p": r"r_\mathrm{p}", "R": "R"}[one.axis]
        below.set(xlabel=f"${axis}$ [{_unit(one.lengths)}]", ylabel="residual / error")
        below.set_ylim(-end, end)
    grid[0, 0].legend()
    return figure


def _fine(one: Statistic) -> Statistic:
    """A statistic with its terms, at many separations over the same range."""
    radii = np.geomspace(one.radii[0], one.radii[-1], _FINE) if len(one.radii) > 1 else one.radii
    record = {**as_record(one), one.axis: radii, "bins": False, "terms": list(_TERMS)}
    return statistic({**record, "name": one.name})


def _positions(one: Statistic) -> tuple[Array, Array, Array]:
    """Positions of the points, and the ends of their bins."""
    if not one.bins:
        return one.radii, one.radii, one.radii
    left, right = one.radii[:-1], one.radii[1:]
    return np.sqrt(left * right), left, right


def _unit(unit: str) -> str:
    """A unit in TeX."""
    return unit.replace("Msun", r"M$_\odot$").replace("^2", "$^2$").replace("/h", r"/$h$")


def posterior_figure(samples: Array, priors: Priors, best: Array) -> Figure:
    """Plot the posterior of all fitted parameters, 68 % and 95 %, and the best fit.

    Args:
        samples: Samples, shape (N, F); see `Priors.coordinates`.
        priors: Priors of the parameters.
        best: The best fit, shape (F,).
    """
    F = len(priors.free)
    figure = new_figure(1.4 * F + 0.8, 1.4 * F + 0.8)
    figure.set_layout_engine(None)  # corner makes its own grid
    ends = np.quantile(samples, [0.0005, 0.9995], axis=0)
    corner.corner(
        samples, fig=figure, range=list(ends.T), color="#0072B2",
        labels=[_label(one) for one in priors.free], truths=best, truth_color=_MODEL,
        bins=30, smooth=1.0, levels=(0.68, 0.95), max_n_ticks=3, labelpad=0.15,
        plot_datapoints=False, plot_density=False, no_fill_contours=True,
        hist_kwargs={"density": True},
    )  # fmt: skip
    figure.subplots_adjust(left=0.12, bottom=0.12)
    return figure


def _label(one: Prior) -> str:
    symbol = one.symbol or rf"\mathrm{{{one.name.replace('_', ' ')}}}"
    return rf"$\log_{{10}}\,{symbol}$" if one.is_log else f"${symbol}$"
