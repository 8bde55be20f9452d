"""Tiles that stack give what tiles one by one give, cut where the plan cuts them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cosim.array.layout import TileLayout
from cosim.array.reads.exact import ExactReads
from cosim.array.surroundings import Ends, TileWires
from cosim.nodal.transfer import solve_transfer
from netlists.hardware import TileSpec
from netlists.tiles import cut

LAYOUTS = [(7, 5, 3, 4), (8, 4, 4, 4), (1, 1, 4, 4), (1, 6, 4, 4), (9, 1, 4, 2)]


def layout_of(rows: int, outs: int, max_rows: int, max_cols: int) -> TileLayout:
    tiles = cut(rows, outs, TileSpec(max_rows=max_rows, max_cols=max_cols))
    edges = [sorted({edge for t in tiles for edge in pair(t)}) for pair in (_rows, _outs)]
    return TileLayout(tuple(edges[0]), tuple(edges[1]))


def _rows(tile: object) -> tuple[int, int]:
    return tile.row_start, tile.row_stop  # type: ignore[attr-defined]  # a TilePlan


def _outs(tile: object) -> tuple[int, int]:
    return tile.out_start, tile.out_stop  # type: ignore[attr-defined]  # a TilePlan


@pytest.mark.parametrize("shape", LAYOUTS)
def test_every_cell_is_where_the_plan_puts_it_and_comes_back(shape: tuple[int, ...]) -> None:
    layout = layout_of(*shape)
    rows, outs, max_rows, max_cols = shape
    planes = torch.rand(3, 2, rows, outs, dtype=torch.float64) + 1
    tiles = layout.split_cells(planes)
    assert torch.equal(layout.join_cells(tiles), planes)
    for number, tile in enumerate(cut(rows, outs, TileSpec(max_rows=max_rows, max_cols=max_cols))):
        own = planes[:, :, tile.row_start : tile.row_stop, tile.out_start : tile.out_stop]
        top = layout.tile_rows - tile.rows
        placed = tiles[:, number, top:, : tile.cols]
        assert torch.equal(placed[..., 0::2], own[:, 0])  # plus first
        assert torch.equal(placed[..., 1::2], own[:, 1])
        assert not tiles[:, number, :top].any()
        assert not tiles[:, number, :, tile.cols :].any()


@pytest.mark.parametrize("shape", LAYOUTS)
def test_stacked_tiles_read_as_tiles_one_by_one_in_both_directions(shape: tuple[int, ...]) -> None:
    layout = layout_of(*shape)
    rows, outs, max_rows, max_cols = shape
    rng = np.random.default_rng(3)
    planes = torch.from_numpy(rng.uniform(1e-6, 1e-4, (2, 2, rows, outs)))
    x = torch.from_numpy(rng.uniform(-0.2, 0.2, (2, 6, rows)))
    d = torch.from_numpy(rng.uniform(-0.2, 0.2, (2, 6, outs, 2)))
    drivers, sense, back_drivers, back_sense = (40.0, 9.0, 13.0, 70.0)
    reads = ExactReads(TileWires(3.0, 5.0), Ends(drivers, sense), Ends(back_drivers, back_sense))
    g = layout.split_cells(planes)
    forward = layout.sum_rows(reads.transfer(g).current_a(layout.split_rows(x)))
    backward = layout.sum_cols(reads.transposed(g).current_a(layout.split_cols(d)))
    wanted, wanted_back = torch.zeros(2, 6, outs, 2), torch.zeros(2, 6, rows)
    wanted, wanted_back = wanted.double(), wanted_back.double()
    for tile in cut(rows, outs, TileSpec(max_rows=max_rows, max_cols=max_cols)):
        own = slice(tile.row_start, tile.row_stop), slice(tile.out_start, tile.out_stop)
        cells = planes[:, :, own[0], own[1]].permute(0, 2, 3, 1).flatten(2)
        one = solve_transfer(
            cells, r_wordline_ohm=3.0, r_bitline_ohm=5.0, r_driver_ohm=drivers, r_sense_ohm=sense
        ).transfer_s
        wanted[:, :, own[1]] += (x[:, :, own[0]] @ one).unflatten(-1, (-1, 2))
        # Backward the same network between other ends: every driver where a sense node was.
        back = solve_transfer(
            cells,
            r_wordline_ohm=3.0,
            r_bitline_ohm=5.0,
            r_driver_ohm=back_sense,
            r_sense_ohm=back_drivers,
        ).transfer_s
        wanted_back[:, :, own[0]] += d[:, :, own[1]].flatten(2) @ back.mT
    torch.testing.assert_close(forward, wanted, rtol=1e-11, atol=1e-20)
    torch.testing.assert_close(backward, wanted_back, rtol=1e-11, atol=1e-20)


def test_backward_is_not_the_transposed_forward_where_ends_stay() -> None:
    g = torch.from_numpy(np.random.default_rng(1).uniform(1e-5, 1e-4, (1, 1, 5, 7)))
    reads = ExactReads(TileWires(2.0, 2.0), Ends(50.0, 1.0), Ends(50.0, 1.0))
    forward, backward = reads.transfer(g).transfer_s, reads.transposed(g).transfer_s
    off = float((backward.mT - forward).norm() / forward.norm())
    assert 1e-3 < off < 2e-2
