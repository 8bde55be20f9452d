"""Rates with a peak within a ramp, at both of whose ends the device is at rest."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
from scipy.integrate import solve_ivp

from compact_models.emit.torch_model import torch_model
from compact_models.library import package_models
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V
from cosim.devices.humps import longest_step_v
from cosim.devices.integrate import start
from cosim.devices.run_torch import run_torch

g = Parameter("g", "S", "conductance at x = 1", above=0)
k = Parameter("k", "1/s", "speed at the peak", above=0)
v_a = Parameter("v_a", "V", "voltage of the peak")
v_b = Parameter("v_b", "V", "width of the peak", above=0)
x = State("x", "1", "state", lower=0, upper=1)


def peaked(rate: sympy.Expr) -> CompactModel:
    return CompactModel(
        name="peaked",
        title="moves near one voltage only",
        kind="dynamic",
        source="made for tests",
        current=g * (0.1 + x) * V,
        rates={x: rate},
        parameter_sets=(
            ParameterSet(
                name="one",
                source="made for tests",
                values={"g": 1e-4, "k": 1e6, "v_a": 0.1, "v_b": 0.01},
                initial={"x": 0.05},
                amplitude_v=1.0,
                period_s=4e-6,
            ),
        ),
    )


PEAK = sympy.exp(-(((V - v_a) / v_b) ** 2))


# A rate with its state in it is stepped, one without is an integral: both have to look.
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("width", [0.003, 0.02, 0.1])
@pytest.mark.parametrize("centre", [-0.63, 0.11])
def test_a_peak_within_a_ramp_is_not_stepped_over(width: float, centre: float, free: bool) -> None:
    model = peaked(k * PEAK * (1 if free else 1 - x))
    # As fast as lets it move by a third of its range on its way through the peak.
    speed = 0.4 / (width * np.sqrt(np.pi) / 2.0 * 1e-6)
    values = {"g": 1e-4, "k": speed, "v_a": centre, "v_b": width}

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        v = -1.0 + 2.0 * t / 1e-6
        there = speed * np.exp(-(((v - centre) / width) ** 2))
        return np.asarray(there * (1.0 if free else 1 - y))

    known = solve_ivp(
        rate, (0, 1e-6), [0.05], method="LSODA", rtol=1e-9, atol=1e-12, max_step=1e-6 / 4000
    ).y[0, -1]
    assert known > 0.3
    cells = torch.full((3,), 0.05, dtype=torch.float64)
    trace = run_torch(
        model, values, {"x": cells}, [0.0, 1e-6], torch.tensor([-1.0, 1.0], dtype=torch.float64)
    )
    np.testing.assert_allclose(trace.states["x"][:, -1].numpy(), known, atol=2e-4)


def test_two_peaks_of_unlike_width() -> None:
    other = sympy.exp(-(((V + v_a) / (4 * v_b)) ** 2))
    model = peaked(k * (PEAK + other) * (1 - x))
    values = {"g": 1e-4, "k": 2e7, "v_a": 0.5, "v_b": 0.006}

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        v = -1.0 + 2.0 * t / 1e-6
        there = np.exp(-(((v - 0.5) / 0.006) ** 2)) + np.exp(-(((v + 0.5) / 0.024) ** 2))
        return np.asarray(2e7 * there * (1 - y))

    known = solve_ivp(
        rate, (0, 1e-6), [0.05], method="LSODA", rtol=1e-9, atol=1e-12, max_step=1e-6 / 4000
    ).y[0, -1]
    trace = run_torch(
        model, values, {"x": 0.05}, [0.0, 1e-6], torch.tensor([-1.0, 1.0], dtype=torch.float64)
    )
    assert float(trace.states["x"][-1]) == pytest.approx(known, abs=2e-4)


def test_no_device_of_the_package_has_a_peak() -> None:
    """They would pay for it with short steps on every ramp."""
    seen = 0
    for model in package_models().values():
        if not model.states or model.kind == "read":
            continue
        functions = torch_model(model)
        for numbers in model.parameter_sets:
            p = functions.parameters(dict(numbers.values))
            sweep = torch.tensor([[0.0], [1.0], [-1.0], [0.0]], dtype=torch.float64)
            volts = numbers.amplitude_v * sweep
            states = [
                torch.tensor([float(numbers.initial[s.name])], dtype=torch.float64)
                for s in model.states
            ]
            cells = start(functions, p, functions.fractions(states, p), volts[0])
            longest = longest_step_v(functions, p, cells, volts, numbers.period_s, 1e-5)
            assert longest == torch.inf, (model.name, numbers.name)
            seen += 1
    assert seen > 30
