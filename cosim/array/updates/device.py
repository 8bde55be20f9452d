"""Updates of cells by what voltages do to them, as an array asks for them.

Weights become states, states are moved by `update_layer` at one of its fidelities behind the wires
and drivers of every tile, and states become weights again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from compact_models.errors import InputError
from compact_models.variation import Draw
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import DrivenCells
from cosim.array.protocols import Moved
from cosim.array.updates.layer import update_layer
from cosim.driven.engines import Means
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.ngspice import Outcome
from cosim.pulses.trains import PulseTrains, coincidence_counts
from cosim.surrogate.update import UpdateNoise

_ADVICE = {
    "table": 'take update = "ode", which follows a cell through a pulse',
    "ode": 'take update = "spice", smaller pulses ([pulse]) or a smaller learning rate',
    "spice": "take smaller pulses ([pulse]) or a smaller learning rate",
}


@dataclass(frozen=True, eq=False)
class DeviceUpdates:
    """Updates of one matrix.

    Attributes:
        name: the fidelity: table, ode or spice.
        layout: how the matrix lies in tiles.
        like: device, wires and drivers of all tiles.
        pulses: what the lines of every tile carry, [chip][tile].
        means: what the fidelity computes with.
        layer: whose cells they are, for messages.
        sigma_step: standard deviation of a step from pulse to pulse, as a part of it.
    """

    name: str
    layout: TileLayout
    like: WritableArray
    pulses: Sequence[Sequence[TrainPulses]]
    means: Means
    layer: str = ""
    sigma_step: float = 0.0

    def of_tiles(self, layout: TileLayout, some: slice) -> DeviceUpdates:
        """The updates of one of several arrays that hold a matrix together.

        Args:
            layout: of that array.
            some: which of the tiles are its.
        """
        return replace(self, layout=layout, pulses=[one[some] for one in self.pulses])

    def update(
        self,
        w: torch.Tensor,
        cells: DrivenCells,
        trains: Sequence[PulseTrains],
        draw: Draw | None,
        counts: torch.Tensor,
    ) -> Moved:
        """See `cosim.array.protocols.Updates`.

        Raises:
            InputError: weights in single precision, in which small steps would be lost.
        """
        check_double(w.dtype)
        before = cells.states(w)
        noise = None if draw is None or not self.sigma_step else UpdateNoise(self.sigma_step, draw)
        found = update_layer(
            self.name, before, self.layout, self.like, trains, self.pulses, self.means,
            pair=cells.pair, own=cells.own, noise=noise,
        )  # fmt: skip
        # A cell that has not moved keeps its weight to the last digit.
        w.copy_(torch.where(found.state == before, w, cells.weights(found.state)))
        for chip, own in enumerate(trains):
            asked = coincidence_counts(own).abs().sum(0, dtype=counts.dtype)
            for side in cells.sides:
                counts[chip, side] += asked
        reason = ""
        if found.outcome is not Outcome.OK:
            where = f"{self.layer}, " if self.layer else ""
            reason = f"{where}{found.reason} ({found.outcome}); {_ADVICE[self.name]}"
        return Moved(
            found.coincidences,
            found.pulses,
            float(found.energy_j.sum()),
            outcome=found.outcome,
            reason=reason,
        )


def check_double(dtype: torch.dtype) -> None:
    """Refuses weights in which small steps would be lost.

    Raises:
        InputError: they are not in double precision.
    """
    if dtype != torch.float64:
        raise InputError(
            "cells that voltages move are held in double precision: small steps would be lost",
            where="dtype",
            value=str(dtype),
            allowed="torch.float64",
            hint="model.double()",
        )
