"""The pulse generators of the update phase: one at every word line and one at every bit line.

Where a word line and a bit line have a pulse at once, each at half the voltage and of opposite
signs, the cell between them sees all of it. Generators differ from line to line: in amplitude by
one factor, in width by another, both drawn once for a chip.
"""

from __future__ import annotations

from pydantic import Field

from compact_models.spec import Spec
from netlists.pulse import Pulse


class PulseSpec(Spec):
    """The pulses of updates, and how far those of one line are from those of another."""

    amplitude_v: float = Field(
        1.6, gt=0, le=100, description="across a cell where two pulses meet that raise it [V]"
    )
    amplitude_down_v: float = Field(
        1.6, gt=0, le=100, description="likewise where they lower it, its size [V]"
    )
    width_s: float = Field(5e-8, gt=0, le=10, description="length of a pulse, without edges [s]")
    edge_s: float = Field(1e-9, gt=0, le=1, description="length of either edge [s]")
    gap_s: float = Field(0.0, ge=0, le=10, description="pause between two pulses [s]")
    sigma_amplitude: float = Field(
        0.0, ge=0, le=0.5, description="relative standard deviation of amplitudes, line by line"
    )
    sigma_width: float = Field(
        0.0, ge=0, le=0.5, description="relative standard deviation of widths, line by line"
    )

    @property
    def nominal(self) -> Pulse:
        """The pulse of a generator without errors that raises a cell."""
        return Pulse(self.amplitude_v, self.width_s, self.edge_s, self.edge_s)
