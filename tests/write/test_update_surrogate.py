"""The update surrogate: right against both simulators, monotone, and honest about where it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.update_surrogate import ideal_step
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.devices.form import device_form
from cosim.ngspice import Ngspice, Outcome
from cosim.surrogate.update import UpdateNoise, UpdateSurrogate
from cosim.surrogate.update_rows import Row, compared, from_rows
from cosim.tables.layout import FULL, QUICK, Effort
from cosim.tables.source import in_ngspice, in_torch
from cosim.tables.update import calibrate_update
from netlists.pulse import Pulse

# Model, set, timing, least and greatest level: sweeps of some tens of pulses.
VTEAM = ("vteam", "sine", Pulse(0.25, 1e-8, 2e-10, 2e-10), (-0.22, 0.25))
STANFORD = ("stanford", "sky130", Pulse(1.87, 7e-9, 1.4e-10, 1.4e-10), (-1.87, -1.7))
JART = ("jart_v1b", "hfo2", Pulse(1.57, 3e-9, 6e-11, 6e-11), (1.54, 1.57))
Case = tuple[str, str, Pulse, tuple[float, float]]
SMALL = replace(QUICK, levels=3, level_rounds=3, held_out=120)


def calibrated(case: Case, **how: object) -> UpdateSurrogate:
    name, one, pulse, range_v = case
    model = find_model(name)
    return calibrate_update(model, find_set(model, one), pulse, range_v, **how)  # type: ignore[arg-type]


def points(range_v: tuple[float, float], count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.random(count), range_v[0] + (range_v[1] - range_v[0]) * rng.random(count)


@pytest.fixture(scope="module")
def vteam() -> UpdateSurrogate:
    return calibrated(VTEAM)


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("compiled", "effort"),
    [
        pytest.param(None, QUICK, id="osdi-quick"),
        pytest.param(None, None, marks=pytest.mark.slow, id="osdi"),
        pytest.param(False, None, marks=pytest.mark.slow, id="b"),
    ],
)
def test_vteam_in_ngspice_is_within_two_percent_and_torch_agrees(
    ngspice: Ngspice, compiled: bool | None, effort: Effort | None
) -> None:
    made = calibrated(VTEAM, ngspice=ngspice, compiled=compiled, effort=effort)
    assert "ngspice" in made.source
    held = made.held_out
    assert held is not None
    assert held.lost == 0
    assert held.points == (effort or (FULL if compiled is None else QUICK)).held_out
    assert held.nrmse < 0.02
    assert held.energy_nrmse < 0.02
    # By the other route, on other points: one integrator made the table, the other checks it.
    name, one, pulse, range_v = VTEAM
    x, v = points(range_v, 300)
    model = find_model(name)
    true = in_torch(model, find_set(model, one), pulse)(x, v)
    by_torch = compared(made, x, v, true.after, true.energy_j)
    assert by_torch.nrmse < 0.02
    assert by_torch.energy_nrmse < 0.02
    control = compared(ideal_step(made), x, v, true.after, true.energy_j)
    assert control.nrmse > 3 * by_torch.nrmse


@pytest.mark.parametrize(
    "case", [STANFORD, pytest.param(JART, marks=pytest.mark.slow)], ids=["stanford", "jart"]
)
def test_abrupt_devices_are_within_two_percent(case: Case) -> None:
    made = calibrated(case, effort=SMALL)
    held = made.held_out
    assert held is not None
    assert held.lost == 0
    assert held.nrmse < 0.02
    name, one, pulse, range_v = case
    x, v = points(range_v, 200)
    model = find_model(name)
    true = in_torch(model, find_set(model, one), pulse, looks=0)(x, v)
    assert np.abs(true.after - x).max() > 0.3  # there is something to be right about
    error = compared(made, x, v, true.after, true.energy_j).nrmse
    assert error < 0.02
    control = compared(ideal_step(made), x, v, true.after, true.energy_j).nrmse
    assert control > 3 * error


@pytest.mark.ngspice
@pytest.mark.parametrize("case", [STANFORD, JART], ids=["stanford", "jart"])
def test_ngspice_and_torch_measure_the_same_pulse(ngspice: Ngspice, case: Case) -> None:
    name, one, pulse, range_v = case
    model = find_model(name)
    numbers = find_set(model, one)
    x, v = points(range_v, 40)
    form = device_form(model, numbers, ngspice)
    spice = in_ngspice(model, numbers, pulse, ngspice, form=form)(x, v)
    ours = in_torch(model, numbers, pulse)(x, v)
    assert spice.outcome is Outcome.OK
    assert np.abs(spice.after - ours.after).max() < 2e-3
    off = spice.energy_j - ours.energy_j
    assert np.sqrt(np.mean(off**2) / np.mean(spice.energy_j**2)) < 0.01
    assert np.abs(off / spice.energy_j).max() < 0.03


@pytest.mark.parametrize("name", ["reram_array_hfo2", "reram_array_om", "reram_sb"])
def test_soft_bounds_are_within_two_percent(name: str) -> None:
    width_s = find_set(find_model("soft_bounds"), name).values["width_s"]
    pulse = Pulse(1.5, width_s, width_s / 50, width_s / 50)
    made = calibrated(("soft_bounds", name, pulse, (-1.5, 1.5)), effort=QUICK)
    held = made.held_out
    assert held is not None
    assert held.nrmse < 0.02
    # The step jumps at the threshold of 0.8 V; a table over even levels would smear it.
    middle = torch.tensor(0.5, dtype=torch.float64)
    below, above = (made.step(middle, torch.tensor(v).to(middle)) for v in (0.795, 0.805))
    assert float(below) == 0
    assert float(above) > 1e-4


def test_a_pulse_keeps_the_order_of_states_and_the_bounds(vteam: UpdateSurrogate) -> None:
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for level in np.linspace(*vteam.range_v, 17).tolist():
        after = vteam.after(x, torch.full_like(x, level))
        assert bool((torch.diff(after) >= -1e-12).all())
        assert bool(((after >= 0) & (after <= 1)).all())
        assert bool(((after - x) * np.sign(level) >= -1e-12).all())


def test_a_cliff_stays_a_cliff() -> None:
    """Between a switch at 0.402 and one at 0.4 of the range no state stops halfway for long."""
    rows = []
    for level, edge in ((1.0, 0.402), (2.0, 0.4)):
        x = np.array([0.0, edge - 1e-4, edge + 1e-4, 1.0])
        rows.append(Row(level, x, np.where(x < edge, x, 1.0), np.ones(4)))
    made = from_rows(
        rows, model="switch", parameter_set="one", pulse=Pulse(1, 1, 1, 1), state="x",
        source="a test", smooth=False,
    )  # fmt: skip
    x = torch.tensor([0.39, 0.3995, 0.4025, 0.41], dtype=torch.float64)
    after = made.after(x, torch.full_like(x, 1.5))
    assert after.tolist() == pytest.approx([0.39, 0.3995, 1.0, 1.0], abs=5e-3)
    assert made.inside(x, torch.full_like(x, 1.5)).all()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_steps_that_fall_off_like_an_exponential_are_not_too_long(sign: float) -> None:
    """A gap that dx/dt = -exp(-x / b) / s closes, from points between which steps halve.

    Straight lines would make every step in between too long, up to 6 %: training would drift.
    """
    b, c = 0.04, 0.5  # of the range, and how much exp(x / b) a pulse takes
    x = np.concatenate([np.linspace(0, 0.06, 13), np.linspace(0.08, 1, 34)])
    after = b * np.log(np.maximum(np.exp(x / b) + sign * c, 1))
    rows = [Row(v, x, after, np.ones(len(x))) for v in (1.0, 2.0)]
    made = from_rows(
        rows, model="gap", parameter_set="one", pulse=Pulse(1, 1, 1, 1), state="x",
        source="a test", smooth=False,
    )  # fmt: skip
    tried = torch.linspace(0.1, 0.45, 71, dtype=torch.float64)
    ours = made.step(tried, torch.full_like(tried, 1.5))
    true = b * torch.log(torch.exp(tried / b) + sign * c) - tried
    assert float(((ours - true) / true).abs().max()) < 0.01
    assert float((ours.sum() / true.sum()) - 1) == pytest.approx(0, abs=2e-3)
    every = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert bool((made.after(every, torch.full_like(every, 1.5)).diff() >= -1e-12).all())


def test_gradients_are_those_of_finite_differences(vteam: UpdateSurrogate) -> None:
    x = torch.tensor([0.21, 0.5, 0.83], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([-0.213, 0.171, 0.2317], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(vteam.after, (x, v), eps=1e-7, atol=1e-5)
    shaped = vteam.after(x.detach()[:, None], v.detach()[None, :])
    assert shaped.shape == (3, 3)
    assert shaped.dtype == torch.float64


def test_noise_is_a_function_of_seed_sample_and_path(vteam: UpdateSurrogate) -> None:
    x = torch.full((4000,), 0.5, dtype=torch.float64)
    v = torch.full_like(x, 0.25)
    noise = UpdateNoise(0.3, Stream(1, 2).at("tile_0", 0))
    first = vteam.after(x, v, noise)
    assert torch.equal(first, vteam.after(x, v, noise))
    assert not torch.equal(
        first, vteam.after(x, v, replace(noise, draw=Stream(1, 2).at("tile_1", 0)))
    )
    steps = first - x
    mean = float(vteam.step(x, v)[0])
    assert float(steps.mean()) == pytest.approx(mean, rel=0.02)
    assert float(steps.std()) == pytest.approx(0.3 * mean, rel=0.05)


def test_outside_it_says_so(vteam: UpdateSurrogate) -> None:
    half = torch.tensor([0.5], dtype=torch.float64)
    with pytest.raises(InputError, match=r"voltage_v: outside .* 0.3; allowed: -0.22 to 0.25"):
        vteam.after(half, torch.tensor([0.3], dtype=torch.float64))
    with pytest.raises(InputError, match="x: outside"):
        vteam.after(2.2 * half, 0 * half)
    inside = vteam.inside(torch.tensor([0.5, 1.1, 0.5]), torch.tensor([0.1, 0.1, -0.3]))
    assert inside.tolist() == [True, False, False]
    vteam.check_timing(VTEAM[2].at(0.1))
    with pytest.raises(InputError, match="width_s: the surrogate was made for another pulse"):
        vteam.check_timing(replace(VTEAM[2], width_s=2e-8))


def test_what_the_source_could_not_solve_is_not_made_up() -> None:
    x = np.linspace(0, 1, 11)
    after = np.where(np.abs(x - 0.5) < 0.01, np.nan, x + 0.1 * (1 - x))
    rows = [Row(v, x, after, np.ones(11)) for v in (1.0, 2.0)]
    made = from_rows(
        rows, model="m", parameter_set="one", pulse=Pulse(1, 1, 1, 1), state="x", source="a test",
        smooth=True,
    )  # fmt: skip
    asked = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    assert made.inside(asked, torch.full_like(asked, 1.5)).tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["width_s", "rise_s", "fall_s"])
def test_a_pulse_is_a_trapezoid_with_edges(name: str) -> None:
    pulse = Pulse(0.5, 1e-8, 1e-9, 2e-9)
    assert pulse.corner_times_s() == pytest.approx((0, 1e-9, 1.1e-8, 1.3e-8))
    assert pulse.duration_s == pulse.corner_times_s()[-1]
    for bad in (0.0, -1e-9, np.inf, np.nan):
        with pytest.raises(InputError, match=name):
            replace(pulse, **{name: bad})
    with pytest.raises(InputError, match="amplitude_v"):
        pulse.at(np.nan)


def test_levels_beyond_the_model_and_devices_without_pulses_are_refused() -> None:
    name, one, pulse, _ = VTEAM
    model = find_model(name)
    with pytest.raises(InputError, match=r"got 0.8; allowed: -0.75 to 0.75 V"):
        calibrate_update(model, find_set(model, one), pulse, (0.0, 0.8))
    pcm = find_model("pcm")
    with pytest.raises(InputError, match="programmed and read"):
        calibrate_update(pcm, find_set(pcm, None), pulse, (0.0, 0.1))


def test_a_filament_that_is_about_to_give_way_does_so_between_two_levels() -> None:
    """At 1 V what is above 0.9 holds and at 1.2 V nothing does: at 1.1 V some of it holds.

    The row of 1.2 V knows no state that holds. Where the other one goes up it has to go on as that
    does, or the edge would be gone a hair above 1 V.
    """

    def row(level_v: float, edge: float) -> Row:
        x = np.unique(np.clip([0, edge - 1e-4, edge + 1e-4, 1], 0, 1))
        return Row(level_v, x, np.where(x < edge, 0.0, x), np.ones(len(x)))

    levels = [row(-v, 0.0) for v in (1.2, 1.0)] + [row(0.0, 0.0), row(1.0, 0.9), row(1.2, 1.1)]
    made = from_rows(
        levels, model="fuse", parameter_set="one", pulse=Pulse(1, 1, 1, 1), state="x",
        source="a test", smooth=False,
    )  # fmt: skip
    x = torch.linspace(0.005, 0.995, 100, dtype=torch.float64)
    edges = []
    for level_v in (1.0, 1.02, 1.1, 1.18, 1.2):
        after = made.after(x, torch.full_like(x, level_v))
        assert bool((((after < 0.06) | ((after - x).abs() < 0.06)).double().mean() > 0.95).all())
        edges.append(float(x[after < 0.5 * x].max()))
    assert edges == pytest.approx([0.895, 0.905, 0.945, 0.985, 0.995], abs=0.011)
