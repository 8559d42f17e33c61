"""Parameters in named groups, and the box that points are drawn from.

A point has parameters of three groups: ``cosmology``, ``redshift`` and ``occupation``. Columns of
points are found by name, everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datagen.fields import RecordError, exactly, from_record

__all__ = [
    "COSMOLOGY",
    "GROUPS",
    "NAMES",
    "OCCUPATION",
    "PARAMETERS",
    "UNITS",
    "W_TODAY_AND_EARLY",
    "Parameter",
    "Range",
    "Space",
    "SumBelow",
    "check_theta",
    "columns_by_name",
    "complete",
]

Array = NDArray[np.float64]
Sampling = Literal["linear", "log10"]
Group = Literal["cosmology", "redshift", "occupation"]

GROUPS: tuple[Group, ...] = ("cosmology", "redshift", "occupation")
W_TODAY_AND_EARLY = -0.1  # w0 + wa, dark energy's w at early times, stays below

_EDGE = 1e-9  # points that are drawn keep away from that by so much
_EARLY = W_TODAY_AND_EARLY - _EDGE


@dataclass(frozen=True)
class Parameter:
    """One parameter of a point, whatever an emulator was trained on.

    Attributes:
        name: Its name, the same everywhere.
        unit: ``1`` or ``Msun``.
        group: ``cosmology``, ``redshift`` or ``occupation``.
        symbol: For figures, in TeX.
        valid: Where the halo model itself makes sense.
        default: What a point has that does not give it; None if it must be given.
    """

    name: str
    unit: str
    group: Group
    symbol: str
    valid: tuple[float, float]
    default: float | None = None


PARAMETERS: dict[str, Parameter] = {
    p.name: p
    for p in (
        Parameter("Om_c", "1", "cosmology", r"\Omega_\mathrm{c}", (0.01, 0.9)),
        Parameter("Om_b", "1", "cosmology", r"\Omega_\mathrm{b}", (0.005, 0.2)),
        Parameter("h", "1", "cosmology", "h", (0.3, 1.2)),
        Parameter("sigma_8", "1", "cosmology", r"\sigma_8", (0.1, 2.0)),
        Parameter("n_s", "1", "cosmology", r"n_\mathrm{s}", (0.5, 1.5)),
        Parameter("w0", "1", "cosmology", "w_0", (-3.0, 0.0), default=-1.0),
        Parameter("wa", "1", "cosmology", r"w_\mathrm{a}", (-5.0, 3.0), default=0.0),
        Parameter("z", "1", "redshift", "z", (0.0, 10.0)),
        Parameter("alpha", "1", "occupation", r"\alpha", (0.0, 1.0)),
        Parameter("sigma", "1", "occupation", r"\sigma", (1e-3, 5.0)),
        Parameter("Mth", "Msun", "occupation", r"M_\mathrm{th}", (1e8, 1e16)),
        Parameter("Mprime", "Msun", "occupation", r"M\mathrm{′}", (1e8, 1e19)),
        Parameter("beta", "1", "occupation", r"\beta", (0.0, 4.0)),
    )
}
NAMES: tuple[str, ...] = tuple(PARAMETERS)
COSMOLOGY: tuple[str, ...] = tuple(n for n, p in PARAMETERS.items() if p.group == "cosmology")
OCCUPATION: tuple[str, ...] = tuple(n for n, p in PARAMETERS.items() if p.group == "occupation")
UNITS: dict[str, str] = {name: p.unit for name, p in PARAMETERS.items()}


@dataclass(frozen=True)
class SumBelow:
    """The part of a box where the sum of some parameters stays below a limit.

    Attributes:
        names: The parameters.
        below: The limit, which does not belong to it.
    """

    names: tuple[str, ...]
    below: float

    def __post_init__(self) -> None:
        if unknown := [name for name in self.names if name not in PARAMETERS]:
            raise ValueError(f"a sum of {', '.join(unknown)}; there are {', '.join(NAMES)}")
        if not self.names or not np.isfinite(self.below):
            raise ValueError(f"a sum of {len(self.names)} parameters is below {self.below}")

    def is_inside(self, theta: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether points lie in it, shape (N,).

        Args:
            theta: Points, columns `datagen.space.NAMES`, shape (N, P).
        """
        columns = [NAMES.index(name) for name in self.names]
        inside: NDArray[np.bool_] = theta[:, columns].astype(np.float64).sum(axis=1) < self.below
        return inside

    @property
    def reason(self) -> str:
        """What is the matter outside."""
        return f"{' + '.join(self.names)} is not below {self.below:g}"


@dataclass(frozen=True)
class Range:
    """Closed interval of one parameter; equal ends hold the parameter fixed.

    Attributes:
        low: Smallest value, in the parameter's unit (masses in Msun, not in log).
        high: Largest value, in the parameter's unit.
        sampling: ``linear`` draws uniformly in the value, ``log10`` uniformly in its decadic
            logarithm. Networks take such parameters by their log10, and masses in any case.
    """

    low: float
    high: float
    sampling: Sampling = "linear"

    @property
    def is_log(self) -> bool:
        """Whether the parameter is sampled in its log10."""
        return self.sampling == "log10"

    @property
    def is_fixed(self) -> bool:
        """Whether there is just one value."""
        return self.low == self.high


@dataclass(frozen=True)
class Space:
    """The box of the parameters; the default is the box of the published emulators.

    Besides the box, ``w0 + wa`` stays below -0.1: dark energy is negligible at early times.

    The halo occupation (Linke et al. 2022, A&A 665, A38) reads, with the natural logarithm,
    ``e(M) = [1 + erf(ln(M / Mth) / (sqrt(2) sigma))] / 2``, ``N_c = alpha e`` and
    ``N_s = e (M / Mprime)^beta``.

    Attributes:
        Om_c: Density parameter of cold dark matter.
        Om_b: Density parameter of baryons.
        h: Hubble constant in 100 km/s/Mpc.
        sigma_8: RMS of the linear matter density in spheres of 8 Mpc/h at z = 0.
        n_s: Spectral index of the primordial power.
        w0: Dark energy's equation of state today, w(a) = w0 + wa (1 - a).
        wa: Its change.
        z: Redshift.
        alpha: Fraction of haloes above threshold that host a central galaxy.
        sigma: Width of the threshold in ln M (natural logarithm).
        Mth: Threshold halo mass of hosting galaxies [Msun].
        Mprime: Halo mass with one satellite on average [Msun].
        beta: Power-law slope of the satellite number.
    """

    Om_c: Range = Range(0.1, 0.6)
    Om_b: Range = Range(0.04, 0.06)
    h: Range = Range(0.64, 0.82)
    sigma_8: Range = Range(0.8, 1.0)
    n_s: Range = Range(0.84, 1.1)
    w0: Range = Range(-1.0, -1.0)
    wa: Range = Range(0.0, 0.0)
    z: Range = Range(0.0, 0.0)
    alpha: Range = Range(0.0, 1.0)
    sigma: Range = Range(0.01, 1.0)
    Mth: Range = Range(1e10, 1e15, "log10")
    Mprime: Range = Range(1e10, 1e17, "log10")
    beta: Range = Range(0.1, 2.0)

    def __post_init__(self) -> None:
        for name in self.names:
            self._check_range(name)  # here and not in Range, which does not know its name
        if self.w0.low + self.wa.low >= W_TODAY_AND_EARLY:
            raise ValueError(
                f"w0 + wa is at least {self.w0.low + self.wa.low:g} in the whole space, and must "
                f"be below {W_TODAY_AND_EARLY:g}; lower w0 or wa"
            )

    def _check_range(self, name: str) -> None:
        r, (low, high) = self[name], PARAMETERS[name].valid
        interval = f"{name}: range [{r.low:g}, {r.high:g}]"
        if not (np.isfinite(r.low) and np.isfinite(r.high)):
            raise ValueError(f"{interval} must be finite")
        if r.low > r.high:
            raise ValueError(f"{interval} is reversed; swap low and high")
        if r.low < low or r.high > high:
            raise ValueError(
                f"{interval} leaves [{low:g}, {high:g}], where the halo model is defined; narrow it"
            )
        if r.sampling not in ("linear", "log10"):
            raise ValueError(f"{name}: sampling = {r.sampling!r} must be 'linear' or 'log10'")
        if r.is_log and r.low <= 0:
            raise ValueError(f"{interval} reaches 0; log10 sampling needs low > 0")

    def __getitem__(self, name: str) -> Range:
        value: Range = getattr(self, name)
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, in the order of columns."""
        return tuple(f.name for f in fields(self))

    @property
    def free(self) -> tuple[str, ...]:
        """The parameters that are not held fixed."""
        return tuple(name for name in self.names if not self[name].is_fixed)

    @property
    def low(self) -> Array:
        """Smallest values in the order of `names`, shape (P,)."""
        return np.array([self[name].low for name in self.names])

    @property
    def high(self) -> Array:
        """Largest values in the order of `names`, shape (P,)."""
        return np.array([self[name].high for name in self.names])

    @property
    def is_log(self) -> NDArray[np.bool_]:
        """Which parameters are sampled in log10, shape (P,)."""
        return np.array([self[name].is_log for name in self.names])

    def from_unit(self, unit: Array) -> Array:
        """Points of the box, shape (N, P), from points of the unit cube, shape (N, P).

        Where w0 leaves less room for wa than its range, that room is filled evenly.
        """
        ends = self._ends()
        low, high = self._coordinates(ends)
        theta = low + unit * (high - low)
        log = self.is_log
        theta[:, log] = 10.0 ** theta[:, log]
        theta = np.clip(theta, *ends)  # 10**log10(x) may miss x by an ulp
        if not self.wa.is_fixed:
            w0, wa = self.names.index("w0"), self.names.index("wa")
            theta[:, wa] = self.wa.low + unit[:, wa] * self._room_of_wa(theta[:, w0])
        return theta

    def to_unit(self, theta: Array) -> Array:
        """The inverse of `from_unit`; 0 for a parameter that is held fixed."""
        low, high = self._coordinates(self._ends())
        width = np.where(high > low, high - low, 1.0)
        position: Array = (self._coordinates(theta) - low) / width
        if not self.wa.is_fixed:
            w0, wa = self.names.index("w0"), self.names.index("wa")
            position[:, wa] = (theta[:, wa] - self.wa.low) / self._room_of_wa(theta[:, w0])
        return position

    def _ends(self) -> Array:
        """The box without such w0 as leave no room at all for wa, shape (2, P)."""
        ends, w0 = np.stack([self.low, self.high]), self.names.index("w0")
        ends[1, w0] = min(self.w0.high, _EARLY - self.wa.low)
        return ends

    def _room_of_wa(self, w0: Array) -> Array:
        """How far wa may rise above its smallest value, shape (N,)."""
        room: Array = np.minimum(self.wa.high, _EARLY - w0) - self.wa.low
        return np.maximum(room, _EDGE / 2)

    def _coordinates(self, theta: Array) -> Array:
        """Points in the coordinates that they are uniformly drawn in."""
        x = np.array(theta, dtype=np.float64)
        x[:, self.is_log] = np.log10(x[:, self.is_log])
        return x

    def check(self, theta: Array) -> Array:
        """The points as float64 of shape (N, P), checked to lie in the box.

        Raises:
            ValueError: Wrong shape, or a value that is not finite or outside of its range.
        """
        theta = _inside(theta, self.low, self.high, "the range in the space; widen it")
        return _check_dark_energy(theta)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Plain numbers and strings, as stored in files."""
        return {
            name: {
                "low": self[name].low,
                "high": self[name].high,
                "sampling": self[name].sampling,
                "unit": PARAMETERS[name].unit,
                "group": PARAMETERS[name].group,
                "symbol": PARAMETERS[name].symbol,
                "default": self.default(name),
            }
            for name in self.names
        }

    def limits(self) -> list[SumBelow]:
        """What cuts corners off the box: dark energy is negligible at early times."""
        if self.w0.high + self.wa.high < W_TODAY_AND_EARLY:
            return []
        return [SumBelow(("w0", "wa"), W_TODAY_AND_EARLY)]

    def default(self, name: str) -> float | None:
        """What a point has that leaves a parameter out: its only value, or a natural one."""
        default = PARAMETERS[name].default
        if self[name].is_fixed:
            return self[name].low
        if default is None or not self[name].low <= default <= self[name].high:
            return None
        return default

    @property
    def defaults(self) -> dict[str, float]:
        """The parameters that a point need not give, and what it then has."""
        defaults = {name: self.default(name) for name in self.names}
        return {name: value for name, value in defaults.items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, dict[str, Any]]) -> "Space":
        """The inverse of `as_dict`.

        Raises:
            ValueError: A parameter, or an entry of one, is missing, unknown, or of another type,
                unit or group; the message names it.
        """
        exactly(data, PARAMETERS, "space")
        space = cls(**{name: _range(name, data[name]) for name in PARAMETERS})
        for name in PARAMETERS:
            _check_entry(name, data[name], "default", space.default(name))
        return space


def _range(name: str, data: Any) -> Range:
    """One entry of `Space.as_dict`."""
    known = PARAMETERS[name]
    ours = {"unit": known.unit, "group": known.group, "symbol": known.symbol}
    exactly(data, ("low", "high", "sampling", "default", *ours), f"space.{name}")
    for entry, value in ours.items():
        _check_entry(name, data, entry, value)
    numbers = {entry: data[entry] for entry in ("low", "high", "sampling")}
    return from_record(Range, numbers, f"space.{name}")


def _check_entry(name: str, data: dict[str, Any], entry: str, value: Any) -> None:
    if data[entry] != value:
        raise RecordError(f"space.{name}.{entry} is {data[entry]!r}, not {value!r}")


def columns_by_name(theta: Array, names: Sequence[str] = NAMES) -> dict[str, Array]:
    """The columns of points (N, P), each (N,), by name."""
    return dict(zip(names, theta.T, strict=True))


def complete(point: Mapping[str, float]) -> dict[str, float]:
    """A point with the defaults of what it leaves out, in the order of `NAMES`.

    Raises:
        ValueError: A parameter that is missing and has no default, or one that there is not.
    """
    if unknown := [name for name in point if name not in PARAMETERS]:
        raise ValueError(f"unknown parameters: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    values = {name: point.get(name, p.default) for name, p in PARAMETERS.items()}
    if missing := [name for name, value in values.items() if value is None]:
        raise ValueError(f"missing parameters: {', '.join(missing)}")
    return {name: float(value) for name, value in values.items() if value is not None}


def check_theta(theta: Array) -> Array:
    """The points as float64 of shape (N, P), checked to lie where the halo model is defined.

    Raises:
        ValueError: Wrong shape, a value that is not finite, or one outside of
            `Parameter.valid`; the message names row, parameter, value and limits.
    """
    low, high = np.array([p.valid for p in PARAMETERS.values()]).T
    return _check_dark_energy(_inside(theta, low, high, "where the halo model is defined"))


def _inside(theta: Array, low: Array, high: Array, what: str) -> Array:
    theta = np.asarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != len(NAMES):
        raise ValueError(
            f"theta has shape {theta.shape}, expected (N, {len(NAMES)}) "
            f"with columns {', '.join(NAMES)}"
        )
    bad = ~((theta >= low) & (theta <= high))  # NaN is bad too
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"row {row}: {NAMES[column]} = {theta[row, column]:g} is outside "
            f"[{low[column]:g}, {high[column]:g}], {what}"
        )
    return theta


def _check_dark_energy(theta: Array) -> Array:
    w0, wa = theta[:, NAMES.index("w0")], theta[:, NAMES.index("wa")]
    bad = w0 + wa >= W_TODAY_AND_EARLY
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"row {row}: w0 + wa = {w0[row] + wa[row]:g} must be below {W_TODAY_AND_EARLY:g}, so "
            f"that dark energy is negligible at early times"
        )
    return theta
