"""A chip read backward: its equations against ngspice, every circuit drawn, tiles cut both ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cosim.network.backward import exact_backward_codes
from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from netlists.adcs.quantiser import AdcSpec
from netlists.backward.circuit import backward_circuit, backward_ports
from netlists.backward.drawn import draw_backward
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
    inputs, outputs = backward_ports(chip)
    circuit = backward_circuit(chip, drawn, title="backward")
    deck = sweep_deck(circuit, inputs, torch.cat(errors, 1).numpy(), name="backward")
    told = run_deck(deck, ngspice, timeout_s=60).plot.matrix([f"v({name})" for name in outputs])
    found = torch.cat(exact_backward_codes(chip, drawn, errors), 1).numpy()
    np.testing.assert_array_equal(found, np.rint(told))
    assert len(np.unique(found)) > 30  # or equal codes would say little


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
