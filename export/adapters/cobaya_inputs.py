"""Names of an emulator's inputs in an input file of Cobaya."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from export.adapters.cobaya_names import ASKED_OF_OTHERS, SOURCES, Source
from export.adapters.physics import shown

__all__ = ["Inputs"]

_AGREE = 1e-4  # relative difference of two values of one input that counts as agreement


class Inputs:
    """The inputs of an emulator, and the parameters that they are computed from.

    Args:
        names: Names of the emulator's inputs.
        renames: Names in the input file, by those of the emulator.
        optional: Inputs that may be omitted.

    Attributes:
        supported: All names that an input may have.
        asked: Inputs that are not given, and the parameters requested from other theories instead.

    Raises:
        ValueError: A rename of an unknown input.
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
        """The chosen names, without duplicates."""
        return list(dict.fromkeys(name for names in self._chosen.values() for name in names))

    def settle(self, given: Iterable[str]) -> None:
        """Choose the names of each input, or request it from other theories.

        Args:
            given: Names of the parameters in the input file.
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
        """Whether an input is computed from given parameters, under any name."""
        return bool(self._chosen.get(name))

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Compute all inputs that some parameters determine.

        Args:
            values: Values of parameters, by name.

        Raises:
            ValueError: Two parameters that give different values of one input.
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
        """Describe settings of another code that disagree with the emulator's inputs.

        Args:
            point: Inputs of the emulator, numbers or arrays.
            told: Parameters and arguments of the other code, by its names.

        Yields:
            A message for each setting.
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
