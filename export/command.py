"""Command lines that need only numpy and onnxruntime."""

import argparse
import sys
from collections.abc import Callable

from datagen.messages import did_you_mean
from hodspectra.ending import ending, name_of

__all__ = ["add_occupation", "run"]


def add_occupation(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--occupation`` of commands that open an emulator."""
    text = "another occupation (hodspectra occupations lists them)"
    parser.add_argument("--occupation", metavar="NAME", help=text)


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int | None],
    argv: list[str] | None,
) -> None:
    """Parse the command line and run the command; its result is the exit status.

    User errors and signals end as described in `hodspectra.ending`.
    """
    with ending(parser.prog):
        parser.prog = name_of(parser.prog)
        arguments, unknown = parser.parse_known_args(argv)
        if unknown:
            options = parser._option_string_actions
            named = (f"{word}{did_you_mean(word.partition('=')[0], options)}" for word in unknown)
            parser.error(f"unrecognized arguments: {' '.join(named)}")
        status = work(arguments)
    if status:
        sys.exit(status)
