"""Pulse devices: the map of one pulse against paper and circuit; symmetry; noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compact_models.devices.constant_step import MODEL as CONSTANT
from compact_models.devices.exp_step import MODEL as EXP
from compact_models.devices.linear_step import MODEL as LINEAR
from compact_models.devices.piecewise_step import MODEL as PIECEWISE
from compact_models.devices.pow_step import MODEL as POW
from compact_models.devices.soft_bounds import MODEL as SOFT
from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.variation import Stream
from cosim.devices.form import can_compile
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import Ngspice
from cosim.pulses.device_steps import (
    apply_pulses,
    asymmetry,
    number_of_states,
    steps,
    symmetry_point,
)

Array = NDArray[np.float64]

MODELS = (CONSTANT, LINEAR, SOFT, EXP, POW, PIECEWISE)
ALL_SETS = [
    pytest.param(model, one, id=f"{model.name}-{one.name}")
    for model in MODELS
    for one in model.parameter_sets
]
# One set of each law is quick; the others differ in numbers alone.
FIRST_SETS = [
    pytest.param(
        model,
        one,
        id=f"{model.name}-{one.name}",
        marks=() if one is model.parameter_sets[0] else pytest.mark.slow,
    )
    for model in MODELS
    for one in model.parameter_sets
]
STRAIGHT = ("constant_step", "linear_step", "soft_bounds")
TRAIN = [1] * 5 + [-1] * 8 + [0, 1, -1, -1, 1]


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def with_values(one: ParameterSet, **changes: float) -> ParameterSet:
    return replace(one, values={**one.values, **changes})


def after(model: CompactModel, one: ParameterSet, w: float, directions: Sequence[int]) -> Array:
    start = torch.tensor(w, dtype=torch.float64)
    return apply_pulses(model, one.values, start, torch.tensor(directions)).numpy()


def stimulus(one: ParameterSet, directions: Sequence[int]) -> tuple[Array, Array]:
    """Pulses that are above the threshold for just one width; every fourth point is a rest."""
    width, threshold = one.values["width_s"], one.values["threshold_v"]
    height, edge = 1.25 * threshold, 1e-3 * width
    below = edge * threshold / height  # the part of an edge below the threshold
    times, volts = [0.0], [0.0]
    for k, direction in enumerate(directions):
        up, down = (3 * k + 1) * width, (3 * k + 2) * width
        times += [up - below, up - below + edge, down + below - edge, down + below]
        volts += [0.0, direction * height, direction * height, 0.0]
    return np.array([*times, times[-1] + width]), np.array([*volts, 0.0])


def rests(trace: Array) -> Array:
    return trace[4::4]


# What one pulse does, worked out on paper.


def test_constant_steps_stop_at_the_bound() -> None:
    one = CONSTANT.parameter_set("gokmen_vlasov")
    w = after(CONSTANT, one, 0.0, [1] * 610 + [-1] * 1210)
    assert w[598] == pytest.approx(0.599)
    assert w[609] == 0.6
    assert w[609 + 1199] == pytest.approx(-0.599)
    assert w[-1] == -0.6


def test_soft_bounds_are_approached_geometrically() -> None:
    one = SOFT.parameter_set("reram_sb")
    w = after(SOFT, one, -0.3, [1] * 900)
    # 1.25 - w shrinks by the factor 1 - 0.002 / 1.25 = 0.9984.
    assert w[-1] == pytest.approx(1.25 - 1.55 * 0.9984**900, rel=1e-12)
    w = after(SOFT, one, 0.9, [-1] * 500)
    assert w[-1] == pytest.approx(-0.75 + 1.65 * (1 - 0.002 / 0.75) ** 500, rel=1e-12)


def test_linear_steps_shrink_by_gamma_at_the_bounds() -> None:
    one = LINEAR.parameter_set("ecram")
    up, down = steps(LINEAR, one.values, tensor(-0.8276, 0.0, 1.1724))
    assert up.tolist() == pytest.approx([0.0021627811, 0.002, 0.0017694], rel=1e-7)
    assert down.tolist() == pytest.approx([-0.000983, -0.002, -0.0034407090], rel=1e-7)


def test_exponential_steps_at_three_weights() -> None:
    one = EXP.parameter_set("reram_es")
    up, down = steps(EXP, one.values, tensor(-1.0, 0.0, 1.0))
    # z = -w / 2 - 1 / 2 is 0, -1/2 and -1.
    assert up.tolist() == pytest.approx([0.00294900, 0.00148126, 0.00136077], rel=1e-5)
    assert down.tolist() == pytest.approx([-0.00108126, -0.00199147, -0.0130800], rel=1e-4)


def test_power_steps_are_powers_of_the_distance() -> None:
    one = POW.parameter_set("example")
    up, down = steps(POW, one.values, tensor(-0.6, 0.0, 0.3, 0.6))
    assert up.tolist() == pytest.approx([0.01, 0.0025, 0.000625, 0.0], abs=1e-14)
    assert down.tolist() == pytest.approx([0.0, -0.00125, -0.01 * 27 / 64, -0.01], abs=1e-14)


def test_piecewise_steps_are_straight_between_their_nodes() -> None:
    one = PIECEWISE.parameter_set("example")
    up, down = steps(PIECEWISE, one.values, tensor(-0.8, -0.6, -0.5, 0.8, 0.95, 1.0))
    assert up.tolist() == pytest.approx([0.009, 0.0085, 0.008, 0.0015, 0.00075, 0.0005])
    assert down.tolist() == pytest.approx([-0.001, -0.002, -0.00275, -0.0065, -0.006875, -0.007])


def test_up_down_weakens_one_direction() -> None:
    one = SOFT.parameter_set("reram_sb")
    for up_down, want in ((0.3, (0.002, -0.0014)), (-0.3, (0.0014, -0.002))):
        up, down = steps(SOFT, with_values(one, up_down=up_down).values, tensor(0.0))
        assert (float(up), float(down)) == pytest.approx(want)


# The same under a voltage.


@pytest.mark.parametrize(("model", "one"), ALL_SETS)
def test_a_train_under_voltage_follows_the_map(model: CompactModel, one: ParameterSet) -> None:
    time_s, voltage_v = stimulus(one, TRAIN)
    trace = run_torch(model, one.values, one.initial, time_s.tolist(), torch.from_numpy(voltage_v))
    mapped = after(model, one, one.initial["w"], TRAIN)
    error = np.abs(rests(trace.states["w"].numpy()) - mapped).max()
    largest = np.abs(np.diff([one.initial["w"], *mapped])).max()
    # Curved laws differ by about half the change of the step by the step.
    allowed = 1e-4 if model.name in STRAIGHT else 0.3 if one.name == "pcm" else 0.03
    assert error < allowed * largest
    assert np.all(np.sign(np.diff(mapped)) == np.array(TRAIN)[1:])


def test_a_curved_step_differs_from_its_flow_in_the_order_of_the_step() -> None:
    def part(dw_min: float) -> float:
        one = with_values(EXP.parameter_set("pcm"), dw_min=dw_min)
        time_s, voltage_v = stimulus(one, [1])
        w = tensor(0.4)
        trace = run_torch(
            EXP, one.values, {"w": w}, time_s.tolist(), torch.from_numpy(voltage_v), tolerance=1e-9
        )
        flow = float(trace.states["w"][0, -1]) - 0.4
        step = float(steps(EXP, one.values, w)[0])
        return (step - flow) / step

    assert part(1e-3) == pytest.approx(0.0125, rel=0.05)  # half of 1e-3 * 27.235 * 2.5 / e
    assert part(1e-3) / part(0.5e-3) == pytest.approx(2, rel=0.03)


def test_half_a_pulse_does_nothing_and_a_long_one_is_two() -> None:
    one = LINEAR.parameter_set("ecram_mo")
    width = one.values["width_s"]
    edge = 1e-4 * width

    def end(height: float, duration: float) -> float:
        times = [0.0, edge, duration, duration + edge]
        volts = tensor(0.0, height, height, 0.0)
        trace = run_torch(LINEAR, one.values, one.initial, times, volts)
        return float(trace.states["w"][-1])

    threshold = one.values["threshold_v"]
    assert end(0.99 * threshold, 5 * width) == end(-0.99 * threshold, 5 * width) == 0.0
    twice = after(LINEAR, one, 0.0, [-1, -1])[-1]
    assert end(-2 * threshold, 2 * width) == pytest.approx(twice, rel=1e-3)


@pytest.mark.ngspice
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("model", "one"), FIRST_SETS)
def test_ngspice_and_torch_agree(
    ngspice: Ngspice, model: CompactModel, one: ParameterSet, compiled: bool
) -> None:
    if compiled and not can_compile(ngspice):
        pytest.skip("no compiled models here")
    time_s, voltage_v = stimulus(one, TRAIN)
    trace = run_torch(model, one.values, one.initial, time_s.tolist(), torch.from_numpy(voltage_v))
    spice = run_ngspice(model, one, time_s, voltage_v, ngspice, compiled=compiled)
    assert spice.result.ok, spice.result.log
    w = trace.states["w"].numpy()
    largest = np.abs(np.diff(rests(w))).max()
    assert np.abs(rests(spice.states["w"]) - rests(w)).max() < 2e-3 * largest
    current = trace.current_a.numpy()
    assert np.abs(spice.current_a - current).max() < 3e-4 * np.abs(current).max()
    assert current[2] > 0 > current[2 + 4 * 6]


# Symmetry.


@pytest.mark.parametrize(("model", "one"), ALL_SETS)
def test_alternating_pulses_end_at_the_symmetry_point(
    model: CompactModel, one: ParameterSet
) -> None:
    solved = symmetry_point(model, one.values)
    up, down = steps(model, one.values, solved)
    if model is CONSTANT:  # every weight is one
        assert float(up + down) == 0
        return
    low, high = one.values["w_min"], one.values["w_max"]
    # Larger steps come there sooner; where the law is zero does not depend on them.
    quick = with_values(one, dw_min=0.04 if one.name != "pcm" else 0.002)
    w = after(model, quick, low + 0.8 * (high - low), [1, -1] * 400)
    size = float((steps(model, quick.values, solved)[0]).abs())
    assert abs(w[0] - float(solved)) > 5 * size
    # The weight ends going to and fro across it, by about one step.
    assert w[-1] - 1e-9 <= float(solved) <= w[-2] + 1e-9
    assert w[-2] - w[-1] < 1.2 * size
    assert abs(float(asymmetry(model, one.values, solved))) < 1e-9


def test_published_symmetry_points_and_numbers_of_states() -> None:
    # aihwkit says of these that their range is shifted so that the point is at zero.
    for model, name in (
        (LINEAR, "ecram"),
        (LINEAR, "ecram_mo"),
        (SOFT, "reram_array_hfo2"),
        (SOFT, "reram_array_om"),
        (SOFT, "reram_sb"),
    ):
        assert float(symmetry_point(model, model.parameter_set(name).values)) == pytest.approx(
            0, abs=1e-12
        )
    counts = {"gokmen_vlasov": 1200, "gokmen_vlasov_scaled": 1250, "idealized": 10_000}
    for name, count in counts.items():
        values = CONSTANT.parameter_set(name).values
        assert float(number_of_states(CONSTANT, values, tensor(0.1))) == pytest.approx(count)


def test_the_symmetry_point_of_unlike_soft_bounds_is_where_two_lines_cross() -> None:
    one = SOFT.parameter_set("reram_sb")
    # 1 - w / 1.25 = 0.8 (1 + w / 0.75) at w = 0.2 / (0.8 + 0.8 / 0.75).
    values: dict[str, torch.Tensor | float] = {**one.values}
    values["up_down"] = tensor(0.2, 0.0, -0.2)
    points = symmetry_point(SOFT, values)
    assert points.tolist() == pytest.approx([0.2 / (0.8 + 0.8 / 0.75), 0.0, -0.2 / (0.64 + 4 / 3)])


# Noise, batches, gradients, refusals.


def test_noise_has_its_standard_deviation_and_its_seed() -> None:
    cells = torch.zeros(100_000, dtype=torch.float64)
    one = CONSTANT.parameter_set("gokmen_vlasov")
    up = torch.tensor([1])
    first = apply_pulses(CONSTANT, one.values, cells, up, Stream(3, 0).at("array", 0))[:, 0]
    assert float(first.mean()) == pytest.approx(0.001, abs=4 * 0.0003 / 100_000**0.5)
    assert float(first.std()) == pytest.approx(0.0003, rel=0.01)
    again = apply_pulses(CONSTANT, one.values, cells, up, Stream(3, 0).at("array", 0))[:, 0]
    other = apply_pulses(CONSTANT, one.values, cells, up, Stream(3, 1).at("array", 0))[:, 0]
    assert torch.equal(first, again)
    assert abs(float(torch.corrcoef(torch.stack([first, other]))[0, 1])) < 0.02


def test_noise_of_soft_bounds_does_not_fall_with_the_step() -> None:
    one = with_values(SOFT.parameter_set("reram_array_om"), dw_min=0.01)
    w = torch.full((50_000,), 0.9, dtype=torch.float64)
    moved = apply_pulses(SOFT, one.values, w, torch.tensor([1]), Stream(0, 0).at("a", 0))[:, 0] - w
    assert float(moved.mean()) == pytest.approx(0.001, rel=0.1)
    assert float(moved.std()) == pytest.approx(0.004158, rel=0.02)


def test_phase_change_steps_have_noise_where_there_is_no_step() -> None:
    one = with_values(EXP.parameter_set("pcm"), a_up=2.0, gamma_up=0.0)  # max(0, 1 - 2) is 0
    w = torch.full((50_000,), 1.5, dtype=torch.float64)
    moved = apply_pulses(EXP, one.values, w, torch.tensor([1]), Stream(0, 0).at("a", 0))[:, 0] - w
    assert float(moved.std()) == pytest.approx(0.6 * (0.042 + 0.108 * 1.5), rel=0.02)


def test_cells_of_a_batch_are_like_cells_alone() -> None:
    one = LINEAR.parameter_set("ecram")
    dw_min = tensor(0.002, 0.05, 0.3)
    directions = torch.tensor([[1, 1, -1, 0], [-1, -1, 1, 1], [1, -1, -1, -1]])
    values: dict[str, torch.Tensor | float] = {**one.values}
    values["dw_min"] = dw_min
    batch = apply_pulses(LINEAR, values, tensor(0.0, 0.5, -0.5), directions)
    for k, w in enumerate((0.0, 0.5, -0.5)):
        alone = after(LINEAR, with_values(one, dw_min=float(dw_min[k])), w, directions[k].tolist())
        assert batch[k].tolist() == pytest.approx(alone.tolist(), abs=1e-15)


@pytest.mark.parametrize("model", [SOFT, EXP, POW, PIECEWISE], ids=lambda model: model.name)
def test_gradients_are_those_of_differences(model: CompactModel) -> None:
    one = model.parameter_sets[0]
    directions = torch.tensor([1, 1, -1, 1, -1])

    def last(w: torch.Tensor, dw_min: torch.Tensor, w_max: torch.Tensor) -> torch.Tensor:
        values: dict[str, torch.Tensor | float] = {**one.values}
        values |= {"dw_min": dw_min, "w_max": w_max}
        return apply_pulses(model, values, w, directions)[..., -1]

    at = [tensor(0.05, -0.2), tensor(0.03, 0.01), tensor(0.9, 1.1)]
    assert torch.autograd.gradcheck(last, [x.requires_grad_() for x in at])


def test_refusals_say_what_is_wrong() -> None:
    w = tensor(0.0)
    with pytest.raises(InputError, match="not a pulse device"):
        apply_pulses(VTEAM, VTEAM.parameter_sets[0].values, w, torch.tensor([1]))
    with pytest.raises(InputError, match="not a pulse device"):
        symmetry_point(VTEAM, VTEAM.parameter_sets[0].values)
    with pytest.raises(InputError, match="1, -1 or 0"):
        apply_pulses(SOFT, SOFT.parameter_sets[0].values, w, torch.tensor([2]))
    with pytest.raises(InputError, match="w_min"):
        SOFT.check_set(with_values(SOFT.parameter_sets[0], w_min=0.0))
