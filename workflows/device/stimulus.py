"""Stimuli and traces as CSV files: `t_s`, `v_v`, and what a run adds to them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.files import write_text_atomic

Array = NDArray[np.float64]
Table = Callable[[Sequence[str]], tuple[list[int], Array]]
COLUMNS = ("t_s", "v_v")
# No thin film stands a thousand volts, and the models mean nothing there: what is beyond is a slip
# in a unit or an exponent. The sets of the package switch at 0.2 to 2.2 V.
MOST_V = 1000.0
# Python's own numbers may have underscores and digits of any script, which no other program reads.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_TIMES = {2: "twice"}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}


def read_stimulus(path: Path) -> tuple[Array, Array]:
    """Times [s] and voltages [V], both [time], from a CSV file with a heading.

    Raises:
        InputError: the file cannot be read, lacks a column, has what is no finite number, its
            times do not rise, or a voltage is beyond `MOST_V`; the message names the line.
    """
    _, table = read_columns(path, what="stimulus")
    numbers, values = table(COLUMNS)
    if len(values) < 2:
        raise InputError(
            "a stimulus needs two points", where=str(path), value=len(values), allowed=">= 2"
        )
    falls = np.nonzero(np.diff(values[:, 0]) <= 0)[0]
    if falls.size:
        raise InputError(
            "time does not rise",
            where=f"{path}:{numbers[int(falls[0]) + 1]}",
            value=float(values[falls[0] + 1, 0]),
            allowed=f"> {values[falls[0], 0]:g} s, the time of the line before",
        )
    check_voltages(path, numbers, values[:, 1])
    return values[:, 0], values[:, 1]


def check_voltages(path: Path, lines: Sequence[int], voltage_v: Array) -> None:
    """Refuses what no device could stand, before an engine makes a current of 1e27 A of it.

    Raises:
        InputError: a voltage is beyond `MOST_V` of either sign; the message names the line.
    """
    beyond = np.flatnonzero(np.abs(voltage_v) > MOST_V)
    if beyond.size:
        first = int(beyond[0])
        raise InputError(
            "v_v is a voltage that no such device stands",
            where=f"{path}:{lines[first]}",
            value=float(voltage_v[first]),
            allowed=f"-{MOST_V:g} to {MOST_V:g} V",
            hint="write it in V",
        )


def read_columns(path: Path, *, what: str = "measurement") -> tuple[list[str], Table]:
    """The heading of a CSV file, and a function that reads columns of it as numbers.

    Args:
        path: the file; empty lines and those that start with # are left out.
        what: what it is to the user.

    Returns:
        The names of its columns; and a function of some of these names, each of which must be
        there once, that returns the number of every line and the values [line, column].

    Raises:
        InputError: the file cannot be read or is empty; or, by the function, a column is not there
            once or a cell is no finite number.
    """
    lines = csv_lines(csv_text(path, what), path, what)
    if not lines:
        raise InputError(
            f"the {what} is empty",
            where=str(path),
            hint="write a line of column names, then numbers",
        )
    heading = [cell.strip() for cell in lines[0][1]]
    check_separator(f"{path}:{lines[0][0]}", heading)
    for number, row in lines[1:]:
        if len(row) > len(heading):
            raise InputError(
                "there are more fields than the heading has",
                where=f"{path}:{number}",
                value=",".join(row),
                allowed=f"{len(heading)} fields",
                hint="write numbers with a decimal point, not a comma",
            )

    def table(names: Sequence[str]) -> tuple[list[int], Array]:
        for name in names:
            times = heading.count(name)
            if times != 1:
                raise InputError(
                    f"the column {name!r} stands there {_TIMES.get(times, f'{times} times')}"
                    if times
                    else f"the column {name!r} is missing",
                    where=f"{path}:{lines[0][0]}",
                    value=", ".join(heading),
                    allowed=f"a heading with {', '.join(names)}, each once",
                    hint="rename or remove all but one of them"
                    if times
                    else closest(name, heading),
                )
        places = [heading.index(name) for name in names]
        values = np.array(
            [
                [_number(path, number, row, place, heading[place]) for place in places]
                for number, row in lines[1:]
            ],
            dtype=np.float64,
        ).reshape(-1, len(names))
        return [number for number, _ in lines[1:]], values

    return heading, table


def csv_text(path: Path, what: str) -> str:
    """What is in the file, without the mark that spreadsheets put before it."""
    if path.is_dir():
        raise InputError(
            f"this is a folder, the {what} is a CSV file", where=str(path), hint="name a file in it"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path)) from error
    except OSError as error:
        raise InputError(
            f"the {what} cannot be read ({error.strerror})", where=str(path)
        ) from error
    binary = data.find(0)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        binary = error.start if binary < 0 else min(binary, error.start)
        text = ""
    if binary >= 0:
        line = data.count(b"\n", 0, binary) + 1
        raise InputError(
            f"the {what} is no text in UTF-8",
            where=f"{path}:{line}",
            value=data[binary : binary + 4],
            hint="save it as CSV with commas, in UTF-8",
        )
    return text


def csv_lines(text: str, path: Path, what: str) -> list[tuple[int, list[str]]]:
    """The number and the cells of every line that has any; lines that start with # have none."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(
            f"the {what} is no CSV file ({error})", where=f"{path}:{reader.line_num}"
        ) from error
    return [
        (number, row)
        for number, row in rows
        if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#")
    ]


def check_separator(where: str, heading: Sequence[str]) -> None:
    """Refuses a heading of one name that other separators would make several of."""
    found = [one for one in _SEPARATORS if one in heading[0]]
    if len(heading) == 1 and found:
        raise InputError(
            f"columns must be separated by commas, not by {_SEPARATORS[found[0]]}",
            where=where,
            value=heading[0],
            hint="save the file as CSV with commas, and numbers with a decimal point",
        )


def _number(path: Path, line: int, row: list[str], place: int, name: str) -> float:
    text = row[place].strip() if place < len(row) else ""
    if not text:
        raise InputError(
            f"{name} is blank",
            where=f"{path}:{line}",
            value=",".join(row),
            allowed=f"a finite number in column {place + 1}",
            hint="fill it in, or leave the whole line out",
        )
    value = as_number(text)
    if not math.isfinite(value):
        raise InputError(
            f"{name} is not a finite number",
            where=f"{path}:{line}",
            value=text,
            allowed=f"a number with a decimal point, in column {place + 1}",
        )
    return value


def as_number(text: str) -> float:
    """The number that a text is in every program alike; not finite where it is none."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def write_trace(path: Path, columns: Mapping[str, Array]) -> None:
    """Writes columns of one length, with all digits, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    # A current of -0.0, as ngspice has it at 0 V, is 0.0 like that of torch.
    rows = zip(*((column + 0.0).tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(repr(value) for value in row) for row in rows)]
    write_text_atomic(path, "\n".join(lines) + "\n")
