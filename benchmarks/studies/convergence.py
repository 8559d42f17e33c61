"""Numerical errors of the labels: integrals over mass, and linear power.

``hodspectra convergence`` prints the tables that the defaults of `datagen.halomodel` are based on.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import simpson
from scipy.stats import qmc
from tqdm.auto import tqdm

from benchmarks.study import Study
from datagen.ccl import camb_power
from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.linear_power import LinearPower
from datagen.outputs import CORRELATIONS, spectra_of
from datagen.power import linear_power as make_linear_power
from datagen.space import Space, parameters_of
from emulator.metrics import fractional_error

__all__ = ["STUDY", "convergence", "render"]

Array = NDArray[np.float64]
Errors = dict[str, dict[str, dict[str, float]]]  # row -> spectrum -> percentile -> error

TERMS = spectra_of(CORRELATIONS, ("1h", "2h"))
PERCENTILES = (50, 99, 100)
PANELS, NODES = 200, 24  # of the reference; 300 x 20 differs by 4e-7
MASSES = (129, 513, 1025, 4097)
SIGMAS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.001)
TABLES = {
    "quadrature": "integrals over mass",
    "thresholds": "integrals over mass, by the width of the threshold",
    "linear_power": "table of linear power",
}
OCCUPATION = "linke22"  # its threshold has the width that is varied
_NAMES = tuple(parameters_of(OCCUPATION))
_SIGMA = _NAMES.index("sigma")
CAMB_K = 10.0  # largest k of pyccl's default CAMB [1/Mpc]; beyond, ln P continues as a parabola


class _EqualPanels(HaloModel):
    """A halo model with panels of equal width in ln M."""

    def __init__(self, config: HaloModelConfig, table: LinearPower | None) -> None:
        super().__init__(config, table)
        self._edges = np.linspace(self._edges[0], self._edges[-1], config.panels + 1)


class _EvenMasses(HaloModel):
    """A halo model with evenly spaced masses in ln M and one rule for all, as in other codes."""

    def __init__(
        self, config: HaloModelConfig, table: LinearPower | None, rule: Any, masses: int
    ) -> None:
        super().__init__(config, table)
        ln_M, step = np.linspace(self._edges[0], self._edges[-1], masses, retstep=True)
        weights = [rule(row, dx=step) for row in np.identity(masses)]
        self._rule = np.exp(ln_M), np.array(weights)

    def _masses(self, hod: dict[str, float]) -> tuple[Array, Array]:
        return self._rule


def quadrature(model: HaloModelConfig, table: LinearPower | None, theta: Array) -> Errors:
    """Errors of rules for the integrals over mass, beginning with the configured one.

    Args:
        model: The halo model whose rule is varied.
        table: Its linear power.
        theta: Points, shape (N, P).
    """
    truth = HaloModel(replace(model, panels=PANELS, panel_nodes=NODES), table)(theta)
    panels, nodes = model.panels, model.panel_nodes
    rules = {f"{panels} panels x {nodes}": HaloModel(model, table)}
    for p, n in ((panels // 2, nodes), (2 * panels, nodes), (panels, nodes // 2), (panels, 24)):
        rule = replace(model, panels=p, panel_nodes=n)
        rules[f"{p} panels x {n}"] = HaloModel(rule, table)
    rules[f"{panels} equal panels x {nodes}"] = _EqualPanels(model, table)
    rules[f"trapezoid, {MASSES[1]}"] = _EvenMasses(model, table, np.trapezoid, MASSES[1])
    rules |= {f"Simpson, {n}": _EvenMasses(model, table, simpson, n) for n in MASSES}
    return {
        name: _errors(halo_model(theta), truth)
        for name, halo_model in tqdm(rules.items(), desc="rules")
    }


def thresholds(model: HaloModelConfig, table: LinearPower | None, theta: Array) -> Errors:
    """Errors of the configured rule, and of Simpson's, by width of the threshold."""
    reference = HaloModel(replace(model, panels=PANELS, panel_nodes=NODES), table)
    rules = {f"{model.panels} panels x {model.panel_nodes}": HaloModel(model, table)}
    rules |= {f"Simpson, {n}": _EvenMasses(model, table, simpson, n) for n in MASSES[1::2]}
    rows: Errors = {}
    for sigma in tqdm(SIGMAS, desc="thresholds"):
        theta = theta.copy()
        theta[:, _SIGMA] = sigma
        truth = reference(theta)
        for name, halo_model in rules.items():
            rows[f"sigma = {sigma:g}, {name}"] = _errors(halo_model(theta), truth)
    return rows


def linear_power(model: HaloModelConfig, table: LinearPower | None, theta: Array) -> Errors:
    """Errors of the table, and of CAMB with pyccl's defaults, relative to CAMB at every point.

    `benchmarks.studies.camb_accuracy` measures the errors of CAMB itself.
    """
    ours = HaloModel(model, table)
    direct = HaloModel(replace(model, linear_power="camb"))
    rows = [direct(point[None]) for point in tqdm(theta, desc="CAMB", unit="pt")]
    camb = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    points = [dict(zip(_NAMES, map(float, point), strict=True)) for point in theta]
    pyccl = [camb_power(p, ours.k, p["z"]) for p in tqdm(points, desc="pyccl", unit="pt")]
    return {
        "table / CAMB": _errors(ours(theta), camb, ours.k),
        "pyccl's defaults / CAMB": _errors({"P_lin": np.array(pyccl)}, camb, ours.k),
    }


def _errors(
    out: dict[str, Array], truth: dict[str, Array], k: Array | None = None
) -> dict[str, dict[str, float]]:
    """Percentiles of |P / P_true - 1| by term, and of P_lin by range of k."""
    error = {t: fractional_error(out[t], truth[t]) for t in TERMS if t in out and t in truth}
    if k is not None:
        P_lin = fractional_error(out["P_lin"], truth["P_lin"])
        low, high = f"P_lin, k <= {CAMB_K:g}", f"P_lin, k > {CAMB_K:g}"
        error = {low: P_lin[:, k <= CAMB_K], high: P_lin[:, k > CAMB_K]} | error
    return {
        name: {f"{q}": float(f"{np.percentile(e, q):.3g}") for q in PERCENTILES}
        for name, e in error.items()
    }


def render(record: dict[str, Any]) -> str:
    """Format tables with a row for each setting and a column for each spectrum, as text."""
    return "\n\n".join(_render(title, record[name]) for name, title in TABLES.items())


def _render(title: str, rows: Errors) -> str:
    names = list(dict.fromkeys(name for by_name in rows.values() for name in by_name))
    width = max(map(len, rows))
    lines = [f"{title}: errors at 99 % / of all", " " * width + "".join(f"{n:>17}" for n in names)]
    for row, by_name in rows.items():
        cells = [
            f"{by_name[n]['99']:.1e}/{by_name[n]['100']:.1e}" if n in by_name else "" for n in names
        ]
        lines.append((f"{row:<{width}}" + "".join(f"{cell:>17}" for cell in cells)).rstrip())
    return "\n".join(lines)


def convergence(
    quadrature_points: int = 100,
    linear_power_points: int = 30,
    seed: int = 1,
    space: Space = Space(),
    model: HaloModelConfig = HaloModelConfig(),
) -> dict[str, Any]:
    """Measure the errors |P / P_ref - 1| of the labels, over all points and wavenumbers.

    Args:
        quadrature_points: Number of random points for the integrals over mass, 0.3 s each; their
            sigma is log-uniform from 0.01 to 1.
        linear_power_points: Number of random points for the table of linear power, 4 s each.
        seed: Seed of the points.
        space: Ranges of the points, with the occupation linke22.
        model: The halo model, of the kind ``standard`` and with a table.

    Raises:
        ValueError: Another halo model or occupation, or no points.

    Returns:
        Tables ``quadrature``, ``thresholds`` and ``linear_power`` of percentiles.
    """
    if min(quadrature_points, linear_power_points) < 1:
        raise ValueError(
            f"quadrature_points = {quadrature_points} and linear_power_points = "
            f"{linear_power_points} must be at least 1"
        )
    if model.model != "standard" or model.linear_power != "table":
        raise ValueError(
            f"model = {model.model!r} with linear_power: {model.linear_power} has nothing to "
            f"converge; choose standard and table"
        )
    if space.occupation != OCCUPATION:
        raise ValueError(
            f"space.occupation = {space.occupation!r}: thresholds are those of {OCCUPATION}"
        )
    table = make_linear_power(model, space)
    rng = np.random.default_rng(seed)
    unit = qmc.LatinHypercube(len(_NAMES), rng=rng).random(quadrature_points)
    theta = space.from_unit(unit)
    theta[:, _SIGMA] = 0.01 ** unit[:, _SIGMA]
    results = {
        "quadrature": quadrature(model, table, theta),
        "thresholds": thresholds(model, table, theta),
        "linear_power": linear_power(
            model, table, space.from_unit(rng.random((linear_power_points, len(_NAMES))))
        ),
    }
    return {"points": [quadrature_points, linear_power_points], "seed": seed, **results}


STUDY = Study("convergence", convergence, render)
main = STUDY.main

if __name__ == "__main__":
    main()
