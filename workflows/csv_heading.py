"""Whether a table begins with a line of names, and which of its columns holds the labels.

The line is judged first, by its cells and not by what the label is called: a number stands in
many a sample. Only a table with names has its label looked for among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from compact_models.errors import InputError, closest

MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-", "missing")
_SHOWN = 160  # characters of names in a message
SAY_WHICH = 'say which one with [data] label = "..." or --label'


@dataclass(frozen=True)
class Heading:
    """What the first line of a table is.

    Args:
        headed: whether it has the names of the columns; a sample otherwise.
        label_column: where the labels stand, from 0.
    """

    headed: bool
    label_column: int


def read_number(text: str) -> float:
    """A cell as every program reads it: Python alone takes 1_000 for a number.

    Raises:
        ValueError: it is none.
    """
    if "_" in text:
        raise ValueError(text)
    return float(text)


def is_number(text: str) -> bool:
    """Whether a cell holds one, an infinite one and nan too."""
    try:
        read_number(text)
    except ValueError:
        return False
    return True


def read_heading(lines: Sequence[Sequence[str]], label: str, where: str) -> Heading:
    """Judges the first line of a table.

    Args:
        lines: at least one, cells stripped or not; all but the first may be ragged.
        label: the name of the column of labels, or its number, from 0, -1 for the last.
        where: the first line, for errors.

    Raises:
        InputError: there is no such column, or what is meant is open; the message says how to
            choose.
    """
    names = [cell.strip() for cell in lines[0]]
    if not label:
        raise InputError(
            "which column holds the labels is not said", where=where, allowed=_one_of(names),
            hint=SAY_WHICH,
        )  # fmt: skip
    headed = _is_headed(names, lines[1:], label, where)
    return Heading(headed, (_by_name if headed else _by_number)(names, label, where))


def _is_headed(names: Sequence[str], rest: Sequence[Sequence[str]], label: str, where: str) -> bool:
    texts = [k for k, name in enumerate(names) if not is_number(name) and _is_text(name)]
    if not texts:
        if len(names) > 3 and not names[0] and _counting(names[1:]):
            raise InputError(
                "this line counts the columns, and the first column has no name and counts the"
                " lines: neither is data",
                where=where,
                value=",".join(names)[:80],
                hint="save the table without its index (to_csv(index=False)), and give the columns"
                " names in words, or leave this line out",
            )
        if len(names) > 2 and _counting(names):
            raise InputError(
                "this line counts the columns: are these their names, or is it a sample?",
                where=where,
                value=",".join(names)[:80],
                hint="give the columns names in words, or leave the line out; if it is a sample,"
                " put another one first",
            )
        return False
    if len(texts) > 1:
        return True
    # One text among numbers: a class, if it stands over a class's column as one of them would.
    (column,) = texts
    below = [row[column].strip() for row in rest if len(row) == len(names)]
    number = _whole(label)
    if number is None:
        return names[column] not in below
    if not -len(names) <= number < len(names) or number % len(names) != column:
        return True
    if below and all(is_number(text) for text in below):
        return True
    counted = [name for k, name in enumerate(names) if k != column]
    return names[column] not in below and len(counted) > 2 and bool(_step(counted))


def _is_text(name: str) -> bool:
    """Not a place where a value is missing; those are no headings."""
    return name.lower() not in MISSING


def _counting(names: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2 and so on, or 1, 2, 3."""
    return _step(names) == 1 and float(names[0]) in (0, 1)


def _step(names: Sequence[str]) -> float:
    """By which numbers grow from each to the next; 0 where not all by the same."""
    steps = {float(b) - float(a) for a, b in pairwise(names) if is_number(a) and is_number(b)}
    return steps.pop() if len(steps) == 1 and all(is_number(name) for name in names) else 0.0


def _whole(label: str) -> int | None:
    try:
        return int(label)
    except ValueError:
        return None


def _by_name(names: Sequence[str], label: str, where: str) -> int:
    """The column of a table with names: its name, or its number."""
    times = names.count(label)
    if times > 1:
        raise InputError(f"the column {label!r} stands there {times} times", where=where)
    if not times:
        return _by_number(names, label, where, closest(label, names))
    column, number = names.index(label), _whole(label)
    width = len(names)
    if number is not None and -width <= number < width and number % width != column:
        raise InputError(
            f"the column named {label!r} is not the column number {number}",
            where=where,
            value=label,
            hint=f"say {column - width} for the one of this name,"
            f" {number % width - width} for the one of this number, counted from the end",
        )
    return column


def _by_number(names: Sequence[str], label: str, where: str, hint: str | None = None) -> int:
    number = _whole(label)
    if number is None:
        raise InputError(
            f"there is no column {label!r} for the labels",
            where=where,
            allowed=_one_of(names) if hint is not None else f"0 to {len(names) - 1}, or -1",
            hint=hint
            if hint is not None
            else "this line is a sample, not the names of the columns: say the column's number",
        )
    if not -len(names) <= number < len(names):
        raise InputError(
            "there is no such column for the labels",
            where=where,
            value=number,
            allowed=f"0 to {len(names) - 1}, or -1 for the last",
        )
    return number % len(names)


def _one_of(names: Sequence[str]) -> str:
    """Some columns: the first ones, and the last, which often is the one that is looked for."""
    shown = list(names)
    while len(shown) > 2 and len(", ".join(shown)) > _SHOWN:
        shown.pop(-2)
    left = len(names) - len(shown)
    between = f", and {left} more, " if left else ", "
    return f"one of {', '.join(shown[:-1])}{between if len(shown) > 1 else ''}{shown[-1]}"
