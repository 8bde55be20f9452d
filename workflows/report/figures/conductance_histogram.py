"""How the conductance range is used: one histogram per tile, all on the same axes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from workflows.report.data import FloatArray, ReportData, TileData
from workflows.report.figures import Table
from workflows.report.histograms import PER_LINE, Panel, draw_histograms
from workflows.report.text import count, label, prefixed, significant
from workflows.report.tile_grid import MOST_TILES

ORDER = 65
TITLE = "Conductance histogram: how the range is used"
CAPTION = (
    "Distribution of the conductances of the cells as they were verified, one panel per tile on "
    "the same axes."
)
_BINS = 40


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    known = any(np.isfinite(t.conductance_s).any() for t in data.tiles)
    return "" if known else "the run recorded no conductances"


def note(data: ReportData) -> str:
    """How many cells, and what is not drawn."""
    hidden = len(data.tiles) - len(_shown(data))
    cells = count(sum(t.conductance_s.size for t in data.tiles), "cell")
    return f"{data.pairs} {cells} in {count(len(data.tiles), 'tile')}." + (
        f" {count(hidden, 'more tile')} in the CSV only." if hidden else ""
    )


def _shown(data: ReportData) -> tuple[TileData, ...]:
    return data.tiles[:MOST_TILES]


def _edges_s(data: ReportData) -> FloatArray:
    values = np.concatenate([t.conductance_s.ravel() for t in data.tiles])
    values = values[np.isfinite(values)]
    top = float(values.max())
    low = min(float(values.min()), 0.0)
    return np.linspace(low, top if top > low else low + 1e-6, _BINS + 1)


def _counts(tile: TileData, edges_s: FloatArray) -> FloatArray:
    values = tile.conductance_s[np.isfinite(tile.conductance_s)]
    return np.histogram(values, edges_s)[0].astype(np.float64)


def figure(data: ReportData) -> Figure:
    """Filled steps, share of the tile's cells per bin."""
    tiles, edges_s = _shown(data), _edges_s(data)
    size, prefix = prefixed(float(edges_s[-1]))

    def panel(tile: TileData) -> Panel:
        finite = tile.conductance_s[np.isfinite(tile.conductance_s)]
        median = significant(float(np.median(finite)) / size) if finite.size else ""
        share = _counts(tile, edges_s) / max(tile.conductance_s.size, 1)
        words = f"median {median} {prefix}S" if median else ""
        return Panel(label(tile.name, 15), words, share, edges_s / size)

    line_in = 1.9 if len(tiles) <= PER_LINE else 1.55
    panels = [panel(tile) for tile in tiles]
    return draw_histograms(panels, axis=f"conductance ({prefix}S)", line_in=line_in)


def table(data: ReportData) -> Table:
    """Counts per bin and tile."""
    edges_s = _edges_s(data)
    rows = [
        (t.name, low, high, int(n))
        for t in data.tiles
        for low, high, n in zip(edges_s[:-1], edges_s[1:], _counts(t, edges_s), strict=True)
    ]
    return ("tile", "bin_low_s", "bin_high_s", "cells"), rows
