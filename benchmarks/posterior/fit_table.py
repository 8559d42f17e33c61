"""Tables of fits in Markdown: one fit in full, or all fits of a folder in columns."""

import json
from pathlib import Path
from typing import Any

__all__ = ["render"]


def render(result: dict[str, Any] | Path) -> str:
    """Format a fit, or all fits of a folder: a table for each survey, a column for each fit.

    Args:
        result: The content of a ``fit.json``, or a folder of such files, named
            ``SURVEY_SAMPLE.json``.
    """
    if not isinstance(result, Path):
        return _single(result)
    surveys: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(result.glob("*.json")):
        survey, *_ = path.stem.split("_")
        surveys.setdefault(survey, []).append(json.loads(path.read_text()))
    return "\n\n".join(_beside(fits) for fits in surveys.values())


def _single(result: dict[str, Any]) -> str:
    convergence = result["convergence"]
    fixed = ", ".join(f"{name} = {value:g}" for name, value in result["fixed"].items())
    parts = ", ".join(f"{name} {value:.1f}" for name, value in result["chi2_of"].items())
    lines = [
        f"{result['measured']}. {result['emulator']} with {result['occupation']}; fixed: "
        f"{fixed or 'none'}.",
        "",
        f"{_chi2(result)} ({parts}; errors alone).",
        "",
        "| parameter | prior | best fit | median and 68 % | autocorrelation | effective | R-hat |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in result["parameters"].items():
        label = f"log10 {name}" if name in result["log10"] else name
        prior = result["priors"][name]
        text = f"{prior['low']:g} to {prior['high']:g}"
        if "sigma" in prior:
            text += f", {prior['mean']:g} +- {prior['sigma']:g}"
        lines.append(
            f"| {label} | {text} | {one['best']:.4g} | {_with_errors(one)} "
            f"| {convergence['autocorrelation'][name]:.0f} | {convergence['effective'][name]:,} "
            f"| {convergence['r_hat'][name]:.3f} |"
        )
    for name, one in result["derived"].items():
        lines.append(f"| {name} | derived | {one['best']:.4g} | {_with_errors(one)} | | | |")
    said = "converged" if convergence["is_converged"] else "NOT converged: allow more steps"
    count = f"{result['evaluations']:,}"
    if _sampler(result) == "nuts":
        walkers, evaluated = f"{convergence['walkers']} chains of NUTS", f"{count} gradients"
        said += f", {convergence['divergences']} divergences"
    else:
        walkers, evaluated = f"{convergence['walkers']} walkers", f"{count} likelihoods"
    lines += [
        "",
        f"{walkers}, {convergence['steps']:,} steps, {said}; {evaluated} in "
        f"{result['seconds']:.0f} s.",
    ]
    return "\n".join(lines)


def _chi2(result: dict[str, Any]) -> str:
    said = (
        f"chi^2 = {result['best_chi2']:.1f} with {result['degrees_of_freedom']} degrees of freedom"
    )
    probability = result["probability"]
    return said if probability is None else f"{said}, probability {probability:.2g}"


def _beside(fits: list[dict[str, Any]]) -> str:
    """Several fits in columns: median and 68 % interval of each parameter."""
    logs = {name for one in fits for name in one["log10"]}
    kinds = ("parameters", "derived")
    names = dict.fromkeys(name for kind in kinds for one in fits for name in one[kind])
    lines = ["| | " + " | ".join(one["name"] for one in fits) + " |", "|---|" + "---|" * len(fits)]

    def row(title: str, cells: list[str]) -> None:
        lines.append(f"| {title} | {' | '.join(cells)} |")

    row("occupation", [one["occupation"] for one in fits])
    row(
        "chi^2 / degrees of freedom",
        [f"{one['best_chi2']:.1f} / {one['degrees_of_freedom']}" for one in fits],
    )
    for name in names:
        found = [one["parameters"].get(name) or one["derived"].get(name) for one in fits]
        title = f"log10 {name}" if name in logs else name
        row(title, ["" if one is None else _with_errors(one) for one in found])
    chains = [one["convergence"] for one in fits]
    row("largest R-hat", [f"{max(one['r_hat'].values()):.3f}" for one in chains])
    row(
        "steps / autocorrelation time",
        [f"{one['steps'] / max(one['autocorrelation'].values()):.0f}" for one in chains],
    )
    row("converged", ["yes" if one["is_converged"] else "no" for one in chains])
    row("fewest effective samples", [f"{min(one['effective'].values()):,}" for one in chains])
    row("sampler", [{"nuts": "NUTS"}.get(which, which) for which in map(_sampler, fits)])
    row("likelihoods, or gradients", [f"{one['evaluations']:,}" for one in fits])
    row(
        "divergences",
        [f"{one['convergence']['divergences']}" if _sampler(one) == "nuts" else "" for one in fits],
    )
    return "\n".join(lines)


def _sampler(result: dict[str, Any]) -> str:
    return str(result["sampling"]["sampler"])


def _with_errors(one: dict[str, float]) -> str:
    """Median, with distances to the ends of the central 68 %."""
    up, down = one["high"] - one["median"], one["median"] - one["low"]
    if abs(one["median"]) < 1e-2:
        return f"{one['median']:.3g} +{up:.2g} -{down:.2g}"
    digits = 3 if min(up, down) < 0.1 else 2
    return f"{one['median']:.{digits}f} +{up:.{digits}f} -{down:.{digits}f}"
