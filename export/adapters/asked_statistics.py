"""Statistics that a host code requests by name, in addition to spectra."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from export.adapters.common import centre
from export.runtime import OnnxEmulator
from export.statistics import Statistic, statistic

__all__ = ["AskedStatistics", "named", "rehearse_lengths"]


def named(given: Any) -> list[Statistic]:
    """Return requested statistics, under the names that the host gives them.

    Args:
        given: Statistics by name, or a list of statistics with their own names. Each is a
            `Statistic`, or a record such as ``{"kind": "Wp", "r_p": [...], "pi_max": 60}``.

    Raises:
        ValueError: Anything else; the message names the statistic.
    """
    if isinstance(given, Statistic) or (isinstance(given, Mapping) and "kind" in given):
        given = [given]
    if isinstance(given, str) or not isinstance(given, Mapping | Iterable):
        raise ValueError(
            f"statistics = {given!r} must be records by name, {{'w_p': {{'kind': 'Wp', "
            f"'r_p': [...], 'pi_max': 60}}}}"
        )
    if not isinstance(given, Mapping):
        return [statistic(one) for one in given]
    return [_called(name, one) for name, one in given.items()]


def _called(name: Any, given: Any) -> Statistic:
    if not isinstance(name, str):
        raise ValueError(f"statistics: {name!r} must be a name")
    try:
        one = statistic(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"statistics: {name}: {error}") from None
    if isinstance(given, Mapping) and given.get("name", name) != name:
        raise ValueError(
            f"statistics: {name} is called {given['name']} in its record; remove that name"
        )
    return one.called(name)


class AskedStatistics:
    """All statistics that the likelihoods of one run request.

    Args:
        emulator: The emulator that predicts them.

    Attributes:
        by_name: Statistics so far, by name.
    """

    def __init__(self, emulator: OnnxEmulator) -> None:
        self._emulator = emulator
        self.by_name: dict[str, Statistic] = {}

    @property
    def outputs(self) -> list[str]:
        """Names of their outputs, including terms."""
        return [name for one in self.by_name.values() for name in one.outputs]

    @property
    def parameters(self) -> list[str]:
        """Parameters that the emulator does not have, such as a point mass."""
        return list(dict.fromkeys(n for one in self.by_name.values() for n in one.parameters))

    def add(self, statistics: Sequence[Statistic], taken: Collection[str] = ()) -> None:
        """Add statistics; equal ones may be added twice.

        Args:
            statistics: Statistics with names.
            taken: Other names among the results.

        Raises:
            ValueError: A name that another statistic or an output has; a parameter that the
                emulator has, too.
        """
        theirs = {*self._emulator.outputs, *taken}
        for one in statistics:
            known = self.by_name.get(one.name)
            if known is not None and not _same(one, known):
                raise ValueError(
                    f"statistics: two are called {one.name}, {known} and {one}; give one of them "
                    f"another name"
                )
            if clash := [name for name in one.outputs if name in theirs]:
                raise ValueError(
                    f"statistics: {clash[0]} is an output of the emulator; give {one} another name"
                )
            others = [
                n for each in self.by_name.values() if each is not known for n in each.outputs
            ]
            if clash := [name for name in one.outputs if name in others]:
                raise ValueError(
                    f"statistics: two are called {clash[0]}, the other is a term; give {one} "
                    f"another name"
                )
            if clash := [name for name in one.parameters if name in self._emulator.names]:
                raise ValueError(
                    f"statistics: {clash[0]}, a parameter of {one.name}, is also one of the "
                    f"emulator; give it another name"
                )
            self.by_name.setdefault(one.name, one)


def _same(one: Statistic, other: Statistic) -> bool:
    """Whether two statistics have the same class and arguments."""
    mine, theirs = vars(one), vars(other)
    return (
        type(one) is type(other)
        and mine.keys() == theirs.keys()
        and all(np.array_equal(mine[name], theirs[name]) for name in mine)
    )


def rehearse_lengths(
    emulator: OnnxEmulator, statistics: Iterable[Statistic], points: Mapping[str, Any]
) -> None:
    """Evaluate statistics whose lengths depend on h or z at the ends of a prior.

    Args:
        emulator: An emulator.
        statistics: Its statistics.
        points: Values of parameters, with ``h`` and ``z`` where they are known.

    Raises:
        ValueError: Separations outside the supported range somewhere in the prior.
    """
    changing = [one for one in statistics if not one.is_comoving]
    if not changing or "h" not in points:
        return
    ends = {}
    for p in emulator.parameters:
        if p.name in ("h", "z") and p.name in points:
            values = np.asarray(points[p.name], np.float64)
            ends[p.name] = np.clip([values.min(), values.max()], p.low, p.high)
    middle = centre(emulator) | {name: 0.0 for one in changing for name in one.parameters}
    for i in (0, 1):  # the longest and the shortest lengths [Mpc]
        corner = {"h": ends["h"][i]} | ({"z": ends["z"][1 - i]} if "z" in ends else {})
        emulator(middle | corner, changing, out_of_range="nan")
