"""Style of all figures: sizes, fonts, labels with units, colours for the colour-blind.

Colours are those of Okabe & Ito (2008, https://jfly.uni-koeln.de/color/). Figures are made
without pyplot, and so without a window system and global state::

    with style():
        figure = new_figure(7, 4)
        ...
        save_figure(figure, folder / "name")
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from datagen.files import atomic
from datagen.outputs import output
from datagen.parameters import Parameter
from datagen.space import Space

__all__ = [
    "CORRELATION_COLOURS",
    "FILE_METADATA",
    "K_LABEL",
    "PART_COLOURS",
    "P_LABEL",
    "TERM_STYLES",
    "UNITS",
    "k_axis",
    "log_axis",
    "new_figure",
    "parameter_label",
    "parameter_labels",
    "save_figure",
    "spectrum_label",
    "spectrum_panels",
    "style",
]

CORRELATION_COLOURS: dict[str, str] = {"mm": "#0072B2", "gm": "#D55E00", "gg": "#009E73"}
PART_COLOURS: dict[str, str] = {"train": "#56B4E9", "validation": "#E69F00", "test": "#CC79A7"}
TERM_STYLES: dict[str, str] = {"1h": "--", "2h": ":", "total": "-"}

# file formats and their metadata; without dates, equal figures are equal files
FILE_METADATA: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {}}

# units of axes in TeX; for masses see `parameter_label`
UNITS: dict[str, str] = {
    "Mpc": "Mpc", "Mpc/h": r"$h^{-1}$ Mpc", "1/Mpc": "Mpc$^{-1}$", "Mpc^3": "Mpc$^3$",
    "1/Mpc^3": "Mpc$^{-3}$", "Msun/Mpc^2": r"M$_\odot$ Mpc$^{-2}$",
    "Msun/pc^2": r"M$_\odot$ pc$^{-2}$", "h Msun/pc^2": r"$h$ M$_\odot$ pc$^{-2}$",
}  # fmt: skip
K_LABEL = r"$k$ [Mpc$^{-1}$]"
P_LABEL = r"$P(k)$ [Mpc$^3$]"

_FEW = 30.0  # ratio of limits below which a logarithmic axis gets further tick labels

_STYLE: dict[str, object] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.3,
    "savefig.dpi": 160,
    "pdf.fonttype": 42,  # text stays text
}


def style() -> AbstractContextManager[None]:
    """Return a context manager with the settings for making and saving figures."""
    return matplotlib.rc_context(_STYLE)  # type: ignore[arg-type]


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure with a constrained layout; width and height in inches."""
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.04, wspace=0, hspace=0)
    return Figure(figsize=(width, height), layout=engine)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write ``path.png`` and ``path.pdf``; return the path of the PNG."""
    for kind, metadata in FILE_METADATA.items():
        written = path.with_name(f"{path.name}.{kind}")
        with atomic(written) as partial:
            figure.savefig(partial, format=kind, metadata=metadata)
        figure.set_layout_engine("none")  # the next one has the same, which takes half the time
    return written


def parameter_label(p: Parameter, is_log: bool) -> str:
    """Return symbol and unit of a parameter, or of its log10 if ``is_log``."""
    symbol = rf"\log_{{10}}\,{p.symbol}" if is_log else p.symbol
    if p.unit == "1":
        return f"${symbol}$"
    if p.unit == "Msun" and not is_log:
        return rf"${symbol}$ [M$_\odot$]"
    if p.unit in UNITS:
        return f"${symbol}$ [{UNITS[p.unit]}]"
    return rf"${symbol}\,/\,\mathrm{{M}}_\odot$"


def parameter_labels(space: Space) -> dict[str, str]:
    """Return the axis labels of the parameters as sampled, by name."""
    return {name: parameter_label(p, space[name].is_log) for name, p in space.parameters.items()}


def spectrum_label(name: str) -> str:
    """Return the symbol of a spectrum: ``gg_1h``, ``gm_total``, ``P_lin``, ..."""
    return f"${output(name).symbol}$"


def spectrum_panels(
    names: Iterable[str], width: float = 2.6, height: float = 2.1
) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a titled panel for each spectrum, and one row each for mm, gm, gg.

    All panels share their axes.

    Args:
        names: Spectra ``gg_1h``, ...; other outputs have no panel.
        width: Width of a panel [inches].
        height: Height of a panel [inches].

    Returns:
        The figure, and its panels by name.
    """
    shown = [one for one in map(output, names) if one.correlation]
    rows = [xy for xy in CORRELATION_COLOURS if xy in {one.correlation for one in shown}]
    columns = [term for term in TERM_STYLES if term in {one.term for one in shown}]
    figure = new_figure(width * len(columns) + 0.6, height * len(rows) + 0.5)
    grid = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    panels = {}
    for one in shown:
        axes = grid[rows.index(one.correlation), columns.index(one.term)]
        axes.set_axis_on()
        axes.set_title(spectrum_label(one.name))
        panels[one.name] = axes
    return figure, panels


def k_axis(axes: Axes, k: object, label: bool = True) -> None:
    """Set up a logarithmic x axis over wavenumbers.

    Args:
        axes: Panel.
        k: Wavenumbers [1/Mpc], shape (K,), K >= 2.
        label: Whether to label the axis.
    """
    axes.set_xscale("log")
    axes.set_xlim(k[0], k[-1])  # type: ignore[index]
    if label:
        axes.set_xlabel(K_LABEL)


def log_axis(axis: Axis, text: Callable[[float], str]) -> None:
    """Make an axis logarithmic, with labels at 2 and 5 too if it spans few decades.

    Args:
        axis: x or y axis of a panel.
        text: Function that returns the label of a tick.
    """
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    axis.set_major_formatter(lambda value, _: text(value))

    def minor(value: float, _: object) -> str:
        low, high = axis.get_view_interval()
        return text(value) if high < _FEW * low and f"{value:e}"[0] in "25" else ""

    axis.set_minor_formatter(minor)
