r"""Measured statistics of galaxies, and their Gaussian likelihood.

::

    measured = Measurements.read("sample.csv", cuts={"w_p": (0.5, 40)})
    emulator = load("tinker10", occupation="zheng07")
    measured.chi2(emulator, points)  # (N,)

Measurements are stored in a CSV file. Its header has an entry for each statistic, with its class in
`export.statistics` and the arguments of that class, and the unit of each number::

    # hodspectra-data-1
    # w_p: {"kind": "Wp", "lengths": "Mpc/h", "pi_max": 60}
    # Delta_Sigma: {"kind": "DeltaSigma", "lengths": "Mpc/h", "units": "h Msun/pc^2"}
    # n_g: {"unit": "h^3/Mpc^3"}
    statistic,x,value,error
    w_p,0.17,520,25
    n_g,,3.0e-4,6.0e-5

For averages over bins, the columns ``low`` and ``high`` replace ``x``; the bins of a statistic must
touch. A covariance is stored in a separate file, in the order of the rows. It is named in the
header (``# covariance: "sample_covariance.csv"``) or passed to `Measurements.read`; the column
``error`` is then ignored, and may be omitted. Other lines that begin with # are comments.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.columns import numbers as as_numbers
from datagen.messages import did_you_mean
from datagen.outputs import output
from export.measurement_files import Row, covariance_of, named, read_rows, write_rows
from export.ranges import OutOfRange, Policy, read_only
from export.runtime import OnnxEmulator
from export.statistics.kinds import KINDS, DeltaSigma, Statistic, Wp, statistic

__all__ = ["Measurements", "as_record"]

Array = NDArray[np.float64]

_WITH_H = {  # for each unit: the unit with h, and the power of h that multiplies the number
    "1/Mpc^3": ("h^3/Mpc^3", -3),
    "Msun": ("Msun/h", 1),
}
_TOUCH = 1e-6  # relative difference of ends of bins that count as equal
_SAID = ("lengths", "units", "pi_max")  # arguments that are required in a header

Cut = tuple[float | None, float | None]


class Measurements:
    """Measured statistics and numbers, with their covariance.

    Attributes:
        statistics: The measured functions of separation.
        numbers: Units of the measured numbers, such as ``n_g``, by name.
        names: Names of statistics and numbers, in the order of `data`.
        rows: Slice of `data` of each name.
        data: Measured values, shape (D,), read-only.
        covariance: Covariance of `data`, shape (D, D), read-only.

    Args:
        statistics: Measured statistics, each with one term.
        data: Values of the statistics, one after another, and of the numbers, shape (D,).
        covariance: Covariance of data, shape (D, D), or standard deviations, shape (D,).
        numbers: Units of numbers by name, for example ``1/Mpc^3`` or ``h^3/Mpc^3`` for ``n_g``;
            default: no numbers.

    Raises:
        ValueError: No measurements; duplicate names; an unknown number or unit; values that are
            not finite, or of a wrong length; an invalid covariance.

    Examples:
        >>> from hodspectra import Wp, load
        >>> from export.measurements import Measurements
        >>> w_p = Wp([1.0, 10.0], pi_max=60, lengths="Mpc/h")
        >>> measured = Measurements([w_p], data=[200.0, 30.0], covariance=[20.0, 4.0])
        >>> emulator = load("tinker10", occupation="zheng07")
        >>> measured.model(emulator, emulator.example).shape
        (2,)
    """

    statistics: tuple[Statistic, ...]
    numbers: dict[str, str]
    names: tuple[str, ...]
    rows: dict[str, slice]
    data: Array
    covariance: Array

    def __init__(
        self,
        statistics: Sequence[Statistic],
        data: ArrayLike,
        covariance: ArrayLike,
        numbers: Mapping[str, str] | None = None,
    ) -> None:
        self.statistics, self.numbers = tuple(statistics), dict(numbers or {})
        names = [_single(one) for one in self.statistics] + list(self.numbers)
        if not names:
            raise ValueError("nothing is measured: give statistics or numbers")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is measured twice; give one another name")
        self._powers = {name: _power_of_h(name, unit) for name, unit in self.numbers.items()}
        self.names = tuple(names)
        ends = np.cumsum([0, *map(len, self.statistics), *([1] * len(self.numbers))]).tolist()
        self.rows = {name: slice(*both) for name, both in zip(names, pairwise(ends), strict=True)}
        values = np.atleast_1d(as_numbers(data, "data", "")).astype(np.float64)
        if values.shape != (ends[-1],):
            raise ValueError(f"data has shape {values.shape}, expected {(ends[-1],)}")
        if not np.isfinite(values).all():
            raise ValueError(f"data[{int(np.argmin(np.isfinite(values)))}] must be finite")
        given = as_numbers(covariance, "covariance", "")
        if given.ndim == 1:
            given = np.diag(given.astype(np.float64) ** 2)
        self.data = read_only(values)
        self.covariance = read_only(covariance_of(given, len(values)))
        self._whiten = np.linalg.inv(np.linalg.cholesky(self.covariance))

    def __repr__(self) -> str:
        parts = [
            f"{one.name} {len(one)} {'bins' if one.bins else 'at'} {one.radii[0]:g}.."
            f"{one.radii[-1]:g} {one.lengths}"
            for one in self.statistics
        ] + [f"{name} [{unit}]" for name, unit in self.numbers.items()]
        independent = np.array_equal(self.covariance, np.diag(np.diag(self.covariance)))
        errors = "independent errors" if independent else "a full covariance"
        return f"<Measurements: {', '.join(parts)}; {len(self)} numbers with {errors}>"

    def __len__(self) -> int:
        """Number of measured values D."""
        return len(self.data)

    @property
    def errors(self) -> Array:
        """Standard deviations, shape (D,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def outputs(self) -> list[str | Statistic]:
        """Outputs to request from an emulator."""
        return [*self.statistics, *self.numbers]

    @classmethod
    def read(
        cls,
        path: str | Path,
        covariance: str | Path | ArrayLike | None = None,
        cuts: Mapping[str, Cut] | None = None,
    ) -> "Measurements":
        """Read a file of measurements; see `export.measurements` for the format.

        Args:
            path: Text file, UTF-8 or with a byte order mark, plain or gzip.
            covariance: Covariance of all rows, in their order: an array, a text file with a square
                table, or an npz file; default: the file that the header names, else independent
                errors.
            cuts: Range of separations ``(low, high)`` to keep of each statistic, in its lengths,
                both ends included; None is an open end. Bins are kept if they lie inside.

        Raises:
            FileNotFoundError: No such file.
            TableError: Invalid content, with its line.
            ValueError: Cuts of an unknown statistic, or cuts that leave nothing of one.
        """
        path = Path(path)
        with named(path):
            entries, rows, beside = read_rows(path)
            order, statistics, units = _arranged(entries, rows)
            given = beside if covariance is None else covariance
            if given is None:
                if rows[0].error is None:
                    raise ValueError("it has neither a column error nor a covariance; give one")
                matrix = np.diag([float(row.error or 0) ** 2 for row in rows])
            else:
                matrix = covariance_of(given, len(rows))
            values = np.array([rows[i].value for i in order])
            whole = cls(statistics, values, matrix[np.ix_(order, order)], units)
        return whole.cut(cuts) if cuts else whole

    def cut(self, cuts: Mapping[str, Cut]) -> "Measurements":
        """Restrict the separations of statistics.

        Args:
            cuts: Ranges of separations by statistic; see `read`.

        Returns:
            The remaining measurements.

        Raises:
            ValueError: Cuts of an unknown statistic, or cuts that leave nothing of one.
        """
        known = {one.name: one for one in self.statistics}
        if unknown := [name for name in cuts if name not in known]:
            raise ValueError(
                f"cuts of {unknown[0]}{did_you_mean(unknown[0], known)}: statistics with "
                f"separations are {', '.join(known) or 'none'}"
            )
        kept, statistics = np.ones(len(self), np.bool_), []
        for name, one in known.items():
            low, high = _ends(name, cuts.get(name, (None, None)))
            slack = _TOUCH * one.radii
            inside = (one.radii >= low - slack) & (one.radii <= high + slack)
            rows = inside[:-1] & inside[1:] if one.bins else inside
            if not rows.any():
                raise ValueError(
                    f"cuts of {name}: [{low:g}, {high:g}] {one.lengths} leaves none of its "
                    f"{len(one)} {'bins' if one.bins else 'separations'}, which span "
                    f"{one.radii[0]:g} to {one.radii[-1]:g}"
                )
            kept[self.rows[name]] = rows
            statistics.append(_with(as_record(one), name, one.radii[inside]))
        covariance = self.covariance[np.ix_(kept, kept)]
        return Measurements(statistics, self.data[kept], covariance, self.numbers)

    def model(
        self, emulator: OnnxEmulator, points: Any, *, out_of_range: Policy | None = "nan"
    ) -> Array:
        """Predict the measurements.

        Args:
            emulator: An open emulator; see `export.runtime`.
            points: Parameters by name, numbers or arrays (N,), or an array (N, P).
            out_of_range: Treatment of points outside the trained ranges, as in a call of the
                emulator; default: their rows are NaN. None uses the policy of the emulator.

        Returns:
            Predictions in the order of `data`, shape (N, D), or (D,) for a single point.

        Raises:
            ValueError: Statistics that the emulator cannot predict; separations outside 0.02 to
                300 Mpc.
            OutOfRange: A point outside the ranges, with the policy ``raise``.
        """
        found = self._asked(emulator, points, out_of_range)
        if found is None:
            return np.full(len(self), np.nan)
        h = _hubble(emulator, points) if any(self._powers.values()) else 1.0
        return self.joined({name: np.asarray(found[name], np.float64) for name in self.names}, h)

    def joined(self, found: Mapping[str, Any], h: Any, xp: Any = np) -> Any:
        """Join predictions into one array, in the order of `data`.

        Args:
            found: Outputs of an emulator by name, statistics (..., R) and numbers (...).
            h: Hubble parameter h of the points, a number or shape (...).
            xp: Array library: numpy, or one with the same functions, such as jax.numpy.

        Returns:
            Predictions, shape (..., D).
        """
        parts = [found[one.name] for one in self.statistics]
        parts += [(found[n] * h ** self._powers[n])[..., None] for n in self.numbers]
        return xp.concatenate(parts, axis=-1)

    def _asked(
        self, emulator: OnnxEmulator, points: Any, out_of_range: Policy | None
    ) -> dict[str, NDArray[Any]] | None:
        """The outputs; None for a single point outside the ranges that is to be NaN."""
        is_single = isinstance(points, dict) and all(type(one) is float for one in points.values())
        if not is_single or out_of_range != "nan" or emulator.out_of_range != "raise":
            return emulator(points, self.outputs, out_of_range=out_of_range)
        try:
            return emulator(points, self.outputs)  # the fast path, with the emulator's policy
        except OutOfRange:
            return None

    def chi2(
        self, emulator: OnnxEmulator, points: Any, *, out_of_range: Policy | None = "nan"
    ) -> Any:
        """Chi^2 of points.

        Points outside the trained ranges and points without galaxies have an infinite chi^2, so
        that ln L = -chi^2 / 2 is -inf.

        Args:
            emulator: See `model`.
            points: See `model`.
            out_of_range: See `model`.

        Returns:
            chi^2, shape (N,), or a number for a single point.

        Raises:
            ValueError: See `model`.
            OutOfRange: See `model`.
        """
        return self.chi2_of(self.model(emulator, points, out_of_range=out_of_range))

    def chi2_of(self, model: ArrayLike, xp: Any = np) -> Any:
        """Chi^2 of predictions; infinite where they are not finite.

        Args:
            model: Predictions, shape (N, D) or (D,).
            xp: Array library; see `joined`.

        Returns:
            chi^2, shape (N,), or a number.
        """
        apart = xp.asarray(model, np.float64) - self.data
        with np.errstate(invalid="ignore"):
            chi2 = xp.square(apart @ self._whiten.T).sum(axis=-1)
        return xp.where(xp.isfinite(chi2), chi2, np.inf)[()]

    def write(self, path: str | Path) -> None:
        """Write a file in the format of `read`, with a non-diagonal covariance in a second file.

        Args:
            path: The file to write.
        """
        entries: dict[str, dict[str, Any]] = {one.name: as_record(one) for one in self.statistics}
        entries |= {name: {"unit": unit} for name, unit in self.numbers.items()}
        at: list[tuple[str, tuple[float, ...]]] = []
        for one in self.statistics:
            radii = one.radii.tolist()
            ends: Iterable[tuple[float, ...]] = pairwise(radii) if one.bins else zip(radii)
            at += [(one.name, both) for both in ends]
        at += [(name, ()) for name in self.numbers]
        rows = [(*both, value) for both, value in zip(at, self.data.tolist(), strict=True)]
        write_rows(Path(path), entries, rows, self.covariance)


def _single(one: Statistic) -> str:
    """Return the name of a statistic, which must have one term."""
    if len(one.outputs) != 1 or one.terms != ("total",):
        raise ValueError(f"{one.name}: terms = {one.terms}; only totals can be measured")
    return one.name


def _power_of_h(name: str, unit: str) -> int:
    """Power of h that converts a number from the emulator's unit to the given one."""
    entry = output(name)
    if not entry.is_number:
        raise ValueError(
            f"{name} is a function of {entry.axis}, not a number; measured are numbers, and "
            f"statistics {', '.join(KINDS)}"
        )
    if unit == entry.unit:
        return 0
    known, power = _WITH_H.get(entry.unit, ("", 0))
    if unit != known or not known:
        units = f"{entry.unit!r}" + (f" or {known!r}" if known else "")
        raise ValueError(f"{name}: unit = {unit!r} must be {units}")
    return power


def _hubble(emulator: OnnxEmulator, points: Any) -> Any:
    """Hubble parameter h of points, a number or shape (N,)."""
    if isinstance(points, np.ndarray) and points.dtype.names is None:
        return np.asarray(points, np.float64)[..., emulator.names.index("h")]
    return np.asarray(as_numbers(points["h"], "h", "1"), np.float64)


def _ends(name: str, cut: Any) -> tuple[float, float]:
    if not isinstance(cut, Sequence) or len(cut) != 2:
        raise ValueError(f"cuts of {name} = {cut!r} must be two numbers, (low, high)")
    low, high = (0.0 if cut[0] is None else cut[0]), (np.inf if cut[1] is None else cut[1])
    ends = float(as_numbers(low, "low", "")), float(as_numbers(high, "high", ""))
    if not 0 <= ends[0] < ends[1]:
        raise ValueError(f"cuts of {name}: {ends[0]:g} must be below {ends[1]:g}, and not below 0")
    return ends


def _arranged(
    entries: Mapping[str, dict[str, Any]], rows: Sequence[Row]
) -> tuple[list[int], list[Statistic], dict[str, str]]:
    """Order of the rows in data, the statistics, and the units of numbers."""
    of: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.name not in entries:
            raise ValueError(
                f"line {row.line}: {row.name}{did_you_mean(row.name, entries)} is not in the "
                f"header, which has {', '.join(entries) or 'no entries'}; add a line "
                f'# {row.name}: {{"kind": "Wp", ...}}, or {{"unit": ...}} of a number'
            )
        of.setdefault(row.name, []).append(i)
    if unused := [name for name in entries if name not in of]:
        raise ValueError(f"the header has {unused[0]}, but there are no rows of it")
    order: list[int] = []
    statistics, units, last = [], {}, []
    for name, mine in of.items():
        if "kind" not in (entry := entries[name]):
            units[name] = _unit(name, entry, [rows[i] for i in mine])
            last += mine
            continue
        mine.sort(key=lambda i: rows[i].at)
        statistics.append(_statistic(name, entry, [rows[i] for i in mine]))
        order += mine
    return order + last, statistics, units


def _unit(name: str, entry: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The unit of a number."""
    if set(entry) != {"unit"}:
        raise ValueError(
            f"the entry of {name} has {', '.join(entry) or 'nothing'}: of a statistic it must have "
            f'a kind ({", ".join(KINDS)}), of a number its unit alone, {{"unit": "h^3/Mpc^3"}}'
        )
    if len(rows) > 1:
        raise ValueError(f"line {rows[1].line}: {name} is there twice, also in line {rows[0].line}")
    if rows[0].at:
        raise ValueError(f"line {rows[0].line}: {name} is a number; leave its separation empty")
    _power_of_h(name, entry["unit"])
    return str(entry["unit"])


def _statistic(name: str, entry: Mapping[str, Any], rows: Sequence[Row]) -> Statistic:
    """A statistic of the header, at the separations of its rows in increasing order."""
    kind = KINDS.get(entry["kind"])
    for argument in _SAID if kind else ():
        has = {"units": kind in (KINDS["Sigma"], DeltaSigma), "pi_max": kind is Wp}
        if has.get(argument, True) and argument not in entry:
            unit = "the unit of its " + ("values" if argument == "units" else "lengths")
            what = "a number, or null for infinite" if argument == "pi_max" else unit
            raise ValueError(f"the entry of {name} has no {argument}; add it: {what}")
    kinds = {len(row.at) for row in rows}
    if 0 in kinds or len(kinds) > 1:
        odd = next(row for row in rows if not row.at or len(row.at) != len(rows[0].at))
        raise ValueError(
            f"line {odd.line}: {name} needs a separation, x of all its rows, or low and high of all"
        )
    for one, two in pairwise(rows):
        if one.at[0] == two.at[0]:
            raise ValueError(
                f"line {two.line}: {name} at {two.at[0]:g} is there twice, also in line {one.line}"
            )
        if len(one.at) == 2 and abs(two.at[0] / one.at[1] - 1) > _TOUCH:
            raise ValueError(
                f"line {two.line}: {name} has a bin from {two.at[0]:g}, and the one before ends "
                f"at {one.at[1]:g}; bins must touch each other"
            )
    radii = [row.at[0] for row in rows]
    if kinds == {2}:
        if reversed_ := [row for row in rows if not row.at[0] < row.at[1]]:
            raise ValueError(f"line {reversed_[0].line}: {name}: low must be below high")
        radii.append(rows[-1].at[1])
    try:
        return _with({**entry, "bins": kinds == {2}}, name, radii)
    except ValueError as error:
        raise ValueError(f"the entry of {name}: {error}") from None


def _with(record: Mapping[str, Any], name: str, radii: ArrayLike) -> Statistic:
    """A statistic from a record, with a name and separations."""
    kind = KINDS.get(str(record["kind"]))
    given = {kind.axis: radii} if kind else {}
    return statistic({**record, **given, "name": name})


def as_record(one: Statistic) -> dict[str, Any]:
    """Return the entry of a statistic in a header: its class and arguments, without separations."""
    record: dict[str, Any] = {"kind": one.kind, "lengths": one.lengths}
    if isinstance(one, Wp):
        record["pi_max"] = None if np.isinf(one.pi_max) else one.pi_max
        record |= {"kaiser": True} if one.kaiser else {}
    elif one.kind in ("Sigma", "DeltaSigma"):
        record["units"] = one.unit
    if isinstance(one, DeltaSigma) and one.point_mass:
        record["point_mass"] = one.point_mass
    if one.correlation != ("gm" if one.kind in ("Sigma", "DeltaSigma") else "gg"):
        record["correlation"] = one.correlation
    record |= {"bins": True} if one.bins else {}
    record |= {"physical": True} if one.physical else {}
    record |= {"of": list(one.of)} if one.of else {}
    record |= {"bias": one.bias} if one.bias else {}
    record |= {"exclusion": one.exclusion} if one.exclusion else {}
    return record
