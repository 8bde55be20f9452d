"""What currents into lines of equal segments do to the nodes of these lines: running sums.

Two cells of a line share the resistance of the segments between the line's end and the nearer one.
Multiplying with that matrix is two running sums, O(cells) instead of a product; for short lines the
product is faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from cosim.nodal.transfer import bitline_resistances, wordline_resistances

_SHORT = 96  # cells of a line up to which the product was measured to be faster


@dataclass(frozen=True)
class WordDrops:
    """By how much word lines fall, whose drivers are on the left.

    Args:
        cols: cells of a line.
        r_wordline_ohm: of a segment.
        r_driver_ohm: in series at the driver.
        like: a tensor of the type and on the device wanted.

    Attributes:
        own_ohm: resistance of the path of every cell, [col].
        others_ohm: resistances that it shares with the paths of all others, added up, [col].
    """

    cols: int
    r_wordline_ohm: float
    r_driver_ohm: float
    like: torch.Tensor
    own_ohm: torch.Tensor = field(init=False)
    others_ohm: torch.Tensor = field(init=False)
    _shared_ohm: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Computes what is the same for all conductances."""
        given = self.cols, self.r_wordline_ohm, self.r_driver_ohm, self.like
        shared = wordline_resistances(*given)
        object.__setattr__(self, "_shared_ohm", shared)
        object.__setattr__(self, "own_ohm", shared.diagonal().clone())
        object.__setattr__(self, "others_ohm", shared.sum(0) - self.own_ohm)

    def __call__(self, current: torch.Tensor) -> torch.Tensor:
        """Voltages for currents out of the line at every cell, [..., row, col] both."""
        if self.cols <= _SHORT:
            return current @ self._shared_ohm
        sums = current.cumsum(-1)
        total = sums[..., -1:]
        beyond = torch.sub(total, sums).add_(current)  # through the segment left of each cell
        drop = beyond.cumsum_(-1).mul_(self.r_wordline_ohm)
        return drop.add_(total, alpha=self.r_driver_ohm) if self.r_driver_ohm else drop


@dataclass(frozen=True)
class BitDrops:
    """By how much bit lines rise, which end below the last row.

    Args:
        rows: cells of a line.
        r_bitline_ohm: of a segment.
        sense_ohm: in series at the sense node, [col].

    Attributes:
        own_ohm: resistance of the path of every cell, [row, col].
    """

    rows: int
    r_bitline_ohm: float
    sense_ohm: torch.Tensor
    own_ohm: torch.Tensor = field(init=False)
    _shared_ohm: torch.Tensor = field(init=False)  # without the end, [row, row]

    def __post_init__(self) -> None:
        """Computes what is the same for all conductances."""
        shared = bitline_resistances(self.rows, self.r_bitline_ohm, self.sense_ohm)
        object.__setattr__(self, "_shared_ohm", shared)
        object.__setattr__(self, "own_ohm", shared.diagonal().unsqueeze(-1) + self.sense_ohm)

    def __call__(self, current: torch.Tensor) -> torch.Tensor:
        """Voltages for currents into the line at every cell, [..., row, col] both."""
        if self.rows <= _SHORT:
            return self._shared_ohm @ current + self.sense_ohm * current.sum(-2, keepdim=True)
        # Sums along rows of a transposed copy: those across rows are four times slower.
        sums = current.mT.contiguous().cumsum(-1)  # through the segment below each cell
        twice = sums.cumsum(-1)
        drop = torch.sub(twice[..., -1:], twice).add_(sums).mul_(self.r_bitline_ohm)
        drop = drop.add_(sums[..., -1:] * self.sense_ohm.unsqueeze(-1))
        return drop.mT.contiguous()
