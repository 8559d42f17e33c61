"""Figures of a search: progress, importances, Pareto front, and objectives across the space."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from datagen.figures import new_figure
from tuning.journal import Trial
from tuning.progress import scaled

__all__ = [
    "Dimension",
    "corner_figure",
    "importance_figure",
    "parallel_figure",
    "pareto_figure",
    "pareto_front",
    "progress_figure",
]

Array = NDArray[np.float64]

STATE_COLOURS = {"finished": "#0072B2", "stopped": "#E69F00", "open": "#56B4E9",
                 "diverged": "#D55E00", "failed": "black"}  # fmt: skip
OBJECTIVE_LABELS = {
    "val_loss": "validation loss",
    "p95": "95 % error, validation [%]",
    "p99": "99 % error, validation [%]",
    "latency_us": r"time of a point [$\mu$s]",
}
_COLOURS = colormaps["viridis"]  # the best trials are dark
_WORST = 90  # percentile of the objective above which all trials have the same colour
_NARROW, _WIDE = 3, 100  # ratios of values: below, axes are linear; above, only decades have labels
_LABELS = {"lr": "learning rate", "batch_size": "batch size", "N_bad": r"$N_\mathrm{bad}$"}


@dataclass(frozen=True)
class Dimension:
    """Axis of a hyperparameter.

    Attributes:
        name: Name of the hyperparameter.
        values: Ends of its range, or choices.
        is_log: Whether it is sampled uniformly in its logarithm.
    """

    name: str
    values: tuple[Any, ...]
    is_log: bool

    @property
    def is_choice(self) -> bool:
        """Whether the hyperparameter is a choice."""
        return isinstance(self.values[0], (str, bool))

    @property
    def label(self) -> str:
        """Label of the axis."""
        return _LABELS.get(self.name, self.name)

    def position(self, value: Any) -> float:
        """Return the position of a value on the axis, from 0 to 1."""
        if self.is_choice:
            return (self.values.index(value) + 0.5) / len(self.values)
        low, high, x = (math.log(v) if self.is_log else v for v in (*self.values, value))
        return (x - low) / (high - low)

    def ticks(self, most: int = 4) -> list[tuple[float, str]]:
        """Return positions and labels of about ``most`` ticks."""
        if self.is_choice:
            return [(self.position(value), str(value)) for value in self.values]
        low, high = self.values
        if self.is_log and high >= 10 * low:
            steps = [b * 10.0**e for e in range(-8, 8) for b in (1, 2, 5)]
            inside = [x for x in steps if low <= x <= high]
            decades = [x for x in inside if math.isclose(math.log10(x) % 1, 0, abs_tol=1e-9)]
            inside = decades if len(decades) > 2 else inside
        else:
            whole = isinstance(low, int) and isinstance(high, int)
            locator = MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10])
            inside = [float(x) for x in locator.tick_values(low, high) if low <= x <= high]
        inside = inside[:: math.ceil(len(inside) / (most + 1))] or [low]
        return [(self.position(x), _plain(x)) for x in inside]


def _plain(value: float) -> str:
    return f"{value:g}".replace("e-0", "e-")


def _shown(trial: Trial, objective: str) -> float:
    """An objective as drawn: errors in percent."""
    return scaled(objective, trial.value(objective))


def _of_colour(values: Array) -> tuple[LogNorm, NDArray[np.float64]]:
    """The colour scale, and the colour of each value."""
    low, high = values.min(), np.percentile(values, _WORST)
    norm = LogNorm(low, max(high, 1.01 * low), clip=True)
    return norm, _COLOURS(norm(values))


def _colour_bar(figure: Figure, norm: LogNorm, objective: str, axes: Any, **options: Any) -> None:
    bar = figure.colorbar(ScalarMappable(norm, _COLOURS), ax=axes, extend="max", **options)
    bar.set_label(OBJECTIVE_LABELS[objective])


def progress_figure(trials: Sequence[Trial], objective: str) -> Figure:
    """Draw the objective of each trial and the best so far, against trials and against time."""
    figure = new_figure(8.5, 3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    ended = sorted((t for t in trials if not math.isnan(t.at)), key=lambda trial: trial.at)
    values = np.array([_shown(trial, objective) for trial in ended])
    best = np.minimum.accumulate(values)
    unit, name = (3600, "h") if ended[-1].at > 7200 else (60, "min")
    numbers, times = np.arange(1, len(ended) + 1), np.array([t.at for t in ended]) / unit
    usable = np.isfinite(values)
    for axes, x in ((left, numbers), (right, times)):
        for state, colour in STATE_COLOURS.items():
            chosen = usable & np.array([trial.state == state for trial in ended])
            axes.plot(x[chosen], values[chosen], "o", ms=3.5, color=colour, lw=0)
        axes.step(x[np.isfinite(best)], best[np.isfinite(best)], color="0.2", where="post")
        _spread(axes.yaxis, axes.set_yscale, values[usable])
        for position in x[~usable]:
            axes.axvline(position, ymin=0.96, color=STATE_COLOURS["diverged"], lw=1)
    left.set_xlabel("trials that ended")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set_xlim(left=0)
    right.set_xlabel(f"time of the search [{name}]")
    left.set_ylabel(OBJECTIVE_LABELS[objective])
    handles = [Line2D([], [], color="0.2", label="best so far")]
    handles += [
        Line2D([], [], marker="o", ms=3.5, lw=0, color=colour, label=state)
        for state, colour in STATE_COLOURS.items()
        if any(t.state == state and math.isfinite(_shown(t, objective)) for t in ended)
    ]
    if not usable.all():
        handles.append(Line2D([], [], marker="|", lw=0, color=STATE_COLOURS["diverged"],
                              label="diverged or failed"))  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def importance_figure(importance: dict[str, float]) -> Figure:
    """Draw the importance of each hyperparameter as bars."""
    figure = new_figure(5.5, 0.6 + 0.32 * len(importance))
    axes = figure.subplots()
    names = sorted(importance, key=lambda name: importance[name])
    axes.barh(
        [_LABELS.get(name, name) for name in names], [importance[name] for name in names],
        color=STATE_COLOURS["finished"], height=0.65,
    )  # fmt: skip
    axes.set_xlabel("importance (all add up to 1)")
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    return figure


def corner_figure(
    trials: Sequence[Trial], dimensions: Sequence[Dimension], objective: str
) -> Figure:
    """Draw every hyperparameter against every other, coloured by the objective.

    The diagonal has the objective against each hyperparameter. Choices are jittered, so that
    trials do not overlap.
    """
    trials = sorted(trials, key=lambda trial: -_shown(trial, objective))  # the best on top
    values = np.array([_shown(trial, objective) for trial in trials])
    norm, colours = _of_colour(values)
    x = _positions(trials, dimensions)
    D = len(dimensions)
    figure = new_figure(1.35 * D + 1.4, 1.25 * D + 0.6)
    grid = figure.subplots(D, D, squeeze=False)
    for i in range(D):
        for j in range(D):
            axes = grid[i, j]
            if j > i:
                axes.remove()
                continue
            if i == j:
                axes.scatter(x[:, j], values, c=colours, s=8, lw=0)
                _spread(axes.yaxis, axes.set_yscale, values)
                axes.yaxis.tick_right()
                axes.tick_params(axis="y", which="both", labelsize=6)
            else:
                axes.scatter(x[:, j], x[:, i], c=colours, s=8, lw=0)
                _axis(axes.yaxis, dimensions[i], label=j == 0)
                axes.set_ylim(-0.05, 1.05)
            _axis(axes.xaxis, dimensions[j], label=i == D - 1)
            axes.set_xlim(-0.05, 1.05)
    figure.align_labels()
    _colour_bar(figure, norm, objective, figure.axes, aspect=40, shrink=0.8)
    return figure


def _positions(trials: Sequence[Trial], dimensions: Sequence[Dimension]) -> Array:
    """Positions of trials on all axes, shape (N, D), with jittered choices."""
    generator = np.random.default_rng(1)
    x = np.array([[d.position(trial.point[d.name]) for d in dimensions] for trial in trials])
    for i, dimension in enumerate(dimensions):
        if dimension.is_choice:
            x[:, i] += generator.uniform(-0.3, 0.3, len(x)) / len(dimension.values)
    return x


def _axis(axis: Any, dimension: Dimension, label: bool) -> None:
    positions, texts = zip(*dimension.ticks(), strict=True)
    axis.set_ticks(positions, texts if label else [""] * len(texts))
    for text in axis.get_ticklabels():
        text.set_fontsize(7)
        if axis.axis_name == "x":
            text.set_rotation(90)
    if label:
        axis.set_label_text(dimension.label)


def parallel_figure(
    trials: Sequence[Trial], dimensions: Sequence[Dimension], objective: str
) -> Figure:
    """Draw parallel coordinates: a line per trial, coloured by the objective."""
    trials = sorted(trials, key=lambda trial: -_shown(trial, objective))  # the best on top
    values = np.array([_shown(trial, objective) for trial in trials])
    norm, colours = _of_colour(values)
    figure = new_figure(1.25 * len(dimensions) + 1.2, 3.8)
    axes: Axes = figure.subplots()
    x = _positions(trials, dimensions)
    for line, colour, value in zip(x, colours, values, strict=True):
        axes.plot(line, color=colour, lw=1.6 if value == values[-1] else 0.8, alpha=0.85)
    for i, dimension in enumerate(dimensions):
        axes.axvline(i, color="0.3", lw=0.8)
        for y, text in dimension.ticks(most=6):
            axes.text(i + 0.03, y, text, fontsize=7, va="center",
                      bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 0.5})  # fmt: skip
    axes.set_xticks(range(len(dimensions)), [dimension.label for dimension in dimensions])
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlim(-0.1, len(dimensions) - 0.6)
    for side in ("top", "bottom", "left", "right"):
        axes.spines[side].set_visible(False)
    _colour_bar(figure, norm, objective, axes, aspect=30)
    return figure


def pareto_front(points: Array) -> NDArray[np.bool_]:
    """Return whether each point (N, 2) is on the Pareto front of two minimised objectives, (N,)."""
    no_worse = (points[None] <= points[:, None]).all(axis=-1)  # [i, j]: j is no worse than i
    better = (points[None] < points[:, None]).any(axis=-1)
    front: NDArray[np.bool_] = ~np.any(no_worse & better, axis=1)
    return front


def _spread(axis: Any, set_scale: Callable[[str], None], values: Array) -> None:
    """Make an axis logarithmic, with plain numbers, if its values differ enough."""
    if values.max() < _NARROW * values.min():
        return
    set_scale("log")
    plain = FuncFormatter(lambda value, _: _plain(value))
    axis.set_major_formatter(plain)
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_minor_formatter(plain if values.max() < _WIDE * values.min() else NullFormatter())


def pareto_figure(trials: Sequence[Trial], objectives: Sequence[str]) -> Figure:
    """Draw the trials in the plane of two objectives, with their Pareto front."""
    figure = new_figure(5.5, 3.8)
    axes = figure.subplots()
    points = np.array([[_shown(trial, name) for name in objectives] for trial in trials])
    front = pareto_front(points)
    axes.plot(points[:, 1], points[:, 0], "o", ms=3.5, color="0.65", label="trials")
    best = points[front][np.argsort(points[front, 1])]
    axes.step(best[:, 1], best[:, 0], "o-", ms=4.5, color=STATE_COLOURS["finished"],
              where="post", label="Pareto front")  # fmt: skip
    _spread(axes.xaxis, axes.set_xscale, points[:, 1])
    _spread(axes.yaxis, axes.set_yscale, points[:, 0])
    axes.set_xlabel(OBJECTIVE_LABELS[objectives[1]])
    axes.set_ylabel(OBJECTIVE_LABELS[objectives[0]])
    axes.legend()
    return figure
