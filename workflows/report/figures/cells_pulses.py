"""What training in cells took: pulses, steps and energy, epoch by epoch."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from workflows.report.data import FloatArray, ReportData
from workflows.report.figures import Table
from workflows.report.style import FIDELITY_COLOUR, INK, MUTED, WIDTH_IN, aside, key_below
from workflows.report.text import percent, prefixed, significant

ORDER = 92
TITLE = "Training in cells: pulses and energy"
CAPTION = (
    "What the updates of each epoch took. Left: pulses on word lines and bit lines, and the steps "
    "that they asked of cells where two of them met. Right: the heat of all cells, those included "
    "that saw half a pulse because one of their lines had one; drivers and wires are not in it."
)
_COUNTS = (
    ("pulses", "pulses on lines", FIDELITY_COLOUR["surrogate"], "-", "o"),
    ("coincidences", "steps of cells", INK, "--", "s"),
)


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if "pulses" in data.training else "no weights were trained in cells"


def note(data: ReportData) -> str:
    """How much was clipped."""
    clipped = data.training.get("clipped")
    if clipped is None:
        return ""
    if not np.any(clipped):
        return "No probability of a pulse was clipped."
    return (
        f"Of the probabilities of pulses up to {percent(float(np.max(clipped)), 2)} an epoch were"
        " above 1 and were clipped."
    )


def figure(data: ReportData) -> Figure:
    """Counts to the left, energy to the right."""
    epochs = _epochs(data)
    known = "energy_j" in data.training
    fig = Figure(figsize=(WIDTH_IN, 3.1), layout="constrained")
    panels = fig.subplots(1, 2 if known else 1, squeeze=False)[0]
    marks = len(epochs) <= 40
    for key, name, colour, dashes, mark in _drawn(data):
        panels[0].plot(
            epochs, data.training[key], color=colour, linestyle=dashes, label=name,
            marker=mark if marks else "", markersize=3.5,
        )  # fmt: skip
    panels[0].set_title("Pulses of an epoch")
    panels[0].yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    key_below(panels[0], 2)
    if known:
        energy_j = data.training["energy_j"]
        size, prefix = prefixed(float(np.max(energy_j)))
        panels[1].plot(
            epochs, energy_j / size, color=FIDELITY_COLOUR["ideal"], marker="o" if marks else "",
            markersize=3.5,
        )  # fmt: skip
        panels[1].set_title(f"Energy of the cells in an epoch ({prefix}J)")
        size, own = prefixed(float(np.sum(energy_j)))
        aside(panels[1], f"{significant(float(np.sum(energy_j)) / size)} {own}J in all")
    for ax in panels:
        ax.set_ylim(0, 1.06 * ax.dataLim.y1 or 1)  # a mark at the top is whole
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.tick_params(labelcolor=MUTED)
        ax.grid()
    return fig


def _drawn(data: ReportData) -> list[tuple[str, str, str, str, str]]:
    return [one for one in _COUNTS if one[0] in data.training]


def _epochs(data: ReportData) -> FloatArray:
    """As they were recorded."""
    if "epoch" in data.training:
        return np.asarray(data.training["epoch"], dtype=np.float64)
    return np.arange(np.size(data.training["pulses"]), dtype=np.float64)


def table(data: ReportData) -> Table:
    """One line an epoch."""
    keys = [k for k in ("pulses", "coincidences", "energy_j", "clipped") if k in data.training]
    names = {"clipped": "clipped_share"}
    columns = [data.training[key].tolist() for key in keys]
    rows = zip(_epochs(data).astype(int).tolist(), *columns, strict=True)
    return ("epoch", *(names.get(key, key) for key in keys)), rows
