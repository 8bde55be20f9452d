"""How one weight matrix lies in the tiles of a layer: all padded to one shape, so that they stack.

A tile that is smaller than the largest one is padded above its first word line and on the right of
its last bit line: what is next to the drivers and to the sense ends stays there. Padded cells have
0 S and padded lines nothing to drive, so they carry no current. Bit lines lie in turn, plus and
minus; tiles are numbered row block by row block, as `netlists.tiles.cut` cuts them.

Several arrays that are read together are cut alike and driven alike; the tiles of the second follow
those of the first, and so do its word lines where the cells of all are one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from netlists.tiles import LayerPlan


@dataclass(frozen=True)
class TileLayout:
    """Where the cells of a matrix [row, out] are.

    Attributes:
        row_edges: first word line of every row block, and the number of all.
        out_edges: first output of every block of outputs, and the number of all.
        arrays: how many arrays are cut so.
    """

    row_edges: tuple[int, ...]
    out_edges: tuple[int, ...]
    arrays: int = 1

    @staticmethod
    def of(plan: LayerPlan) -> TileLayout:
        """The layout of a planned layer."""
        rows = {edge for tile in plan.tiles for edge in (tile.row_start, tile.row_stop)}
        outs = {edge for tile in plan.tiles for edge in (tile.out_start, tile.out_stop)}
        return TileLayout(tuple(sorted(rows)), tuple(sorted(outs)), plan.arrays)

    @cached_property
    def each(self) -> TileLayout:
        """That of one of the arrays."""
        return self if self.arrays == 1 else replace(self, arrays=1)

    @property
    def rows(self) -> int:
        """Word lines of the matrix."""
        return self.row_edges[-1]

    @property
    def outs(self) -> int:
        """Outputs of the matrix."""
        return self.out_edges[-1]

    @property
    def row_blocks(self) -> int:
        """Tiles one below the other."""
        return len(self.row_edges) - 1

    @property
    def out_blocks(self) -> int:
        """Tiles side by side."""
        return len(self.out_edges) - 1

    @property
    def tiles(self) -> int:
        """Number of tiles, of all arrays."""
        return self.arrays * self.row_blocks * self.out_blocks

    @property
    def tile_rows(self) -> int:
        """Word lines of the largest tile."""
        return max(b - a for a, b in pairwise(self.row_edges))

    @property
    def tile_outs(self) -> int:
        """Outputs of the largest tile."""
        return max(b - a for a, b in pairwise(self.out_edges))

    @property
    def tile_cols(self) -> int:
        """Bit lines of the largest tile, two per output."""
        return 2 * self.tile_outs

    @cached_property
    def blocks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The row block of every word line, and the edges of blocks of outputs."""
        sizes = np.diff(self.row_edges)
        return np.repeat(np.arange(self.row_blocks), sizes), np.array(self.out_edges)

    @cached_property
    def _row_of(self) -> torch.Tensor:
        """The word line at every place of every row block; `rows` where it is padded."""
        height = self.tile_rows
        places = [
            [self.rows] * (height - (b - a)) + list(range(a, b))
            for a, b in pairwise(self.row_edges)
        ]
        return torch.tensor(places).flatten()

    @cached_property
    def _out_of(self) -> torch.Tensor:
        """The output at every place of every block of outputs; `outs` where it is padded."""
        width = self.tile_outs
        places = [
            list(range(a, b)) + [self.outs] * (width - (b - a)) for a, b in pairwise(self.out_edges)
        ]
        return torch.tensor(places).flatten()

    @cached_property
    def _place_of_row(self) -> torch.Tensor:
        """Where every word line is among those of all row blocks."""
        return torch.nonzero(self._row_of < self.rows).flatten()

    @cached_property
    def _place_of_out(self) -> torch.Tensor:
        """Where every output is among those of all blocks of outputs."""
        return torch.nonzero(self._out_of < self.outs).flatten()

    def _spread(self, x: torch.Tensor, dim: int, index: torch.Tensor, size: int) -> torch.Tensor:
        """`x` at the places of `index` along `dim`, 0 where they are padded."""
        if len(index) == size:  # nothing is padded: places are in order
            return x
        padded = torch.cat([x, x.new_zeros(()).expand_as(x.narrow(dim, 0, 1))], dim)
        return padded.index_select(dim, index.to(x.device))

    def _gather(self, x: torch.Tensor, dim: int, index: torch.Tensor) -> torch.Tensor:
        return x if x.shape[dim] == len(index) else x.index_select(dim, index.to(x.device))

    @cached_property
    def lives(self) -> torch.Tensor:
        """Where there is a cell, [tile, row, col]."""
        return self.split_cells(torch.ones(1, 2, self.arrays * self.rows, self.outs))[0] > 0

    def split_cells(self, planes: torch.Tensor) -> torch.Tensor:
        """Tiles [chip, tile, row, col] of the cells of a matrix [chip, side, row, out].

        The word lines of several arrays follow each other: [chip, side, arrays * row, out].
        """
        if self.arrays > 1:
            one = planes.unflatten(2, (self.arrays, self.rows)).transpose(1, 2).flatten(0, 1)
            cells = self.each.split_cells(one)
            return cells.reshape(-1, self.tiles, self.tile_rows, self.tile_cols)
        chips = len(planes)
        x = self._spread(planes, 2, self._row_of, self.rows)
        x = self._spread(x, 3, self._out_of, self.outs)
        x = x.reshape(chips, 2, self.row_blocks, self.tile_rows, self.out_blocks, self.tile_outs)
        x = x.permute(0, 2, 4, 3, 5, 1)
        return x.reshape(chips, self.tiles, self.tile_rows, self.tile_cols)

    def join_cells(self, tiles: torch.Tensor) -> torch.Tensor:
        """The reverse of `split_cells`; of transfers [chip, tile, row, col] as well."""
        if self.arrays > 1:
            one = self.each.join_cells(tiles.unflatten(1, (self.arrays, -1)).flatten(0, 1))
            planes: torch.Tensor = one.unflatten(0, (-1, self.arrays)).transpose(1, 2)
            return planes.flatten(2, 3)
        chips = len(tiles)
        x = tiles.reshape(
            chips, self.row_blocks, self.out_blocks, self.tile_rows, self.tile_outs, 2
        ).permute(0, 5, 1, 3, 2, 4)
        x = x.reshape(chips, 2, self.row_blocks * self.tile_rows, self.out_blocks * self.tile_outs)
        x = self._gather(x, 2, self._place_of_row)
        return self._gather(x, 3, self._place_of_out)

    def split_rows(self, x: torch.Tensor) -> torch.Tensor:
        """[chip, batch, row] as the word lines of every tile have it, [chip, tile, batch, row]."""
        chips, batch, _ = x.shape
        x = self._spread(x, 2, self._row_of, self.rows)
        x = x.reshape(chips, batch, self.row_blocks, 1, self.tile_rows)
        x = x.expand(-1, -1, -1, self.out_blocks, -1).permute(0, 2, 3, 1, 4)
        return self._for_all(
            x.reshape(chips, self.row_blocks * self.out_blocks, batch, self.tile_rows)
        )

    def split_cols(self, x: torch.Tensor) -> torch.Tensor:
        """What drives the bit lines of every tile.

        Args:
            x: [chip, batch, out, side].

        Returns:
            [chip, tile, batch, col].
        """
        chips, batch = x.shape[:2]
        x = self._spread(x, 2, self._out_of, self.outs)
        x = x.reshape(chips, batch, 1, self.out_blocks, self.tile_cols)
        x = x.expand(-1, -1, self.row_blocks, -1, -1).permute(0, 2, 3, 1, 4)
        return self._for_all(
            x.reshape(chips, self.row_blocks * self.out_blocks, batch, self.tile_cols)
        )

    def _for_all(self, x: torch.Tensor) -> torch.Tensor:
        """What drives the tiles of one array, for those of all."""
        return x if self.arrays == 1 else x.repeat(1, self.arrays, 1, 1)

    def _all_together(self, x: torch.Tensor) -> torch.Tensor:
        """The sum over arrays of what their tiles give, [chip, tile, batch, line]."""
        return x if self.arrays == 1 else x.unflatten(1, (self.arrays, -1)).sum(1)

    def sum_rows(self, x: torch.Tensor) -> torch.Tensor:
        """[chip, tile, batch, col] over tiles one below the other, [chip, batch, out, side]."""
        chips, _, batch, _ = x.shape
        x = self._all_together(x)
        x = x.reshape(chips, self.row_blocks, self.out_blocks, batch, self.tile_outs, 2).sum(1)
        x = x.permute(0, 2, 1, 3, 4).reshape(chips, batch, self.out_blocks * self.tile_outs, 2)
        return self._gather(x, 2, self._place_of_out)

    def sum_pairs(self, volts: torch.Tensor) -> torch.Tensor:
        """Of amplifiers that invert: minus less plus over all tiles, [chip, batch, out]."""
        sums = self.sum_rows(volts)
        return sums[..., 1] - sums[..., 0]

    def sum_cols(self, x: torch.Tensor) -> torch.Tensor:
        """[chip, tile, batch, row] summed over tiles side by side, [chip, batch, row]."""
        chips, _, batch, _ = x.shape
        x = self._all_together(x)
        x = x.reshape(chips, self.row_blocks, self.out_blocks, batch, self.tile_rows).sum(2)
        x = x.permute(0, 2, 1, 3).reshape(chips, batch, self.row_blocks * self.tile_rows)
        return self._gather(x, 2, self._place_of_row)

    def col_blocks_of(self, x: torch.Tensor) -> torch.Tensor:
        """[chip, tile, batch, col] without blocks of outputs, [chip, row block, side, batch, out].

        Sums over word lines end with the row block; bit lines side by side are none of another's.
        The row blocks of several arrays follow each other.
        """
        chips, _, batch, _ = x.shape
        blocks = self.arrays * self.row_blocks
        x = x.reshape(chips, blocks, self.out_blocks, batch, self.tile_outs, 2)
        x = x.permute(0, 1, 5, 3, 2, 4).reshape(
            chips, blocks, 2, batch, self.out_blocks * self.tile_outs
        )
        return self._gather(x, 4, self._place_of_out)

    def row_blocks_of(self, x: torch.Tensor) -> torch.Tensor:
        """[chip, tile, batch, row] without row blocks, [chip, block of outputs, batch, row].

        The blocks of outputs of several arrays follow each other.
        """
        chips, _, batch, _ = x.shape
        x = x.reshape(chips * self.arrays, self.row_blocks, self.out_blocks, batch, self.tile_rows)
        x = x.permute(0, 2, 3, 1, 4).reshape(
            chips, self.arrays * self.out_blocks, batch, self.row_blocks * self.tile_rows
        )
        return self._gather(x, 3, self._place_of_row)

    def live(self, tile: int) -> tuple[slice, slice]:
        """Where a tile's own cells are in its padded rows and columns."""
        above, right = divmod(tile % (self.row_blocks * self.out_blocks), self.out_blocks)
        rows = self.row_edges[above + 1] - self.row_edges[above]
        outs = self.out_edges[right + 1] - self.out_edges[right]
        return slice(self.tile_rows - rows, self.tile_rows), slice(0, 2 * outs)

    @cached_property
    def live_cols(self) -> torch.Tensor | None:
        """Where tiles have bit lines and are not only padded, [tile, col]; None for everywhere."""
        live = self.lives.any(-2)
        return None if bool(live.all()) else live

    @cached_property
    def bit_lines(self) -> torch.Tensor:
        """Numbers of the bit lines of all tiles, [tile, col]; 0 where they are only padded."""
        live = torch.ones(self.tiles, self.tile_cols, dtype=torch.bool)
        if self.live_cols is not None:
            live = self.live_cols
        return (live.flatten().cumsum(0).reshape(live.shape) - 1).masked_fill(~live, 0)

    def stack_cells(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """[tile] -> [row, col] as [tile, row, col], padded with 0."""
        stacked = values[0].new_zeros(self.tiles, self.tile_rows, self.tile_cols)
        for number, one in enumerate(values):
            stacked[number][self.live(number)] = one
        return stacked

    def cut_cells(self, stacked: torch.Tensor) -> list[torch.Tensor]:
        """The reverse of `stack_cells`, without a copy."""
        return [one[self.live(number)] for number, one in enumerate(stacked)]

    def stack_rows(self, values: list[torch.Tensor], *, filled: float) -> torch.Tensor:
        """[tile][row] as [tile, row], padded with `filled`."""
        height = self.tile_rows
        return torch.stack(
            [torch.nn.functional.pad(x, (height - len(x), 0), value=filled) for x in values]
        )

    def stack_cols(self, values: list[torch.Tensor], *, filled: float) -> torch.Tensor:
        """[tile][col] as [tile, col], padded with `filled`."""
        width = self.tile_cols
        return torch.stack(
            [torch.nn.functional.pad(x, (0, width - len(x)), value=filled) for x in values]
        )
