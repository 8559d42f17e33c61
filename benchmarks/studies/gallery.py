"""Figures of the effect of each parameter on spectra and statistics: ``hodspectra gallery``.

Parameters are varied one at a time around a typical point of an occupation
(`benchmarks.studies.galaxy_samples`). Each has a figure with a panel for each statistic and, below
it, the ratio to the central point. ``occupations.png`` shows the typical points of all occupations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from benchmarks.studies.galaxy_samples import GALAXIES, fiducial
from datagen.cli import run
from datagen.figures import (
    TERM_STYLES,
    UNITS,
    log_axis,
    new_figure,
    parameter_label,
    style,
)
from datagen.files import atomic
from datagen.messages import did_you_mean
from datagen.outputs import AXES, TERMS, Output, output, spectra_of
from datagen.parameters import Parameter
from datagen.space import BACKGROUND, parameters_of
from export.ranges import is_inside
from export.runtime import OnnxEmulator, load
from export.statistics import DeltaSigma, Sigma, Statistic, Wp, Xi

__all__ = ["SHOWN", "STATISTICS", "gallery", "steps"]

Array = NDArray[np.float64]

R = np.geomspace(0.05, 60.0, 90)  # Mpc, comoving
STATISTICS: dict[str, Statistic] = {
    one.name: one
    for one in (
        Wp(R, terms=TERMS),
        DeltaSigma(R, units="Msun/pc^2", terms=TERMS),
        Sigma(R, units="Msun/pc^2", terms=TERMS),
        Xi(R, "gg", terms=TERMS),
        Xi(R, "gm", terms=TERMS),
        Xi(R, "mm", terms=TERMS),
    )
}
"""Functions of separation that can be drawn, by name; spectra can be drawn, too."""
_SPECTRA = spectra_of(("gg", "gm", "mm"), ["total"])
SHOWN = ("w_p", "Delta_Sigma", "xi_gg", *_SPECTRA)
_K = np.geomspace(0.01, 50.0, 120)  # 1/Mpc
_M = np.geomspace(1e11, 3e15, 160)  # Msun
_DECADES = 10**4.5  # factor below its largest value at which a function is cut off
_LINEAR = (0.4, 2.5)  # range of ratios that are shown on a linear axis
_RATIOS = (0.03, 30.0)  # largest range of ratios that is shown
_MANY = 15
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DPI, _LEVELS = 95, 15  # few levels of each colour, for small files
_FAINT: dict[str, Any] = {"lw": 0.7, "alpha": 0.5}  # style of terms


@dataclass(frozen=True)
class _Drawn:
    """One quantity in a panel: its entry, its arguments, and its values by term."""

    what: Output
    x: Array
    terms: dict[str, Array]


def gallery(
    out: Path = Path("runs/gallery"),
    emulator: str = "tinker10",
    occupation: str = "zheng07",
    z: float = 0.3,
    statistics: Sequence[str] = SHOWN,
    parameters: Sequence[str] = (),
    values: int = 7,
    reach: float = 0.5,
) -> list[Path]:
    """Plot the effect of each parameter on the outputs of an emulator.

    Args:
        out: Folder for the figures, ``PARAMETER.png`` and ``occupations.png``.
        emulator: ONNX file of a semi-analytic emulator, or the name of a shipped one.
        occupation: Name of an occupation.
        z: Redshift.
        statistics: Quantities to plot: w_p, Delta_Sigma, Sigma [Msun/pc^2], xi_gg, xi_gm, xi_mm,
            all in comoving Mpc, gg_total, gm_total, mm_total.
        parameters: Parameters to vary; default: all, including the redshift.
        values: Number of values of each parameter, odd.
        reach: Distance of the outermost values from the centre, as a fraction of the distance to
            the ends of the range; above 0, at most 1.

    Returns:
        Paths of the figures.

    Raises:
        ValueError: An unknown statistic or parameter; a number out of range; an occupation that the
            emulator does not support.
    """
    _check(statistics, values, reach)
    model = load(emulator, occupation=occupation)
    known = parameters_of(occupation)
    for name in parameters:
        if name not in known:
            raise ValueError(
                f"parameters: there is no {name}{did_you_mean(name, known)}; the occupation "
                f"{occupation} has {', '.join(known)}"
            )
    point = fiducial(occupation, z, {p.name: p for p in model.parameters})
    model(point, "n_g")  # raises an error outside the ranges
    files = []
    with style():
        for name in parameters or known:
            at = _values(model, point, name, values, reach)
            figure = _figure(model, point, known[name], at, statistics)
            files.append(_saved(figure, out / f"{name}.png"))
        files.append(_saved(_occupations_figure(emulator, z), out / "occupations.png"))
    print("\n".join(map(str, files)))  # noqa: T201
    return files


def _check(statistics: Sequence[str], values: int, reach: float) -> None:
    known = (*STATISTICS, *_SPECTRA)
    if not statistics:
        raise ValueError(f"statistics is empty; there are {', '.join(known)}")
    for name in statistics:
        if name not in known:
            raise ValueError(
                f"statistics: there is no {name}{did_you_mean(name, known)}; there are "
                f"{', '.join(known)}"
            )
    if not 3 <= values <= _MANY or values % 2 == 0:
        raise ValueError(f"values = {values} must be an odd number, 3 to {_MANY}")
    if not 0 < reach <= 1:
        raise ValueError(f"reach = {reach:g} must be above 0 and at most 1")


def steps(middle: float, low: float, high: float, count: int, reach: float) -> Array:
    """Evenly spaced values on both sides of a central one, equally many on each side.

    Args:
        middle: The central value.
        low: Lower end of the range.
        high: Upper end of the range.
        count: Number of values, odd; fewer are returned if the central value is at an end.
        reach: Distance of the outermost values, as a fraction of the distance to the ends.
    """
    way = reach * np.linspace(0, 1, count // 2 + 1)
    down, up = middle - way * (middle - low), middle + way * (high - middle)
    return np.unique([*down, middle, *up])


def _values(
    model: OnnxEmulator, point: Mapping[str, float], name: str, count: int, reach: float
) -> Array:
    """Values of one parameter in its unit, where the emulator holds."""
    own = model.parameters[model.names.index(name)]
    if own.sampling == "log10":
        ends = np.log10([point[name], own.low, own.high])
        values = 10.0 ** steps(float(ends[0]), float(ends[1]), float(ends[2]), count, reach)
    else:
        values = steps(point[name], own.low, own.high, count, reach)
    values = values[is_inside(values, own.low, own.high)]
    return values[model.is_inside(_rows(point, name, values))]


def _rows(point: Mapping[str, float], name: str, values: Array) -> dict[str, Array]:
    return {n: np.full(len(values), value) for n, value in point.items()} | {name: values}


def _evaluated(
    model: OnnxEmulator, points: Mapping[str, Array], statistics: Sequence[str]
) -> list[_Drawn]:
    """The quantities to draw for some points, each of shape (N, X)."""
    functions = [STATISTICS[name] for name in statistics if name in STATISTICS]
    spectra = [name for name in statistics if name not in STATISTICS]
    terms = [part for name in spectra for part in (*output(name).terms, name)]
    found: dict[str, Any] = {}
    if functions:
        found |= model(points, functions, out_of_range="nan")
    if spectra:
        found |= model(points, terms, k=_K, out_of_range="nan")
    drawn = []
    for name in statistics:
        if name in STATISTICS:
            known = STATISTICS[name].outputs
            what, x = known[name], R
        else:
            known = {part: output(part) for part in (*output(name).terms, name)}
            what, x = known[name], _K
        drawn.append(_Drawn(what, x, {one.term: found[n] for n, one in known.items()}))
    return drawn


def _figure(
    model: OnnxEmulator, point: Mapping[str, float], p: Parameter, values: Array,
    statistics: Sequence[str],
) -> Figure:  # fmt: skip
    """Figure of one parameter: a panel for each statistic, ratios, and numbers of galaxies."""
    is_galaxies = p.name not in BACKGROUND
    points = _rows(point, p.name, values)
    drawn = _evaluated(model, points, statistics)
    if is_galaxies:  # matter does not depend on them
        drawn = [one for one in drawn if not one.what.is_matter]
    middle = int(np.argmin(np.abs(values - point[p.name])))
    is_log = model.parameters[model.names.index(p.name)].sampling == "log10"
    coordinates = np.log10(values) if is_log else values
    colours = ListedColormap(colormaps["viridis"](np.linspace(0, 0.92, len(values))))

    count = len(drawn) + is_galaxies
    columns = min(count, 3)
    blocks = -(-count // columns)
    figure = new_figure(2.9 * columns + 0.9, 2.9 * blocks + 0.5)
    grid = figure.add_gridspec(2 * blocks, columns, height_ratios=[2, 1] * blocks)
    places = [divmod(i, columns) for i in range(count)]
    panels = []
    for one, (row, column) in zip(drawn, places, strict=False):
        upper = figure.add_subplot(grid[2 * row, column])
        lower = figure.add_subplot(grid[2 * row + 1, column], sharex=upper)
        _draw(upper, lower, one, middle, [colours(i) for i in range(len(values))])
        panels += [upper, lower]
    if is_galaxies:
        row, column = places[-1]
        axes = figure.add_subplot(grid[2 * row : 2 * row + 2, column])
        for i in range(len(values)):
            one_point = {name: column[i] for name, column in points.items()}
            _numbers(
                axes, model, one_point, {"color": colours(i), "lw": 1.6 if i == middle else 1.0}
            )
        panels.append(axes)
    norm = BoundaryNorm(np.arange(len(values) + 1) - 0.5, len(values))
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=panels, aspect=40, pad=0.015)
    bar.set_label(parameter_label(p, is_log))
    bar.set_ticks(list(range(len(values))), labels=[f"{value:.4g}" for value in coordinates])
    bar.ax.tick_params(length=0)
    bar.ax.minorticks_off()
    bar.ax.get_yticklabels()[middle].set_fontweight("bold")
    lines = [Line2D([], [], color="0.3", ls=ls, label=term) for term, ls in TERM_STYLES.items()]
    figure.suptitle(f"{p.name}: {p.text}", fontsize=10)
    panels[0].legend(handles=lines, loc="lower left")
    return figure


def _draw(upper: Axes, lower: Axes, one: _Drawn, middle: int, colours: Any) -> None:
    """Draw a function and its terms, and the ratio of the total to the central one."""
    total = one.terms["total"]
    last = len(colours) - 1
    for i, colour in enumerate(colours):
        thick = 1.6 if i == middle else 1.0
        for term, line in TERM_STYLES.items():
            if term == "total" or i in (0, middle, last):
                look = {"lw": thick} if term == "total" else _FAINT
                upper.loglog(one.x, _positive(one.terms[term][i]), line, color=colour, **look)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = _positive(total[i]) / _positive(total[middle])
        lower.semilogx(one.x, ratio, color=colour, lw=thick)
    high = np.nanmax(total)
    low = max(np.nanmin(_positive(total)), high / _DECADES)
    upper.set(xlim=(one.x[0], one.x[-1]), ylim=(0.4 * low, 2.5 * high))
    upper.tick_params(labelbottom=False)
    upper.minorticks_off()
    lower.xaxis.minorticks_off()
    upper.set_ylabel(_label(one.what.symbol, one.what.unit), labelpad=2)
    bottom, top = lower.get_ylim()
    if bottom < _LINEAR[0] or top > _LINEAR[1]:
        log_axis(lower.yaxis, "{:g}".format)
        bottom, top = lower.get_ylim()
        lower.set_ylim(max(bottom, _RATIOS[0]), min(top, _RATIOS[1]))
    lower.set_ylabel("ratio")
    lower.set_xlabel(_axis(one.what))


def _positive(values: Any) -> Array:
    """Positive values; others are NaN, and not drawn."""
    return np.where(values > 0, values, np.nan)


def _label(symbol: str, unit: str) -> str:
    return f"${symbol}$ [{UNITS[unit]}]" if unit in UNITS else f"${symbol}$"


def _axis(one: Output) -> str:
    """Label of the axis of an output."""
    return _label(r"r_\mathrm{p}" if one.axis == "r_p" else one.axis, AXES[one.axis])


def _numbers(axes: Axes, model: OnnxEmulator, point: Mapping[str, float], look: Any) -> None:
    """Draw mean numbers of galaxies against halo mass: centrals dashed, satellites dotted."""
    columns = {name: np.full(len(_M), value) for name, value in point.items()}
    N_c, N_s, *_ = model.populations.each[0].moments(_M, columns)
    axes.loglog(_M, _positive(N_c + N_s), **look)
    for line, values in (("--", N_c), (":", N_s)):
        axes.loglog(_M, _positive(values), line, color=look["color"], **_FAINT)
    axes.minorticks_off()
    axes.set(xlim=(_M[0], _M[-1]), ylim=(0.01, 60), xlabel=r"$M$ [M$_\odot$]")
    axes.set_ylabel("galaxies: centrals dashed, satellites dotted")


def _occupations_figure(emulator: str, z: float) -> Figure:
    """Figure of galaxy numbers, w_p and Delta Sigma at the typical points of all occupations."""
    figure = new_figure(10.4, 3.9)
    numbers, *panels = figure.subplots(1, 3)
    for i, (name, colour) in enumerate(zip(GALAXIES, cycle(_COLOURS), strict=False)):
        model = load(emulator, occupation=name)
        look = {"color": colour, "ls": "-" if i < len(_COLOURS) else "-.", "lw": 1.2}
        point = fiducial(name, z, {p.name: p for p in model.parameters})
        _numbers(numbers, model, point, look | {"label": name})
        points = _rows(point, "z", np.array([z]))
        for axes, one in zip(panels, _evaluated(model, points, SHOWN[:2]), strict=True):
            axes.loglog(one.x, _positive(one.terms["total"][0]), **look)
            axes.set(xlim=(one.x[0], one.x[-1]), xlabel=_axis(one.what))
            axes.set_ylabel(_label(one.what.symbol, one.what.unit))
    figure.legend(*numbers.get_legend_handles_labels(), loc="outside right center")
    return figure


def _saved(figure: Figure, path: Path) -> Path:
    """Write a figure as a small PNG, with few levels of each colour, and return its path."""
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba()) / 255 * _LEVELS
    levels = np.round(np.round(pixels) / _LEVELS * 255).astype(np.uint8)
    with atomic(path) as partial:
        imsave(partial, levels, format="png", pil_kwargs={"optimize": True})
    return path


def main(argv: list[str] | None = None) -> None:
    """Run the command line of `gallery`."""
    run(gallery, "python -m benchmarks.studies.gallery", argv)


if __name__ == "__main__":
    main()
