"""Devices that can be solved on paper, and currents that other programs have published."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq

from compact_models.library import all_models
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import find_ngspice


def found(model_name: str, set_name: str) -> tuple[CompactModel, ParameterSet]:
    model = all_models()[model_name]
    return model, model.parameter_set(set_name)


def drifted(p: dict[str, float], x: float, flux_vs: float) -> float:
    """Linear drift without a window: the square of the resistance is straight in the flux."""
    span = p["r_off"] - p["r_on"]
    k = p["mobility"] * p["r_on"] / p["d_film"] ** 2
    square = (p["r_off"] - span * x) ** 2 - 2 * k * span * flux_vs
    return (p["r_off"] - math.sqrt(square)) / span


@pytest.mark.parametrize("volts", [0.7, -0.9])
@pytest.mark.parametrize("set_name", ["hp", "technion"])
def test_drift_at_constant_voltage(set_name: str, volts: float) -> None:
    model, one = found("ion_drift", set_name)
    times = torch.linspace(0, 0.25 * one.period_s, 41, dtype=torch.float64)
    trace = run_torch(
        model, one.values, one.initial, times, torch.full((41,), volts, dtype=torch.float64),
        tolerance=1e-9,
    )  # fmt: skip
    want = [drifted(dict(one.values), one.initial["x"], volts * float(t)) for t in times]
    assert abs(want[-1] - want[0]) > 0.03
    assert np.abs(trace.states["x"].numpy() - want).max() < 1e-6


def test_drift_under_a_sine() -> None:
    model, one = found("ion_drift", "hp")
    # Chords of the sine: their flux is off by (2 pi / 2000)^2 / 12 = 8e-7.
    times = torch.linspace(0, 1.0, 2001, dtype=torch.float64)
    angle = 2 * math.pi * times
    trace = run_torch(
        model, one.values, one.initial, times[:1501], 0.7 * torch.sin(angle)[:1501], tolerance=1e-8
    )
    flux = 0.7 / (2 * math.pi) * (1 - torch.cos(angle[:1501]))
    want = np.array([drifted(dict(one.values), one.initial["x"], float(f)) for f in flux])
    assert np.ptp(want) > 0.15
    assert np.abs(trace.states["x"].numpy() - want).max() < 1e-6


@pytest.mark.ngspice
def test_drift_at_constant_voltage_in_ngspice() -> None:
    model, one = found("ion_drift", "hp")
    times = np.linspace(0, 0.25, 41)
    trace = run_ngspice(model, one, times, np.full(41, 0.9), find_ngspice(), compiled=False)
    want = [drifted(dict(one.values), one.initial["x"], 0.9 * t) for t in times]
    assert np.abs(trace.states["x"] - want).max() < 1e-5


@pytest.mark.parametrize("model_name", ["ion_drift_joglekar", "ion_drift_prodromakis"])
def test_a_window_only_rescales_the_flux(model_name: str) -> None:
    # R(x) dx / f(x) is the flux times a constant: by quadrature, without any time stepping.
    model, one = found(model_name, "technion")
    p = one.values
    n = p["p_window"]
    k = p["mobility"] * p["r_on"] / p["d_film"] ** 2

    def window(x: float) -> float:
        if model_name.endswith("joglekar"):
            return 1 - (2 * x - 1) ** (2 * n)
        return 1 - (x * x - x + 1) ** n

    def flux(x: float) -> float:
        whole, _ = quad(
            lambda s: (p["r_off"] - (p["r_off"] - p["r_on"]) * s) / window(s),
            one.initial["x"],
            x,
            epsabs=0,
            epsrel=1e-12,
        )
        return whole / k

    want = brentq(lambda x: flux(x) - 1.5, 0.5, 0.95, xtol=1e-13)
    trace = run_torch(
        model, p, one.initial, [0.0, 2.0], torch.tensor([0.5, 1.0], dtype=torch.float64),
        tolerance=1e-9,
    )  # fmt: skip
    assert want > one.initial["x"] + 0.05
    assert float(trace.states["x"][-1]) == pytest.approx(want, abs=1e-6)


def test_biolek_leaves_an_end_that_joglekar_does_not() -> None:
    for name, leaves in (("ion_drift_biolek", True), ("ion_drift_joglekar", False)):
        model, one = found(name, "technion")
        trace = run_torch(
            model, one.values, {"x": 1.0}, [0.0, 1e-2], torch.tensor([-1.0, -1.0]).double()
        )
        assert (float(trace.states["x"][-1]) < 0.99) == leaves


@pytest.mark.parametrize("volts", [0.75, -0.7])
def test_messaris_at_constant_voltage(volts: float) -> None:
    model, one = found("messaris", "tio2")
    p = one.values
    if volts > 0:
        limit, speed = 17.16e3 + 0.15e3 * volts, 4.86e-5 * math.expm1(volts / 0.12)
    else:
        limit, speed = 24.81e3 + 17.91e3 * volts, 1.09e-3 * math.expm1(-volts / 0.18)
    times = torch.linspace(0, 2e-2, 21, dtype=torch.float64)
    trace = run_torch(
        model, p, one.initial, times, torch.full((21,), volts, dtype=torch.float64), tolerance=1e-9
    )
    distance = limit - one.initial["r"]
    want = limit - distance / (1 + speed * abs(distance) * times)
    assert abs(float(want[-1] - want[0])) > 500
    assert float((trace.states["r"] / want - 1).abs().max()) < 1e-6
    assert torch.allclose(trace.current_a, volts / want, rtol=1e-6)


@pytest.mark.parametrize("volts", [1.3, -1.1])
def test_the_later_messaris_at_constant_voltage(volts: float) -> None:
    model, one = found("messaris_2021", "tio2")
    if volts > 0:
        limit, speed = 2699.2336 - 672.930205 * volts, -600.10075 * math.expm1(-volts / 0.0212028)
    else:
        limit, speed = 649.413746 - 1474.32358 * volts, -34.5988399 * math.expm1(volts / 0.05343997)
    times = torch.linspace(0, 1e-4, 21, dtype=torch.float64)
    start = 2900.0 if volts > 0 else 1700.0
    trace = run_torch(
        model, one.values, {"r": start}, times, torch.full((21,), volts).double(), tolerance=1e-9
    )
    distance = limit - start
    want = limit - distance / (1 + speed * abs(distance) * times)
    assert abs(float(want[-1] - want[0])) > 200
    assert float((trace.states["r"] / want - 1).abs().max()) < 1e-6
    sinh = 0.32046175 * math.sinh(2.71689828 * volts)
    assert torch.allclose(trace.current_a, sinh / want, rtol=1e-6)


# Sines by other people's decks in ngspice 39, checked there against scipy: the phase in periods and
# the current. Tolerances are the errors stated with them.
POINTS = [
    (
        ("vteam", "sine", 0.25, 2e-7, 1e-3),
        {
            0.125: 3.275492e-04,
            0.25: 4.308237e-04,
            0.375: 2.847231e-04,
            0.625: -2.781399e-04,
            0.75: -1.407407e-03,
            0.875: -3.535533e-03,
            1.25: 2.374532e-03,
        },
    ),
    (("vteam", "pt_hf_ti", 1.0, 1e-6, 1e-3), {0.25: 1.724127e-03, 0.75: -9.999999e-03}),
    (("vteam", "pt_hf_ti", 1.0, 1.0, 1e-3), {0.125: 8.150675e-04, 0.25: 4.000000e-04}),
    (
        ("yakopcic", "oblea", 0.45, 1e-2, 2e-4),
        {
            0.125: 1.020834e-03,
            0.25: 3.331372e-03,
            0.375: 2.604618e-03,
            0.625: -1.790904e-03,
            0.75: -6.620260e-04,
            0.875: -2.728081e-04,
        },
    ),
    pytest.param(
        ("yakopcic", "aguirre", 1.0, 1.0, 1.1e-3),
        {
            0.25: 3.158528e-05,
            0.375: 3.253888e-05,
            0.75: -4.564975e-05,
            1.25: 6.857707e-05,
        },
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize(("case", "currents"), POINTS, ids=lambda x: "-".join(map(str, x))[:30])
def test_currents_under_a_sine(
    case: tuple[str, str, float, float, float], currents: dict[float, float]
) -> None:
    model_name, set_name, amplitude_v, period_s, tolerance = case
    model, one = found(model_name, set_name)
    periods = math.ceil(max(currents))
    phase = torch.linspace(0, periods, periods * 800 + 1, dtype=torch.float64)
    trace = run_torch(
        model,
        one.values,
        one.initial,
        phase * period_s,
        amplitude_v * torch.sin(2 * math.pi * phase),
    )
    for place, want in currents.items():
        assert float(trace.current_a[round(place * 800)]) == pytest.approx(want, rel=tolerance)
