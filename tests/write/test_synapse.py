"""A device as a synapse: closed forms, ngspice by alternating pulses, and what has no answer."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.polarity import conductance_s
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import Ngspice
from cosim.pulses.device_steps import asymmetry, number_of_states, steps, symmetry_point
from cosim.synapse.default_pulses import default_pulses, missed_aim, near_threshold
from cosim.synapse.place_map import READ_V
from cosim.synapse.synapse import Synapse, characterise
from cosim.tables.layout import QUICK
from netlists.pulse import Pulse


def device(name: str, one: str | None = None) -> tuple[CompactModel, ParameterSet]:
    model = find_model(name)
    return model, find_set(model, one)


def synapse(name: str, one: str | None = None, **given: float) -> Synapse:
    model, numbers = device(name, one)
    return characterise(model, numbers, *default_pulses(model, numbers, **given), effort=QUICK)


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("soft_bounds", "reram_array_hfo2"),
        ("soft_bounds", "reram_array_om"),
        ("soft_bounds", "reram_sb"),
        ("linear_step", "ecram"),
        ("exp_step", "reram_es"),
    ],
)
def test_pulse_devices_are_those_of_the_closed_forms(name: str, one: str) -> None:
    """The closed form is of one pulse of the publication; ours goes through a voltage over time."""
    model, numbers = device(name, one)
    found = synapse(name, one)
    values = numbers.values
    low, high = model.bounds(values)["w"] or (math.nan, math.nan)
    point = symmetry_point(model, values)
    at_point = found.symmetry_point
    assert at_point is not None
    assert (at_point.state - float(point)) / (high - low) == pytest.approx(0, abs=0.01)
    assert found.states == pytest.approx(float(number_of_states(model, values, point)), rel=0.02)
    middle = torch.tensor((low + high) / 2, dtype=torch.float64)
    up, down = (float(step) * 2 / (high - low) for step in steps(model, values, middle))
    where = np.argmin(np.abs(found.weight))
    assert found.step_up[where] == pytest.approx(up, rel=0.02)
    assert found.step_down[where] == pytest.approx(down, rel=0.02)
    assert found.asymmetry == pytest.approx(float(asymmetry(model, values, middle)), abs=0.01)
    assert found.g_min_s == pytest.approx(values["g_min"], rel=1e-3)
    assert found.g_max_s == pytest.approx(values["g_max"], rel=1e-3)
    assert found.nrmse < 0.02


def test_the_slopes_of_soft_bounds_are_those_of_straight_lines() -> None:
    found = synapse("soft_bounds", "reram_array_om")
    # A step of 0.0949 at weight 0 that is nothing at the bound, 1 away; 2 % of a pulse is edges.
    assert found.slope_up == pytest.approx(-0.0949, rel=0.02)
    assert found.slope_down == pytest.approx(-0.0949, rel=0.02)
    assert found.states is not None
    assert found.dw_min == pytest.approx(2 / found.states)


def alternated(
    model: CompactModel, numbers: ParameterSet, found: Synapse, ngspice: Ngspice, pairs: int
) -> np.ndarray:
    """The conductance after every pulse of a row that goes up and down in turn, from ngspice."""
    times, volts = [0.0], [0.0]
    for pulse in (found.up, found.down) * pairs:
        times += [times[-1] + t for t in pulse.corner_times_s()[1:]]
        volts += pulse.corner_voltages_v()[1:]
    trace = run_ngspice(model, numbers, np.array(times), np.array(volts), ngspice)
    assert trace.result.ok, trace.result.reason
    states = [torch.from_numpy(trace.states[one.name][3::3].copy()) for one in model.states]
    return conductance_s(model, numbers, states, READ_V).numpy()


@pytest.mark.ngspice
@pytest.mark.parametrize(("name", "settles_by_bound"), [("vteam", True), ("yakopcic", False)])
def test_alternating_pulses_in_ngspice_settle_where_the_surrogate_says(
    ngspice: Ngspice, name: str, settles_by_bound: bool
) -> None:
    model, numbers = device(name)
    given = {"up_v": -0.225, "width_s": 5e-9} if name == "vteam" else {}
    found = synapse(name, None, **given)
    measured_s = alternated(model, numbers, found, ngspice, 150)
    weight = 2 * (measured_s - found.g_min_s) / (found.g_max_s - found.g_min_s) - 1
    # 1 % of the range, which is 2 in weight; it has come to rest long before the end.
    assert weight[-2:].mean() == pytest.approx(found.settles_at.weight, abs=0.02)
    assert weight[-42:-40].mean() == pytest.approx(weight[-2:].mean(), abs=0.002)
    assert (found.symmetry_point is None) == settles_by_bound
    if settles_by_bound:
        assert "leave the weight higher" in found.no_symmetry
        assert "upper bound" in found.no_symmetry


def test_where_all_weights_cancel_there_is_no_symmetry_point() -> None:
    found = synapse("constant_step", "gokmen_vlasov_scaled")
    assert found.symmetry_point is None
    assert "cancel wherever no bound cuts them short" in found.no_symmetry
    assert found.no_states == ""
    assert found.states == pytest.approx(1250, rel=0.01)


@pytest.mark.slow
def test_an_abrupt_device_has_none_and_says_so() -> None:
    # A hundred times as long as a gentle pulse: one goes most of the way.
    found = synapse("yakopcic", width_s=5e-3, up_v=0.36, down_v=-0.46)
    assert found.symmetry_point is None
    assert "abrupt" in found.no_symmetry
    assert found.states is None
    assert "one pulse can cover" in found.no_states


@pytest.mark.slow
def test_pulses_in_turn_on_a_cliff_go_where_the_integrated_device_goes() -> None:
    """Without a window ion drift runs away within one pulse, and a pair brings it back.

    A map of even places loses some of the cliff in every pair: it led from 0 to -0.35.
    """
    model, numbers = device("ion_drift", "hp")
    found = characterise(model, numbers, *default_pulses(model, numbers))
    assert "every weight" not in found.no_symmetry
    times, volts = [0.0], [0.0]
    for pulse in (found.up, found.down) * 10:
        times += [times[-1] + t for t in pulse.corner_times_s()[1:]]
        volts += pulse.corner_voltages_v()[1:]
    start = {"x": torch.tensor([1.0], dtype=torch.float64)}
    trace = run_torch(model, numbers.values, start, times, torch.tensor(volts, dtype=torch.float64))
    g = conductance_s(model, numbers, [trace.states["x"][0, 3::3]], READ_V).numpy()
    weight = 2 * (g - found.g_min_s) / (found.g_max_s - found.g_min_s) - 1
    # A hair of the state, 2e-4 of its range, is 0.1 in weight at the upper bound.
    assert found.alternated(1.0, 10)[-1] == pytest.approx(weight[-2:].mean(), abs=0.15)


def test_the_sentence_on_a_pair_and_that_on_single_steps_hold() -> None:
    found = synapse("vteam", "pt_hf_ti")
    assert "stronger at every weight" not in found.no_symmetry
    assert "leave the weight lower wherever no bound cuts them short" in found.no_symmetry
    ends = re.search(
        r"One step up by itself is the larger one between the weights (\S+) and ([^ ,]+),",
        found.no_symmetry,
    )
    assert ends is not None, found.no_symmetry
    low, high = float(ends[1]), float(ends[2])
    inside = (found.weight > low) & (found.weight < high)
    assert inside.sum() > 100
    assert (found.step_up > -found.step_down)[inside].all()
    assert (found.step_up < -found.step_down)[found.weight > high + 0.02].all()
    for weight in (0.2, 0.0, -0.4, -0.8):  # none of them is cut short
        ends_of_pairs = found.alternated(weight, 40)
        assert (np.diff(ends_of_pairs[1:]) < 0).all()


@pytest.mark.parametrize(
    ("name", "one", "why"),
    [("vteam", "pt_hf_ti", "factor of 10"), ("ion_drift", "hp", "96 %"), ("yakopcic", None, "")],
)
def test_states_are_told_where_one_step_stands_for_all(
    name: str, one: str | None, why: str
) -> None:
    found = synapse(name, one)
    assert (found.states is None) == bool(why)
    assert why in found.no_states


@pytest.mark.slow
def test_a_train_shows_the_switching_of_a_cell_that_first_does_next_to_nothing() -> None:
    found = synapse("stanford", "sky130", up_v=1.86343, down_v=-1.86176, width_s=1e-9)
    # From 5 % of the gap's range on it takes some tens; in conductance it is a single pulse.
    assert 20 < found.pulses_up < 100
    assert found.weight_pulses_up == found.weight_pulses_down == 1
    assert found.pulses_from_low > 3 * found.pulses_up
    assert found.train_up > found.pulses_from_low
    assert found.train_covers == pytest.approx(1, abs=0.01)
    train = found.train_s(found.train_up, found.train_down)
    assert train.max() > 0.99 * found.g_max_s
    assert train[-1] < 0.05 * found.g_max_s


def test_a_level_just_beyond_a_threshold_is_found() -> None:
    model, numbers = device("vteam", "pt_hf_ti")
    up, down = Pulse(-0.5305, 1e-3, 1e-5, 1e-5), Pulse(1.49, 1e-3, 1e-5, 1e-5)
    assert near_threshold(model, numbers, up) == pytest.approx(-0.53)
    assert near_threshold(model, numbers, down) is None
    assert near_threshold(model, numbers, up.at(-0.6)) is None
    assert near_threshold(model, numbers, down.at(0.51)) == pytest.approx(0.5)


def test_missing_the_aim_is_said_with_both_counts() -> None:
    assert missed_aim(45, 100) == ""
    assert "1 pulse up and 11 pulses down" in missed_aim(1, 11)
    assert "40 pulses" not in missed_aim(40, 120)


@pytest.mark.parametrize(
    "name",
    [
        "vteam",
        "yakopcic",
        pytest.param("messaris", marks=pytest.mark.slow),
        pytest.param("ion_drift_biolek", marks=pytest.mark.slow),
    ],
)
def test_default_pulses_cross_the_range_in_some_tens(name: str) -> None:
    model, numbers = device(name)
    up, down = default_pulses(model, numbers)
    assert up.timing_s == down.timing_s
    found = characterise(model, numbers, up, down, effort=QUICK)
    assert 20 <= found.pulses_up <= 100
    assert 20 <= found.pulses_down <= 100
    train = found.train_s(100)
    assert (np.diff(train[:101]) >= -1e-12).all()
    assert (np.diff(train[100:]) <= 1e-12).all()
    assert np.ptp(train) > 0.9 * (found.g_max_s - found.g_min_s)


def test_pulses_of_two_timings_have_a_surrogate_each() -> None:
    model, numbers = device("vteam")
    up, down = Pulse(-0.22, 5e-9, 1e-10, 1e-10), Pulse(0.25, 2e-8, 2e-10, 2e-10)
    found = characterise(model, numbers, up, down, effort=QUICK)
    assert found.after_up is not found.after_down
    assert found.step_up.max() > 0
    assert found.step_down.min() < 0


def test_a_pulse_of_the_wrong_sign_or_too_low_is_refused() -> None:
    model, numbers = device("vteam")
    up, down = default_pulses(model, numbers)
    with pytest.raises(InputError, match="pulse up moves the device the other way"):
        characterise(model, numbers, down, up, effort=QUICK)
    with pytest.raises(InputError, match="pulse down moves nothing"):
        characterise(model, numbers, up, down.at(0.019), effort=QUICK)
    with pytest.raises(InputError, match="programmed and read"):
        default_pulses(*device("pcm"))
