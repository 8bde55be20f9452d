"""dI/dV of every model by two other routes: differences of solved currents, and autograd."""

from __future__ import annotations

import dataclasses

import pytest
import sympy
import torch

from compact_models.errors import InputError
from compact_models.library import all_models
from compact_models.symbols import V
from cosim.devices.operating_point import operating_point
from cosim.devices.run_torch import run_torch
from tests.devices.references.jart import current as jart_current
from tests.devices.small_models import FOLLOWER, g, x

MODELS = [model.name for model in all_models().values() if model.kind != "read"]


def somewhere(name: str) -> tuple[dict[str, float], torch.Tensor]:
    """States inside their ranges, and voltages [2, 3] of both polarities."""
    model = all_models()[name]
    one = model.parameter_sets[0]
    states = {}
    for state in model.states:
        pair = model.bounds(one.values)[state.name]
        if pair is None:
            states[state.name] = one.initial[state.name]
        else:
            low, high = pair
            states[state.name] = low * (high / low) ** 0.6 if state.log else 0.4 * low + 0.6 * high
    parts = torch.tensor([[-0.9, -0.5, -0.1], [0.15, 0.4, 0.8]], dtype=torch.float64)
    return states, parts * one.amplitude_v


@pytest.mark.parametrize("name", MODELS)
def test_the_conductance_is_the_slope_of_the_current(name: str) -> None:
    model = all_models()[name]
    values = dict(model.parameter_sets[0].values)
    states, volts = somewhere(name)
    here = operating_point(model, values, states, volts)
    step = 1e-5 * float(volts.abs().max())
    ahead, behind = (
        operating_point(model, values, states, volts + d, guess=here.internal).current_a
        for d in (step, -step)
    )
    assert here.conductance_s.shape == volts.shape
    assert torch.allclose(here.conductance_s, (ahead - behind) / (2 * step), rtol=1e-4, atol=0)
    v = volts.clone().requires_grad_()
    total = operating_point(model, values, states, v, guess=here.internal).current_a.sum()
    (slope,) = torch.autograd.grad(total, v)
    assert torch.allclose(here.conductance_s, slope, rtol=1e-7, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_the_conductance_at_0_v_is_the_mean_of_both_sides(name: str) -> None:
    model = all_models()[name]
    values = dict(model.parameter_sets[0].values)
    states, _ = somewhere(name)
    step = 1e-4
    volts = torch.tensor([0.0, 0.0, step, -step], dtype=torch.float64)
    point = operating_point(model, values, states, volts)
    chord = (point.current_a[2] - point.current_a[3]) / (2 * step)
    assert float(chord) > 0
    # The current of JART bends within this chord, by its publication.
    near = 0.1 if name == "jart_v1b" else 1e-3
    assert point.conductance_s[:2].tolist() == pytest.approx([float(chord)] * 2, rel=near)
    assert float(point.current_a[0].abs()) < 1e-6 * float(point.current_a[2])


def test_a_current_that_begins_at_0_v_has_half_its_slope_there() -> None:
    one = FOLLOWER.parameter_sets[0]
    zero = torch.zeros(1, dtype=torch.float64)
    for current, slope in (
        (g * x * sympy.Max(0, V), 0.5),
        (g * x * sympy.Abs(V) * sympy.sign(V), 1.0),
    ):
        changed = dataclasses.replace(FOLLOWER, current=current)
        here = operating_point(changed, dict(one.values), {"x": 0.5}, zero)
        assert float(here.conductance_s) == pytest.approx(slope * 0.5 * one.values["g"], rel=1e-12)


def test_jart_has_the_slope_of_the_published_equations() -> None:
    model = all_models()["jart_v1b"]
    p = dict(model.parameter_sets[0].values)
    for volts, n in ((-0.8, 2e25), (-0.3, 4e26), (0.9, 8e23)):
        here = operating_point(model, p, {"n_disc": n}, torch.tensor([volts], dtype=torch.float64))
        known = (jart_current(volts + 1e-4, n, p) - jart_current(volts - 1e-4, n, p)) / 2e-4
        assert float(here.conductance_s) == pytest.approx(known, rel=1e-4)


def test_a_parameter_per_cell() -> None:
    model = all_models()["jart_v1b"]
    p = dict(model.parameter_sets[0].values)
    radius = torch.tensor([[40e-9], [45e-9]], dtype=torch.float64)
    volts = torch.tensor([-0.5, -0.2, 0.3], dtype=torch.float64)
    both = operating_point(model, {**p, "r_det": radius}, {"n_disc": 2e25}, volts)
    assert both.current_a.shape == (2, 3)
    one = operating_point(model, {**p, "r_det": 45e-9}, {"n_disc": 2e25}, volts)
    assert torch.allclose(both.conductance_s[1], one.conductance_s, rtol=1e-9)
    assert not torch.allclose(both.conductance_s[0], one.conductance_s, rtol=1e-2)


def test_wrong_and_missing_names_are_named() -> None:
    model = all_models()["stanford"]
    p = dict(model.parameter_sets[0].values)
    volts = torch.tensor([0.1], dtype=torch.float64)
    both = {"gap": 1e-9, "temperature": 300.0}
    for values, states, said in (
        (p, {"gap": 1e-9}, "the state 'temperature' is missing"),
        (p, {**both, "gab": 1e-9}, "no such state; got 'gab'; .*did you mean 'gap'"),
        ({**p, "velocty": 1.0}, both, "no such parameter; got 'velocty'; .*'velocity'"),
        ({k: one for k, one in p.items() if k != "i_0"}, both, "the parameter 'i_0' is missing"),
    ):
        with pytest.raises(InputError, match=said):
            operating_point(model, values, states, volts)
        with pytest.raises(InputError, match=said):
            run_torch(model, values, states, [0.0, 1e-9], torch.zeros(2, dtype=torch.float64))
