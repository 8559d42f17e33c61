"""Comparison of the fits for haloes with those of pyccl: ``hodspectra ingredients``.

Formulas are compared at equal sigma, in float32 as in emulators. The labels' mass function, bias
and concentration as functions of mass are compared with pyccl's, with pyccl's own sigma(M) of the
same linear power. By default, pyccl splines sigma(M) over 13 scale factors, which limits n(M) of
rare haloes to 1 %; here it uses 60.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyccl
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.study import Study
from datagen.ccl import Fits
from datagen.growth import growth_factor, matter_fraction
from datagen.haloes import Haloes, table_haloes
from datagen.ingredients import KINDS, PARTNERS, check_densities, combinations
from datagen.power import shipped_table
from emulator.semianalytic.growth import RANGES, Growth
from emulator.semianalytic.growth_fit import box
from emulator.semianalytic.ingredients import Bias, Epoch, MassFunction, exportable

__all__ = ["STUDY", "ingredients", "listing", "render"]

Array = NDArray[np.float64]

BASES: dict[str, Any] = {
    "mass_function": pyccl.halos.MassFunc,
    "halo_bias": pyccl.halos.HaloBias,
    "concentration": pyccl.halos.Concentration,
}
M = np.geomspace(1e10, 1e16, 61)
SIGMA = np.geomspace(0.05, 20, 200)
_RARE = 1e-12  # haloes per unit of ln M and Mpc^3 below which differences are ignored
_F_RARE = np.exp(-60)
_K = np.geomspace(1e-4, 1e2, 2000)
_MOMENTS = 60
_GROWTH_POINTS = 100_000


def ingredients(points: int = 12, seed: int = 1) -> dict[str, Any]:
    """Measure the largest differences between our fits for haloes and pyccl's.

    Args:
        points: Number of cosmologies and redshifts, drawn in the widest box.
        seed: Seed of the points.

    Returns:
        ``fits``: by kind, name and definition of the mass, the largest relative differences of the
        ``formula`` (None if the graph has none) and by ``mass`` (None if no point is within the
        densities of the fit), and the number of ``points``; ``growth``: percentiles of the error of
        the growth factor D.

    Raises:
        ValueError: `points` below 1.
    """
    if points < 1:
        raise ValueError(f"points = {points} must be at least 1")
    with _fine_splines():
        fits = _compare(_points(points, seed))
    return {
        "points": points,
        "seed": seed,
        "fits": fits,
        "growth": _growth(seed),
    }


@contextmanager
def _fine_splines() -> Iterator[None]:
    """Context with many scale factors in pyccl's spline of sigma(M)."""
    pyccl.spline_params.A_SPLINE_NA_SM = _MOMENTS
    try:
        yield
    finally:
        pyccl.spline_params.reload()


def _compare(rows: list[dict[str, float]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Largest differences by kind of fit, name and definition of the mass."""
    found: dict[str, dict[str, dict[str, list[Any]]]] = {kind: {} for kind in KINDS}
    for row in tqdm(rows, desc="cosmologies", unit="pt"):
        a, cosmology = 1 / (1 + row["z"]), _cosmology(row)
        for kind, fits in KINDS.items():
            for name, masses in fits.items():
                for mass_def in masses:
                    entry = found[kind].setdefault(
                        f"{name} {mass_def}", {"formula": [], "mass": []}
                    )
                    if _covered(kind, name, mass_def, row):
                        entry["formula"].append(_formula(kind, name, mass_def, cosmology, a))
                        entry["mass"].append(_by_mass(kind, name, mass_def, row, cosmology, a))
    return {
        kind: {name: _worst(entry) for name, entry in entries.items()}
        for kind, entries in found.items()
    }


def _points(n: int, seed: int) -> list[dict[str, float]]:
    """Cosmologies and redshifts by name."""
    rng = np.random.default_rng(seed)
    Om_m, h, w0, wa, z = box(n, rng)
    Om_b, n_s, sigma_8 = rng.uniform([0.028, 0.84, 0.5], [0.07, 1.1, 1.2], (n, 3)).T
    Om_c = np.clip(Om_m - Om_b, 0.1, 0.6)
    columns = {"Om_c": Om_c, "Om_b": Om_b, "h": h, "sigma_8": sigma_8, "n_s": n_s, "w0": w0,
               "wa": wa, "z": z}  # fmt: skip
    return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values())]


def _columns(row: dict[str, float]) -> dict[str, Array]:
    return {name: np.array([value]) for name, value in row.items()}


def _cosmology(row: dict[str, float]) -> Any:
    """A pyccl cosmology with the package's linear power, from before z until today."""
    table = shipped_table()
    assert table is not None, "datagen/linear_power.npz is not of this version"
    ln_P, _ = table(_columns(row))
    a = np.linspace(0.1, 1.0, _MOMENTS)  # pyccl splines sigma(M) over all of them
    Om_m = row["Om_c"] + row["Om_b"]
    D = growth_factor(Om_m, row["h"], row["w0"], row["wa"], 1 / a - 1)
    power = np.exp(ln_P(np.log(_K))[:, 0]) * D[:, None] ** 2
    return pyccl.CosmologyCalculator(
        Omega_c=row["Om_c"], Omega_b=row["Om_b"], h=row["h"], sigma8=row["sigma_8"],
        n_s=row["n_s"], w0=row["w0"], wa=row["wa"],
        pk_linear={"a": a, "k": _K, "delta_matter:delta_matter": power},
    )  # fmt: skip


def _covered(kind: str, name: str, mass_def: str, row: dict[str, float]) -> bool:
    """Whether a mass function's table covers the haloes of a cosmology."""
    if kind != "mass_function":
        return True
    share = matter_fraction(row["Om_c"] + row["Om_b"], *(row[n] for n in ("h", "w0", "wa", "z")))
    try:
        check_densities(name, mass_def, (float(share), float(share)))
    except ValueError:
        return False
    return True


def _theirs(kind: str, name: str, mass_def: str) -> Any:
    fit = BASES[kind].from_name(name)
    loose = {} if fit._mass_def_strict_always else {"mass_def_strict": False}
    return fit(mass_def=mass_def, **loose)


def _formula(kind: str, name: str, mass_def: str, cosmology: Any, a: float) -> float | None:
    """Largest difference of f(sigma) or b(sigma), ours in float32; None without a formula."""
    base: Any = {"mass_function": MassFunction, "halo_bias": Bias}.get(kind)
    if base is None or mass_def not in base.known[name].mass_defs:
        return None
    share, theirs = cosmology.omega_x(a, "matter"), _theirs(kind, name, mass_def)
    epoch = Epoch(*(torch.tensor([[value]], dtype=torch.float32) for value in (np.log(a), share)))
    ln_sigma, ours = torch.tensor(np.log(SIGMA)[None]).float(), base.named(name, mass_def)
    if kind == "mass_function":
        expected = theirs._get_fsigma(cosmology, SIGMA, a, np.zeros_like(SIGMA))
        values = ours.ln_f(ln_sigma, epoch).double().exp().numpy()[0]
    else:
        expected = theirs._get_bsigma(cosmology, SIGMA, a)
        values = ours.b(ln_sigma, epoch).double().numpy()[0]
    there = expected > _F_RARE
    return float(np.abs(values[there] / expected[there] - 1).max())


def _by_mass(
    kind: str, name: str, mass_def: str, row: dict[str, float], cosmology: Any, a: float
) -> float:
    """Largest difference of n(M), b(M) or c(M) of the labels, without very rare haloes."""
    haloes = _labels(kind, name, mass_def, row)
    expected = _theirs(kind, name, mass_def)(cosmology, M, a)
    n, b = haloes.dn_dlnM_and_bias(M)
    if kind == "mass_function":
        values, expected = n, expected / np.log(10)
    else:
        values = b if kind == "halo_bias" else haloes.concentration(M)
    error = np.abs(values / expected - 1)[n > _RARE]
    return float(error.max()) if len(error) else 0.0


def _labels(kind: str, name: str, mass_def: str, row: dict[str, float]) -> Haloes:
    """Haloes of the labels with one fit, and other fits that can be combined with it."""
    names = {"mass_function": "Despali16", "halo_bias": "Tinker10", "concentration": "Constant"}
    names[kind] = name
    if kind == "mass_function":
        names["halo_bias"] = PARTNERS[name][0]
    if kind == "halo_bias" and name != "Tinker10":
        names["mass_function"] = "Sheth99"
    table = shipped_table()
    assert table is not None
    (haloes,) = table_haloes(_columns(row), Fits(**names, mass_def=mass_def), _K, table)
    return haloes


def _worst(entry: dict[str, list[Any]]) -> dict[str, Any]:
    """Largest differences, None if there are none, and the number of points."""
    found: dict[str, Any] = {"points": len(entry["mass"])}
    for name, values in entry.items():
        numbers = [value for value in values if value is not None]
        found[name] = float(f"{max(numbers):.2g}") if numbers else None
    return found


def _growth(seed: int) -> dict[str, dict[str, float]]:
    """Errors of the growth factor D in float32 by kind of points: 50, 95 and 100 %."""
    growth, rng = Growth(), np.random.default_rng(seed + 1)
    errors = {}
    for kind in ("", "edges", "lcdm"):
        theta = box(_GROWTH_POINTS, rng, kind)
        columns = [torch.tensor(values, dtype=torch.float32)[:, None] for values in theta]
        ln_D = growth(*columns)[0].double().numpy()[:, 0]
        error = np.abs(np.expm1(ln_D - np.log(growth_factor(*theta))))
        levels = np.percentile(error, (50, 95, 100))
        errors[kind or "box"] = {
            f"{q}": float(f"{e:.2g}") for q, e in zip((50, 95, 100), levels, strict=True)
        }
    return errors


def render(record: dict[str, Any]) -> str:
    """Format the tables, and the list of combinations, as text."""
    lines = [f"largest differences to pyccl at {record['points']} cosmologies and redshifts",
             f"{'':<42}{'formula':>10}{'of mass':>10}{'points':>8}"]  # fmt: skip
    for kind, entries in record["fits"].items():
        for name, row in entries.items():
            cells = ["-" if row[n] is None else f"{row[n]:.1e}" for n in ("formula", "mass")]
            lines.append(f"{kind + ' ' + name:<42}{cells[0]:>10}{cells[1]:>10}{row['points']:>8}")
    ranges = ", ".join(f"{name} {low:g}..{high:g}" for name, (low, high) in RANGES.items())
    lines += ["", f"D(z) in the graph, {_GROWTH_POINTS:,} points each; {ranges}"]
    for kind, row in record["growth"].items():
        lines.append(f"{kind:<8}" + "".join(f"{q:>5} %: {e:.1e}" for q, e in row.items()))
    return "\n".join([*lines, listing()])


def listing() -> str:
    """List the combinations of fits: a line for each mass function and definition of the mass."""
    groups: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for mass_function, halo_bias, concentration, mass_def in combinations():
        biases, concentrations = groups.setdefault((mass_function, mass_def), ({}, {}))
        biases[halo_bias], concentrations[concentration] = None, None
    lines = [f"\n{len(combinations())} combinations of fits in labels, of which emulators can be "
             f"exported with {len(exportable())}:"]  # fmt: skip
    lines += [f"  {one.mass_function}, {one.halo_bias}, {one.concentration}, {one.mass_def}"
              for one in exportable()]  # fmt: skip
    lines.append("and labels of:")
    for (mass_function, mass_def), (biases, concentrations) in groups.items():
        lines.append(
            f"  {mass_function} {mass_def}: bias {', '.join(biases)}; "
            f"concentration {', '.join(concentrations)}"
        )
    return "\n".join(lines)


STUDY = Study("ingredients", ingredients, render)
main = STUDY.main

if __name__ == "__main__":
    main()
