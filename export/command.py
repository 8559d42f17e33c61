"""Commands that work where nothing but numpy and onnxruntime is installed."""

import argparse
import sys
from collections.abc import Callable

__all__ = ["run"]


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int | None],
    argv: list[str] | None,
) -> None:
    """Parse the command line and do the work; its result is the exit status.

    What a user can cause ends in one line and exit status 2, without a traceback.
    """
    arguments = parser.parse_args(argv)
    try:
        status = work(arguments)
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"{parser.prog}: error: {error}\n")
        sys.exit(2)
    if status:
        sys.exit(status)
