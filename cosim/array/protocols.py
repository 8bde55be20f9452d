"""What an analog array is given: who computes its reads, who its updates, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.variation import Draw
from cosim.array.reads.spice import VectorsRead
from cosim.array.surroundings import TileTransfer
from cosim.ngspice import Outcome
from cosim.pulses.trains import PulseTrains


class Reads(Protocol):
    """Who computes reads of ohmic tiles: a file in `cosim.array.reads`."""

    @property
    def name(self) -> str:
        """The fidelity."""
        ...

    @property
    def moved_tolerance(self) -> float:
        """By how much a transfer may be off because cells have moved since (Frobenius)."""
        ...

    @property
    def conductance_only(self) -> bool:
        """A read needs the conductances and nothing else: what flows is V @ G."""
        ...

    def forget(self) -> None:
        """Drops what was learnt from reads so far."""
        ...

    def transfer(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From word lines to bit lines, for [chip, tile, row, col]."""
        ...

    def transposed(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From bit lines to word lines, [chip, tile, col, row]."""
        ...


_Cells = TypeVar("_Cells", contravariant=True)


class Updates(Protocol[_Cells]):
    """Who computes updates: a file in `cosim.array.updates`."""

    @property
    def name(self) -> str:
        """The fidelity."""
        ...

    def update(
        self,
        w: torch.Tensor,
        cells: _Cells,
        trains: Sequence[PulseTrains],
        draw: Draw | None,
        counts: torch.Tensor,
    ) -> Moved:
        """Moves weights in place.

        Args:
            w: of the cells, [chip, side, row, out].
            cells: what they are.
            trains: of each chip.
            draw: where the noise is drawn from; None for the mean device.
            counts: steps that every cell was asked for, int32, likewise; these are added.
        """
        ...


@runtime_checkable
class SimulatedReads(Protocol):
    """Who reads vectors and knows no transfer: a simulator, or cells that bend."""

    @property
    def name(self) -> str:
        """The fidelity."""
        ...

    @property
    def moved_tolerance(self) -> float:
        """See `Reads`."""
        ...

    def forget(self) -> None:
        """See `Reads`."""
        ...

    def read(self, conductance_s: torch.Tensor, drive_v: torch.Tensor) -> VectorsRead:
        """Currents out of the bit lines of tiles [chip, tile, row, col]."""
        ...

    def read_transposed(self, conductance_s: torch.Tensor, drive_v: torch.Tensor) -> VectorsRead:
        """Currents out of their word lines."""
        ...


@dataclass(frozen=True)
class Moved:
    """What an update did, for all chips.

    Attributes:
        coincidences: steps that cells were asked for.
        pulses: pulses on lines.
        energy_j: what cells have turned into heat [J]; None where it is not known.
        rows: word lines of every chip whose cells may have moved, [row] each; None for all.
        outcome: `ok`, or how the first update of the batch ended that did not end well; cells are
            as those before it left them.
        reason: which it was, why, and what to do.
    """

    coincidences: int
    pulses: int
    energy_j: float | None = None
    rows: tuple[NDArray[np.bool_], ...] | None = None
    outcome: Outcome = Outcome.OK
    reason: str = ""
