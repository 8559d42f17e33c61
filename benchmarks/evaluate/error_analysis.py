"""Errors of one emulator at test points: numbers, figures, and sections of a page."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluate.error_figures import (
    cases_figure,
    corner_figure,
    regimes_figure,
    tails_figure,
    varied,
)
from benchmarks.evaluate.tables import in_percent, main_output
from benchmarks.evaluate.true_spectra import Truth
from datagen.figures import save_figure, style
from datagen.outputs import CORRELATIONS, output
from datagen.report import figure, markdown, paragraph, table
from emulator.figures import accuracy_figure
from emulator.metrics import REGIMES, fractional_error, spectra_accuracy
from export.runtime import OnnxEmulator

__all__ = ["CUT", "FIGURES", "Analysis", "check_spectra"]

Array = NDArray[np.float64]

CUT = "alpha > 0.1"  # the cut that the published emulators were tested with
FIGURES = "figures/"  # their folder, relative to the page
_SEED = 1  # of the random example, and of the points in the corner figure


@dataclass(frozen=True)
class Analysis:
    """Predictions of an emulator at test points, with the true spectra.

    Attributes:
        model: The emulator.
        truth: The true spectra.

    Raises:
        ValueError: An emulator without spectra.
    """

    model: OnnxEmulator
    truth: Truth

    def __post_init__(self) -> None:
        check_spectra(self.model)

    @property
    def spectra(self) -> list[str]:
        """The spectra mm, gm and gg among its outputs."""
        return [name for name in self.truth.shared(self.model) if output(name).correlation]

    def _of(self, correlation: str) -> list[str]:
        return [name for name in self.spectra if output(name).correlation == correlation]

    @property
    def main_output(self) -> str:
        """The spectrum to describe first: a total, of galaxies if possible."""
        return main_output(self.spectra)

    @cached_property
    def predicted(self) -> dict[str, NDArray[np.float32]]:
        """Spectra [Mpc^3], each (N, K), and numbers, each (N,)."""
        return self.model(self.truth.labels.theta, self.truth.shared(self.model))

    @cached_property
    def worst_k(self) -> dict[str, Array]:
        """The largest error over k of each point, (N,), by spectrum."""
        return {
            name: fractional_error(self.predicted[name], self.truth.labels[name]).max(axis=1)
            for name in self.spectra
        }

    def accuracy(self, regime: str = "") -> dict[str, dict[str, Any]]:
        """Errors of all points, or of those in one of `emulator.metrics.REGIMES`."""
        labels, predicted = self.truth.labels, self.predicted
        if regime:
            rows = np.flatnonzero(REGIMES[regime](labels.theta, self.truth.space))
            labels = labels.select(rows)
            predicted = {name: values[rows] for name, values in predicted.items()}
        return spectra_accuracy(predicted, labels, self.truth.space) if len(labels) else {}

    @cached_property
    def cases(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The best, median, random and worst point of each correlation.

        Returns:
            By correlation and case: ``row``, ``error``, the largest over its spectra and k, and
            ``theta``, the parameters by name.
        """
        theta, names = self.truth.labels.theta, self.truth.space.names
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for xy in dict.fromkeys(output(name).correlation for name in self.spectra):
            error = np.max([self.worst_k[name] for name in self._of(xy)], axis=0)
            order = np.argsort(error)
            rows = {"best": order[0], "median": order[len(order) // 2],
                    "random": np.random.default_rng(_SEED).integers(len(error)),
                    "worst": order[-1]}  # fmt: skip
            found[xy] = {
                case: {
                    "row": int(row),
                    "error": float(f"{error[row]:.4g}"),
                    "theta": dict(zip(names, theta[row].tolist(), strict=True)),
                }
                for case, row in rows.items()
            }
        return found

    def result(self) -> dict[str, Any]:
        """All numbers, in the form of JSON."""
        accuracy = self.accuracy()
        return {
            "test": self.truth.source,
            "k": self.model.k.tolist(),
            "accuracy": accuracy,
            "main_output": self.main_output,
            "cases": self.cases,
            "record": {
                name: record["worst_k"]
                for name, record in self._record().items()
                if name in accuracy
            },
        }

    def _record(self) -> dict[str, dict[str, Any]]:
        """The accuracy that the emulator's file states."""
        record = self.model.metadata["record"]
        return dict(record.get("test", record.get("validation", {})))

    def sections(self, out: Path, corner_points: int, numbers: str) -> dict[str, list[str]]:
        """Write figures into ``figures/``, and return the sections of a page.

        Args:
            out: Folder of the page.
            corner_points: Number of random points in the figure of the parameter space.
            numbers: Table of errors, as Markdown.
        """
        records, some = self.accuracy(), self.accuracy(CUT)
        with style():
            return {
                "Errors against wavenumber": [
                    figure(
                        save_figure(
                            accuracy_figure(
                                self.model.k, records, some, f"the same, points with {CUT}"
                            ),
                            out / FIGURES / "bands",
                        ),
                        "Bands that contain 68, 95 and 99 % of the test points at each wavenumber, "
                        f"for every spectrum. Dashed: the same for points with {CUT}.",
                        FIGURES,
                    ),
                    markdown(numbers),
                ],
                "Regimes of the parameter space": [
                    figure(
                        save_figure(regimes_figure(records), out / FIGURES / "regimes"),
                        "Percentiles of the errors over points and wavenumbers: of all points, "
                        "and of those in each regime. An edge is the outer 1 % of the range of "
                        "any parameter.",
                        FIGURES,
                    ),
                    markdown(cut_table(records)),
                ],
                "Errors across the parameter space": [self._corner(out, corner_points)],
                "Tails": self._tails(out),
                "Single points": self._cases(out),
            }

    def _corner(self, out: Path, corner_points: int) -> str:
        x, labels = varied(self.truth.labels.theta, self.truth.space)
        chosen = np.random.default_rng(_SEED).permutation(len(x))[:corner_points]
        error = np.max(list(self.worst_k.values()), axis=0)
        drawn = corner_figure(x[chosen], labels, error[chosen])
        return figure(
            save_figure(drawn, out / FIGURES / "corner"),
            f"{len(chosen):,} test points, coloured by the largest error over all spectra and "
            f"wavenumbers, the worst on top. Clusters of one colour show that the error depends "
            f"on these two parameters. Diagonal: the error against each parameter.",
            FIGURES,
        )

    def _tails(self, out: Path) -> list[str]:
        record = self._record()
        drawn = tails_figure(self.worst_k, record)
        pieces = [
            figure(
                save_figure(drawn, out / FIGURES / "tails"),
                "Fraction of the test points whose largest error over wavenumbers exceeds a value."
                + (
                    " Circles: percentiles recorded in the file (50, 68, 90, 95, 99 and 99.9 %); "
                    "they lie on the lines if the record is right."
                    if record
                    else ""
                ),
                FIGURES,
            )
        ]
        if ratios := self.calibration():
            pieces.append(
                paragraph(
                    "Largest error over wavenumbers, relative to the recorded one: "
                    + "; ".join(
                        f"{name} {by_q['95']:.2f} at 95 %, {by_q['99']:.2f} at 99 %"
                        for name, by_q in ratios.items()
                    )
                    + "."
                )
            )
        return pieces

    def calibration(self) -> dict[str, dict[str, float]]:
        """Ratios of found to recorded percentiles of the largest error over k, by spectrum."""
        record = self._record()
        return {
            name: {
                q: float(f"{np.percentile(self.worst_k[name], float(q)) / known:.3g}")
                for q, known in record[name]["worst_k"].items()
            }
            for name in self.spectra
            if name in record
        }

    def _cases(self, out: Path) -> list[str]:
        pieces, rows = [], []
        for xy, cases in self.cases.items():
            names = self._of(xy)
            chosen = [case["row"] for case in cases.values()]
            titles = [f"{name}: {in_percent(case['error'])} %" for name, case in cases.items()]
            drawn = cases_figure(
                self.model.k,
                {name: self.truth.labels[name][chosen] for name in names},
                {name: self.predicted[name][chosen] for name in names},
                titles,
            )
            pieces.append(
                figure(
                    save_figure(drawn, out / FIGURES / f"points-{xy}"),
                    f"The best, the median, a random and the worst point of {xy}, by the largest "
                    f"error over its spectra and wavenumbers. Top: truth (thick) and emulator "
                    f"(dashed). Bottom: their relative difference, each on its own scale.",
                    FIGURES,
                )
            )
            rows += [
                (f"{xy} {name}", f"{in_percent(case['error'])} %",
                 *(f"{value:.3g}".replace("e+", "e") for value in case["theta"].values()))
                for name, case in cases.items()
            ]  # fmt: skip
        return [*pieces, table(("point", "error", *self.truth.space.names), rows)]


def check_spectra(model: OnnxEmulator) -> None:
    """Check that an emulator has a spectrum.

    Raises:
        ValueError: It has none.
    """
    if not any(output(name).correlation for name in model.outputs):
        raise ValueError(
            f"{model.path} has none of the spectra of {', '.join(CORRELATIONS)}, only "
            f"{', '.join(model.outputs)}: there is nothing to draw"
        )


def cut_table(records: dict[str, dict[str, Any]]) -> str:
    """Format errors with and without small central occupations as Markdown."""
    lines = [
        f"Errors of all points / of those with {CUT}, abs(P/P_true - 1) in percent",
        "",
        "| output | 68 % | 95 % | 99 % | worst |",
        "|---|---|---|---|---|",
    ]
    for name, record in records.items():
        some = record["regimes"].get(CUT)
        cells = [
            f"{in_percent(record['all'][q])} / {in_percent(some['all'][q])}" if some else "-"
            for q in ("68", "95", "99", "100")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
