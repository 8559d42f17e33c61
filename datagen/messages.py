"""Parts of messages: suggestions for mistyped names, and shortened values."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "shortened"]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown name: `` (did you mean 'standard'?)``.

    Args:
        name: Unknown name.
        known: Known names.

    Returns:
        The question, with a leading space; empty if no known name is similar.
    """
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(str(name).lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def shortened(text: str, longest: int) -> str:
    """Cut a text to at most ``longest`` characters, with three dots at the end if it is cut."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
