"""Weights as pairs of pulse devices that voltages move: a circuit's view of `PulsePairs`.

The equations of a pulse device have its weight as their state, so a weight is a state as it stands.
What pulses do to it is no longer one step a coincidence: wires and drivers take their share of the
level, a pulse lasts as long as it does, and a cell of which only one line has a pulse moves where
half of the level is beyond its threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import torch

from compact_models.variation import Stream
from cosim.array.pulse_pairs import PulsePairs


@dataclass(frozen=True, eq=False)
class DrivenPulsePairs(PulsePairs):
    """The pulse devices of one matrix on one or many chips.

    Attributes:
        widths: how long a pulse is beyond the threshold, in widths of the parameter set.
    """

    widths: float = field(default=1.0, metadata={"told": False})  # of pulses, not of cells

    @staticmethod
    def of(pairs: PulsePairs, widths: float) -> DrivenPulsePairs:
        """The same cells, under pulses of so many widths."""
        given = {one.name: getattr(pairs, one.name) for one in fields(PulsePairs)}
        return DrivenPulsePairs(**given, widths=widths)

    @property
    def moving(self) -> tuple[int, ...]:
        """Both: cells that stand still are half-selected by the pulses of their word lines."""
        return (0, 1)

    @property
    def dw_min(self) -> float:
        """The step of the parameter set at weight 0, for a pulse as long as these."""
        return self.widths * self.nominal.values["dw_min"]

    @property
    def own(self) -> Mapping[str, torch.Tensor]:
        """See `DrivenCells`: what was drawn, and the conductances of bounds that were."""
        return self.spread_with_ends

    def states(self, w: torch.Tensor) -> torch.Tensor:
        """See `DrivenCells`."""
        return w.to(torch.float64)

    def weights(self, states: torch.Tensor) -> torch.Tensor:
        """See `DrivenCells`."""
        low, high = self.bounds(states)
        return states.clamp(low, high)

    def like(self, stream: Stream, name: str, chips: int) -> DrivenPulsePairs:
        """See `PairedCells`."""
        return DrivenPulsePairs.of(super().like(stream, name, chips), self.widths)
