"""What adapters share: lists that may be one word, and a rehearsal of the call to come."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from export.ranges import OutOfRange, Parameter

__all__ = ["centre", "rehearse", "words"]


def words(value: str | Iterable[str]) -> list[str]:
    """Names as a list; a single text is one name, or several with spaces between them.

    Raises:
        ValueError: Neither.
    """
    names = value.split() if isinstance(value, str) else value
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{value!r} must be a name or a list of names")
    return list(names)


def centre(parameters: Sequence[Parameter]) -> dict[str, float]:
    """The point in the middle of all ranges, in the logarithm where points were drawn so."""
    return {
        p.name: (p.low * p.high) ** 0.5 if p.sampling == "log10" else (p.low + p.high) / 2
        for p in parameters
    }


def rehearse(parameters: Sequence[Parameter], call: Callable[[dict[str, float]], Any]) -> None:
    """Make the call of every step of a sampler once, so that its errors come at set-up.

    Args:
        parameters: Of the emulator.
        call: Evaluates it at a point.

    Raises:
        ValueError: Outputs or wavenumbers that the emulator does not have.
    """
    with suppress(OutOfRange):  # a domain that is not a box need not have its centre
        call(centre(parameters))
