"""Twenty stochastic updates of a 16 x 8 array by table, equations and ngspice."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.array.updates.tile import TileUpdate, update_tile
from cosim.driven.engines import Means
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.ngspice import find_ngspice
from cosim.pulses.trains import PulseTrains, UpdateRule, coincidence_counts, pulse_trains
from cosim.surrogate.update import UpdateSurrogate
from cosim.tables.cache import cached_update, updates_folder
from cosim.tables.layout import QUICK
from netlists.pulse import Pulse
from netlists.wires import Wires

PAGE = "performance.md"
TITLE = "Updates by pulse trains"
TEXT = """
16 x 8 cells behind 5 ohm a segment, drivers of 20 ohm at the word lines and of 40 at the bit lines:
20 updates of 3 pulses a train, one after the other, half-selected cells included. `moved` is the
rms of how far the states went in ngspice and the largest of it, in parts of the range; the others
are the rms of the difference to ngspice over that rms. `control` is one constant step at every
coincidence, that of a cell in the middle of the states without wires. VTEAM has resistances of 500
ohm to 10 kohm and thresholds of 0.5 V; Stanford is sky130. Times are of the 20 updates, without
measuring the table; ngspice takes 200 steps a slot.
"""

_MOST, _CONTROL, _FASTER = 0.10, 3.0, 50.0
_SHAPE = (16, 8)
_UPDATES = 20
BALANCED = {"v_on": -0.5, "v_off": 0.5, "k_on": -0.2, "k_off": 0.125, "r_on": 500.0, "r_off": 1e4}


@dataclass(frozen=True)
class Case:
    """An array, what is put on its lines, and the table of its device.

    Attributes:
        array: before the updates.
        trains: of all updates.
        pulses: of the trains.
        table: of one pulse.
    """

    array: WritableArray
    trains: PulseTrains
    pulses: TrainPulses
    table: UpdateSurrogate


def case(device: str, shape: tuple[int, int] = _SHAPE, updates: int = _UPDATES) -> Case:
    """Random states, x and d; `device` is vteam or stanford."""
    model = find_model(device)
    if device == "vteam":
        numbers = find_set(model, "sine")
        numbers = replace(
            numbers, name="balanced", amplitude_v=1.0, values={**numbers.values, **BALANCED}
        )
        up, down = Pulse(-0.72, 1e-9, 5e-11, 5e-11), Pulse(0.75, 1e-9, 5e-11, 5e-11)
        low, high = 0.3, 0.7
    else:
        numbers = find_set(model, "sky130")
        up, down = Pulse(1.37, 1e-8, 5e-10, 5e-10), Pulse(-1.39, 1e-8, 5e-10, 5e-10)
        low, high = 0.18, 0.28
    states = {x.name: np.full(shape, numbers.initial[x.name]) for x in model.states}
    bare = WritableArray(
        model, numbers, Wires(r_wordline_ohm=5.0, r_bitline_ohm=5.0), states,
        r_word_driver_ohm=20.0, r_bit_driver_ohm=40.0,
    )  # fmt: skip
    array = bare.at_fractions(np.random.default_rng(3).uniform(low, high, shape))
    rng = np.random.default_rng(5)
    x, d = (torch.from_numpy(rng.uniform(-1, 1, (updates, lines))) for lines in shape)
    rule = UpdateRule(lr=3e-3, dw_min=1e-3, max_pulses=3)
    trains = pulse_trains(x, d, rule, Stream(3, 0).at("array", 0))
    levels = (1.02 * up.amplitude_v, 1.02 * down.amplitude_v)
    table = cached_update(
        model, numbers, up, (min(levels), max(levels)), folder=updates_folder(), effort=QUICK
    ).surrogate
    return Case(array, trains, TrainPulses(up, down, up.width_s / 4), table)


@dataclass(frozen=True, eq=False)
class Movement:
    """What one fidelity made of a case.

    Attributes:
        moved: change of the written states, as parts of their range, [row, col].
        result: all of it.
        wall_s: how long it took.
    """

    moved: NDArray[np.float64]
    result: TileUpdate
    wall_s: float


def movement(given: Case, fidelity: str, means: Means) -> Movement:
    """The updates of a case by one fidelity.

    Raises:
        RuntimeError: they did not end well.
    """
    started = time.perf_counter()
    result = update_tile(fidelity, given.array, given.trains, given.pulses, means)
    wall_s = time.perf_counter() - started
    if result.reason:
        raise RuntimeError(f"{fidelity}: {result.outcome}, {result.reason}")
    return Movement(result.array.fractions() - given.array.fractions(), result, wall_s)


def control(given: Case) -> NDArray[np.float64]:
    """One constant step at each coincidence, without wires, [row, col]."""
    begun = given.array.fractions()
    middle = torch.tensor(float(begun.mean()), dtype=torch.float64)
    counts = coincidence_counts(given.trains).numpy()
    total = np.zeros_like(begun)
    for pulse, sign in ((given.pulses.up, 1), (given.pulses.down, -1)):
        level = torch.tensor(pulse.amplitude_v, dtype=torch.float64)
        step = float(given.table.after(middle, level) - middle)
        total += step * np.maximum(sign * counts, 0).sum(0)
    return np.clip(begun + total, 0, 1) - begun


def rms(table: NDArray[np.float64]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(table**2)))


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per device."""
    torch.set_num_threads(1)
    columns = ["device", "moved", "table", "ode", "control", "heat: table, ode"]
    columns += ["table takes", "ode", "ngspice"]
    wanted = f"<= {_MOST:.0%}, control {_CONTROL:g} x that, table {_FASTER:g} x faster"
    return [*columns, wanted], [_row(device) for device in ("vteam", "stanford")]


def _row(device: str) -> list[str]:
    given = case(device)
    means = Means(tables=(given.table,), ngspice=find_ngspice())
    # The first one prepares what is needed once; the median of five.
    tables = [movement(given, "table", means) for _ in range(6)][1:]
    table = sorted(tables, key=lambda one: one.wall_s)[2]
    ode, known = (movement(given, one, means) for one in ("ode", "spice"))
    size = rms(known.moved)
    table_off, ode_off, control_off = (
        rms(one - known.moved) / size for one in (table.moved, ode.moved, control(given))
    )
    heat_j = known.result.energy_j.sum()
    heats = [abs(float(one.result.energy_j.sum() / heat_j) - 1) for one in (table, ode)]
    good = max(table_off, ode_off) <= _MOST and control_off >= _CONTROL * _MOST
    good &= known.wall_s >= _FASTER * table.wall_s and float(np.abs(known.moved).max()) >= 0.1
    return [
        f"{device}, {given.array.parameter_set.name}",
        f"{size:.3f}, {np.abs(known.moved).max():.2f}",
        f"{table_off:.2%}",
        f"{ode_off:.2%}",
        f"{control_off:.0%}",
        f"{heats[0]:.1%}, {heats[1]:.1%}",
        f"{1e3 * table.wall_s:.0f} ms",
        f"{ode.wall_s:.1f} s",
        f"{known.wall_s:.1f} s",
        "yes" if good else "**no**",
    ]
