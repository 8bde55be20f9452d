"""Measured data of one device, from a CSV file: a sweep or a train of pulses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.devices.fit_data import PulseTrain, Sweep
from workflows.device.stimulus import check_voltages, read_columns

Array = NDArray[np.float64]

SWEEP = ("t_s", "v_v", "i_a")
PULSES = ("pulse", "g_s")
LAYOUTS = f"{', '.join(SWEEP)} for a sweep; {', '.join(PULSES)} for a train of pulses"
_FEWEST = 8
_STILL = 0.01  # of the largest |v_v|: a source that stands still scatters by less


def read_measured(path: Path) -> Sweep | PulseTrain:
    """What was measured: columns t_s, v_v, i_a, or pulse and g_s, in any order.

    Args:
        path: CSV with a heading; other columns are left alone. `pulse` is above 0 for a pulse up,
            below for one down, 0 for none; `g_s` is the conductance after it.

    Raises:
        InputError: the file cannot be read, has neither layout, a cell that is no finite number,
            times that do not rise, a voltage that no device stands, too few rows, or nothing but
            zeros; the message names the line.
    """
    heading, table = read_columns(path)
    layout = next((one for one in (SWEEP, PULSES) if set(one) <= set(heading)), None)
    if layout is None:
        raise InputError(
            "these columns are no measurement",
            where=str(path),
            value=", ".join(heading),
            allowed=LAYOUTS,
        )
    lines, values = table(layout)
    if len(values) < _FEWEST:
        raise InputError(
            "too few rows to fit", where=str(path), value=len(values), allowed=f">= {_FEWEST}"
        )
    if not np.any(values[:, -1]):
        raise InputError(
            f"{layout[-1]} is zero everywhere", where=f"{path}:{lines[0]} to {lines[-1]}"
        )
    if layout == SWEEP:
        return _sweep(path, lines, values)
    return _pulses(path, lines, values)


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


def _sweep(path: Path, lines: list[int], values: Array) -> Sweep:
    falls = np.flatnonzero(np.diff(values[:, 0]) <= 0)
    if falls.size:
        k = int(falls[0])
        raise InputError(
            "time does not rise",
            where=f"{path}:{lines[k + 1]}",
            value=float(values[k + 1, 0]),
            allowed=f"> {values[k, 0]:g} s, the time of the line before",
        )
    check_voltages(path, lines, values[:, 1])
    if not np.any(values[:, 1]):
        raise InputError("v_v is zero everywhere", where=f"{path}:{lines[0]} to {lines[-1]}")
    time_s, voltage_v, current_a = (np.ascontiguousarray(column) for column in values.T)
    return Sweep(time_s, voltage_v, current_a)


def _pulses(path: Path, lines: list[int], values: Array) -> PulseTrain:
    lowest = int(np.argmin(values[:, 1]))
    if values[lowest, 1] < 0:
        raise InputError(
            "a conductance is negative",
            where=f"{path}:{lines[lowest]}",
            value=float(values[lowest, 1]),
            allowed=">= 0 S",
        )
    if not np.any(values[:, 0]):
        raise InputError("pulse is zero everywhere", where=f"{path}:{lines[0]} to {lines[-1]}")
    return PulseTrain(np.sign(values[:, 0]), np.ascontiguousarray(values[:, 1]))
