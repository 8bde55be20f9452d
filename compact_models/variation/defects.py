"""Stuck cells: cells that are a fixed conductance, whatever is applied to them."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from compact_models.spec import Spec
from compact_models.variation.seeds import Array, component_rng


class StuckAt(Spec):
    """Cells that are stuck at one conductance."""

    probability: float = Field(ge=0, le=1, description="probability that a cell is one of these")
    conductance_s: float = Field(ge=0, le=1e6, description="conductance [S]; 0 is open")


class StuckCells(Spec):
    """All the ways in which a cell can be stuck; a cell is stuck in one of them at most.

    Stuck-on and stuck-off cells are `kinds` with the conductances of the two states.
    """

    kinds: tuple[StuckAt, ...] = Field((), description="the ways in which a cell can be stuck")

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        total = sum(kind.probability for kind in self.kinds)
        if total > 1 + 1e-12:
            raise ValueError(f"the probabilities add up to {total:g}, allowed: at most 1")
        return self

    @classmethod
    def on_and_off(cls, p_on: float, g_on_s: float, p_off: float, g_off_s: float = 0.0) -> Self:
        """Stuck-on with probability `p_on` at `g_on_s`, stuck-off with `p_off` at `g_off_s`."""
        return cls(
            kinds=(
                StuckAt(probability=p_on, conductance_s=g_on_s),
                StuckAt(probability=p_off, conductance_s=g_off_s),
            )
        )

    def draw(self, shape: tuple[int, ...], *, seed: int, sample: int, path: str) -> Array:
        """The conductance of the stuck cells in siemens, [...]; NaN where a cell works.

        Args:
            shape: of the array, e.g. [row, col].
            seed: the study's seed, >= 0.
            sample: the sample's index, >= 0.
            path: the array's hierarchy path.
        """
        chance = component_rng(seed, sample, f"{path}/stuck").random(shape)
        found = np.full(shape, np.nan)
        start = 0.0
        for kind in self.kinds:
            inside = (chance >= start) & (chance < start + kind.probability)
            found[inside] = kind.conductance_s
            start += kind.probability
        return found
