"""The circuits of the backward phase: drivers at the bit lines, amplifiers at the word lines.

They are blocks of the same kinds as those of the forward phase and share nothing with them: every
line has a second driver or amplifier, with a resistance, a gain and an offset of its own.
"""

from __future__ import annotations

from pydantic import Field

from compact_models.spec import Spec
from netlists.adcs.quantiser import AdcSpec
from netlists.drivers.level import DriverSpec
from netlists.readout.tia import TiaSpec


class BackwardSpec(Spec):
    """The circuits that carry errors back through an array; none of them is of the forward read."""

    range_factor: float = Field(
        1.0,
        ge=1e-3,
        le=1e3,
        description="what full code of a word line's converter stands for, of weight scale times"
        " the square root of outputs; errors are shares of the largest",
    )
    auto_zero: bool = Field(
        True,
        description="a read with nothing driven is subtracted from those of a batch: what"
        " amplifiers hold word lines at does not reach the errors",
    )
    driver: DriverSpec = DriverSpec()
    tia: TiaSpec = TiaSpec()
    adc: AdcSpec = AdcSpec()
