"""The figure of the front page: ``python docs/front.py``."""

import json
from pathlib import Path

import numpy as np

from datagen.cli import run
from datagen.figures import new_figure, save_figure, style
from export.runtime import load
from export.statistics import DeltaSigma, Wp

__all__ = ["front"]

ROOT = Path(__file__).resolve().parent.parent
MASSES = (12.0, 13.0, 13.6)  # log10 Mmin / Msun of the three samples
QUANTILES = {"68": ":", "95": "-", "99": "--"}


def front(out: Path = ROOT / "docs" / "front") -> None:
    """Draw spectra, w_p and Delta Sigma of three samples, and below each the emulator's errors.

    Errors are those of the file's own record and of ``benchmarks/results/statistics.json``.

    Args:
        out: The figure, without a suffix.
    """
    emulator = load("tinker10", occupation="zheng07")
    r = np.geomspace(0.1, 60, 60)
    w_p, Delta_Sigma = Wp(r, pi_max=100), DeltaSigma(r)
    k = np.geomspace(0.01, 100, 200)
    record = emulator.metadata["record"]["test"]["gg_total"]["per_k"]
    text = (ROOT / "benchmarks" / "results" / "statistics.json").read_text()
    errors = json.loads(text)["errors"]
    with style():
        figure = new_figure(10, 4.6)
        top, below = figure.subplots(2, 3, sharex="col", gridspec_kw={"height_ratios": [2.4, 1]})
        for log10_M in MASSES:
            galaxies = {"log10Mmin": log10_M, "log10M0": log10_M, "log10M1": log10_M + 1.1}
            point = emulator.example | galaxies
            label = f"$M_\\mathrm{{min}} = 10^{{{log10_M:g}}} M_\\odot$"
            top[0].loglog(k, emulator(point, "gg_total", k=k)["gg_total"], label=label)
            found = emulator(point, [w_p, Delta_Sigma])
            top[1].loglog(r, found["w_p"])
            top[2].loglog(r, found["Delta_Sigma"] / 1e12)
        for q, line in QUANTILES.items():
            below[0].loglog(emulator.k, 100 * np.array(record[q]), "k" + line, label=f"{q} %")
            for axes, name in zip(below[1:], ("w_p", "Delta_Sigma"), strict=True):
                for part, error in errors[name].items():
                    ends = [float(x) for x in part.split(" to ")]
                    axes.loglog(ends, [100 * error[q]] * 2, "k" + line)
        for axes, title, name in zip(
            top,
            ("$P_\\mathrm{gg}(k)$", "$w_p(r_p)$", "$\\Delta\\Sigma(R)$"),
            ("Mpc$^3$", "Mpc", "$M_\\odot$ / pc$^2$"),
            strict=True,
        ):
            axes.set_title(title)
            axes.set_ylabel(name)
        for axes in below:
            axes.set_ylim(1e-4, 20)
            axes.axhline(1, color="0.8", lw=0.8, zorder=0)
        below[0].set_ylabel("error [%]")
        below[0].set_xlabel("$k$ [1/Mpc]")
        below[1].set_xlabel("$r_p$ [Mpc]")
        below[2].set_xlabel("$R$ [Mpc]")
        below[1].set_xlim(r[0], r[-1])
        below[2].set_xlim(r[0], r[-1])
        top[0].legend()
        below[0].legend(ncols=3)
        save_figure(figure, out)
    out.with_suffix(".pdf").unlink()


def main(argv: list[str] | None = None) -> None:
    """Command line of `front`."""
    run(front, "python docs/front.py", argv)


if __name__ == "__main__":
    main()
