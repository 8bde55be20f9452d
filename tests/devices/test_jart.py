"""JART VCM v1b: currents, branches, switching times over decades and landmarks of a sweep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from compact_models.devices.jart import MODEL
from cosim.devices.run_torch import run_torch
from tests.devices.references.jart import current, rate, solutions

SET = MODEL.parameter_sets[0]
P = dict(SET.values)


@pytest.mark.parametrize("volts", [-1.4, -0.8, -0.3, 0.9, 1.5])
@pytest.mark.parametrize("n", [8e23, 2e25, 4e26, 2e27])
def test_the_current_is_that_of_the_published_equations(volts: float, n: float) -> None:
    trace = run_torch(
        MODEL,
        SET.values,
        {"n_disc": n},
        [0.0, 1e-18],
        torch.tensor([volts, volts], dtype=torch.float64),
    )
    assert float(trace.current_a[0]) == pytest.approx(current(volts, n, P), rel=1e-5)


def test_of_several_solutions_it_stays_on_one() -> None:
    # The barrier rises within a millivolt of the Schottky voltage: an S-shaped load line.
    known = solutions(0.3, 2e25, P)
    assert len(known) == 3
    ramp = torch.linspace(0.001, 0.3, 300, dtype=torch.float64)
    times = torch.arange(300, dtype=torch.float64) * 1e-18
    trace = run_torch(MODEL, SET.values, {"n_disc": 2e25}, times, ramp)
    i = trace.current_a.numpy()
    assert min(abs(i[-1] / one - 1) for one in known) < 1e-4
    assert np.abs(np.diff(i)).max() < 0.05 * i[-1]  # no jump on the way


@pytest.mark.parametrize(
    ("volts", "start", "reached"),
    [
        (-0.4, 8e23, 1e27),
        (-0.5, 8e23, 1e27),
        (-0.6, 8e23, 1e27),
        (-0.8, 8e23, 1e27),
        (-1.0, 8e23, 1e27),
        (-1.5, 8e23, 1e27),
        (1.2, 2e27, 1e26),
    ],
)
def test_switching_times_over_decades(volts: float, start: float, reached: float) -> None:
    def there(_t: float, y: np.ndarray) -> float:
        return float(y[0] - math.log(reached))

    there.terminal = True  # type: ignore[attr-defined]  # scipy's way to end at an event
    known = solve_ivp(
        lambda _t, y: [rate(volts, math.exp(y[0]), P) / math.exp(y[0])],
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
        SET.values,
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
        SET.values,
        {"n_disc": 8e23},
        times,
        torch.from_numpy(volts),
    )
    i = trace.current_a.numpy()
    assert i[10] == pytest.approx(-4.0746e-6, rel=1e-3)
    assert i[40] == pytest.approx(-867.19e-6, rel=1e-3)
    assert i[104] == pytest.approx(548.44e-6, rel=1e-3)
