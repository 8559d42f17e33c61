"""The ten-parameter space: names, units, ranges and sampling of every parameter."""

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datagen.fields import RecordError, exactly, from_record

__all__ = [
    "BOUNDS_OF_VALIDITY",
    "COSMOLOGY",
    "PARAMETERS",
    "UNITS",
    "Range",
    "Space",
    "check_theta",
]

Sampling = Literal["linear", "log10"]

# Where the halo model itself stops making sense, whatever an emulator was trained on.
BOUNDS_OF_VALIDITY: dict[str, tuple[float, float]] = {
    "Om_c": (0.01, 0.9),
    "Om_b": (0.005, 0.2),
    "h": (0.3, 1.2),
    "sigma_8": (0.1, 2.0),
    "n_s": (0.5, 1.5),
    "alpha": (0.0, 1.0),
    "sigma": (1e-3, 5.0),
    "Mth": (1e9, 1e16),
    "Mprime": (1e9, 1e19),
    "beta": (0.0, 4.0),
}

UNITS: dict[str, str] = dict.fromkeys(BOUNDS_OF_VALIDITY, "1") | {
    "Mth": "Msun",
    "Mprime": "Msun",
}
PARAMETERS: tuple[str, ...] = tuple(BOUNDS_OF_VALIDITY)
COSMOLOGY: tuple[str, ...] = PARAMETERS[:5]


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
        """Whether the parameter is sampled, and fed to networks, as its log10."""
        return self.sampling == "log10"


@dataclass(frozen=True)
class Space:
    """The box of the ten parameters; the default is the box of the published emulators.

    The halo occupation (Linke et al. 2022, A&A 665, A38) reads, with the natural logarithm,
    ``e(M) = [1 + erf(ln(M / Mth) / (sqrt(2) sigma))] / 2``, ``N_c = alpha e`` and
    ``N_s = e (M / Mprime)^beta``.

    Attributes:
        Om_c: Density parameter of cold dark matter.
        Om_b: Density parameter of baryons.
        h: Hubble constant in 100 km/s/Mpc.
        sigma_8: RMS of the linear matter density in spheres of 8 Mpc/h at z = 0.
        n_s: Spectral index of the primordial power.
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
    alpha: Range = Range(0.0, 1.0)
    sigma: Range = Range(0.01, 1.0)
    Mth: Range = Range(1e10, 1e15, "log10")
    Mprime: Range = Range(1e10, 1e17, "log10")
    beta: Range = Range(0.1, 2.0)

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS_OF_VALIDITY.items():
            r = self[name]  # checked here and not in Range, which does not know its name
            interval = f"{name}: range [{r.low:g}, {r.high:g}]"
            if not (np.isfinite(r.low) and np.isfinite(r.high)):
                raise ValueError(f"{interval} must be finite")
            if r.low > r.high:
                raise ValueError(f"{interval} is reversed; swap low and high")
            if r.low < low or r.high > high:
                raise ValueError(
                    f"{interval} leaves [{low:g}, {high:g}], where the halo model is defined; "
                    f"narrow it"
                )
            if r.sampling not in ("linear", "log10"):
                raise ValueError(f"{name}: sampling = {r.sampling!r} must be 'linear' or 'log10'")
            if r.is_log and r.low <= 0:
                raise ValueError(f"{interval} reaches 0; log10 sampling needs low > 0")

    def __getitem__(self, name: str) -> Range:
        value: Range = getattr(self, name)
        return value

    @property
    def low(self) -> NDArray[np.float64]:
        """Smallest values in the order of `PARAMETERS`, shape (10,)."""
        return np.array([self[name].low for name in PARAMETERS])

    @property
    def high(self) -> NDArray[np.float64]:
        """Largest values in the order of `PARAMETERS`, shape (10,)."""
        return np.array([self[name].high for name in PARAMETERS])

    @property
    def is_log(self) -> NDArray[np.bool_]:
        """Which parameters are sampled in log10, shape (10,)."""
        return np.array([self[name].is_log for name in PARAMETERS])

    def from_unit(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of the box, shape (N, 10), from points of the unit cube, shape (N, 10)."""
        low, high = self._coordinates(np.stack([self.low, self.high]))
        theta = low + unit * (high - low)
        log = self.is_log
        theta[:, log] = 10.0 ** theta[:, log]
        return np.clip(theta, self.low, self.high)  # 10**log10(x) may miss x by an ulp

    def to_unit(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of `from_unit`; 0 for a parameter that is held fixed."""
        low, high = self._coordinates(np.stack([self.low, self.high]))
        width = np.where(high > low, high - low, 1.0)
        position: NDArray[np.float64] = (self._coordinates(theta) - low) / width
        return position

    def _coordinates(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points in the coordinates that they are evenly drawn in."""
        x = np.array(theta, dtype=np.float64)
        x[:, self.is_log] = np.log10(x[:, self.is_log])
        return x

    def check(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The points as float64 of shape (N, 10), checked to lie in the box.

        Raises:
            ValueError: Wrong shape, or a value that is not finite or outside of its range.
        """
        return _inside(theta, self.low, self.high, "the range in the space; widen it")

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Plain numbers and strings, as stored in files."""
        return {
            f.name: {
                "low": self[f.name].low,
                "high": self[f.name].high,
                "sampling": self[f.name].sampling,
                "unit": UNITS[f.name],
            }
            for f in fields(self)
        }

    @classmethod
    def from_dict(cls, data: dict[str, dict[str, Any]]) -> "Space":
        """The inverse of `as_dict`.

        Raises:
            ValueError: A parameter, or an entry of one, is missing, unknown or of another type or
                unit; the message names it.
        """
        exactly(data, PARAMETERS, "space")
        return cls(**{name: _range(name, data[name]) for name in PARAMETERS})


def _range(name: str, data: Any) -> Range:
    """One entry of `Space.as_dict`."""
    unit = exactly(data, ("low", "high", "sampling", "unit"), f"space.{name}")["unit"]
    if unit != UNITS[name]:
        raise RecordError(f"space.{name}.unit is {unit!r}, not {UNITS[name]!r}")
    numbers = {entry: value for entry, value in data.items() if entry != "unit"}
    return from_record(Range, numbers, f"space.{name}")


def check_theta(theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points as float64 of shape (N, 10), checked to lie where the halo model is defined.

    Raises:
        ValueError: Wrong shape, a value that is not finite, or one outside
            `BOUNDS_OF_VALIDITY`; the message names row, parameter, value and limits.
    """
    low, high = np.array(list(BOUNDS_OF_VALIDITY.values())).T
    return _inside(theta, low, high, "where the halo model is defined")


def _inside(
    theta: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], what: str
) -> NDArray[np.float64]:
    theta = np.asarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != len(PARAMETERS):
        raise ValueError(
            f"theta has shape {theta.shape}, expected (N, {len(PARAMETERS)}) "
            f"with columns {', '.join(PARAMETERS)}"
        )
    bad = ~((theta >= low) & (theta <= high))  # NaN is bad too
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"row {row}: {PARAMETERS[column]} = {theta[row, column]:g} is outside "
            f"[{low[column]:g}, {high[column]:g}], {what}"
        )
    return theta
