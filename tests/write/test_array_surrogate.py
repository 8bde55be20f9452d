"""Whole arrays by the update surrogate, against the device's equations and the wires together."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from compact_models.library import find_model, find_set
from cosim.driven.ode import ode_engine
from cosim.driven.result import PulseResult
from cosim.driven.table import table_engine
from cosim.driven.writable import WritableArray
from cosim.surrogate.update import UpdateSurrogate
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme
from tests.write.tables import kept_table

PULSE = Pulse(0.35, 2e-8, 4e-10, 4e-10)


@cache
def surrogate() -> UpdateSurrogate:
    model = find_model("vteam")
    return kept_table(model, find_set(model, "sine"), PULSE, (-0.4, 0.4))


def cells(shape: tuple[int, int], ohm: float, driver_ohm: float = 0.0) -> WritableArray:
    model = find_model("vteam")
    wires = Wires(r_wordline_ohm=ohm, r_bitline_ohm=2 * ohm)
    bare = WritableArray(
        model, find_set(model, "sine"), wires, {},
        r_word_driver_ohm=driver_ohm, r_bit_driver_ohm=driver_ohm,
    )  # fmt: skip
    return bare.at_fractions(np.random.default_rng(3).uniform(0.1, 0.9, shape))


def both(array: WritableArray, amplitude_v: np.ndarray) -> tuple[PulseResult, PulseResult]:
    stimulus = array.under(find_scheme("v2").levels(amplitude_v), PULSE)
    return table_engine(surrogate())(stimulus), ode_engine(tolerance=1e-5)(stimulus)


LEVELS_V = np.array([0.24, 0.0, 0.26, 0.22, 0.25])


@pytest.mark.parametrize("scale", [1, -0.86])
def test_several_cells_of_a_line_move_as_by_their_equations(scale: float) -> None:
    array = cells((6, 5), 0.05, driver_ohm=0.2)
    amplitude_v = np.zeros((6, 5))
    amplitude_v[4] = scale * LEVELS_V
    ours, theirs = both(array, amplitude_v)
    assert not ours.failed
    assert not theirs.failed
    range_m = 3e-9
    moved = (theirs.states["w"] - array.states["w"]) / range_m
    assert np.abs(moved[4, [0, 2, 4]]).max() > 0.03
    apart = np.abs(ours.states["w"] - theirs.states["w"]) / range_m
    assert apart.max() < 0.02 * np.abs(moved).max()
    assert ours.energy_j == pytest.approx(theirs.energy_j, rel=0.05)
    assert ours.given_j == pytest.approx(theirs.given_j, rel=0.02)


def test_neighbours_that_switch_far_are_off_by_what_the_module_says() -> None:
    # Three cells go through a tenth to a third of the range and take voltage from each other.
    array = cells((6, 5), 0.05, driver_ohm=0.2)
    amplitude_v = np.zeros((6, 5))
    amplitude_v[4] = -0.95 * LEVELS_V
    ours, theirs = both(array, amplitude_v)
    apart = np.abs(ours.states["w"] - theirs.states["w"]) / 3e-9
    assert 0.01 < apart.max() < 0.06


def test_wires_that_take_most_of_the_voltage_are_solved() -> None:
    # Rounds of currents and voltages run away here: each drop would be larger than the one before.
    array = cells((12, 20), 5.0)
    amplitude_v = np.zeros((12, 20))
    amplitude_v[2] = -0.38
    ours, theirs = both(array, amplitude_v)
    assert not ours.failed
    assert not theirs.failed
    assert ours.given_j == pytest.approx(theirs.given_j, rel=0.03)
    assert ours.energy_j.sum() == pytest.approx(theirs.energy_j.sum(), rel=0.03)
    assert ours.energy_j.sum() < 0.7 * ours.given_j


def test_cells_that_nothing_moves_keep_their_states_to_the_last_digit() -> None:
    array = cells((6, 5), 0.05)
    amplitude_v = np.zeros((6, 5))
    amplitude_v[1, 3] = -0.3
    ours, _ = both(array, amplitude_v)
    rests = np.ones((6, 5), dtype=bool)
    rests[1, 3] = False
    assert np.array_equal(ours.states["w"][rests], array.states["w"][rests])
    assert ours.states["w"][1, 3] != array.states["w"][1, 3]


def test_stuck_cells_take_current_and_stay() -> None:
    whole = cells((4, 3), 1.0)
    stuck_s = np.full((4, 3), np.nan)
    stuck_s[2, 1] = 0.1
    states = {"w": np.where(np.isnan(stuck_s), whole.states["w"], np.nan)}
    array = WritableArray(whole.model, whole.parameter_set, whole.wires, states, stuck_s=stuck_s)
    amplitude_v = np.zeros((4, 3))
    amplitude_v[2] = -0.22
    ours, theirs = both(array, amplitude_v)
    assert np.isnan(ours.states["w"][2, 1])
    assert ours.energy_j[2, 1] == pytest.approx(theirs.energy_j[2, 1], rel=0.02)
