"""Figures of spectra; they need matplotlib."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.outputs import CORRELATIONS, output

__all__ = ["spectra_figure"]

_LINES = {"1h": "--", "2h": ":", "total": "-"}


def spectra_figure(k: NDArray[np.float64], spectra: Mapping[str, NDArray[Any]]) -> Any:
    """Plot spectra, with a panel for each of mm, gm and gg.

    1-halo terms are dashed, 2-halo terms dotted, totals solid.

    Args:
        k: Wavenumbers [1/Mpc], shape (K,).
        spectra: Spectra [Mpc^3] by name, of one point (K,), or of a few (N, K) in N colours.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from datagen.figures import new_figure, style
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install matplotlib") from error
    kinds = {name: output(name) for name in spectra}
    panels = [one for one in CORRELATIONS if any(o.correlation == one for o in kinds.values())]
    with style():
        figure = new_figure(3.0 * len(panels) + 0.6, 3.0)
        grid = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            for name, kind in kinds.items():
                if kind.correlation == panel:
                    axes.set_prop_cycle(None)
                    lines = axes.loglog(k, np.atleast_2d(spectra[name]).T, _LINES[kind.term])
                    lines[0].set_label({"1h": "1-halo", "2h": "2-halo"}.get(kind.term, "total"))
            axes.set_title(panel)
            axes.set_xlabel("$k$ [1/Mpc]")
        grid[0].set_ylabel(r"$P(k)$ [Mpc$^3$]")
        grid[0].legend()
    return figure
