"""An array through a pulse in torch: against ngspice, cell by cell, and Kirchhoff's law."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.library import find_model, find_set
from cosim.driven.lines import DrivenLines, voltages_across
from cosim.driven.ode import run_ode
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.ngspice import Ngspice, Outcome
from netlists.wires import Wires

SHAPE = (5, 4)
ROW, COL = 1, 2  # the cell that is written


def half_selected(name: str, chosen: str, volts: float, width_s: float) -> PulsedArray:
    """One cell written by halves of the voltage on its lines, from random states."""
    model = find_model(name)
    numbers = find_set(model, chosen)
    rng = np.random.default_rng(4)
    initial = {}
    for state in model.states:
        bounds = model.bounds(dict(numbers.values))[state.name]
        if bounds is not None:
            low, high = bounds
            place = rng.uniform(0.05, 0.95, SHAPE)
            initial[state.name] = (
                low * (high / low) ** place if state.log else low + place * (high - low)
            )
    shape = np.array([0.0, 1.0, 1.0, 0.0])
    word, bit = np.zeros((SHAPE[0], 4)), np.zeros((SHAPE[1], 4))
    word[ROW], bit[COL] = 0.5 * volts * shape, -0.5 * volts * shape
    return PulsedArray(
        model=model,
        parameter_set=numbers,
        shape=SHAPE,
        wires=Wires(r_wordline_ohm=9.0, r_bitline_ohm=4.0),
        time_s=np.array([0.0, 0.02, 0.5, 0.52]) * width_s,
        word_v=word,
        bit_v=bit,
        initial=initial,
        stuck_s=np.where(np.arange(20).reshape(SHAPE) == 13, 2e-4, np.nan),
    )


def fractions(array: PulsedArray, name: str, values: np.ndarray) -> np.ndarray:
    (state,) = (one for one in array.model.states if one.name == name)
    bounds = array.model.bounds(dict(array.parameter_set.values))[name]
    assert bounds is not None
    low, high = bounds
    if state.log:
        return np.asarray(np.log(values / low) / np.log(high / low))
    return np.asarray((values - low) / (high - low))


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("name", "chosen", "volts", "width_s"),
    [
        ("vteam", "sine", 1.0, 1e-7),
        pytest.param("vteam", "sine", -1.0, 1e-7, marks=pytest.mark.slow),
        pytest.param("stanford", "sky130", 2.2, 1e-7, marks=pytest.mark.slow),
        ("stanford", "sky130", -2.2, 1e-7),
        pytest.param("jart_v1b", "hfo2", 1.2, 1e-6, marks=pytest.mark.slow),
    ],
)
def test_every_cell_ends_where_ngspice_has_it(
    ngspice: Ngspice, name: str, chosen: str, volts: float, width_s: float
) -> None:
    array = half_selected(name, chosen, volts, width_s)
    known = run_spice(array, ngspice, steps=1000)
    assert known.outcome is Outcome.OK, known.reason
    found = run_ode(array)
    assert not found.failed
    for state in array.initial:
        was = fractions(array, state, array.start(state))
        wanted = fractions(array, state, known.states[state])
        moved = np.abs(wanted - was)
        assert np.nanmax(moved) > 5e-3  # something was written
        off = np.abs(fractions(array, state, found.states[state]) - wanted)
        assert np.isnan(off[3, 1])  # is stuck
        assert np.isnan(off).sum() == 1
        assert np.nanmax(off) < 5e-4
    largest = np.abs(known.word_a).max()
    assert np.abs(found.word_a - known.word_a).max() < 2e-3 * largest
    assert np.abs(found.bit_a - known.bit_a).max() < 2e-3 * largest


def test_what_the_drivers_give_becomes_heat() -> None:
    """By the currents at the ends, on a time grid of their own, and by the cells and the wires."""
    array = half_selected("vteam", "sine", 1.0, 1e-7)
    times = np.unique(np.concatenate([array.time_s, np.linspace(0, array.time_s[-1], 401)]))

    def at(table: np.ndarray) -> np.ndarray:
        return np.array([np.interp(times, array.time_s, row) for row in table])

    fine = PulsedArray(
        **{**vars(array), "time_s": times, "word_v": at(array.word_v), "bit_v": at(array.bit_v)}
    )
    found = run_ode(fine)
    power = (fine.word_v * found.word_a).sum(0) + (fine.bit_v * found.bit_a).sum(0)
    given = float(np.trapezoid(power, times))
    assert found.given_j == pytest.approx(given, rel=1e-3)
    assert found.energy_j.sum() < 0.98 * given
    coarse = run_ode(array)
    np.testing.assert_allclose(coarse.energy_j, found.energy_j, rtol=2e-3, atol=1e-3 * given / 20)


def test_the_drop_is_that_of_the_nodes() -> None:
    """Against the nodal equations of the whole network, driver resistances included."""
    rows, cols, r_word, r_bit, r_end, r_bit_end = 3, 4, 7.0, 3.0, 20.0, 45.0
    rng = np.random.default_rng(0)
    g = rng.uniform(1e-4, 5e-3, (rows, cols))
    word_v, bit_v = rng.uniform(-1, 1, rows), rng.uniform(-1, 1, cols)
    count = rows * cols
    matrix, given = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)

    def connect(one: int, other: int, conductance: float) -> None:
        for a, b in ((one, other), (other, one)):
            matrix[a, a] += conductance
            matrix[a, b] -= conductance

    def drive(node: int, volts: float, ohm: float) -> None:
        matrix[node, node] += 1 / ohm
        given[node] += volts / ohm

    for row in range(rows):
        for col in range(cols):
            word, bit = row * cols + col, count + row * cols + col
            connect(word, bit, g[row, col])
            if col:
                connect(word - 1, word, 1 / r_word)
            else:
                drive(word, word_v[row], r_end + r_word)
            if row + 1 < rows:
                connect(bit, bit + cols, 1 / r_bit)
            else:
                drive(bit, bit_v[col], r_bit_end + r_bit)
    nodes = np.linalg.solve(matrix, given).reshape(2, rows, cols)
    lines = DrivenLines.of(
        (rows, cols),
        Wires(r_wordline_ohm=r_word, r_bitline_ohm=r_bit),
        r_word_driver_ohm=r_end,
        r_bit_driver_ohm=r_bit_end,
    )
    slope = torch.from_numpy(g)
    ends = torch.from_numpy(word_v), torch.from_numpy(bit_v)
    found = voltages_across(lambda v, _: (slope * v, slope.expand_as(v)), lines, *ends)
    assert bool(found.converged)
    np.testing.assert_allclose(found.voltage_v.numpy(), nodes[0] - nodes[1], atol=1e-9)
