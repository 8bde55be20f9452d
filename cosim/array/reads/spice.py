"""Tiles read in ngspice: the netlist of every tile, forward and backward, nothing computed here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.array.device_cells import DeviceCells
from cosim.array.in_ngspice import read_in_ngspice
from cosim.array.surroundings import Ends, TileWires
from cosim.ngspice import Ngspice, Outcome
from cosim.nodal.lines import Ohm
from netlists.array import Direction, ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VectorsRead:
    """What somebody says who reads vectors through a stack of tiles.

    Attributes:
        current_a: out of the sensed lines, [chip, tile, batch, line]; NaN where a simulation
            failed or was not started because one before it had.
        outcome: how it ended: ok, or how the first that failed did.
        reason: which tile that was and why; empty when the outcome is ok.
        engine: what computed it, e.g. `ngspice-46 KLU`.
    """

    current_a: torch.Tensor
    outcome: Outcome
    reason: str
    engine: str


@dataclass(frozen=True, eq=False)
class SpiceReads:
    """Reads of tiles by ngspice: a deck a tile, a `.dc` sweep over the batch.

    The backward read is the netlist of the same tile with sources at its bit lines and amplifiers
    at its word lines; it knows nothing of transposed matrices.

    Attributes:
        wires: the segments.
        forward: what lines end in when word lines are driven.
        backward: what they end in when bit lines are.
        ngspice: the simulator.
        jobs: decks at a time.
        cells: what the cells are; None of ohmic ones. Of a device every cell is put into the state
            that has its conductance.
    """

    wires: TileWires
    forward: Ends
    backward: Ends
    ngspice: Ngspice
    jobs: int = 1
    cells: DeviceCells | None = None
    name: str = "spice"
    moved_tolerance: float = 0.0

    def forget(self) -> None:
        """Nothing is kept."""

    def read(self, conductance_s: torch.Tensor, drive_v: torch.Tensor) -> VectorsRead:
        """Currents out of the bit lines, [chip, tile, batch, col].

        Args:
            conductance_s: of the cells, [chip, tile, row, col] in siemens.
            drive_v: of the drivers at the word lines, [chip, tile, batch, row] in volts.

        Raises:
            InputError: conductances or voltages that no netlist can hold.
        """
        return self._read(conductance_s, drive_v, self.forward, "forward")

    def read_transposed(self, conductance_s: torch.Tensor, drive_v: torch.Tensor) -> VectorsRead:
        """Currents out of the word lines, [chip, tile, batch, row].

        Args:
            conductance_s: of the cells, [chip, tile, row, col] in siemens.
            drive_v: of the drivers at the bit lines, [chip, tile, batch, col] in volts.

        Raises:
            InputError: conductances or voltages that no netlist can hold.
        """
        return self._read(conductance_s, drive_v, self.backward, "backward")

    def _read(
        self, conductance_s: torch.Tensor, drive_v: torch.Tensor, ends: Ends, direction: Direction
    ) -> VectorsRead:
        chips, tiles, rows, cols = conductance_s.shape
        driven, sensed = (rows, cols) if direction == "forward" else (cols, rows)
        batch = drive_v.shape[-2]
        if drive_v.shape != (chips, tiles, batch, driven) or not bool(drive_v.isfinite().all()):
            raise InputError(
                "no voltages of these drivers",
                where="drive_v",
                value=tuple(drive_v.shape),
                allowed=f"finite, [chip, tile, batch, line] = ({chips}, {tiles}, n, {driven})",
            )

        def each(value: Ohm | None, *axes: int) -> list[Array]:
            """Of every tile of every chip, in turn."""
            whole = torch.as_tensor(0.0 if value is None else value, dtype=torch.float64)
            spread = whole.expand(chips, tiles, *axes).flatten(0, 1)
            return list(spread.detach().cpu().numpy())

        wires = [
            Wires(word, bit)
            for word, bit in zip(
                each(self.wires.r_wordline_ohm, *_cells(self.wires.r_wordline_ohm, rows, cols)),
                each(self.wires.r_bitline_ohm, *_cells(self.wires.r_bitline_ohm, rows, cols)),
                strict=True,
            )
        ]
        every = conductance_s.detach().flatten(0, 1)
        arrays = [
            ReadArray(Crossbar(g, segments, states=states), driver, sense, held, direction)
            for g, states, segments, driver, sense, held in zip(
                each(conductance_s, rows, cols),
                [{} if self.cells is None else self.cells.held_of(g) for g in every],
                wires,
                each(ends.r_driver_ohm, driven),
                each(ends.r_sense_ohm, sensed),
                each(ends.held_v, sensed),
                strict=True,
            )
        ]
        vectors = each(drive_v, batch, driven)
        reads = read_in_ngspice(arrays, vectors, self.ngspice, jobs=self.jobs, cells=self.cells)
        current = torch.from_numpy(np.stack([read.current_a for read in reads]))
        worst = next((k for k, read in enumerate(reads) if read.outcome is not Outcome.OK), None)
        reason = ""
        if worst is not None:
            note = f" ({reads[worst].note})" if reads[worst].note else ""
            reason = f"chip {worst // tiles}, tile {worst % tiles}: {reads[worst].reason}{note}"
        return VectorsRead(
            current.unflatten(0, (chips, tiles)).to(drive_v.dtype),
            reads[worst or 0].outcome,
            reason,
            reads[worst or 0].engine,
        )


def _cells(value: Ohm, rows: int, cols: int) -> tuple[int, ...]:
    """The axes of the segments' resistances: none where all are alike."""
    return (rows, cols) if isinstance(value, torch.Tensor) and value.ndim else ()
