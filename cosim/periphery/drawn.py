"""The drawn periphery of a layer on one chip or many, stacked as its tiles are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from netlists.chip import LayerPeriphery
from netlists.tiles import LayerPlan


@dataclass(frozen=True, eq=False)
class DrawnPeriphery:
    """Amplifiers, neurons and converters; bit lines that are only padded have nominal amplifiers.

    Attributes:
        r_feedback_ohm: of amplifiers, [chip, tile, col].
        v_offset_v: of amplifiers, likewise.
        neuron_offset_v: [chip, out].
        adc_offset_v: [chip, out].
        adc_gain: [chip, out], about 1.
    """

    r_feedback_ohm: torch.Tensor
    v_offset_v: torch.Tensor
    neuron_offset_v: torch.Tensor
    adc_offset_v: torch.Tensor
    adc_gain: torch.Tensor

    @staticmethod
    def of(plan: LayerPlan, layout: TileLayout, chips: Sequence[LayerPeriphery]) -> DrawnPeriphery:
        """Stacks what was drawn for the layer on every chip."""

        def of_amplifiers(name: str, filled: float) -> torch.Tensor:
            return torch.stack(
                [
                    layout.stack_cols(
                        [torch.from_numpy(getattr(tile, name)) for tile in chip.tiles],
                        filled=filled,
                    )
                    for chip in chips
                ]
            )

        def of_outputs(name: str) -> torch.Tensor:
            values: list[NDArray[np.float64]] = [getattr(chip, name) for chip in chips]
            return torch.from_numpy(np.stack(values))

        return DrawnPeriphery(
            of_amplifiers("r_feedback_ohm", plan.r_feedback_ohm),
            of_amplifiers("v_offset_v", 0.0),
            of_outputs("neuron_offset_v"),
            of_outputs("adc_offset_v"),
            of_outputs("adc_gain"),
        )
