"""Command lines from function signatures: ``--help``, YAML files, dotted overrides, errors."""

import sys
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from jsonargparse import auto_cli

__all__ = ["run"]

_USER_ERRORS = (ValueError, OSError)


def run(
    command: Callable[..., Any] | dict[str, Any],
    prog: str,
    argv: list[str] | None = None,
    words: str = "",
) -> Any:
    """Call a function with its arguments from the command line; of several, the one it names.

    Options are the function's arguments (``--design.points 500``), ``--config FILE`` reads them
    from YAML, later options override earlier ones, ``--print_config`` writes them all. What a
    user can cause ends in one line and exit status 2, without a traceback.

    Args:
        command: The function, or several by name.
        prog: How the command is called.
        argv: Its arguments; those of this process by default.
        words: Option that a word before the first option is the value of; with a ``+`` at its
            end, all such words are, as a list.
    """
    word = f"{words.removesuffix('+').upper()} " if words else ""
    usage = f"%(prog)s {word}[--config FILE] [--option VALUE ...]"
    options: dict[str, Any] = {
        "prog": prog,
        # several get jsonargparse's own usage line, which lists their names
        "usage": None if isinstance(command, dict) else usage,
        "as_positional": False,
        "allow_abbrev": False,
    }
    try:
        return auto_cli(command, args=_named(argv, words), **options)
    except _USER_ERRORS as error:
        sys.stderr.write(f"{prog}: error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write(f"{prog}: interrupted; the same command goes on from here\n")
        sys.exit(130)  # what shells report for an interrupt


def _named(argv: list[str] | None, words: str) -> list[str]:
    """The arguments, words before the first option as the value of an option."""
    arguments = sys.argv[1:] if argv is None else argv
    first = list(takewhile(lambda word: not word.startswith("-"), arguments)) if words else []
    if not words.endswith("+"):
        del first[1:]
    return [f"--{words}={word}" for word in first] + arguments[len(first) :]
