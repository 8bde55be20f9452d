"""Updates by the device's equations, integrated behind the wires in torch."""

from __future__ import annotations

from cosim.array.updates.tile import TileUpdate, by_engine
from cosim.driven.engines import Means, pulse_engine
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.pulses.trains import PulseTrains
from cosim.surrogate.update import UpdateNoise


def updates(
    array: WritableArray,
    trains: PulseTrains,
    pulses: TrainPulses,
    means: Means,
    noise: UpdateNoise | None = None,
) -> TileUpdate:
    """See `cosim.array.updates.tile.update_tile`; an update is one stimulus."""
    engine = pulse_engine("ode", means)
    return by_engine(lambda _slots: engine, array, trains, pulses, noise)


UPDATES = updates
