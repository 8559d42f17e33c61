"""List occupations and their parameters: ``python -m export.occupations``."""

import argparse
from collections.abc import Sequence

from datagen.occupations import EXTRAS, OCCUPATIONS, Occupation
from datagen.parameters import Parameter
from export.command import run
from export.populations import as_occupation

__all__ = ["listing", "told"]


def listing() -> str:
    """A line for each occupation: its name and the names of its parameters."""
    width = max(map(len, OCCUPATIONS))
    lines = [f"{name:{width}s}  {_names(one.parameters)}" for name, one in OCCUPATIONS.items()]
    added = "; ".join(f"+{name} ({_names(more)})" for name, more in EXTRAS.items())
    return "\n".join([*lines, "", f"What may be added to a name, as in zheng07+damping: {added}"])


def _names(parameters: Sequence[Parameter]) -> str:
    return ", ".join(p.name for p in parameters)


def told(one: Occupation) -> str:
    """Description of an occupation: its source, and a line for each parameter."""
    lines = [f"{one.name}: {one.source}", ""]
    for p in one.parameters:
        unit = "" if p.unit == "1" else f" {p.unit}"
        ends = f"{p.range[0]:g} to {p.range[1]:g}{unit}"
        lines.append(f"{p.name:15s} {ends:24s} {p.text}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """List the occupations, or describe one: its source, parameters and usual ranges.

    The option --occupation of other commands accepts these names.
    """
    parser = argparse.ArgumentParser(prog="python -m export.occupations", description=main.__doc__)
    parser.add_argument("name", nargs="?", help="name of an occupation; all if omitted")

    def work(arguments: argparse.Namespace) -> None:
        name = arguments.name
        print(told(as_occupation(name)) if name else listing())  # noqa: T201

    run(parser, work, argv)


if __name__ == "__main__":
    main()
