"""The panels of a device that is programmed and then read."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from cosim.portraits.read_device import Drift, ReadNoise, Statistics
from workflows.device.axes import (
    LEVELS,
    SET,
    eng,
    label_narrow_log,
    make_room,
    mark_moments,
    unit_axis,
)

_BELOW, _ABOVE = 0.22, 0.14  # room for the legend and for the names of the moments


def draw_drift(ax: Axes, drift: Drift) -> None:
    """Conductance over the time since programming, with the spread over cells."""
    ax.set_title(f"Drift of {drift.cells:,} cells a level\nmedian, and 5 % to 95 % of the cells")
    unit_axis(ax, "x", "s", "time since programming", log=True)
    unit_axis(ax, "y", "S", f"conductance at {eng(drift.read_v, 'V')}", log=True)
    for level, (low, middle, high), colour in zip(
        drift.level_s, drift.quantiles_s, LEVELS, strict=False
    ):
        ax.fill_between(drift.age_s, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(drift.age_s, middle, color=colour, label=eng(level, "S"))
    label_narrow_log(ax, "y", drift.quantiles_s)
    make_room(ax, below=_BELOW, above=_ABOVE)
    mark_moments(ax, "x")
    ax.legend(
        loc="lower left", fontsize=8, ncols=len(LEVELS), title="aimed at", title_fontsize=8,
        alignment="left", handlelength=1.2, columnspacing=1.0, frameon=True, framealpha=1,
        edgecolor="none",  # the lines of the moments end at it
    )  # fmt: skip


def draw_programming(ax: Axes, found: Statistics) -> None:
    """Standard deviation of programming over the conductance aimed at."""
    ax.set_title("Programming: standard deviation")
    unit_axis(ax, "x", "S", "conductance aimed at")
    unit_axis(ax, "y", "S", "standard deviation")
    ax.plot(found.aim_s, found.spread, color=SET)
    ax.set_ylim(0, 1.1 * float(found.spread.max()))


def draw_exponents(ax: Axes, found: Statistics) -> None:
    """Drift exponents over the conductance aimed at."""
    ax.set_title("Drift exponent, with one standard deviation")
    unit_axis(ax, "x", "S", "conductance aimed at", log=True)
    unit_axis(ax, "y", "", "exponent")
    ax.fill_between(
        found.aim_s, found.mean - found.spread, found.mean + found.spread, color=SET, alpha=0.18,
        linewidth=0,
    )  # fmt: skip
    ax.plot(found.aim_s, found.mean, color=SET)
    ax.set_ylim(bottom=0)


def draw_read_noise(ax: Axes, found: ReadNoise) -> None:
    """Read noise over the time since programming."""
    ax.set_title("Noise of one read, relative to the conductance")
    unit_axis(ax, "x", "s", "time since programming", log=True)
    unit_axis(ax, "y", "", "standard deviation")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    for level, part, colour in zip(found.level_s, found.part, LEVELS, strict=False):
        ax.plot(found.age_s, part, color=colour, label=f"programmed to {eng(level, 'S')}")
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper left", fontsize=8)
