"""What stands around a read while cells learn: a section of a configuration, light to load."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from compact_models.spec import Spec


class PeripherySpec(Spec):
    """What manages each read while cells learn; with any key in place of the chip's converters."""

    noise_management: Literal["none", "abs_max"] = Field(
        "none",
        description="`abs_max`: a vector is scaled to its largest before a read, and back after",
    )
    bound_management: Literal["none", "iterative"] = Field(
        "none",
        description="`iterative`: a read that reaches the bound is repeated with half the inputs",
    )
    sigma_out: float = Field(
        0.0, ge=0, le=1e6, description="noise of an output, in weights times inputs of 1"
    )
    bound: float = Field(0.0, ge=0, le=1e9, description="largest output, likewise; 0 is none")
    dac_bits: int = Field(0, ge=0, le=16, description="resolution of inputs; 0 is none")
    adc_bits: int = Field(0, ge=0, le=16, description="of outputs within the bound; 0 is none")
    stochastic_rounding: bool = Field(
        False, description="inputs are rounded up or down by chance, so that the mean is right"
    )

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        for key, bits in (("dac_bits", self.dac_bits), ("adc_bits", self.adc_bits)):
            if bits == 1:
                raise ValueError(f"{key} = 1 has no step: 0 (none) or 2 to 16")
        if not self.bound and (self.adc_bits or self.bound_management != "none"):
            key = "adc_bits" if self.adc_bits else "bound_management"
            raise ValueError(f"{key} needs the bound of outputs, e.g. bound = 12.0")
        return self
