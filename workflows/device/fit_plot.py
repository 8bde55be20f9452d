"""The picture of a fit: measured and fitted, how far they are apart, and what was found."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from compact_models.files import write_bytes_atomic
from cosim.fitting.data import PulseTrain, Sweep, scaled
from cosim.fitting.result import Fit, FittedValue
from cosim.portraits.panel import Array
from workflows.device.axes import NO_BREAK, count_axis, eng, label_narrow_log, quantity, unit_axis
from workflows.device.fit_rows import shown_values
from workflows.device.picture import check_picture
from workflows.report.style import FIDELITY_COLOUR, INK, MUTED, RULE, figure_style

_WIDTH_IN, _HEIGHT_IN = 12.8, 7.0
_HEADING_IN = 0.82
_TABLE = 0.33  # width of the table of parameters, beside the panels'
_DPI = 150
_FITTED = FIDELITY_COLOUR["ideal"]
_TO_ZERO = np.geomspace(1, 1e-6, 25)[1:]  # places on the way to a current of zero
_NEAR_V = 0.02  # of the largest voltage: nearer to 0 V a current says not how low the axis must go
_BELOW = 1.5  # factor from the smallest current that is shown to the foot of the axis
# The residuals that an axis has room for, all but a few, and how much more than these it shows.
_MOST, _ROOM = 0.98, 1.4
_LINE, _CHARACTERS = 0.036, 48  # of the table: of its height, and characters of the small text
_MOST_ROWS = 18
_VALUES_AT, _ERRORS_AT = 0.34, 1.0  # of the table's width; errors end there


def write_fit_plot(path: Path, measured: Sweep | PulseTrain, fit: Fit, title: str) -> None:
    """Draws a fit into a file, whole or not at all.

    Args:
        path: where; its ending says the format.
        measured: the data that was fitted.
        fit: to these data, with an answer at every point.
        title: above the picture.

    Raises:
        InputError: the file cannot be written, or `check_picture` refuses it.
    """
    suffix = check_picture(path, "--plot")
    with figure_style():
        buffer = io.BytesIO()
        fit_figure(measured, fit, title).savefig(buffer, format=suffix)
    write_bytes_atomic(path, buffer.getvalue())


def fit_figure(measured: Sweep | PulseTrain, fit: Fit, title: str) -> Figure:
    """The figure; drawn and saved within one `figure_style()`."""
    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), dpi=_DPI)
    figure.text(0.012, 1 - 0.12 / _HEIGHT_IN, title, va="top", color=INK, fontsize=14,
                fontweight="bold")  # fmt: skip
    figure.text(0.012, 1 - 0.44 / _HEIGHT_IN, _summary(measured, fit), va="top", color=MUTED,
                fontsize=8.5)  # fmt: skip
    figure.set_layout_engine("constrained", rect=(0.005, 0.005, 0.99, 1 - _HEADING_IN / _HEIGHT_IN))
    halves = figure.add_gridspec(1, 2, width_ratios=[1, _TABLE])
    left, right = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    if isinstance(measured, Sweep):
        _sweep(left, measured, fit)
    else:
        _pulses(left, measured, fit)
    _table(right.subplots(), fit)
    return figure


def _summary(measured: Sweep | PulseTrain, fit: Fit) -> str:
    """How good it is, in one line; first of all whether it is a fit."""
    words = [] if fit.outcome == "ok" else [f"{fit.outcome}: {fit.reason}"]
    decades = "" if np.isnan(fit.rms_decades) else f", {fit.rms_decades:.2g} decades"
    return "; ".join(
        [
            *words,
            f"rms error {eng(fit.rms, measured.unit)}{decades}",
            f"largest {eng(fit.max_error, measured.unit)}",
            f"noise floor {eng(fit.floor, measured.unit)}",
            f"{len(measured.values)} points",
        ]
    )


def _pair(ax: Axes, x: Array, measured: Array, fitted: Array) -> None:
    ax.plot(x, measured, "o", color=INK, markersize=3, markeredgewidth=0, alpha=0.35,
            label="measured")  # fmt: skip
    ax.plot(x, fitted, color=_FITTED, linewidth=1.3, label="fitted")
    ax.grid()


def _residual(ax: Axes, x: Array, measured: Sweep | PulseTrain, fit: Fit) -> None:
    """What the fit made small, in decades: above the noise floor the logarithm of the ratio.

    A few points that are far off, as beside an abrupt switching, do not make the rest a line: they
    stand at the edge, and are counted.
    """
    off = (scaled(fit.answer, fit.floor) - scaled(measured.values, fit.floor)) / np.log(10)
    ax.axhline(0, color=RULE, linewidth=1.2)
    ax.plot(x, off, ".", color=_FITTED, markersize=3)
    ax.set_title("Residual")
    ax.set_ylabel("fitted over measured,\ndecades")
    ax.grid()
    edge = _ROOM * float(np.quantile(np.abs(off), _MOST))
    beyond = np.abs(off) > edge
    if edge > 0 and np.abs(off).max() > 2 * edge:
        ax.set_ylim(-1.12 * edge, 1.12 * edge)
        for sign, marker in ((1, "^"), (-1, "v")):
            there = beyond & (sign * off > 0)
            ax.plot(x[there], np.full(there.sum(), sign * edge), marker, color=INK, markersize=4,
                    markeredgewidth=0, zorder=4)  # fmt: skip
        number = int(beyond.sum())
        points = f"{number} points lie" if number > 1 else "1 point lies"
        ax.set_title(
            f"{points} beyond, up to {np.abs(off).max():.2g} decades", loc="right", color=MUTED,
            fontsize=8, fontweight="normal",
        )  # fmt: skip


def _sweep(figure: FigureBase, measured: Sweep, fit: Fit) -> None:
    grid = figure.add_gridspec(2, 2, height_ratios=[1.8, 1])
    linear, log = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    time, residual = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    _pair(linear, measured.voltage_v, measured.current_a, fit.answer)
    linear.set_title("Current over voltage")
    linear.legend(loc="best")
    _magnitude(log, measured, fit)
    _pair(time, measured.time_s, measured.current_a, fit.answer)
    time.set_title("Current over time")
    _residual(residual, measured.time_s, measured, fit)
    unit_axis(linear, "x", "V", "voltage")
    for ax in (time, residual):
        unit_axis(ax, "x", "s", "time")
    for ax in (linear, time):
        unit_axis(ax, "y", "A", "current")


def _magnitude(ax: Axes, measured: Sweep, fit: Fit) -> None:
    """Both on a logarithmic axis that ends at the noise floor, or above it if all is larger."""
    ax.set_title("Magnitude of the current")
    unit_axis(ax, "x", "V", "voltage")
    unit_axis(ax, "y", "A", "|current|", log=True)
    sizes = np.abs(np.stack([measured.current_a, fit.answer]))
    volts = np.abs(measured.voltage_v)
    seen = sizes[:, volts >= _NEAR_V * volts.max()]
    seen = seen[seen > fit.floor]
    least = float(seen.min()) if seen.size else fit.floor
    foot = max(least / _BELOW, fit.floor / 2)
    ax.plot(measured.voltage_v, np.where(sizes[0] > 0, sizes[0], np.nan), "o", color=INK,
            markersize=3, markeredgewidth=0, alpha=0.35)  # fmt: skip
    v, i = _through_zero(measured.voltage_v, fit.answer)
    # Nearer to 0 V every current falls to nothing: that is no part of the curve but a line down.
    i = np.where(np.abs(v) < _NEAR_V * volts.max(), np.nan, np.abs(i))
    ax.plot(v, np.where(i == 0, np.nan, i), color=_FITTED, linewidth=1.3)
    ax.set_ylim(foot, 1.5 * float(sizes.max()))
    label_narrow_log(ax, "y", np.array(ax.get_ylim()))
    ax.grid()
    if fit.floor > foot:
        ax.axhline(fit.floor, color=MUTED, linewidth=0.8, linestyle=":")
        ax.annotate(
            "noise floor", (1.0, fit.floor), xycoords=("axes fraction", "data"), xytext=(-2, 2),
            textcoords="offset points", ha="right", va="bottom", fontsize=7.5, color=MUTED,
        )  # fmt: skip


def _through_zero(voltage_v: Array, current_a: Array) -> tuple[Array, Array]:
    """A line with points on its way through zero current, where it is straight between its points.

    On a logarithmic axis it would end a step of the sweep before, in the air, or jump over zero.
    """
    v, i = [voltage_v[:1]], [current_a[:1]]
    for k in range(len(current_a) - 1):
        before, after = current_a[k], current_a[k + 1]
        if before * after <= 0 and before != after:
            at = before / (before - after)
            parts = np.concatenate([at * (1 - _TO_ZERO), at + (1 - at) * _TO_ZERO[::-1]])
            v.append(voltage_v[k] + parts * (voltage_v[k + 1] - voltage_v[k]))
            i.append(before + parts * (after - before))
        v.append(voltage_v[k + 1 : k + 2])
        i.append(current_a[k + 1 : k + 2])
    return np.concatenate(v), np.concatenate(i)


def _pulses(figure: FigureBase, measured: PulseTrain, fit: Fit) -> None:
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.8, 1])
    # Rows without a pulse, such as the start, count as none: they stand where the last one left.
    number = np.cumsum(measured.direction != 0).astype(float)
    _pair(top, number, measured.conductance_s, fit.answer)
    top.set_title("Conductance after every pulse")
    unit_axis(top, "y", "S", "conductance")
    top.legend(loc="best")
    _residual(bottom, number, measured, fit)
    count_axis(bottom, "pulse")


def _table(ax: Axes, fit: Fit) -> None:
    """What was fitted, with its standard error, and what was left as it was."""
    ax.set_axis_off()
    ax.set_title("Fitted, with standard error")
    rows = shown_values(fit)
    line = 0
    for name, one in list(rows.items())[:_MOST_ROWS]:
        y = 1 - _LINE * line
        value = quantity(one.value, one.unit)
        for x, text in ((0.0, name), (_VALUES_AT, value), (_ERRORS_AT, _error(one))):
            colour = INK if x == _VALUES_AT else MUTED
            side: Literal["left", "right"] = "right" if x == _ERRORS_AT else "left"
            ax.text(x, y, text, transform=ax.transAxes, va="top", ha=side, color=colour,
                    fontsize=8.5)  # fmt: skip
        line += 1
    words = []
    if len(rows) > _MOST_ROWS:
        words.append(f"and {len(rows) - _MOST_ROWS} more, in the text")
    if fit.fixed:
        words.append(f"left as they were: {', '.join(fit.fixed)}")
    small = [part for one in words for part in textwrap.wrap(one, _CHARACTERS)]
    ax.text(0.0, 1 - _LINE * (line + 0.5), "\n".join(small), transform=ax.transAxes, va="top",
            color=MUTED, fontsize=7.5)  # fmt: skip


def _error(one: FittedValue) -> str:
    """The standard error beside its value, or why there is none."""
    if one.at_bound:
        return "at its bound"
    if one.given:
        return f"if {one.given[0]}{', …' if len(one.given) > 1 else ''} right"
    if one.stderr is None:
        return "not determined"
    sign = f"±{NO_BREAK}"
    if one.stderr >= abs(one.value):
        return sign + quantity(float(f"{one.stderr:.2g}"), one.unit)
    return f"{sign}{100 * one.stderr / abs(one.value):.2g}{NO_BREAK}%"
