"""Commands that work where nothing but numpy and onnxruntime is installed."""

import argparse
import sys
from collections.abc import Callable

from hodspectra.ending import ending, name_of

__all__ = ["run"]


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int | None],
    argv: list[str] | None,
) -> None:
    """Parse the command line and do the work; its result is the exit status.

    What a user can cause, and signals, end as `hodspectra.ending` says.
    """
    with ending(parser.prog):
        parser.prog = name_of(parser.prog)
        status = work(parser.parse_args(argv))
    if status:
        sys.exit(status)
