"""The law of a pulse device: every coincidence is one step, whatever the wires do to the pulse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.variation import Draw
from cosim.array.protocols import Moved
from cosim.array.pulse_pairs import PulsePairs
from cosim.pulses.cells import PulseCells, pulse_cells
from cosim.pulses.total_energy import (
    StraightCells,
    row_sums,
    total_energy_j,
)
from cosim.pulses.trains import PulseTrains
from cosim.pulses.update import move_cells
from netlists.pulse import Pulse


@dataclass
class StepUpdates:
    """Steps as the device's publication has them.

    The cells are prepared once for the devices of an array and its precision.

    Attributes:
        name: the fidelity.
        pulses: what a cell sees in a step up and in one down; None where nobody asks for energy.
    """

    name: str = "step"
    pulses: tuple[Pulse, Pulse] | None = None
    _prepared: dict[tuple[int, int], _Side] = field(default_factory=dict, repr=False)
    _resting: dict[int, tuple[tuple[int, int], NDArray[np.float64]]] = field(
        default_factory=dict, repr=False
    )

    def __getstate__(self) -> dict[str, Any]:
        """Of `pickle` and `copy`: without views of a state, which would be none of the copy's."""
        return {**self.__dict__, "_prepared": {}, "_resting": {}}

    def update(
        self,
        w: torch.Tensor,
        cells: PulsePairs,
        trains: Sequence[PulseTrains],
        draw: Draw | None,
        counts: torch.Tensor,
    ) -> Moved:
        """See `cosim.array.protocols.Updates`."""
        coincidences = pulses = 0
        energy_j = None if self.pulses is None else 0.0
        for chip, own in enumerate(trains):
            if not w.is_cpu:
                raise InputError("cells are moved on the host", where="w", value=str(w.device))
            sides = [self._side(w, cells, counts, chip, side) for side in cells.sides]
            slots = [own.slots] if len(sides) == 1 else [own.slots, _opposite(own).slots]
            if energy_j is not None and self.pulses is not None:
                beside = None if len(sides) == 2 else self._beside(w, chip)
                straight = StraightCells(cells.zero_s, cells.slope_s)
                for side, one in zip(sides, slots, strict=True):
                    energy_j += total_energy_j(side.now, straight, one, *self.pulses, beside=beside)
            for number, (side, one) in enumerate(zip(sides, slots, strict=True)):
                noise = None if draw is None else draw.part(f"chip_{chip}/side_{number}")
                ups, downs = move_cells(side.devices, side.now, one, noise, side.counted)
                coincidences += ups + downs
                pulses += len(one.lines)
            pulses += slots[0].word_pulses
        rows = tuple(own.slots.of_word > 0 for own in trains)
        return Moved(coincidences, pulses, energy_j, rows)

    def _beside(self, w: torch.Tensor, chip: int) -> NDArray[np.float64]:
        """Sums of the minus cells of a reference, whose word lines have pulses, too.

        Nothing but torch writes into these: what it has written last is in the version.
        """
        place, kept = (w.data_ptr(), w._version), self._resting.get(chip)
        if kept is None or kept[0] != place:
            kept = place, row_sums(w[chip, 1].numpy())
            self._resting[chip] = kept
        return kept[1]

    def _side(
        self, w: torch.Tensor, cells: PulsePairs, counts: torch.Tensor, chip: int, side: int
    ) -> _Side:
        kept = self._prepared.get((chip, side))
        if kept is None or kept.cells is not cells or kept.place != _place(w, counts):
            if kept is None or kept.cells is not cells or not _same_type(kept.now, w):
                devices = pulse_cells(cells.model, cells.values(chip, side), w[chip, side])
            else:
                devices = kept.devices
            kept = _Side(
                cells,
                devices,
                _place(w, counts),
                w[chip, side].numpy(),
                counts[chip, side].numpy(),
            )
            self._prepared[chip, side] = kept
        return kept


@dataclass(frozen=True, eq=False)
class _Side:
    """The plus or the minus cells of a chip, ready for loops.

    Attributes:
        cells: what they are.
        devices: what a pulse does to each of them.
        place: where weights and counts are.
        now: weights [row, out], the memory of the state.
        counted: steps [row, out], likewise.
    """

    cells: PulsePairs
    devices: PulseCells
    place: tuple[int, int]
    now: NDArray[Any]
    counted: NDArray[np.int32]


def _same_type(now: NDArray[Any], w: torch.Tensor) -> bool:
    return now.itemsize == w.itemsize


def _place(w: torch.Tensor, counts: torch.Tensor) -> tuple[int, int]:
    return w.data_ptr(), counts.data_ptr()


def _opposite(trains: PulseTrains) -> PulseTrains:
    """The trains that move the minus cell of a pair the other way."""
    return replace(trains, bits=trains.bits ^ torch.tensor(-1 << 31, dtype=torch.int32))
