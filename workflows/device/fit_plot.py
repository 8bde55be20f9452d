"""The picture of a fit: what was measured, what the model does, and how far they are apart."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from compact_models.files import write_bytes_atomic
from cosim.devices.fit_data import PulseTrain, Sweep, scaled
from cosim.devices.fit_result import Fit
from workflows.device.axes import count_axis, label_narrow_log, unit_axis
from workflows.device.picture import check_picture
from workflows.report.style import FIDELITY_COLOUR, INK, RULE, figure_style

_WIDTH_IN, _HEIGHT_IN = 9.6, 6.4
_DPI = 150
_FITTED = FIDELITY_COLOUR["ideal"]


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
        figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained", dpi=_DPI)
        if isinstance(measured, Sweep):
            _sweep(figure, measured, fit)
        else:
            _pulses(figure, measured, fit)
        words = "" if np.isnan(fit.rms_decades) else f", {fit.rms_decades:.2g} decades"
        unit = EngFormatter(unit=measured.unit, places=2)
        figure.suptitle(
            f"{title}: rms error {unit(fit.rms)}{words}", x=0.01, ha="left", fontweight="bold"
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix)
    write_bytes_atomic(path, buffer.getvalue())


def _pair(ax: Axes, x: np.ndarray, measured: np.ndarray, fitted: np.ndarray) -> None:
    ax.plot(x, measured, "o", color=INK, markersize=3, markeredgewidth=0, alpha=0.35,
            label="measured")  # fmt: skip
    ax.plot(x, fitted, color=_FITTED, linewidth=1.3, label="fitted")
    ax.grid()


def _residual(ax: Axes, x: np.ndarray, measured: Sweep | PulseTrain, fit: Fit) -> None:
    """What the fit made small, in decades: above the noise floor the logarithm of the ratio."""
    off = scaled(fit.answer, fit.floor) - scaled(measured.values, fit.floor)
    ax.axhline(0, color=RULE, linewidth=1.2)
    ax.plot(x, off / np.log(10), ".", color=_FITTED, markersize=3)
    ax.set_title("Residual: fitted over measured")
    ax.set_ylabel("decades")
    ax.grid()


def _sweep(figure: Figure, measured: Sweep, fit: Fit) -> None:
    grid = figure.add_gridspec(2, 2, height_ratios=[2.1, 1])
    linear, log = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    time, residual = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    _pair(linear, measured.voltage_v, measured.current_a, fit.answer)
    linear.set_title("Current")
    linear.legend(loc="best")
    # Below the noise floor a logarithm shows nothing but the way to zero.
    sizes = [np.abs(x) for x in (measured.current_a, fit.answer)]
    sizes = [np.where(x > fit.floor, x, np.nan) for x in sizes]
    _pair(log, measured.voltage_v, *sizes)
    log.set_title("Magnitude of the current, above the noise floor")
    _pair(time, measured.time_s, measured.current_a, fit.answer)
    _residual(residual, measured.time_s, measured, fit)
    for ax in (linear, log):
        unit_axis(ax, "x", "V", "voltage")
    for ax in (time, residual):
        unit_axis(ax, "x", "s", "time")
    unit_axis(linear, "y", "A", "current")
    unit_axis(log, "y", "A", "|current|", log=True)
    label_narrow_log(log, "y", np.concatenate(sizes))
    time.set_title("Current over time")
    unit_axis(time, "y", "A", "current")


def _pulses(figure: Figure, measured: PulseTrain, fit: Fit) -> None:
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2.1, 1])
    # Rows without a pulse, such as the start, count as none: they stand where the last one left.
    number = np.cumsum(measured.direction != 0).astype(float)
    _pair(top, number, measured.conductance_s, fit.answer)
    top.set_title("Conductance after every pulse")
    unit_axis(top, "y", "S", "conductance")
    top.legend(loc="best")
    _residual(bottom, number, measured, fit)
    count_axis(bottom, "pulse")
