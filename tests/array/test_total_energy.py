"""The energy of updates in all cells together, against a count of every slot and every cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.array.updates.tile import update_tile
from cosim.driven.engines import Means
from cosim.driven.train_pulses import TrainPulses, train_slots
from cosim.driven.writable import WritableArray
from cosim.pulses.total_energy import StraightCells, row_sums, total_energy_j
from cosim.pulses.trains import PulseTrains, UpdateRule, pulse_trains
from netlists.pulse import Pulse
from netlists.wires import Wires

SHAPE = (7, 4)
UP, DOWN = Pulse(1.5, 3e-9, 4e-10, 2e-10), Pulse(-1.2, 2e-9, 1e-10, 5e-10)
RNG = np.random.default_rng(5)
W = RNG.uniform(-1, 1, SHAPE)
CELLS = StraightCells(2.75e-5, 2.25e-5)


def trains(lr: float = 4e-3, shape: tuple[int, int] = SHAPE) -> PulseTrains:
    x, d = (torch.from_numpy(RNG.uniform(-1, 1, (6, lines))) for lines in shape)
    return pulse_trains(x, d, UpdateRule(lr, 1e-3, 9), Stream(3, 0).at("array", 0))


def counted_j(g: NDArray[np.float64], one: PulseTrains, *, bits: bool = True) -> float:
    """Slot by slot and cell by cell: the square of the voltage across each, by how long it is."""
    total = 0.0
    for sample in range(len(one.words)):
        slots = train_slots(one, sample)
        for up, rows, cols in zip(slots.up, slots.rows, slots.cols, strict=True):
            pulse = UP if up else DOWN
            for row in range(g.shape[0]):
                for col in range(g.shape[1]):
                    on = int(rows[row]) + int(bits and cols[col])
                    v = pulse.amplitude_v * on / 2
                    # Edges are straight: a third of their length at the level.
                    long_s = pulse.width_s + (pulse.rise_s + pulse.fall_s) / 3
                    total += v * v * g[row, col] * long_s
    return total


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_is_what_a_count_of_all_slots_and_cells_gives(dtype: torch.dtype) -> None:
    one = trains()
    w = torch.from_numpy(W).to(dtype).numpy()
    g = CELLS.zero_s + CELLS.slope_s * w.astype(np.float64)
    known = counted_j(g, one)
    assert known > 0
    found = total_energy_j(w, CELLS, one.slots, UP, DOWN)
    assert found == pytest.approx(known, rel=1e-12)
    # Cells beside them whose bit lines rest see the pulses of word lines alone.
    beside = w[:, ::-1] ** 2
    known += counted_j(CELLS.zero_s + CELLS.slope_s * beside.astype(np.float64), one, bits=False)
    found = total_energy_j(w, CELLS, one.slots, UP, DOWN, beside=row_sums(beside))
    assert found == pytest.approx(known, rel=1e-12)


def test_a_line_without_pulses_costs_nothing() -> None:
    one = trains(lr=0.0)
    assert total_energy_j(W, CELLS, one.slots, UP, DOWN) == 0.0


def test_the_equations_of_the_cells_through_time_take_as_much() -> None:
    """Cells of a pulse device behind 1 mohm of wire, integrated through the trains on their lines.

    They move by a hundredth of their range at most, so that what they conduct before the update is
    what they conduct, about; the error is below that.
    """
    model = find_model("constant_step")
    numbers = find_set(model, "gokmen_vlasov")
    v = numbers.values
    slope_s = (v["g_max"] - v["g_min"]) / (v["w_max"] - v["w_min"])
    cells = StraightCells(v["g_min"] - slope_s * v["w_min"], slope_s)
    w = RNG.uniform(-0.4, 0.4, (5, 3))
    up, down = Pulse(1.0, 1e-9, 1e-11, 1e-11), Pulse(-1.0, 1e-9, 1e-11, 1e-11)
    tile = WritableArray(
        model, numbers, Wires(r_wordline_ohm=1e-3, r_bitline_ohm=1e-3), {"w": w},
        r_word_driver_ohm=1e-3, r_bit_driver_ohm=1e-3,
    )  # fmt: skip
    one = trains(2e-3, (5, 3))
    done = update_tile("ode", tile, one, TrainPulses(up, down, 2e-11), Means())
    assert done.outcome == "ok"
    moved = np.abs(done.array.states["w"] - w).max()
    assert 0.001 <= moved <= 0.012
    found = total_energy_j(w, cells, one.slots, up, down)
    assert found == pytest.approx(done.energy_j.sum(), rel=5e-3)
