"""Gradients through a run: against finite differences, also where no rate shows them."""

from __future__ import annotations

import pytest
import torch

from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.library import all_models
from cosim.devices import integrate
from cosim.devices.run_torch import run_torch
from tests.devices.small_models import JUNCTION

PULSE_DEVICES = [model.name for model in all_models().values() if model.kind == "pulse"]


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_gradients_are_those_of_finite_differences() -> None:
    base = dict(JUNCTION.parameter_sets[0].values)
    stimulus = tensor(0.1, 0.8, 0.8, -0.2)
    times = [0.0, 1e-7, 2e-7, 3e-7]

    def charge(i_0: torch.Tensor, r_x: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        values = base | {"i_0": i_0 * 1e-6, "r_x": r_x * 1e3}
        trace = run_torch(JUNCTION, values, {"x": x}, times, stimulus, tolerance=1e-9)
        return trace.current_a.sum(-1) * 1e4 + trace.states["x"][..., -1]

    inputs = tuple(
        torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for value in ([1.0, 2.0], [9.0, 5.0], [0.4, 0.6])
    )
    assert torch.autograd.gradcheck(charge, inputs, eps=1e-5, atol=1e-5, rtol=1e-4, fast_mode=True)


def test_gradients_reach_the_voltage() -> None:
    volts = tensor(0.0, 0.22, 0.24, 0.2).requires_grad_()
    values = VTEAM.parameter_sets[0].values

    def final(v: torch.Tensor) -> torch.Tensor:
        trace = run_torch(VTEAM, values, {"w": 1e-9}, [0.0, 1e-8, 2e-8, 3e-8], v, tolerance=1e-9)
        return trace.states["w"][-1] * 1e9

    assert torch.autograd.gradcheck(final, (volts,), eps=1e-6, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "name",
    [  # one whose step is the same everywhere, and one whose step is curved
        pytest.param(name, marks=() if name in ("constant_step", "exp_step") else pytest.mark.slow)
        for name in PULSE_DEVICES
    ],
)
@pytest.mark.parametrize("by_steps", [False, True])
def test_a_threshold_at_which_the_rate_jumps_has_its_gradient(
    name: str, by_steps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The rate knows neither threshold nor voltage here: all of the gradient is in when they cross.
    if by_steps:
        monkeypatch.setattr(integrate, "is_free", lambda _model: False)
    model = all_models()[name]
    one = model.parameter_sets[0]
    state = model.states[0].name
    low, high = model.bounds(one.values)[state] or (0.0, 0.0)
    width, threshold = one.values["width_s"], one.values["threshold_v"]
    times = [width * part for part in (0, 0.3, 1.2, 1.5, 1.8, 2.3, 2.5)]

    def steps(volts: torch.Tensor, part: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        values = {**one.values, "threshold_v": part * threshold}
        start = low + place * (high - low)
        trace = run_torch(model, values, {state: start}, times, volts * threshold, tolerance=1e-9)
        return (trace.states[state][..., -1] - low) / one.values["dw_min"]

    inputs = (tensor(0.0, 1.7, 2.1, -0.3, -0.2, -2.5, 0.0), tensor(1.0, 1.1), tensor(0.4, 0.5))
    for one_input in inputs:
        one_input.requires_grad_()
    assert torch.autograd.gradcheck(steps, inputs, eps=1e-5, atol=1e-4, rtol=1e-4)
    (by_threshold,) = torch.autograd.grad(steps(*inputs).sum(), inputs[1])
    assert bool((by_threshold.abs() > 1e-3).all())


def test_cells_that_cross_no_threshold_have_no_gradient_of_it() -> None:
    model = all_models()["soft_bounds"]
    one = model.parameter_sets[0]
    part = tensor(1.0, 1.0, 1.0).requires_grad_()
    volts = tensor(0.0, 0.9, 1.5)[:, None] * tensor(0.0, 1.0, 1.0, 0.0)
    values = {**one.values, "threshold_v": part * one.values["threshold_v"]}
    times = [one.values["width_s"] * k for k in range(4)]
    trace = run_torch(model, values, one.initial, times, volts * one.values["threshold_v"])
    (slope,) = torch.autograd.grad(trace.states[model.states[0].name][:, -1].sum(), part)
    assert slope[:2].tolist() == [0.0, 0.0]
    assert float(slope[2]) != 0.0
