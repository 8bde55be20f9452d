"""Reads of cells that bend: vectors through a tile's law, no matrix that all of them share.

Newton's method or the calibrated drops along the lines compute them; either keeps what it makes of
the conductances that it saw last, in each direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from compact_models.errors import InputError
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.device_surrogate import DeviceSurrogateReads
from cosim.array.reads.spice import VectorsRead
from cosim.array.surroundings import TileRead
from cosim.ngspice import Outcome


@dataclass(eq=False)
class VectorReads:
    """Tiles of nonlinear cells, read both ways.

    Attributes:
        reads: who computes.
        exact: what they are compared with; the same where they are exact.
    """

    reads: DeviceExactReads | DeviceSurrogateReads
    exact: DeviceExactReads
    moved_tolerance: float = 0.0
    _kept: dict[str, tuple[torch.Tensor, TileRead]] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The fidelity."""
        return self.reads.name

    @property
    def anchors(self) -> int:
        """How often a direction was calibrated on Newton's method."""
        return 0 if isinstance(self.reads, DeviceExactReads) else self.reads.calibrations

    def forget(self) -> None:
        """Has the surrogate calibrated anew at the next conductances."""
        self._kept.clear()
        if isinstance(self.reads, DeviceSurrogateReads):
            self.reads.forget()

    def transfer(self, conductance_s: torch.Tensor) -> TileRead:
        """From word lines to bit lines, for [chip, tile, row, col]; see `DeviceExactReads`."""
        return self._law("forward", self.reads.transfer, conductance_s)

    def transposed(self, conductance_s: torch.Tensor) -> TileRead:
        """From bit lines to word lines, likewise."""
        return self._law("backward", self.reads.transposed, conductance_s)

    def read(self, conductance_s: torch.Tensor, drive_v: torch.Tensor) -> VectorsRead:
        """Currents out of the bit lines, [chip, tile, batch, col]; see `SpiceReads`."""
        return self._read(self.transfer, conductance_s, drive_v)

    def read_transposed(self, conductance_s: torch.Tensor, drive_v: torch.Tensor) -> VectorsRead:
        """Currents out of the word lines, [chip, tile, batch, row]; see `SpiceReads`."""
        return self._read(self.transposed, conductance_s, drive_v)

    def _law(
        self, direction: str, made: Callable[[torch.Tensor], TileRead], conductance_s: torch.Tensor
    ) -> TileRead:
        kept = self._kept.get(direction)
        if kept is None or not torch.equal(kept[0], conductance_s):
            kept = conductance_s.clone(), made(conductance_s)
            self._kept[direction] = kept
        return kept[1]

    def _read(
        self,
        law: Callable[[torch.Tensor], TileRead],
        conductance_s: torch.Tensor,
        drive_v: torch.Tensor,
    ) -> VectorsRead:
        try:
            with torch.no_grad():
                current = law(conductance_s).current_a(drive_v)
        except InputError as error:  # Newton's method has found no solution
            nothing = torch.full((), torch.nan, dtype=drive_v.dtype)
            return VectorsRead(nothing, Outcome.NO_CONVERGENCE, error.sentence(), self.name)
        if not bool(current.isfinite().all()):
            reason = "an input is outside of what the surrogate was calibrated for"
            return VectorsRead(current, Outcome.INVALID, reason, self.name)
        return VectorsRead(current.to(drive_v.dtype), Outcome.OK, "", self.name)
