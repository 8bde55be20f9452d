"""The ADC as a quantiser with offset and gain error; its output node carries the code.

A code of `code_full` stands for the full-scale voltage. Unsigned converters run from 0 to
2^n - 1, signed ones from -2^(n-1) to 2^(n-1) - 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from compact_models.spec import Spec
from netlists.circuit import BehaviouralVoltage, Subcircuit
from netlists.names import number

if TYPE_CHECKING:  # a configuration is read before torch is
    import torch


class AdcSpec(Spec):
    """An analogue-to-digital converter."""

    bits: int = Field(9, ge=2, le=16, description="resolution")
    v_full_scale_v: float = Field(0.5, gt=0, le=100, description="input at full code [V]")
    sigma_offset_v: float = Field(
        2e-4, ge=0, le=1, description="standard deviation of the input offset [V]"
    )
    sigma_gain: float = Field(
        0.002, ge=0, le=0.5, description="relative standard deviation of the gain"
    )


def code_range(spec: AdcSpec, *, signed: bool) -> tuple[int, int]:
    """Lowest and highest code."""
    half = int(2 ** (spec.bits - 1))
    return (-half, half - 1) if signed else (0, 2 * half - 1)


def lsb_v(spec: AdcSpec, *, signed: bool) -> float:
    """Input voltage of one code."""
    return spec.v_full_scale_v / code_range(spec, signed=signed)[1]


def name(*, signed: bool) -> str:
    """The block's name."""
    return "adc_signed" if signed else "adc"


def subcircuit(spec: AdcSpec, *, signed: bool) -> Subcircuit:
    """The block, ports (in, code), parameters `vos` [V] and `gain`."""
    low, high = code_range(spec, signed=signed)
    lsb = number(lsb_v(spec, signed=signed))
    code = f"floor((V(in)*({{gain}})+({{vos}}))/{lsb}+0.5)"
    return Subcircuit(
        name=name(signed=signed),
        ports=("in", "code"),
        items=(BehaviouralVoltage("bcode", "code", "0", f"min(max({code},{low}),{high})"),),
        parameters={"vos": 0.0, "gain": 1.0},
        description=f"adc: {spec.bits} bit, codes {low} to {high},"
        f" 1 LSB = {1e3 * lsb_v(spec, signed=signed):.6g} mV;"
        " the code is the voltage of its output node",
    )


def continuous_code(
    v: torch.Tensor, spec: AdcSpec, *, signed: bool, v_offset_v: torch.Tensor, gain: torch.Tensor
) -> torch.Tensor:
    """The code before rounding and clipping, for voltages [batch, out]; differentiable."""
    return (v * gain + v_offset_v) / lsb_v(spec, signed=signed)


def quantise(continuous: torch.Tensor, spec: AdcSpec, *, signed: bool) -> torch.Tensor:
    """Rounds and clips what `continuous_code` gives."""
    low, high = code_range(spec, signed=signed)
    return (continuous + 0.5).floor().clamp(low, high)
