"""Stimuli and traces as CSV files: `t_s`, `v_v`, and what a run adds to them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.files import write_text_atomic

Array = NDArray[np.float64]
COLUMNS = ("t_s", "v_v")


def read_stimulus(path: Path) -> tuple[Array, Array]:
    """Times [s] and voltages [V], both [time], from a CSV file with a heading.

    Raises:
        InputError: the file cannot be read, lacks a column, has what is no finite number, or its
            times do not rise; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the stimulus cannot be read: {error}", where=str(path)) from error
    lines = [
        (number, row)
        for number, row in enumerate(csv.reader(io.StringIO(text)), start=1)
        if any(cell.strip() for cell in row)
    ]
    if not lines:
        raise InputError("the stimulus is empty", where=str(path), allowed="columns t_s, v_v")
    heading = [cell.strip() for cell in lines[0][1]]
    for name in COLUMNS:
        if heading.count(name) != 1:
            raise InputError(
                "the stimulus needs this column once",
                where=f"{path}:{lines[0][0]}",
                value=name,
                allowed="a heading with t_s and v_v",
                hint=closest(name, heading),
            )
    places = [heading.index(name) for name in COLUMNS]
    values = np.array(
        [
            [_number(path, number, row, place, heading[place]) for place in places]
            for number, row in lines[1:]
        ],
        dtype=np.float64,
    ).reshape(-1, 2)
    if len(values) < 2:
        raise InputError(
            "a stimulus needs two points", where=str(path), value=len(values), allowed=">= 2"
        )
    falls = np.nonzero(np.diff(values[:, 0]) <= 0)[0]
    if falls.size:
        number = lines[1 + int(falls[0]) + 1][0]
        raise InputError(
            "time does not rise",
            where=f"{path}:{number}",
            value=float(values[falls[0] + 1, 0]),
            allowed=f"> {values[falls[0], 0]:g} s, the time of the line before",
        )
    return values[:, 0], values[:, 1]


def _number(path: Path, line: int, row: list[str], place: int, name: str) -> float:
    text = row[place].strip() if place < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{name} is not a finite number", where=f"{path}:{line}", value=text or "nothing"
        )
    return value


def write_trace(path: Path, columns: Mapping[str, Array]) -> None:
    """Writes columns of one length, with all digits, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(repr(value) for value in row) for row in rows)]
    write_text_atomic(path, "\n".join(lines) + "\n")
