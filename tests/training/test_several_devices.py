"""Networks that learn in several devices a weight: the chip that they become, and what it costs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import cosim
from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from compact_models.variation import Stream
from cosim.array.combined import Combined
from cosim.network.build_in_situ import (
    LayerInCells,
    chip_of,
    in_situ_network,
    plan_in_situ,
)
from cosim.network.dynamic_device import DynamicDevice
from cosim.network.models import exact_codes, exact_model, ideal_model
from cosim.network.pulsed_device import PulsedDevice
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from netlists.chip import chip_targets, draw_periphery
from netlists.graph import linear_stages, network_graph
from netlists.hardware import TileSpec
from netlists.update.spec import PulseSpec
from netlists.wires import Wires
from tests.array.test_device_updates import COARSE
from tests.training.in_situ_nets import small

HARDWARE = cosim.Hardware(tile=TileSpec(max_rows=4, max_cols=4), wires=Wires(60.0, 90.0))


def trained(
    read: str, steps: int, *, count: int = 2, policy: str = "all", **named: object
) -> cosim.InSituNetwork:
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(6, 5, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    given = {"device": "soft_bounds", "hardware": HARDWARE, **named}
    model = cosim.convert(
        small(5, 3, 2), read=read, stream=Stream(4),
        devices_per_weight=count, pulses_reach=policy, **given,  # type: ignore[arg-type]
    )  # fmt: skip
    assert isinstance(model, cosim.InSituNetwork)
    optimiser = cosim.PulsedSGD(model.parameters(), lr=0.5)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model


def compact(name: str, parameters: str) -> DynamicDevice:
    """Cells of a compact model, by a table that is measured in no time."""
    model = find_model(name)
    return DynamicDevice(CellDevice(model, find_set(model, parameters)), 0.2, effort=COARSE)


@pytest.mark.ngspice
@pytest.mark.parametrize("device", ["soft_bounds", "vteam"])
def test_the_chip_that_they_become_is_read_in_ngspice_as_they_are(
    ngspice: Ngspice, device: str
) -> None:
    named: dict[str, Any] = {}
    if device == "vteam":
        named = {"device": compact("vteam", "symmetric"), "update": "table"}
    model = trained("exact", 3, policy="in turn", **named)
    moved = [one.steps.sum() for one in model.chain[0].array.each]
    assert all(moved)
    weights = [one.weight() for one in model.chain[0].array.each]
    assert not torch.equal(*weights)
    periphery = draw_periphery(model.hardware, model.plans, seed=4, sample=0)
    chip = chip_of(model, periphery)
    x = np.random.default_rng(1).uniform(0, 1, (9, 5))
    told = read_chip(chip, x, ngspice, jobs=1)
    assert [one.outcome for one in told.simulations] == ["ok"]
    np.testing.assert_array_equal(exact_codes(chip, x), told.codes)
    with torch.no_grad():
        codes = model.codes(torch.from_numpy(x))
    np.testing.assert_array_equal(codes.reshape(told.codes.shape).numpy(), told.codes)
    assert len(np.unique(told.codes)) > 5


@pytest.mark.ngspice
def test_of_cells_that_bend_their_currents_are_summed(ngspice: Ngspice) -> None:
    pulse = PulseSpec(amplitude_v=1.2, amplitude_down_v=1.25)
    named: dict[str, Any] = {
        "hardware": HARDWARE.model_copy(update={"pulse": pulse}),
        "device": compact("stanford", "sky130"),
        "update": "ode",
    }
    x = np.random.default_rng(1).uniform(0, 1, (9, 5))
    exact, surrogate = (trained(read, 0, **named) for read in ("exact", "surrogate"))
    periphery = draw_periphery(exact.hardware, exact.plans, seed=4, sample=0)
    told = read_chip(chip_of(exact, periphery), x, ngspice, jobs=1).codes
    for model in (exact, surrogate):
        with torch.no_grad():
            codes = model.codes(torch.from_numpy(x)).reshape(told.shape).numpy()
        assert np.abs(codes - told).max() <= 1
    assert len(np.unique(told)) > 5


def test_a_step_is_as_large_as_that_of_one_device_and_less_noisy() -> None:
    """The mean update does not depend on how many devices hold a weight; its noise falls."""
    moves: dict[tuple[int, str], list[torch.Tensor]] = {}
    for count, policy in ((1, "all"), (4, "all"), (4, "in turn")):
        for seed in range(12):
            model = cosim.convert(
                small(5, 3, 2), HARDWARE, device="constant_step", d2d={},
                stream=Stream(seed), devices_per_weight=count,
                pulses_reach=policy,  # type: ignore[arg-type]
            )  # fmt: skip
            assert isinstance(model, cosim.InSituNetwork)
            layer, optimiser = model.chain[0], cosim.PulsedSGD(model.parameters(), lr=0.004)
            before = layer.array.weight()
            for _ in range(4):
                layer.weight.pairs.put(torch.ones(1, 8, 6).double(), torch.ones(1, 8, 3).double())
                optimiser.step()
            moves.setdefault((count, policy), []).append(layer.array.weight() - before)
    assert isinstance(model.chain[0].array, Combined)
    means = {key: float(torch.stack(one).mean()) for key, one in moves.items()}
    assert means[1, "all"] == pytest.approx(-0.004 * 32, rel=0.05)
    for key in ((4, "all"), (4, "in turn")):
        assert means[key] == pytest.approx(means[1, "all"], rel=0.05)
    # In turn every device has pulses of its own, and steps of a quarter: the mean of more draws.
    spread = {key: float(torch.stack(one).std()) for key, one in moves.items()}
    assert spread[4, "in turn"] < 0.75 * spread[1, "all"]


def test_their_state_goes_the_way_of_any_module() -> None:
    model, other = trained("surrogate", 2), trained("surrogate", 0)
    x = torch.rand(4, 5, dtype=torch.float64)
    state = copy.deepcopy(model.state_dict())
    other.load_state_dict(state)
    assert torch.equal(other(x), model(x))
    assert torch.equal(other.chain[1].weight, model.chain[1].weight)
    again = copy.deepcopy(model)
    assert torch.equal(again(x), model(x))
    again.chain[0].program(torch.zeros(3, 5).double())
    assert not torch.equal(again(x), model(x))
    # A float network's weights are written into the cells, all devices alike.
    logical = {k: v for k, v in state.items() if ".array." not in k}
    other.load_state_dict(logical)
    torch.testing.assert_close(other.chain[0].weight, model.chain[0].weight, rtol=0, atol=0.2)
    first, second = (one.weight() for one in other.chain[0].array.each)
    torch.testing.assert_close(first, second, rtol=0, atol=0.3)


@pytest.mark.ngspice
def test_layers_of_different_devices_are_one_chip(ngspice: Ngspice) -> None:
    """The second conducts otherwise: its targets, amplifiers and backward scale are its own."""
    stages = linear_stages(network_graph(small(5, 3, 2)))
    first, second = (
        PulsedDevice(find_model(name), find_model(name).parameter_sets[0], {}, pair)
        for name, pair in (("constant_step", "reference"), ("linear_step", "both"))
    )
    assert first.cell.g_on_s != second.cell.g_on_s
    hardware = HARDWARE.model_copy(
        update={"cell": first.cell, "cells": {stages[1].name: second.cell}}
    )
    x = np.random.default_rng(1).uniform(0, 1, (9, 5))
    plans = plan_in_situ(stages, stages, hardware, [first, second], x)
    periphery = draw_periphery(hardware, plans, seed=4, sample=0)
    straight, model = (
        in_situ_network(
            hardware, plans, stages, around,
            [LayerInCells(one, read, 0.0) for one in (first, second)], stream=Stream(4),
        )
        for read, around in (
            ("ideal", ideal_model(hardware, plans)),
            ("exact", exact_model(hardware, plans, periphery)),
        )
    )  # fmt: skip
    wanted = small(5, 3, 2)(torch.from_numpy(x)).detach()
    off = (straight(torch.from_numpy(x)).detach() - wanted).abs().max()
    assert float(off) < 0.02 * float(wanted.abs().max())
    found = model(torch.from_numpy(x))
    found.square().sum().backward()
    assert [len(layer.weight.pairs.x) for layer in model.chain] == [1, 1]
    chip = chip_of(model, periphery)
    low, high = (float(f(layer[0])) for f in (np.min, np.max) for layer in chip.conductance_s[1:])
    assert second.cell.g_off_s <= low < high <= second.cell.g_on_s
    told = read_chip(chip, x, ngspice, jobs=1)
    np.testing.assert_array_equal(exact_codes(chip, x), told.codes)
    np.testing.assert_array_equal(
        model.codes(torch.from_numpy(x)).detach().reshape(told.codes.shape).numpy(), told.codes
    )
    # Targets of a chip that is programmed anew are those of its own cells.
    for target, held in zip(chip_targets(chip)[1], chip.conductance_s[1], strict=True):
        np.testing.assert_allclose(target, held, rtol=1e-6)


def test_devices_are_counted() -> None:
    with pytest.raises(InputError, match="devices_per_weight"):
        cosim.convert(small(5, 2), device="soft_bounds", devices_per_weight=0)
