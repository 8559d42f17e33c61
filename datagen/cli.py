"""Command lines from function signatures: ``--help``, YAML files, dotted overrides, errors.

A command ends as `hodspectra.ending` says. SIGINT, SIGTERM and SIGHUP are raised in it as
`Interrupted`, a SystemExit with the status 128 + the signal's number: it passes every
``except Exception``, also Lightning's and Ray's. Clean up in ``finally``; the line
"interrupted; rerun the command to resume" and the status come from `run`.
"""

import sys
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from jsonargparse import auto_cli

from hodspectra.ending import Interrupted, ending, name_of

__all__ = ["Interrupted", "run"]


def run(
    command: Callable[..., Any] | dict[str, Any],
    prog: str,
    argv: list[str] | None = None,
    words: str = "",
) -> Any:
    """Call a function with its arguments from the command line; of several, the one it names.

    Options are the function's arguments (``--design.points 500``), ``--config FILE`` reads them
    from YAML, later options override earlier ones, ``--print_config`` writes them all. What a
    user can cause, and signals, end in one line, as `hodspectra.ending` says.

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
        "prog": name_of(prog),
        # several get jsonargparse's own usage line, which lists their names
        "usage": None if isinstance(command, dict) else usage,
        "as_positional": False,
        "allow_abbrev": False,
    }
    with ending(prog, resumable=True):
        return auto_cli(command, args=_named(argv, words), **options)


def _named(argv: list[str] | None, words: str) -> list[str]:
    """The arguments, words before the first option as the value of an option."""
    arguments = sys.argv[1:] if argv is None else argv
    first = list(takewhile(lambda word: not word.startswith("-"), arguments)) if words else []
    if not words.endswith("+"):
        del first[1:]
    return [f"--{words}={word}" for word in first] + arguments[len(first) :]
