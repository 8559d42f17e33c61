"""Read text tables of spreadsheets and programs: CSV, TSV, columns of numbers.

The names of the columns are in the first line, or in a ``#`` comment before the numbers, as written
by numpy and astropy. Cells are separated by commas, semicolons, tabs or blanks, and may be quoted.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, takewhile
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from datagen.columns import check_names
from datagen.texts import open_text
from datagen.units import check_text

__all__ = ["ROWS", "cell_number", "notes", "split_cells", "text_blocks"]

Array = NDArray[np.float64]

ROWS = 4096  # lines read at once
_SEPARATORS = (";", ",", "\t")  # in this order: between semicolons, commas are decimal
_BLANKS = " "
_HASH = r"#(?!N/A|DIV/0!|VALUE!|REF!|NAME\?|NUM!|NULL!)"  # except error values of spreadsheets
_COMMENT = re.compile(rf'\s*"?{_HASH}')
_EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # a first line that names the separator
_WITH_UNIT = re.compile(r"(.+?)\s*[\[(](.*)[\])]")
_ECSV = re.compile(r"#\s*-\s*\{\s*name: *([^,]+?) *,.*\bunit: *([^,}]+?) *[,}]")  # of astropy
_UNNAMED = re.compile(r"(Unnamed: \d+)?")  # pandas' name of a column without a name
_HINTS = {  # for cells that are not a number
    r"\s*": "is empty; write nan where there is no value",
    r"[+-]?[\d.]*,[\d.,]*([eE][+-]?\d+)?": "has a comma; write 0.25 and 10000",
    r"[+-]?[\d.]+[dD][+-]?\d+": "has an exponent of Fortran; write 1e13",
    ".*[\ud800-\udfff].*": "is not UTF-8 text",
}


@dataclass(frozen=True)
class _Layout:
    """Layout of a table.

    Attributes:
        names: Names of the columns; empty for leading columns of row numbers.
        separator: Separator of the cells.
        trailing: Separators at the end of each line.
    """

    names: tuple[str, ...]
    separator: str
    trailing: str


def notes(path: Path) -> list[str]:
    """Return the leading lines of a table that begin with ``#``."""
    with open_text(path) as file:
        return list(takewhile(_COMMENT.match, file))


def text_blocks(
    path: Path, units: Mapping[str, str], defaults: Mapping[str, float]
) -> Iterator[Array]:
    """Read the numbers of a table, `ROWS` lines at once.

    Args:
        path: File.
        units: Units of the columns by name, in the order of the returned columns.
        defaults: Values of columns that the table may omit.

    Yields:
        Numbers, shape (n, P).

    Raises:
        ValueError: A name is missing, unknown or duplicate; a cell is not a number, or a row has
            the wrong length (the message names the line); a unit differs.
    """
    with open_text(path) as file:
        before, separator, line = _head(file)
        header = _header(line, before, units, separator)
        lines = [*([] if header is line else [line]), *islice(file, ROWS)]
        _check_units(before, units)
        layout = _layout(header, lines, units, separator, defaults)
        at, row = len(before) + (2 if header is line else 1), 0
        while lines:
            table = _parsed(layout, lines, at, row)
            yield _wanted(layout, table, units, defaults)
            at, row = at + len(lines), row + len(table)
            lines = list(islice(file, ROWS))


def _has_cells(line: str) -> bool:
    """Whether a line is neither blank nor a comment."""
    return bool(line.strip()) and not _COMMENT.match(line)


def _head(file: TextIO) -> tuple[list[str], str, str]:
    """Lines before the first with content, the separator if a line names it, and the first line."""
    before: list[str] = []
    separator = ""
    for line in file:
        if found := _EXCEL.fullmatch(line):
            separator = found[1]
        elif _has_cells(line):
            return before, separator, line
        before.append(line)
    what = "has only comments" if any(map(_COMMENT.match, before)) else "is empty"
    raise ValueError(f"it {what}; its first line must name the parameters")


def _header(line: str, notes: list[str], units: Mapping[str, str], separator: str) -> str:
    """The line with the names: the first that is not a comment, or a comment."""

    def known(text: str) -> int:
        return len({_name_and_unit(cell)[0] for cell in split_cells(text, separator)} & set(units))

    if known(line):
        return line
    behind = [(0, line)]
    for note in notes:
        with suppress(ValueError):  # text may have unbalanced quotes
            behind.append((known(text := note.strip().lstrip('"# ')), text))
    count, header = max(behind, key=itemgetter(0))
    rivals = [text for number, text in behind if number == count == len(units)]
    if len({tuple(split_cells(text, separator)) for text in rivals}) > 1:
        raise ValueError("two lines behind # name the parameters, in different orders; leave one")
    if not count and all(_number(cell) is not None for cell in split_cells(line, separator)):
        raise ValueError("its first line must name the parameters; it has numbers")
    return header


def _layout(
    header: str,
    lines: list[str],
    units: Mapping[str, str],
    separator: str,
    defaults: Mapping[str, float],
) -> _Layout:
    """Check names and units of a header, and return the layout of the lines after it."""
    names = []
    for cell in split_cells(header, separator):
        name, unit = _name_and_unit(cell)
        if name in units and unit is not None:
            check_text(unit, name, units[name])
        names.append(name if name in units else cell)
    while names and not names[-1]:
        del names[-1]
    unnamed = len(list(takewhile(_UNNAMED.fullmatch, names)))
    check_names(names[unnamed:], tuple(units), defaults)
    first = next((line for line in lines if _has_cells(line)), "")
    separator = separator or _separator(header)
    if separator not in first:
        separator = _separator(first)
    beyond = split_cells(first, separator)[len(names) :]
    trailing = "" if any(beyond) or separator == _BLANKS else separator * len(beyond)
    return _Layout(("",) * unnamed + tuple(names[unnamed:]), separator, trailing)


def _check_units(notes: list[str], units: Mapping[str, str]) -> None:
    """Check units in comments written by astropy."""
    for name, unit in (found.groups() for note in notes if (found := _ECSV.match(note))):
        if name in units:
            check_text(unit, name, units[name])


def _name_and_unit(cell: str) -> tuple[str, str | None]:
    """Split ``Mth [Msun]`` into name and unit."""
    found = _WITH_UNIT.fullmatch(cell)
    return (found[1], found[2]) if found else (cell, None)


def _separator(line: str) -> str:
    return next((separator for separator in _SEPARATORS if separator in line), _BLANKS)


def split_cells(line: str, separator: str = "") -> list[str]:
    """Split a line into cells, without quotes and inline comment.

    Args:
        line: Line of a table.
        separator: Separator of the cells; by default detected.

    Raises:
        ValueError: Quotes are unbalanced.
    """
    line, separator = re.split(_HASH, line)[0].strip(" \r\n"), separator or _separator(line)
    if separator == _BLANKS:
        cells = line.split()
    else:
        reader = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
        try:
            cells = next(reader, [])
        except csv.Error as error:
            raise ValueError(
                f"{line[:40]!r}... has no cells that can be separated ({error})"
            ) from None
    return [cell.strip().strip("\"'") for cell in cells]


def _number(cell: str) -> float | None:
    if not cell.isascii() or "_" in cell:  # accepted by float, but not by other programs
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def cell_number(cell: str, what: str) -> float:
    """Convert a cell to a number.

    Args:
        cell: Text of the cell.
        what: Position and name of the cell, for messages.

    Raises:
        ValueError: The cell is not a number; the message suggests why.
    """
    if (number := _number(cell)) is not None:
        return number
    hints = [text for form, text in _HINTS.items() if re.fullmatch(form, cell)]
    text = hints[0] if hints else "is not a number"
    raise ValueError(f"{what} = {cell[:60]!r} {text}")


def _parsed(layout: _Layout, lines: list[str], at: int, row: int) -> Array:
    """Numbers in lines, without comments; the first line has the number `at`."""
    if layout.trailing:
        lines = [line.rstrip(" \r\n").removesuffix(layout.trailing) for line in lines]
    filled = [line for line in lines if _has_cells(line)]
    if filled and not any('"' in line for line in filled):  # numpy would read "1"8 as 18
        try:
            table = np.loadtxt(
                filled,
                delimiter=None if layout.separator == _BLANKS else layout.separator,
                ndmin=2,
                encoding=None,
            )
        except ValueError:  # an unusual dialect, or an error, which the lines below report
            pass
        else:
            if table.shape == (len(filled), len(layout.names)):
                return table
    rows: list[list[float]] = []
    for i, line in enumerate(lines):
        if _has_cells(line):
            rows.append(_numbers(layout, line, f"line {at + i}: row {row + len(rows)}"))
    return np.array(rows, np.float64).reshape(-1, len(layout.names))


def _numbers(layout: _Layout, line: str, where: str) -> list[float]:
    """Numbers in a line."""
    try:
        cells = split_cells(line, layout.separator)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if len(cells) != (wanted := len(layout.names)):
        hint = "; are there decimal commas?" if len(cells) == 2 * wanted else ""
        raise ValueError(f"{where} has {len(cells)} values, the header {wanted} names{hint}")
    return [
        cell_number(cell, f"{where}: {name or 'the first column'}")
        for name, cell in zip(layout.names, cells, strict=True)
    ]


def _wanted(
    layout: _Layout, table: Array, units: Mapping[str, str], defaults: Mapping[str, float]
) -> Array:
    """The columns in the order of ``units``."""
    numbering = table[:, [not name for name in layout.names]]
    if (numbering != np.rint(numbering)).any():
        raise ValueError(
            "its first column has no name and holds more than row numbers; leave it out"
        )
    wanted = np.empty((len(table), len(units)))
    for i, name in enumerate(units):
        there = name in layout.names
        wanted[:, i] = table[:, layout.names.index(name)] if there else defaults[name]
    return wanted
