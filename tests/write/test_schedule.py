"""Schedules: trains in one run, halves that go on where the first ended, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.driven.ode import ode_engine
from cosim.driven.result import Engine
from cosim.driven.schedule import Event, scheduled, train
from cosim.driven.spice import spice_engine
from cosim.driven.writable import WritableArray
from cosim.ngspice import Ngspice
from netlists.access import Transistor
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import find_scheme

V2 = find_scheme("v2")
PULSE = Pulse(1.0, 8e-8, 1e-8, 1e-8)


def array_of(name: str, chosen: str, shape: tuple[int, int]) -> WritableArray:
    """Cells at random states, with wires of 5 ohm."""
    model = find_model(name)
    numbers = find_set(model, chosen)
    states = {x.name: np.full(shape, numbers.initial[x.name]) for x in model.states}
    base = WritableArray(model, numbers, Wires(r_wordline_ohm=5, r_bitline_ohm=5), states)
    return base.at_fractions(np.random.default_rng(3).uniform(0.1, 0.9, shape))


def one_row(shape: tuple[int, int], row: int, volts: float) -> np.ndarray:
    table = np.zeros(shape)
    table[row, ::2] = volts
    return table


@pytest.mark.ngspice
@pytest.mark.parametrize("engine", ["torch", "ngspice"])
def test_two_halves_are_one_run(ngspice: Ngspice, engine: str) -> None:
    run: Engine = ode_engine() if engine == "torch" else spice_engine(ngspice, steps=1000)
    array = array_of("vteam", "sine", (4, 3))
    # Up in one row, down in another: half-selected cells move too.
    events = [
        *train(one_row((4, 3), 1, 0.4), PULSE, 3, rest_s=2e-8),
        *(
            replace(one, start_s=one.start_s + 4e-7)
            for one in train(one_row((4, 3), 2, -0.45), PULSE, 3, rest_s=2e-8)
        ),
    ]
    whole = run(scheduled(array, V2, events))
    first = run(scheduled(array, V2, events[:3]))
    later = [replace(one, start_s=one.start_s - 4e-7) for one in events[3:]]
    second = run(scheduled(array.after(first.states), V2, later))
    assert not whole.failed + first.failed + second.failed
    at_end = array.after(whole.states).fractions()
    np.testing.assert_allclose(array.after(second.states).fractions(), at_end, atol=1e-4)
    moved = np.abs(at_end - array.fractions())
    assert moved[1, ::2].min() > 0.01
    assert moved[2, ::2].min() > 0.01
    assert first.given_j + second.given_j == pytest.approx(whole.given_j, rel=2e-3)


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("name", "chosen", "volts", "width_s", "count"),
    [
        ("vteam", "sine", 0.3, 2e-9, 12),
        pytest.param("stanford", "sky130", -1.4, 1e-8, 12, marks=pytest.mark.slow),
        pytest.param("jart_v1b", "hfo2", 1.1, 1e-8, 3, marks=pytest.mark.slow),
    ],
)
def test_a_train_on_a_small_array(
    ngspice: Ngspice, name: str, chosen: str, volts: float, width_s: float, count: int
) -> None:
    """The quick form of `./run bench write_trains`: torch against ngspice after some pulses."""
    array = array_of(name, chosen, (5, 4))
    pulse = Pulse(volts, width_s, 0.1 * width_s, 0.1 * width_s)
    events = train(one_row((5, 4), 2, volts), pulse, count, rest_s=0.5 * width_s)
    stimulus = scheduled(array, V2, events)
    known = spice_engine(ngspice, steps=250 * count)(stimulus)
    found = ode_engine()(stimulus)
    assert not known.failed + found.failed
    end = array.after(known.states).fractions()
    assert np.abs(end - array.fractions()).max() > 0.02
    np.testing.assert_allclose(array.after(found.states).fractions(), end, atol=2e-3)
    assert found.energy_j.sum() == pytest.approx(known.energy_j.sum(), rel=0.02)


def test_gates_open_before_their_pulse() -> None:
    array = replace(array_of("vteam", "sine", (4, 3)), access=Transistor())
    rows = [one_row((4, 3), 1, 0.4), one_row((4, 3), 3, -0.4)]
    events = [
        Event(1e-7, PULSE, rows[0], gate_v=2.0),
        Event(4e-7, PULSE, rows[1], gate_v=1.5),
    ]
    found = scheduled(array, find_scheme("1t1r"), events, end_s=1e-6)
    assert found.gate_v is not None
    lines = np.abs(np.concatenate([found.word_v, found.bit_v])).max(0)
    for k, event in enumerate(events):
        inside = (found.time_s >= event.start_s) & (found.time_s <= event.end_s)
        assert inside.sum() == 4
        row, level = (1, 2.0) if k == 0 else (3, 1.5)
        np.testing.assert_array_equal(found.gate_v[row, inside], level)
        assert lines[inside].max() == pytest.approx(0.4)
    assert found.time_s[-1] == 1e-6
    assert lines[0] == lines[-1] == 0


def test_schedules_that_cannot_be() -> None:
    array = array_of("vteam", "sine", (4, 3))
    good = one_row((4, 3), 1, 0.4)
    with pytest.raises(InputError, match="never selects a cell"):
        scheduled(array, V2, [])
    nothing = Event(1e-6, PULSE, np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"events\[1\].*selects no cell"):
        scheduled(array, V2, [Event(0.0, PULSE, good), nothing])
    with pytest.raises(InputError, match=r"events\[1\].start_s.*overlap.*5e-08.*1e-07 s"):
        scheduled(array, V2, [Event(0.0, PULSE, good), Event(5e-8, PULSE, good)])
    with pytest.raises(InputError, match=r"events\[0\].start_s.*before the run"):
        scheduled(array, V2, [Event(-1e-9, PULSE, good)])
    with pytest.raises(InputError, match=r"end_s.*ends before its last pulse"):
        scheduled(array, V2, [Event(0.0, PULSE, good)], end_s=5e-8)
    with pytest.raises(InputError, match=r"amplitude_v\[1, 0\].*beyond.*4\.0.*-0\.75 to 0\.75 V"):
        scheduled(array, V2, [Event(0.0, PULSE, 10 * good)])
    with pytest.raises(InputError, match=r"events\[0\].amplitude_v.*\(4, 3\)"):
        scheduled(array, V2, [Event(0.0, PULSE, good.T)])
