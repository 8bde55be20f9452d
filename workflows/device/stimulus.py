"""Stimuli and traces as CSV files: `t_s`, `v_v`, and what a run adds to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.files import write_text_atomic
from workflows.device.columns import TIME, VOLTAGE, choose
from workflows.device.number_table import NumberTable, read_table
from workflows.device.overflow import check_overflow

Array = NDArray[np.float64]
STIMULUS = (TIME, VOLTAGE)
# No thin film stands a thousand volts, and the models mean nothing there: what is beyond is a slip
# in a unit or an exponent. The sets of the package switch at 0.2 to 2.2 V.
MOST_V = 1000.0


def read_stimulus(
    path: Path, columns: str | None = None, units: Sequence[str] = ()
) -> tuple[Array, Array, NumberTable]:
    """Times [s] and voltages [V], both [time], and the table in a text file that has them.

    Args:
        path: the file.
        columns: which column is what, as in `t=Time,v=2`; None for `t_s` and `v_v`.
        units: of the columns, as in `v=mV`, where their headings do not say.

    Raises:
        InputError: the file cannot be read, lacks a column, has what is no finite number, its
            times do not rise, or a voltage is beyond `MOST_V`; the message names the line.
    """
    layouts = (STIMULUS,)
    table = read_table(path, layouts, choose(columns, units, layouts), "stimulus")
    if len(table.lines) < 2:
        raise InputError(
            "a stimulus needs two points", where=str(path), value=len(table.lines), allowed=">= 2"
        )
    check_overflow(path, table)
    check_times(path, table)
    check_voltages(path, table)
    time_s, voltage_v = (np.ascontiguousarray(column) for column in table.values.T)
    return time_s, voltage_v, table


def check_times(path: Path, table: NumberTable) -> None:
    """Refuses times that do not rise from row to row.

    Raises:
        InputError: the message names the line.
    """
    falls = np.flatnonzero(np.diff(table.values[:, 0]) <= 0)
    if falls.size:
        k = int(falls[0])
        raise InputError(
            "time does not rise",
            where=f"{path}:{table.lines[k + 1]}",
            value=float(table.values[k + 1, 0]),
            allowed=f"> {table.values[k, 0]:g} s, the time of the line before",
        )


def check_voltages(path: Path, table: NumberTable) -> None:
    """Refuses what no device could stand, before an engine makes a current of 1e27 A of it.

    Raises:
        InputError: a voltage is beyond `MOST_V` of either sign; the message names the line.
    """
    voltage_v = table.values[:, 1]
    beyond = np.flatnonzero(np.abs(voltage_v) > MOST_V)
    if beyond.size:
        first = int(beyond[0])
        raise InputError(
            f"{table.columns[1].name} is a voltage that no such device stands",
            where=f"{path}:{table.lines[first]}",
            value=float(voltage_v[first]),
            allowed=f"-{MOST_V:g} to {MOST_V:g} V",
            hint="write it in V, or say its unit, as in --unit v=mV",
        )


def write_trace(path: Path, columns: Mapping[str, Array]) -> None:
    """Writes columns of one length, with all digits, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    # A current of -0.0, as ngspice has it at 0 V, is 0.0 like that of torch.
    rows = zip(*((column + 0.0).tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(repr(value) for value in row) for row in rows)]
    write_text_atomic(path, "\n".join(lines) + "\n")
