"""The ohmic cell: a programmable conductance between two bounds.

Reads at a few tenths of a volt are ohmic to a good approximation for most filamentary cells;
the dynamic models describe what happens above that.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from compact_models.spec import Spec
from compact_models.variation import Array, lognormal_factor


class OhmicCell(Spec):
    """The range in which a cell can be programmed, and how well it is hit.

    The default range, 1 to 100 uS, is the one in which the published 1T1R arrays work after
    forming (30 to 120 uS on, below 1 uS off, SkyWater sky130 ReRAM wafer data).
    """

    g_off_s: float = Field(1e-6, ge=0, le=1, description="conductance of a cell that is off [S]")
    g_on_s: float = Field(1e-4, gt=0, le=1, description="conductance of a cell that is on [S]")
    sigma_program: float = Field(
        0.02, ge=0, le=2, description="programming error: standard deviation of ln G"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.g_on_s <= self.g_off_s:
            raise ValueError(
                f"g_on_s ({self.g_on_s:g}) must be larger than g_off_s ({self.g_off_s:g})"
            )
        return self

    def program(self, target_s: Array, *, seed: int, sample: int, path: str) -> Array:
        """The conductances that programming reaches, [row, col], for the targets `target_s`.

        Args:
            target_s: target conductances in siemens, [row, col].
            seed: the study's seed.
            sample: the sample's index.
            path: the hierarchy path of the array.
        """
        factor = lognormal_factor(seed, sample, path, self.sigma_program, target_s.shape)
        return np.asarray(target_s * factor, dtype=np.float64)


class ReferencedCell(OhmicCell):
    """A cell whose weight 0 is a conductance within its range: a pulse device as it is read.

    Its pair stands at that conductance too, or moves the other way (`both`).
    """

    reference_s: float = Field(ge=0, le=1, description="conductance of a weight of 0 [S]")
    both: bool = Field(False, description="both cells of a pair move, in opposite directions")
