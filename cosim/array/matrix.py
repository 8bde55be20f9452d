"""The matrix that an array is to its periphery, kept cheaply while cells move by single pulses.

Where amplifiers are straight, the sum over tiles and the difference of a pair make one matrix of
all the transfers: current of an output's pair per volt on a word line. Between two computations of
the transfers a cell's own share of it is taken to go with its conductance, T = (T / G) G, which
costs one pass over the cells. By how much that is off is measured whenever the transfers are
computed again, as a rate per movement of the cells, tile by tile; where movement times rate passes
the tolerance they are computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch

from cosim.array.layout import TileLayout
from cosim.array.movement import squared_changes
from cosim.array.paired_cells import PairedCells
from cosim.array.surroundings import TileTransfer

# The first rate: of the loss of the current, nothing being measured yet. What is measured counts
# twice; an older, larger rate counts that much of itself at each new measurement.
_FIRST, _LATER, _FORGETS = 2.0, 2.0, 0.7


@dataclass(eq=False)
class _Base:
    """The matrix and the cells at the last computation of the transfers.

    The matrix elsewhere is `of_w * w[plus] - of_w[minus] * w[minus] + rest`.
    """

    w: torch.Tensor  # [chip, side, row, out]
    share: torch.Tensor  # of a cell's conductance that its transfer is, [chip, side, row, out]
    left: torch.Tensor | None  # the transfer of cells that do not conduct, likewise; None for none
    of_w: torch.Tensor  # current per volt and weight, [chip, side, row, out]
    rest: torch.Tensor  # [chip, row, out]
    held_a: torch.Tensor | None  # current where nothing is driven, [chip, tile, line]
    sums: torch.Tensor  # of the transfers to every line, [chip, tile, line]
    size: torch.Tensor  # of the conductances, Frobenius, [chip, tile]
    rate: torch.Tensor  # error of a tile's transfer per movement, both relative, [chip, tile]
    exact: bool  # the transfer is the conductance, wherever cells move


@dataclass(eq=False)
class PairMatrix:
    """The matrix of one direction.

    Attributes:
        tolerance: largest error of a tile's transfer by moved cells (Frobenius, relative).
        refreshes: how often the transfers have been computed.
        estimate: of the error of the last matrix, worst tile.
    """

    layout: TileLayout
    cells: PairedCells
    tolerance: float
    refreshes: int = 0
    estimate: float = 0.0
    _base: _Base | None = field(default=None, repr=False)

    def forget(self) -> None:
        """Drops the last computation."""
        self._base = None

    @cached_property
    def _blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Which word lines and which outputs are in which block, [block, line] each."""
        return _indicator(self.layout.row_edges), _indicator(self.layout.out_edges)

    def moved_to(self, w: torch.Tensor) -> torch.Tensor | None:
        """The matrix [chip, row, out] at weights near the last ones.

        None where it may be off by more than the tolerance, or nothing has been computed.
        """
        base = self._near(w)
        return None if base is None else _at(base, w, self.cells.moving)

    def tiles_moved_to(
        self, w: torch.Tensor, conductance_s: torch.Tensor, *, turned: bool
    ) -> TileTransfer | None:
        """The same tile by tile, what amplifiers one by one see.

        Args:
            w: weights of the cells, [chip, side, row, out].
            conductance_s: their conductances, likewise.
            turned: of a backward read.
        """
        base = self._near(w)
        if base is None:
            return None
        planes = base.share * conductance_s
        tiles = self.layout.split_cells(planes if base.left is None else planes + base.left)
        tiles = tiles.mT if turned else tiles
        if base.held_a is None:
            return TileTransfer(tiles)
        # What a held line drives back goes with what it would sense of all driven lines together:
        # the same where all voltages are alike, by reciprocity.
        change = torch.where(base.sums > 0, tiles.sum(-2) / base.sums, 1.0)
        return TileTransfer(tiles, base.held_a * change)

    def _near(self, w: torch.Tensor) -> _Base | None:
        base = self._base
        if base is None or base.w.dtype != w.dtype:
            return None
        if base.exact:
            return base
        self.estimate = float((base.rate * self._movement(base, w)).amax())
        return base if self.estimate <= self.tolerance else None

    def computed(
        self, w: torch.Tensor, conductance_s: torch.Tensor, transfer: TileTransfer, *, turned: bool
    ) -> torch.Tensor:
        """Takes transfers of the cells as they are, and gives their matrix [chip, row, out].

        Args:
            w: weights of the cells, [chip, side, row, out].
            conductance_s: their conductances, likewise.
            transfer: [chip, tile, row, col], or [chip, tile, col, row] where it is `turned`.
            turned: it is that of a backward read.
        """
        layout = self.layout
        tiles = transfer.transfer_s.mT if turned else transfer.transfer_s
        planes = layout.join_cells(tiles)
        before, size = self._base, self._by_tile(conductance_s.square()).sqrt()
        total = self._by_tile(planes.square()).sqrt().clamp_min(torch.finfo(w.dtype).tiny)
        if before is None or before.w.dtype != w.dtype:
            rate = _FIRST * self._by_tile((planes - conductance_s).square()).sqrt() / total
        else:
            moved = self._movement(before, w)
            # Cell by cell, not of the pair: what is off in both cells of a pair would cancel.
            expected = before.share * conductance_s
            expected = expected if before.left is None else expected + before.left
            off = self._by_tile((expected - planes).square()).sqrt()
            seen = _LATER * (off / total) / moved.clamp_min(1e-9)
            rate = torch.maximum(torch.where(moved > 0, seen, 0.0), _FORGETS * before.rate)
        share = torch.where(conductance_s > 0, planes / conductance_s, 0.0)
        left = planes - share * conductance_s if bool((conductance_s == 0).any()) else None
        of_w = share * self.cells.slope_s
        matrix = planes[:, 0] - planes[:, 1]
        rest = matrix - of_w[:, 0] * w[:, 0]
        if len(self.cells.moving) > 1:
            rest = rest + of_w[:, 1] * w[:, 1]
        held, sums = transfer.held_a, transfer.transfer_s.sum(-2)
        exact = transfer.held_a is None and not bool(rate.any())
        self._base = _Base(w.clone(), share, left, of_w, rest, held, sums, size, rate, exact)
        self.refreshes += 1
        self.estimate = 0.0
        return matrix

    def _movement(self, base: _Base, w: torch.Tensor) -> torch.Tensor:
        """By how much the cells of every tile have moved, relative, [chip, tile]."""
        sides = len(self.cells.moving)  # 0, or 0 and 1
        squares = squared_changes(self.layout, w[:, :sides], base.w[:, :sides])
        return self.cells.slope_s * squares.sqrt() / base.size

    def _by_tile(self, planes: torch.Tensor) -> torch.Tensor:
        """Sums over the cells of every tile, [chip, side, row, out] -> [chip, tile]."""
        rows, outs = (one.to(planes) for one in self._blocks)
        return (rows @ planes.sum(1) @ outs.mT).flatten(1)


def _at(base: _Base, w: torch.Tensor, sides: tuple[int, ...]) -> torch.Tensor:
    matrix = torch.addcmul(base.rest, base.of_w[:, 0], w[:, 0])
    return matrix if len(sides) == 1 else matrix.addcmul_(base.of_w[:, 1], w[:, 1], value=-1.0)


def _indicator(edges: tuple[int, ...]) -> torch.Tensor:
    lines = torch.arange(edges[-1])
    first, last = (torch.tensor(one)[:, None] for one in (edges[:-1], edges[1:]))
    return ((lines >= first) & (lines < last)).to(torch.float64)
