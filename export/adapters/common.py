"""What adapters share: lists that may be one word, and a point to make a first call at."""

from collections.abc import Iterable, Sequence

from export.ranges import Parameter

__all__ = ["centre", "words"]


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
