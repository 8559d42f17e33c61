"""The figure of `benchmarks.posterior.comparison`."""

from collections.abc import Mapping
from typing import Any

import corner
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.posterior.mock_data import FreeBox
from datagen.figures import new_figure, parameter_labels

__all__ = ["corner_figure"]

SHOWN = ("Om_c", "h", "sigma_8", "Mth", "Mprime", "beta")
LOOKS = {"emulator": ("emulator", "#D55E00"), "truth": ("true code", "#0072B2")}

Array = NDArray[Any]


def corner_figure(samples: Mapping[str, Array], box: FreeBox) -> Figure:
    """Plot two posteriors over each other, 68 % and 95 %, for some of the parameters.

    Args:
        samples: Points of ``emulator`` and ``truth``, each (N, F); see `FreeBox.coordinates`.
        box: The sampled parameters, with the true point.
    """
    names = [name for name in SHOWN if name in box.names]
    labels = parameter_labels(box.space)
    columns = [box.names.index(name) for name in names]
    truth = box.coordinates(box.unit(box.fiducial))[0, columns]
    figure = new_figure(7, 7)
    figure.set_layout_engine(None)  # corner makes its own grid
    ends = np.quantile(samples["emulator"][:, columns], [0.0005, 0.9995], axis=0)
    for name, points in samples.items():
        corner.corner(
            points[:, columns], fig=figure, range=list(ends.T), color=LOOKS[name][1],
            labels=[labels[name] for name in names],
            truths=truth, truth_color="0.7", bins=30, smooth=1.0, levels=(0.68, 0.95),
            max_n_ticks=3, labelpad=0.15, plot_datapoints=False, plot_density=False,
            no_fill_contours=True, hist_kwargs={"density": True},
        )  # fmt: skip
    figure.subplots_adjust(left=0.12, bottom=0.12)
    for label, colour in LOOKS.values():
        figure.axes[0].plot([], [], color=colour, label=label)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="upper right", fontsize=10)
    return figure
