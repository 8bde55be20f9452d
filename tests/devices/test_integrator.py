"""The integrator of millions of cells: against closed forms, scipy, and itself in other batches."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import sympy
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V
from cosim.devices import integrate
from cosim.devices.internal import solve_internal
from cosim.devices.kernels import compiled, eager, find_compiler
from cosim.devices.rosenbrock import linearised, rosenbrock_step
from cosim.devices.run_torch import run_torch
from tests.devices.small_models import FOLLOWER, HEATED, JUNCTION, inner

PULSE_S = [0.0, 1e-9, 101e-9, 102e-9]


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def followed(x: float, v_start: float, v_end: float, duration_s: float) -> float:
    """x' = k (v / v_one - x) under a ramp, solved on paper."""
    k, v_one = 1e6, 2.0
    slope = (v_end - v_start) / duration_s / v_one
    lag = slope / k
    decay = math.exp(-k * duration_s)
    return v_end / v_one - lag + (x - v_start / v_one + lag) * decay


@pytest.mark.parametrize("ramp", [(0.2, 1.6), (1.6, 0.2), (0.7, 0.7)])
def test_a_ramp_has_its_closed_form(ramp: tuple[float, float]) -> None:
    values = FOLLOWER.parameter_sets[0].values
    for duration_s in (1e-8, 1e-6, 3e-5):
        trace = run_torch(
            FOLLOWER, values, {"x": 0.25}, [0.0, duration_s], tensor(*ramp), tolerance=1e-8
        )
        want = followed(0.25, *ramp, duration_s)
        assert float(trace.states["x"][-1]) == pytest.approx(want, abs=1e-7)
        assert float(trace.current_a[-1]) == pytest.approx(1e-3 * want * ramp[1], rel=1e-6)


def test_one_step_is_of_order_four() -> None:
    functions = torch_model(JUNCTION)
    p = functions.parameters(dict(JUNCTION.parameter_sets[0].values))

    def error(h: float) -> float:
        def advance(steps: int) -> torch.Tensor:
            s, ramp = (tensor(0.4),), tensor(2e6)
            part = tensor(h / steps)
            for k in range(steps):
                v = tensor(0.3 + 2e6 * h * k / steps)
                y = solve_internal(functions, p, v, s, None)
                slopes = linearised(functions, p, s, y, v)
                s = rosenbrock_step(functions, p, s, y, slopes, v, ramp, part).fractions
            return s[0]

        return float((advance(1) - advance(64)).abs())

    ratio = error(1.25e-8) / error(0.625e-8)
    assert 24 < ratio < 48, "the local error of order 4 falls 32-fold when the step is halved"


def test_an_implicit_model_agrees_with_scipy() -> None:
    p = JUNCTION.parameter_sets[0].values

    def current(v: float, x: float) -> float:
        r = p["r_s"] + p["r_x"] * (1 - x)

        def residual(i: float) -> float:
            return i - p["i_0"] * math.sinh(max(-500.0, min(500.0, (v - i * r) / p["v_0"])))

        return 0.0 if v == 0 else brentq(residual, 0.0, v / p["r_s"], xtol=1e-20, rtol=1e-14)

    def volts(t: float) -> float:
        return 0.9 * math.sin(2 * math.pi * t / 1e-6)

    def rate(t: float, y: np.ndarray) -> list[float]:
        r = p["r_s"] + p["r_x"] * (1 - y[0])
        return [p["q"] * (volts(t) - current(volts(t), y[0]) * r)]

    times = np.linspace(0, 1e-6, 801)
    known = solve_ivp(rate, (0, 1e-6), [0.4], t_eval=times, rtol=1e-9, atol=1e-12)
    trace = run_torch(
        JUNCTION, p, {"x": 0.4}, times, torch.tensor([volts(t) for t in times]), tolerance=1e-7
    )
    assert 0.2 < np.ptp(known.y[0]) < 0.9
    assert np.abs(trace.states["x"].numpy() - known.y[0]).max() < 2e-5  # the sine is in 800 chords
    wanted = [current(volts(t), x) for t, x in zip(times, known.y[0], strict=True)]
    assert np.abs(trace.current_a.numpy() - wanted).max() < 1e-4 * max(wanted)


def test_two_states_one_of_them_stiff_agree_with_scipy() -> None:
    p = HEATED.parameter_sets[0].values

    def rate(t: float, y: np.ndarray) -> list[float]:
        v = 0.8 * t / 1e-6
        power = p["g"] * (0.1 + y[0]) * v * v
        return [
            p["k"] * v / p["v_one"] * (1 + y[1] / p["t_ref"]),
            (p["r_th"] * power - y[1]) / p["tau"],
        ]

    known = solve_ivp(rate, (0, 1e-6), [0.2, 0.0], method="Radau", rtol=1e-10, atol=1e-12)
    trace = run_torch(
        HEATED, p, {"x": 0.2, "heat": 0.0}, [0.0, 1e-6], tensor(0.0, 0.8), tolerance=1e-7
    )
    for name, want in zip(("x", "heat"), known.y[:, -1], strict=True):
        assert float(trace.states[name][-1]) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("by_steps", [False, True])
def test_cells_do_not_depend_on_their_company(
    by_steps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_steps:
        monkeypatch.setattr(integrate, "is_free", lambda _model: False)
    rng = np.random.default_rng(3)
    count = 40
    w = torch.from_numpy(rng.uniform(0, 3e-9, count))
    volts = torch.from_numpy(rng.uniform(-0.3, 0.4, count))
    stimulus = torch.stack([0 * volts, volts, volts, 0 * volts], -1)
    values = dict(VTEAM.parameter_sets[0].values)
    values["v_off"] = torch.from_numpy(rng.uniform(0.01, 0.2, count))
    together = run_torch(VTEAM, values, {"w": w}, PULSE_S, stimulus)
    monkeypatch.setattr(integrate, "_CELLS_AT_ONCE", 7)
    batched = run_torch(VTEAM, values, {"w": w}, PULSE_S, stimulus)
    assert torch.allclose(together.states["w"], batched.states["w"], rtol=0, atol=1e-24)
    for cell in (0, 17, 39):
        alone = run_torch(
            VTEAM,
            values | {"v_off": float(values["v_off"][cell])},
            {"w": float(w[cell])},
            PULSE_S,
            stimulus[cell],
        )
        assert torch.allclose(alone.states["w"], together.states["w"][cell], rtol=0, atol=1e-18)
    assert len({round(float(one), 12) for one in together.states["w"][:, -1]}) > 3


@pytest.mark.parametrize("volts", [0.25, -0.25, 0.03, -0.21, 1.0, -1.0])
@pytest.mark.parametrize("number", [0, 1])
def test_no_cell_is_missed_at_a_threshold_or_an_edge(number: int, volts: float) -> None:
    # With the state's rate known in closed form, every cell of thousands must be where it belongs.
    parameter_set = VTEAM.parameter_sets[number]
    p = parameter_set.values
    start = torch.linspace(0, 1, 3001, dtype=torch.float64)

    def travelled(v: float) -> float:
        """Integral over the ramp from 0 to v in 1 ns, in metres."""
        u, k, a = (
            (v / p["v_off"] - 1, p["k_off"], p["alpha_off"])
            if v > 0
            else (v / p["v_on"] - 1, p["k_on"], p["alpha_on"])
        )
        return 0.0 if u <= 0 else k * u**a * (u / (a + 1)) / (u + 1) * 1e-9

    u = (volts / p["v_off"] if volts > 0 else volts / p["v_on"]) - 1
    flat = 0.0
    if u > 0:
        flat = (
            p["k_off"] * u ** p["alpha_off"] if volts > 0 else p["k_on"] * u ** p["alpha_on"]
        ) * 20e-9
    want = (start * 3e-9 + 2 * travelled(volts) + flat).clamp(0, 3e-9)
    trace = run_torch(
        VTEAM,
        p,
        {"w": start * 3e-9},
        [0.0, 1e-9, 21e-9, 22e-9],
        tensor(0.0, volts, volts, 0.0),
    )
    assert bool(trace.alive.all())
    assert float((trace.states["w"][:, -1] - want).abs().max()) < 1.5e-4 * 3e-9


def test_a_state_leaves_its_bound_without_delay() -> None:
    values = VTEAM.parameter_sets[0].values
    times = [0.0, 1e-6, 1e-6 + 1e-12, 1e-6 + 1e-9]
    trace = run_torch(VTEAM, values, {"w": 1e-9}, times, tensor(-0.25, -0.25, 0.25, 0.25))
    w = trace.states["w"].tolist()
    assert abs(w[1]) < 1e-4 * 3e-9
    # 5e-4 m/s (0.25 / 0.02 - 1) for 1 ns, from the bound
    assert w[3] - w[1] == pytest.approx(5e-4 * 11.5 * 1e-9, rel=2e-3)


def test_a_cell_that_cannot_be_solved_is_data() -> None:
    b = Parameter("b", "1", "under the root")
    x = State("x", "1", "state", lower=0, upper=1)
    k = Parameter("k", "1/(V*s)", "speed")
    broken = CompactModel(
        name="broken",
        title="a root that may be of a negative number",
        kind="dynamic",
        source="made for tests",
        current=Parameter("g", "S", "conductance") * V,
        rates={x: k * V * sympy.sqrt(b - x)},
        parameter_sets=(
            ParameterSet("one", "tests", {"b": 2.0, "k": 1e6, "g": 1e-3}, {"x": 0.1}, 1.0, 1e-6),
        ),
    )
    values = {"b": tensor(2.0, -1.0, 1.5), "k": 1e6, "g": 1e-3}
    trace = run_torch(broken, values, {"x": 0.1}, [0.0, 1e-7], tensor(0.5, 0.5))
    assert trace.alive.tolist() == [True, False, True]
    assert torch.isnan(trace.states["x"][1, -1])
    assert torch.isnan(trace.current_a[1, -1])
    assert bool(torch.isfinite(trace.states["x"][[0, 2]]).all())


def test_what_is_no_solution_is_not_taken_for_one() -> None:
    # A residual that falls through its solution: the bracket closes at an end, where it is not.
    falling = dataclasses.replace(JUNCTION, implicit={inner: -JUNCTION.implicit[inner]})
    values = JUNCTION.parameter_sets[0].values
    for cells in (0.4, tensor(0.4, 0.6)):
        for model, solved in ((JUNCTION, True), (falling, False)):
            trace = run_torch(model, values, {"x": cells}, [0.0, 1e-7], tensor(0.5, 0.6))
            assert bool((trace.alive == solved).all())
            assert bool((torch.isfinite(trace.current_a[..., -1]) == solved).all())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_voltage_that_is_no_number_loses_its_cell(place: int) -> None:
    for model in (VTEAM, FOLLOWER, JUNCTION):
        one = model.parameter_sets[0]
        volts = torch.full((2, 3), 0.2, dtype=torch.float64)
        volts[1, place] = torch.nan
        trace = run_torch(model, one.values, one.initial, [0.0, 1e-9, 2e-9], volts)
        assert trace.alive.tolist() == [True, False]
        assert bool(torch.isnan(trace.current_a[1, place:]).all())
        assert bool(torch.isfinite(trace.current_a[0]).all())


def test_a_parameter_of_the_current_that_is_no_number_loses_its_cell() -> None:
    values = {**FOLLOWER.parameter_sets[0].values, "g": tensor(1e-3, torch.nan)}
    trace = run_torch(FOLLOWER, values, {"x": 0.25}, [0.0, 1e-9], tensor(0.2, 0.2))
    assert trace.alive.tolist() == [True, False]


def test_a_start_out_of_bounds_is_refused() -> None:
    values = FOLLOWER.parameter_sets[0].values
    for start, said in (
        (tensor(0.5, 1.2), r"initial\['x'\], cell 1: .*'x' starts out of bounds; got 1.2.*0 to 1"),
        (-0.1, r"initial: .*out of bounds; got -0.1; allowed: 0 to 1"),
        (math.nan, r"out of bounds; got nan"),
    ):
        with pytest.raises(InputError, match=said):
            run_torch(FOLLOWER, values, {"x": start}, [0.0, 1e-9], tensor(0.2, 0.2))
    one = VTEAM.parameter_sets[0]
    upper = VTEAM.bounds(one.values)["w"]
    assert upper is not None
    with pytest.raises(InputError, match=rf"'w' starts out of bounds; .*0 to {upper[1]:g}"):
        run_torch(VTEAM, one.values, {"w": 2 * upper[1]}, [0.0, 1e-9], tensor(0.2, 0.2))


@pytest.mark.parametrize("tolerance", [-1.0, 0.0, 1e3, math.nan])
def test_a_tolerance_must_be_one(tolerance: float) -> None:
    one = FOLLOWER.parameter_sets[0]
    with pytest.raises(InputError, match=r"tolerance: .*allowed: 1e-11 to 0.1"):
        run_torch(
            FOLLOWER, one.values, one.initial, [0, 1e-9], tensor(0.1, 0.1), tolerance=tolerance
        )


def test_times_must_rise() -> None:
    with pytest.raises(InputError, match=r"time_s\[2\].*does not rise"):
        run_torch(VTEAM, VTEAM.parameter_sets[0].values, {"w": 0.0}, [0, 1, 1], tensor(0, 0, 0))


@pytest.mark.slow
# torch warns of its own use of what it has deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_kernels_give_the_same_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrate, "is_free", lambda _model: False)  # the integral has no kernels
    if find_compiler() is None:
        pytest.skip("no C++ compiler")
    one = VTEAM.parameter_sets[0]
    cells = torch.linspace(0, 3e-9, 3001, dtype=torch.float64)
    pulse = tensor(0.0, 0.3, 0.3, 0.0)
    with torch.no_grad():
        plain, fast = (
            run_torch(VTEAM, one.values, {"w": cells}, PULSE_S, pulse, kernels=kernels)
            for kernels in (eager, compiled)
        )
    assert np.ptp((plain.states["w"][:, -1] - cells).numpy()) > 1e-10
    assert fast.states["w"].numpy() == pytest.approx(plain.states["w"].numpy(), abs=3e-9 * 1e-6)
