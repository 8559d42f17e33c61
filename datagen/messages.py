"""What messages share: what a mistyped name may have meant, and values cut to a line."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "shortened"]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A question to put behind a name that there is not: `` (did you mean 'standard'?)``.

    Args:
        name: What was given.
        known: The names that there are.

    Returns:
        The question, with a space before it; empty if no name resembles it.
    """
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(str(name).lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def shortened(text: str, longest: int) -> str:
    """A text of at most so many characters; three dots stand for what is cut off."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
