"""The panels of a device that switches by voltage."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D

from cosim.devices.polarity import GOAL, LONGEST_S, START
from cosim.portraits.decay import Decay
from cosim.portraits.loop import Fan, Loop
from cosim.portraits.panel import Array
from cosim.portraits.switching import Pulse, PulseTrain, SwitchingCurve
from workflows.device.axes import (
    NEUTRAL,
    RESET,
    SET,
    arrow,
    count_axis,
    duration,
    eng,
    label_narrow_log,
    make_room,
    mark_moments,
    unit_axis,
)
from workflows.device.one_way import one_way
from workflows.report.style import MUTED

_PALE = 0.35
_FLOOR_V = 0.02  # voltage below which the current no longer says how low the axis must go
_ZERO_V = 1e-6  # voltage that counts as none, over the largest
_TO_ZERO = np.geomspace(1, 1e-9, 37)[1:]  # places on the way to zero, of the last point before
_LOG_FROM = 10.0  # ratio of conductances from which they are shown on a logarithmic axis
_TOP, _LINE, _VALUES_AT, _VALUE_CHARACTERS = 0.97, 0.068, 0.45, 34  # of the table of numbers
_REMARK_CHARACTERS = 27  # of a line in a quarter of the panel
_LEGEND = 0.1  # room for one line of a legend, of the panel
_AWAY, _HOME = 0.62, 0.38  # where a branch has its arrow: two on one line do not meet


def draw_loop(ax: Axes, loop: Loop) -> None:
    """Current over voltage, linear."""
    ax.set_title("I-V loop")
    unit_axis(ax, "x", "V", "voltage")
    unit_axis(ax, "y", "A", "current")
    ax.axhline(0, color=MUTED, linewidth=0.5)
    ax.axvline(0, color=MUTED, linewidth=0.5)
    lines = _draw_branches(ax, loop, loop.current_a)
    set_, reset = (0, 2) if loop.set_sign >= 0 else (2, 0)  # quarters of a period
    key: dict[str, Line2D | tuple[Line2D, ...]] = {}
    if loop.set_sign:
        key = {"SET polarity": lines[set_ - 4], "RESET polarity": lines[reset - 4]}
    if loop.periods > 1:
        key["first period"] = (lines[set_], lines[reset])
    ax.legend(
        key.values(), key.keys(), loc="best", handlelength=1.4,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
    )  # fmt: skip
    remark = one_way(loop)
    if remark:  # in the quarter where no device without a source of its own has a current
        text = textwrap.fill(remark, _REMARK_CHARACTERS)
        ax.text(0.98, 0.03, text, transform=ax.transAxes, ha="right", va="bottom", fontsize=8,
                color=MUTED)  # fmt: skip


def draw_loop_log(ax: Axes, loop: Loop) -> None:
    """Magnitude of the current over voltage, semilogarithmic."""
    ax.set_title("|I|-V loop, semilogarithmic")
    size = np.abs(loop.current_a)
    last = slice(-loop.period - 1, None)  # a first period may lie decades below
    _log_current(ax, loop.voltage_v[last], size[last], float(size.max()))
    _draw_branches(ax, loop, size)
    if loop.window > 1.05:
        ax.axvline(loop.window_v, color=MUTED, linewidth=0.8, linestyle=":")
        ax.annotate(
            f"{loop.window:.3g} : 1 at {eng(loop.window_v, 'V')}", (loop.window_v, 0.015),
            xycoords=("data", "axes fraction"), xytext=(4 if loop.window_v > 0 else -4, 0),
            textcoords="offset points", color=MUTED, fontsize=8,
            ha="left" if loop.window_v > 0 else "right",
        )  # fmt: skip


def _log_current(ax: Axes, voltage: Array, size: Array, largest: float) -> None:
    """A logarithmic axis whose foot is not where the current goes through zero."""
    unit_axis(ax, "x", "V", "voltage")
    unit_axis(ax, "y", "A", "|current|", log=True)
    seen = size[..., np.abs(voltage) >= _FLOOR_V * np.abs(voltage).max()]
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if seen.size:
        ax.set_ylim(seen.min() / 1.5, largest * 2)
        label_narrow_log(ax, "y", np.array(ax.get_ylim()))


def _down_to_zero(voltage: Array, size: Array) -> tuple[Array, Array]:
    """A branch whose ends at zero voltage go on straight towards it, as on a linear axis.

    They end at the voltage from which on the axis has room: nearer to zero all currents fall to
    nothing, a line straight down that says nothing of the device.

    Args:
        voltage: of one half or one quarter of a period [time].
        size: magnitudes of the current [..., time].

    Returns:
        Both without their points near zero voltage, with points on the way there instead.
    """
    least = _FLOOR_V * np.abs(voltage).max()
    away = np.abs(voltage) > _ZERO_V * np.abs(voltage).max()
    v, i = voltage[away], np.where(size > 0, size, np.nan)[..., away]
    if not away[-1]:
        v, i = np.append(v, v[-1] * _TO_ZERO), np.concatenate([i, i[..., -1:] * _TO_ZERO], -1)
    if not away[0]:
        back = _TO_ZERO[::-1]
        v, i = np.append(v[0] * back, v), np.concatenate([i[..., :1] * back, i], -1)
    seen = np.abs(v) >= 0.999 * least
    return v[seen], i[..., seen]


def _draw_branches(ax: Axes, loop: Loop, current: Array) -> list[Line2D]:
    """All quarters of all periods in the colour of their polarity, the last with arrows."""
    lines = []
    quarter = loop.period // 4
    quarters = [(k, slice(k * quarter, (k + 1) * quarter + 1)) for k in range(4 * loop.periods)]
    for k, part in quarters:
        v, i = loop.voltage_v[part], current[part]
        if ax.get_yscale() == "log":
            v, i = _down_to_zero(v, i)
        last = k >= 4 * (loop.periods - 1)
        lines += ax.plot(
            v, i, color=_colour(k, loop.set_sign),
            alpha=1.0 if last else _PALE, linewidth=1.6 if last else 1.1,
            zorder=3 if last else 2,
        )  # fmt: skip
    for k, part in quarters[-4:]:
        place = _AWAY if k % 2 == 0 else 1 - _HOME
        arrow(ax, loop.voltage_v[part], current[part], _colour(k, loop.set_sign), place)
    return lines


def _colour(quarter: int, set_sign: int) -> str:
    if not set_sign:
        return NEUTRAL
    return SET if (1 if quarter % 4 < 2 else -1) == set_sign else RESET


def draw_switching(ax: Axes, curve: SwitchingCurve) -> None:
    """SET and RESET time over the magnitude of the voltage."""
    ax.set_title(f"Switching time, {100 * START:.3g} % to {100 * GOAL:.3g} % of the range")
    unit_axis(ax, "x", "V", "|voltage|")
    unit_axis(ax, "y", "s", "time at constant voltage", log=True)
    missing = []
    for name, volts, times, colour in (
        ("SET", curve.set_v, curve.set_s, SET),
        ("RESET", curve.reset_v, curve.reset_s, RESET),
    ):
        found = np.isfinite(times)
        if found.any():
            sign = "+" if volts[0] > 0 else "\N{MINUS SIGN}"
            ax.plot(np.abs(volts[found]), times[found], "o-", markersize=2.5, linewidth=1.2,
                    color=colour, label=f"{name} ({sign})")  # fmt: skip
        if not found.any():
            missing.append(f"{name}: none at any voltage")
        elif not found.all():
            missing.append(f"{name}: none {_excluded(np.abs(volts), found)}")
    shown = np.concatenate([curve.set_s, curve.reset_s])
    label_narrow_log(ax, "y", shown)
    highest = max(np.abs(v).max() for v in (curve.set_v, curve.reset_v) if v.size)
    ax.set_xlim(0, 1.02 * highest)
    mark_moments(ax, "y")
    ax.legend(loc="best", frameon=True, framealpha=1, edgecolor="none")
    if missing:
        # Under the curves, where these, falling with voltage, leave room.
        ax.text(
            0.02, 0.02, "\n".join(missing) + f"\n(within {duration(LONGEST_S)})",
            transform=ax.transAxes, fontsize=7.5, color=MUTED, va="bottom",
        )  # fmt: skip


def _excluded(size_v: Array, found: np.ndarray) -> str:
    """Where a device does not switch, in words; the voltages rise in size."""
    if found[np.argmax(found) :].all():
        return f"up to {eng(size_v[~found].max(), 'V')}"
    return f"at {int((~found).sum())} of {found.size} voltages"


def draw_pulses(ax: Axes, train: PulseTrain) -> None:
    """Conductance pulse by pulse."""
    ax.set_title(
        f"{train.count} pulses up, {train.count} down\n"
        f"{_pulse('SET', train.up)}; {_pulse('RESET', train.down)}"
    )
    g, n = train.conductance_s, train.count
    log = bool(g.min() > 0 and g.max() / g.min() >= _LOG_FROM)
    count_axis(ax, "pulse")
    unit_axis(ax, "y", "S", f"conductance at {eng(train.read_v, 'V')}", log=log)
    if log:
        label_narrow_log(ax, "y", g)
    at = np.arange(len(g))
    ax.plot(at[: n + 1], g[: n + 1], "o-", markersize=2.5, linewidth=0.9, color=SET, label="SET")
    ax.plot(at[n:], g[n:], "o-", markersize=2.5, linewidth=0.9, color=RESET, label="RESET")
    ax.legend(loc="best")


def draw_decay(ax: Axes, found: Decay) -> None:
    """Conductance over the time at no voltage, of a device that forgets by itself."""
    kept = "ON" if found.from_on else "OFF"
    ax.set_title(
        f"Forgets {kept} by itself: half of the range in {duration(found.half_s)}\n"
        "what pulses write does not stay"
    )
    unit_axis(ax, "x", "s", "time at 0 V")
    unit_axis(ax, "y", "S", f"conductance at {eng(found.read_v, 'V')}")
    ax.plot(found.time_s, found.conductance_s, "o-", markersize=2.5, linewidth=1.2, color=NEUTRAL)
    ax.axvline(found.half_s, color=MUTED, linewidth=0.8, linestyle=":")


def _pulse(name: str, pulse: Pulse) -> str:
    volts = eng(abs(pulse.voltage_v), "V")
    sign = "+" if pulse.voltage_v > 0 else "\N{MINUS SIGN}"
    return f"{name} {sign}{volts}, {duration(pulse.width_s)}"


def draw_fan(ax: Axes, fan: Fan) -> None:
    """The loops of a sample, thin, with their median."""
    size = np.abs(fan.current_a)
    lost = f", {fan.lost} not solved" if fan.lost else ""
    states = ", ".join(fan.initial)
    ax.set_title(
        f"{len(size)} devices{lost}: {100 * fan.spread:.3g} % lognormal on\n"
        f"{len(fan.varied)} parameters"
        + (f" and the initial {states}" if states else "; a state of 0 stays")
    )
    _log_current(ax, fan.voltage_v, size, float(np.nanmax(size)))
    make_room(ax, below=_LEGEND)
    median = np.nanmedian(size, axis=0)
    half = (len(fan.voltage_v) - 1) // 2
    for part in (slice(0, half + 1), slice(half, None)):
        sign = np.sign(fan.voltage_v[part][half // 2])
        colour = (SET if sign == fan.set_sign else RESET) if fan.set_sign else MUTED
        v, i = _down_to_zero(fan.voltage_v[part], size[:, part])
        ax.plot(v, i.T, color=colour, alpha=0.3, linewidth=0.6)
        v, i = _down_to_zero(fan.voltage_v[part], median[part])
        (line,) = ax.plot(v, i, color=NEUTRAL, linewidth=1.4)
    ax.legend([line], ["median of |current|"], loc="lower right", fontsize=8)


def draw_key_numbers(ax: Axes, rows: Sequence[tuple[str, str]]) -> None:
    """A small table of what a designer asks first; a long value goes on in the next lines."""
    ax.set_axis_off()
    ax.set_title("In numbers")
    line = 0
    for name, value in rows:
        ax.text(0.0, _TOP - _LINE * line, name, transform=ax.transAxes, color=MUTED, va="top")
        for part in textwrap.wrap(value, _VALUE_CHARACTERS, break_on_hyphens=False):
            ax.text(_VALUES_AT, _TOP - _LINE * line, part, transform=ax.transAxes, va="top")
            line += 1
