"""Where a parameter may lie, by the data alone: what its unit says beside the sweep.

A published set may be of another device, switching a million times faster at a tenth of the
voltage. So starts are also drawn where the sweep itself points: resistances where the chords of the
loop are, thresholds within the voltage, speeds by which a state crosses its range in the time of a
sweep.
"""

from __future__ import annotations

import numpy as np

from compact_models.model import CompactModel, ParameterSet
from cosim.fitting.data import Measured, Sweep

Pair = tuple[float, float]

_NEAR = 0.1  # of the largest voltage: nearer to 0 V a chord says nothing
_SEEN = 3.0  # times the noise floor: smaller currents have no chord
_ENDS = (0.02, 0.98)  # of the chords, in their order
_CHORDS = 3.0  # factor beyond the extreme chords
_CURRENTS = (0.3, 10.0)  # of the median and of the largest current
_VOLTS = (0.05, 1.0)  # of the largest voltage
_CURVES = (0.1, 10.0)  # over the largest voltage
_SPEEDS = (1e-2, 1e3)  # ranges of a state in one period
_TIMES = (1e-3, 1e2)  # periods


def data_ranges(
    model: CompactModel, start: ParameterSet, measured: Measured, floor: float
) -> dict[str, Pair]:
    """Magnitudes between which each parameter may lie, in its unit, both above 0.

    Args:
        model: the device.
        start: a set of it, for the ranges of the states.
        measured: the data; of pulses nothing is said.
        floor: the noise floor [A].

    Returns:
        By name; parameters whose unit says nothing are left out.
    """
    if not isinstance(measured, Sweep):
        return {}
    volts, amps = np.abs(measured.voltage_v), np.abs(measured.current_a)
    highest = float(volts.max())
    period_s = measured.period_s
    seen = (volts > _NEAR * highest) & (amps > _SEEN * floor)
    if not (seen.any() and highest > 0 and period_s > 0):
        return {}
    low, high = (float(x) for x in np.quantile(volts[seen] / amps[seen], _ENDS))
    by_unit: dict[str, Pair] = {
        "ohm": (low / _CHORDS, high * _CHORDS),
        "S": (1 / (high * _CHORDS), _CHORDS / low),
        "A": (_CURRENTS[0] * float(np.median(amps[seen])), _CURRENTS[1] * float(amps.max())),
        "V": (_VOLTS[0] * highest, _VOLTS[1] * highest),
        "1/V": (_CURVES[0] / highest, _CURVES[1] / highest),
        "s": (_TIMES[0] * period_s, _TIMES[1] * period_s),
    }
    for state, pair in model.bounds(start.values).items():
        unit = next(one.unit for one in model.states if one.name == state)
        width = 1.0 if pair is None else pair[1] - pair[0]
        if width > 0:
            speed = f"{unit}/s"
            by_unit[speed] = (_SPEEDS[0] * width / period_s, _SPEEDS[1] * width / period_s)
    return {one.name: by_unit[one.unit] for one in model.parameters if one.unit in by_unit}
