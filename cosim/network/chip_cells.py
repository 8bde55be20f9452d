"""Conductances of chips, stacked as networks are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.layout import TileLayout
from netlists.tiles import LayerPlan

Array = NDArray[np.float64]


def stacked_cells(
    plans: Sequence[LayerPlan], *chips: Sequence[Sequence[Array]]
) -> list[torch.Tensor]:
    """Conductances of one chip or more, [layer] -> [chip, tile, row, col].

    Args:
        plans: the layers.
        chips: of every chip, [layer][tile] -> [row, col].
    """
    return [
        torch.stack(
            [
                TileLayout.of(plan).stack_cells([torch.from_numpy(g) for g in chip[number]])
                for chip in chips
            ]
        )
        for number, plan in enumerate(plans)
    ]


def cells_of_chip(
    plans: Sequence[LayerPlan], stacked: Sequence[torch.Tensor], chip: int = 0
) -> list[list[Array]]:
    """The reverse for one chip, [layer][tile] -> [row, col].

    Args:
        plans: the layers.
        stacked: [layer] -> [chip, tile, row, col].
        chip: which.
    """
    return [
        [g.detach().numpy() for g in TileLayout.of(plan).cut_cells(layer[chip])]
        for plan, layer in zip(plans, stacked, strict=True)
    ]
