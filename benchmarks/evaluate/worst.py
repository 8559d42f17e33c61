"""Search for the points where an emulator is worst: ``hodspectra worst``."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution, minimize
from tqdm.auto import tqdm

from benchmarks.evaluate.accuracy import B_EFF_MAX, F_SAT_MIN, N_G_MIN
from benchmarks.evaluate.tables import in_percent
from benchmarks.study import Study
from datagen.halomodel import HaloModel, HaloModelConfig
from datagen.occupations import occupation as by_name
from datagen.outputs import CORRELATIONS, spectra_of
from datagen.parallel import RayConfig
from datagen.power import linear_power
from datagen.space import Space, columns_by_name
from emulator.metrics import fractional_error
from export.runtime import OnnxEmulator

__all__ = ["PLANCK", "STUDY", "Galaxies", "Search", "render", "worst"]

Array = NDArray[np.float64]

# the error of a total does not exceed those of its terms
SPECTRA = spectra_of(CORRELATIONS, ("1h", "2h"))
_NELDER_MEAD = 300  # evaluations of the final search
_HEAVY = 16.5  # log10 of the halo mass [Msun]
_FINE = {"panels": 39, "panel_nodes": 24}  # errors of the label code stay below those found


@dataclass(frozen=True)
class Galaxies:
    """Conditions on the points and wavenumbers of a search.

    Attributes:
        n_g: Lower limit of the density of galaxies [1/Mpc^3].
        b_eff: Upper limit of the effective bias.
        f_sat: Lower limit of the fraction of satellites.
        heavy: Upper limit of the share of any spectrum that is due to haloes above 10^16.5 Msun. No
            halo is as massive, and labels end at 10^17 Msun.
        resolved: Whether thresholds must be resolved by the grid of halo masses; others are warned
            of (`export.sharp_thresholds`).
        sigma: Lower limit of the width of the threshold in ln M, if it has one.
        k_max: Largest wavenumber [1/Mpc].
        ranges: Narrower ranges of some parameters, ``{sigma_8: [0.7, 0.9]}``; others keep those of
            the emulator.
    """

    n_g: float = N_G_MIN
    b_eff: float = B_EFF_MAX
    f_sat: float = F_SAT_MIN
    heavy: float = 0.01
    resolved: bool = True
    sigma: float = 0.0
    k_max: float = np.inf
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def within(self, space: Space) -> Space:
        """Return the box, restricted to `ranges`.

        Raises:
            ValueError: An unknown parameter, or a range outside the box.
        """
        narrowed: dict[str, Any] = {}
        for name, (low, high) in self.ranges.items():
            if name not in space.names:
                raise ValueError(f"ranges: no parameter {name}; there are {', '.join(space.names)}")
            whole = space[name]
            if not whole.low <= low <= high <= whole.high:
                raise ValueError(
                    f"ranges: {name} from {low:g} to {high:g} must lie within the emulator's "
                    f"range, {whole.low:g} to {whole.high:g}, low before high"
                )
            narrowed[name] = replace(whole, low=low, high=high)
        return replace(space, **narrowed)


PLANCK = {
    "Om_c": (0.24, 0.28),
    "Om_b": (0.046, 0.052),
    "h": (0.65, 0.70),
    "sigma_8": (0.76, 0.86),
    "n_s": (0.95, 0.98),
    "w0": (-1.0, -1.0),
    "wa": (0.0, 0.0),
    "z": (0.0, 1.0),
}
"""Cosmologies close to that of Planck Collaboration VI 2020 (A&A 641, A6), up to z = 1."""


@dataclass(frozen=True)
class Search:
    """Settings of the search.

    Attributes:
        generations: Generations of the differential evolution.
        population: Points per generation and parameter.
        starts: Number of independent searches, of which the largest error counts.
        seed: Seed of the first generation of the first of them; others have the next ones.
    """

    generations: int = 60
    population: int = 12
    starts: int = 3
    seed: int = 1


def worst(
    emulator: str,
    galaxies: list[Galaxies] = [  # noqa: B006
        Galaxies(),
        Galaxies(resolved=False),
        Galaxies(resolved=False, ranges=PLANCK),
        Galaxies(resolved=False, k_max=10.0, ranges=PLANCK),
    ],
    search: Search = Search(),
    occupation: str = "",
    ray: RayConfig = RayConfig(),
) -> dict[str, Any]:
    """Search for the point with the largest error of any spectrum of an emulator.

    Test points show typical errors; this search shows how large errors can become. It runs
    differential evolution over the box, with the label code at every point, and then Nelder and
    Mead's method from the worst point.

    Args:
        emulator: ONNX file, or the name of a shipped emulator.
        galaxies: Conditions on the points, with a separate search for each.
        search: Settings of the search.
        occupation: Name of an occupation in place of the one in the file; semi-analytic emulators
            only.
        ray: Settings of Ray, which runs CAMB if needed.

    Returns:
        For each search, its conditions, the largest error of any spectrum, and its point and
        wavenumber.
    """
    model = OnnxEmulator(emulator, occupation=occupation or None)
    space = Space.from_dict(model.metadata["parameters"])
    config = HaloModelConfig.from_dict(model.metadata["halo_model"] | _FINE)
    power = linear_power(config, space, ray)
    light = replace(config, log10M_max=_HEAVY)
    codes = (
        HaloModel(config, power, space.occupation),
        HaloModel(light, power, space.occupation),
    )
    seeds = range(search.seed, search.seed + search.starts)
    found = []
    for one in galaxies:
        of_one = [_search(model, codes, space, one, replace(search, seed=s)) for s in seeds]
        found.append(max(of_one, key=lambda result: float(result["error"])))
    return {
        "emulator": model.path.stem,
        "occupation": space.occupation,
        "found": found,
    }


def _search(
    model: OnnxEmulator,
    codes: tuple[HaloModel, HaloModel],
    space: Space,
    galaxies: Galaxies,
    search: Search,
) -> dict[str, Any]:
    """The worst point that meets the conditions."""
    space = galaxies.within(space)
    count, evaluations = len(space.names), 0
    errors = _errors(model, codes, space, galaxies)
    size = search.population * count
    with tqdm(
        total=search.generations + 1, desc="worst point", unit="generation", disable=None
    ) as bar:

        def objective(unit: Array) -> Array:  # (P, N), or one point (P,)
            nonlocal evaluations
            points = np.atleast_2d(unit.T)
            evaluations += len(points)
            bar.update(unit.ndim > 1)
            lowest: Array = -errors(points).max(axis=(1, 2))
            return lowest

        evolved = differential_evolution(
            objective,
            [(0.0, 1.0)] * count,
            maxiter=search.generations,
            popsize=search.population,
            init=np.random.default_rng(search.seed).random((size, count)),
            rng=search.seed,
            tol=0.0,
            polish=False,
            updating="deferred",
            vectorized=True,
        )
        finished = minimize(
            lambda unit: float(objective(unit)[0]),
            evolved.x,
            method="Nelder-Mead",
            bounds=[(0.0, 1.0)] * count,
            options={"maxfev": _NELDER_MEAD},
        )
    unit = finished.x if finished.fun < evolved.fun else evolved.x
    error = errors(unit[None])[0]  # (spectra, k)
    spectrum, at = np.unravel_index(np.argmax(error), error.shape)
    return {
        "galaxies": vars(galaxies),
        "error": float(error.max()),
        "spectrum": SPECTRA[spectrum],
        "k": float(model.k[at]),
        "errors": {name: float(row.max()) for name, row in zip(SPECTRA, error, strict=True)},
        "point": dict(zip(space.names, space.from_unit(unit[None])[0].tolist(), strict=True)),
        "evaluations": evaluations,
    }


def _errors(
    model: OnnxEmulator, codes: tuple[HaloModel, HaloModel], space: Space, galaxies: Galaxies
) -> Callable[[Array], Array]:
    """Function of points in the unit cube (N, P) that gives errors (N, spectra, K), or 0."""
    within = model.k <= galaxies.k_max
    code, light = codes  # all haloes, and those that are not too heavy

    def errors(unit: Array) -> Array:
        theta = space.from_unit(unit)
        true = code(theta)
        threshold = by_name(space.occupation).threshold(columns_by_name(theta, space.names))
        predicted = model(theta, SPECTRA, out_of_range="nan")
        counts: NDArray[np.bool_] = true["n_g"] > galaxies.n_g
        counts &= true["b_eff"] < galaxies.b_eff
        counts &= true["f_sat"] >= galaxies.f_sat
        if threshold is not None:
            counts &= threshold[1] >= galaxies.sigma
        if galaxies.resolved:
            counts &= model.is_resolved(theta)
        if counts.any():
            less = light(theta[counts])
            shares = [np.abs(1 - less[n] / true[n][counts]).max(axis=1) for n in SPECTRA]
            counts[counts] = np.max(shares, axis=0) < galaxies.heavy
        each = np.stack([fractional_error(predicted[n], true[n]) for n in SPECTRA], axis=1)
        kept: Array = np.where(counts[:, None, None] & within, np.nan_to_num(each), 0.0)
        return kept

    return errors


def render(results: dict[str, Any]) -> str:
    """Format the worst points as Markdown."""
    lines = [
        f"Worst points of `{results['emulator']}` with {results['occupation']}, found by a "
        f"search: largest error of any 1-halo or 2-halo term, abs(P/P_true - 1) in percent",
        "",
        "| among points with | error | of | k [1/Mpc] | at |",
        "|---|---|---|---|---|",
    ]
    for one in results["found"]:
        at = ", ".join(f"{name} {value:.3g}" for name, value in one["point"].items())
        lines.append(
            f"| {_counted(one['galaxies'])} | {in_percent(one['error'])} | {one['spectrum']} | "
            f"{one['k']:.3g} | {at} |"
        )
    return "\n".join(lines)


def _counted(galaxies: dict[str, Any]) -> str:
    parts = [f"n_g > {galaxies['n_g']:g} 1/Mpc^3", f"b_eff < {galaxies['b_eff']:g}"]
    parts.append(f"f_sat >= {galaxies['f_sat']:g}")
    parts.append(f"less than {100 * galaxies['heavy']:g} % from haloes above 10^{_HEAVY:g} Msun")
    if galaxies["resolved"]:
        parts.append("resolved thresholds")
    if galaxies["sigma"]:
        parts.append(f"sigma >= {galaxies['sigma']:g}")
    if np.isfinite(galaxies["k_max"]):
        parts.append(f"k <= {galaxies['k_max']:g}")
    for name, (low, high) in galaxies["ranges"].items():
        parts.append(f"{name} {low:g}" if low == high else f"{name} {low:g} to {high:g}")
    return ", ".join(parts)


STUDY = Study("worst", worst, render)
main = STUDY.main

if __name__ == "__main__":
    main()
