"""The matrix that an array is to its periphery, kept cheaply while cells move by single pulses.

Where amplifiers are straight, the sum over tiles and the difference of a pair make one matrix of
all the transfers: current of an output's pair per volt on a word line. Between two computations of
the transfers a cell's own share of it is taken to go with its conductance, T = (T / G) G, which
costs one pass over the cells. By how much that is off is measured whenever the transfers are
computed again, as a rate per movement of the cells, tile by tile; where movement times rate passes
the tolerance they are computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from cosim.array.movement import follow_rows, squared_changes
from cosim.array.paired_cells import PairedCells
from cosim.array.surroundings import TileTransfer

# The first rate: of the loss of the current, nothing being measured yet. What is measured counts
# twice; an older, larger rate counts that much of itself at each new measurement.
_FIRST, _LATER, _FORGETS = 2.0, 2.0, 0.7
# Of the rms conductance: what the transfer of such a cell is off by is not small beside itself.
_WEAK = 1e-5


@dataclass(frozen=True, eq=False)
class _Base:
    """The cells at the last computation of the transfers, and these.

    A transfer elsewhere is `planes + of_w (w - w there)`.
    """

    turned: bool  # of a backward read
    w: torch.Tensor  # [chip, side, row, out]
    of_w: torch.Tensor  # current per volt and weight, [chip, side, row, out]
    planes: torch.Tensor  # the transfers, likewise
    held_a: torch.Tensor | None  # current where nothing is driven, [chip, tile, line]
    sums: torch.Tensor  # of the transfers to every line, [chip, tile, line]
    size: torch.Tensor  # of the conductances, Frobenius, [chip, tile]
    rate_of_w: NDArray[np.float64]  # `rate` by weights, [chip, row block, block of outputs]
    rate: torch.Tensor  # error of a tile's transfer per movement, both relative, [chip, tile]
    exact: bool  # the transfer is the conductance, wherever cells move

    @cached_property
    def on_host(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """`of_w` and `w` as loops take them."""
        return self.of_w.numpy(), self.w.numpy()


@dataclass(frozen=True, eq=False)
class _Followed:
    """Values that go with the cells, brought up to date where word lines had pulses.

    Attributes:
        now: [chip, plane, row, out]: transfers of both sides, or their difference alone.
        start: these at the base.
        rows: word lines whose cells may have moved since, [chip, row].
        squares: of what weights have moved, by side and block of outputs, [chip, side, row, block].
        added: sums of what transfers have grown by, likewise.
        held_a: see `Blocks`.
        row_edges: of the layout.
    """

    now: torch.Tensor
    start: NDArray[Any]
    rows: NDArray[np.bool_]
    squares: NDArray[np.float64]
    added: NDArray[np.float64]
    held_a: Held | None
    row_edges: tuple[int, ...]

    @cached_property
    def forward(self) -> Blocks:
        """Of planes: they change in place."""
        parts = [[one[:, a:b] for a, b in pairwise(self.row_edges)] for one in self.now]
        return Blocks(self.now, self.held_a, row_parts=parts)

    def __getstate__(self) -> dict[str, Any]:
        """Of `pickle` and `copy`: without views, which would be no views of the copy."""
        return {key: value for key, value in self.__dict__.items() if key != "forward"}


@dataclass(frozen=True, eq=False)
class Blocks:
    """The transfers of a layer without their tiles.

    Attributes:
        transfer_s: [chip, side, row, out] forward; backward plus less minus, [chip, row, out].
        held_a: what lines drive back, [chip, row block, side, 1, out], backward
            [chip, block of outputs, 1, row]; None for nothing.
        now_s: sums of the transfers to every line, backward; forward a read knows them.
        row_parts: forward: views of the row blocks of every chip, [side, row, out] each.
    """

    transfer_s: torch.Tensor
    held_a: Held | None
    now_s: torch.Tensor | None = None
    row_parts: Sequence[Sequence[torch.Tensor]] = ()


@dataclass(frozen=True, eq=False)
class Held:
    """What lines drive back that are held off ground.

    It goes with what a line would sense of all driven lines together: the same where all voltages
    are alike, by reciprocity.

    Attributes:
        per_s: of a sum of 1 S; 0 where lines sense nothing.
        fixed_a: what does not go with it.
        sums_s: as they were.
    """

    per_s: torch.Tensor
    fixed_a: torch.Tensor
    sums_s: torch.Tensor

    @staticmethod
    def of(held_a: torch.Tensor, sums_s: torch.Tensor) -> Held:
        """From the current where nothing is driven, and the sums there."""
        senses = sums_s > 0
        per_s = torch.where(senses, held_a / sums_s, 0.0)
        return Held(per_s, torch.where(senses, 0.0, held_a), sums_s)

    def at(self, sums_s: torch.Tensor) -> torch.Tensor:
        """At other sums of the transfers to every line."""
        return torch.addcmul(self.fixed_a, self.per_s, sums_s)


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
    _followed: dict[str, _Followed] = field(default_factory=dict, repr=False)

    def forget(self) -> None:
        """Drops the last computation."""
        self._base = None
        self._followed = {}

    def touched(self, rows: Sequence[NDArray[np.bool_]] | None) -> None:
        """Cells may have moved: on these word lines of every chip, [chip][row]; None for all."""
        for one in self._followed.values():
            if rows is None:
                one.rows[:] = True
            else:
                for own, more in zip(one.rows, rows, strict=True):
                    own |= more

    @cached_property
    def _blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Which word lines and which outputs are in which block, [block, line] each."""
        return _indicator(self.layout.row_edges), _indicator(self.layout.out_edges)

    def moved_to(self, w: torch.Tensor) -> torch.Tensor | None:
        """The matrix [chip, row, out] at weights near the last ones; it changes with the cells.

        None where it may be off by more than the tolerance, or nothing has been computed.
        """
        found = self._near(w, "pairs")
        return None if found is None else found.now[:, 0]

    def blocks_moved_to(self, w: torch.Tensor, *, turned: bool) -> Blocks | None:
        """The same for amplifiers tile by tile: sums end with row blocks or blocks of outputs.

        Args:
            w: weights of the cells, [chip, side, row, out].
            turned: of a backward read.
        """
        found = self._near(w, "pairs" if turned else "planes")
        if found is None:
            return None
        if not turned:
            return found.forward
        if found.held_a is None:
            return Blocks(found.now[:, 0], None)
        added = torch.from_numpy(found.added.sum(1)).to(w).movedim(-1, 1).unsqueeze(-2)
        return Blocks(found.now[:, 0], found.held_a, found.held_a.sums_s + added)

    def tiles_moved_to(self, w: torch.Tensor, *, turned: bool) -> TileTransfer | None:
        """The same tile by tile, for drivers that differ from one to the next.

        Args:
            w: weights of the cells, [chip, side, row, out].
            turned: of a backward read.
        """
        found, base = self._near(w, "planes"), self._base
        if found is None or base is None:
            return None
        tiles = self.layout.split_cells(found.now)
        tiles = tiles.mT if turned else tiles
        if base.held_a is None:
            return TileTransfer(tiles)
        # What a held line drives back goes with what it would sense of all driven lines together:
        # the same where all voltages are alike, by reciprocity.
        change = torch.where(base.sums > 0, tiles.sum(-2) / base.sums, 1.0)
        return TileTransfer(tiles, base.held_a * change)

    def _near(self, w: torch.Tensor, what: str) -> _Followed | None:
        """Values at weights near the last ones."""
        base = self._base
        if base is None or base.w.dtype != w.dtype:
            return None
        found = self._followed.get(what)
        if found is None:
            found = self._begun(base, what)
            self._followed[what] = found
        of_w, before = base.on_host
        row_block, out_edges = self.layout.blocks
        now, weights, moving = found.now.numpy(), w.numpy(), len(self.cells.moving)
        errors = [
            follow_rows(
                found.rows[chip], now[chip], found.start[chip], of_w[chip], weights[chip],
                before[chip], moving, row_block, out_edges, base.rate_of_w[chip],
                found.squares[chip], found.added[chip],
            )
            for chip in range(len(now))
        ]  # fmt: skip
        if base.exact:
            return found
        self.estimate = errors[0] if len(errors) == 1 else float(np.max(errors))
        return found if self.estimate <= self.tolerance else None

    def _begun(self, base: _Base, what: str) -> _Followed:
        planes, layout = base.planes, self.layout
        start = planes if what == "planes" else planes[:, :1] - planes[:, 1:]
        chips, _, rows, _ = planes.shape
        squares = np.zeros((chips, len(self.cells.moving), rows, layout.out_blocks))
        every = np.ones((chips, rows), np.bool_)
        arranged = layout.row_blocks_of if base.turned else layout.col_blocks_of
        held = None
        if base.held_a is not None:
            held = Held.of(*(arranged(one.unsqueeze(-2)) for one in (base.held_a, base.sums)))
        now = start.clone()
        return _Followed(
            now, start.contiguous().numpy(), every, squares, np.zeros_like(squares), held,
            layout.row_edges,
        )  # fmt: skip

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
            expected = before.planes + before.of_w * (w - before.w)
            off = self._by_tile((expected - planes).square()).sqrt()
            seen = _LATER * (off / total) / moved.clamp_min(1e-9)
            rate = torch.maximum(torch.where(moved > 0, seen, 0.0), _FORGETS * before.rate)
        share = torch.where(conductance_s > 0, planes / conductance_s, 0.0)
        weak = conductance_s <= _WEAK * conductance_s.square().mean((1, 2, 3), keepdim=True).sqrt()
        if bool(weak.any()):
            known = layout.split_cells((~weak).to(share))
            share = layout.join_cells(_of_neighbours(layout.split_cells(share), known))
        held, sums = transfer.held_a, transfer.transfer_s.sum(-2)
        exact = transfer.held_a is None and not bool(rate.any())
        of_w = share * self.cells.slope_s
        shape = (len(w), layout.row_blocks, layout.out_blocks)
        rate_of_w = (self.cells.slope_s * rate.double() / size.double()).view(shape).numpy()
        self._base = _Base(
            turned, w.clone(), of_w, planes, held, sums, size, rate_of_w, rate, exact
        )
        self._followed = {}
        self.refreshes += 1
        self.estimate = 0.0
        return planes[:, 0] - planes[:, 1]

    def _movement(self, base: _Base, w: torch.Tensor) -> torch.Tensor:
        """By how much the cells of every tile have moved, relative, [chip, tile]."""
        sides = len(self.cells.moving)  # 0, or 0 and 1
        squares = squared_changes(self.layout, w[:, :sides], base.w[:, :sides])
        return self.cells.slope_s * squares.sqrt() / base.size

    def _by_tile(self, planes: torch.Tensor) -> torch.Tensor:
        """Sums over the cells of every tile, [chip, side, row, out] -> [chip, tile]."""
        rows, outs = (one.to(planes) for one in self._blocks)
        return (rows @ planes.sum(1) @ outs.mT).flatten(1)


def _of_neighbours(share: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """What a cell that hardly conducts would let through if it did, by its row and its column.

    A transfer is nearly the conductance times what its word line and its bit line let through.

    Args:
        share: of the conductance, [..., row, col] of a tile.
        known: 1 for cells whose own says it, 0 for others, likewise.
    """
    share = torch.where(known > 0, share, 0.0)
    whole = share.sum((-2, -1), keepdim=True) / known.sum((-2, -1), keepdim=True)
    whole = torch.where(whole > 0, whole, 1.0)  # 0 / 0: nothing in the tile conducts
    row, col = (
        torch.where(many > 0, total / many, whole)
        for total, many in (
            (one.sum(along, keepdim=True) for one in (share, known)) for along in (-1, -2)
        )
    )
    return torch.where(known > 0, share, row * col / whole)


def _indicator(edges: tuple[int, ...]) -> torch.Tensor:
    lines = torch.arange(edges[-1])
    first, last = (torch.tensor(one)[:, None] for one in (edges[:-1], edges[1:]))
    return ((lines >= first) & (lines < last)).to(torch.float64)
