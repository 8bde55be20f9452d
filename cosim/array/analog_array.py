"""The analog array: one weight matrix in cells that are read, read backward and written.

It owns the state of the cells and a version that every change moves on; what is computed from the
state, a transfer above all, is kept with the version it belongs to. Who computes a read or an
update is given to it (`cosim.array.reads`, `cosim.array.updates`). It knows no learning rate and no
algorithm.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import Draw, Stream
from cosim.array.failed import ReadFailedError
from cosim.array.layout import TileLayout
from cosim.array.matrix import Blocks, PairMatrix
from cosim.array.paired_cells import PairedCells
from cosim.array.protocols import Moved, Reads, SimulatedReads, Updates
from cosim.array.reads.spice import VectorsRead
from cosim.array.surroundings import TileTransfer
from cosim.ngspice import Outcome
from cosim.pulses.trains import PulseTrains


@dataclass(frozen=True, eq=False)
class Probe:
    """The state of an array, for diagnosis; no algorithm looks at it.

    Attributes:
        w: weights of the cells in their own units, [chip, side, row, out].
        conductance_s: of the cells, likewise.
        steps: that every cell has been asked for, likewise.
        at_bound: share of moving cells that are at one of their bounds.
        version: how often the state has changed.
    """

    w: torch.Tensor
    conductance_s: torch.Tensor
    steps: torch.Tensor
    at_bound: float
    version: int


class AnalogArray(nn.Module):
    """One weight matrix [row, out] on one or many chips.

    The weight of a pair is `unit` times the difference of its cells' weights.

    Args:
        layout: how the matrix lies in tiles.
        cells: what the cells are.
        reads: who computes reads.
        updates: who computes updates.
        chips: how many.
        unit: the logical weight that a cell's weight of 1 stands for.
        dtype: of the state.

    Raises:
        InputError: a precision that cells do not have.

    Attributes:
        chips: how many chips have this matrix.
        w: weights of the cells in their own units, a buffer [chip, side, row, out]; side 0 is plus.
        steps: that every cell has been asked for by pulses, a buffer likewise.
        version: moved on by everything that changes the state.
    """

    w: torch.Tensor
    steps: torch.Tensor

    def __init__(
        self,
        layout: TileLayout,
        cells: PairedCells,
        reads: Reads | SimulatedReads,
        updates: Updates[Any],
        *,
        chips: int = 1,
        unit: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        _check_precision(dtype)
        self.layout = layout
        self.cells = cells
        self.reads = reads
        self._simulated = reads if isinstance(reads, SimulatedReads) else None
        self._conductance_only = not isinstance(reads, SimulatedReads) and reads.conductance_only
        self.updates = updates
        self.unit = unit
        self.chips = chips
        self.version = 0
        self.register_buffer("w", torch.zeros(chips, 2, layout.rows, layout.outs, dtype=dtype))
        self.register_buffer("steps", torch.zeros(self.w.shape, dtype=torch.int32))
        self._written = self.w._version
        self._forward: tuple[int, TileTransfer] | None = None
        self._backward: tuple[int, TileTransfer] | None = None
        self._rests: bool | None = None  # not known
        self._matrices = tuple(
            PairMatrix(layout, cells, reads.moved_tolerance) for _ in ("forward", "backward")
        )

    def weight(self) -> torch.Tensor:
        """The logical weights, [chip, row, out], copied."""
        return self.weight_of(0, self.layout.rows).clone()

    def weight_of(self, first: int, stop: int) -> torch.Tensor:
        """Those of some word lines, [chip, row, out]: a view of the state where that is one."""
        plus = self.w[:, 0, first:stop]
        pair = plus if self._minus_rests else plus - self.w[:, 1, first:stop]
        return pair if self.unit == 1.0 else pair * self.unit

    @property
    def is_weight(self) -> bool:
        """The weights of the plus cells are the logical ones, of one chip."""
        return self.chips == 1 and self.unit == 1.0 and self._minus_rests

    def conductance_s(self) -> torch.Tensor:
        """Of the cells, [chip, side, row, out] in siemens."""
        return self.cells.conductance_s(self.w)

    @property
    def dtype(self) -> torch.dtype:
        """Of the state."""
        return self._state.dtype

    @property
    def _state(self) -> torch.Tensor:
        """`w`, past the slow look-up of `nn.Module`."""
        held: Any = self._buffers
        found: torch.Tensor = held["w"]
        return found

    @property
    def weight_per_s(self) -> float:
        """The logical weight of a difference of 1 S between the cells of a pair."""
        return self.unit / self.cells.slope_s

    def transfer(self) -> TileTransfer:
        """From word lines to bit lines [chip, tile, row, col], of the state as it is."""
        self._notice()
        kept = self._forward
        if kept is None or kept[0] != self.version:
            with torch.no_grad():
                near = self._matrices[0].tiles_moved_to(self.w, turned=False)
                if near is None:
                    planes = self.conductance_s()
                    near = self._transfers.transfer(self.layout.split_cells(planes))
                    self._matrices[0].computed(self.w, planes, near, turned=False)
                kept = self.version, near
            self._forward = kept
        return kept[1]

    def transposed(self) -> TileTransfer:
        """From bit lines to word lines [chip, tile, col, row], of the state as it is."""
        self._notice()
        kept = self._backward
        if kept is None or kept[0] != self.version:
            with torch.no_grad():
                near = self._matrices[1].tiles_moved_to(self.w, turned=True)
                if near is None:
                    planes = self.conductance_s()
                    near = self._transfers.transposed(self.layout.split_cells(planes))
                    self._matrices[1].computed(self.w, planes, near, turned=True)
                kept = self.version, near
            self._backward = kept
        return kept[1]

    def matrix(self) -> torch.Tensor:
        """Current of a pair per volt on a word line, [chip, row, out], all tiles together.

        What straight amplifiers without offsets make of a read.
        """
        return self._matrix(self._matrices[0], turned=False).clone()

    def matrix_transposed(self) -> torch.Tensor:
        """Current of a word line per volt on a pair, plus and minus, [chip, row, out]."""
        return self._matrix(self._matrices[1], turned=True).clone()

    def pair_current_a(self, drive_v: torch.Tensor, *, times: float = 1.0) -> torch.Tensor:
        """Currents of pairs, [chip, batch, out], for voltages of word lines [chip, batch, row].

        What straight amplifiers without offsets make of a read of all tiles together.

        Args:
            drive_v: the voltages.
            times: what currents are multiplied by.
        """
        if not self._conductance_only:
            return _product(drive_v, self._matrix(self._matrices[0], turned=False), times)
        scale, w = times * self.cells.slope_s, self._state
        current = _product(drive_v, w[:, 0], scale)
        return current if self._minus_rests else current - _product(drive_v, w[:, 1], scale)

    def line_current_a(self, drive_v: torch.Tensor, *, times: float = 1.0) -> torch.Tensor:
        """Currents of word lines, [chip, batch, row], for voltages of pairs [chip, batch, out]."""
        if not self._conductance_only:
            return _product(drive_v, self._matrix(self._matrices[1], turned=True).mT, times)
        scale, w = times * self.cells.slope_s, self._state
        current = _product(drive_v, w[:, 0].mT, scale)
        return current if self._minus_rests else current - _product(drive_v, w[:, 1].mT, scale)

    def read_blocks(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the bit lines of every row block, [chip, row block, side, batch, out].

        Args:
            drive_v: of drivers that are alike in tiles side by side, [chip, batch, row].
        """
        layout = self.layout
        if self._simulated is not None:
            return layout.col_blocks_of(self.read(layout.split_rows(drive_v)))
        blocks = self._blocks(self._matrices[0], turned=False)
        chips, batch, _ = drive_v.shape
        if blocks.held_a is not None:  # one read more, of all lines together
            drive_v = torch.cat([drive_v, torch.ones_like(drive_v[:, :1])], 1)
        shape = (chips, layout.row_blocks, 2, drive_v.shape[1], layout.outs)
        current = drive_v.new_empty(shape)
        for chip, found in enumerate(current):
            both = drive_v[chip].expand(2, -1, -1)
            for block, (first, stop) in enumerate(pairwise(layout.row_edges)):
                part = blocks.row_parts[chip][block]
                torch.bmm(both[..., first:stop], part, out=found[block])
        if blocks.held_a is None:
            return current
        return current[..., :batch, :] + blocks.held_a.at(current[..., batch:, :])

    def read_blocks_transposed(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the word lines by blocks of outputs, [chip, block, batch, row].

        Args:
            drive_v: of the plus bit lines, [chip, batch, out]; minus bit lines have the negative.
        """
        layout = self.layout
        if self._simulated is not None:
            both = torch.stack([drive_v, -drive_v], -1)
            return layout.row_blocks_of(self.read_transposed(layout.split_cols(both)))
        blocks = self._blocks(self._matrices[1], turned=True)
        chips, batch, _ = drive_v.shape
        current = drive_v.new_empty((chips, layout.out_blocks, batch, layout.rows))
        for block, (first, stop) in enumerate(pairwise(layout.out_edges)):
            part = blocks.transfer_s[..., first:stop]
            current[:, block] = torch.matmul(drive_v[..., first:stop], part.mT)
        if blocks.held_a is None or blocks.now_s is None:
            return current
        return current + blocks.held_a.at(blocks.now_s)

    def _blocks(self, kept: PairMatrix, *, turned: bool) -> Blocks:
        self._notice()
        found = kept.blocks_moved_to(self.w, turned=turned)
        if found is None:
            self._compute(kept, turned=turned)
            found = kept.blocks_moved_to(self.w, turned=turned)
        if found is None:
            raise ReadFailedError("the transfers of the tiles are no numbers")
        return found

    def _compute(self, kept: PairMatrix, *, turned: bool) -> torch.Tensor:
        """Has the transfers computed; their matrix [chip, row, out]."""
        planes = self.conductance_s()
        tiles = self.layout.split_cells(planes)
        who = self._transfers
        found = who.transposed(tiles) if turned else who.transfer(tiles)
        return kept.computed(self.w, planes, found, turned=turned)

    @property
    def _minus_rests(self) -> bool:
        """Minus cells stand at a weight of 0, wherever plus cells go."""
        self._notice()
        if self._rests is None:
            self._rests = len(self.cells.moving) == 1 and not bool(self.w[:, 1].any())
        return self._rests

    def _tiles(self) -> torch.Tensor:
        """Conductances as a netlist has them, [chip, tile, row, col]."""
        return self.layout.split_cells(self.conductance_s())

    @property
    def _transfers(self) -> Reads:
        if isinstance(self.reads, SimulatedReads):
            raise InputError(
                "who reads vectors knows no transfer",
                where="reads",
                value=self.reads.name,
                allowed="ideal, surrogate, exact",
                hint="read and read_transposed are there",
            )
        return self.reads

    def _matrix(self, kept: PairMatrix, *, turned: bool) -> torch.Tensor:
        self._notice()
        with torch.no_grad():
            near = kept.moved_to(self.w)
            if near is None:
                near = self._compute(kept, turned=turned)
        return near

    def forget(self) -> None:
        """Drops what reads have learnt: what follows depends on the cells alone."""
        self.reads.forget()
        self._forward = self._backward = None
        for one in self._matrices:
            one.forget()

    def read(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the bit lines, [chip, tile, batch, col].

        Args:
            drive_v: voltages of the drivers at the word lines, [chip, tile, batch, row].
        """
        if self._simulated is not None:
            return _checked(self._simulated.read(self._tiles(), drive_v))
        return self.transfer().current_a(drive_v)

    def read_transposed(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the word lines, [chip, tile, batch, row].

        Args:
            drive_v: voltages of the drivers at the bit lines, [chip, tile, batch, col].
        """
        if self._simulated is not None:
            return _checked(self._simulated.read_transposed(self._tiles(), drive_v))
        return self.transposed().current_a(drive_v)

    def read_perturbed(
        self, drive_v: torch.Tensor, cells: torch.Tensor, delta_s: torch.Tensor
    ) -> torch.Tensor:
        """A read while some cells conduct more or less, which they do not keep.

        Args:
            drive_v: [chip, tile, batch, row].
            cells: which, as (side, row, out), [cell, 3].
            delta_s: by how much each conducts more, [cell] in siemens.

        Raises:
            InputError: a cell would conduct less than nothing.
        """
        planes = self.conductance_s()
        side, row, out = cells.unbind(-1)
        planes[:, side, row, out] += delta_s.to(planes)
        changed = planes[:, side, row, out]
        if bool((changed < 0).any()):
            raise InputError(
                "a cell would conduct less than nothing",
                where="delta_s",
                value=float(changed.min()),
                allowed=">= 0 S in the sum",
            )
        tiles = self.layout.split_cells(planes)
        if self._simulated is not None:
            return _checked(self._simulated.read(tiles, drive_v))
        return self._transfers.transfer(tiles).current_a(drive_v)

    def update(self, trains: Sequence[PulseTrains], draw: Draw | None) -> Moved:
        """Pulses on the lines: x on the word lines, d on the bit lines, -x d in the mean.

        Args:
            trains: of each chip, for a batch of updates one after the other.
            draw: where the noise is drawn from; None for the mean device.

        Raises:
            InputError: not as many trains as chips.
        """
        if len(trains) != self.chips:
            raise InputError(
                "one set of trains for every chip",
                where="trains",
                value=len(trains),
                allowed=str(self.chips),
            )
        with torch.no_grad():
            held: Any = self._buffers
            moved = self.updates.update(held["w"], self.cells, trains, draw, held["steps"])
        self._changed(moved.rows)
        return moved

    def _notice(self) -> None:
        """Sees what torch has written into the state past `update` and `program`."""
        if self._state._version != self._written:
            self._rests = None
            self._changed(None)

    def _changed(self, rows: Sequence[NDArray[np.bool_]] | None) -> None:
        """Cells have moved: on these word lines of every chip; None for anywhere."""
        self.version += 1
        self._written = self._state._version
        for one in self._matrices:
            one.touched(rows)

    def program(self, weight: torch.Tensor) -> torch.Tensor:
        """Brings the cells to logical weights, as far as they reach.

        Args:
            weight: [row, out], or [chip, row, out] for chips that differ.

        Returns:
            What every pair is short of its weight, [chip, row, out].

        Raises:
            InputError: another shape, or a weight that is not finite.
        """
        wanted = (self.chips, self.layout.rows, self.layout.outs)
        if weight.shape not in (wanted, wanted[1:]) or not bool(weight.isfinite().all()):
            raise InputError(
                "no weights of this array",
                where="weight",
                value=tuple(weight.shape),
                allowed=f"finite numbers [row, out] = {wanted[1:]}, or one such matrix a chip",
            )
        with torch.no_grad():
            share = weight.to(self.w).expand(wanted) / self.unit
            low, high = self.cells.bounds(self.w)
            if self.cells.pair == "reference":
                self.w[:, 0] = share
                self.w[:, 1] = 0.0
            else:  # the weight is half of either
                self.w[:, 0] = 0.5 * share
                self.w[:, 1] = -0.5 * share
            torch.minimum(torch.maximum(self.w, low), high, out=self.w)
        self._changed(None)
        self._rests = None
        return weight.to(self.w) - self.weight()

    @property
    def each(self) -> tuple[AnalogArray, ...]:
        """The arrays that this is made of: itself; see `cosim.array.combined`."""
        return (self,)

    def like(self, stream: Stream, name: str) -> AnalogArray:
        """A second array of the same kind with devices of its own, at weights of 0.

        Args:
            stream: of its chips; those after the first are the samples that follow.
            name: what it is called below the path of this one; another name draws other devices.
        """
        return AnalogArray(
            self.layout,
            self.cells.like(stream, name, self.chips),
            copy.deepcopy(self.reads),
            copy.deepcopy(self.updates),
            chips=self.chips,
            unit=self.unit,
            dtype=self.w.dtype,
        )

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Of `nn.Module`: float(), double(), to(), after which what was computed is of no use."""
        _check_precision(fn(self.w[:0]).dtype)  # before anything has changed
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch
        self.forget()
        self._changed(None)
        return self

    def _load_from_state_dict(self, *given: Any) -> None:
        """Of `nn.Module`: other cells are another version."""
        super()._load_from_state_dict(*given)
        self._changed(None)
        self._rests = None

    def probe(self) -> Probe:
        """The state, copied."""
        low, high = self.cells.bounds(self.w)
        sides = list(self.cells.sides)
        at = ((self.w <= low) | (self.w >= high))[:, sides]
        share = float(at.double().mean())
        return Probe(self.w.clone(), self.conductance_s(), self.steps.clone(), share, self.version)


def _product(drive_v: torch.Tensor, matrix: torch.Tensor, times: float) -> torch.Tensor:
    """`times` drive_v @ matrix, for every chip, in one pass."""
    nothing = drive_v.new_zeros(())
    return torch.baddbmm(nothing, drive_v, matrix, beta=0, alpha=times)


def _check_precision(dtype: torch.dtype) -> None:
    """Refuses a precision in which steps of cells, or their conductances, are lost."""
    if dtype not in (torch.float32, torch.float64):
        raise InputError(
            "cells have no such precision",
            where="dtype",
            value=str(dtype),
            allowed="torch.float32 or torch.float64",
        )


def _checked(read: VectorsRead) -> torch.Tensor:
    """The currents of a read that ended well.

    Raises:
        ReadFailedError: it did not.
    """
    if read.outcome is not Outcome.OK:
        raise ReadFailedError(f"{read.engine} did not read an array: {read.outcome}: {read.reason}")
    return read.current_a
