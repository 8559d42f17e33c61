"""Fits with models of the 1-halo to 2-halo transition: ``hodspectra transitions``.

The command finds the best fit of one file of measurements, without chains, with each model of
`export.statistics.transition`, and with the smoothed sum of both terms.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from benchmarks.posterior.fit import Posterior
from benchmarks.posterior.priors import Priors
from benchmarks.posterior.sampling import find_best
from benchmarks.study import Study
from export.measurements import Measurements, as_record
from export.runtime import load
from export.statistics import statistic

__all__ = ["STUDY", "render", "transitions"]


@dataclass(frozen=True)
class Variant:
    """One model of the transition.

    Attributes:
        says: Description in a table.
        bias: Option of the statistics.
        exclusion: Option of the statistics.
        added: Addition to the occupation.
    """

    says: str
    bias: str = ""
    exclusion: str = ""
    added: str = ""


VARIANTS = (
    Variant("sum of both terms"),
    Variant("scale-dependent bias", bias="tinker05"),
    Variant("halo exclusion", exclusion="spheres"),
    Variant("both", bias="tinker05", exclusion="spheres"),
    Variant("smoothed sum", added="+transition"),
)


def transitions(
    data: Path,
    fixed: dict[str, float] | None = None,
    priors: dict[str, Any] | None = None,
    z: float | None = None,
    emulator: str = "tinker10",
    occupation: str = "zheng07",
    generations: int = 60,
    seed: int = 1,
) -> dict[str, Any]:
    """Find the best fit of measurements with each model of the transition.

    Args:
        data: File of measurements, see `export.measurements`.
        fixed: Values of fixed parameters, by name; see ``hodspectra fit``.
        priors: Priors by name; see ``hodspectra fit``.
        z: Redshift, in place of z in fixed.
        emulator: ONNX file, or the name of a shipped emulator, with masses 200m.
        occupation: Name of an occupation, without additions.
        generations: Largest number of generations of the search.
        seed: Seed of the random numbers.

    Returns:
        chi^2 and parameters of the best fit, by model.
    """
    measured = Measurements.read(data)
    held = {**(fixed or {}), **({} if z is None else {"z": z})}
    rows = []
    for variant in tqdm(VARIANTS, desc="best fits", unit="fit"):
        kinds = [_with(one, variant) for one in measured.statistics]
        bent = Measurements(kinds, measured.data, measured.covariance, measured.numbers)
        model = load(emulator, threads=1, occupation=occupation + variant.added)
        known = Priors(model, held, priors or {})
        unit = find_best(Posterior(bent, model, known), len(known.free), generations, seed).unit
        points = known.points(unit[None])
        found = bent.model(model, points)[0]
        values = dict(zip(known.names, known.coordinates(unit[None])[0].tolist(), strict=True))
        rows.append({
            "says": variant.says,
            "chi2": float(f"{bent.chi2_of(found):.4g}"),
            "degrees_of_freedom": len(bent) - len(known.free),
            "parameters": {name: float(f"{value:.5g}") for name, value in values.items()},
        })  # fmt: skip
    return {
        "data": data.name.partition(".")[0], "occupation": occupation, "fixed": held,
        "priors": priors or {}, "generations": generations, "seed": seed, "rows": rows,
    }  # fmt: skip


def _with(one: Any, variant: Variant) -> Any:
    """A statistic with the options of a model."""
    options = {"name": one.name, "bias": variant.bias, "exclusion": variant.exclusion}
    return statistic(as_record(one) | options | {one.axis: np.array(one.radii)})


def render(result: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    names = list(dict.fromkeys(name for row in result["rows"] for name in row["parameters"]))
    lines = [
        f"Best fits of {result['data']} with {result['occupation']}",
        "",
        f"| transition | chi^2 / degrees of freedom | {' | '.join(names)} |",
        "|---|---|" + "---|" * len(names),
    ]
    for row in result["rows"]:
        cells = [f"{row['parameters'][n]:.4g}" if n in row["parameters"] else "" for n in names]
        chi2 = f"{row['chi2']:.3g} / {row['degrees_of_freedom']}"
        lines.append(f"| {' | '.join([row['says'], chi2, *cells])} |")
    return "\n".join(lines)


STUDY = Study("transitions", transitions, render)
main = STUDY.main

if __name__ == "__main__":
    main()
