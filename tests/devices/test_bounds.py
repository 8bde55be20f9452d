"""States that come to their bounds and leave them again within a ramp: nothing may be missed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from compact_models.library import all_models
from compact_models.normal_form import EDGE, has_vanishing_rate
from cosim.devices.run_torch import run_torch
from tests.devices import agreement
from tests.devices.references import all_references
from tests.devices.small_models import COUPLED

DYNAMIC = [model.name for model in all_models().values() if model.kind == "dynamic"]


@pytest.mark.parametrize(
    ("sign", "name"),
    [
        pytest.param(sign, name, marks=pytest.mark.slow if (sign, name) == (1, "jart_v1b") else ())
        for sign in (1, -1)
        for name in DYNAMIC
    ],
)
def test_a_ramp_that_turns_a_state_back_from_its_bound(name: str, sign: int) -> None:
    # One ramp from full voltage to full voltage of the other sign: the state rests at its bound for
    # a part of it, and how fast it was held there must not hide that it leaves. TEAM was off by a
    # quarter of its range.
    model = all_models()[name]
    one = model.parameter_sets[0]
    times = np.array([0.0, 0.25, 0.75, 1.25]) * one.period_s
    volts = np.array([0.0, 1.0, -1.0, 1.0]) * sign * one.amplitude_v
    fine = np.linspace(0, times[-1], 501)
    truth = agreement.reference_run(model, one, fine, np.interp(fine, times, volts))
    places = [int(np.argmin(np.abs(fine - t))) for t in times]
    for tolerance in (1e-4, 1e-5):
        trace = run_torch(
            model, one.values, one.initial, times, torch.from_numpy(volts), tolerance=tolerance
        )
        states = {key: x.numpy() for key, x in trace.states.items()}
        for key, s in agreement.fractions(model, one, states).items():
            assert s == pytest.approx(truth.fractions[key][places], abs=1e-3)


def held(rate: float, s: float) -> float:
    """A rate as the models have it in the edge before a bound."""
    return rate * min(1.0, (1 - s if rate > 0 else s) / EDGE)


@pytest.mark.parametrize(
    "seed", [pytest.param(k, marks=() if k < 6 else pytest.mark.slow) for k in range(12)]
)
def test_two_states_with_bounds_under_random_ramps(seed: int) -> None:
    p = COUPLED.parameter_sets[0].values
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 6))
    durations = 10 ** rng.uniform(-8, -3, count)
    volts = np.concatenate([[0.0], rng.uniform(-1.5, 1.5, count)])
    place = start = rng.uniform(0, 1, 2)

    def slopes(t: float, s: np.ndarray, first: float, last: float, duration: float) -> list[float]:
        v = first + (last - first) * t / duration
        x, z = map(float, s)
        current = p["g"] * (0.02 + x * z) * v
        over = max(0.0, abs(current) / p["i_t"] - 1)
        rise = p["k_z"] * math.copysign(over**2, v) - (z - 0.25) / p["tau"]
        return [held(p["q"] * v * (1 + 4 * z), x), held(rise, z)]

    known = [start]
    for (first, last), duration in zip(itertools.pairwise(volts), durations, strict=True):
        with np.errstate(divide="ignore"):  # scipy's, where an error is zero
            found = solve_ivp(
                slopes, (0, duration), place, method="Radau", rtol=1e-8, atol=1e-10,
                args=(first, last, duration), max_step=duration / 100,
            )  # fmt: skip
        place = found.y[:, -1]
        known.append(place)
    times = np.concatenate([[0.0], np.cumsum(durations)])
    initial = {"x": float(start[0]), "z": float(start[1])}
    for tolerance, allowed in ((1e-4, 3e-3), (1e-5, 3e-4)):
        trace = run_torch(COUPLED, p, initial, times, torch.from_numpy(volts), tolerance=tolerance)
        ours = torch.stack([trace.states["x"], trace.states["z"]], 1).numpy()
        assert np.abs(ours - known).max() < allowed


# A first step as long as the interval led to where Newton's method thought the rest to be, or lost
# the e-folds in which a state leaves a window, with an error estimate of nothing.
FAR = [
    ("messaris", "tio2", (-0.5194520583, -0.5194520583), 0.9999690747, 1e4),
    ("messaris_2021", "tio2", (-0.9202687188, -1.0433671428), 0.0346276190, 1e4),
    ("team", "xyce", (0.2053057280, 0.0579519311), 0.1538190375, 1e4),
    ("team_exp", "technion", (0.6222738832, 0.6222738832), 0.0076640296, 10.0),
    ("ion_drift_biolek", "technion", (-1.14074, -0.10768), 0.9997969168, 0.04),
    ("ion_drift_joglekar", "hp", (1.1117, -0.79665), 0.9999727774, 3.0),
    ("ion_drift_prodromakis", "hp", (0.819, -0.774), 0.9999986028, 3.0),
    ("ion_drift_prodromakis", "hp", (1.046, 1.046), 2.09982e-5, 10.0),
]


@pytest.mark.parametrize(("name", "set_name", "volts", "start", "periods"), FAR)
def test_a_long_interval_that_begins_far_from_rest(
    name: str, set_name: str, volts: tuple[float, float], start: float, periods: float
) -> None:
    model = all_models()[name]
    one = model.parameter_set(set_name)
    state = model.states[0].name
    low, high = model.bounds(one.values)[state] or (0.0, 1.0)
    duration = periods * one.period_s
    _, rates = all_references()[name]

    def slope(t: float, s: np.ndarray) -> list[float]:
        v = volts[0] + (volts[1] - volts[0]) * t / duration
        x = low + float(s[0]) * (high - low)
        return [held(rates(v, {state: x}, dict(one.values))[state] / (high - low), float(s[0]))]

    known = solve_ivp(
        slope, (0, duration), [start], method="LSODA", rtol=1e-8, atol=1e-11,
        first_step=1e-12 * duration,
    ).y[0, -1]  # fmt: skip
    for tolerance in (1e-4, 1e-5):
        trace = run_torch(
            model, one.values, {state: low + start * (high - low)}, [0.0, duration],
            torch.tensor(volts, dtype=torch.float64), tolerance=tolerance,
        )  # fmt: skip
        end = (float(trace.states[state][-1]) - low) / (high - low)
        assert end == pytest.approx(known, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "volts", "durations"),
    [
        ("ion_drift_joglekar", [0, -0.86, 1.4, 0.74, -0.4], [0.122, 0.0172, 0.0382, 5.8]),
        ("ion_drift_prodromakis", [0, 0.375, -0.395, 0.75], [2.49, 0.265, 1.68]),
    ],
)
def test_a_window_that_vanishes_lets_a_state_go(
    name: str, volts: list[float], durations: list[float]
) -> None:
    # It leaves by e-folds of its distance to the bound: integrated here in the logarithm of it.
    model = all_models()[name]
    assert has_vanishing_rate(model)
    one = model.parameter_sets[0]
    _, rates = all_references()[name]
    x0 = one.initial["x"]

    def slope(t: float, y: np.ndarray, first: float, last: float, duration: float) -> list[float]:
        near = 1 / (1 + math.exp(abs(float(y[0]))))
        x = near if y[0] < 0 else 1 - near
        v = first + (last - first) * t / duration
        rate = rates(v, {"x": x}, dict(one.values))["x"]
        ahead = near if (rate < 0) == (y[0] < 0) else 1.0
        return [rate * min(1.0, ahead / EDGE) / (near * (1 - near))]

    y, known = [math.log(x0 / (1 - x0))], [x0]
    for (first, last), duration in zip(itertools.pairwise(volts), durations, strict=True):
        found = solve_ivp(
            slope, (0, duration), y, method="LSODA", rtol=1e-7, atol=1e-7,
            args=(first, last, duration), max_step=duration / 200,
        )  # fmt: skip
        y = found.y[:, -1]
        known.append(1 / (1 + math.exp(-y[0])))
    times = np.concatenate([[0.0], np.cumsum(durations)])
    for tolerance in (1e-4, 1e-5, 1e-6):
        trace = run_torch(
            model, one.values, one.initial, times, torch.tensor(volts, dtype=torch.float64),
            tolerance=tolerance,
        )  # fmt: skip
        assert trace.states["x"].numpy() == pytest.approx(np.array(known), abs=5e-3)


@pytest.mark.parametrize(
    ("name", "wide"),
    [("messaris_2021", 3e-4), ("ion_drift_joglekar", 5e-3),
     *(pytest.param(*one, marks=pytest.mark.slow) for one in
       (("ion_drift_biolek", 3e-4), ("team", 2e-3), ("team_exp", 2e-3), ("yakopcic", 3e-4),
        ("ion_drift_prodromakis", 1e-3)))],
)  # fmt: skip
def test_no_cell_of_many_passes_by_chance(name: str, wide: float) -> None:
    """Random ramps: an estimate of the error is zero for some steps, and a step must not end there.

    The longest way round is the same integrator at a tolerance of 1e-9, which scipy confirms above.
    """
    model = all_models()[name]
    one, state = model.parameter_sets[0], model.states[0].name
    low, high = model.bounds(one.values)[state] or (0.0, 0.0)
    generator = torch.Generator().manual_seed(3)
    part, ends = (
        torch.rand(3000, *shape, dtype=torch.float64, generator=generator) for shape in ((), (2,))
    )
    volts = (2 * ends - 1) * 1.3 * one.amplitude_v
    apart = []
    for duration in (1e-3, 1e-2, 1e-1, 1.0):
        found = [
            run_torch(
                model, one.values, {state: low + (high - low) * part},
                [0.0, duration * one.period_s], volts, tolerance=tolerance,
            ).states[state][:, -1]
            for tolerance in (1e-5, 1e-9)
        ]  # fmt: skip
        apart.append((found[0] - found[1]).abs() / (high - low))
    every = torch.stack(apart)
    assert float(every.max()) < wide
    assert int((every > 3e-4).sum()) <= 6  # of 12,000; Joglekar, whose window forgives nothing, 5


def test_only_windows_vanish() -> None:
    windowed = {name for name in DYNAMIC if has_vanishing_rate(all_models()[name])}
    assert windowed == {"ion_drift_joglekar", "ion_drift_prodromakis"}
