"""Tiles without wires, ends and offsets: currents are V @ G. The negative control."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cosim.array.surroundings import TileTransfer


@dataclass(frozen=True)
class IdealReads:
    """The transfer is the conductance."""

    name: str = "ideal"
    moved_tolerance: float = 0.0
    conductance_only: bool = True

    def forget(self) -> None:
        """Nothing is kept."""

    def transfer(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From word lines to bit lines, for [..., row, col]."""
        return TileTransfer(conductance_s)

    def transposed(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From bit lines to word lines, [..., col, row]."""
        return TileTransfer(conductance_s.mT)
