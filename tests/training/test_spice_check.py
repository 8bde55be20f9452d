"""A share of an epoch's inputs in ngspice as well: what is recorded, and what is said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.variation import Stream
from cosim import convert
from cosim.array.reads import exact
from cosim.array.surroundings import TileTransfer
from cosim.network.in_situ import InSituNetwork
from cosim.network.module import CrossbarNetwork
from cosim.network.spice_check import SpiceCheck, check_in_ngspice
from cosim.network.surrogate import SurrogateModel
from cosim.network.watch import tile_errors
from cosim.ngspice import Ngspice
from cosim.training import loop
from cosim.training.backprop import Backprop
from cosim.training.backprop_spec import BackpropSpec
from cosim.training.pulsed_sgd import PulsedTraining
from cosim.training.pulsed_sgd import tile_errors as in_situ_errors
from cosim.training.pulsed_sgd_spec import PulsedSgdSpec
from netlists.graph import linear_stages, network_graph
from netlists.hardware import Hardware, TileSpec
from netlists.wires import Wires
from tests.cosim.chips import chip_of, small_hardware, small_inputs, small_network, surrogate_of
from tests.cosim.test_device_chip import BENT, device, device_chip

pytestmark = pytest.mark.ngspice


def network(r_ohm: float = 2000.0) -> CrossbarNetwork:
    """6-5-4 on several tiles a layer, behind wires that the closed form is not made for."""
    torch_network, hardware = small_network(), small_hardware(r_ohm)
    chip = chip_of(torch_network, hardware, small_inputs(50))
    stages = linear_stages(network_graph(torch_network))
    return CrossbarNetwork(hardware, chip.plans, stages, surrogate_of(chip))


def in_cells(read: str = "surrogate", r_ohm: float = 2e4) -> InSituNetwork:
    """4-3-2 in two tiles a layer; cells conduct some 10 nS."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    hardware = Hardware(wires=Wires(r_ohm, r_ohm), tile=TileSpec(max_rows=3, max_cols=8))
    made = convert(net, hardware, device="constant_step", read=read, max_surrogate_error=0.01)
    assert isinstance(made, InSituNetwork)
    return made


def trained(
    algorithm: loop.Algorithm, made: nn.Module, features: int, outputs: int, say: loop.Say
) -> Sequence[loop.Epoch]:
    x = np.random.default_rng(1).uniform(0, 1, (100, features))
    y = x[:, :outputs].argmax(1)
    task = loop.Task.of((x, y), (x, y), batch_size=20, epochs=2)
    state = algorithm.init(made, task)
    return loop.train(state, algorithm, task, stream=Stream(0), say=say).history


def test_it_is_off_ngspice_by_what_it_is_off_exact(ngspice: Ngspice) -> None:
    """On the same inputs and cells: two routes to one number."""
    x = torch.from_numpy(small_inputs(9))
    chip = network()
    assert isinstance(chip.model, SurrogateModel)
    wanted = tile_errors(chip.model, chip.target_conductances(), x)
    found = check_in_ngspice(chip, x, ngspice, decks=2)
    assert found is not None
    assert (found.inputs, found.outcome) == (9, "ok")
    assert [name for name, _ in found.errors] == [one.name for one in wanted]
    assert max(one.used for one in wanted) > 0.01
    for (_, off), one in zip(found.errors, wanted, strict=True):
        if one.tile[0] == 0:  # behind it `tile_errors` goes on with exact currents
            assert off == pytest.approx(one.used, rel=1e-4)


def test_cells_that_moved_from_their_anchor_are_off_ngspice_by_the_same(ngspice: Ngspice) -> None:
    made = in_cells()
    x = torch.from_numpy(small_inputs(9)[:, :4])
    made(x)  # anchors every tile here
    for layer in made.chain:
        layer.array.w[:, 0] += 0.002 * torch.sign(layer.array.w[:, 0])
        layer.array.version += 1
        for parameter in layer.parameters():
            parameter.show()
    wanted = in_situ_errors(made, x)
    found = check_in_ngspice(made, x, ngspice)
    assert found is not None
    assert [name for name, _ in found.errors] == [one.name for one in wanted]
    assert max(one.used for one in wanted) > 1e-7
    for (_, off), one in zip(found.errors, wanted, strict=True):
        assert off == pytest.approx(one.used, rel=1e-2, abs=1e-9)


def test_cells_that_bend_are_read_with_their_model(ngspice: Ngspice) -> None:
    chip = device_chip(device(**BENT))
    stages = linear_stages(network_graph(small_network()))
    made = CrossbarNetwork(chip.hardware, chip.plans, stages, surrogate_of(chip))
    found = check_in_ngspice(made, torch.from_numpy(small_inputs(3)), ngspice)
    assert found is not None
    assert found.outcome == "ok"
    assert 0 < found.worst[1] < 0.02  # an ohmic reading is further off


def training(
    kind: str, check: SpiceCheck, read: str = "surrogate"
) -> tuple[loop.Algorithm, nn.Module, int, int]:
    if kind == "backprop":
        spec = BackpropSpec(max_surrogate_error=0.005)
        return Backprop([spec] * 2, Stream(0), spice=check), network(), 6, 4
    in_pulses = PulsedSgdSpec(learning_rate=0.01, max_surrogate_error=0.01)
    return PulsedTraining([in_pulses] * 2, Stream(0), check), in_cells(read), 4, 2


@pytest.mark.parametrize("kind", ["backprop", "pulsed_sgd"])
def test_every_epoch_is_recorded(kind: str, ngspice: Ngspice) -> None:
    said: list[str] = []
    history = trained(*training(kind, SpiceCheck(0.031, ngspice)), said.append)
    assert [text for text in said if "ngspice" in text] == []
    for line in history:
        assert (line.spice_inputs, line.spice_outcome) == (4, "ok")  # 3.1 of 100
        assert line.spice_error is not None
        assert 0 < line.spice_error < 0.01
        assert line.spice_array.startswith("layer_")


@pytest.mark.parametrize("kind", ["backprop", "pulsed_sgd"])
def test_a_fault_of_our_own_equations_is_said(
    kind: str, ngspice: Ngspice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Currents that are 2 % too large, which the comparison with exact cannot know of."""
    right = exact.solved

    def wrong(*given: Any) -> TileTransfer:
        found = right(*given)
        return TileTransfer(1.02 * found.transfer_s, found.held_a)

    monkeypatch.setattr(exact, "solved", wrong)
    said: list[str] = []
    history = trained(*training(kind, SpiceCheck(0.01, ngspice), "exact"), said.append)
    last = history[-1]
    assert (last.surrogate_error or 0.0) < 0.005  # the surrogate is anchored on what is wrong
    assert last.spice_error == pytest.approx(0.02, rel=0.3)
    beyond = [text for text in said if "off ngspice by" in text]
    assert len(beyond) == 2
    limit = "0.5 %" if kind == "backprop" else "1 %"
    assert f"on 1 inputs of the epoch, more than max_surrogate_error ({limit})" in beyond[0]


def test_a_simulator_that_fails_is_data(ngspice: Ngspice, tmp_path: Path) -> None:
    broken = tmp_path / "ngspice"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    said: list[str] = []
    check = SpiceCheck(0.01, dataclasses.replace(ngspice, path=broken))
    history = trained(*training("backprop", check), said.append)
    for line in history:
        assert line.spice_inputs == 1
        assert line.spice_error is None
        assert line.spice_outcome.startswith("crashed, layer_0")
    failed = [text for text in said if "ngspice did not read the arrays of this epoch" in text]
    assert len(failed) == 2
