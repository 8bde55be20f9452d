"""Amplifier, neuron and converter: SPICE points, fitted model, and the error between them."""

from __future__ import annotations

import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cosim.calibration.evidence import MeasuredCurve
from workflows.report.data import ReportData
from workflows.report.figures import Table
from workflows.report.style import FAILED, FIDELITY_COLOUR, INK, RULE, WIDTH_IN
from workflows.report.text import label, prefixed

ORDER = 70
TITLE = "The periphery: transfer curves"
CAPTION = (
    "Output against input of the circuits around the arrays, as ngspice simulates them (points) "
    "and as the surrogate has fitted them (line). Below each: surrogate minus SPICE, on an axis "
    "of its own."
)
_KINDS = {"tia": "Amplifier", "neuron": "Neuron", "adc": "Converter"}
_PER_LINE = 3


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if any(c.x.size for c in data.curves) else "the run recorded no transfer curves"


def note(data: ReportData) -> str:
    """The curves' own notes and their failed points."""
    words = [f"{label(c.name, 40)}: {c.note.rstrip('.')}." for c in data.curves if c.note]
    failed = sum(int((~np.isfinite(c.spice_y)).sum()) for c in data.curves)
    points = sum(c.x.size for c in data.curves)
    words.append(f"{failed} of {points:,} SPICE points failed" + (" (crosses)." if failed else "."))
    return " ".join(words)


def error_axis(of: str, largest: float) -> tuple[float, str]:
    """The axis of errors of a quantity "NAME (UNIT)": by what to divide them, and its label.

    Volts get the prefix in which the largest error reads easily, so that ticks are plain numbers.

    Args:
        of: the label of the quantity.
        largest: error on the axis.
    """
    found = re.search(r"[\[(]([^\[\]()]+)[\])]\s*$", of)
    unit = found.group(1) if found else ""
    size, prefix = prefixed(largest) if unit == "V" else (1.0, "")
    return size, f"error ({prefix}{unit})" if unit else "error"


def _draw(top: Axes, bottom: Axes, curve: MeasuredCurve) -> None:
    order = np.argsort(curve.x, kind="stable")
    x, spice, fitted = curve.x[order], curve.spice_y[order], curve.surrogate_y[order]
    ok = np.isfinite(spice)
    size = 5.5 if x.size <= 60 else 4.0
    top.plot(x[ok], spice[ok], "o", color=INK, markersize=size, markeredgewidth=0, alpha=0.4,
             label="SPICE", zorder=2)  # fmt: skip
    top.plot(x, fitted, color=FIDELITY_COLOUR["surrogate"], linewidth=1.2, label="surrogate",
             zorder=3)  # fmt: skip
    if not ok.all():
        top.plot(x[~ok], fitted[~ok], "x", color=FAILED, markersize=6, label="SPICE failed",
                 zorder=4)  # fmt: skip
    error = fitted - spice
    bottom.axhline(0, color=RULE, linewidth=1.2)
    reach = float(np.abs(error[ok]).max()) if ok.any() else 0.0
    size, words = error_axis(curve.y_label, reach)
    reach = reach * 1.25 / size or 1.0
    bottom.plot(x[ok], error[ok] / size, color=FIDELITY_COLOUR["surrogate"], linewidth=1.1,
                marker="o" if x.size <= 60 else "", markersize=2.5)  # fmt: skip
    bottom.set_ylim(-reach, reach)
    bottom.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    bottom.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    top.set_title(f"{_KINDS.get(curve.kind, curve.kind)}: {label(curve.name, 26)}")
    top.set_ylabel(label(curve.y_label, 34))
    bottom.set_ylabel(label(words, 18))
    bottom.set_xlabel(label(curve.x_label, 40))
    top.tick_params(labelbottom=False)
    for ax in (top, bottom):
        ax.grid()


def figure(data: ReportData) -> Figure:
    """Pairs of panels, three to a line."""
    curves = [c for c in data.curves if c.x.size]
    across = min(_PER_LINE, len(curves))
    lines = -(-len(curves) // across)
    fig = Figure(figsize=(WIDTH_IN, 3.9 * lines), layout=ConstrainedLayoutEngine(w_pad=0.1))
    axes = fig.subplots(2 * lines, across, squeeze=False, height_ratios=[2.6, 1] * lines)
    for place, curve in enumerate(curves):
        line, column = divmod(place, across)
        top, bottom = axes[2 * line, column], axes[2 * line + 1, column]
        top.sharex(bottom)
        _draw(top, bottom, curve)
        fig.align_ylabels([top, bottom])
    for place in range(len(curves), lines * across):
        line, column = divmod(place, across)
        axes[2 * line, column].set_axis_off()
        axes[2 * line + 1, column].set_axis_off()
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside upper right", ncols=2)
    return fig


def table(data: ReportData) -> Table:
    """The points of all curves; a curve's labels give its units."""
    header = ("curve", "kind", "x_quantity", "x", "y_quantity", "spice_y", "surrogate_y")
    rows = [
        (c.name, c.kind, c.x_label, x, c.y_label, spice, fitted)
        for c in data.curves
        for x, spice, fitted in zip(c.x, c.spice_y, c.surrogate_y, strict=True)
    ]
    return header, rows
