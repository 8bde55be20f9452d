"""What all panels of a device's page share: colours, axes in SI units, arrows, and excuses."""

from __future__ import annotations

import math
import re
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import (
    EngFormatter,
    Formatter,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

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
MOMENTS = {
    "1 h": 3600.0, "1 day": _DAY_S, "1 month": _YEAR_S / 12, "1 year": _YEAR_S,
    "10 years": 10 * _YEAR_S,
}  # fmt: skip
_CROWDED = 0.038  # of the panel: marks nearer to each other would be written over each other
_KILO = 1000.0
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
NO_BREAK = "\N{NO-BREAK SPACE}"


def eng(value: float, unit: str, digits: int = 3) -> str:
    """A number with an SI prefix: `12.5 ns`."""
    text = EngFormatter(unit=unit, sep=NO_BREAK).format_data(float(f"{value:.{digits}g}"))
    return text.replace("-", "\N{MINUS SIGN}")


def power_of_ten(value: float, digits: int = 3) -> str:
    """A number as a power of ten: `10⁴`, or 2.5 times one."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = f"{float(mantissa):g}".replace("-", "\N{MINUS SIGN}")
    power = "10" + str(int(exponent)).translate(_RAISED)
    return power if mantissa == "1" else f"{mantissa}\N{MULTIPLICATION SIGN}{power}"


def quantity(value: float, unit: str) -> str:
    """A number in its unit, four digits, as one word: `1.7 nm`, `0.3145`."""
    if re.fullmatch("[A-Za-z]+", unit):  # a prefix of a composed unit would be raised with it
        return eng(value, "\N{GREEK CAPITAL LETTER OMEGA}" if unit == "ohm" else unit, 4)
    plain = value == 0 or 1e-3 <= abs(value) < 1e5
    number = f"{value:.4g}".replace("-", "\N{MINUS SIGN}") if plain else power_of_ten(value, 4)
    if unit == "1":
        return number
    shown = re.sub(r"\^(-?\d+)", lambda found: found[1].translate(_RAISED), unit)
    return number + (shown[1:] if shown.startswith("1/") else NO_BREAK + shown)


def seconds(value: float, _position: int = 0) -> str:
    """A time at a tick: `10 ns`, `1 s`, `10⁶ s`; nobody counts in megaseconds."""
    if value >= _KILO:
        return f"{power_of_ten(value)}{NO_BREAK}s"
    return eng(value, "s")


def duration(time_s: float) -> str:
    """A time in the unit in which one thinks of it: `12.5 ns`, `3.2 h`, `5 years`."""
    for least_s, unit_s, unit in _LONG:
        if time_s >= least_s:
            return f"{time_s / unit_s:.3g}{NO_BREAK}{unit}"
    return eng(time_s, "s")


class CommonPrefix(Formatter):
    """Ticks of a linear axis in one multiple of the unit: 0.5 V beside 1 V, not 500 mV."""

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The text of one tick."""
        axis = self.axis
        if axis is None:
            return eng(x, self._unit)
        largest = max(abs(end) for end in axis.get_view_interval())
        power = 3 * math.floor(math.log10(largest) / 3) if largest > 0 else 0
        power = min(max(power, -24), 0 if self._unit == "s" else 24)  # nobody counts in kiloseconds
        prefix = EngFormatter.ENG_PREFIXES[power]
        number = f"{0.0 if abs(x) < 1e-9 * largest else x / 10.0**power:.6g}"
        return f"{number}{NO_BREAK}{prefix}{self._unit}".replace("-", "\N{MINUS SIGN}")


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
    if unit and not log:
        one.set_major_formatter(CommonPrefix(unit))
    elif unit == "s":
        one.set_major_formatter(FuncFormatter(seconds))
    elif unit:
        one.set_major_formatter(EngFormatter(unit=unit, sep=NO_BREAK))


def count_axis(ax: Axes, label: str) -> None:
    """Labels a horizontal axis that counts, with whole numbers at its ticks."""
    unit_axis(ax, "x", "", label)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def label_narrow_log(ax: Axes, axis: str, values: Array) -> None:
    """Gives a logarithmic axis labels at 1, 2, 5 where it spans few decades."""
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size and positive.max() / positive.min() < _NARROW:
        one = ax.xaxis if axis == "x" else ax.yaxis
        one.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))


def mark_moments(ax: Axes, axis: str) -> None:
    """Marks an hour to ten years on a logarithmic axis of times, whose limits are set."""
    low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
    written = math.inf
    for name, time_s in reversed(MOMENTS.items()):
        place = math.log(time_s / low) / math.log(high / low)
        if not 0 < place < 1 or written - place < _CROWDED:
            continue
        written = place
        # As a collection, which a legend that looks for room does not mind.
        ends, place_of = [(time_s, 0.0), (time_s, 1.0)], ax.get_xaxis_transform()
        if axis == "y":
            ends, place_of = [(0.0, time_s), (1.0, time_s)], ax.get_yaxis_transform()
        line = LineCollection(
            [ends], transform=place_of, colors=RULE, linestyles=":", linewidths=1, zorder=1
        )
        ax.add_collection(line, autolim=False)
        if axis == "x":
            ax.annotate(
                name, (time_s, 0.99), xycoords=("data", "axes fraction"), xytext=(-2, 0),
                textcoords="offset points", rotation=90, ha="right", va="top", fontsize=7,
                color=MUTED,
            )  # fmt: skip
        else:  # beside the panel, where no curve is
            ax.annotate(
                name, (1.0, time_s), xycoords=("axes fraction", "data"), xytext=(3, 0),
                textcoords="offset points", ha="left", va="center", fontsize=7, color=MUTED,
            )  # fmt: skip


def make_room(ax: Axes, *, below: float = 0.0, above: float = 0.0) -> None:
    """Widens the vertical axis by parts of its height, for a legend that lies on no curve."""
    transform = ax.yaxis.get_transform()
    low, high = transform.transform(np.array(ax.get_ylim()))
    ends = np.array([low - below * (high - low), high + above * (high - low)])
    ax.set_ylim(*transform.inverted().transform(ends))


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
