"""Tiles of nonlinear cells solved exactly: Newton's method on the wires, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compact_models.errors import InputError
from cosim.array.device_cells import DeviceCells
from cosim.array.surroundings import Ends, TileWires, flipped
from cosim.nodal.lines import Lines
from cosim.nodal.nonlinear import Cell, solve_nonlinear

_AT_ONCE = 1 << 21  # voltages of cells that Newton's method works on at a time


@dataclass(frozen=True, eq=False)
class DeviceExactReads:
    """The exact currents of tiles whose cells are devices; not differentiable.

    Attributes:
        cells: what they are.
        wires: the segments.
        forward: what lines end in when word lines are driven.
        backward: what they end in when bit lines are.
    """

    cells: DeviceCells
    wires: TileWires
    forward: Ends
    backward: Ends
    name: str = "exact"

    def transfer(self, conductance_s: torch.Tensor) -> NewtonRead:
        """From word lines to bit lines, for [..., row, col]: conductances at the read voltage.

        Raises:
            InputError: a conductance that no state has.
        """
        law = self.cells.law(conductance_s)
        return NewtonRead(
            law, lines_of(self.wires, self.forward), self.forward, conductance_s.shape
        )

    def transposed(self, conductance_s: torch.Tensor) -> NewtonRead:
        """From bit lines to word lines, for [..., row, col].

        Raises:
            InputError: a conductance that no state has.
        """
        ends = self.backward.flipped
        lines = lines_of(self.wires.flipped, ends)
        turned = flipped(conductance_s)
        return NewtonRead(turned_law(self.cells.law(turned)), lines, ends, turned.shape, True)


@dataclass(frozen=True, eq=False)
class NewtonRead:
    """Tiles in one state, between driven and sensed ends.

    Attributes:
        law: the cells.
        lines: what runs through the tiles.
        ends: what the lines end in.
        shape: [..., driven line, sensed line].
        counted_back: lines are counted from the other end, as the array was turned over.
    """

    law: Cell
    lines: Lines
    ends: Ends
    shape: torch.Size
    counted_back: bool = False

    def current_a(self, drive_v: torch.Tensor) -> torch.Tensor:
        """[..., batch, sensed line] for [..., batch, driven line].

        Raises:
            InputError: Newton's method finds no solution.
        """
        stack, batch = self.shape[:-2], drive_v.shape[-2]
        given = drive_v.detach().flip(-1) if self.counted_back else drive_v.detach()
        given = given.to(torch.float64).expand(*stack, batch, self.shape[-2])
        held = self.ends.held_v
        if held is not None:
            held = held.expand(*stack, self.shape[-1]).unsqueeze(-2)
            held = held.reshape(-1) if not stack else held
        at_once = max(1, _AT_ONCE // self.shape.numel())
        parts = []
        for part in given.split(at_once, -2):
            with torch.no_grad():
                found = solve_nonlinear(self.law, self.lines, part, tuple(self.shape), sense_v=held)
            if not bool(found.converged.all()):
                raise InputError(
                    "Newton's method finds no solution of these arrays",
                    where="exact",
                    value=f"{int((~found.converged).sum())} of {found.converged.numel()} reads",
                    hint="read them with spice",
                )
            parts.append(found.state.sense_a)
        current = torch.cat(parts, -2)
        return current.flip(-1) if self.counted_back else current


def lines_of(wires: TileWires, ends: Ends) -> Lines:
    """Wires and ends as the nodal solver takes them."""
    return Lines(wires.r_wordline_ohm, wires.r_bitline_ohm, ends.r_driver_ohm, ends.r_sense_ohm)


def turned_law(law: Cell) -> Cell:
    """Cells of an array that is turned over: the driven line is now at the terminal n."""

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        current, slope = law(-v)
        return -current, slope

    return cell
