"""A table of numbers in a text file, as instruments and spreadsheets write it.

Its columns stand between commas, semicolons, tabs or blanks; numbers have a decimal point, or a
comma where that separates nothing. Text of the instrument may stand before the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from workflows.csv_heading import MISSING
from workflows.device.columns import Choice, Column, Layout, column, find, unit_row
from workflows.device.text_rows import (
    SEPARATORS,
    Row,
    has_cells,
    read_lines,
    rows_below,
    split_cells,
)

Array = NDArray[np.float64]

# Python's own numbers may have underscores and digits of any script, which no other program reads.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_PREAMBLE = 1000  # lines in which the table must have begun
_INFINITE = ("inf", "infinity")
_TIMES = {2: "twice"}
_MISSING = {*MISSING, *(f"{sign}{text}" for sign in ("", "+", "-") for text in _INFINITE)} - {""}
_SHOWN = 40  # letters of a line


@dataclass(frozen=True)
class NumberTable:
    """Columns of a file, in SI.

    Attributes:
        layout: what they are.
        columns: where each was found, in that order.
        lines: the number of every row's line.
        values: [row, quantity].
        as_written: the same in the file's units.
        encoding: by which the file's bytes were read.
        notes: in words, what else had to be assumed of the file.
    """

    layout: Layout
    columns: tuple[Column, ...]
    lines: list[int]
    values: Array
    as_written: Array
    encoding: str
    notes: tuple[str, ...]

    def read_as(self) -> str:
        """What file and columns were taken for, in words; empty where nothing had to be said."""
        plain = all(one.plain for one in self.columns)
        columns = ", ".join(
            f"{one.quantity.key} = {one.name!r}" + (f" in {one.unit.text}" if one.unit.text else "")
            for one in self.columns
        )
        return "; ".join([*([] if plain else [columns]), *self.notes])


@dataclass(frozen=True)
class _Head:
    """Where a table begins: the line of its heading (from 0; -1 if none), and what it has."""

    heading: int
    first: int
    separator: str
    layout: Layout
    columns: tuple[Column, ...]
    width: int


def read_table(path: Path, layouts: Sequence[Layout], choice: Choice, what: str) -> NumberTable:
    """The first of some layouts that a file has, as numbers.

    Args:
        path: the file; empty lines and those that start with # are left out, and so are lines
            before the heading, and text below the table.
        layouts: what a row may be made of.
        choice: what the user says of the columns.
        what: what the file is to the user.

    Raises:
        InputError: the file cannot be read or is empty; it has no layout, or a column twice; or a
            cell is no finite number. The message names the line.
    """
    texts, found = read_lines(path, what)
    asked = [
        layout
        for layout in layouts
        if {*choice.columns, *choice.units} <= {one.key for one in layout}
    ]
    head = (
        _by_numbers(path, texts, asked[0], choice)
        if choice.numbers and len(choice.columns) == len(asked[0])
        else _by_names(path, texts, asked, choice)
    )
    if head is None:
        raise _not_found(path, texts, asked, choice, what)
    end = _end(texts, head)
    rows = list(rows_below(path, texts[:end], head.first, head.separator, head.width, what))
    if head.heading >= 0 and rows:
        units = unit_row(rows[0][1], head.columns)
        if units is not None:
            head = _Head(head.heading, head.first, head.separator, head.layout, tuple(units),
                         head.width)  # fmt: skip
            rows = rows[1:]
    as_written = np.array(
        [
            list(_numbers(path, row, head, last=row[0] == rows[-1][0]))
            for row in _with_points(path, rows, head)
        ],
        dtype=np.float64,
    ).reshape(-1, len(head.columns))
    values = np.stack(
        [one.unit.in_si(as_written[:, k]) for k, one in enumerate(head.columns)], axis=1
    )
    notes = [found.read_as(), _left_out(texts, end)]
    return NumberTable(
        head.layout, head.columns, [line for line, _ in rows], values, as_written,
        found.encoding, tuple(note for note in notes if note),
    )  # fmt: skip


def as_number(text: str) -> float:
    """The number that a text is in every program alike; not finite where it is none."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _by_names(
    path: Path, texts: list[str], layouts: Sequence[Layout], choice: Choice
) -> _Head | None:
    """The first line that names every column of a layout."""
    for line, text in enumerate(texts[:_PREAMBLE]):
        for separator in SEPARATORS:
            cells = split_cells(text, separator)
            for layout in layouts:
                places = find(layout, cells, choice)
                if not all(places.values()) or _is_row(cells, places):
                    continue
                where = f"{path}:{line + 1}"
                for key, found in places.items():
                    _check_once(where, key, [cells[k] for k in found], cells, layout)
                columns = tuple(
                    column(one, places[one.key][0], cells[places[one.key][0]], choice, where)
                    for one in layout
                )
                return _Head(line, line + 1, separator, layout, columns, len(cells))
    return None


def _is_row(cells: Sequence[str], places: dict[str, list[int]]) -> bool:
    """Whether columns that go by numbers have numbers here: then it is no heading."""
    return all(_may_be_number(cells[found[0]]) for found in places.values())


def _by_numbers(path: Path, texts: list[str], layout: Layout, choice: Choice) -> _Head | None:
    """The first of two lines that have numbers in all of these columns; one may stand alone."""
    at = {key: int(name) - 1 for key, name in choice.columns.items()}
    lines = [(k, text) for k, text in enumerate(texts[:_PREAMBLE]) if has_cells(text)]
    for separator in SEPARATORS:
        cells = [(k, split_cells(text, separator)) for k, text in lines]
        good = [
            all(0 <= p < len(row) and _may_be_number(row[p]) for p in at.values())
            for _, row in cells
        ]
        for k, (line, row) in enumerate(cells):
            if not good[k] or (k + 1 < len(cells) and not good[k + 1]):
                continue
            before = cells[k - 1] if k else (-1, [])
            names = before[1] if len(before[1]) > max(at.values()) else []
            if any(_may_be_number(names[p]) for p in at.values() if names):
                raise InputError(
                    "the table seems to begin here, but not all of the chosen columns are numbers",
                    where=f"{path}:{before[0] + 1}",
                    value=texts[before[0]],
                    allowed="numbers in columns " + ", ".join(choice.columns.values()),
                    hint="mend the line, or put a # before it",
                )
            heading = before[0] if names else -1
            columns = tuple(
                column(
                    one,
                    at[one.key],
                    names[at[one.key]] if names else "",
                    choice,
                    f"{path}:{heading + 1}",
                )
                for one in layout
            )
            return _Head(heading, line, separator, layout, columns, max(len(row), len(names)))
    return None


def _check_once(
    where: str, key: str, found: Sequence[str], heading: Sequence[str], layout: Layout
) -> None:
    if len(found) < 2:
        return
    times = _TIMES.get(len(found), f"{len(found)} times")
    names = ", ".join(one.name for one in layout)
    alike = len(set(found)) == 1
    raise InputError(
        f"the column {found[0]!r} stands there {times}"
        if alike
        else f"several columns may be {key}: {', '.join(found)}",
        where=where,
        value=", ".join(heading),
        allowed=f"a heading with {names}, each once",
        hint=f"rename or remove all but one of them, or say which with --columns {key}=NUMBER",
    )


def _not_found(
    path: Path, texts: list[str], layouts: Sequence[Layout], choice: Choice, what: str
) -> InputError:
    """Why there is no table: what is missing, and the option that would name it."""
    line, cells = _likely_heading(texts)
    where = f"{path}:{line + 1}"
    layout = max(layouts, key=lambda one: sum(map(bool, find(one, cells, choice).values())))
    missing = [one for one in layout if not find(layout, cells, choice)[one.key]]
    example = ",".join(f"{one.key}={k + 1}" for k, one in enumerate(layout))
    if choice.numbers:
        highest = max(int(number) for number in choice.columns.values())
        return InputError(
            "no two lines have numbers in all of these columns",
            where=where,
            value=",".join(f"{key}={name}" for key, name in choice.columns.items()),
            allowed=f"1 to {len(cells)}" if highest > len(cells) else "columns of numbers",
            hint="look at the file: columns count from 1",
        )
    if all(_may_be_number(cell) for cell in cells):
        return InputError(
            f"the {what} has no heading",
            where=where,
            value=texts[line],
            allowed=_layouts(layouts),
            hint=f"say which column is what, as in --columns {example}",
        )
    names = ",".join(f"{one.key}=..." for one in layout)
    say = f"or say which column is what with --columns {names}, by name or number"
    if choice.columns or len(layouts) == 1:
        one = missing[0] if missing else layout[0]
        wanted = choice.columns.get(one.key, one.name)
        near = closest(wanted, [cell for cell in cells if cell])
        return InputError(
            f"the column {wanted!r} is missing",
            where=where,
            value=", ".join(cells),
            allowed=f"a heading with {', '.join(choice.columns.get(o.key, o.name) for o in layout)}"
            ", each once",
            hint=f"{near} {say}".strip() if near else say,
        )
    return InputError(
        f"these columns are no {what}",
        where=str(path),
        value=", ".join(cells),
        allowed=_layouts(layouts),
        hint=say.removeprefix("or "),
    )


def _layouts(layouts: Sequence[Layout]) -> str:
    return "; or ".join(", ".join(one.name for one in layout) for layout in layouts)


def _likely_heading(texts: list[str]) -> tuple[int, list[str]]:
    """The last line of words before two lines of numbers; else the first line that has cells."""
    lines = [(k, text) for k, text in enumerate(texts[:_PREAMBLE]) if has_cells(text)]
    best = None
    for separator in SEPARATORS:
        rows = [(k, split_cells(text, separator)) for k, text in lines]
        for before, now in zip([lines[0], *lines], rows, strict=False):
            if len(now[1]) > 1 and sum(map(_may_be_number, now[1])) >= 2:
                cells = split_cells(before[1], separator)
                if best is None or len(cells) > len(best[1]):
                    best = before[0], cells
                break
    return best or (lines[0][0], split_cells(lines[0][1], ","))


def _with_points(path: Path, rows: Sequence[Row], head: _Head) -> Iterator[Row]:
    """The rows with decimal points where commas are what the file has.

    Raises:
        InputError: it has both, so that 1,234 may be a thousand or one and a quarter.
    """
    places = [one.place for one in head.columns]

    def cells(row: Row) -> list[str]:
        return [row[1][place].strip() for place in places if place < len(row[1])]

    if head.separator == "," or not any(
        _WITH_COMMA.fullmatch(cell) for row in rows for cell in cells(row)
    ):
        yield from rows
        return
    for row in rows:
        if any("." in cell and _NUMBER.fullmatch(cell) for cell in cells(row)):
            raise InputError(
                "some numbers have a decimal comma and some a decimal point",
                where=f"{path}:{row[0]}",
                value=head.separator.join(row[1]),
                allowed="one of both in the whole file",
            )
        yield row[0], [cell.replace(",", ".") if _may_be_number(cell) else cell for cell in row[1]]


def _end(texts: Sequence[str], head: _Head) -> int:
    """Behind the last line (from 0) that has a number in a column of the table, or a gap there.

    What stands below it are an instrument's closing words. A line of the table whose values are
    missing is none of them: it says so in a way of its own, or has as many cells as the heading.
    """
    for k in range(len(texts) - 1, head.first - 1, -1):
        cells = [cell.strip() for cell in split_cells(texts[k], head.separator)]
        if not has_cells(texts[k]):
            continue
        ours = [cells[one.place] for one in head.columns if one.place < len(cells)]
        in_columns = head.separator != " " and sum(map(bool, cells)) >= head.width
        if (
            in_columns
            or texts[k].count('"') % 2  # the end of a cell over several lines
            or any(_may_be_number(cell) or cell.lower() in _MISSING for cell in ours)
        ):
            return k + 1
    return len(texts)


def _left_out(texts: Sequence[str], end: int) -> str:
    """What stands below the table, in words; empty where nothing does."""
    below = [(k, text.strip()) for k, text in enumerate(texts) if k >= end and has_cells(text)]
    if not below:
        return ""
    line, text = below[0]
    more = "" if len(below) == 1 else f" and {len(below) - 1} more"
    return f"text below the table is left out: line {line + 1} ({_short(text)!r}){more}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _numbers(path: Path, row: Row, head: _Head, *, last: bool) -> Iterator[float]:
    line, cells = row
    for one in head.columns:
        text = cells[one.place].strip() if one.place < len(cells) else ""
        if not text:
            raise InputError(
                f"{one.name} is blank",
                where=f"{path}:{line}",
                value=head.separator.join(cells),
                allowed=f"a finite number in column {one.place + 1}",
                hint="fill it in, or leave the whole line out",
            )
        value = as_number(text)
        if not math.isfinite(value):
            raise InputError(
                f"{one.name} is not a finite number",
                where=f"{path}:{line}",
                value=text,
                allowed=f"a number with a decimal point, in column {one.place + 1}",
                hint="if this is text below the table, take the line out" if last else "",
            )
        yield value


def _may_be_number(cell: str) -> bool:
    """With a decimal point or a decimal comma."""
    text = cell.strip()
    return bool(_NUMBER.fullmatch(text) or _WITH_COMMA.fullmatch(text))
