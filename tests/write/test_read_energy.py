"""The heat of readings, beside ngspice's waveforms of the same voltages."""

from __future__ import annotations

import numpy as np
import pytest

from compact_models.library import find_model, find_set
from cosim.driven.ode import ode_engine
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.driven.writable import WritableArray
from cosim.ngspice import Ngspice
from cosim.write.amplitudes import History
from cosim.write.verify import VerifySpec, write_verify
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme

SHAPE = (3, 4)
READ_V, READ_S = -0.15, 2e-7


def never(_now: np.ndarray, _goal: np.ndarray, _history: History) -> np.ndarray:
    raise AssertionError("every cell is where it should be")


@pytest.mark.ngspice
@pytest.mark.parametrize(("name", "one"), [("stanford", "sky130"), ("jart_v1b", "hfo2")])
def test_readings_heat_the_cells_that_are_read(ngspice: Ngspice, name: str, one: str) -> None:
    model = find_model(name)
    numbers = find_set(model, one)
    no_wires = Wires(r_wordline_ohm=0, r_bitline_ohm=0)
    states = {x.name: np.full(SHAPE, numbers.initial[x.name]) for x in model.states}
    array = WritableArray(model, numbers, no_wires, states).at_fractions(
        np.random.default_rng(4).uniform(0.05, 0.95, SHAPE)
    )
    target_s = np.full(SHAPE, np.nan)
    target_s[1] = array.conductance_s(READ_V)[1]
    spec = VerifySpec(tolerance_s=1e-9, read_v=READ_V, read_s=READ_S, at_once=4)
    pulse = Pulse(1.0, 1e-8, 1e-10, 1e-10)
    found = write_verify(
        array, target_s, find_scheme("v2"), (pulse, pulse), ode_engine(), never, spec
    )
    assert found.ledger.reads == 1 + SHAPE[0]  # the row, and the whole array at the end
    assert not found.ledger.energy_j.any()

    edge_s = 1e-4 * READ_S
    times = np.array([0, edge_s, READ_S - edge_s, READ_S])
    word_v = READ_V * np.array([0.0, 1.0, 1.0, 0.0])
    stimulus = PulsedArray(
        model, numbers, SHAPE, no_wires, times,
        word_v=np.tile(word_v, (SHAPE[0], 1)), bit_v=np.zeros((SHAPE[1], 4)),
        initial=dict(array.states),
    )  # fmt: skip
    run = run_spice(stimulus, ngspice, energy=True)
    assert not run.reason
    times_read = np.array([1, 2, 1])[:, None]
    np.testing.assert_allclose(found.ledger.read_j, times_read * run.energy_j, rtol=2e-3)
