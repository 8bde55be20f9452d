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
    sign: float,
    out_edges: NDArray[np.int64],
    squares: NDArray[np.float64],
    added: NDArray[np.float64],
) -> None:
    """Brings some rows of `now` to `start` + `sign` `of_w` (`w` - `before`), [row, out] each.

    Args:
        rows: which, [row].
        now: changed.
        start: likewise [row, out]; may be `now`.
        of_w: likewise.
        w: likewise.
        before: likewise.
        sign: 1 or -1.
        out_edges: of blocks of outputs.
        squares: sums of squares of the changes of w, [row, block], changed in these rows.
        added: sums of `of_w` times changes, likewise.
    """
    factor = now.dtype.type(sign)
    for row in range(now.shape[0]):
        if not rows[row]:
            continue
        for block in range(len(out_edges) - 1):
            total = more = 0.0
            for out in range(out_edges[block], out_edges[block + 1]):
                change = w[row, out] - before[row, out]
                grown = of_w[row, out] * change
                now[row, out] = start[row, out] + factor * grown
                total += change * change
                more += grown
            squares[row, block] = total
            added[row, block] = more


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
