"""Whether measured data can be what their columns say, before a fit spends minutes on them.

Each check names the line, the value, and what would mend it. Nothing is corrected silently: which
of two slips it was, only the user knows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.fitting.noise import noise_floor, scatter
from workflows.device.number_table import NumberTable

Array = NDArray[np.float64]

# Of the largest magnitude, by the key of the column. A single memristor has a conductance of some
# quanta of 77.5 uS up to tenths of a siemens; currents below a femtoampere nothing resolves.
_USUAL = {"v": (1e-3, 100.0), "i": (1e-15, 1.0), "g": (1e-15, 1.0)}
_FAR = 0.1  # of the largest voltage, and of the largest current of the same polarity
_CLEAR = 5.0  # times the noise floor
_MOST = 0.9  # of the rows that are far from zero
_FEW_WRONG = 0.2  # of these rows, in which a device may not give power back
_COUNTS = 5  # different numbers: fewer may be heights of pulses
_TURN = 0.5  # of the range of the conductance: a train in one direction does not come back so far


def check_magnitudes(path: Path, table: NumberTable) -> None:
    """Refuses columns whose largest number no single device has, unless the user named their unit.

    Raises:
        InputError: names the line of the largest number.
    """
    for place, one in enumerate(table.columns):
        if one.quantity.key not in _USUAL or one.asked:
            continue
        size = np.abs(table.values[:, place])
        row = int(np.argmax(size))
        low, high = _USUAL[one.quantity.key]
        if low <= size[row] <= high:
            continue
        key, unit = one.quantity.key, one.quantity.unit
        slip = "m" if key == "v" else "u"
        what = "beyond what one device has" if size[row] > high else "below what can be measured"
        raise InputError(
            f"the largest {one.name} is {what}: its unit cannot be {one.unit.text}",
            where=f"{path}:{table.lines[row]}",
            value=f"{table.as_written[row, place]:g} {one.unit.text}",
            allowed=f"a largest magnitude of {low:g} to {high:g} {unit}",
            hint=f"say the unit, as in --unit {key}={slip}{unit}; if it really is"
            f" {one.unit.text}, --unit {key}={one.unit.text}",
        )


def check_signs(path: Path, table: NumberTable) -> None:
    """Refuses a sweep in which the device would give power back: a sign was lost on the way.

    Far from zero, current and voltage have one sign. Where they have two at every voltage, a column
    is turned round; at the voltages of one sign, the current is a magnitude; and where the voltage
    has one sign and the current two, the voltage is a magnitude.

    Raises:
        InputError: names the first such line.
    """
    voltage_v, current_a = table.values[:, 1], table.values[:, 2]
    floor = noise_floor(current_a)
    above, below = (_far(sign, voltage_v, current_a, floor) for sign in (1.0, -1.0))
    back = voltage_v * current_a < 0
    far = above | below
    wrong = far & back
    if not far.any() or wrong.sum() <= _FEW_WRONG * far.sum():
        return
    row = int(np.flatnonzero(wrong)[0])
    volts, amps = (table.columns[k].name for k in (1, 2))
    shares = [float(back[side].mean()) for side in (above, below) if side.any()]
    where = f"{path}:{table.lines[row]}: {amps}"
    value = f"{current_a[row]:g} A at {voltage_v[row]:g} V"
    if min(shares) > _MOST:
        raise InputError(
            "voltage and current have opposite signs: no device does that",
            where=where,
            value=value,
            allowed="the current from the end at which the voltage is positive",
            hint="change the sign of one column, as --unit i=-A does",
        )
    if len(shares) == 2 and max(shares) > _MOST and min(shares) < 1 - _MOST:
        raise InputError(
            f"{amps} has one sign at voltages of both signs: magnitudes |i|, not currents",
            where=where,
            value=value,
            allowed=f"a current of the sign of {volts}, as a device has that gives no power",
            hint="export the current with its sign, or give it that of the voltage",
        )
    if len(shares) == 1:
        raise InputError(
            f"{volts} has one sign and {amps} has both: magnitudes |v|, not voltages",
            where=where,
            value=value,
            allowed=f"a voltage of the sign of {amps}",
            hint="export the voltage with its sign, or give it that of the current",
        )
    raise InputError(
        f"{int(wrong.sum())} of {int(far.sum())} rows far from zero have a current against the"
        " voltage: no device gives power back",
        where=where,
        value=value,
        allowed=f"{volts} and {amps} of one sign, but for rows near zero",
        hint="look whether both columns are of the same run, and in which order the terminals are",
    )


def check_directions(path: Path, table: NumberTable) -> None:
    """Refuses pulses without a direction: a counter, or magnitudes of pulses up and down.

    Raises:
        InputError: names the line at which it shows.
    """
    pulse, conductance_s = table.values[:, 0], table.values[:, 1]
    if pulse.min() < 0 < pulse.max():
        return
    name = table.columns[0].name
    allowed = "above 0 for a pulse up, below for one down, 0 for none"
    hint = "write 1 and -1, for example"
    if _counts(pulse):
        raise InputError(
            f"{name} counts the pulses and does not say their direction",
            where=f"{path}:{table.lines[0]} to {table.lines[-1]}",
            value=f"{pulse[0]:g}, {pulse[1]:g}, {pulse[2]:g}, ... {pulse[-1]:g}",
            allowed=allowed,
            hint=f"{hint}, in a column that --columns names",
        )
    turn = _turning(conductance_s)
    if turn is not None:
        up, down = ("rises", "falls") if turn[1] else ("falls", "rises")
        raise InputError(
            f"every {name} has one direction, and {table.columns[1].name} {up} up to here and then"
            f" {down}",
            where=f"{path}:{table.lines[turn[0]]}",
            value=f"{conductance_s[turn[0]]:g} S",
            allowed=allowed,
            hint=hint,
        )


def _far(sign: float, voltage_v: Array, current_a: Array, floor: float) -> NDArray[np.bool_]:
    """Rows of one polarity of the voltage in which both are far from zero, and from the noise."""
    side = np.asarray(sign * voltage_v > _FAR * np.abs(voltage_v).max())
    if not side.any():
        return side
    size = np.abs(current_a)
    return np.asarray(side & (size > max(_FAR * size[side].max(), _CLEAR * floor)))


def _counts(pulse: Array) -> bool:
    """Whether numbers go on by the same whole step, but for a few where a count begins anew."""
    steps = np.abs(np.diff(pulse))
    step = float(np.median(steps))
    whole = bool(np.all(pulse == np.round(pulse)))
    different = len(np.unique(pulse)) >= _COUNTS
    return whole and different and step > 0 and float(np.mean(steps == step)) >= _MOST


def _turning(conductance_s: Array) -> tuple[int, bool] | None:
    """Where a clear rise turns into a fall, or the reverse (False); None where it does not."""
    smooth = np.convolve(conductance_s, np.ones(3) / 3, mode="valid")
    span = float(np.ptp(smooth))
    if span < 2 * _CLEAR * scatter(conductance_s) or span == 0:
        return None
    for rises, curve in ((True, smooth), (False, -smooth)):
        peak = int(np.argmax(curve))
        before, after = curve[peak] - curve[: peak + 1].min(), curve[peak] - curve[peak:].min()
        if min(before, after) > _TURN * span:
            return peak + 1, rises
    return None
