"""Print tables of the occupations' parameters: ``python -m datagen.occupations.tables``."""

import sys

from datagen.occupations import OCCUPATIONS, Occupation
from datagen.parameters import Parameter

__all__ = ["parameters"]


def parameters() -> str:
    """Return Markdown with a section for each occupation: source, and parameters with ranges."""
    return "\n".join(map(_section, OCCUPATIONS.values()))


def _section(one: Occupation) -> str:
    head = "| parameter | symbol | meaning | range | valid |\n|---|---|---|---|---|"
    rows = "\n".join(map(_row, one.parameters))
    return f"### {one.name}\n\n{one.source}.\n\n{head}\n{rows}\n"


def _row(p: Parameter) -> str:
    default = f" Default {p.default:g}." if p.default is not None else ""
    cells = (p.name, f"${p.symbol}$", p.text + default, _interval(p.range), _interval(p.valid))
    return f"| {' | '.join(cells)} |"


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g} to {ends[1]:g}"


if __name__ == "__main__":
    sys.stdout.write(parameters())
