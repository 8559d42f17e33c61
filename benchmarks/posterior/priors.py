"""Priors of fitted parameters, and values of fixed ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.messages import did_you_mean
from export.ranges import Parameter
from export.runtime import OnnxEmulator

__all__ = ["Prior", "Priors"]

Array = NDArray[np.float64]

_MATTER = "Om_m"  # Om_c + Om_b, allowed in place of Om_c
_GAUSSIAN = ("mean", "sigma")


@dataclass(frozen=True)
class Prior:
    """Prior of a parameter: flat, or a Gaussian truncated at two ends.

    Attributes:
        name: Name of the parameter.
        low: Lower end, in the parameter's unit.
        high: Upper end, in the parameter's unit.
        mean: Mean of the Gaussian, in the coordinate; NaN for a flat prior.
        sigma: Standard deviation of the Gaussian, in the coordinate; NaN for a flat prior.
        is_log: Whether the coordinate, in which the prior is flat or Gaussian, is the log10 of the
            parameter.
        symbol: Symbol in TeX.
        unit: Unit of the parameter.
    """

    name: str
    low: float
    high: float
    mean: float = np.nan
    sigma: float = np.nan
    is_log: bool = False
    symbol: str = ""
    unit: str = "1"

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends, in the coordinate."""
        if self.is_log:
            return float(np.log10(self.low)), float(np.log10(self.high))
        return self.low, self.high

    def as_dict(self) -> dict[str, float]:
        """Return the prior as plain numbers."""
        both = {"low": self.low, "high": self.high}
        return both if np.isnan(self.sigma) else {**both, "mean": self.mean, "sigma": self.sigma}


class Priors:
    """Priors of the F sampled parameters of an emulator, and values of all others.

    Args:
        emulator: The emulator.
        fixed: Values of fixed parameters, by name. ``Om_m`` may replace ``Om_c``, here and in
            `given`.
        given: Priors by name: ``[low, high]`` for a flat one; a record with ``mean``, ``sigma`` and
            optionally ``low`` and ``high`` (default: the emulator's range) for a Gaussian one.
            Other parameters of the occupation have a flat prior over the emulator's range.
        more: Names of further parameters of statistics, masses above 0 [Msun].

    Attributes:
        free: Priors of the sampled parameters, in the order of the emulator's parameters.
        fixed: Values of all others, by name, without defaults that are not given.

    Raises:
        ValueError: An unknown parameter, one with a value and a prior, or one with neither; a value
            or prior out of range; nothing to sample.
    """

    def __init__(
        self,
        emulator: OnnxEmulator,
        fixed: Mapping[str, float],
        given: Mapping[str, Any],
        more: Sequence[str] = (),
    ) -> None:
        known = {p.name: p for p in emulator.parameters}
        names: list[str] = [*known, *more]
        if _MATTER in fixed or _MATTER in given:
            if "Om_c" in fixed or "Om_c" in given:
                raise ValueError(f"{_MATTER} and Om_c are both given; give only one of them")
            names[names.index("Om_c")] = _MATTER
            c, b = known["Om_c"], known["Om_b"]
            known[_MATTER] = Parameter(
                _MATTER, "1", c.low + b.low, c.high + b.high, "linear", "cosmology",
                r"\Omega_\mathrm{m}", None,
            )  # fmt: skip
        for name in (*fixed, *given):
            if name not in names:
                raise ValueError(
                    f"no parameter {name}{did_you_mean(name, names)}; there are {', '.join(names)}"
                )
        if both := [name for name in fixed if name in given]:
            raise ValueError(f"{', '.join(both)}: give either a fixed value or a prior")
        missing = [
            name for name in names
            if name not in fixed and name not in given
            and (name not in known or not (known[name].is_occupation or _has_default(known[name])))
        ]  # fmt: skip
        if missing:
            raise ValueError(
                f"{', '.join(missing)}: give each a value in fixed, or a prior in priors"
            )
        self.fixed = {
            name: _fixed(name, fixed[name], known.get(name)) for name in names if name in fixed
        }
        self.free = tuple(
            _prior(name, given.get(name), known.get(name))
            for name in names
            if name in given or (name not in fixed and known[name].is_occupation)
        )
        if not self.free:
            raise ValueError("all parameters are fixed; remove some from fixed")
        self.names = tuple(one.name for one in self.free)
        self._low, self._high = np.array([one.ends for one in self.free]).T
        self._log = np.array([one.is_log for one in self.free])

    def coordinates(self, unit: Any) -> Any:
        """Return the parameters at points of the unit cube, some as log10, shape (N, F)."""
        return self._low + unit * (self._high - self._low)

    def points(self, unit: Any, xp: Any = np) -> dict[str, Any]:
        """Return points of the unit cube (N, F) as points of the emulator, by name.

        Args:
            unit: The points.
            xp: Array library: numpy, or jax.numpy for arrays of JAX.
        """
        x = self.coordinates(unit)
        values = xp.where(self._log, 10.0**x, x) if self._log.any() else x
        point: dict[str, Any] = dict(zip(self.names, values.T, strict=True))
        point = {name: xp.full(len(x), value) for name, value in self.fixed.items()} | point
        if _MATTER in point:
            point["Om_c"] = point.pop(_MATTER) - point["Om_b"]
        return point

    def ln(self, unit: Any, xp: Any = np) -> Any:
        """Return ln of the Gaussian priors up to a constant, (N,); 0 if all are flat."""
        x = self.coordinates(unit)
        pulls = [
            (x[:, i] - one.mean) / one.sigma
            for i, one in enumerate(self.free)
            if not np.isnan(one.sigma)
        ]
        return -0.5 * sum(pull**2 for pull in pulls) if pulls else xp.zeros(len(x))


def _has_default(p: Parameter) -> bool:
    return p.default is not None


def _fixed(name: str, value: Any, p: Parameter | None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"fixed: {name} = {value!r} must be a number")
    if p and not p.low <= value <= p.high:
        raise ValueError(
            f"fixed: {name} = {value:g} is outside the trained range {p.limits}{p.hint(value)}"
        )
    return float(value)


def _prior(name: str, given: Any, p: Parameter | None) -> Prior:
    """Build a prior from its specification."""
    way = "give [low, high], or {mean: ..., sigma: ...}"
    low, high = (p.low, p.high) if p else (0.0, np.inf)
    record = {"low": low, "high": high}
    if isinstance(given, list | tuple) and len(given) == 2:
        record = {"low": given[0], "high": given[1]}
    elif isinstance(given, Mapping) and {"mean", "sigma"} <= set(given) <= {*record, *_GAUSSIAN}:
        record |= given
    elif given is not None:
        raise ValueError(f"priors: {name} = {given!r}: {way}")
    for what, value in record.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"priors: {name}: {what} = {value!r} must be a number; {way}")
    if not record["low"] < record["high"]:
        raise ValueError(
            f"priors: {name}: low = {record['low']:g} must be below high = {record['high']:g}"
        )
    if record["low"] < low or record["high"] > high:
        limits = p.limits if p else "[0, inf] Msun"
        raise ValueError(
            f"priors: {name}: [{record['low']:g}, {record['high']:g}] exceeds the trained range "
            f"{limits}; narrow it"
        )
    if not record.get("sigma", 1.0) > 0:
        raise ValueError(f"priors: {name}: sigma = {record['sigma']:g} must be above 0")
    return Prior(
        name, float(record["low"]), float(record["high"]),
        float(record.get("mean", np.nan)), float(record.get("sigma", np.nan)),
        p is not None and p.sampling == "log10", p.symbol if p else "", p.unit if p else "Msun",
    )  # fmt: skip
