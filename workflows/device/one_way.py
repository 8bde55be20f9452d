"""Says in words that a sweep does not switch a device back, which a loop shows as a bare line."""

from __future__ import annotations

import numpy as np

from compact_models.model import ParameterSet
from cosim.portraits.loop import Loop
from cosim.portraits.panel import Array, Panel
from cosim.portraits.switching import SwitchingCurve
from workflows.device.axes import duration, eng

_SAME = 0.01  # of the largest current: branches that are nearer are one line


def one_way(loop: Loop) -> str:
    """What a loop without an opening means; empty for one that opens.

    The way out and the way home of the last period are compared, at both polarities.
    """
    n = loop.period
    last = loop.current_a[-n - 1 :]
    size = float(np.abs(last).max())
    for half in (last[: n // 2 + 1], last[n // 2 :]):
        if np.abs(half - half[::-1]).max() > _SAME * size:
            return ""
    if loop.periods == 1:
        return "this sweep does not switch the device: both branches are one line"
    quarter = n // 4 + 1
    on = np.abs(last[:quarter]).sum() > np.abs(loop.current_a[:quarter]).sum()
    return (
        f"this sweep switches the device {'ON' if on else 'OFF'} once and never back:"
        " every period after the first is one line"
    )


def time_back(panel: Panel, numbers: ParameterSet) -> str:
    """How long the slower direction takes at the amplitude of the sweep, and the sweep's period.

    Empty where no switching time reaches that voltage.
    """
    if not isinstance(panel, SwitchingCurve):
        return ""
    found = [
        (_at(np.abs(volts), times, numbers.amplitude_v), name, volts[-1])
        for name, volts, times in (
            ("SET", panel.set_v, panel.set_s),
            ("RESET", panel.reset_v, panel.reset_s),
        )
        if volts.size
    ]
    known = [one for one in found if np.isfinite(one[0])]
    if not known:
        return ""
    slow_s, name, volts = max(known)
    if slow_s < numbers.period_s:
        return ""
    sign = "+" if volts > 0 else "\N{MINUS SIGN}"
    return (
        f"{name} takes {duration(slow_s)} at {sign}{eng(numbers.amplitude_v, 'V')}, "
        f"the whole period {duration(numbers.period_s)}"
    )


def _at(size_v: Array, time_s: Array, wanted_v: float) -> float:
    """The time at a voltage, between its neighbours on a logarithmic scale; NaN beside them."""
    ok = np.isfinite(time_s)
    if not ok.any() or not size_v[ok][0] <= wanted_v <= size_v[ok][-1]:
        return np.nan
    return float(np.exp(np.interp(wanted_v, size_v[ok], np.log(time_s[ok]))))
