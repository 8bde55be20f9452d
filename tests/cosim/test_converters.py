"""Converters and neurons with their slopes, beside the circuits' own equations and autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cosim.periphery.converters import Converters, clamped, driven
from netlists.adcs import quantiser
from netlists.adcs.quantiser import AdcSpec
from netlists.drivers import level
from netlists.drivers.level import DriverSpec
from netlists.neurons.spec import Neuron, NeuronSpec, all_neurons

RNG = torch.Generator().manual_seed(7)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_lines_are_driven_as_the_driver_says(signed: bool, dtype: torch.dtype) -> None:
    spec = DriverSpec(dac_bits=5, v_read_v=0.3)
    # Values between two steps, beyond both ends and at ties.
    x = torch.rand(2, 7, 9, generator=RNG, dtype=torch.float64) * 3 - 1.5
    x[0, 0] = torch.arange(9) / 31 - 0.5 / 31
    x = x.to(dtype)
    found = driven(x, spec, signed=signed, biased=True)
    # At ties of single precision the last bit decides: both in double.
    known = level.level(x.double(), spec, signed=signed)
    torch.testing.assert_close(found[..., :-1], known.to(dtype))
    assert bool((found[..., -1] == torch.tensor(0.3, dtype=dtype)).all())
    assert driven(x, spec, signed=signed, biased=False).shape == x.shape


def test_values_within_the_reach_of_drivers_and_a_bias() -> None:
    x = torch.tensor([[-2.0, -0.25, 0.5, 3.0]])
    both = clamped(x, signed=True, scale=2.0, bias=0.125)
    assert both.tolist() == [[-2.0, -0.5, 1.0, 2.0, 0.125]]
    assert clamped(x, signed=False, scale=2.0, bias=None).tolist() == [[0.0, 0.0, 1.0, 2.0]]


def converters(neuron: str, **other: Any) -> Converters:
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    given: dict[str, Any] = {
        "knee_v": 0.05, "full_v": 0.5, "span": 3.0, "adc": AdcSpec(bits=6), "signed": True,
        "gain": one, "offset_v": zero, "adc_gain": one, "adc_offset_v": zero,
    }  # fmt: skip
    return Converters(neuron, **{**given, **other})


def test_codes_round_and_clip_and_have_slopes_inside() -> None:
    spec = AdcSpec(bits=3, v_full_scale_v=3.0)  # a code a volt
    at = torch.tensor([-9.0, -4.0, -0.5, 0.49, 0.5, 3.0, 3.2, float("nan")]).double()
    found = converters("identity", adc=spec)(at.reshape(1, 2, 4))
    known = quantiser.quantise(at, spec, signed=True)
    torch.testing.assert_close(found.codes.flatten(), known, equal_nan=True)
    assert found.slope.flatten()[:-1].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("neuron", all_neurons(), ids=lambda one: one.name)
def test_codes_are_those_of_the_circuits_and_slopes_their_derivatives(neuron: Neuron) -> None:
    """Two chips, unlike outputs: gains and offsets of neurons and converters as they were drawn."""
    total = torch.linspace(-0.7, 0.7, 2 * 5 * 3, dtype=torch.float64).reshape(2, 5, 3)
    drawn = [torch.rand(2, 3, generator=RNG).double() for _ in range(4)]
    gain, offset, adc_gain, adc_offset = (
        one * size + base
        for one, size, base in zip(drawn, (0.1, 0.02, 0.1, 0.01), (1, 0, 1, 0), strict=True)
    )
    made = converters(
        neuron.name, gain=gain, offset_v=offset, adc_gain=adc_gain, adc_offset_v=adc_offset
    )
    found = made(total)
    at = total.clone().requires_grad_()
    inside = at * gain.unsqueeze(-2) + offset.unsqueeze(-2)
    v = neuron.output_v(inside, NeuronSpec(v_knee_v=0.05), v_full_v=0.5, span=3.0)
    known = quantiser.continuous_code(
        v, made.adc, signed=True, v_offset_v=adc_offset.unsqueeze(-2), gain=adc_gain.unsqueeze(-2)
    )
    torch.testing.assert_close(found.continuous, known.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.codes, quantiser.quantise(known, made.adc, signed=True))
    (wanted,) = torch.autograd.grad(known.clamp(-32, 31).sum(), at)
    torch.testing.assert_close(found.slope, wanted, rtol=1e-12, atol=1e-12)
    # In volts and without a knee it is the network's own function.
    y, scale = total * (3.0 / 0.5), neuron.output_span(3.0)
    ideal = quantiser.quantise(
        neuron.ideal(y) * (0.5 / scale) / quantiser.lsb_v(made.adc, signed=True),
        made.adc,
        signed=True,
    )
    torch.testing.assert_close(converters(neuron.name, knee_v=0.0)(total).codes, ideal)
