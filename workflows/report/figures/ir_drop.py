"""What cells get of the drive: a map of the voltage lost, or gained, at each cell of a tile."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from workflows.report.data import ReportData, TileData
from workflows.report.figures import Table
from workflows.report.text import count, grid, label, percent
from workflows.report.tile_grid import TileMap, draw_tiles, tiles_to_show

ORDER = 50
TITLE = "IR drop and offsets: what cells get of the drive"
CAPTION = (
    "Share of the applied voltage that a cell does not get: it drops along the word line, the bit "
    "line, the driver and the sense node, and the amplifiers' offsets hold bit lines off ground, "
    "which can add to a cell's voltage where little is applied (below zero). Mean over the "
    "verified inputs, larger drives counting more. Tiles are "
    "drawn as they are wired and share one colour scale: word line 0 at the top, "
    "drivers at the left, sense nodes at the bottom; bit line 3+ is the plus side of output 3. "
    "The ring marks the cell of each tile that is furthest from no loss; "
    "grey cells were never or hardly driven (below 5 % of the read voltage, rms)."
)
_HEAT = LinearSegmentedColormap.from_list(
    "drop", ["#fffbe8", "#fdd98b", "#f59b51", "#d8504f", "#8f2469", "#3b0f4f"]
)


_BOTH = LinearSegmentedColormap.from_list(
    "gain and drop",
    [(0.0, "#1f5fa8"), (0.5, "#fffbe8"), (0.6, "#fdd98b"), (0.7, "#f59b51"),
     (0.8, "#d8504f"), (0.9, "#8f2469"), (1.0, "#3b0f4f")],
)  # fmt: skip


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    if not any(t.ir_drop.size for t in data.tiles):
        return "the run recorded no tiles"
    known = any(np.isfinite(t.ir_drop).any() for t in data.tiles)
    return "" if known else "no cell of any tile was driven in a valid simulation"


def note(data: ReportData) -> str:
    """The worst cell of all, and what is not drawn."""
    tile, row, col = max(
        ((t, *cell) for t in data.tiles if (cell := _worst(t)) is not None),
        key=lambda found: abs(float(found[0].ir_drop[found[1], found[2]])),
    )
    words = (
        f"Furthest of all: {_lost(float(tile.ir_drop[row, col]))} in {label(tile.name, 40)} at "
        f"word line {label(tile.row_labels[row])}, bit line {label(tile.col_labels[col])}."
    )
    hidden = len(data.tiles) - len(tiles_to_show(data.tiles))
    return words + (f" {count(hidden, 'tile')} with less drop in the CSV only." if hidden else "")


def _lost(share: float) -> str:
    """A share of the drive that wires take, or that offsets add."""
    return f"{percent(abs(share))} " + ("gained from offsets" if share < 0 else "lost")


def _worst(tile: TileData) -> tuple[int, int] | None:
    if not np.isfinite(tile.ir_drop).any():
        return None
    row, col = np.unravel_index(int(np.nanargmax(np.abs(tile.ir_drop))), tile.ir_drop.shape)
    return int(row), int(col)


def _map(tile: TileData) -> TileMap:
    cell = _worst(tile)
    first = f"layer {tile.layer} · {grid(tile.ir_drop.shape)}"
    if cell is None:
        return TileMap(tile, tile.ir_drop, (first, "hardly driven"))
    mean = float(np.nanmean(tile.ir_drop))
    worst = float(tile.ir_drop[cell])
    second = f"mean {_lost(mean)}, furthest {_lost(worst)}"
    return TileMap(tile, tile.ir_drop, (first, second), cell)


def figure(data: ReportData) -> Figure:
    """The tiles under one scale; blue where offsets give cells more than was applied."""
    maps = tuple(_map(tile) for tile in tiles_to_show(data.tiles))
    known = np.concatenate([m.values.ravel() for m in maps if m.mark is not None])
    low, top = min(float(np.nanmin(known)), 0.0), max(float(np.nanmax(known)), 1e-6)
    signed = low < -0.01 * top
    return draw_tiles(
        maps,
        cmap=_BOTH if signed else _HEAT,
        norm=TwoSlopeNorm(0, low, top) if signed else Normalize(0, top),
        scale_label="share of the applied voltage lost",
        scale_format=lambda value: f"{100 * value:.4g} %",
    )


def table(data: ReportData) -> Table:
    """Every cell of every tile."""
    header = ("tile", "layer", "row", "col", "word_line", "bit_line", "ir_drop_share")
    rows = (
        (t.name, t.layer, row, col, t.row_labels[row], t.col_labels[col], value)
        for t in data.tiles
        for (row, col), value in np.ndenumerate(t.ir_drop)
    )
    return header, rows
