"""Tiles by the closed form of the wires, each anchored on its exact solution where it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch

from cosim.array.layout import TileLayout
from cosim.array.reads.anchored_tile import AnchoredTile
from cosim.array.surroundings import TileTransfer
from cosim.surrogate.wires import ERROR_WITHIN, MUCH, WireModel, warn_outside


class SurrogateReads:
    """The closed form for the stacked tiles of a layer.

    Outside the region of its closed form it warns, once for each tile, unless the tile is anchored
    or watched: compared with the exact solution by whoever uses it (`cosim.network.watch`).

    Args:
        wires: the closed form; its sense resistances are [tile, col] or [chip, tile, col].
        held_v: what amplifiers hold bit lines at, likewise.
        tiles: their names, for warnings.
        anchored: tiles that are anchored on their exact solution.
        watched: somebody compares the currents with the exact ones.
    """

    name = "surrogate"

    def __init__(
        self,
        wires: WireModel,
        held_v: torch.Tensor,
        tiles: Sequence[str],
        *,
        anchored: Mapping[int, AnchoredTile] | None = None,
        watched: bool = False,
    ) -> None:
        self.wires, self.held_v, self.tiles = wires, held_v, tuple(tiles)
        self.anchored = dict(anchored or {})
        self.watched = watched
        self._warned: set[int] = set()

    @property
    def estimate(self) -> float:
        """Of the error of a transfer (Frobenius, relative), where it does not warn."""
        anchored = max((one.estimate for one in self.anchored.values()), default=0.0)
        return anchored if len(self.anchored) == len(self.tiles) else max(anchored, ERROR_WITHIN)

    def as_watched(self, anchored: Mapping[int, AnchoredTile] | None = None) -> SurrogateReads:
        """The same, whose user compares it with the exact solution or has said that he cannot.

        Args:
            anchored: tiles that are anchored; None for those that are.
        """
        tiles = self.anchored if anchored is None else anchored
        return SurrogateReads(self.wires, self.held_v, self.tiles, anchored=tiles, watched=True)

    def of_tile(self, tile: int) -> tuple[WireModel, torch.Tensor]:
        """The closed form of one tile, [row, col], and what its bit lines are held at, [col].

        Raises:
            ValueError: there are several chips.
        """
        wires, held = self._of_tiles([tile])
        if held.shape[:-1].numel() != 1:
            raise ValueError("one tile of one chip, and there are several")
        wires = wires.with_sense(wires.bit.sense_ohm.flatten())
        live = wires.word.live
        return (wires if live is None else wires.with_live(live.flatten())), held.flatten()

    def _of_tiles(self, tiles: Sequence[int]) -> tuple[WireModel, torch.Tensor]:
        """The closed form of some tiles, and what their bit lines are held at."""
        index = torch.tensor(tiles, dtype=torch.int64, device=self.held_v.device)
        wires = self.wires.with_sense(self.wires.bit.sense_ohm.index_select(-2, index))
        live = self.wires.word.live
        if live is not None:
            wires = wires.with_live(live.squeeze(-2).index_select(-2, index))
        return wires, self.held_v.index_select(-2, index)

    @cached_property
    def _closed(self) -> tuple[list[int], WireModel, torch.Tensor]:
        """The tiles that are not anchored, with their closed form."""
        tiles = [tile for tile in range(len(self.tiles)) if tile not in self.anchored]
        return (tiles, *(self._of_tiles(tiles) if self.anchored else (self.wires, self.held_v)))

    def transfer(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From word lines to bit lines, for [chip, tile, row, col]; differentiable.

        Raises:
            ValueError: tiles are anchored, and there are several chips.
        """
        tiles, wires, held_v = self._closed
        if not self.anchored:
            return self._closed_form(conductance_s, tiles, wires, held_v)
        (cells,) = conductance_s  # of one chip
        parts = [one.transfer(cells[tile]) for tile, one in self.anchored.items()]
        transfer = torch.stack([one.transfer_s for one in parts]).unsqueeze(0)
        held = torch.stack([one.at_rest_a for one in parts]).unsqueeze(0)
        if tiles:
            closed = self._closed_form(conductance_s[:, tiles], tiles, wires, held_v)
            transfer = torch.cat([transfer, closed.transfer_s], 1)
            held = torch.cat([held, closed.at_rest_a], 1)
        order = torch.tensor([*self.anchored, *tiles], device=cells.device).argsort()
        return TileTransfer(transfer[:, order], held[:, order])

    def _closed_form(
        self,
        conductance_s: torch.Tensor,
        tiles: Sequence[int],
        wires: WireModel,
        held_v: torch.Tensor,
    ) -> TileTransfer:
        transfer, held, word, bit = wires.with_held(conductance_s, held_v)
        if not self.watched and len(self._warned) < len(self.tiles):
            self._warn(conductance_s, tiles, (word + bit).amax((-2, -1)))
        return TileTransfer(transfer, held)

    def _warn(self, conductance_s: torch.Tensor, tiles: Sequence[int], taken: torch.Tensor) -> None:
        """Warns of tiles outside the region; `taken` is the most of a cell's, [..., tile]."""
        worst = taken.reshape(-1, len(tiles)).amax(0)
        for place, tile in enumerate(tiles):
            if tile in self._warned or float(worst[place]) <= MUCH:
                continue
            wires, _ = self._of_tiles([tile])
            outside = wires.outside(conductance_s.detach()[..., place : place + 1, :, :])
            if outside:
                self._warned.add(tile)
                warn_outside(outside, self.tiles[tile])


def stacked_wires(wires: WireModel, layout: TileLayout, sense_ohm: torch.Tensor) -> WireModel:
    """The closed form of a layer's largest tile for all of them.

    Args:
        wires: of the largest tile.
        layout: the tiles.
        sense_ohm: in series at the sense nodes, [tile, col] or [chip, tile, col].
    """
    stacked = wires.with_sense(sense_ohm)
    live = layout.live_cols
    return stacked if live is None else stacked.with_live(live)
