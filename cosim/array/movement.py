"""By how much the cells of every tile have moved: one pass over the cells of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.pulses.jit import loop, sums


@loop
def _squares(
    now: NDArray[Any],
    before: NDArray[Any],
    row_block: NDArray[np.int64],
    out_edges: NDArray[np.int64],
    found: NDArray[np.float64],
) -> None:
    """Adds squares of changes of [row, out], tile by tile, to [row block, out block]."""
    for row in range(now.shape[0]):
        for block in range(len(out_edges) - 1):
            total = now[row, 0] - now[row, 0]  # of the cells' precision, and NaN where one is
            for out in range(out_edges[block], out_edges[block + 1]):
                change = now[row, out] - before[row, out]
                total += change * change
            found[row_block[row], block] += total


@sums
def follow_rows(
    rows: NDArray[np.bool_],
    now: NDArray[Any],
    start: NDArray[Any],
    of_w: NDArray[Any],
    w: NDArray[Any],
    before: NDArray[Any],
    moving: int,
    row_block: NDArray[np.int64],
    out_edges: NDArray[np.int64],
    rate: NDArray[np.float64],
    squares: NDArray[np.float64],
    added: NDArray[np.float64],
) -> float:
    """Brings some rows of one chip to `start` + `of_w` (`w` - `before`), and says how far they are.

    Args:
        rows: which, [row]; set to none.
        now: changed, [side, row, out]; [1, row, out] for plus less minus.
        start: likewise.
        of_w: [side, row, out].
        w: likewise.
        before: likewise.
        moving: sides that move: 1 for plus alone, or 2.
        row_block: of every row.
        out_edges: of blocks of outputs.
        rate: of the error of a tile by the root of the squares, [row block, block].
        squares: of the changes of w, summed, [side, row, block], changed in these rows.
        added: sums of `of_w` times changes, likewise.

    Returns:
        The largest of the tiles' errors; not a number where one is none.
    """
    for row in range(now.shape[1]):
        if not rows[row]:
            continue
        rows[row] = False
        for side in range(moving):
            takes = side == 1 and now.shape[0] == 1
            plane = 0 if takes else side
            for block in range(len(out_edges) - 1):
                total = more = 0.0
                if takes:
                    for out in range(out_edges[block], out_edges[block + 1]):
                        change = w[side, row, out] - before[side, row, out]
                        grown = of_w[side, row, out] * change
                        now[plane, row, out] -= grown
                        total += change * change
                        more += grown
                else:
                    for out in range(out_edges[block], out_edges[block + 1]):
                        change = w[side, row, out] - before[side, row, out]
                        grown = of_w[side, row, out] * change
                        now[plane, row, out] = start[plane, row, out] + grown
                        total += change * change
                        more += grown
                squares[side, row, block] = total
                added[side, row, block] = more
    moved = np.zeros(rate.shape)
    for side in range(moving):
        for row in range(now.shape[1]):
            for block in range(rate.shape[1]):
                moved[row_block[row], block] += squares[side, row, block]
    worst = 0.0
    for above in range(rate.shape[0]):
        for block in range(rate.shape[1]):
            error = rate[above, block] * np.sqrt(moved[above, block])
            if not error <= worst:
                worst = error
                if error != error:
                    return float(error)
    return worst


def squared_changes(layout: TileLayout, now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Sums of squares of what every tile's cells have moved, float64 [chip, tile].

    Args:
        layout: the tiles.
        now: weights of cells [chip, side, row, out], on the host.
        before: likewise.
    """
    row_block, out_edges = layout.blocks
    found = np.zeros((len(now), layout.row_blocks, layout.out_blocks))
    for chip in range(len(now)):
        for side in range(now.shape[1]):
            _squares(
                now[chip, side].numpy(), before[chip, side].numpy(), row_block, out_edges,
                found[chip],
            )  # fmt: skip
    return torch.from_numpy(found).flatten(1)
