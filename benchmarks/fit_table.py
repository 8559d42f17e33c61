"""Fits of measured galaxies, as Markdown: one in full, or those of a folder beside each other."""

import json
from pathlib import Path
from typing import Any

__all__ = ["render"]


def render(result: dict[str, Any] | Path) -> str:
    """A fit, or all fits of a folder, those with the same parameters in one table.

    Args:
        result: The content of a ``fit.json``, or a folder of such files.
    """
    if not isinstance(result, Path):
        return _single(result)
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for path in sorted(result.glob("*.json")):
        one = json.loads(path.read_text())
        groups.setdefault((one["occupation"], *one["parameters"]), []).append(one)
    return "\n\n".join(_beside(group) for group in groups.values())


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
    said = "converged" if convergence["is_converged"] else "NOT converged: give more steps"
    lines += [
        "",
        f"{convergence['walkers']} walkers, {convergence['steps']:,} steps, {said}; "
        f"{result['evaluations']:,} likelihoods in {result['seconds']:.0f} s.",
    ]
    return "\n".join(lines)


def _chi2(result: dict[str, Any]) -> str:
    said = (
        f"chi^2 = {result['best_chi2']:.1f} with {result['degrees_of_freedom']} degrees of freedom"
    )
    probability = result["probability"]
    return said if probability is None else f"{said}, probability {probability:.2g}"


def _beside(group: list[dict[str, Any]]) -> str:
    """Fits with the same parameters in one table, a row each."""
    names = list(group[0]["parameters"])
    derived = [name for name in ("f_sat", "b_eff") if all(name in one["derived"] for one in group)]
    titles = [f"log10 {name}" if name in group[0]["log10"] else name for name in names] + derived
    lines = [
        f"| data, {group[0]['occupation']} | chi^2 / degrees of freedom | {' | '.join(titles)} |",
        "|---|---|" + "---|" * len(titles),
    ]
    for one in group:
        found = {**one["parameters"], **one["derived"]}
        cells = [_with_errors(found[name]) for name in (*names, *derived)]
        mark = "" if one["convergence"]["is_converged"] else " (not converged)"
        chi2 = f"{one['best_chi2']:.1f} / {one['degrees_of_freedom']}"
        lines.append(f"| {one['name']}{mark} | {chi2} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _with_errors(one: dict[str, float]) -> str:
    """Median, and how far it is to the ends of 68 %: to two digits of the smaller error."""
    up, down = one["high"] - one["median"], one["median"] - one["low"]
    if abs(one["median"]) < 1e-2:
        return f"{one['median']:.3g} +{up:.2g} -{down:.2g}"
    digits = 3 if min(up, down) < 0.1 else 2
    return f"{one['median']:.{digits}f} +{up:.{digits}f} -{down:.{digits}f}"
