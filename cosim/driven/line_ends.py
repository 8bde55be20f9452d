"""What drives the lines of an array at an instant or at several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class LineEnds:
    """Voltages at the driven ends of all lines, at one or several times.

    Attributes:
        word_v: [..., row].
        bit_v: [..., col].
        gate_v: [..., row]; zeros where there are no gates.
    """

    word_v: torch.Tensor
    bit_v: torch.Tensor
    gate_v: torch.Tensor

    @property
    def across_v(self) -> torch.Tensor:
        """Between the ends of the two lines of every cell, [..., row, col]."""
        return self.word_v[..., None] - self.bit_v[..., None, :]

    def at(self, k: int) -> LineEnds:
        """One of several times."""
        return LineEnds(self.word_v[k], self.bit_v[k], self.gate_v[k])

    def between(self, other: LineEnds, part: float) -> LineEnds:
        """A part of the way to another time."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return LineEnds(*(torch.lerp(one, last, part) for one, last in pairs))

    @staticmethod
    def stack(many: Sequence[LineEnds]) -> LineEnds:
        """Several times as one."""
        columns = zip(*(vars(one).values() for one in many), strict=True)
        return LineEnds(*(torch.stack(column) for column in columns))
