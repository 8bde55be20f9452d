"""JART VCM v1b against the published equations in plain Python: brentq for the loop, LSODA."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from compact_models.devices.jart import MODEL
from cosim.devices.run_torch import run_torch

# doi 10.26165/JUELICH-DATA/LUA8QY, in its own units and names
E, K, H, M_E, EPS_0, A_R, Z = 1.602e-19, 1.3807e-23, 6.626e-34, 9.10938e-31, 8.854e-12, 6.01e5, 2
T0, EPS, EPS_PHI, PHI_B0, PHI_N, U_N = 293, 17, 5.5, 0.18, 0.1, 4e-6
N_MIN, N_MAX, N_PLUG, HOP, NY0, DWA = 0.008e26, 20e26, 20e26, 0.25e-9, 2e13, 1.35
RTH, RTH_RESET, R_DET, L_CELL, L_DET = 15.72e6, 0.27, 45e-9, 3e-9, 0.4e-9
R_TIOX, R_LINE, RTH_LINE, ALPHA = 650, 719.244, 90471.47, 3.92e-3
AREA = math.pi * R_DET**2


def schottky(v_s: float, t: float, n: float) -> float:
    psi = PHI_B0 - PHI_N - v_s
    psi = (psi + math.hypot(psi, 1e-3)) / 2  # the rounding that the model's docstring states
    phi = PHI_B0 - (E**3 * Z * n * psi / (8 * math.pi**2 * (EPS_0 * EPS_PHI) ** 3)) ** 0.25
    phi = max(phi, 0.0)
    if v_s >= 0:
        return AREA * A_R * t**2 * math.exp(-E * phi / (K * t)) * math.expm1(E * v_s / (K * t))
    w_00 = E * H / (4 * math.pi) * math.sqrt(Z * n / (M_E * EPS * EPS_0))
    a = w_00 / (K * t)
    root = math.sqrt(math.pi * w_00 * E * (-v_s + phi / math.cosh(a) ** 2))
    rise = math.expm1(-E * v_s * (a - math.tanh(a)) / w_00)
    return -AREA * A_R * t / K * root * math.exp(-E * phi * math.tanh(a) / w_00) * rise


def divided(i: float, v: float, n: float) -> tuple[float, float, float, float, float]:
    """Schottky voltage, temperature, and the resistances of disc, plug and everything."""
    disc = L_DET / (n * Z * E * U_N * AREA)
    plug = (L_CELL - L_DET) / (N_PLUG * Z * E * U_N * AREA)
    whole = disc + plug + R_TIOX + R_LINE * (1 + R_LINE * ALPHA * i**2 * RTH_LINE)
    v_s = v - i * whole
    heated = i * (v_s + (v - v_s) * (disc + plug) / whole) * RTH * (RTH_RESET if v > 0 else 1)
    return v_s, T0 + heated, disc, plug, whole


def residual(i: float, v: float, n: float) -> float:
    v_s, t, *_ = divided(i, v, n)
    if v_s * v <= 0:  # beyond the end: more than all of the voltage on the resistances
        return math.copysign(1.0, v)
    return i - schottky(v_s, t, n)


def solutions(v: float, n: float) -> list[float]:
    grid = math.copysign(1, v) * np.geomspace(1e-12, abs(v) / (R_TIOX + R_LINE), 3000)
    values = [residual(i, v, n) for i in grid]
    return [
        float(brentq(residual, grid[k], grid[k + 1], args=(v, n), xtol=1e-18, rtol=1e-13))
        for k in np.nonzero(np.diff(np.sign(values)))[0]
    ]


def current(v: float, n: float) -> float:
    end = v / (R_TIOX + R_LINE)
    return float(brentq(residual, 0.0, end, args=(v, n), xtol=1e-18, rtol=1e-13))


def rate(v: float, n: float) -> float:
    i = current(v, n)
    v_s, t, disc, plug, whole = divided(i, v, n)
    if v > 0:
        field = (v_s + (v - v_s) * (disc + plug) / whole) / L_CELL
        limit = 1 - (N_MIN / n) ** 10
    else:
        field = (v - v_s) * disc / whole / L_DET
        limit = 1 - (n / N_MAX) ** 10
    g = Z * field * HOP / (math.pi * DWA)
    low, high = (
        DWA * (math.sqrt(1 - g * g) + sign * g * math.pi / 2 + g * math.asin(g)) for sign in (-1, 1)
    )
    hops = math.exp(-E * low / (K * t)) - math.exp(-E * high / (K * t))
    ions = Z * E * (N_PLUG + n) / 2 * HOP * NY0 * AREA * hops * limit
    return -ions / (AREA * L_DET * E * Z)


@pytest.mark.parametrize("volts", [-1.4, -0.8, -0.3, 0.9, 1.5])
@pytest.mark.parametrize("n", [8e23, 2e25, 4e26, 2e27])
def test_the_current_is_that_of_the_published_equations(volts: float, n: float) -> None:
    trace = run_torch(
        MODEL,
        MODEL.parameter_sets[0].values,
        {"n_disc": n},
        [0.0, 1e-18],
        torch.tensor([volts, volts], dtype=torch.float64),
    )
    assert float(trace.current_a[0]) == pytest.approx(current(volts, n), rel=1e-5)


def test_of_several_solutions_it_stays_on_one() -> None:
    # The barrier rises within a millivolt of the Schottky voltage: an S-shaped load line.
    known = solutions(0.3, 2e25)
    assert len(known) == 3
    ramp = torch.linspace(0.001, 0.3, 300, dtype=torch.float64)
    times = torch.arange(300, dtype=torch.float64) * 1e-18
    trace = run_torch(MODEL, MODEL.parameter_sets[0].values, {"n_disc": 2e25}, times, ramp)
    i = trace.current_a.numpy()
    assert min(abs(i[-1] / one - 1) for one in known) < 1e-4
    assert np.abs(np.diff(i)).max() < 0.05 * i[-1]  # no jump on the way


@pytest.mark.parametrize(
    ("volts", "start", "reached"),
    [(-0.5, 8e23, 1e27), (-0.8, 8e23, 1e27), (-1.0, 8e23, 1e27), (1.2, 2e27, 1e26)],
)
def test_switching_times_over_decades(volts: float, start: float, reached: float) -> None:
    def there(_t: float, y: np.ndarray) -> float:
        return float(y[0] - math.log(reached))

    there.terminal = True  # type: ignore[attr-defined]  # scipy's way to end at an event
    known = solve_ivp(
        lambda _t, y: [rate(volts, math.exp(y[0])) / math.exp(y[0])],
        (0, 1e3),
        [math.log(start)],
        method="LSODA",
        rtol=1e-8,
        atol=1e-10,
        events=there,
        first_step=1e-14,
    )
    want = float(known.t_events[0][0])
    times = np.concatenate([[0.0], want * np.linspace(0.9, 1.1, 81)])
    trace = run_torch(
        MODEL,
        MODEL.parameter_sets[0].values,
        {"n_disc": start},
        times,
        torch.full((len(times),), volts, dtype=torch.float64),
    )
    n = trace.states["n_disc"].numpy()
    passed = (n > reached) if reached > start else (n < reached)
    assert passed.any()
    assert times[int(np.argmax(passed))] == pytest.approx(want, rel=0.01)


def test_landmarks_of_a_sweep() -> None:
    # An independent port to ngspice gave -4.0746 uA, -867.19 uA and 548.44 uA at these voltages.
    times = np.linspace(0, 4e-3, 161)
    volts = np.interp(times, np.linspace(0, 4e-3, 5), [0, -1.5, 0, 1.5, 0])
    trace = run_torch(
        MODEL,
        MODEL.parameter_sets[0].values,
        {"n_disc": 8e23},
        times,
        torch.from_numpy(volts),
    )
    i = trace.current_a.numpy()
    assert i[10] == pytest.approx(-4.0746e-6, rel=1e-3)
    assert i[40] == pytest.approx(-867.19e-6, rel=1e-3)
    assert i[104] == pytest.approx(548.44e-6, rel=1e-3)
