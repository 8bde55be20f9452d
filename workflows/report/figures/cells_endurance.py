"""How hard the cells were used: steps that each was asked for, one histogram per layer."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cosim.training.endurance import LearntLayer
from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.histograms import MOST_PANELS, Panel, draw_histograms
from workflows.report.style import MUTED
from workflows.report.text import count, label, percent, significant

ORDER = 93
TITLE = "Training in cells: endurance"
CAPTION = (
    "How many steps each cell was asked for in the whole training, up and down together, one panel "
    "per layer. A cell has to endure as many full pulses; the half pulses of its lines are not "
    "counted. Cells of inputs that are always zero are never asked."
)
_BINS = 40


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if data.learnt else "no weights were trained in cells"


def note(data: ReportData) -> str:
    """The busiest cell, and what is not drawn."""
    busiest = max(data.learnt, key=lambda one: one.says.steps_max).says
    hidden = len(data.learnt) - MOST_PANELS
    return (
        f"The busiest cell, in {busiest.layer}, was asked for"
        f" {count(busiest.steps_max, 'step')}."
        + (f" {count(hidden, 'more layer')} in the CSV only." if hidden > 0 else "")
    )


def _edges(one: LearntLayer) -> FloatArray:
    top = max(1.0, float(one.cells.steps.max()))
    if top <= _BINS:
        return np.arange(-0.5, top + 1.5)
    return np.linspace(0.0, top, _BINS + 1)


def _counts(one: LearntLayer) -> FloatArray:
    return np.histogram(one.cells.steps, _edges(one))[0].astype(np.float64)


def figure(data: ReportData) -> Figure:
    """Filled steps, share of the layer's cells per bin."""
    layers = data.learnt[:MOST_PANELS]

    def panel(one: LearntLayer) -> Panel:
        words = f"median {significant(one.says.steps_median)}"
        if one.says.never:
            words += f", never {percent(one.says.never)}"
        share = _counts(one) / one.cells.steps.size
        return Panel(label(one.says.layer, 12), words, share, _edges(one))

    def mark(ax: Axes, number: int) -> None:
        median = layers[number].says.steps_median
        ax.axvline(median, color=MUTED, linestyle="--", linewidth=1.0)
        ax.set_xlim(left=min(0.0, float(_edges(layers[number])[0])))

    axis = "steps that a cell was asked for (dashed: median)"
    return draw_histograms([panel(one) for one in layers], axis=axis, shared=False, mark=mark)


def table(data: ReportData) -> Table:
    """Counts per bin and layer."""
    rows = [
        (one.says.layer, low, high, int(n))
        for one in data.learnt
        for low, high, n in zip(_edges(one)[:-1], _edges(one)[1:], _counts(one), strict=True)
    ]
    return ("layer", "bin_low_steps", "bin_high_steps", "cells"), rows
