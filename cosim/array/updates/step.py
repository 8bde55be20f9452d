"""The law of a pulse device: every coincidence is one step, whatever the wires do to the pulse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from compact_models.variation import Draw
from cosim.array.analog_array import Moved
from cosim.array.pulse_pairs import PulsePairs
from cosim.pulses.cells import PulseCells, pulse_cells
from cosim.pulses.total_energy import StraightCells, half_selected_energy_j, total_energy_j
from cosim.pulses.trains import PulseTrains
from cosim.pulses.update import apply_trains
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
    _prepared: dict[tuple[int, int, torch.dtype], tuple[PulsePairs, PulseCells]] = field(
        default_factory=dict, repr=False
    )

    def update(
        self,
        w: torch.Tensor,
        cells: PulsePairs,
        trains: Sequence[PulseTrains],
        draw: Draw | None,
        counts: torch.Tensor,
    ) -> Moved:
        """See `cosim.array.analog_array.Updates`."""
        coincidences = pulses = 0
        energy_j = None if self.pulses is None else 0.0
        for chip, own in enumerate(trains):
            if energy_j is not None and self.pulses is not None:
                energy_j += _energy_j(w[chip], cells, own, *self.pulses)
            for side in cells.sides:
                one = own if side == 0 else _opposite(own)
                noise = None if draw is None else draw.part(f"chip_{chip}/side_{side}")
                devices = self._devices(w, cells, chip, side)
                done = apply_trains(devices, w[chip, side], one, noise, counts=counts[chip, side])
                coincidences += done.steps_up + done.steps_down
                pulses += done.bit_pulses + (done.word_pulses if side == 0 else 0)
        return Moved(coincidences, pulses, energy_j)

    def _devices(self, w: torch.Tensor, cells: PulsePairs, chip: int, side: int) -> PulseCells:
        key = (chip, side, w.dtype)
        kept = self._prepared.get(key)
        if kept is None or kept[0] is not cells:
            kept = cells, pulse_cells(cells.model, cells.values(chip, side), w[chip, side])
            self._prepared[key] = kept
        return kept[1]


def _energy_j(
    w: torch.Tensor, cells: PulsePairs, trains: PulseTrains, up: Pulse, down: Pulse
) -> float:
    """The heat of both planes; word lines have pulses in cells whose bit lines rest, too."""
    straight = StraightCells(cells.zero_s, cells.slope_s)
    plus = total_energy_j(w[0], straight, trains, up, down)
    if 1 in cells.sides:
        return plus + total_energy_j(w[1], straight, _opposite(trains), up, down)
    return plus + half_selected_energy_j(w[1], straight, trains.words, up, down)


def _opposite(trains: PulseTrains) -> PulseTrains:
    """The trains that move the minus cell of a pair the other way."""
    return replace(trains, bits=trains.bits ^ torch.tensor(-1 << 31, dtype=torch.int32))
