"""Convert published tables of clustering and lensing to the format of `export.measurements`.

For example, ``hodspectra survey-tables --layout zehavi11 --files table7.txt --sample Mr_22_21``.
The tables are not part of this project; docs/fits.md says where to find them. Pair counts with a
finite line of sight include peculiar velocities, so w_p has the option ``kaiser``, see
`export.statistics`.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datagen.cli import run
from datagen.messages import did_you_mean
from datagen.text_table import cell_number, split_cells
from datagen.texts import open_text
from export.measurement_files import named
from export.measurements import Measurements
from export.statistics import DeltaSigma, Wp

__all__ = ["more15", "survey_tables", "zehavi11"]

Array = NDArray[np.float64]

ZEHAVI11_PI_MAX = 60.0  # Mpc/h
MORE15_PI_MAX = 100.0  # Mpc/h
MORE15_DENSITY = 3.0e-4, 0.2  # h^3/Mpc^3 of the sample with log10 of h^2 M_star / Msun 11.1 to 12


def survey_tables(
    layout: Literal["zehavi11", "more15"], files: list[Path], out: Path, sample: str = ""
) -> Measurements:
    """Convert a published table to a file of measurements.

    Args:
        layout: ``zehavi11``, a table of w_p of several samples, or ``more15``, a table of r_p w_p
            and one of Delta Sigma.
        files: The table, or both tables in this order.
        out: File to write, ``.csv``.
        sample: Name of a sample of ``zehavi11``, for example ``Mr_22_21``.

    Raises:
        ValueError: An unknown sample; a file with another layout.
    """
    wanted = {"zehavi11": 1, "more15": 2}[layout]
    if len(files) != wanted:
        raise ValueError(f"files: {len(files)} given, the layout {layout} has {wanted}")
    measured = zehavi11(files[0], sample) if layout == "zehavi11" else more15(*files)
    measured.write(out)
    print(measured)  # noqa: T201
    return measured


def zehavi11(path: Path, sample: str) -> Measurements:
    """Read w_p of a sample of SDSS galaxies, with independent errors.

    The tables are 7 (bins of luminosity), 9 and 10 (also by colour) of Zehavi et al. 2011, ApJ 736,
    59, in the format of descqa: r_p [Mpc/h] and, for each sample, ``wp_SAMPLE`` and
    ``wp_err_SAMPLE`` [Mpc/h].

    Args:
        path: The table.
        sample: ``Mr_22_21`` for -22 < M_r < -21, with the suffix ``_red`` or ``_blue`` for colours.

    Raises:
        ValueError: An unknown sample; a file with another layout.
    """
    with named(path):
        names, table = _table(path)
        samples = [name.removeprefix("wp_err_") for name in names if name.startswith("wp_err_")]
        if sample not in samples or f"wp_{sample}" not in names:
            raise ValueError(
                f"no sample {sample!r}{did_you_mean(sample, samples)}; there are "
                f"{', '.join(samples) or 'none'}"
            )
        r_p, w_p, error = (
            table[:, names.index(name)] for name in (names[0], f"wp_{sample}", f"wp_err_{sample}")
        )
        statistic = Wp(r_p, pi_max=ZEHAVI11_PI_MAX, kaiser=True, lengths="Mpc/h")
        return Measurements([statistic], w_p, error)


def more15(clustering: Path, lensing: Path) -> Measurements:
    """Read w_p, Delta Sigma and n_g of CMASS galaxies, with independent errors.

    The tables are figure 3 of More et al. 2015, ApJ 806, 2, digitised, in the format of hod_mod:
    r_p [Mpc/h], r_p w_p [Mpc^2/h^2] and its upper end; R [Mpc/h], Delta Sigma [h Msun/pc^2], its
    upper and its lower end, half of whose distance is the error. Separations are comoving. n_g is
    (3.0 +- 0.6)e-4 h^3/Mpc^3.

    Args:
        clustering: The table of r_p w_p.
        lensing: The table of Delta Sigma.

    Raises:
        ValueError: A file with another layout.
    """
    with named(clustering):
        names, table = _table(clustering)
        _expect(names, ["rp_hMpc", "rpwp_h2Mpc2", "rpwp_upper_h2Mpc2"])
        r_p, product, upper = table.T
        w_p = Wp(r_p, pi_max=MORE15_PI_MAX, kaiser=True, lengths="Mpc/h")
    with named(lensing):
        names, table = _table(lensing)
        _expect(names, ["rp_hMpc", "DS_hMsunpc2", "DS_upper_hMsunpc2", "DS_lower_hMsunpc2"])
        R, excess, high, low = table.T
        Delta_Sigma = DeltaSigma(R, units="h Msun/pc^2", lengths="Mpc/h")
    n_g, fraction = MORE15_DENSITY
    data = np.concatenate([product / r_p, excess, [n_g]])
    errors = np.concatenate([(upper - product) / r_p, (high - low) / 2, [fraction * n_g]])
    return Measurements([w_p, Delta_Sigma], data, errors, {"n_g": "h^3/Mpc^3"})


def _table(path: Path) -> tuple[list[str], Array]:
    """Names of the columns, and the numbers."""
    with open_text(path) as file:
        lines = [(i, line) for i, line in enumerate(file, 1) if line.strip() and line[0] != "#"]
    if len(lines) < 2:
        raise ValueError("it has no table: a line of names and lines of numbers")
    names = split_cells(lines[0][1])
    rows = []
    for i, line in lines[1:]:
        cells = split_cells(line)
        if len(cells) != len(names):
            raise ValueError(f"line {i} has {len(cells)} values, the header {len(names)} names")
        rows.append(
            [
                cell_number(cell, f"line {i}: {name}")
                for name, cell in zip(names, cells, strict=True)
            ]
        )
    return names, np.array(rows)


def _expect(names: list[str], wanted: list[str]) -> None:
    if names != wanted:
        raise ValueError(f"its columns are {', '.join(names)}; expected {', '.join(wanted)}")


def main(argv: list[str] | None = None) -> None:
    """Run the command line of `survey_tables`."""
    run(survey_tables, "python -m benchmarks.posterior.survey_tables", argv)


if __name__ == "__main__":
    main()
