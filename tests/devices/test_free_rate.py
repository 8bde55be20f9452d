"""Cells whose rate has no state in it: the integral against steps, on paper, and with gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from compact_models.library import all_models
from compact_models.model import CompactModel, ParameterSet
from compact_models.normal_form import EDGE
from compact_models.symbols import Parameter, State, V
from cosim.devices import integrate
from cosim.devices.free_rate import is_free
from cosim.devices.run_torch import run_torch

VTEAM = all_models()["vteam"]
TIMES = [0.0, 1e-9, 11e-9, 12e-9, 13e-9]


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrate, "is_free", lambda _model: False)


def test_only_rates_without_a_state_are_free() -> None:
    free = {name for name, model in all_models().items() if is_free(model)}
    assert free == {"vteam", "vteam_exp", "constant_step"}


@pytest.mark.parametrize("set_name", ["sine", "pt_hf_ti"])
@pytest.mark.parametrize("high", [-0.9, -0.56, 0.7, 1.4])
def test_it_agrees_with_steps(set_name: str, high: float, monkeypatch: pytest.MonkeyPatch) -> None:
    one = VTEAM.parameter_set(set_name)
    low_m, high_m = VTEAM.bounds(one.values)["w"] or (0.0, 0.0)
    parts = torch.cat(
        [
            torch.linspace(0, 1, 60, dtype=torch.float64),
            tensor(0.3, 1.0) * EDGE,
            1 - 0.5 * tensor(EDGE),
        ]
    )
    start = low_m + (high_m - low_m) * parts
    # One cell in three is told to turn round within the ramp, across both thresholds.
    volts = torch.stack(
        [tensor(0.0, high, high, k % 3 * -0.2 * high, 0.0) for k in range(len(parts))]
    )
    ours = run_torch(VTEAM, one.values, {"w": start}, TIMES, volts)
    by_steps(monkeypatch)
    theirs = run_torch(VTEAM, one.values, {"w": start}, TIMES, volts, tolerance=1e-9)
    apart = (ours.states["w"] - theirs.states["w"]).abs() / (high_m - low_m)
    assert float(apart[:60].max()) < 1e-7
    assert float(apart.max()) < 0.2 * EDGE  # where a state is within an edge is free to steps
    assert float((ours.states["w"][:, -1] - start).abs().max()) > 1e-8 * (high_m - low_m)


def test_a_pulse_has_its_closed_form() -> None:
    one = VTEAM.parameter_set("sine")
    p = one.values
    volts, width_s, edge_s = 0.3, 10e-9, 1e-9
    trace = run_torch(
        VTEAM, p, {"w": 1e-9}, [0.0, edge_s, edge_s + width_s, 2 * edge_s + width_s],
        tensor(0.0, volts, volts, 0.0),
    )  # fmt: skip
    flat = p["k_off"] * (volts / p["v_off"] - 1) ** p["alpha_off"] * width_s
    # alpha_off = 1: the mean of a straight rate, on the part of the edge that is above v_off.
    ramps = p["k_off"] * 0.5 * (volts / p["v_off"] - 1) * edge_s * (1 - p["v_off"] / volts) * 2
    assert float(trace.states["w"][-1]) == pytest.approx(1e-9 + flat + ramps, rel=1e-9)


k, v_t = Parameter("k", "1/(V*s)", "speed", above=0), Parameter("v_t", "V", "zero of the rate")
x = State("x", "1", "state", lower=0, upper=1)
g = Parameter("g", "S", "conductance", above=0)
TURNING = CompactModel(
    name="turning",
    title="a rate that turns round within a ramp, at no threshold",
    kind="dynamic",
    source="made for tests",
    current=g * x * V,
    rates={x: k * (V - v_t) * (1 + V / (V * V + 1 * v_t * v_t) * v_t)},
    parameter_sets=(
        ParameterSet(
            name="one",
            source="made for tests",
            values={"k": 1e8, "v_t": 0.4, "g": 1e-3},
            initial={"x": 0.9},
            amplitude_v=1.0,
            period_s=1e-6,
        ),
    ),
)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-5, 1e-7])
@pytest.mark.parametrize("ramp", [(-0.8, 1.2), (1.2, -0.8)])
def test_a_rate_that_turns_round_is_left_to_steps(
    ramp: tuple[float, float], tolerance: float
) -> None:
    # To the bound and away from it again: the integral over the whole ramp misses that.
    values = TURNING.parameter_sets[0].values
    assert is_free(TURNING)
    start, duration_s = [0.02, 0.4, 0.9], 1e-8
    trace = run_torch(
        TURNING,
        values,
        {"x": tensor(*start)},
        [0.0, duration_s],
        tensor(*ramp),
        tolerance=tolerance,
    )
    volts = np.linspace(*ramp, 20001)
    v_t = values["v_t"]
    rates = values["k"] * (volts - v_t) * (1 + volts * v_t / (volts**2 + v_t**2))
    for begin, end in zip(start, trace.states["x"][:, -1].tolist(), strict=True):
        place = begin
        for rate in 0.5 * (rates[1:] + rates[:-1]):  # with a hard clip
            place = min(max(place + rate * duration_s / (len(volts) - 1), 0.0), 1.0)
        assert end == pytest.approx(place, abs=EDGE)
    assert float(trace.states["x"][0, -1]) != pytest.approx(0.0184, abs=0.01)  # the bare integral


def test_a_power_that_no_rule_has_is_left_to_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    one = VTEAM.parameter_set("sine")
    values = {**one.values, "alpha_on": 1.3}
    start = torch.linspace(1e-9, 2.9e-9, 20, dtype=torch.float64)
    volts = tensor(0.0, -0.35, -0.35, 0.0)
    times = [0.0, 4e-11, 8e-11, 1.2e-10]
    ours = run_torch(VTEAM, values, {"w": start}, times, volts, tolerance=1e-6)
    by_steps(monkeypatch)
    theirs = run_torch(VTEAM, values, {"w": start}, times, volts, tolerance=1e-9)
    apart = (ours.states["w"] - theirs.states["w"]).abs().max() / 3e-9
    assert 0 < float(apart) < 2e-6
    assert float((ours.states["w"][:, -1] - start).abs().min()) > 1e-11


def test_gradients_are_those_of_the_formula() -> None:
    one = VTEAM.parameter_set("sine")
    k_off = torch.tensor(one.values["k_off"], dtype=torch.float64, requires_grad=True)
    start = tensor(0.5e-9, 2.99e-9).requires_grad_()
    volts = tensor(0.0, 0.3, 0.3, 0.0).requires_grad_()
    times = [0.0, 1e-9, 11e-9, 12e-9]
    w = run_torch(VTEAM, {**one.values, "k_off": k_off}, {"w": start}, times, volts).states["w"]
    by_k, by_start, by_volts = torch.autograd.grad(
        w[0, -1], [k_off, start, volts], retain_graph=True
    )
    at_bound = torch.autograd.grad(w[1, -1], [k_off, start, volts])
    w = w.detach()
    moved = float(w[0, -1]) - 0.5e-9
    assert float(by_k) == pytest.approx(moved / one.values["k_off"], rel=1e-9)
    assert by_start.tolist() == pytest.approx([1.0, 0.0])
    v_off, speed = one.values["v_off"], one.values["k_off"]
    # A corner of the pulse is worth half of the plateau and half of the edge beside it.
    assert float(by_volts[1]) == pytest.approx(speed / v_off * (5e-9 + 0.5e-9), rel=0.01)
    assert all(bool(torch.isfinite(part).all()) for part in at_bound)
    assert float(w[1, -1]) == pytest.approx(3e-9, rel=1e-4)


def test_a_cell_is_never_out_of_its_bounds() -> None:
    one = VTEAM.parameter_set("sine")
    start = tensor(-0.3 * EDGE, 0.0, 1.0, 1 + 0.2 * EDGE) * 3e-9
    for volts in (-1.0, 1.0):
        w = run_torch(VTEAM, one.values, {"w": start}, [0.0, 1e-6], tensor(volts, volts)).states[
            "w"
        ]
        assert bool(torch.isfinite(w).all())
        want = 0.0 if volts < 0 else 3e-9
        assert float((w[:, -1] - want).abs().max()) < 3e-9 * math.exp(-10)
