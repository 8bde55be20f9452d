"""ngspice follows pulses that are short beside the run, and begins where it was told to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.library import find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.form import can_compile
from cosim.devices.run_ngspice import device_deck, run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.devices.short_segments import with_short_refined
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.ngspice import Ngspice, find_ngspice
from netlists.wires import Wires

FORMS = pytest.mark.parametrize("compiled", [False, True], ids=["b", "osdi"])
NO_WIRES = Wires(r_wordline_ohm=0, r_bitline_ohm=0)
# A triangle in the middle of a second: model, set, its width [s] and height [V].
SHORT = [
    ("yakopcic", "oblea", 2e-6, 3.0),
    ("team", "xyce", 1e-6, 60.0),
    ("messaris", "tio2", 1e-6, -1.6),
    ("jart_v1b", "hfo2", 2e-8, -1.5),
]
PULSES = pytest.mark.parametrize(("name", "set_name", "width_s", "volts"), SHORT)
# At -1 V it switches within a nanosecond.
QUICK = replace(VTEAM.parameter_set("pt_hf_ti"), initial={"w": 2.5e-9})
QUICK_S = np.array([0.0, 1e-3, 2e-3])
QUICK_V = np.array([-1.0, -1.0, 0.0])


def simulator(compiled: bool) -> Ngspice:
    ngspice = find_ngspice()
    if compiled and not can_compile(ngspice):
        pytest.skip("no compiled models here")
    return ngspice


def triangle(width_s: float, volts: float) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([-0.5, -width_s / 2, 0.0, width_s / 2, 0.5])
    return corners + 0.5, np.array([0.0, 0.0, volts, 0.0, 0.0])


def by_torch(
    model: CompactModel, one: ParameterSet, time_s: np.ndarray, volts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first state, as a part of its range, and the current."""
    trace = run_torch(
        model, one.values, one.initial, time_s.tolist(), torch.from_numpy(volts), tolerance=1e-7
    )
    return part(model, one, trace.states[model.states[0].name].numpy()), trace.current_a.numpy()


def part(model: CompactModel, one: ParameterSet, state: np.ndarray) -> np.ndarray:
    pair = model.bounds(one.values)[model.states[0].name]
    assert pair is not None
    return (state - pair[0]) / (pair[1] - pair[0])


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("name", "set_name", "width_s", "volts", "compiled"),
    [
        pytest.param(
            *one,
            compiled,
            id="-".join(map(str, (*one, "osdi" if compiled else "b"))),
            # On an array, below, it is among the quick ones.
            marks=pytest.mark.slow if one[0] == "jart_v1b" and not compiled else (),
        )
        for one in SHORT
        for compiled in (False, True)
    ],
)
def test_a_pulse_that_is_short_beside_the_run(
    name: str, set_name: str, width_s: float, volts: float, compiled: bool
) -> None:
    model = find_model(name)
    one = find_set(model, set_name)
    time_s, voltage_v = triangle(width_s, volts)
    trace = run_ngspice(model, one, time_s, voltage_v, simulator(compiled), compiled=compiled)
    assert trace.result.ok, trace.result.reason
    want, _ = by_torch(model, one, time_s, voltage_v)
    assert abs(want[-1] - want[0]) > 0.02
    # What was asked for, and no point more.
    np.testing.assert_array_equal(trace.time_s, time_s)
    found = part(model, one, trace.states[model.states[0].name])
    np.testing.assert_allclose(found, want, atol=4e-5)


@pytest.mark.ngspice
@FORMS
@PULSES
def test_a_short_pulse_on_an_array(
    name: str, set_name: str, width_s: float, volts: float, compiled: bool
) -> None:
    model = find_model(name)
    one = find_set(model, set_name)
    time_s, voltage_v = triangle(width_s, volts)
    array = PulsedArray(model, one, (1, 1), NO_WIRES, time_s, voltage_v[None], np.zeros((1, 5)))
    found = run_spice(array, simulator(compiled), compiled=compiled)
    want, _ = by_torch(model, one, time_s, voltage_v)
    state = part(model, one, found.states[model.states[0].name][0, 0])
    assert state == pytest.approx(want[-1], abs=5e-4)


@pytest.mark.ngspice
@FORMS
def test_the_first_row_is_the_start(compiled: bool) -> None:
    ngspice = simulator(compiled)
    trace = run_ngspice(VTEAM, QUICK, QUICK_S, QUICK_V, ngspice, compiled=compiled)
    want, current_a = by_torch(VTEAM, QUICK, QUICK_S, QUICK_V)
    found = part(VTEAM, QUICK, trace.states["w"])
    np.testing.assert_allclose(found, want, atol=1e-5)
    np.testing.assert_allclose(trace.current_a, current_a, rtol=1e-5, atol=1e-12)
    # Nor has the lead moved it: so the simulator itself has it, where the stimulus begins.
    deck = device_deck(VTEAM, QUICK, QUICK_S, QUICK_V, form=trace.form)
    source = deck.text.partition("pwl(\n")[2].partition("+ )")[0]
    points = [line.split()[1:] for line in source.splitlines()]
    begins_s = next(float(t) for t, v in points if v == "-1.0")
    plot = trace.result.plot
    # Or at its next point of time: not every ngspice keeps one where a source has its corner.
    first = int(np.searchsorted(plot.signal("time"), begins_s))
    assert plot.signal("time")[first] < 2 * begins_s
    assert plot.signal("v(p)")[first] == pytest.approx(-1.0, abs=1e-12)
    assert -plot.signal("i(vdut)")[first] == pytest.approx(current_a[0], rel=1e-4)


@pytest.mark.ngspice
@FORMS
def test_the_first_currents_of_an_array_are_those_of_its_start(compiled: bool) -> None:
    word_v, bit_v = QUICK_V[None], np.zeros((1, 3))
    array = PulsedArray(VTEAM, QUICK, (1, 1), NO_WIRES, QUICK_S, word_v, bit_v)
    found = run_spice(array, simulator(compiled), compiled=compiled)
    _, current_a = by_torch(VTEAM, QUICK, QUICK_S, QUICK_V)
    np.testing.assert_allclose(found.word_a[0], current_a, rtol=1e-3, atol=1e-9)


def test_only_what_is_short_beside_the_rest_gets_points() -> None:
    time_s = np.array([0.0, 0.5, 0.5 + 1e-9, 0.5 + 1e-8, 1.0])
    pulse = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    found = with_short_refined(time_s, pulse, 1e-3, 10)
    assert set(time_s) <= set(found)
    added = np.setdiff1d(found, time_s)
    assert len(added) == 2 * 4
    assert ((added > 0.5) & (added < 0.5 + 1e-8)).all()
    assert np.diff(found).min() == pytest.approx(2e-10, rel=1e-5)
    # Nothing happens in it.
    for still in (np.zeros(5), np.zeros((3, 5))):
        np.testing.assert_array_equal(with_short_refined(time_s, still, 1e-3, 10), time_s)
    # Of several lines one is enough.
    rows = np.stack([np.zeros(5), pulse])
    np.testing.assert_array_equal(with_short_refined(time_s, rows, 1e-3, 10), found)


def test_a_long_stimulus_does_not_become_longer_without_end() -> None:
    alike_s = np.linspace(0, 1, 10_000)
    wave = np.sin(50 * alike_s)
    np.testing.assert_array_equal(with_short_refined(alike_s, wave, 2.5e-3, 24), alike_s)
    starts = np.arange(2_000.0)[:, None]
    train_s = (starts + np.array([0.0, 0.5, 0.5001, 0.5002])).ravel()
    train_v = np.tile([0.0, 0.0, 1.0, 0.0], 2_000)
    assert len(train_s) < len(with_short_refined(train_s, train_v, 1e-2, 24)) <= 2 * len(train_s)
