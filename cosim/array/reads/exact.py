"""Tiles solved exactly: the netlist's equations by the nodal solver, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cosim.array.surroundings import Ends, TileTransfer, TileWires, flipped
from cosim.nodal.transfer import solve_transfer


@dataclass(frozen=True, eq=False)
class ExactReads:
    """The exact transfer of ohmic tiles.

    Attributes:
        wires: the segments.
        forward: what lines end in when word lines are driven.
        backward: what they end in when bit lines are.
    """

    wires: TileWires
    forward: Ends
    backward: Ends
    name: str = "exact"
    moved_tolerance: float = 0.0
    conductance_only: bool = False

    def forget(self) -> None:
        """Nothing is kept."""

    def transfer(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From word lines to bit lines, for [..., row, col]; differentiable.

        Raises:
            InputError: no conductances of double precision.
        """
        return solved(conductance_s, self.wires, self.forward)

    def transposed(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From bit lines to word lines, [..., col, row], for [..., row, col]; differentiable.

        Raises:
            InputError: no conductances of double precision.
        """
        turned = solved(flipped(conductance_s), self.wires.flipped, self.backward.flipped)
        return turned.flipped


def solved(conductance_s: torch.Tensor, wires: TileWires, ends: Ends) -> TileTransfer:
    """The exact transfer of arrays between some ends, for [..., row, col].

    Raises:
        InputError: no conductances of double precision.
    """
    found = solve_transfer(
        conductance_s,
        r_wordline_ohm=wires.r_wordline_ohm,
        r_bitline_ohm=wires.r_bitline_ohm,
        r_driver_ohm=ends.r_driver_ohm,
        r_sense_ohm=ends.r_sense_ohm,
    )
    if ends.held_v is None:
        return TileTransfer(found.transfer_s)
    held = (ends.held_v.unsqueeze(-2) @ found.sense_s).squeeze(-2)
    return TileTransfer(found.transfer_s, -held)
