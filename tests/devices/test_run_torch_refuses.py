"""What `run_torch` refuses, by one sentence each; and that it computes in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from compact_models.library import find_model
from cosim.devices.run_torch import run_torch

VTEAM = find_model("vteam")
ONE = VTEAM.parameter_set("sine")


def cells(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"k_off": -1.0}, ["'k_off'", "out of bounds", "-1.0", "> 0 m/s"]),
        ({"k_off": 0.0}, ["'k_off'", "0.0", "> 0 m/s"]),
        ({"v_on": 0.2}, ["'v_on'", "0.2", "< 0 V"]),
        ({"alpha_on": 0.5}, ["'alpha_on'", ">= 1"]),
        ({"r_on": math.nan}, ["'r_on'", "nan"]),
        ({"r_on": math.inf}, ["'r_on'", "inf"]),
        ({"r_on": cells(50, 60, 0)}, ["'r_on'", "cell 2", "0.0", "> 0 ohm"]),
        ({"v_on": cells(-0.1, 0.1)}, ["'v_on'", "cell 1", "0.1", "< 0 V"]),
        ({"r_on": cells(50, math.inf)}, ["'r_on'", "cell 1", "inf"]),
        ({"alpha_on": cells(0.5, 1)}, ["'alpha_on'", "cell 0", "0.5"]),
        ({"w_on": 3e-9, "w_off": 0.0}, ["'w'", "not in order", "(3e-09, 0.0)"]),
        ({"w_on": 3e-9}, ["'w'", "not in order", "(3e-09, 3e-09)"]),
        ({"w_on": cells(0, 3e-9)}, ["'w'", "not in order", "cell 1", "(3e-09, 3e-09)"]),
        ({"r_on": "50 ohm"}, ["r_on", "neither a number nor a tensor"]),
        ({"r_on": cells(50, 60), "r_off": cells(1, 2, 3)}, ["number of cells", "(3,)", "(2,)"]),
        ({"r_on": cells()}, ["needs a cell"]),
    ],
)
def test_a_parameter_that_the_model_excludes(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        run_torch(VTEAM, {**ONE.values, **values}, ONE.initial, [0.0, 1e-9], cells(0, 0.1))
    for word in words:
        assert word in str(refused.value)


def test_no_number_among_many_loses_its_cell_alone() -> None:
    values: dict[str, Any] = {**ONE.values, "r_on": cells(50, math.nan, 60)}
    trace = run_torch(VTEAM, values, ONE.initial, [0.0, 1e-9], cells(0, 0.1))
    assert trace.alive.tolist() == [True, False, True]


def test_the_bounds_of_a_logarithmic_state_are_in_order() -> None:
    model = find_model("jart_v1b")
    one = model.parameter_sets[0]
    values = {**one.values, "n_min": 2e27, "n_max": 8e23}
    with pytest.raises(InputError, match=r"'n_disc' are not in order.*both above 0"):
        run_torch(model, values, one.initial, [0.0, 1e-9], cells(0, 0.1))


@pytest.mark.parametrize(
    ("times", "volts", "words"),
    [
        ([], cells(), ["time_s", "needs times"]),
        ([0.0, math.inf], cells(0, 1), ["time_s[1]", "inf", "finite"]),
        ([-math.inf, 0.0], cells(0, 1), ["time_s[0]", "-inf", "finite"]),
        ([0.0, math.nan], cells(0, 1), ["time_s[1]", "nan"]),
        ([0.0, 2e-9, 1e-9], cells(0, 1, 0), ["time_s[2]", "does not rise", "> 2e-09 s"]),
        ([0.0, 1e-9], cells(0.1), ["voltage_v", "(1,)", "2, the times"]),
        ([0.0, 1e-9], torch.tensor(0.1), ["voltage_v", "()", "2, the times"]),
        ([0.0, 1e-9], cells(0.1, 1, 2), ["voltage_v", "(3,)", "2, the times"]),
        ([0.0, 1e-9], torch.zeros(2, 1), ["voltage_v", "(2, 1)", "2, the times"]),
    ],
)
def test_times_and_voltages_that_are_no_stimulus(
    times: list[float], volts: torch.Tensor, words: list[str]
) -> None:
    with pytest.raises(InputError) as refused:
        run_torch(VTEAM, ONE.values, ONE.initial, times, volts)
    for word in words:
        assert word in str(refused.value)


def test_gradients_pass_the_checks() -> None:
    r_on = torch.tensor([50.0, 60.0], dtype=torch.float32, requires_grad=True)
    trace = run_torch(VTEAM, {**ONE.values, "r_on": r_on}, {"w": 0.0}, [0.0, 1e-12], cells(0, 0.01))
    trace.current_a[:, -1].sum().backward()
    assert r_on.grad is not None
    assert r_on.grad.tolist() == pytest.approx([-0.01 / 50**2, -0.01 / 60**2], rel=1e-4)


@pytest.mark.parametrize("names", [pytest.param(("eps_r",), marks=pytest.mark.slow), None])
def test_jart_with_parameters_of_float32(names: tuple[str, ...] | None) -> None:
    model = find_model("jart_v1b")
    one = model.parameter_sets[0]
    turned = tuple(one.values) if names is None else names
    short = {name: torch.tensor(one.values[name], dtype=torch.float32) for name in turned}
    rounded = {name: float(x) for name, x in short.items()}
    times = np.linspace(0, one.period_s, 13)
    volts = torch.from_numpy(one.amplitude_v * np.sin(2 * np.pi * times / one.period_s))
    first, second = (
        run_torch(model, {**one.values, **some}, one.initial, times.tolist(), volts)
        for some in (short, rounded)
    )
    assert bool(first.alive)
    assert first.current_a.dtype == torch.float64
    assert first.current_a.numpy() == pytest.approx(second.current_a.numpy(), rel=1e-6, abs=1e-15)
