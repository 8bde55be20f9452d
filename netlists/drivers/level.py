"""The level driver: a DAC that puts one of 2^n voltages on a line, behind a resistance.

Its input is a digital value carried as a voltage: a pixel, or the code of the converter before
it. `code_full` is the value that stands for 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from compact_models.spec import Spec
from netlists.circuit import BehaviouralVoltage, Resistor, Shared, Subcircuit
from netlists.names import number
from netlists.wires import SeriesOhm

if TYPE_CHECKING:  # a configuration is read before torch is
    import torch

# A pixel of 8/16 lies exactly between two steps of an 8-bit DAC; simulators and Python would
# round it apart by the last bit. Half a millionth of a step settles it in both alike.
TIE_BREAK = 5e-7


class DriverSpec(Spec):
    """A driver of a line; every instance has a gain and an offset of its own."""

    v_read_v: float = Field(0.2, gt=0, le=10, description="voltage that stands for 1 [V]")
    r_driver_ohm: SeriesOhm = Field(50.0, description="output resistance [ohm]")
    dac_bits: int = Field(8, ge=1, le=16, description="resolution of the DAC")
    sigma_gain: float = Field(
        0.0, ge=0, le=0.5, description="relative standard deviation of the gain"
    )
    sigma_offset_v: float = Field(
        0.0, ge=0, le=1, description="standard deviation of the output offset [V]"
    )

    @property
    def differs(self) -> bool:
        """Whether one instance is another than the next."""
        return self.sigma_gain > 0 or self.sigma_offset_v > 0


def steps(spec: DriverSpec, signed: bool) -> int:
    """How many steps lie between 0 and the voltage that stands for 1."""
    return max(1, int(2 ** (spec.dac_bits - 1)) - 1) if signed else int(2**spec.dac_bits) - 1


def subcircuit(spec: DriverSpec, *, signed: bool) -> Subcircuit:
    """The driver's block, ports (code, wl), for inputs of one or of both signs.

    Parameters: `code_full`, the code that stands for 1; `gain`, about 1, or about -1 for a line
    that carries the negative; `vos` [V] at the output.
    """
    count = steps(spec, signed)
    low = -count if signed else 0
    level = f"floor(V(code)/({{code_full}})*{count}+{number(0.5 + TIE_BREAK)})"
    value = f"{{gain}}*({{v_read}}*min(max({level},{low}),{count})/{count})+({{vos}})"
    ideal = spec.r_driver_ohm == 0
    output = "wl" if ideal else "drive"
    source = BehaviouralVoltage("bdac", output, "0", value)
    resistor = Resistor("rdriver", "drive", "wl", "{r_driver}")
    kind, reach = ("signed", "+-") if signed else ("unsigned", "0 to ")
    v_read = Shared("v_read", spec.v_read_v, "what a driver puts out for 1 [V]")
    r_driver = Shared("r_driver", spec.r_driver_ohm, "output resistance of a driver [ohm]")
    return Subcircuit(
        name=name(signed=signed),
        ports=("code", "wl"),
        items=(source,) if ideal else (source, resistor),
        parameters={"code_full": 1.0, "gain": 1.0, "vos": 0.0},
        description=f"driver: {spec.dac_bits}-bit {kind} DAC, {reach}v_read,"
        f" {'no' if ideal else 'r_driver as'} output resistance",
        shared=(v_read,) if ideal else (v_read, r_driver),
    )


def name(*, signed: bool) -> str:
    """The block's name: an array may need both kinds."""
    return "driver_signed" if signed else "driver"


def level(x: torch.Tensor, spec: DriverSpec, *, signed: bool) -> torch.Tensor:
    """What a driver without errors puts out for digital values `x` (1 = full), any shape [V]."""
    count = steps(spec, signed)
    code = (x * count + (0.5 + TIE_BREAK)).floor().clamp(-count if signed else 0, count)
    return spec.v_read_v * code / count
