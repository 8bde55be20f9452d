"""How high the next pulse is: rules and what they learn, against the device's own equations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.devices.run_torch import run_torch
from cosim.driven.writable import WritableArray
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.amplitudes import History, IncrementalSteps, Predicted, quiet_limits_v
from cosim.write.verify import MeanDevice
from netlists.pulse import Pulse
from netlists.wires import Wires
from tests.write.tables import kept_table

MODEL = find_model("vteam")
NUMBERS = replace(
    find_set(MODEL, "pt_hf_ti"),
    values=dict(find_set(MODEL, "pt_hf_ti").values)
    | {
        "r_on": 5e4, "r_off": 1e6, "v_on": -0.5, "v_off": 0.4,
        "k_on": -0.3, "k_off": 0.2, "alpha_on": 3.0, "alpha_off": 2.0,
    },
)  # fmt: skip
PULSE = Pulse(1.2, 2e-8, 4e-10, 4e-10)
LOW, HIGH = (MODEL.bounds(dict(NUMBERS.values))["w"] or (0.0, 0.0))[:2]
NO_BUMPS = """
import sympy
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

g = Parameter("g", "S", "conductance", above=0)
k = Parameter("k", "1/(V*s)", "speed", above=0)
x = State("x", "1", "place", lower=0, upper=1)
MODEL = CompactModel(
    name="bump", title="conducts most in the middle", kind="dynamic", source="none",
    current=g * (sympy.Rational(1, 10) + x * (1 - x)) * V, rates={x: k * V},
    parameter_sets=(ParameterSet("one", "none", {"g": 1e-4, "k": 1e6}, {"x": 0.5}, 1.0, 1e-6),),
)
"""


@pytest.fixture(scope="module")
def surrogate() -> UpdateSurrogate:
    return kept_table(MODEL, NUMBERS, PULSE, (-1.2, 1.2))


def pulsed(x: np.ndarray, volts: np.ndarray) -> np.ndarray:
    """The device's own equations through a pulse of each level."""
    trapezium = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    times = np.cumsum([0.0, PULSE.rise_s, PULSE.width_s, PULSE.fall_s]).tolist()
    start = torch.from_numpy(LOW + x * (HIGH - LOW))
    across = torch.from_numpy(volts)[:, None] * trapezium
    trace = run_torch(MODEL, NUMBERS.values, {"w": start}, times, across, tolerance=1e-6)
    return np.asarray((trace.states["w"][:, -1].numpy() - LOW) / (HIGH - LOW))


def nothing_known(count: int) -> History:
    return History(np.zeros(count, dtype=np.int64), np.ones(count))


def test_the_predicted_amplitude_leads_to_the_goal(surrogate: UpdateSurrogate) -> None:
    now, goal = np.array([0.1, 0.3, 0.5, 0.9, 0.8]), np.array([0.2, 0.75, 0.55, 0.6, 0.05])
    rule = Predicted(surrogate, surrogate)
    volts = rule(now, goal, nothing_known(5))
    np.testing.assert_array_equal(np.sign(volts), [1, 1, 1, -1, -1])  # v_off raises w
    assert np.abs(pulsed(now, volts) - goal).max() < 0.015  # of the range, on the way across it
    # What a cell has been seen to get is made good.
    share = np.full(5, 0.8)
    more = rule(now, goal, History(np.zeros(5, dtype=np.int64), share))
    inside = np.abs(volts / 0.8) < 1.2
    assert inside.sum() >= 3
    np.testing.assert_allclose(more[inside], (volts / 0.8)[inside], rtol=1e-12)
    # No higher than it may.
    low = Predicted(surrogate, surrogate, limits_v=(-0.6, 0.55))(now, goal, nothing_known(5))
    assert low.min() == -0.6
    assert low.max() == 0.55


@pytest.mark.parametrize("gets", [0.8, 0.93, 1.1])
def test_what_a_cell_gets_is_seen_in_how_far_it_went(
    surrogate: UpdateSurrogate, gets: float
) -> None:
    before, volts = np.array([0.2, 0.4, 0.8, 0.6]), np.array([0.6, 0.55, -0.72, -0.74])
    now = pulsed(before, gets * volts)
    moved = np.abs(now - before)
    assert ((moved > 3e-3) & (now > 0.01) & (now < 0.99)).all()
    seen = Predicted(surrogate, surrogate).seen(before, now, volts, np.ones(4))
    np.testing.assert_allclose(seen, gets, atol=0.01)


def test_a_cell_that_stays_is_taken_for_one_that_gets_less_each_time(
    surrogate: UpdateSurrogate,
) -> None:
    rule = Predicted(surrogate, surrogate)
    share, still = np.ones(1), np.array([0.4])
    for turn in range(1, 4):
        share = rule.seen(still, still, np.array([0.45]), share)
        assert share[0] == pytest.approx(0.98**turn)
    for _ in range(200):
        share = rule.seen(still, still, np.array([0.45]), share)
    assert share[0] == 0.2  # and no less
    # One that has come to its end has had enough, how much is unknown.
    end = rule.seen(np.array([0.7]), np.array([1.0]), np.array([1.1]), np.array([0.9]))
    assert end[0] == 0.9


@pytest.mark.parametrize("part", [0.5, 1 / 3])
def test_below_the_quiet_limits_a_part_moves_nothing(
    surrogate: UpdateSurrogate, part: float
) -> None:
    low_v, high_v = quiet_limits_v(surrogate, part)
    x = np.linspace(0.01, 0.99, 41)
    for limit_v, threshold_v in ((low_v, -0.5), (high_v, 0.4)):
        assert np.abs(pulsed(x, np.full(41, part * limit_v)) - x).max() < 2e-4
        # Not so low that it would be quiet anyway: it comes near what the device can stand.
        assert abs(limit_v) > 0.9 * min(1.2, abs(threshold_v) / part)
    assert quiet_limits_v(surrogate, 0.0) == surrogate.range_v


def test_identical_and_rising_pulses() -> None:
    rule = IncrementalSteps(first_v=0.6, first_down_v=-0.8, step_v=0.05, highest_v=0.9)
    streak = np.array([0, 1, 2, 30])
    up = rule(np.zeros(4), np.ones(4), History(streak, np.ones(4)))
    np.testing.assert_allclose(up, [0.6, 0.65, 0.7, 0.9])
    down = rule(np.ones(4), np.zeros(4), History(streak, np.ones(4)))
    np.testing.assert_allclose(down, [-0.8, -0.85, -0.9, -0.9])
    with pytest.raises(InputError, match="opposite signs"):
        IncrementalSteps(0.6, 0.8, 0.05, 0.9)
    with pytest.raises(InputError, match=r"at least 0\.8 V"):
        IncrementalSteps(0.6, -0.8, 0.05, 0.7)


def test_the_mean_device_is_read_backwards() -> None:
    array = WritableArray(MODEL, NUMBERS, Wires(r_wordline_ohm=1, r_bitline_ohm=1), {})
    mean = MeanDevice.of(array, 0.1)
    assert not mean.rises  # w is the part that does not conduct
    assert mean.range_s == pytest.approx(1 / 5e4 - 1 / 1e6, rel=1e-6)
    x = np.array([[0.0, 0.13, 0.5, 0.98]])
    g = array.at_fractions(x).conductance_s(0.1)
    np.testing.assert_allclose(mean.place(g), x, atol=1e-3)


def test_a_conductance_that_says_nothing_of_the_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bump.py"
    path.write_text(NO_BUMPS, encoding="utf-8")
    model = find_model(str(path))
    array = WritableArray(model, model.parameter_sets[0], Wires(), {})
    with pytest.raises(InputError, match=r"'bump' has one conductance at several states.*0\.1"):
        MeanDevice.of(array, 0.1)
