"""The panels of a device that switches by voltage."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D

from cosim.portraits.loop import Fan, Loop
from cosim.portraits.panel import Array
from cosim.portraits.polarity import GOAL, LONGEST_S, START
from cosim.portraits.switching import Pulse, PulseTrain, SwitchingCurve
from workflows.device.axes import (
    NEUTRAL,
    RESET,
    SET,
    arrow,
    duration,
    eng,
    label_narrow_log,
    unit_axis,
)
from workflows.report.style import MUTED

_PALE = 0.35
_FLOOR_V = 0.02  # voltage below which the current no longer says how low the axis must go
_ZERO_V = 1e-6  # voltage that counts as none, over the largest
_LOG_FROM = 10.0  # ratio of conductances from which they are shown on a logarithmic axis
_TOP, _LINE, _VALUES_AT, _VALUE_CHARACTERS = 0.97, 0.068, 0.45, 34  # of the table of numbers
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


def draw_loop_log(ax: Axes, loop: Loop) -> None:
    """Magnitude of the current over voltage, semilogarithmic."""
    ax.set_title("|I|-V loop, semilogarithmic")
    size = np.abs(loop.current_a)
    last = slice(-loop.period - 1, None)  # a first period may lie decades below
    _log_current(ax, loop.voltage_v[last], size[last])
    _draw_branches(ax, loop, size)
    if loop.window > 1.05:
        ax.axvline(loop.window_v, color=MUTED, linewidth=0.8, linestyle=":")
        ax.annotate(
            f"{loop.window:.3g} : 1 at {eng(loop.window_v, 'V')}", (loop.window_v, 0.015),
            xycoords=("data", "axes fraction"), xytext=(4 if loop.window_v > 0 else -4, 0),
            textcoords="offset points", color=MUTED, fontsize=8,
            ha="left" if loop.window_v > 0 else "right",
        )  # fmt: skip


def _log_current(ax: Axes, voltage: Array, size: Array) -> None:
    """A logarithmic axis whose foot is not where the current goes through zero."""
    unit_axis(ax, "x", "V", "voltage")
    unit_axis(ax, "y", "A", "|current|", log=True)
    seen = size[..., np.abs(voltage) >= _FLOOR_V * np.abs(voltage).max()]
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if seen.size:
        ax.set_ylim(seen.min() / 1.5, seen.max() * 2)
        label_narrow_log(ax, "y", np.array(ax.get_ylim()))


def _draw_branches(ax: Axes, loop: Loop, current: Array) -> list[Line2D]:
    """All quarters of all periods in the colour of their polarity, the last with arrows."""
    lines = []
    quarter = loop.period // 4
    shown = np.where(current > 0, current, np.nan) if ax.get_yscale() == "log" else current
    quarters = [(k, slice(k * quarter, (k + 1) * quarter + 1)) for k in range(4 * loop.periods)]
    for k, part in quarters:
        last = k >= 4 * (loop.periods - 1)
        lines += ax.plot(
            loop.voltage_v[part], shown[part], color=_colour(k, loop.set_sign),
            alpha=1.0 if last else _PALE, linewidth=1.6 if last else 1.1,
            zorder=3 if last else 2,
        )  # fmt: skip
    for k, part in quarters[-4:]:
        place = _AWAY if k % 2 == 0 else 1 - _HOME
        arrow(ax, loop.voltage_v[part], shown[part], _colour(k, loop.set_sign), place)
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
    ax.legend(loc="best")
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
    unit_axis(ax, "x", "", "pulse")
    unit_axis(ax, "y", "S", f"conductance at {eng(train.read_v, 'V')}", log=log)
    if log:
        label_narrow_log(ax, "y", g)
    at = np.arange(len(g))
    ax.plot(at[: n + 1], g[: n + 1], "o-", markersize=2.5, linewidth=0.9, color=SET, label="SET")
    ax.plot(at[n:], g[n:], "o-", markersize=2.5, linewidth=0.9, color=RESET, label="RESET")
    ax.legend(loc="best")


def _pulse(name: str, pulse: Pulse) -> str:
    volts = eng(abs(pulse.voltage_v), "V")
    sign = "+" if pulse.voltage_v > 0 else "\N{MINUS SIGN}"
    return f"{name} {sign}{volts}, {eng(pulse.width_s, 's')}"


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
    _log_current(ax, fan.voltage_v, size)
    # At zero voltage a current is rounding: a line to there would be a spike.
    away = np.abs(fan.voltage_v) > _ZERO_V * np.abs(fan.voltage_v).max()
    shown = np.where((size > 0) & away, size, np.nan)
    half = (len(fan.voltage_v) - 1) // 2
    for part in (slice(0, half + 1), slice(half, None)):
        sign = np.sign(fan.voltage_v[part][half // 2])
        colour = (SET if sign == fan.set_sign else RESET) if fan.set_sign else NEUTRAL
        ax.plot(fan.voltage_v[part], shown[:, part].T, color=colour, alpha=0.3, linewidth=0.6)
    median = np.where(away, np.nanmedian(size, axis=0), np.nan)
    ax.plot(fan.voltage_v, median, color=NEUTRAL, linewidth=1.4, label="median of |current|")
    ax.legend(loc="lower right", fontsize=8)


def draw_key_numbers(ax: Axes, rows: Sequence[tuple[str, str]]) -> None:
    """A small table of what a designer asks first; a long value goes on in the next lines."""
    ax.set_axis_off()
    ax.set_title("In numbers")
    line = 0
    for name, value in rows:
        ax.text(0.0, _TOP - _LINE * line, name, transform=ax.transAxes, color=MUTED, va="top")
        for part in textwrap.wrap(value, _VALUE_CHARACTERS):
            ax.text(_VALUES_AT, _TOP - _LINE * line, part, transform=ax.transAxes, va="top")
            line += 1
