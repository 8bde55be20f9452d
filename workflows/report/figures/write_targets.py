"""What write-verify has reached: target against achieved, the errors, and the pulses it took."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from workflows.report.data import ReportData, WritingData
from workflows.report.figures import Table
from workflows.report.style import FAILED, MUTED, RULE, WIDTH_IN, aside, percent_axis
from workflows.report.text import count, significant

ORDER = 75
TITLE = "Writing: conductances wanted and reached"
CAPTION = (
    "Every cell of the network after write-verify. Left: the conductance that its weight asks for "
    "and the one that its last pulse left; on the grey diagonal they are the same. Middle: the "
    "error, in tolerances; what lies in the grey band counts as met. Right: how many pulses were "
    "meant for a cell. Error and pulses are those of cells that were pulsed at all."
)
_COLOUR = "#22768f"
_MANY = 3000  # dots; more are drawn as pixels
_BINS = 41
_WIDEST = 4.0  # tolerances; errors beyond are drawn at the edge


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if data.writing is not None else "the network was not written (write-network)"


def note(data: ReportData) -> str:
    """Device, tolerance, and how many cells are not met."""
    writing = _writing(data)
    missed, left = int((~writing.met).sum()), int((writing.pulses == 0).sum())
    return (
        f"{writing.device}, {count(writing.met.size, 'cell')}, {left:,} of them right from the "
        f"start; tolerance"
        f" {significant(writing.tolerance_s * 1e6)} µS, half a step of {writing.levels} levels;"
        f" {count(missed, 'cell is', 'cells are')} not met"
        + (", drawn in the colour of failures." if missed else ".")
    )


def _writing(data: ReportData) -> WritingData:
    if data.writing is None:
        raise AssertionError("asked to draw what `absent` says is not there")
    return data.writing


def figure(data: ReportData) -> Figure:
    """Three panels beside each other."""
    writing = _writing(data)
    fig = Figure(figsize=(WIDTH_IN, 3.5), layout="constrained")
    parity, errors, pulses = fig.subplots(1, 3, width_ratios=[1.15, 1, 1])
    _parity(parity, writing)
    _errors(errors, writing)
    counts = writing.pulses[_pulsed(writing)]
    most = int(counts.max())
    edges = np.arange(-0.5, most + 1.5) if most <= _BINS else np.linspace(-0.5, most + 0.5, _BINS)
    share = np.histogram(counts, edges)[0] / counts.size
    pulses.stairs(share, edges, fill=True, color=_COLOUR, alpha=0.3)
    pulses.stairs(share, edges, color=_COLOUR, linewidth=1.2)
    pulses.set_title("Pulses of a cell")
    aside(pulses, f"mean {significant(float(counts.mean()), 2)}, most {most}")
    pulses.set_xlabel("pulses")
    pulses.xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in (errors, pulses):
        ax.set_ylabel("share of pulsed cells")
        ax.grid(axis="y")
        percent_axis(ax)
    for ax in (parity, errors, pulses):
        ax.tick_params(labelcolor=MUTED)
    return fig


def _pulsed(writing: WritingData) -> NDArray[np.bool_]:
    """The cells that were pulsed; all of them where none was."""
    found = writing.pulses > 0
    return found if found.any() else ~found


def _parity(ax: Axes, writing: WritingData) -> None:
    target, achieved = writing.target_s * 1e6, writing.achieved_s * 1e6
    low = float(min(target.min(), achieved.min()))
    high = float(max(target.max(), achieved.max()))
    room = 0.04 * (high - low) or 1.0
    ends = [low - room, high + room]
    ax.plot(ends, ends, color=RULE, linewidth=1.2, zorder=1)
    pixels = target.size > _MANY
    missed = ~writing.met
    ax.plot(target[~missed], achieved[~missed], "o", color=_COLOUR, markersize=3.2, alpha=0.5,
            markeredgewidth=0, rasterized=pixels)  # fmt: skip
    ax.plot(target[missed], achieved[missed], "o", color=FAILED, markersize=5, markeredgewidth=0)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_title("Conductance")
    rms = significant(float(np.sqrt(np.mean((achieved - target) ** 2))))
    aside(ax, f"rms error {rms} µS")
    ax.set_xlabel("target (µS)")
    ax.set_ylabel("achieved (µS)")
    ax.grid()


def _errors(ax: Axes, writing: WritingData) -> None:
    off = (writing.error / writing.tolerance_s)[_pulsed(writing)]
    reach = float(np.clip(1.25 * np.abs(off).max(), 1.5, _WIDEST))
    inside = np.clip(off, -reach, reach)
    edges = np.linspace(-reach, reach, _BINS + 1)
    ax.axvspan(-1, 1, color=RULE, alpha=0.35, linewidth=0)
    share = np.histogram(inside, edges)[0] / off.size
    ax.stairs(share, edges, fill=True, color=_COLOUR, alpha=0.3)
    ax.stairs(share, edges, color=_COLOUR, linewidth=1.2)
    ax.set_xlim(-reach, reach)
    ax.set_title("Error")
    ax.set_xlabel("achieved - target (tolerances)")


def table(data: ReportData) -> Table:
    """One line per cell, in the order of layers, tiles, rows and columns."""
    writing = _writing(data)
    columns = zip(
        writing.places, writing.target_s.tolist(), writing.achieved_s.tolist(),
        writing.pulses.tolist(), writing.met.astype(int).tolist(), writing.reasons, strict=True,
    )  # fmt: skip
    rows = ((*place, *rest) for place, *rest in columns)
    return ("tile", "row", "col", "target_s", "achieved_s", "pulses", "met", "reason"), rows
