"""Histograms side by side, one panel for each part of a chip: share of its cells per bin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.report.data import FloatArray
from workflows.report.style import WIDTH_IN, aside, percent_axis

MOST_PANELS = 8
"""More of them are in the CSV only."""
PER_LINE = 4
_COLOUR = "#22768f"


@dataclass(frozen=True)
class Panel:
    """One histogram.

    Attributes:
        name: of the part, as the title has it.
        words: what its title says on the right.
        share: of its cells, per bin.
        edges: of the bins, as they are drawn.
    """

    name: str
    words: str
    share: FloatArray
    edges: FloatArray


def draw_histograms(
    panels: Sequence[Panel],
    *,
    axis: str,
    shared: bool = True,
    line_in: float = 2.2,
    mark: Callable[[Axes, int], None] = lambda _ax, _number: None,
) -> Figure:
    """Filled steps.

    Args:
        panels: the histograms.
        axis: what is on the abscissa.
        shared: all panels have the same axes.
        line_in: height of a line of panels [inch].
        mark: draws what else belongs into a panel, by its number.
    """
    across = min(PER_LINE, max(len(panels), 2))
    lines = -(-len(panels) // across)
    fig = Figure(figsize=(WIDTH_IN, 0.5 + line_in * lines), layout="constrained")
    axes = fig.subplots(lines, across, sharex=shared, sharey=shared, squeeze=False)
    for number, (ax, one) in enumerate(zip(axes.flat, panels, strict=False)):
        ax.stairs(one.share, one.edges, fill=True, color=_COLOUR, alpha=0.3)
        ax.stairs(one.share, one.edges, color=_COLOUR, linewidth=1.2)
        mark(ax, number)
        ax.set_title(one.name)
        aside(ax, one.words)
        ax.grid(axis="y")
        percent_axis(ax)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    fig.supxlabel(axis, fontsize=9)
    fig.supylabel("share of cells", fontsize=9)
    return fig
