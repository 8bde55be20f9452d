"""What all panels of a device's page share: colours, axes in SI units, arrows, and excuses."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from cosim.portraits.panel import Array
from workflows.report.style import INK, MUTED, RULE

SET, RESET = "#0072b2", "#d55e00"
"""Blue and vermilion of Okabe and Ito's palette: apart for colour-blind readers."""
LEVELS = ("#0072b2", "#009e73", "#e69f00", "#cc79a7")
NEUTRAL = INK
_NARROW = 200  # ratio of the ends of a logarithmic axis that ticks at decades leave empty
_ARROW = 0.03  # length of an arrow's stem, of the panel
_YEAR_S, _DAY_S = 365.25 * 86400, 86400.0
# From where a time is told in a longer unit than the second, and what that unit is.
_LONG = ((2 * _YEAR_S, _YEAR_S, "years"), (2 * _DAY_S, _DAY_S, "days"), (7200.0, 3600.0, "h"),
         (1000.0, 60.0, "min"))  # fmt: skip
MOMENTS = {"1 h": 3600.0, "1 day": _DAY_S, "1 month": _YEAR_S / 12, "1 year": _YEAR_S}


def eng(value: float, unit: str) -> str:
    """A number with an SI prefix, three digits: `12.5 ns`."""
    text = EngFormatter(unit=unit, sep="\N{NO-BREAK SPACE}").format_data(float(f"{value:.3g}"))
    return text.replace("-", "\N{MINUS SIGN}")


def duration(time_s: float) -> str:
    """A time in the unit in which one thinks of it: `12.5 ns`, `3.2 h`, `5 years`."""
    for least_s, unit_s, unit in _LONG:
        if time_s >= least_s:
            return f"{time_s / unit_s:.3g} {unit}"
    return eng(time_s, "s")


def unit_axis(ax: Axes, axis: str, unit: str, label: str, *, log: bool = False) -> None:
    """Labels an axis with a quantity, and its ticks in the unit with SI prefixes.

    Args:
        ax: the panel.
        axis: `x` or `y`.
        unit: the unit's symbol; empty for a number without one.
        label: what is shown.
        log: whether the axis is logarithmic.
    """
    one = ax.xaxis if axis == "x" else ax.yaxis
    (ax.set_xlabel if axis == "x" else ax.set_ylabel)(label)
    if log:
        (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
        one.set_major_locator(LogLocator(base=10, numticks=8))
        one.set_minor_formatter(NullFormatter())
    else:
        one.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    if unit:
        one.set_major_formatter(EngFormatter(unit=unit, sep="\N{NO-BREAK SPACE}"))


def label_narrow_log(ax: Axes, axis: str, values: Array) -> None:
    """Gives a logarithmic axis labels at 1, 2, 5 where it spans few decades."""
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size and positive.max() / positive.min() < _NARROW:
        one = ax.xaxis if axis == "x" else ax.yaxis
        one.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))


def mark_moments(ax: Axes) -> None:
    """Marks an hour to a year where the horizontal axis is a logarithmic one of times."""
    low, high = ax.get_xlim()
    for name, time_s in MOMENTS.items():
        if low < time_s < high:
            ax.axvline(time_s, color=RULE, linestyle=":", linewidth=1, zorder=1)
            ax.annotate(
                name, (time_s, 0.99), xycoords=("data", "axes fraction"), xytext=(-2, 0),
                textcoords="offset points", rotation=90, ha="right", va="top", fontsize=7,
                color=MUTED,
            )  # fmt: skip


def excuse(ax: Axes, reason: str) -> None:
    """Says in an empty panel why it is empty."""
    ax.set_axis_off()
    ax.text(
        0.5, 0.5, textwrap.fill(reason, 38), transform=ax.transAxes, ha="center", va="center",
        color=MUTED,
    )  # fmt: skip


def arrow(ax: Axes, x: Array, y: Array, colour: str, part: float) -> None:
    """An arrow head on a line, in the direction of its points.

    Its place and direction are those seen on the panel, so the limits and scales must be set.

    Args:
        ax: the panel.
        x: the line, in data [point].
        y: the line, in data [point].
        colour: of the head.
        part: where, of the length of the line as it is seen.
    """
    inside = np.isfinite(x) & np.isfinite(y) & (y >= min(ax.get_ylim())) & (y <= max(ax.get_ylim()))
    if ax.get_yscale() == "log":
        inside &= y > 0
    if inside.sum() < 2:
        return
    points = ax.transLimits.transform(ax.transScale.transform(np.stack([x, y], 1)[inside]))
    steps = np.hypot(*np.diff(points, axis=0).T)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    if length[-1] <= _ARROW:  # too short to have a direction to show
        return
    ends = np.clip(part * length[-1] + np.array([-0.5, 0.5]) * _ARROW, 0, length[-1])
    start, stop = (
        (float(np.interp(end, length, points[:, 0])), float(np.interp(end, length, points[:, 1])))
        for end in ends
    )
    ax.annotate(
        "", xy=stop, xytext=start, xycoords="axes fraction", textcoords="axes fraction",
        arrowprops={
            "arrowstyle": "-|>,head_length=0.55,head_width=0.28", "color": colour,
            "shrinkA": 0, "shrinkB": 0, "linewidth": 0.8, "gid": "direction",
        },
    )  # fmt: skip
