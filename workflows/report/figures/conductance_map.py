"""What is programmed where: the conductance of each cell of each tile."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from workflows.report.data import ReportData, TileData
from workflows.report.figures import Table
from workflows.report.text import count, grid, prefixed, significant
from workflows.report.tile_grid import TileMap, draw_tiles, tiles_to_show

ORDER = 60
TITLE = "Conductance map: what is programmed where"
CAPTION = (
    "Conductance of each cell, in the same places as in the map of the voltage "
    "drop. A dark word line or corner here explains a drop there."
)
_TINT = LinearSegmentedColormap.from_list(
    "conductance", ["#f7fbfb", "#b9dcd8", "#63b0b4", "#22768f", "#14405f", "#0b1d3a"]
)


def absent(data: ReportData) -> str:
    """Why there is nothing to draw."""
    return "" if any(t.conductance_s.size for t in data.tiles) else "the run recorded no tiles"


def note(data: ReportData) -> str:
    """What is not drawn."""
    hidden = sum(1 for t in data.tiles if t.conductance_s.size) - len(tiles_to_show(data.tiles))
    return f"{count(hidden, 'more tile')} in the CSV only." if hidden else ""


def _map(tile: TileData, size: float, prefix: str) -> TileMap:
    values = tile.conductance_s / size
    finite = values[np.isfinite(values)]
    second = (
        f"{significant(float(finite.min()))} to {significant(float(finite.max()))} {prefix}S"
        if finite.size
        else "no values"
    )
    return TileMap(tile, values, (f"layer {tile.layer} · {grid(tile.conductance_s.shape)}", second))


def figure(data: ReportData) -> Figure:
    """The tiles under one scale that starts at zero."""
    tiles = tiles_to_show(data.tiles)
    known = [t.conductance_s[np.isfinite(t.conductance_s)] for t in tiles]
    size, prefix = prefixed(max((float(one.max()) for one in known if one.size), default=1e-6))
    maps = tuple(_map(tile, size, prefix) for tile in tiles)
    top = max((float(np.nanmax(m.values)) for m in maps if np.isfinite(m.values).any()), default=1)
    return draw_tiles(
        maps,
        cmap=_TINT,
        norm=Normalize(0, top if top > 0 else 1),
        scale_label=f"conductance ({prefix}S)",
        scale_format=lambda value: f"{value:.4g}",
    )


def table(data: ReportData) -> Table:
    """Every cell of every tile."""
    header = ("tile", "layer", "row", "col", "word_line", "bit_line", "conductance_s")
    rows = (
        (t.name, t.layer, row, col, t.row_labels[row], t.col_labels[col], value)
        for t in data.tiles
        for (row, col), value in np.ndenumerate(t.conductance_s)
    )
    return header, rows
