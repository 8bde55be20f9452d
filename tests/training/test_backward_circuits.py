"""Errors that go through the circuits of the backward phase while a network learns in its cells."""

from __future__ import annotations

import pytest
import torch

import cosim
from cosim.network.backward import exact_backward_codes
from cosim.network.build_in_situ import chip_of
from cosim.network.in_situ import InSituNetwork
from netlists.adcs.quantiser import AdcSpec
from netlists.backward.drawn import draw_backward
from netlists.backward.scale import product_per_code
from netlists.backward.spec import BackwardSpec
from netlists.chip import draw_periphery
from netlists.drivers.level import DriverSpec
from netlists.hardware import TileSpec
from netlists.readout.tia import TiaSpec
from netlists.wires import Wires
from tests.training.in_situ_nets import small

FINE = BackwardSpec(
    auto_zero=False,
    driver=DriverSpec(dac_bits=16, r_driver_ohm=0),
    tia=TiaSpec(open_loop_gain=1e9, v_rail_v=100, sigma_offset_v=0, sigma_feedback=0),
    adc=AdcSpec(bits=16, sigma_offset_v=0, sigma_gain=0),
)
SPREAD = BackwardSpec(
    driver=DriverSpec(sigma_gain=0.05, sigma_offset_v=0.002),
    tia=TiaSpec(sigma_offset_v=0.003),
)


def network(
    spec: BackwardSpec, *, r_ohm: float = 1.0, dtype: torch.dtype = torch.float64
) -> InSituNetwork:
    """6-8-3, its first layer cut both ways."""
    hardware = cosim.Hardware(
        backward=spec, wires=Wires(r_ohm, r_ohm), tile=TileSpec(max_rows=4, max_cols=10)
    )
    read = "exact" if dtype == torch.float64 else "surrogate"
    made = cosim.convert(
        small(6, 8, 3),
        hardware,
        device="soft_bounds",
        read=read,
        stream=cosim.Stream(2, 1),
        dtype=dtype,
    )
    assert isinstance(made, InSituNetwork)
    return made


def errors() -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    return torch.randn(1, 7, 8, generator=rng, dtype=torch.float64) * 1e-3


@pytest.mark.parametrize("auto_zero", [False, True])
def test_circuits_without_errors_of_their_own_multiply_by_the_weights(auto_zero: bool) -> None:
    """Whatever the scale of the errors is."""
    layer = network(FINE.model_copy(update={"auto_zero": auto_zero}), r_ohm=0.0).chain[0]
    weight = layer.weight.detach()
    wanted = errors() @ weight * layer.plan.input_scale
    found = layer.errors_at_inputs(errors())
    assert float((found - wanted).abs().max()) <= 1e-3 * float(wanted.abs().max())
    torch.testing.assert_close(layer.errors_at_inputs(1e3 * errors()), 1e3 * found)


@pytest.mark.parametrize("auto_zero", [False, True])
def test_errors_are_the_codes_of_the_chips_own_backward_phase(auto_zero: bool) -> None:
    """Which ngspice gives too: tests/cosim/test_backward.py."""
    net = network(SPREAD.model_copy(update={"auto_zero": auto_zero}))
    layer, d = net.chain[0], errors()
    chip = chip_of(net, draw_periphery(net.hardware, net.plans, seed=2, sample=1))
    drawn = draw_backward(net.hardware, net.plans, seed=2, sample=1)
    size = d[0].abs().amax(-1, keepdim=True)
    driven = torch.cat([d[0] / size, torch.zeros(1, 8).double()])
    codes = exact_backward_codes(chip, drawn, [driven, torch.zeros(8, 3).double()])[0]
    codes = codes[:-1] - codes[-1:] * auto_zero
    wanted = codes * size * product_per_code(net.hardware, layer.plan) * layer.plan.input_scale
    torch.testing.assert_close(layer.errors_at_inputs(d)[0], wanted)
    plain = d[0] @ layer.weight.detach() * layer.plan.input_scale
    assert float((plain - wanted).norm() / plain.norm()) > 0.02  # the circuits matter


def test_single_precision_stays_what_it_is() -> None:
    net = network(SPREAD, dtype=torch.float32)
    net(torch.rand(1, 5, 6)).sum().backward()
    found = net.chain[0].errors_at_inputs(errors().float())
    wanted = network(SPREAD).chain[0].errors_at_inputs(errors())
    assert found.dtype == torch.float32
    # Codes may fall the other way at a step's edge.
    assert float((found - wanted).norm() / wanted.norm()) < 0.01
