"""Tables in text, in the dialects of spreadsheets and programs: CSV, TSV, columns of numbers.

The names of the columns stand in the first line, or behind a ``#`` before the numbers, as numpy
and astropy write them. Cells are separated by commas, semicolons, tabs or blanks, quoted or not.
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
_SEPARATORS = (";", ",", "\t")  # in this order: between semicolons a comma is a decimal one
_BLANKS = " "
_HASH = r"#(?!N/A|DIV/0!|VALUE!|REF!|NAME\?|NUM!|NULL!)"  # not the errors of spreadsheets
_COMMENT = re.compile(rf'\s*"?{_HASH}')
_EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # a first line that names the separator
_WITH_UNIT = re.compile(r"(.+?)\s*[\[(](.*)[\])]")
_ECSV = re.compile(r"#\s*-\s*\{\s*name: *([^,]+?) *,.*\bunit: *([^,}]+?) *[,}]")  # of astropy
_UNNAMED = re.compile(r"(Unnamed: \d+)?")  # what pandas calls a column without a name
_HINTS = {  # of a cell that is not a number
    r"\s*": "is empty; write nan where there is no value",
    r"[+-]?[\d.]*,[\d.,]*([eE][+-]?\d+)?": "has a comma; write 0.25 and 10000",
    r"[+-]?[\d.]+[dD][+-]?\d+": "has an exponent of Fortran; write 1e13",
    ".*[\ud800-\udfff].*": "is not UTF-8 text",
}


@dataclass(frozen=True)
class _Layout:
    """How a table is laid out.

    Attributes:
        names: Names of its columns; empty for leading columns of row numbers.
        separator: What stands between cells.
        trailing: What ends each line after the last cell.
    """

    names: tuple[str, ...]
    separator: str
    trailing: str


def notes(path: Path) -> list[str]:
    """The lines of a table that begin with ``#`` and stand before any others."""
    with open_text(path) as file:
        return list(takewhile(_COMMENT.match, file))


def text_blocks(
    path: Path, units: Mapping[str, str], defaults: Mapping[str, float]
) -> Iterator[Array]:
    """The numbers of a table, shape (n, P), some thousand rows at once.

    Args:
        path: The file.
        units: Units of the columns by name, in the order in which they are wanted.
        defaults: Values of columns that may be left out.

    Raises:
        ValueError: Names missing, unknown or there twice; a cell that is not a number, or a row
            that is too long or short, with its line; a unit that is not the one wanted.
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
    """All lines before the first that is content, the separator if one names it, and that line."""
    before: list[str] = []
    separator = ""
    for line in file:
        if found := _EXCEL.fullmatch(line):
            separator = found[1]
        elif _has_cells(line):
            return before, separator, line
        before.append(line)
    what = "has comments alone" if any(map(_COMMENT.match, before)) else "is empty"
    raise ValueError(f"it {what}; its first line must name the parameters")


def _header(line: str, notes: list[str], units: Mapping[str, str], separator: str) -> str:
    """The line with the names: the first that is no comment, or one behind a ``#``."""

    def known(text: str) -> int:
        return len({_name_and_unit(cell)[0] for cell in split_cells(text, separator)} & set(units))

    if known(line):
        return line
    behind = [(0, line)]
    for note in notes:
        with suppress(ValueError):  # prose may have odd quotes
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
    """How the lines after a header are laid out; its names and units are checked."""
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
    """Check the units that astropy writes into comments."""
    for name, unit in (found.groups() for note in notes if (found := _ECSV.match(note))):
        if name in units:
            check_text(unit, name, units[name])


def _name_and_unit(cell: str) -> tuple[str, str | None]:
    """``Mth [Msun]`` in two parts."""
    found = _WITH_UNIT.fullmatch(cell)
    return (found[1], found[2]) if found else (cell, None)


def _separator(line: str) -> str:
    return next((separator for separator in _SEPARATORS if separator in line), _BLANKS)


def split_cells(line: str, separator: str = "") -> list[str]:
    """The cells of a line, without quotes and an inline comment.

    Args:
        line: The line.
        separator: What stands between cells; by default what it looks like.

    Raises:
        ValueError: Quotes that do not match.
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
                f"{line[:40]!r}... has no cells that can be told apart ({error})"
            ) from None
    return [cell.strip().strip("\"'") for cell in cells]


def _number(cell: str) -> float | None:
    if not cell.isascii() or "_" in cell:  # what float takes, and no other program does
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def cell_number(cell: str, what: str) -> float:
    """The number in a cell.

    Args:
        cell: Its text.
        what: Where it stands and its name, for the message.

    Raises:
        ValueError: It is none; the message says what it looks like.
    """
    if (number := _number(cell)) is not None:
        return number
    hints = [text for form, text in _HINTS.items() if re.fullmatch(form, cell)]
    text = hints[0] if hints else "is not a number"
    raise ValueError(f"{what} = {cell[:60]!r} {text}")


def _parsed(layout: _Layout, lines: list[str], at: int, row: int) -> Array:
    """The numbers of some lines, those of comments left out; the first has number `at`."""
    if layout.trailing:
        lines = [line.rstrip(" \r\n").removesuffix(layout.trailing) for line in lines]
    filled = [line for line in lines if _has_cells(line)]
    if filled and not any('"' in line for line in filled):  # numpy takes "1"8 for 18
        try:
            table = np.loadtxt(
                filled,
                delimiter=None if layout.separator == _BLANKS else layout.separator,
                ndmin=2,
                encoding=None,
            )
        except ValueError:  # an odd dialect, or a mistake that is named below
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
    """The numbers of a line."""
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
    """The columns in the order wanted."""
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
