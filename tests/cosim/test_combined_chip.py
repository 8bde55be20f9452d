"""Chips whose weights several arrays hold together: their netlist, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cosim.network.backward import exact_backward_codes
from cosim.network.models import chip_codes, exact_codes, ideal_model
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from netlists.backward.drawn import draw_backward
from netlists.chip import Chip, programmed_chip
from netlists.graph import linear_stages, network_graph
from netlists.mapping import plan_layers
from tests.cosim.chips import small_hardware, small_inputs, small_network
from tests.cosim.test_backward import DRAWN, errors_of, told_by_ngspice


def chip_with(factors: list[tuple[float, ...]], r_ohm: float = 40.0) -> Chip:
    """6-5-4 in tiles cut both ways, cells with programming errors, offsets everywhere."""
    hardware = small_hardware(r_ohm).model_copy(update={"backward": DRAWN})
    stages = linear_stages(network_graph(small_network(nn.Tanh)))
    plans = plan_layers(stages, hardware, small_inputs(12), factors=factors)
    return programmed_chip(stages, hardware, plans, seed=3, sample=1)


FACTORS = [(1.0, 0.4), (0.5, 0.5, 0.5)]


@pytest.mark.ngspice
def test_the_netlist_of_a_sum_gives_the_codes_of_its_equations(ngspice: Ngspice) -> None:
    chip, x = chip_with(FACTORS), small_inputs(12)
    single = chip_with([(1.0,), (1.0,)])
    counts = [len(plan.tiles) for plan in single.plans]
    assert [len(plan.tiles) for plan in chip.plans] == [2 * counts[0], 3 * counts[1]]
    assert not np.array_equal(chip.conductance_s[0][0], chip.conductance_s[0][counts[0]])
    read = read_chip(chip, x, ngspice, jobs=1)
    assert [one.outcome for one in read.simulations] == ["ok"]
    np.testing.assert_array_equal(exact_codes(chip, x), read.codes)
    assert len(np.unique(read.codes)) > 8
    drawn = draw_backward(chip.hardware, chip.plans, seed=3, sample=2)
    errors = errors_of(chip, 12)
    told = told_by_ngspice(chip, drawn, errors, ngspice)
    found = torch.cat(exact_backward_codes(chip, drawn, errors), 1).numpy()
    np.testing.assert_array_equal(found, np.rint(told))
    assert len(np.unique(found)) > 30


def test_a_sum_stands_for_the_same_weights_as_one_array() -> None:
    """Without errors and wires it gives the codes of the network, whatever its factors."""
    x = small_inputs(60)
    plain = {"cell": small_hardware().cell.model_copy(update={"sigma_program": 0.0})}
    codes = []
    for factors in ([(1.0,), (1.0,)], FACTORS):
        hardware = small_hardware().model_copy(update=plain)
        stages = linear_stages(network_graph(small_network(nn.Tanh)))
        plans = plan_layers(stages, hardware, x, factors=factors)
        chip = programmed_chip(stages, hardware, plans, seed=3, sample=1)
        codes.append(chip_codes(chip, ideal_model(hardware, chip.plans), x))
    assert np.abs(codes[0] - codes[1]).max() <= 1  # a code of rounding in a hidden layer
    assert len(np.unique(codes[0])) > 50


def test_more_devices_average_their_errors() -> None:
    """Programming errors of 4 cells are half of those of one."""
    x, spread = small_inputs(60), {}
    for count in (1, 4):
        chips = []
        hardware = small_hardware(0.0)
        hardware = hardware.model_copy(
            update={"cell": hardware.cell.model_copy(update={"sigma_program": 0.1})}
        )
        stages = linear_stages(network_graph(small_network(nn.Tanh)))
        plans = plan_layers(stages, hardware, x, factors=[(1.0,) * count] * 2)
        model = ideal_model(hardware, plans)
        for sample in range(24):
            chip = programmed_chip(stages, hardware, plans, seed=3, sample=sample)
            chips.append(chip_codes(chip, model, x))
        spread[count] = float(np.std(chips, axis=0).mean())
    assert spread[4] / spread[1] == pytest.approx(0.5, abs=0.1)
