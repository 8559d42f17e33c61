"""Parameters in named groups, and the box that points are drawn from.

The parameters of a point form three groups: ``cosmology``, ``redshift``, and the parameters of
an occupation, a group with the occupation's name. Columns of points are always found by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datagen.fields import RecordError, exactly, from_record
from datagen.occupations import EXTRAS, OCCUPATIONS, occupation
from datagen.parameters import Parameter, Sampling

__all__ = [
    "BACKGROUND",
    "COSMOLOGY",
    "W_TODAY_AND_EARLY",
    "Range",
    "Space",
    "SumBelow",
    "check_theta",
    "columns_by_name",
    "complete",
    "parameters_of",
]

Array = NDArray[np.float64]

W_TODAY_AND_EARLY = -0.1  # upper limit of w0 + wa, the early-time limit of w(a)

_EDGE = 1e-9  # distance of drawn points from that limit
_EARLY = W_TODAY_AND_EARLY - _EDGE


def _cosmology(
    name: str,
    symbol: str,
    valid: tuple[float, float],
    low: float,
    high: float,
    text: str,
    default: float | None = None,
) -> Parameter:
    group = "redshift" if name == "z" else "cosmology"
    return Parameter(name, "1", group, symbol, valid, (low, high), default, text=text)


_BACKGROUND: dict[str, Parameter] = {
    p.name: p
    for p in (
        _cosmology("Om_c", r"\Omega_\mathrm{c}", (0.01, 0.9), 0.1, 0.6,
                   "Density parameter of cold dark matter."),
        _cosmology("Om_b", r"\Omega_\mathrm{b}", (0.005, 0.2), 0.04, 0.06,
                   "Density parameter of baryons."),
        _cosmology("h", "h", (0.3, 1.2), 0.64, 0.82, "Hubble constant in 100 km/s/Mpc."),
        _cosmology("sigma_8", r"\sigma_8", (0.1, 2.0), 0.8, 1.0,
                   "RMS of the linear matter density in spheres of 8 Mpc/h at z = 0."),
        _cosmology("n_s", r"n_\mathrm{s}", (0.5, 1.5), 0.84, 1.1,
                   "Spectral index of the primordial power."),
        _cosmology("w0", "w_0", (-3.0, 0.0), -1.0, -1.0,
                   "Dark energy's equation of state today, w(a) = w0 + wa (1 - a).", -1.0),
        _cosmology("wa", r"w_\mathrm{a}", (-5.0, 3.0), 0.0, 0.0,
                   "Change of dark energy's equation of state, -dw/da.", 0.0),
        _cosmology("z", "z", (0.0, 10.0), 0.0, 0.0, "Redshift."),
    )
}  # fmt: skip
BACKGROUND: tuple[str, ...] = tuple(_BACKGROUND)
"""Names of the first columns of all points: cosmology and redshift."""
COSMOLOGY: tuple[str, ...] = tuple(n for n, p in _BACKGROUND.items() if p.group == "cosmology")


def parameters_of(name: str = "linke22") -> dict[str, Parameter]:
    """Parameters of points by name, in the order of columns.

    Args:
        name: Name of the occupation.

    Returns:
        The parameters of cosmology, redshift and occupation.

    Raises:
        ValueError: The occupation is unknown.

    Example:
        >>> list(parameters_of("zheng07"))[7:]
        ['z', 'log10Mmin', 'sigma_logM', 'log10M0', 'log10M1', 'alpha']
    """
    return _BACKGROUND | {p.name: p for p in occupation(name).parameters}


@dataclass(frozen=True)
class SumBelow:
    """Constraint on the points of a box: the sum of some parameters is below a limit.

    Attributes:
        names: Names of the parameters, of `BACKGROUND`.
        below: The limit, excluded.
    """

    names: tuple[str, ...]
    below: float

    def __post_init__(self) -> None:
        if unknown := [name for name in self.names if name not in BACKGROUND]:
            raise ValueError(f"a sum of {', '.join(unknown)}; there are {', '.join(BACKGROUND)}")
        if not self.names or not np.isfinite(self.below):
            raise ValueError(f"a sum of {len(self.names)} parameters is below {self.below}")

    def is_inside(self, theta: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether each point satisfies the constraint, shape (N,).

        Args:
            theta: Points, shape (N, P); the first columns are `BACKGROUND`.
        """
        columns = [BACKGROUND.index(name) for name in self.names]
        inside: NDArray[np.bool_] = theta[:, columns].astype(np.float64).sum(axis=1) < self.below
        return inside

    @property
    def reason(self) -> str:
        """The violated constraint in words, for error messages."""
        return f"{' + '.join(self.names)} is not below {self.below:g}"


if TYPE_CHECKING:
    End = float
else:
    End = float | None  # until a space fills it in


@dataclass(frozen=True)
class Range:
    """Closed interval of one parameter; equal ends hold the parameter fixed.

    `Space` fills in omitted values from `Parameter.range` and `Parameter.sampling`.

    Attributes:
        low: Lower end, in the unit of the parameter; by default that of the parameter.
        high: Upper end, in the unit of the parameter; by default that of the parameter.
        sampling: ``linear`` samples uniformly in the value, ``log10`` uniformly in its base-10
            logarithm; by default log10 for masses in Msun and linear for all others. Networks
            take the log10 of parameters with ``log10`` and of all masses in Msun as input.
    """

    low: End = None  # type: ignore[assignment]
    high: End = None  # type: ignore[assignment]
    sampling: Sampling | None = None

    @property
    def is_log(self) -> bool:
        """Whether the parameter is sampled uniformly in its log10."""
        return self.sampling == "log10"

    @property
    def is_fixed(self) -> bool:
        """Whether the parameter is held fixed."""
        return self.low == self.high


def _filled(p: Parameter, given: Range | None = None) -> Range:
    """Fill in omitted values of a range from a parameter's own range and sampling."""
    if given is None:
        return Range(*p.range, p.sampling)
    low = p.range[0] if given.low is None else given.low
    high = p.range[1] if given.high is None else given.high
    return Range(low, high, p.sampling if given.sampling is None else given.sampling)


def _fields() -> list[tuple[str, Any, Any]]:
    """Fields of `Space`: the occupation, and a range (or None) for every known parameter."""
    known: list[tuple[str, Any, Any]] = [("occupation", str, field(default="linke22"))]
    known += [(name, Range, field(default=_filled(p))) for name, p in _BACKGROUND.items()]
    names = dict.fromkeys(p.name for one in OCCUPATIONS.values() for p in one.parameters)
    names |= dict.fromkeys(p.name for extra in EXTRAS.values() for p in extra)
    return [*known, *((name, Range | None, field(default=None)) for name in names)]


if TYPE_CHECKING:

    @dataclass(frozen=True)
    class _Ranges:
        def __getattr__(self, name: str) -> Range: ...

else:
    _Ranges = make_dataclass("_Ranges", _fields(), frozen=True)


@dataclass(frozen=True)
class Space(_Ranges):
    """Box of the parameters of points; the default is the box of the published emulators.

    In addition, ``w0 + wa`` must be below -0.1, so that dark energy is negligible at early times.

    Example:
        >>> space = Space(occupation="zheng07", h=Range(0.6, 0.8), log10Mmin=Range(12.0, 13.0))
        >>> space.log10Mmin
        Range(low=12.0, high=13.0, sampling='linear')

    Attributes:
        occupation: Name of the occupation. Its parameters are added to those of cosmology and
            redshift; ranges of parameters of other occupations must be omitted. Omitted ranges of
            its own parameters are those of `datagen.occupations`. Extensions such as
            zheng07+off_centring add parameters; see `datagen.occupations.extras`.
    """

    occupation: str = "linke22"

    if TYPE_CHECKING:

        def __init__(self, *, occupation: str = "linke22", **ranges: Range | None) -> None: ...

    def __post_init__(self) -> None:
        parameters = parameters_of(self.occupation)
        others = [n for n, r in vars(self).items() if isinstance(r, Range) and n not in parameters]
        if others:
            raise ValueError(
                f"{', '.join(others)}: the occupation {self.occupation} has the parameters "
                f"{', '.join(p.name for p in occupation(self.occupation).parameters)}"
            )
        for name, p in parameters.items():
            object.__setattr__(self, name, _filled(p, self[name]))
            self._check_range(name)  # not in Range, which does not know the name
        if self.w0.low + self.wa.low >= W_TODAY_AND_EARLY:
            raise ValueError(
                f"w0 + wa is at least {self.w0.low + self.wa.low:g} in the whole space, and must "
                f"be below {W_TODAY_AND_EARLY:g}; lower w0 or wa"
            )

    def _check_range(self, name: str) -> None:
        r, (low, high) = self[name], self.parameters[name].valid
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
        """Names of the parameters, in the order of columns."""
        return tuple(self.parameters)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters by name, in the order of columns."""
        return parameters_of(self.occupation)

    @property
    def units(self) -> dict[str, str]:
        """Units of the parameters by name, in the order of columns."""
        return {name: p.unit for name, p in self.parameters.items()}

    @property
    def usual(self) -> tuple[str, ...]:
        """Names of the occupation's parameters with their range of `datagen.occupations`."""
        known = self.parameters.items()
        return tuple(n for n, p in known if n not in BACKGROUND and self[n] == _filled(p))

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the parameters that are not held fixed."""
        return tuple(name for name in self.names if not self[name].is_fixed)

    @property
    def low(self) -> Array:
        """Lower ends of the ranges, in the order of `names`, shape (P,)."""
        return np.array([self[name].low for name in self.names])

    @property
    def high(self) -> Array:
        """Upper ends of the ranges, in the order of `names`, shape (P,)."""
        return np.array([self[name].high for name in self.names])

    @property
    def is_log(self) -> NDArray[np.bool_]:
        """Whether each parameter is sampled in log10, shape (P,)."""
        return np.array([self[name].is_log for name in self.names])

    def from_unit(self, unit: Array) -> Array:
        """Map points of the unit cube to points of the box, both of shape (N, P).

        Where ``w0 + wa < -0.1`` cuts the range of wa short, the rest of the range is filled
        uniformly.

        Args:
            unit: Points in [0, 1), columns in the order of `names`.
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
        """Map points of the box to points of the unit cube, both of shape (N, P).

        The inverse of `from_unit`, except for parameters that are held fixed, which map to 0.

        Args:
            theta: Points, columns in the order of `names`.
        """
        low, high = self._coordinates(self._ends())
        width = np.where(high > low, high - low, 1.0)
        position: Array = (self._coordinates(theta) - low) / width
        if not self.wa.is_fixed:
            w0, wa = self.names.index("w0"), self.names.index("wa")
            position[:, wa] = (theta[:, wa] - self.wa.low) / self._room_of_wa(theta[:, w0])
        return position

    def _ends(self) -> Array:
        """Ends of the box without those w0 that no wa goes with, shape (2, P)."""
        ends, w0 = np.stack([self.low, self.high]), self.names.index("w0")
        ends[1, w0] = min(self.w0.high, _EARLY - self.wa.low)
        return ends

    def _room_of_wa(self, w0: Array) -> Array:
        """Width of the allowed range of wa at each w0, shape (N,)."""
        room: Array = np.minimum(self.wa.high, _EARLY - w0) - self.wa.low
        return np.maximum(room, _EDGE / 2)

    def _coordinates(self, theta: Array) -> Array:
        """Points in the coordinates in which they are drawn uniformly."""
        x = np.array(theta, dtype=np.float64)
        x[:, self.is_log] = np.log10(x[:, self.is_log])
        return x

    def check(self, theta: Array) -> Array:
        """Check that points lie in the box, and return them as float64 of shape (N, P).

        Args:
            theta: Points, columns in the order of `names`, shape (N, P).

        Raises:
            ValueError: The shape is wrong, a value is not finite or outside of its range, or
                ``w0 + wa`` is -0.1 or more; the message names row, parameter and value.
        """
        ends = dict(zip(self.names, zip(self.low, self.high, strict=True), strict=True))
        theta = _inside(theta, ends, "the range in the space; widen it")
        return _check_dark_energy(theta)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the ranges as plain numbers and strings, as stored in files."""
        return {
            name: {
                "low": self[name].low,
                "high": self[name].high,
                "sampling": self[name].sampling,
                "unit": p.unit,
                "group": p.group,
                "symbol": p.symbol,
                "default": self.default(name),
            }
            for name, p in self.parameters.items()
        }

    def limits(self) -> list[SumBelow]:
        """Return the constraints besides the ranges: ``w0 + wa < -0.1``, if it cuts the box."""
        if self.w0.high + self.wa.high < W_TODAY_AND_EARLY:
            return []
        return [SumBelow(("w0", "wa"), W_TODAY_AND_EARLY)]

    def default(self, name: str) -> float | None:
        """Return the value of a parameter in points that omit it; None if it is required.

        A fixed parameter has its only value, others have `Parameter.default` if it is in range.
        """
        default = self.parameters[name].default
        if self[name].is_fixed:
            return self[name].low
        if default is None or not self[name].low <= default <= self[name].high:
            return None
        return default

    @property
    def defaults(self) -> dict[str, float]:
        """Values of the parameters that points may omit, by name."""
        defaults = {name: self.default(name) for name in self.names}
        return {name: value for name, value in defaults.items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, dict[str, Any]]) -> "Space":
        """Return a space from the output of `as_dict`.

        Raises:
            ValueError: A parameter, or an entry of a parameter, is missing, unknown, or of
                another type, unit or group; the message names it.
        """
        of = _occupation_of(data)
        parameters = parameters_of(of)
        exactly(data, parameters, "space")
        ranges = {name: _range(p, data[name]) for name, p in parameters.items()}
        space = cls(**ranges, occupation=of)
        for name in parameters:
            _check_entry(name, data[name], "default", space.default(name))
        return space


def _documented() -> str:
    """Attributes of `Space` for `help` and the command line: occupations and all parameters."""
    lines = [f"            There are {', '.join(OCCUPATIONS)}."]
    lines += [f"        {p.name}: {p.text}" for p in _BACKGROUND.values()]
    whose: dict[str, dict[str, list[str]]] = {}  # by parameter and text
    for one in OCCUPATIONS.values():
        for p in one.parameters:
            text = f"{p.text.rstrip('.')}, usually {p.range[0]:g} to {p.range[1]:g}."
            whose.setdefault(p.name, {}).setdefault(text, []).append(one.name)
    for name, extra in EXTRAS.items():
        for p in extra:
            whose.setdefault(p.name, {}).setdefault(p.text, []).append(f"+{name}")
    for name, texts in whose.items():
        each = [f"{', '.join(names)}: {text}" for text, names in texts.items()]
        lines.append(f"        {name}: {' '.join(each)}")
    return "\n".join([*lines, ""])


Space.__doc__ = f"{(Space.__doc__ or '').rstrip()}\n{_documented()}    "


def _occupation_of(data: Any) -> str:
    """Name of the occupation of a record: the group of its other parameters."""
    groups = (
        [
            one.get("group")
            for n, one in data.items()
            if isinstance(one, dict) and n not in BACKGROUND
        ]
        if isinstance(data, dict)
        else []
    )
    found = next((group for group in groups if _is_occupation(group)), None)
    if groups and found is None:
        raise RecordError(f"space has parameters of {groups[0]!r}, which is not an occupation")
    return found or "linke22"


def _is_occupation(group: Any) -> bool:
    return isinstance(group, str) and group.partition("+")[0] in OCCUPATIONS


def _range(known: Parameter, data: Any) -> Range:
    """Range from one entry of `Space.as_dict`."""
    name = known.name
    ours = {"unit": known.unit, "group": known.group, "symbol": known.symbol}
    exactly(data, ("low", "high", "sampling", "default", *ours), f"space.{name}")
    for entry, value in ours.items():
        _check_entry(name, data, entry, value)
    entries = {entry: data[entry] for entry in ("low", "high", "sampling")}
    if left_out := [entry for entry, value in entries.items() if value is None]:
        raise RecordError(f"space.{name}.{left_out[0]} is null")
    return from_record(Range, entries, f"space.{name}")


def _check_entry(name: str, data: dict[str, Any], entry: str, value: Any) -> None:
    if data[entry] != value:
        raise RecordError(f"space.{name}.{entry} is {data[entry]!r}, not {value!r}")


def columns_by_name(theta: Array, names: Sequence[str]) -> dict[str, Array]:
    """Return the columns of points by name.

    Args:
        theta: Points, shape (N, P).
        names: Names of the columns.

    Returns:
        Views of the columns, each of shape (N,).
    """
    return dict(zip(names, theta.T, strict=True))


def complete(point: Mapping[str, float], occupation: str = "linke22") -> dict[str, float]:
    """Add default values of omitted parameters to a point.

    Args:
        point: Parameters by name.
        occupation: Name of the point's occupation.

    Returns:
        All parameters by name, in the order of columns.

    Raises:
        ValueError: A parameter without a default is missing, or a parameter is unknown.
    """
    known = parameters_of(occupation)
    if unknown := [name for name in point if name not in known]:
        raise ValueError(f"unknown parameters: {', '.join(unknown)}; there are {', '.join(known)}")
    values = {name: point.get(name, p.default) for name, p in known.items()}
    if missing := [name for name, value in values.items() if value is None]:
        raise ValueError(f"missing parameters: {', '.join(missing)}")
    return {name: float(value) for name, value in values.items() if value is not None}


def check_theta(theta: Array, occupation: str = "linke22") -> Array:
    """Check that the halo model is defined at points, and return them as float64, shape (N, P).

    Args:
        theta: Points, columns in the order of `parameters_of`, shape (N, P).
        occupation: Name of the points' occupation.

    Raises:
        ValueError: The shape is wrong, a value is not finite or outside of `Parameter.valid`, or
            ``w0 + wa`` is -0.1 or more; the message names row, parameter, value and limits.
    """
    ends = {name: p.valid for name, p in parameters_of(occupation).items()}
    return _check_dark_energy(_inside(theta, ends, "where the halo model is defined"))


def _inside(theta: Array, ends: Mapping[str, tuple[float, float]], what: str) -> Array:
    names = list(ends)
    low, high = np.array(list(ends.values())).T
    theta = np.asarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != len(names):
        raise ValueError(
            f"theta has shape {theta.shape}, expected (N, {len(names)}) "
            f"with columns {', '.join(names)}"
        )
    bad = ~((theta >= low) & (theta <= high))  # NaN is bad too
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"row {row}: {names[column]} = {theta[row, column]:g} is outside "
            f"[{low[column]:g}, {high[column]:g}], {what}"
        )
    return theta


def _check_dark_energy(theta: Array) -> Array:
    w0, wa = (theta[:, BACKGROUND.index(name)] for name in ("w0", "wa"))
    bad = w0 + wa >= W_TODAY_AND_EARLY
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"row {row}: w0 + wa = {w0[row] + wa[row]:g} must be below {W_TODAY_AND_EARLY:g}, so "
            f"that dark energy is negligible at early times"
        )
    return theta
