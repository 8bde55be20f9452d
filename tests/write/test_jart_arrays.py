"""JART in arrays: cells whose current an equation fixes, on lines that rest between pulses.

A cell's equation has to lead Newton's method back from anywhere, or the whole array goes in circles
when its lines reach 0 V. At 1.1 V on 16 x 16 half-selected cells have three currents for their
voltage: both engines, and the heat, stay on the one that comes from 0 V.
"""

from __future__ import annotations

import numpy as np
import pytest

from compact_models.library import find_model, find_set
from cosim.driven.ode import ode_engine
from cosim.driven.schedule import scheduled, train
from cosim.driven.spice import spice_engine
from cosim.driven.writable import WritableArray
from cosim.ngspice import Ngspice
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("size", "level_v", "pulses"),
    [
        (16, 1.1, 1),
        pytest.param(4, 1.1, 3, marks=pytest.mark.slow),
        pytest.param(7, -0.9, 2, marks=pytest.mark.slow),
    ],
)
def test_lines_come_to_rest(ngspice: Ngspice, size: int, level_v: float, pulses: int) -> None:
    model = find_model("jart_v1b")
    numbers = find_set(model, "hfo2")
    shape, width_s = (size, size), 1e-8
    states = {"n_disc": np.full(shape, numbers.initial["n_disc"])}
    base = WritableArray(model, numbers, Wires(r_wordline_ohm=5, r_bitline_ohm=5), states)
    array = base.at_fractions(np.random.default_rng(3).uniform(0.1, 0.9, shape))
    levels_v = np.zeros(shape)
    levels_v[min(5, size - 1), ::2] = level_v
    pulse = Pulse(level_v, width_s, 0.1 * width_s, 0.1 * width_s)
    events = train(levels_v, pulse, pulses, rest_s=0.5 * width_s)
    stimulus = scheduled(array, find_scheme("v2"), events)
    known = spice_engine(ngspice, steps=400 * pulses)(stimulus)
    assert not known.failed
    found = ode_engine()(stimulus)
    assert not found.failed
    end = array.after(known.states).fractions()
    assert np.abs(end - array.fractions()).max() > 0.01  # something was written
    assert np.abs(array.after(found.states).fractions() - end).max() < 3e-4
    assert found.energy_j.sum() == pytest.approx(known.energy_j.sum(), rel=1e-3)
