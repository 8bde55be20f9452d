"""Tiles drawn as maps: one colour scale, one cell size (but for slivers), oriented as wired.

Row 0 (word line 0) is at the top, drivers stand at the left, sense nodes at the bottom: the
picture is the array as the netlist wires it, so a voltage fades to the right and a current
gathers downwards. The layout is in inches and packs the tiles in network order into lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workflows.report.data import FloatArray, TileData
from workflows.report.style import INK, MUTED, RULE, WIDTH_IN
from workflows.report.text import label

MOST_TILES = 16
"""More are not drawn: they would not fit one printed page. The CSV has them all."""

_TOP = 0.72  # above a tile: name, two lines of facts
_BAR = 0.26  # drivers' or sense nodes' bar with its word
_GAP = 0.3
_PAGE = 12.6  # the height of a printed page at this width
_SCALE_BAND = 0.62
_CHARACTER = 0.062  # of a tick label, in inches
_SLOT = 2.05  # the narrowest place of a tile: its heading must fit
_LONGEST_LABEL = 9
_NO_VALUE = "#b9c0c8"


def tiles_to_show(tiles: Sequence[TileData]) -> list[TileData]:
    """At most `MOST_TILES`, in network order: those furthest from no loss, one of each layer.

    Every map of a report shows the same ones, so that they can be laid beside each other.
    """

    def distance(tile: TileData) -> float:
        known = np.abs(tile.ir_drop[np.isfinite(tile.ir_drop)])
        return float(known.max()) if known.size else -1.0

    ranked = sorted((t for t in tiles if t.conductance_s.size), key=distance, reverse=True)
    firsts = {tile.layer: tile for tile in reversed(ranked)}.values()
    chosen = [*firsts, *(tile for tile in ranked if tile not in firsts)][:MOST_TILES]
    return [tile for tile in tiles if tile in chosen]


@dataclass(frozen=True)
class TileMap:
    """One tile to draw.

    Attributes:
        tile: names and shape.
        values: `[row, col]` in the unit of the colour scale; NaN is drawn as grey.
        facts: up to two short lines under the tile's name.
        mark: (row, col) of the cell to mark, if any.
    """

    tile: TileData
    values: FloatArray
    facts: tuple[str, ...]
    mark: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Place:
    left: float
    top: float
    width: float
    height: float


def draw_tiles(
    maps: tuple[TileMap, ...],
    *,
    cmap: Colormap,
    norm: Normalize,
    scale_label: str,
    scale_format: Callable[[float], str],
) -> Figure:
    """Draws the tiles under one colour scale.

    Args:
        maps: the tiles, at least one, in the order to draw.
        cmap: colours; the norm of all tiles.
        norm: value to colour.
        scale_label: what the colour means.
        scale_format: writes a value beside the colour scale.
    """
    left = _BAR + 0.12 + _CHARACTER * _longest(maps, rows=True)
    below = _BAR + 0.12 + _CHARACTER * _longest(maps, rows=False)
    cell = _cell_size(maps, left, below)
    places, height = _pack(maps, cell, left, below)
    fig = Figure(figsize=(WIDTH_IN, height))
    canvas = fig.add_axes((0, 0, 1, 1))
    canvas.set_xlim(0, WIDTH_IN)
    canvas.set_ylim(height, 0)
    canvas.set_axis_off()
    scale = fig.add_axes(
        ((WIDTH_IN - 3.1) / WIDTH_IN, 1 - 0.2 / height, 3.0 / WIDTH_IN, 0.13 / height)
    )
    bar = fig.colorbar(ScalarMappable(norm, cmap), cax=scale, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scale_format(value)))
    bar.ax.xaxis.set_major_locator(MaxNLocator(5))
    bar.ax.tick_params(labelcolor=MUTED, length=3)
    canvas.text(WIDTH_IN - 3.25, 0.135, scale_label, ha="right", va="center", color=MUTED)
    for item, place in zip(maps, places, strict=True):
        box = (
            place.left / WIDTH_IN,
            1 - (place.top + place.height) / height,
            place.width / WIDTH_IN,
            place.height / height,
        )
        _draw_one(canvas, fig.add_axes(box), item, place, cmap, norm)
    return fig


def _longest(maps: tuple[TileMap, ...], *, rows: bool) -> int:
    names = [n for m in maps for n in (m.tile.row_labels if rows else m.tile.col_labels)]
    return max((len(label(name, _LONGEST_LABEL)) for name in names), default=0)


def _cell_size(maps: tuple[TileMap, ...], left: float, below: float) -> float:
    """The largest cell, in inches, at which the tiles fill few lines of one printed page."""
    per_line = 3 if len(maps) <= 6 else 4
    lines = -(-len(maps) // per_line)
    tallest = min(3.2, (_PAGE - _SCALE_BAND) / lines - _TOP - below - _GAP)
    candidates = np.geomspace(0.4, 0.0005, 240)
    for cell in candidates:
        places, _ = _pack(maps, float(cell), left, below)
        fits = all(p.left + p.width <= WIDTH_IN - 0.1 and p.height <= tallest for p in places)
        if fits and len({p.top for p in places}) <= lines:
            return float(cell)
    return float(candidates[-1])


def _pack(
    maps: tuple[TileMap, ...], cell: float, left: float, below: float
) -> tuple[list[_Place], float]:
    """Places of the tiles, line by line, and the height of all."""
    places: list[_Place] = []
    x, y, line_height = 0.0, _SCALE_BAND, 0.0
    for item in maps:
        height, width = (max(n * cell, min(0.12 * n, 0.36)) for n in item.values.shape)
        slot = max(left + width, _SLOT)
        if x and x + slot > WIDTH_IN - 0.1:
            x, y, line_height = 0.0, y + line_height + _GAP, 0.0
        places.append(_Place(x + left, y + _TOP, width, height))
        x += slot + _GAP
        line_height = max(line_height, _TOP + height + below)
    return places, y + line_height + 0.05


def _ticks(n: int, cell: float) -> list[int]:
    """Lines that get a label: first, last and evenly between, none on top of another."""
    step = 1
    while step * cell < 0.15 and step < n:
        step *= 2
    chosen = list(range(0, n, step))
    if chosen[-1] != n - 1:
        if (n - 1 - chosen[-1]) * cell < 0.13 and len(chosen) > 1:
            chosen.pop()
        if (n - 1 - chosen[-1]) * cell >= 0.13:
            chosen.append(n - 1)
    return chosen


def _draw_one(
    canvas: Axes, ax: Axes, item: TileMap, place: _Place, cmap: Colormap, norm: Normalize
) -> None:
    rows, cols = item.values.shape
    ax.set_facecolor(_NO_VALUE)
    ax.imshow(np.ma.masked_invalid(item.values), cmap=cmap, norm=norm, aspect="auto")
    ax.spines[:].set_visible(True)
    ax.set_yticks(
        r := _ticks(rows, place.height / rows), [label(item.tile.row_labels[i], 9) for i in r]
    )
    ax.set_xticks(
        c := _ticks(cols, place.width / cols), [label(item.tile.col_labels[i], 9) for i in c]
    )
    for word in ax.get_xticklabels():  # hangs from its tick in any font
        word.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
    ax.tick_params(length=2, pad=1.5, labelsize=7.5, labelcolor=MUTED)
    if item.mark is not None:
        row, col = item.mark
        ring: dict[str, Any] = {"fillstyle": "none", "markersize": 9, "clip_on": False}
        ax.plot(col, row, "o", color="white", markeredgewidth=3, **ring)
        ax.plot(col, row, "o", color=INK, markeredgewidth=1.4, **ring)
    start = place.left - (0.12 + _CHARACTER * _longest((item,), rows=True) + _BAR)
    start = max(start, 0.0)
    canvas.text(start, place.top - 0.58, label(item.tile.name, 28), weight="bold", va="center")
    for line, fact in enumerate(item.facts[:2]):
        canvas.text(start, place.top - 0.39 + 0.18 * line, fact, color=MUTED, fontsize=8,
                    va="center")  # fmt: skip
    _drivers(canvas, start, place)
    _sense_nodes(canvas, item, place)


def _drivers(canvas: Axes, start: float, place: _Place) -> None:
    """A bar along the left edge with arrows into the word lines."""
    x, top, height = start + 0.16, place.top, place.height
    canvas.add_patch(Rectangle((x, top), 0.035, height, color=RULE, linewidth=0))
    for y in _arrows(top, height):
        canvas.plot(x + 0.075, y, ">", color=MUTED, markersize=3.5, markeredgewidth=0)
    canvas.text(x - 0.03, top + height / 2, "drivers", rotation=90, ha="right", va="center",
                color=MUTED, fontsize=7.5)  # fmt: skip


def _sense_nodes(canvas: Axes, item: TileMap, place: _Place) -> None:
    """A bar below the column labels with arrows out of the bit lines."""
    y = place.top + place.height + 0.16 + _CHARACTER * _longest((item,), rows=False)
    canvas.add_patch(Rectangle((place.left, y), place.width, 0.035, color=RULE, linewidth=0))
    for x in _arrows(place.left, place.width):
        canvas.plot(x, y - 0.035, "v", color=MUTED, markersize=3.5, markeredgewidth=0)
    canvas.text(place.left + place.width / 2, y + 0.06, "sense nodes", ha="center", va="top",
                color=MUTED, fontsize=7.5)  # fmt: skip


def _arrows(start: float, length: float) -> list[float]:
    if length < 0.6:
        return [start + length / 2]
    return [start + 0.08 + (length - 0.16) * share for share in (0.0, 0.25, 0.75, 1.0)]
