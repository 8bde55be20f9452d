"""What the cells of a layer's tiles stand in: wires, and what the lines end in for one direction.

Forward, word lines are driven from the left and bit lines sensed at the bottom; backward, bit lines
are driven at the bottom and word lines sensed on the left. The two directions share cells and
segments and nothing else: each has drivers and amplifiers of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from cosim.nodal.lines import Ohm


@dataclass(frozen=True, eq=False)
class TileWires:
    """Segments of a tile, all alike or one by one.

    Attributes:
        r_wordline_ohm: on the left of every cell, one value or [row, col].
        r_bitline_ohm: below every cell, likewise.
    """

    r_wordline_ohm: Ohm = 0.0
    r_bitline_ohm: Ohm = 0.0

    @property
    def flipped(self) -> TileWires:
        """Of the array as it is read backward; see `flipped`."""
        return TileWires(_flipped(self.r_bitline_ohm), _flipped(self.r_wordline_ohm))


@dataclass(frozen=True, eq=False)
class Ends:
    """What the lines end in, for one direction of reading.

    Attributes:
        r_driver_ohm: in series at the driven ends, one value or [..., driven line].
        r_sense_ohm: in series at the sensed ends, one value or [..., sensed line].
        held_v: what the amplifiers hold the sensed ends at [V], [..., sensed line]; None for 0.
    """

    r_driver_ohm: Ohm = 0.0
    r_sense_ohm: Ohm = 0.0
    held_v: torch.Tensor | None = None

    @property
    def flipped(self) -> Ends:
        """Of the array turned over as `flipped` does: its lines are counted from the other end."""
        return Ends(_counted(self.r_driver_ohm), _counted(self.r_sense_ohm), _line(self.held_v))


class TileRead(Protocol):
    """Tiles in one state, between driven and sensed ends."""

    def current_a(self, drive_v: torch.Tensor) -> torch.Tensor:
        """[..., batch, sensed line] for [..., batch, driven line]."""
        ...


@dataclass(frozen=True, eq=False)
class TileTransfer:
    """What ohmic tiles do between driven and sensed ends: i = v @ transfer_s + held_a.

    Attributes:
        transfer_s: [..., driven line, sensed line].
        held_a: what flows where nothing is driven, [..., sensed line]; None for nothing.
    """

    transfer_s: torch.Tensor
    held_a: torch.Tensor | None = None

    def current_a(self, drive_v: torch.Tensor) -> torch.Tensor:
        """[..., batch, sensed line] for [..., batch, driven line]."""
        current = drive_v @ self.transfer_s
        return current if self.held_a is None else current + self.held_a.unsqueeze(-2)

    @property
    def at_rest_a(self) -> torch.Tensor:
        """What flows where nothing is driven, [..., sensed line]."""
        return self.transfer_s.new_zeros(()) if self.held_a is None else self.held_a

    @property
    def flipped(self) -> TileTransfer:
        """Of the array turned over back again."""
        return TileTransfer(self.transfer_s.flip(-2, -1), _line(self.held_a))


def flipped(conductance_s: torch.Tensor) -> torch.Tensor:
    """An array as the backward read sees it, [..., row, col] -> [..., col, row].

    Bit lines become word lines that are driven from the left, so the last cell of a bit line comes
    first; word lines become bit lines that are sensed at the bottom, so the first cell of a word
    line comes last.
    """
    return conductance_s.mT.flip(-2, -1)


def _flipped(ohm: Ohm) -> Ohm:
    return flipped(ohm) if isinstance(ohm, torch.Tensor) and ohm.ndim else ohm


def _counted(ohm: Ohm) -> Ohm:
    return ohm.flip(-1) if isinstance(ohm, torch.Tensor) and ohm.ndim else ohm


def _line(values: torch.Tensor | None) -> torch.Tensor | None:
    return None if values is None else values.flip(-1)
