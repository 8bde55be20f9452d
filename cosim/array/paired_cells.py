"""What an array, its optimiser and its report ask of the cells that hold its weights.

A cell has a weight of its own, w, in which its conductance at the read voltage is straight:
g = g_zero + slope w. Everything else about a cell, what a pulse does to it above all, is between
the cells and whoever computes updates of them (`cosim.array.pulse_pairs`, `device_pairs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, Self

import torch

from compact_models.variation import Stream

Pair = Literal["reference", "both"]
"""Which cells of a pair pulses reach: the plus cells, or both in opposite ways."""


class PairedCells(Protocol):
    """The cells of one matrix on one or many chips, two a weight."""

    @property
    def pair(self) -> Pair:
        """Which cells of a pair pulses reach."""
        ...

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of a pair that pulses reach."""
        ...

    @property
    def moving(self) -> tuple[int, ...]:
        """The sides whose cells an update may move, (0,) or (0, 1): by half-selection too."""
        ...

    @property
    def slope_s(self) -> float:
        """By how much a weight of 1 conducts more than one of 0 [S]."""
        ...

    @property
    def dw_min(self) -> float:
        """The step of a cell that an update rule reckons with, in units of w."""
        ...

    def conductance_s(self, w: torch.Tensor) -> torch.Tensor:
        """Of cells with weights of any shape [S]."""
        ...

    def bounds(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Least and largest weight of every cell, [chip, side, row, out]."""
        ...

    def like(self, stream: Stream, name: str, chips: int) -> Self:
        """Cells of the same kind, of a matrix of the same shape, that are drawn for themselves.

        Args:
            stream: of the first chip; the others are the samples that follow.
            name: of the matrix, below the path of this one.
            chips: how many.
        """
        ...


class DrivenCells(PairedCells, Protocol):
    """Cells of which a circuit knows what voltages do to them: by their equations."""

    @property
    def own(self) -> Mapping[str, torch.Tensor]:
        """Parameters that cells have for themselves, by name, each [chip, side, row, out]."""
        ...

    def states(self, w: torch.Tensor) -> torch.Tensor:
        """The written states of weights [chip, side, row, out], float64, in their unit."""
        ...

    def weights(self, states: torch.Tensor) -> torch.Tensor:
        """The reverse, within the bounds."""
        ...
