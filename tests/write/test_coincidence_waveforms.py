"""Updates by coincidences as voltages on the lines: ngspice, torch and the counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.driven.ode import run_ode
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.driven.train_pulses import TrainPulses, train_slots
from cosim.driven.train_waveforms import train_waveforms
from cosim.ngspice import Ngspice, Outcome
from cosim.pulses.trains import PulseTrains, UpdateRule, coincidence_counts, pulse_trains
from netlists.pulse import Pulse
from netlists.update.drawn import TilePulses
from netlists.wires import Wires

SHAPE = (6, 4)
UPDATES = 32


# A step of some 3 % of the range by 0.9 V for 1 ns either way, and nothing by half of it.
BALANCED = {"v_on": -0.5, "v_off": 0.5, "k_on": -0.2, "k_off": 0.125}


def at_rest(name: str, chosen: str) -> PulsedArray:
    model = find_model(name)
    numbers = find_set(model, chosen)
    if name == "vteam":
        numbers = replace(numbers, values={**numbers.values, **BALANCED})
    (bounds,) = model.bounds(dict(numbers.values)).values()
    assert bounds is not None
    low, high = bounds
    place = np.random.default_rng(5).uniform(0.3, 0.7, SHAPE)
    (state,) = model.states
    return PulsedArray(
        model=model,
        parameter_set=numbers,
        shape=SHAPE,
        wires=Wires(r_wordline_ohm=2.0, r_bitline_ohm=2.0),
        time_s=np.array([0.0, 1.0]),
        word_v=np.zeros((SHAPE[0], 2)),
        bit_v=np.zeros((SHAPE[1], 2)),
        initial={state.name: low + place * (high - low)},
    )


def trains(count: int, bl: int = 3) -> PulseTrains:
    rng = np.random.default_rng(3)
    x, d = (torch.from_numpy(rng.uniform(-1, 1, (count, lines))) for lines in SHAPE)
    return pulse_trains(x, d, UpdateRule(bl * 1e-3, 1e-3, bl), Stream(3, 0).at("array", 0))


def test_a_cell_sees_its_pulses_with_their_sign_and_else_half() -> None:
    array, some = at_rest("constant_step", "gokmen_vlasov"), trains(20, 7)
    pulse = Pulse(1.0, 1e-9, 1e-12, 1e-12)
    pulses = TrainPulses(pulse, pulse.at(-1.2), 1e-9)
    for sample, counts in enumerate(coincidence_counts(some).numpy()):
        driven = train_waveforms(array, train_slots(some, sample), pulses)
        across = driven.word_v[:, None] - driven.bit_v[None]
        high, low = (across > 0.75).sum(-1) // 2, (across < -0.75).sum(-1) // 2  # two corners each
        np.testing.assert_array_equal(high, np.maximum(counts, 0))
        np.testing.assert_array_equal(low, np.maximum(-counts, 0))
        levels = set(np.round(across, 12).ravel().tolist())
        assert levels <= {0.0, 0.5, -0.5, 0.6, -0.6, 1.0, -1.2}


def test_without_a_pause_the_pulses_meet() -> None:
    array, some = at_rest("constant_step", "gokmen_vlasov"), trains(1)
    pulse = Pulse(1.0, 1e-9, 1e-10, 1e-10)
    slots = train_slots(some, 0)
    close, apart = (
        train_waveforms(array, slots, TrainPulses(pulse, pulse.at(-1.0), gap_s))
        for gap_s in (0.0, 1e-9)
    )
    count = len(slots)
    assert close.time_s[-1] == pytest.approx(count * pulse.duration_s)
    assert apart.time_s[-1] == pytest.approx(count * pulse.duration_s + (count - 1) * 1e-9)
    area = [np.trapezoid(one.word_v, one.time_s) for one in (close, apart)]
    np.testing.assert_allclose(area[0], area[1], rtol=1e-9, atol=1e-20)


def test_no_pulses_are_rest() -> None:
    none = torch.zeros(1, 6, dtype=torch.int32), torch.zeros(1, 4, dtype=torch.int32)
    empty = PulseTrains(*none, torch.zeros(1, dtype=torch.int64), 0, 0)
    pulse = Pulse(1.0, 1e-9, 1e-10, 1e-10)
    pulses = TrainPulses(pulse, pulse.at(-1.0))
    array = at_rest("constant_step", "gokmen_vlasov")
    still = train_waveforms(array, train_slots(empty, 0), pulses)
    assert not still.word_v.any()
    assert not still.bit_v.any()
    assert still.time_s[-1] == pytest.approx(pulse.duration_s)


def test_every_line_has_its_own_level_and_width() -> None:
    array, some = at_rest("constant_step", "gokmen_vlasov"), trains(1)
    pulse = Pulse(1.0, 1e-9, 1e-11, 3e-11)
    factors = np.random.default_rng(4).uniform(0.8, 1.2, 20)
    word_level, word_width, bit_level, bit_width = np.split(factors, [6, 12, 16])
    even = TrainPulses(pulse, pulse.at(-0.9), 1e-10)
    own = replace(even, lines=TilePulses(word_level, word_width, bit_level, bit_width))
    slots = train_slots(some, 0)
    first, second = (train_waveforms(array, slots, one) for one in (even, own))
    for name, level, width in (
        ("word_v", word_level, word_width), ("bit_v", bit_level, bit_width),
    ):  # fmt: skip
        plain, changed = getattr(first, name), getattr(second, name)
        assert np.abs(plain).max() > 0.4
        for sign in (1, -1):  # of the voltage: steps up and down apart
            areas = [
                np.trapezoid(np.maximum(sign * v, 0.0), one.time_s)
                for v, one in ((plain, first), (changed, second))
            ]
            # A slope takes as long as before: half of both is area beside the level.
            longer = (1e-9 * width + 2e-11) / (1e-9 + 2e-11)
            np.testing.assert_allclose(areas[1], areas[0] * level * longer, rtol=1e-9, atol=1e-20)
    assert second.time_s[-1] > first.time_s[-1]


def test_refusals() -> None:
    array, some = at_rest("constant_step", "gokmen_vlasov"), trains(2)
    pulse = Pulse(1.0, 1e-9, 1e-10, 1e-10)
    good = TrainPulses(pulse, pulse.at(-1.0))
    dead = TilePulses(np.zeros(6), np.ones(6), np.ones(4), np.ones(4))
    for wrong in ({"gap_s": -1.0}, {"down": pulse}, {"lines": dead}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            replace(good, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sample"):
        train_slots(some, 2)
    narrow = replace(some, words=some.words[:, :5])
    with pytest.raises(InputError, match="array"):
        train_waveforms(array, train_slots(narrow, 0), good)
    narrower = replace(good, lines=TilePulses(*(np.ones(n) for n in (6, 6, 4, 3))))
    with pytest.raises(InputError, match="bit_width"):
        train_waveforms(array, train_slots(some, 0), narrower)


@pytest.mark.ngspice
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "chosen", "pulse", "down_v"),
    [
        ("constant_step", "gokmen_vlasov", Pulse(1.0, 1e-9, 2e-11, 2e-11), None),
        ("vteam", "sine", Pulse(0.95, 1e-9, 2e-11, 2e-11), 0.9),
    ],
)
def test_updates_in_ngspice_and_in_torch_are_the_same(
    ngspice: Ngspice, name: str, chosen: str, pulse: Pulse, down_v: float | None
) -> None:
    start = at_rest(name, chosen)
    (state,) = start.initial
    low, high = start.model.bounds(dict(start.parameter_set.values))[state] or (0.0, 1.0)
    some = trains(UPDATES)
    pulses = TrainPulses(pulse, pulse.at(-(down_v or pulse.amplitude_v)), 2e-10)
    in_spice, in_torch = start, start
    for sample in range(UPDATES):
        ends = []
        for array in (in_spice, in_torch):
            ends.append(train_waveforms(array, train_slots(some, sample), pulses))
        judged = run_spice(ends[0], ngspice)
        assert judged.outcome is Outcome.OK, judged.reason
        found = run_ode(ends[1])
        assert not found.failed
        in_spice = replace(start, initial={state: np.clip(judged.states[state], low, high)})
        in_torch = replace(start, initial={state: np.clip(found.states[state], low, high)})
    moved = {
        key: (array.initial[state] - start.initial[state]) / (high - low)
        for key, array in (("spice", in_spice), ("torch", in_torch))
    }
    assert np.abs(moved["spice"] - moved["torch"]).max() < 0.01
    net = coincidence_counts(some).sum(0).numpy()
    clear = np.abs(net) >= 4
    assert (net[clear] > 0).sum() >= 2
    assert (net[clear] < 0).sum() >= 2
    if name == "constant_step":
        assert (np.sign(moved["spice"])[clear] == np.sign(net)[clear]).all()
        steps = moved["spice"] * (high - low) / start.parameter_set.values["dw_min"]
        np.testing.assert_allclose(steps, net, atol=0.05 * np.abs(net).max())
    else:  # its steps up are larger than those down: no law says the sign, the order follows
        assert np.abs(moved["spice"]).max() > 0.1
        assert np.corrcoef(moved["spice"].ravel(), net.ravel())[0, 1] > 0.95
