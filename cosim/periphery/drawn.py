"""The drawn periphery of a layer on one chip or many, stacked as its tiles are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from netlists.chip import LayerPeriphery, TilePeriphery
from netlists.tiles import LayerPlan


class Stack(Protocol):
    """Lines of tiles as one tensor: `TileLayout.stack_rows` or `stack_cols`."""

    def __call__(self, values: list[torch.Tensor], *, filled: float) -> torch.Tensor:
        """[tile][line] as [tile, line], padded with `filled`."""
        ...


def stacked_tiles(
    chips: Sequence[Sequence[TilePeriphery]], name: str, stack: Stack, filled: float
) -> torch.Tensor:
    """What was drawn under one name for the tiles of a layer, [chip, tile, line].

    Args:
        chips: the tiles of every chip.
        name: of `TilePeriphery`.
        stack: of the layer's layout.
        filled: what lines have that are only padded.
    """
    each = [[torch.from_numpy(getattr(tile, name)) for tile in tiles] for tiles in chips]
    return torch.stack([stack(values, filled=filled) for values in each])


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

        def of_tiles(name: str, stack: Stack, filled: float) -> torch.Tensor:
            return stacked_tiles([one.tiles for one in chips], name, stack, filled)

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
