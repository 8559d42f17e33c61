"""Command lines from function signatures: ``--help``, YAML files, dotted overrides, errors."""

import sys
from collections.abc import Callable
from typing import Any

from jsonargparse import auto_cli

__all__ = ["run"]

_USER_ERRORS = (ValueError, OSError)


def run(
    command: Callable[..., Any] | dict[str, Any],
    prog: str,
    argv: list[str] | None = None,
) -> Any:
    """Call a function with its arguments from the command line; of several, the one it names.

    Options are the function's arguments (``--design.points 500``), ``--config FILE`` reads them
    from YAML, later options override earlier ones, ``--print_config`` writes them all. What a
    user can cause ends in one line and exit status 2, without a traceback.
    """
    # several get jsonargparse's own usage line, which lists their names
    usage = None if isinstance(command, dict) else "%(prog)s [--config FILE] [--option VALUE ...]"
    try:
        return auto_cli(
            command, args=argv, as_positional=False, prog=prog, usage=usage, allow_abbrev=False
        )
    except _USER_ERRORS as error:
        sys.stderr.write(f"{prog}: error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write(f"{prog}: interrupted; the same command goes on from here\n")
        sys.exit(130)  # what shells report for an interrupt
