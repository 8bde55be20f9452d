"""Where the wires eat the drive: a map of the voltage lost at each cell of each tile."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from workflows.report.data import ReportData, TileData
from workflows.report.figures import Table
from workflows.report.text import count, grid, label, percent
from workflows.report.tile_grid import MOST_TILES, TileMap, draw_tiles

ORDER = 50
TITLE = "IR drop: where the wires eat the voltage"
CAPTION = (
    "Share of the applied voltage that does not reach a cell because it drops along the word "
    "line, the bit line, the driver and the sense node; mean over the verified images. Tiles are "
    "drawn as they are wired and share one colour scale: word line 0 at the top, "
    "drivers at the left, sense nodes at the bottom. The ring marks the worst cell of each "
    "tile; grey cells were never or hardly driven (below 5 % of the read voltage, rms)."
)
_HEAT = LinearSegmentedColormap.from_list(
    "drop", ["#fffbe8", "#fdd98b", "#f59b51", "#d8504f", "#8f2469", "#3b0f4f"]
)


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
        key=lambda found: float(found[0].ir_drop[found[1], found[2]]),
    )
    words = (
        f"Worst of all: {percent(float(tile.ir_drop[row, col]))} in {label(tile.name, 40)} at "
        f"word line {label(tile.row_labels[row])}, bit line {label(tile.col_labels[col])}."
    )
    hidden = len(data.tiles) - len(_shown(data))
    return words + (f" {count(hidden, 'tile')} with less drop in the CSV only." if hidden else "")


def _worst(tile: TileData) -> tuple[int, int] | None:
    if not np.isfinite(tile.ir_drop).any():
        return None
    row, col = np.unravel_index(int(np.nanargmax(tile.ir_drop)), tile.ir_drop.shape)
    return int(row), int(col)


def _shown(data: ReportData) -> list[TileData]:
    def worst(tile: TileData) -> float:
        cell = _worst(tile)
        return -1.0 if cell is None else float(tile.ir_drop[cell])

    chosen = sorted((t for t in data.tiles if t.ir_drop.size), key=worst, reverse=True)[:MOST_TILES]
    return [tile for tile in data.tiles if tile in chosen]


def _map(tile: TileData) -> TileMap:
    cell = _worst(tile)
    first = f"layer {tile.layer} · {grid(tile.ir_drop.shape)}"
    if cell is None:
        return TileMap(tile, tile.ir_drop, (first, "hardly driven"))
    mean = float(np.nanmean(tile.ir_drop))
    worst = float(tile.ir_drop[cell])
    second = f"mean {percent(mean)}, worst {percent(worst)}"
    return TileMap(tile, tile.ir_drop, (first, second), cell)


def figure(data: ReportData) -> Figure:
    """The tiles under one scale that starts at no loss."""
    maps = tuple(_map(tile) for tile in _shown(data))
    top = max(float(np.nanmax(m.values)) for m in maps if m.mark is not None)
    return draw_tiles(
        maps,
        cmap=_HEAT,
        norm=Normalize(0, max(top, 1e-6)),
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
