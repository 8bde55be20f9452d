"""A text file with a table as rows of cells, between commas, semicolons, tabs or blanks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from compact_models.errors import InputError
from workflows.csv_file import FileText, csv_lines, csv_text

Row = tuple[int, list[str]]  # the number of its line, and its cells
SEPARATORS = (";", "\t", ",", " ")
"""In the order in which they are tried: where others separate, a comma may be a decimal one."""


def read_lines(path: Path, what: str) -> tuple[list[str], FileText]:
    """The lines of a file that has at least one cell, without their ends, and how it was read.

    Args:
        path: the file.
        what: what it is to the user.

    Raises:
        InputError: it cannot be read, is no text or is empty.
    """
    found = csv_text(path, what)
    lines = re.split(r"\r\n|\r|\n", found.text)
    if not any(has_cells(line) for line in lines):
        raise InputError(
            f"the {what} is empty",
            where=str(path),
            hint="write a line of column names, then numbers",
        )
    return lines, found


def has_cells(line: str) -> bool:
    """Whether a line has any cell; one that starts with # has none."""
    return bool(line.strip(" \t,;")) and not line.lstrip().startswith("#")


def split_cells(line: str, separator: str) -> list[str]:
    """The cells of a line; of one that has none, or is no CSV, one empty cell."""
    if not has_cells(line):
        return [""]
    if separator == " ":
        return line.split()
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
    except csv.Error:
        return [""]


def rows_below(
    path: Path, lines: list[str], first: int, separator: str, width: int, what: str
) -> Iterator[Row]:
    """The rows of a table that have any cell and do not start with #.

    Args:
        path: the file, for messages.
        lines: of the file.
        first: the line where the rows begin, from 0; cells in quotes may go over several lines.
        separator: one of `SEPARATORS`.
        width: most cells of a row.
        what: what the file is to the user.

    Raises:
        InputError: a row has more cells, or it is no CSV; the message names the line.
    """
    rows = (
        [(k + 1, line.split()) for k, line in enumerate(lines) if k >= first and has_cells(line)]
        if separator == " "
        else csv_lines("\n".join(lines[first:]), path, what, separator, first)
    )
    for number, cells in rows:
        if any(cell.strip() for cell in cells[width:]):
            raise InputError(
                "there are more fields than the heading has",
                where=f"{path}:{number}",
                value=separator.join(cells),
                allowed=f"{width} fields",
                hint="write numbers with a decimal point, not a comma"
                if separator == ","
                else "leave the others out, or give them a name in the heading",
            )
        yield number, cells
