"""The heat of devices in a pulse, looked at more closely where their power changes.

A few looks at the current tell the heat of a device that drifts. A filament that opens within a
hundredth of the pulse is closed at one look and open at the next, and the heat between them may be
anything. Of a power that only rises or only falls between two looks the trapezoidal rule is off by
half of the change at most: where that is much, the stretch is gone through again with more looks,
and so on. Stretches of all devices that last as long run side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# From states by name [stretch], voltages [V] [stretch, time] and times [s] from 0 on: the states
# and the currents [A] at these times, each [stretch, time].
Further = Callable[[dict[str, Array], Array, Array], tuple[dict[str, Array], Array]]

_SURE = 2e-3  # of a device's heat: the most that a stretch may be off
# After the last round a stretch is a 500,000th of the pulse: what changes within it is only seen in
# the heat if the power there is a thousand times the mean.
_PARTS, _MOST_ROUNDS = 8, 5


def missed_heat(
    further: Further,
    states: dict[str, Array],
    voltage_v: Array,
    current_a: Array,
    span_s: float,
    energy_j: Array,
) -> Array:
    """What the trapezoidal rule over even looks misses [J], [device].

    Args:
        further: runs stretches on.
        states: at the looks, by name, each [device, look].
        voltage_v: likewise [V]; straight between two looks.
        current_a: likewise [A].
        span_s: from one look to the next [s].
        energy_j: of the whole pulse as it is known [J], [device].
    """
    missed = np.zeros(len(energy_j))
    devices = np.arange(len(energy_j))
    for _ in range(_MOST_ROUNDS):
        power_w = voltage_v * current_a
        change_j = np.abs(np.diff(power_w, axis=1)) * span_s / 2
        row, look = np.nonzero(change_j > _SURE * np.abs(energy_j[devices])[:, None])  # no NaN
        if not len(row):
            break
        devices = devices[row]
        rough_j = span_s * (power_w[row, look] + power_w[row, look + 1]) / 2
        start = {name: column[row, look] for name, column in states.items()}
        share = np.linspace(0, 1, _PARTS + 1)
        first_v, last_v = voltage_v[row, look, None], voltage_v[row, look + 1, None]
        voltage_v = first_v + (last_v - first_v) * share
        states, current_a = further(start, voltage_v, share * span_s)
        fine_j = np.trapezoid(voltage_v * current_a, share * span_s, axis=1)
        np.add.at(missed, devices, fine_j - rough_j)
        span_s /= _PARTS
    return missed
