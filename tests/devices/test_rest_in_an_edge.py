"""States that rest within the edge of their bound: a temperature hardly above the ambient one."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
from scipy.integrate import solve_ivp

from compact_models.emit.torch_model import torch_model
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Constant, Parameter, State, V
from cosim.devices import integrate
from cosim.devices.integrate import advance, start
from cosim.devices.switching_time import switching_times

g_off = Parameter("g_off", "S", "conductance without bridge", above=0)
g_on = Parameter("g_on", "S", "conductance of the full bridge", above=0)
v_0 = Parameter("v_0", "V", "voltage that speeds growth up e-fold", above=0)
k_g = Parameter("k_g", "1/s", "attempt rate of growth", above=0)
e_a = Parameter("e_a", "V", "activation energy", low=0)
k_d = Parameter("k_d", "1/s", "rate of dissolution at ambient temperature", above=0)
r_th = Parameter("r_th", "K/W", "thermal resistance", above=0)
tau_th = Parameter("tau_th", "s", "thermal time constant", above=0)
t_ambient = Parameter("t_ambient", "K", "ambient temperature", above=0)
k_b = Constant("k_b", "V/K", "Boltzmann's constant over the charge", value=8.617333e-5)
x = State("x", "1", "bridged part", lower=0, upper=1)
temp = State("temp", "K", "temperature of the bridge", lower=t_ambient, upper=2000)
current = (g_off + (g_on - g_off) * x) * V
growth = k_g * sympy.exp(-e_a / (k_b * temp)) * sympy.sinh(sympy.Abs(V) / v_0)

BRIDGE = CompactModel(
    name="bridge",
    title="a bridge that dissolves by itself, and its temperature",
    kind="dynamic",
    source="made for tests",
    current=current,
    rates={
        x: growth * (1 - x) - k_d * temp / t_ambient * x,
        temp: (r_th * current * V - (temp - t_ambient)) / tau_th,
    },
    parameter_sets=(
        ParameterSet(
            name="one",
            source="made for tests",
            values={
                "g_off": 1e-8, "g_on": 1e-4, "v_0": 0.05, "k_g": 1e7, "e_a": 0.35, "k_d": 1e5,
                "r_th": 2e6, "tau_th": 1e-8, "t_ambient": 300.0,
            },
            initial={"x": 0.0, "temp": 300.0},
            amplitude_v=0.5,
            period_s=2e-4,
        ),
    ),
)  # fmt: skip
ONE = BRIDGE.parameter_sets[0]


def free_rates(v: float):  # type: ignore[no-untyped-def]  # a closure for scipy
    p = ONE.values

    def rates(_t: float, y: np.ndarray) -> list[float]:
        i = (p["g_off"] + (p["g_on"] - p["g_off"]) * y[0]) * v
        grow = p["k_g"] * np.exp(-p["e_a"] / (8.617333e-5 * y[1])) * np.sinh(abs(v) / p["v_0"])
        return [
            grow * (1 - y[0]) - p["k_d"] * y[1] / 300.0 * y[0],
            (p["r_th"] * i * v - (y[1] - 300.0)) / p["tau_th"],
        ]

    return rates


# At 0.05 V the temperature rests a thousandth of an edge above its bound, at 0.2589 V just inside.
@pytest.mark.parametrize("volts", [0.05, 0.2, 0.25889830508474576, 0.3, 0.45, -0.5])
@pytest.mark.parametrize("duration_s", [1e-6, 1e-3, 3.0, 3e8])
def test_it_comes_to_rest_in_few_steps_however_long(
    volts: float, duration_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrate, "_MOST_STEPS", 400)
    functions = torch_model(BRIDGE)
    p = functions.parameters(dict(ONE.values))
    v = torch.tensor([volts], dtype=torch.float64)
    states = [torch.tensor([0.01], dtype=torch.float64), torch.full_like(v, 300.0)]
    cells = advance(
        functions, p, start(functions, p, functions.fractions(states, p), v), v, v, duration_s
    )
    assert bool(cells.alive.all())
    known = solve_ivp(
        free_rates(volts), (0, min(duration_s, 1e-2)), [0.01, 300.0], method="Radau", rtol=1e-9,
        atol=1e-12,
    ).y[:, -1]  # fmt: skip
    assert float(cells.fractions[0]) == pytest.approx(known[0], abs=1e-4)
    assert float(cells.fractions[1]) == pytest.approx((known[1] - 300) / 1700, abs=1e-4)


def test_its_switching_times_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 60 voltages over ten years; where it switches it takes as long as scipy says."""
    monkeypatch.setattr(integrate, "_MOST_STEPS", 400)
    volts = 0.5 * np.linspace(0.05, 1.25, 60)
    times = switching_times(
        BRIDGE, ONE, torch.from_numpy(volts), from_fraction=0.01, to_fraction=0.5, longest_s=3e8
    ).numpy()
    known = np.full_like(volts, np.nan)
    for k, v in enumerate(volts):

        def half(_t: float, y: np.ndarray) -> float:
            return float(y[0] - 0.5)

        half.terminal = True  # type: ignore[attr-defined]  # scipy looks for it
        found = solve_ivp(
            free_rates(v), (0, 1e-2), [0.01, 300.0], method="LSODA", events=half, rtol=1e-8,
            atol=1e-10,
        )  # fmt: skip
        known[k] = found.t[-1] if found.t_events[0].size else np.nan
    assert np.isfinite(known).sum() > 10
    np.testing.assert_array_equal(np.isnan(times), np.isnan(known))
    np.testing.assert_allclose(times, known, rtol=0.02)
