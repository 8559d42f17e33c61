"""Check and summarise a label file before training: ``python -m datagen.analyse``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.agreement import agreement, features
from datagen.cli import run
from datagen.error_budget import ErrorBudget, error_budget
from datagen.figures import parameter_labels, save_figure, style
from datagen.files import atomic, exclusive
from datagen.label_figures import (
    agreement_figure,
    budget_figure,
    corner_figure,
    spectra_figure,
)
from datagen.outputs import SPECTRA
from datagen.report import figure, page, paragraph, table
from datagen.space import Space
from datagen.splits import Split
from datagen.store import Spectra

__all__ = ["SCHEMA", "analyse", "bands", "facts", "ranges", "sign_counts"]

SCHEMA = "hodspectra-label-report-1"
_BANDS = (2.5, 16, 50, 84, 97.5)  # percentiles: the median, 68 % and 95 % of the points
_SHOWN_FAILURES = 20


def analyse(
    data: Path,
    out: Path,
    split: Split = Split(),
    budget: ErrorBudget = ErrorBudget(),
    corner_points: int = 1500,
) -> dict[str, Any]:
    """Check a label file, and summarise it in figures, an HTML page and a JSON file.

    Tests whether training, validation and test rows come from the same distribution, counts values
    without a logarithm, lists failed points, and recomputes some points to measure the numerical
    error of the labels. No emulator is involved.

    Args:
        data: Label file of ``datagen.generate``.
        out: Folder for ``index.html``, ``summary.json``, and the figures as PNG and PDF.
        split: Sizes of the training, validation and test splits; use the settings of
            ``emulator.train``.
        budget: Numbers of points to recompute.
        corner_points: Number of random points in the figure of the parameter space.

    Returns:
        The content of ``summary.json``.

    Raises:
        ValueError: ``corner_points`` is below 1, or a part of the split is too small.
        StoreError: The label file is damaged, or not a label file.
    """
    if corner_points < 1:
        raise ValueError(f"corner_points = {corner_points} must be at least 1")
    with exclusive(out, folder=True):
        return _analyse(Spectra.read(data), data, out, split, budget, corner_points)


def _analyse(
    spectra: Spectra, data: Path, out: Path, split: Split, budget: ErrorBudget, corner_points: int
) -> dict[str, Any]:
    summary = {
        "schema": SCHEMA,
        "labels": {
            "file": str(data),
            "sha256": spectra.hash(),
            "points": len(spectra),
            "failed": {str(index): reason for index, reason in spectra.failed.items()},
            "metadata": spectra.metadata,
        },
        "split": {"validation": split.validation, "test": split.test, "seed": split.seed},
        "agreement": agreement(spectra, split),
        "values": sign_counts(spectra),
        "k": spectra.k.tolist(),
        "bands": bands(spectra),
        "error_budget": error_budget(spectra, budget),
    }
    figures = _figures(spectra, split, summary, corner_points, out)
    for name, text in (
        ("summary.json", json.dumps(summary, indent=1, allow_nan=False)),
        ("index.html", _page(summary, figures)),
    ):
        with atomic(out / name) as partial:
            partial.write_text(text)
    print(_report(summary, out))  # noqa: T201
    return summary


def sign_counts(spectra: Spectra) -> dict[str, dict[str, int]]:
    """Return the numbers of points with values that are not finite or not positive, by spectrum."""
    return {
        name: {
            "not_finite": int((~np.isfinite(spectra[name])).any(axis=1).sum()),
            "not_positive": int((spectra[name] <= 0).any(axis=1).sum()),
        }
        for name in SPECTRA
    }


def bands(spectra: Spectra) -> dict[str, dict[str, Any]]:
    """Return percentiles over the points [Mpc^3] of each spectrum, K values each.

    The entry ``positive`` is the fraction of points that are positive at every k.
    """
    result: dict[str, dict[str, Any]] = {}
    for name in SPECTRA:
        Pk = spectra[name]
        finite = Pk[np.isfinite(Pk).all(axis=1)]
        if not len(finite):
            raise ValueError(f"{name} is finite at none of {len(Pk)} points")
        values = np.percentile(finite, _BANDS, axis=0)
        result[name] = {f"{q:g}": row.tolist() for q, row in zip(_BANDS, values, strict=True)}
        result[name]["positive"] = float((Pk > 0).all(axis=1).mean())
    return result


def _figures(
    spectra: Spectra, split: Split, summary: dict[str, Any], corner_points: int, out: Path
) -> dict[str, Path]:
    """Draw and write all figures; return the paths of the PNGs, by name."""
    space = Space.from_dict(spectra.metadata["space"])
    labels = parameter_labels(space)
    parts: NDArray[np.str_] = np.empty(len(spectra), dtype="U10")
    for part in summary["agreement"]["parts"]:
        parts[split.rows(len(spectra), part)] = part
    x = features(spectra)
    chosen = np.random.default_rng(split.seed).permutation(len(x))[:corner_points]
    varied = [i for i in range(x.shape[1]) if np.ptp(x[:, i]) > 0]
    shown = [labels[space.names[i]] for i in varied]
    computed = {
        source: entry for source, entry in summary["error_budget"].items() if "spectra" in entry
    }
    with style():
        drawn = {
            "parameters": corner_figure(x[chosen][:, varied], shown, parts[chosen]),
            "spectra": spectra_figure(spectra.k, summary["bands"]),
            "agreement": agreement_figure(spectra.k, summary["agreement"], labels),
        }
        if computed:
            drawn["error_budget"] = budget_figure(spectra.k, computed)
        return {name: save_figure(drawing, out / name) for name, drawing in drawn.items()}


def _page(summary: dict[str, Any], figures: dict[str, Path]) -> str:
    labels, verdict = summary["labels"], summary["agreement"]["verdict"]
    parts = ", ".join(f"{n} {part}" for part, n in summary["agreement"]["parts"].items())
    split = ", ".join(f"{name} = {value:g}" for name, value in summary["split"].items())
    return page(
        f"Labels: {Path(labels['file']).name}",
        {
            "": [
                paragraph(verdict["text"], "good" if verdict["agree"] else "bad"),
                facts(labels, summary["k"]),
            ],
            "Parameter space": [
                ranges(labels["metadata"]["space"]),
                figure(figures["parameters"], "A random subset of the points, as sampled."),
            ],
            "Spectra": [
                figure(figures["spectra"], "Distribution of the spectra over all points."),
                *_values(summary),
            ],
            "Training, validation and test": [
                paragraph(f"Rows: {parts} (split: {split})."),
                figure(
                    figures["agreement"],
                    "Differences between the parts in units of their standard errors. Left: the "
                    "parameters, as sampled. Right: ln P, without points that are not positive. "
                    "Grey: what chance allows for the largest of all differences.",
                ),
            ],
            "How exact the labels are": _budget(summary["error_budget"], figures),
            "Points that failed": _failures(labels["failed"]),
        },
    )


def facts(labels: dict[str, Any], k: Sequence[float]) -> str:
    """Return a table of the properties of a label file.

    Args:
        labels: ``file``, ``sha256``, ``points``, ``failed`` and ``metadata``.
        k: Wavenumbers [1/Mpc].
    """
    metadata = labels["metadata"]
    model = metadata["model"]
    rows = [
        ("file", labels["file"]),
        ("SHA-256 of the content", labels["sha256"]),
        ("points", f"{labels['points']}, and {len(labels['failed'])} that failed"),
        ("halo model", ", ".join(f"{name} = {model[name]}" for name in model if name != "k")),
        ("wavenumbers", f"{len(k)}, from {k[0]:g} to {k[-1]:g} 1/Mpc"),
        ("design", ", ".join(f"{name} = {v}" for name, v in metadata["design"].items())),
        ("commit", metadata["provenance"].get("commit", "unknown")),
    ]
    if "imported" in metadata:
        rows.append(("imported from", json.dumps(metadata["imported"])))
    return table((), rows)


def ranges(space: dict[str, dict[str, Any]]) -> str:
    """Return a table of the ranges of a space, from `Space.as_dict`."""
    return table(
        ("parameter", "from", "to", "unit", "sampled in"),
        [
            (name, f"{r['low']:g}", f"{r['high']:g}", r["unit"], r["sampling"])
            for name, r in space.items()
        ],
    )


def _values(summary: dict[str, Any]) -> list[str]:
    bad = {name: counts for name, counts in summary["values"].items() if any(counts.values())}
    if not bad:
        return [paragraph("Every spectrum of every point is finite and positive.", "good")]
    return [
        paragraph(
            "Points with values that have no logarithm; training on ln P refuses them, or leaves "
            "them out on request. Negative gg 1-halo terms come with the g3lhalo model.",
            "bad",
        ),
        table(
            ("spectrum", "points not finite", "points not positive"),
            [(name, c["not_finite"], c["not_positive"]) for name, c in bad.items()],
        ),
    ]


def _budget(budget: dict[str, Any], figures: dict[str, Path]) -> list[str]:
    what = {
        "quadrature": "Stored labels against labels with finer integrals over mass",
        "linear_power": "Stored labels against labels with CAMB run at each point",
    }
    pieces = []
    for source, entry in budget.items():
        if "skipped" in entry:
            pieces.append(paragraph(f"{what[source]}: not computed, {entry['skipped']}."))
            continue
        pieces += [
            paragraph(f"{what[source]}, |P / P_ref - 1| over {entry['points']} points and all k:"),
            table(
                ("spectrum", "median", "95 %", "largest"),
                [
                    (name, *(f"{error['all'][q]:.1e}" for q in ("50", "95", "100")))
                    for name, error in entry["spectra"].items()
                ],
            ),
        ]
    if "error_budget" in figures:
        pieces.append(figure(figures["error_budget"], "Errors of the labels against k."))
    return pieces


def _failures(failed: dict[str, str]) -> list[str]:
    if not failed:
        return [paragraph("None.", "good")]
    shown = list(failed.items())[:_SHOWN_FAILURES]
    pieces = [table(("point of the design", "reason"), shown)]
    if len(failed) > len(shown):
        pieces.append(paragraph(f"and {len(failed) - len(shown)} more, in summary.json"))
    return pieces


def _report(summary: dict[str, Any], out: Path) -> str:
    lines = [f"{out / 'index.html'}", summary["agreement"]["verdict"]["text"]]
    for name, counts in summary["values"].items():
        if any(counts.values()):
            lines.append(
                f"{name}: {counts['not_positive']} points not positive, "
                f"{counts['not_finite']} not finite"
            )
    for source, entry in summary["error_budget"].items():
        if "spectra" in entry:
            name, error = max(entry["spectra"].items(), key=lambda item: item[1]["all"]["95"])
            lines.append(f"{source}: 95 % of errors below {error['all']['95']:.1e} ({name})")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line of `analyse`."""
    run(analyse, "python -m datagen.analyse", argv)


if __name__ == "__main__":
    main()
