"""The transimpedance amplifier at the end of each bit line.

An op-amp of gain A0 and offset Vos with feedback Rf obeys Vn = (A0 Vos + Rf I)/(1 + A0) at its
input and Vout = A0/(1 + A0) (Vos - Rf I) at its output. The block is written in this closed
form: input resistance Rf/(1+A0) in series with the offset, and a controlled output, limited by
the rails as Vrail tanh(Vout/Vrail). It equals the loop at DC as long as the output is not driven
into its rails, and keeps the matrix of a large array easy to factorise. `loop_subcircuit` is the
loop itself, for benches that hold the two against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from compact_models.spec import Spec
from netlists.circuit import (
    BehaviouralVoltage,
    Resistor,
    Shared,
    Subcircuit,
    Vcvs,
    VoltageSource,
)

if TYPE_CHECKING:  # a configuration is read before torch is
    import torch


class TiaSpec(Spec):
    """A transimpedance amplifier; the feedback resistance is chosen per layer when mapping."""

    open_loop_gain: float = Field(1e4, ge=10, le=1e9, description="DC gain of the op-amp")
    v_rail_v: float = Field(1.65, gt=0, le=100, description="output rails at +- this voltage [V]")
    sigma_offset_v: float = Field(
        1e-3, ge=0, le=1, description="standard deviation of the input offset [V]"
    )
    sigma_feedback: float = Field(
        0.01, ge=0, le=1, description="relative standard deviation of the feedback resistor"
    )


def subcircuit(spec: TiaSpec) -> Subcircuit:
    """The block, ports (in, out), parameters `rf` [ohm] and `vos` [V]."""
    loop = "{open_loop_gain/(1+open_loop_gain)}"
    closed = f"{loop}*(({{vos}})-({{rf}})*I(vsense))"
    return Subcircuit(
        name="tia",
        ports=("in", "out"),
        items=(
            Resistor("rin", "in", "sense", "{rf/(1+open_loop_gain)}"),
            VoltageSource("vsense", "sense", "offset", 0.0),
            VoltageSource("vos", "offset", "0", "{vos*open_loop_gain/(1+open_loop_gain)}"),
            BehaviouralVoltage("bout", "out", "0", f"{{v_rail}}*tanh({closed}/{{v_rail}})"),
        ),
        parameters={"rf": 1e4, "vos": 0.0},
        description="tia: op-amp of gain open_loop_gain with feedback rf [ohm] and offset vos [V]"
        " in closed-loop form (no resistor to be found), rails +-v_rail",
        shared=(
            Shared("open_loop_gain", spec.open_loop_gain, "of an amplifier's op-amp"),
            Shared("v_rail", spec.v_rail_v, "supply of the amplifiers, both signs [V]"),
        ),
    )


def loop_subcircuit(spec: TiaSpec) -> Subcircuit:
    """The same amplifier as a loop around a controlled source, without rails."""
    return Subcircuit(
        name="tia_loop",
        ports=("in", "out"),
        items=(
            VoltageSource("vos", "plus", "0", "{vos}"),
            Vcvs("eamp", "out", "0", "plus", "in", spec.open_loop_gain),
            Resistor("rf", "in", "out", "{rf}"),
        ),
        parameters={"rf": 1e4, "vos": 0.0},
        description="tia_loop: the op-amp loop, for the block bench",
    )


def input_resistance_ohm(spec: TiaSpec, r_feedback_ohm: torch.Tensor) -> torch.Tensor:
    """Resistance that a bit line sees, in series with `input_offset_v`."""
    return r_feedback_ohm / (1 + spec.open_loop_gain)


def input_offset_v(spec: TiaSpec, v_offset_v: torch.Tensor) -> torch.Tensor:
    """Voltage behind the input resistance."""
    return v_offset_v * (spec.open_loop_gain / (1 + spec.open_loop_gain))


def output_v(
    current_a: torch.Tensor, spec: TiaSpec, r_feedback_ohm: torch.Tensor, v_offset_v: torch.Tensor
) -> torch.Tensor:
    """Output voltage for input currents [batch, col] and instance parameters [col]."""
    gain = spec.open_loop_gain
    linear = gain / (1 + gain) * (v_offset_v - r_feedback_ohm * current_a)
    return spec.v_rail_v * (linear / spec.v_rail_v).tanh()
