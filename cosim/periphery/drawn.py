"""The drawn periphery of a layer on one chip or many, stacked as its tiles are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from netlists.chip import LayerPeriphery
from netlists.tiles import LayerPlan


class _Stack(Protocol):
    def __call__(self, values: list[torch.Tensor], *, filled: float) -> torch.Tensor: ...


@dataclass(frozen=True, eq=False)
class DrawnPeriphery:
    """What was drawn; lines that are only padded have nominal drivers and amplifiers.

    Attributes:
        driver_gain: [chip, tile, row], about 1.
        driver_offset_v: [chip, tile, row].
        r_feedback_ohm: of amplifiers, [chip, tile, col].
        v_offset_v: of amplifiers, likewise.
        neuron_offset_v: [chip, out].
        neuron_gain: [chip, out], about 1.
        adc_offset_v: [chip, out].
        adc_gain: [chip, out], about 1.
    """

    driver_gain: torch.Tensor
    driver_offset_v: torch.Tensor
    r_feedback_ohm: torch.Tensor
    v_offset_v: torch.Tensor
    neuron_offset_v: torch.Tensor
    neuron_gain: torch.Tensor
    adc_offset_v: torch.Tensor
    adc_gain: torch.Tensor

    @staticmethod
    def of(plan: LayerPlan, layout: TileLayout, chips: Sequence[LayerPeriphery]) -> DrawnPeriphery:
        """Stacks what was drawn for the layer on every chip."""

        def of_tiles(name: str, stack: _Stack, filled: float) -> torch.Tensor:
            each = [[torch.from_numpy(getattr(tile, name)) for tile in one.tiles] for one in chips]
            return torch.stack([stack(values, filled=filled) for values in each])

        def of_outputs(name: str) -> torch.Tensor:
            values: list[NDArray[np.float64]] = [getattr(chip, name) for chip in chips]
            return torch.from_numpy(np.stack(values))

        return DrawnPeriphery(
            of_tiles("driver_gain", layout.stack_rows, 1.0),
            of_tiles("driver_offset_v", layout.stack_rows, 0.0),
            of_tiles("r_feedback_ohm", layout.stack_cols, plan.r_feedback_ohm),
            of_tiles("v_offset_v", layout.stack_cols, 0.0),
            of_outputs("neuron_offset_v"),
            of_outputs("neuron_gain"),
            of_outputs("adc_offset_v"),
            of_outputs("adc_gain"),
        )
