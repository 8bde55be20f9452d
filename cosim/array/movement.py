"""By how much the cells of every tile have moved: one pass over the cells of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.pulses.jit import loop


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
