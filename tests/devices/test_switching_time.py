"""Switching times: against closed forms, quadratures written here, and runs in time."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from scipy.integrate import quad

from compact_models.errors import InputError
from compact_models.library import find_model
from compact_models.model import CompactModel
from compact_models.symbols import Parameter, V
from cosim.devices.run_torch import run_torch
from cosim.devices.switching_time import switching_times
from tests.devices.small_models import FOLLOWER, k, v_one, x


def times_at(model: CompactModel, volts: list[float], first: float, last: float) -> list[float]:
    one = model.parameter_sets[0]
    found = switching_times(model, one, volts, from_fraction=first, to_fraction=last, longest_s=1e9)
    return [float(time_s) for time_s in found]


def test_jart_times_are_those_of_the_same_equations_in_plain_python() -> None:
    # To 1e27 vacancies per m^3: LSODA on the published text, docs/devices.md.
    model = find_model("jart_v1b")
    to = math.log(1e27 / 8e23) / math.log(2e27 / 8e23)
    found = times_at(model, [-0.6, -0.8, -1.0], 0.0, to)
    assert found == pytest.approx([17e-3, 10e-6, 22e-9], rel=0.03)


def test_ion_drift_times_are_those_of_the_closed_form() -> None:
    model = find_model("ion_drift")
    # dx/dt = a V / (r_off - (r_off - r_on) x)
    a, r_on, r_off = 1e-14 * 100 / 10e-9**2, 100.0, 16e3

    def charge(x: float) -> float:
        return r_off * x - (r_off - r_on) * x**2 / 2

    wanted = [(charge(0.7) - charge(0.2)) / (a * v) for v in (0.1, 3.0)]
    assert times_at(model, [0.1, 3.0], 0.2, 0.7) == pytest.approx(wanted, rel=1e-10)
    assert all(math.isnan(t) for t in times_at(model, [-1.0, 0.0], 0.2, 0.7))


@pytest.mark.parametrize("name", ["yakopcic", "messaris", "team"])
def test_after_the_time_the_device_is_where_it_was_to_be(name: str) -> None:
    model = find_model(name)
    one = model.parameter_sets[0]
    (bounds,) = model.bounds(one.values).values()
    assert bounds is not None
    low, high = bounds
    checked = 0
    for sign, first, last in ((1, 0.01, 0.5), (1, 0.99, 0.5), (-1, 0.01, 0.5), (-1, 0.99, 0.5)):
        v = sign * 1.1 * one.amplitude_v
        (time_s,) = times_at(model, [v], first, last)
        if math.isnan(time_s):
            continue
        state = model.states[0].name
        trace = run_torch(
            model, one.values, {state: low + first * (high - low)}, [0.0, time_s],
            torch.full((2,), v, dtype=torch.float64),
        )  # fmt: skip
        place = (float(trace.states[state][-1]) - low) / (high - low)
        assert place == pytest.approx(last, abs=1e-3)
        checked += 1
    assert checked >= 1


@pytest.mark.parametrize(
    ("first", "last", "longest_s", "word"),
    [(-0.1, 0.5, 1.0, "from_fraction"), (0.1, 1.5, 1.0, "to_fraction"),
     (0.5, 0.5, 1.0, "there already"), (0.1, 0.5, 0.0, "longest_s")],
)  # fmt: skip
def test_a_time_that_means_nothing_is_refused(
    first: float, last: float, longest_s: float, word: str
) -> None:
    model = find_model("vteam")
    with pytest.raises(InputError, match=word):
        switching_times(
            model, model.parameter_sets[0], [0.1],
            from_fraction=first, to_fraction=last, longest_s=longest_s,
        )  # fmt: skip


@pytest.mark.parametrize(("first", "last"), [(1e-8, 0.5), (1e-3, 0.5), (0.1, 0.9), (1e-6, 0.9999)])
def test_the_way_out_of_a_vanishing_window_is_timed(first: float, last: float) -> None:
    model = find_model("ion_drift_joglekar")
    p = model.parameter_sets[0].values
    volts = 0.7

    def per_rate(place: float) -> float:
        ohm = p["r_on"] * place + p["r_off"] * (1 - place)
        window = 1 - abs(2 * place - 1) ** (2 * p["p_window"])
        return 1 / (p["mobility"] * p["r_on"] / p["d_film"] ** 2 * volts / ohm * window)

    # In the logarithm of the distance to either bound, where 1 / rate is smooth.
    def from_below(u: float) -> float:
        return math.exp(u) * per_rate(math.exp(u))

    def from_above(u: float) -> float:
        return math.exp(u) * per_rate(1 - math.exp(u))

    wanted = quad(from_below, math.log(first), math.log(0.5), limit=500, epsrel=1e-10)[0]
    if last > 0.5:
        wanted += quad(from_above, math.log(1 - last), math.log(0.5), limit=500, epsrel=1e-10)[0]
    assert times_at(model, [volts], first, last) == pytest.approx([wanted], rel=2e-6)


def test_a_state_at_a_vanishing_window_never_leaves() -> None:
    model = find_model("ion_drift_joglekar")
    assert math.isnan(times_at(model, [1.0], 0.0, 0.5)[0])


@pytest.mark.parametrize("width", [1e-2, 1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("middle", [0.5, 0.3217])
def test_a_narrow_place_where_the_state_hardly_moves_is_not_missed(
    width: float, middle: float
) -> None:
    at, half = Parameter("at", "1", "place"), Parameter("half", "1", "half of its width", above=0)
    one = FOLLOWER.parameter_sets[0]
    one = dataclasses.replace(one, values={**one.values, "at": middle, "half": width})
    model = dataclasses.replace(
        FOLLOWER, rates={x: k * ((x - at) ** 2 + half**2) * V / v_one}, parameter_sets=(one,)
    )
    turns = math.atan((0.9 - middle) / width) - math.atan((0.1 - middle) / width)
    # Where the integral does not converge the device is integrated in time, to 2 %.
    exact = 1e-6 if width >= 1e-3 else 0.02
    wanted = [turns / (width * 1e6 * volts / 2) for volts in (1.0, 2.0)]
    assert times_at(model, [1.0, 2.0], 0.1, 0.9) == pytest.approx(wanted, rel=exact)


def test_a_bound_is_reached_when_its_edge_is() -> None:
    model = find_model("vteam")
    one = model.parameter_sets[0]
    whole, most = times_at(model, [1.2 * one.amplitude_v], 0.0, 1.0) + times_at(
        model, [1.2 * one.amplitude_v], 0.0, 0.5
    )
    assert whole == pytest.approx(2 * most, rel=3e-4)
