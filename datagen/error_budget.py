"""Numerical errors of labels, against converged integrals and CAMB run at every point."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.outputs import SPECTRA
from datagen.power import linear_power
from datagen.space import Space
from datagen.store import Spectra

__all__ = ["ErrorBudget", "error_budget"]

PERCENTILES = (50, 68, 95, 99, 100)
# factors on the numbers of panels and of nodes per panel; three times more panels change the
# reference by less than 1e-8
FINER_PANELS, FINER_NODES = 4, 2


@dataclass(frozen=True)
class ErrorBudget:
    """Numbers of points of a label file to recompute more accurately.

    Attributes:
        quadrature: Points recomputed with finer integrals over mass (50 ms each); 0 for none.
        linear_power: Points recomputed with CAMB instead of the table (3 s each); 0 for none.
        seed: Seed of the choice of points.
    """

    quadrature: int = 32
    linear_power: int = 20
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("quadrature", "linear_power", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must not be negative")


def error_budget(
    spectra: Spectra, config: ErrorBudget, names: tuple[str, ...] = SPECTRA
) -> dict[str, Any]:
    """Errors |P / P_ref - 1| of stored labels against more accurate ones.

    Args:
        spectra: Labels.
        config: Numbers of points to recompute.
        names: Names of the spectra to compare.

    Returns:
        ``quadrature`` (P_ref has finer integrals over mass) and ``linear_power`` (P_ref has P_lin
        and sigma(M) from CAMB and pyccl): each with ``points`` and, by spectrum, percentiles of
        the error over all (point, k), ``all``, and over points, ``per_k``; or only ``skipped``,
        the reason why there is no comparison.
    """
    model = HaloModelConfig.from_dict(spectra.metadata["model"])
    finer = replace(
        model, panels=FINER_PANELS * model.panels, panel_nodes=FINER_NODES * model.panel_nodes
    )
    camb = replace(model, linear_power="camb")
    is_g3lhalo, is_camb = model.model == "g3lhalo", model.linear_power == "camb"
    why_not = {
        "quadrature": "the trapezoid over 128 masses defines the model" if is_g3lhalo else "",
        "linear_power": "the labels have CAMB's linear power" if is_camb else "",
    }
    budget: dict[str, Any] = {}
    for source, reference in (("quadrature", finer), ("linear_power", camb)):
        points = getattr(config, source)
        if why_not[source] or points == 0:
            budget[source] = {"skipped": why_not[source] or "no points were asked for"}
        else:
            budget[source] = _compare(spectra, reference, points, config.seed, names)
    return budget


def _compare(
    spectra: Spectra, model: HaloModelConfig, points: int, seed: int, names: tuple[str, ...]
) -> dict[str, Any]:
    """Percentiles of the error of some stored points against those of a model."""
    points = min(points, len(spectra))
    rows = np.sort(np.random.default_rng(seed).choice(len(spectra), points, replace=False))
    space = Space.from_dict(spectra.metadata["space"])
    reference = HaloModel(model, linear_power(model, space), space.occupation)
    label = "against CAMB" if model.linear_power == "camb" else "finer integrals"
    parts = [reference(spectra.theta[row : row + 1]) for row in tqdm(rows, desc=label, unit="pt")]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    truth = Spectra(spectra.theta[rows], spectra.k, arrays, spectra.metadata)
    stored = spectra.select(rows)
    return {
        "points": points,
        "spectra": {name: _percentiles(np.abs(stored[name] / truth[name] - 1)) for name in names},
    }


def _percentiles(error: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "all": {f"{q}": float(np.percentile(error, q)) for q in PERCENTILES},
        "per_k": {f"{q}": np.percentile(error, q, axis=0).tolist() for q in PERCENTILES},
    }
