"""Every way of updating of `cosim.array.updates`, and the devices, tiles and trains for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import cosim.array.updates
from compact_models.cell_device import CellDevice
from compact_models.library import find_model, find_set
from cosim.array.device_cells import device_cells
from cosim.array.device_pairs import DevicePairs
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import Pair
from cosim.array.pulse_pairs import PulsePairs
from cosim.array.updates.device import DeviceUpdates
from cosim.array.updates.layer import update_layer
from cosim.driven.engines import Means
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.pulses.trains import PulseTrains, packed
from cosim.surrogate.update import UpdateSurrogate
from cosim.tables.layout import Effort
from netlists.pulse import Pulse
from netlists.wires import Wires
from tests.array.conformance.found import classes_with, fidelities
from tests.write.tables import kept_table

Array = NDArray[np.float64]

MODEL = find_model("vteam")
UP, DOWN = Pulse(-0.85, 1e-9, 5e-11, 5e-11), Pulse(0.72, 1e-9, 5e-11, 5e-11)
PULSES = TrainPulses(UP, DOWN, 2e-10)
# Steps of a few percent of the range by 0.7 V, and nothing by half of it.
SINE = find_set(MODEL, "sine")
NUMBERS = replace(
    SINE,
    name="balanced",
    amplitude_v=1.0,
    values={
        **SINE.values,
        **{"v_on": -0.5, "v_off": 0.5, "k_on": -0.4, "k_off": 0.35, "r_on": 200.0, "r_off": 4e3},
    },
)
RANGE = NUMBERS.values["w_off"] - NUMBERS.values["w_on"]
COARSE = Effort(levels=9, level_rounds=3, states=9, state_rounds=2, error=1e-2, held_out=100)


@cache
def table() -> UpdateSurrogate:
    return kept_table(MODEL, NUMBERS, UP, (-0.95, 0.8), COARSE)


def tile_of(shape: tuple[int, int]) -> WritableArray:
    bare = WritableArray(
        MODEL, NUMBERS, Wires(r_wordline_ohm=5.0, r_bitline_ohm=3.0),
        {"w": np.zeros(shape)}, r_word_driver_ohm=20.0, r_bit_driver_ohm=55.0,
    )  # fmt: skip
    return bare.at_fractions(np.random.default_rng(3).uniform(0.3, 0.7, shape))


def opposite_pair(shape: tuple[int, int], pulses: int = 2) -> PulseTrains:
    """Two updates whose x are each other's negatives; every line has a pulse now and then."""
    rng = np.random.default_rng(8)
    sides = []
    for lines, turns in zip(shape, (True, False), strict=True):
        has = rng.random((1, lines, pulses)) < 0.7
        has[0, 0, 0] = True
        negative = rng.random((1, lines)) < 0.4
        both = np.concatenate([negative, ~negative if turns else negative])
        sides.append(packed(np.repeat(has, 2, axis=0), both))
    return PulseTrains(*sides, torch.full((2,), pulses), 0, 0)


def part(trains: PulseTrains, first: int, last: int) -> PulseTrains:
    return replace(
        trains,
        words=trains.words[first:last],
        bits=trains.bits[first:last],
        length=trains.length[first:last],
    )


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _offered(module: ModuleType) -> dict[str, Any]:
    """Updates of a matrix by a law, or of a tile by whoever computes its circuit."""
    of_tile = {"UPDATES": module.UPDATES} if hasattr(module, "UPDATES") else {}
    return {**classes_with(module, "update"), **of_tile}


UPDATERS: dict[str, Any] = fidelities(cosim.array.updates, _offered)
REFERENCE = "spice"
OF_TILES = tuple(name for name, one in UPDATERS.items() if not isinstance(one, type))


def updated(
    name: str,
    state: torch.Tensor,
    layout: TileLayout,
    trains: list[PulseTrains],
    means: Means,
    *,
    pair: Pair,
) -> tuple[torch.Tensor, int]:
    """By how much every cell's conductance has been raised, and how many steps were asked for.

    The raise is in whatever unit the cells' state has, by the sign of what it does to them.

    Args:
        name: who computes it.
        state: as parts of the range, [chip, side, row, out].
        layout: how they lie in tiles.
        trains: of each chip.
        means: what it computes with.
        pair: which cells of a pair pulses reach.
    """
    if name in OF_TILES:
        like = WritableArray(MODEL, NUMBERS, Wires(0.0, 0.0), {"w": np.zeros((1, 1))})
        begun = state * RANGE
        found = update_layer(
            name, begun, layout, like, trains, [[PULSES] * layout.tiles] * len(state), means,
            pair=pair,
        )  # fmt: skip
        # Up is a higher conductance and a lower state of VTEAM.
        return (begun - found.state) / RANGE, found.coincidences
    if UPDATERS[name] is DeviceUpdates:
        cells = DevicePairs(device_cells(CellDevice(MODEL, NUMBERS), 0.1), (3e-4, 4e-3), 0.01, pair)
        w = cells.weights(state * RANGE)
        begun = w.clone()
        like = WritableArray(MODEL, NUMBERS, Wires(0.0, 0.0), {"w": np.zeros((1, 1))})
        made = DeviceUpdates("table", layout, like, [[PULSES] * layout.tiles] * len(w), means)
        moved = made.update(w, cells, trains, None, torch.zeros(w.shape, dtype=torch.int32))
        return w - begun, moved.coincidences
    model = find_model("constant_step")
    pairs = PulsePairs(model, model.parameter_sets[0], pair=pair)
    w = state - 0.5
    begun = w.clone()
    counts = torch.zeros(w.shape, dtype=torch.int32)
    moved = UPDATERS[name]().update(w, pairs, trains, None, counts)
    return w - begun, moved.coincidences
