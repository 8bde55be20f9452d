"""A chip read backward: its equations against ngspice, every circuit drawn, tiles cut both ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from compact_models.cell_device import CellDevice
from compact_models.library import find_model, find_set
from cosim.array.device_cells import device_cells
from cosim.network.backward import exact_backward_codes
from cosim.network.held_chip import held_chip
from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from netlists.adcs.quantiser import AdcSpec
from netlists.backward.circuit import backward_circuit, backward_ports
from netlists.backward.drawn import LayerBackward, draw_backward
from netlists.backward.scale import product_per_code
from netlists.backward.spec import BackwardSpec
from netlists.chip import Chip
from netlists.drivers.level import DriverSpec
from netlists.readout.tia import TiaSpec
from netlists.wires import Wires
from tests.cosim.chips import chip_of, small_hardware, small_inputs, small_network

DRAWN = BackwardSpec(
    driver=DriverSpec(r_driver_ohm=300, dac_bits=6, sigma_gain=0.05, sigma_offset_v=0.005),
    tia=TiaSpec(open_loop_gain=100, sigma_offset_v=0.005, sigma_feedback=0.05),
    adc=AdcSpec(bits=10, sigma_offset_v=0.01, sigma_gain=0.03),
    range_factor=0.4,
)
# Segments one by one: tiles of less than 4 x 6 cells lie next to the near ends.
RNG = np.random.default_rng(5)
UNEVEN = Wires(RNG.uniform(1, 200, (4, 6)), RNG.uniform(1, 200, (4, 6)))


def errors_of(chip: Chip, count: int) -> list[torch.Tensor]:
    rng = np.random.default_rng(4)
    return [torch.from_numpy(rng.uniform(-1, 1, (count, plan.outputs))) for plan in chip.plans]


def told_by_ngspice(
    chip: Chip, drawn: tuple[LayerBackward, ...], errors: list[torch.Tensor], ngspice: Ngspice
) -> np.ndarray:
    """Codes of all layers' inputs side by side, [vector, in]."""
    inputs, outputs = backward_ports(chip)
    circuit = backward_circuit(chip, drawn, title="backward")
    deck = sweep_deck(circuit, inputs, torch.cat(errors, 1).numpy(), name="backward")
    return run_deck(deck, ngspice, timeout_s=60).plot.matrix([f"v({name})" for name in outputs])


@pytest.mark.ngspice
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("spec", "wires"),
    [(DRAWN, UNEVEN), (BackwardSpec(), Wires(20, 50)),
     (BackwardSpec(driver=DriverSpec(r_driver_ohm=0)), Wires(0, 0))],
    ids=["all drawn", "default", "no wires"],
)  # fmt: skip
def test_exact_gives_the_codes_of_ngspice(
    spec: BackwardSpec, wires: Wires, bias: bool, ngspice: Ngspice
) -> None:
    hardware = small_hardware().model_copy(update={"backward": spec, "wires": wires})
    chip = chip_of(small_network(nn.Tanh, bias=bias), hardware, small_inputs(9))
    assert len(chip.plans[0].tiles) > 2
    drawn = draw_backward(hardware, chip.plans, seed=3, sample=2)
    errors = errors_of(chip, 12)
    told = told_by_ngspice(chip, drawn, errors, ngspice)
    found = torch.cat(exact_backward_codes(chip, drawn, errors), 1).numpy()
    np.testing.assert_array_equal(found, np.rint(told))
    assert len(np.unique(found)) > 30  # or equal codes would say little


@pytest.mark.ngspice
def test_cells_that_are_devices_are_those_of_ngspice(ngspice: Ngspice) -> None:
    """Backward they conduct less than forward: a cell that is turned around would be told."""
    model = find_model("yakopcic")
    numbers = find_set(model, None)
    numbers = replace(numbers, values={**numbers.values, "a_2": 0.6 * numbers.values["a_1"]})
    device = CellDevice(model, numbers)
    low, high = device_cells(device, DRAWN.driver.v_read_v).range_s
    cell = small_hardware().cell.model_copy(
        update={"g_off_s": low + 0.01 * (high - low), "g_on_s": low + 0.9 * (high - low)}
    )
    hardware = small_hardware().model_copy(
        update={"backward": DRAWN, "wires": UNEVEN, "cell": cell, "device": device}
    )
    chip = held_chip(chip_of(small_network(nn.Tanh), hardware, small_inputs(9)))
    drawn = draw_backward(hardware, chip.plans, seed=3, sample=2)
    errors = errors_of(chip, 12)
    found = torch.cat(exact_backward_codes(chip, drawn, errors), 1).numpy()
    np.testing.assert_array_equal(found, np.rint(told_by_ngspice(chip, drawn, errors, ngspice)))
    assert len(np.unique(found)) > 30


def test_products_come_back_in_the_weights_own_units() -> None:
    """Fine converters, no wires to speak of: W^T d of the network's own weights, in torch."""
    spec = BackwardSpec(
        driver=DriverSpec(r_driver_ohm=0, dac_bits=16),
        tia=TiaSpec(open_loop_gain=1e9, v_rail_v=100, sigma_offset_v=0, sigma_feedback=0),
        adc=AdcSpec(bits=16, sigma_offset_v=0, sigma_gain=0),
        range_factor=2.0,
    )
    cell = small_hardware().cell.model_copy(update={"sigma_program": 0.0})
    hardware = small_hardware(r_ohm=0.0).model_copy(update={"backward": spec, "cell": cell})
    network = small_network()
    chip = chip_of(network, hardware, small_inputs(9))
    drawn = draw_backward(hardware, chip.plans, seed=0, sample=0)
    errors = errors_of(chip, 6)
    linear = [module for module in network if isinstance(module, nn.Linear)]
    for plan, module, d, codes in zip(
        chip.plans, linear, errors, exact_backward_codes(chip, drawn, errors), strict=True
    ):
        products = codes * product_per_code(hardware, plan)
        wanted = d @ module.weight.detach()
        assert float((products - wanted).abs().max()) <= 3e-4 * float(wanted.abs().max())
