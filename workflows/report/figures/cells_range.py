"""Where the cells that learnt stand within their bounds, one histogram per layer."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cosim.training.endurance import LearntLayer
from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.histograms import MOST_PANELS, Panel, draw_histograms
from workflows.report.style import FAILED
from workflows.report.text import count, label, percent, prefixed

ORDER = 94
TITLE = "Training in cells: conductances and their bounds"
CAPTION = (
    "What the cells that pulses reach conduct after training, one panel per layer. Dotted lines "
    "are the bounds of the median cell; where bounds differ from cell to cell, the shade holds "
    "90 % of them. Cells at a bound can learn in one direction only: many of them say that the "
    "weights are too large for the device."
)
_BINS = 40


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if data.learnt else "no weights were trained in cells"


def note(data: ReportData) -> str:
    """How many cells are at a bound, and what is not drawn."""
    cells = sum(one.says.cells for one in data.learnt)
    at = sum(one.says.at_bound * one.says.cells for one in data.learnt) / cells
    hidden = len(data.learnt) - MOST_PANELS
    return f"{percent(at)} of {count(cells, 'cell')} are at a bound." + (
        f" {count(hidden, 'more layer')} in the CSV only." if hidden > 0 else ""
    )


def _edges_s(data: ReportData) -> FloatArray:
    """Of all layers: from below the lower bounds to above the upper ones."""
    cells = [one.cells for one in data.learnt]
    low = min(min(float(np.quantile(c.low_s, 0.05)), float(c.conductance_s.min())) for c in cells)
    high = max(max(float(np.quantile(c.high_s, 0.95)), float(c.conductance_s.max())) for c in cells)
    room = 0.02 * (high - low) or 1e-9
    return np.linspace(max(0.0, low - room), high + room, _BINS + 1)


def _counts(one: LearntLayer, edges_s: FloatArray) -> FloatArray:
    return np.histogram(one.cells.conductance_s, edges_s)[0].astype(np.float64)


def figure(data: ReportData) -> Figure:
    """Filled steps, share of the layer's cells per bin, on the same axes."""
    layers, edges_s = data.learnt[:MOST_PANELS], _edges_s(data)
    size, prefix = prefixed(float(edges_s[-1]))
    panels = [
        Panel(
            label(one.says.layer, 12),
            f"{percent(one.says.at_bound)} at a bound",
            _counts(one, edges_s) / one.cells.conductance_s.size,
            edges_s / size,
        )
        for one in layers
    ]

    def mark(ax: Axes, number: int) -> None:
        for bound in (layers[number].cells.low_s, layers[number].cells.high_s):
            near, mid, far = (float(x) / size for x in np.quantile(bound, (0.05, 0.5, 0.95)))
            if far > near:
                ax.axvspan(near, far, color=FAILED, alpha=0.08, linewidth=0, zorder=0)
            ax.axvline(mid, color=FAILED, linestyle=":", linewidth=1.2)

    return draw_histograms(panels, axis=f"conductance ({prefix}S)", mark=mark)


def table(data: ReportData) -> Table:
    """Counts per bin and layer."""
    edges_s = _edges_s(data)
    rows = [
        (one.says.layer, low, high, int(n))
        for one in data.learnt
        for low, high, n in zip(edges_s[:-1], edges_s[1:], _counts(one, edges_s), strict=True)
    ]
    return ("layer", "bin_low_s", "bin_high_s", "cells"), rows
