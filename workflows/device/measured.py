"""Measured data of one device, from a text file: a sweep or a train of pulses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from compact_models.errors import InputError
from cosim.fitting.data import PulseTrain, Sweep
from workflows.device.columns import CONDUCTANCE, CURRENT, PULSE, TIME, VOLTAGE, choose
from workflows.device.number_table import NumberTable, read_table
from workflows.device.overflow import check_overflow
from workflows.device.plausible import check_directions, check_magnitudes, check_signs
from workflows.device.stimulus import check_times, check_voltages

SWEEP = (TIME, VOLTAGE, CURRENT)
PULSES = (PULSE, CONDUCTANCE)
_FEWEST = 8
_STILL = 0.01  # of the largest |v_v|: a source that stands still scatters by less


def read_measured(
    path: Path, columns: str | None = None, units: Sequence[str] = ()
) -> tuple[Sweep | PulseTrain, NumberTable]:
    """What was measured, a sweep or a train of pulses, and the table that it stands in.

    Args:
        path: text with a table; other columns are left alone. `pulse` is above 0 for a pulse up,
            below for one down, 0 for none; the conductance is that after it.
        columns: which column is what, as in `t=Time,v=Vtop,i=3`; None for `t_s`, `v_v`, `i_a` or
            `pulse`, `g_s`.
        units: of the columns, as in `i=uA`, where their headings do not say.

    Raises:
        InputError: the file cannot be read, has neither layout, a cell that is no finite number, an
            instrument's code for an overflow, times that do not rise, too few rows, nothing but
            zeros, or numbers that cannot be what the columns say (`plausible`); the message names
            the line.
    """
    layouts = (SWEEP, PULSES)
    table = read_table(path, layouts, choose(columns, units, layouts), "measurement")
    rows = len(table.lines)
    if rows < _FEWEST:
        raise InputError(
            "too few rows to fit", where=str(path), value=rows, allowed=f">= {_FEWEST}"
        )
    for place, one in enumerate(table.columns):
        if one.quantity is not TIME and not np.any(table.values[:, place]):
            raise InputError(
                f"{one.name} is zero everywhere",
                where=f"{path}:{table.lines[0]} to {table.lines[-1]}",
            )
    check_overflow(path, table)
    if table.layout == SWEEP:
        check_times(path, table)
        check_voltages(path, table)
        check_magnitudes(path, table)
        check_signs(path, table)
        time_s, voltage_v, current_a = (np.ascontiguousarray(x) for x in table.values.T)
        return Sweep(time_s, voltage_v, current_a), table
    _check_positive(path, table)
    check_magnitudes(path, table)
    check_directions(path, table)
    return PulseTrain(np.sign(table.values[:, 0]), np.ascontiguousarray(table.values[:, 1])), table


def check_voltage_changes(measured: Sweep | PulseTrain, path: Path) -> None:
    """Refuses a sweep at one voltage, which leaves open what makes a device a device.

    Raises:
        InputError: the voltage is the same everywhere, but for noise.
    """
    if not isinstance(measured, Sweep):
        return
    low, high = float(measured.voltage_v.min()), float(measured.voltage_v.max())
    if high - low <= _STILL * max(-low, high):
        raise InputError(
            "the voltage never changes: the data lack how current and switching depend on it",
            where=f"{path}: v_v",
            value=f"{low:g} V" if low == high else f"{low:g} to {high:g} V",
            allowed="a voltage that changes by more than 1 % of its largest value",
            hint="measure a sweep or steps of several heights, or name with --free what one"
            " voltage can tell",
        )


def _check_positive(path: Path, table: NumberTable) -> None:
    conductance = table.values[:, 1]
    lowest = int(np.argmin(conductance))
    if conductance[lowest] < 0:
        raise InputError(
            "a conductance is negative",
            where=f"{path}:{table.lines[lowest]}",
            value=float(conductance[lowest]),
            allowed=">= 0 S",
        )
