"""Gradients where a state is pressed against its bound, and where a step came to nothing."""

from __future__ import annotations

import pytest
import torch

from compact_models.library import all_models
from cosim.devices.run_torch import run_torch


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_pressed_state_has_no_gradient_and_no_nan() -> None:
    # A quotient by the distance to the bound was NaN where its square is no number any more.
    model = all_models()["ion_drift"]
    one = model.parameter_set("hp")
    mobility = tensor(one.values["mobility"]).requires_grad_()
    start = tensor(1e-190).requires_grad_()
    volts = tensor(-0.98, -0.9, 0.4).requires_grad_()
    trace = run_torch(
        model, {**one.values, "mobility": mobility}, {"x": start}, [0.0, 1e-5, 2e-5], volts
    )
    for k in (1, 2):
        slopes = torch.autograd.grad(
            trace.states["x"][0, k], [mobility, start, volts], retain_graph=True
        )
        assert all(bool(torch.isfinite(part).all()) for part in slopes)
    (held,) = torch.autograd.grad(trace.states["x"][0, 1], volts)
    assert float(held.abs().max()) < 1e-12


def test_a_second_pulse_in_the_same_direction_does_not_blow_up() -> None:
    # From exactly the bound at exactly 0 V: -2e8 of the range per volt came out of a state at rest.
    model = all_models()["ion_drift"]
    one = model.parameter_set("hp")
    times = [0.0, 1e-3, 3.45e-3, 4.46e-3, 5.55e-3, 18.3e-3]
    volts = tensor(0.0, 1.14, 1.14, 0.0, 1.05, 1.05).requires_grad_()
    trace = run_torch(model, one.values, {"x": 0.99997}, times, volts)
    for k in range(1, len(times)):
        (slope,) = torch.autograd.grad(trace.states["x"][k], volts, retain_graph=True)
        assert float(slope.abs().max()) < 1e-4


@pytest.mark.parametrize("set_name", ["hp", "technion"])
def test_a_ramp_that_ends_on_a_threshold_is_seen_from_its_own_side(set_name: str) -> None:
    # Deep in Biolek's window nothing moves on the way up, and all of it would on the way down.
    model = all_models()["ion_drift_biolek"]
    one = model.parameter_set(set_name)
    times = [0.0, 1e-3, 3.45e-3, 4.46e-3]
    volts = tensor(0.0, 1.14, 1.14, 0.0).requires_grad_()
    trace = run_torch(model, one.values, {"x": 0.99997}, times, volts)
    (slope,) = torch.autograd.grad(trace.states["x"][-1], volts)
    assert float(slope.abs().max()) < 1e-5


def test_an_abrupt_switching_is_forgotten_at_the_bound() -> None:
    # Before the SET is over, the gap depends on its start by a factor of 1e8 and more.
    model = all_models()["stanford"]
    one = model.parameter_set("sky130")
    gap = tensor(1.4e-9).requires_grad_()
    times = [0.0, 1e-8, 2e-6, 2.01e-6]
    trace = run_torch(
        model, one.values, {"gap": gap, "temperature": 300.0}, times, tensor(0.0, 2.2, 2.2, 1.0)
    )
    places = (trace.states["gap"] - one.values["gap_min"]) / 1.6e-9
    assert float(places[0, -1].detach()) < 1e-4
    (slope,) = torch.autograd.grad(places[0, -1], gap)
    assert float(slope.abs()) * 1.6e-9 < 1e-3


@pytest.mark.parametrize(
    "pulse",
    [(0.0, -0.8, -0.8, 0.0), pytest.param((0.2, 1.1, 1.1, 0.2), marks=pytest.mark.slow)],
)
def test_a_step_that_came_to_nothing_leaves_no_nan(pulse: tuple[float, ...]) -> None:
    # A rejected step may lead to infinity; zero times its gradients was NaN in every one.
    model = all_models()["jart_v1b"]
    one = model.parameter_set("hfo2")
    times = [0.0, 1e-7, 4e-7, 5e-7]

    def states(turned: torch.Tensor) -> torch.Tensor:
        values = {**one.values, "w_a": 1.35 * turned[:, 0], "r_th": 15.72e6 * turned[:, 1]}
        volts = turned[:, 3:4] * tensor(*pulse)
        start = {"n_disc": 1e26 * turned[:, 2]}
        return run_torch(model, values, start, times, volts, tolerance=1e-6).states["n_disc"] / 1e26

    ones = torch.ones(1, 4, dtype=torch.float64, requires_grad=True)
    found = states(ones)
    (last,) = torch.autograd.grad(found[0, -1], ones, retain_graph=True)
    (slope,) = torch.autograd.grad(found[0, 1], ones)
    steps = 1e-4 * torch.eye(4, dtype=torch.float64)
    with torch.no_grad():
        up, down = (states(1 + sign * steps)[:, 1] for sign in (1, -1))
    assert bool(torch.isfinite(last).all())
    size = float(slope.abs().max())
    assert slope[0].tolist() == pytest.approx(((up - down) / 2e-4).tolist(), abs=2e-3 * size)
    assert size > 1e-2


@pytest.mark.parametrize("name", ["constant_step", "piecewise_step"])
def test_at_no_asymmetry_the_gradient_is_the_mean_of_both_sides(name: str) -> None:
    model = all_models()[name]
    numbers = model.parameter_sets[0]

    def final(up_down: torch.Tensor) -> torch.Tensor:
        values = {**numbers.values, "up_down": up_down}
        pulse = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64) * numbers.amplitude_v
        times = [0.0, 1e-9, 1e-7, 1.01e-7]
        found = run_torch(model, values, numbers.initial, times, pulse, tolerance=1e-9)
        return found.states[model.states[0].name][..., -1]

    free = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(final(free), free)
    with torch.no_grad():
        step = 1e-3
        low, here, high = (
            float(final(torch.tensor(x, dtype=torch.float64))) for x in (-step, 0.0, step)
        )
    sides = (here - low) / step, (high - here) / step
    assert abs(sides[0] - sides[1]) > 1e-5  # there is a kink
    assert float(gradient) == pytest.approx(sum(sides) / 2, rel=5e-3)
