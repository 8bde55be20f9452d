"""Updates in ngspice: the netlist of the tile with the trains on its lines."""

from __future__ import annotations

from dataclasses import replace

from cosim.array.updates.tile import TileUpdate, by_engine
from cosim.driven.engines import Means, pulse_engine
from cosim.driven.result import Engine
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
    """See `cosim.array.updates.tile.update_tile`; an update is one transient.

    The longest step of time is the duration of a slot over `means.steps`.
    """

    def engine(slots: int) -> Engine:
        return pulse_engine("spice", replace(means, steps=means.steps * slots))

    return by_engine(engine, array, trains, pulses, noise)


UPDATES = updates
