"""Under which names an emulator's inputs come in an input file of Cobaya."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from export.adapters.cobaya_names import ASKED_OF_OTHERS, SOURCES, Source
from export.adapters.physics import shown

__all__ = ["Inputs"]

_AGREE = 1e-4  # relative, of two names of one input


class Inputs:
    """The inputs of an emulator, and the parameters that they are made of.

    Args:
        names: Of the emulator's inputs.
        renames: What some are called in the input file.
        optional: Those that need not be given.

    Attributes:
        supported: Every name that an input may come under.
        asked: Inputs that are not given, and what other theories are asked for in their place.

    Raises:
        ValueError: A rename of something else.
    """

    def __init__(
        self, names: Collection[str], renames: Mapping[str, str], optional: Collection[str] = ()
    ) -> None:
        if unknown := set(renames) - set(names):
            raise ValueError(
                f"renames: no input {', '.join(sorted(unknown))}; there are {', '.join(names)}"
            )
        self._sources = {name: _sources(name, renames.get(name)) for name in names}
        self._order = sorted(names, key=lambda name: name != "h")  # densities need h
        self.supported = list(dict.fromkeys(n for one in self._sources.values() for n in one))
        self.asked: dict[str, str] = {}
        self._optional = frozenset(optional)
        self._chosen: dict[str, list[str]] = {}
        self.settle(())

    @property
    def required(self) -> list[str]:
        """The names that are settled, once each."""
        return list(dict.fromkeys(name for names in self._chosen.values() for name in names))

    def settle(self, given: Iterable[str]) -> None:
        """Choose for each input the names it is given under, or else who is asked for it.

        Args:
            given: Names of parameters.
        """
        present, self.asked = set(given), {}
        for name, sources in self._sources.items():
            self._chosen[name] = [source for source in sources if source in present]
            if not self._chosen[name] and name not in self._optional:
                own, asked = next(iter(sources)), ASKED_OF_OTHERS.get(name)
                self._chosen[name] = [asked if asked in sources else own]
                if asked in sources:
                    self.asked[own] = asked

    def is_given(self, name: str) -> bool:
        """Whether an input is made of parameters, of whatever name."""
        return bool(self._chosen.get(name))

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs that can be made of the values of some parameters.

        Raises:
            ValueError: Two names of one input that disagree.
        """
        point: dict[str, Any] = {}
        for name in self._order:
            sources, chosen = self._sources[name], self._chosen[name]
            if not chosen or not all(n in values for n in chosen):
                continue
            if "h" not in point and any(sources[n].needs_h for n in chosen):
                continue
            first, *others = chosen
            point[name] = sources[first].make(values[first], point.get("h"))
            for other in others:
                value = sources[other].make(values[other], point.get("h"))
                if not np.allclose(value, point[name], rtol=_AGREE, equal_nan=True):
                    raise ValueError(
                        f"{first} and {other} give two values of {name}: "
                        f"{np.ravel(point[name])[0]:g} and {np.ravel(value)[0]:g}"
                    )
        return {name: point[name] for name in self._sources if name in point}

    def contradicted(self, point: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
        """What another code is told that makes other inputs than the emulator's, a line for each.

        Args:
            point: Inputs, with numbers or arrays.
            told: Parameters and arguments of the other code, by the names there.
        """
        for name, value in point.items():
            for other, source in {name: Source(), **SOURCES.get(name, {})}.items():
                if other not in told or (source.needs_h and "h" not in point):
                    continue
                theirs = source.make(told[other], point.get("h"))
                if not np.allclose(theirs, value, rtol=_AGREE, equal_nan=True):
                    yield (
                        f"{other} = {shown(told[other])} there, but {name} = {shown(value)} of the "
                        f"emulator; give one parameter, which both take"
                    )


def _sources(name: str, renamed: str | None) -> dict[str, Source]:
    others = dict(SOURCES.get(name, {}))
    if renamed is None:
        return {name: Source()} | others
    return {renamed: others.get(renamed, Source())}
