"""What stands around a read while cells learn: a section of a configuration, light to load."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compact_models.spec import Spec


class PeripherySpec(Spec):
    """What stands around each read while cells learn."""

    noise_management: Literal["none", "abs_max"] = Field(
        "abs_max",
        description="`abs_max`: errors are scaled to their largest before a backward read, and back"
        " afterwards",
    )
    bound_management: Literal["none", "iterative"] = Field(
        "none",
        description="`iterative`: a forward read that saturates is repeated with half the inputs,"
        " and again",
    )
    sigma_out: float = Field(
        0.0, ge=0, le=10, description="noise of each output, of the largest that a converter takes"
    )
    dac_bits: int = Field(
        0, ge=0, le=16, description="of the backward drivers; 0 is what [driver] has"
    )
    adc_bits: int = Field(
        0, ge=0, le=16, description="of the backward converters; 0 is what [adc] has"
    )
    stochastic_rounding: bool = Field(
        False, description="drivers round up or down by chance, so that the mean is right"
    )
