"""What currents into lines of equal segments do to the nodes of these lines.

Two cells of a line share the resistance of the segments between the line's end and the nearer one.
A product with that matrix costs cells times length. Along word lines two running sums are the same
at O(cells). Along bit lines, where the memory lies the other way, they are slow: those are cut into
pieces, which know the sum of the farther ones and the moment of the nearer ones, with small
products within the pieces. For short lines the whole product is the fastest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from cosim.nodal.transfer import bitline_resistances, wordline_resistances

_SHORT = 96  # cells of a line up to which the whole product was measured to be faster
_PIECE = 32  # cells of a piece


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
    _kernel: torch.Tensor = field(init=False)
    _ramp: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Computes what is the same for all conductances."""
        shared = bitline_resistances(self.rows, self.r_bitline_ohm, self.sense_ohm)
        object.__setattr__(self, "_shared_ohm", shared)
        object.__setattr__(self, "own_ohm", shared.diagonal().unsqueeze(-1) + self.sense_ohm)
        # The near end of a piece is its last row.
        kernel = _kernel(self.r_bitline_ohm, self.sense_ohm)
        kernel = torch.cat([kernel[:, :_PIECE].flip(0, 1), kernel[:, _PIECE:].flip(0)], 1)
        object.__setattr__(self, "_kernel", kernel.mT.contiguous())
        object.__setattr__(self, "_ramp", _ramp(self.sense_ohm).flip(1).mT.contiguous())

    def __call__(self, current: torch.Tensor) -> torch.Tensor:
        """Voltages for currents into the line at every cell, [..., row, col] both."""
        if self.rows <= _SHORT:
            return self._shared_ohm @ current + self.sense_ohm * current.sum(-2, keepdim=True)
        pieces = -(-self.rows // _PIECE)
        filled = torch.nn.functional.pad(current, (0, 0, pieces * _PIECE - self.rows, 0))
        # From the sense end on, as from a driver: the pieces are counted from below.
        by_piece = filled.reshape(-1, pieces, _PIECE, current.shape[-1])
        inside = self._kernel @ by_piece
        sums = inside[:, :, _PIECE:].flip(1).movedim(1, -1)
        carried = _carried(
            sums[:, 0], sums[:, 1], self.r_bitline_ohm, self.sense_ohm.unsqueeze(-1)
        ).flip(-2)
        rise = torch.baddbmm(
            inside[:, :, :_PIECE].flatten(0, 1),
            self._ramp.expand(len(by_piece) * pieces, -1, -1),
            carried.movedim(1, -1).flatten(0, 1),
        )
        whole = rise.view(*current.shape[:-2], pieces * _PIECE, current.shape[-1])
        return whole[..., pieces * _PIECE - self.rows :, :]


def _carried(
    sums: torch.Tensor, moments: torch.Tensor, r_segment_ohm: float, r_end_ohm: float | torch.Tensor
) -> torch.Tensor:
    """What pieces do to the nodes of the others, [..., piece, (at the first node, per node)].

    Args:
        sums: currents of every piece, the one next to the end first, [..., piece].
        moments: the same, each current times its place in the piece, counted from 1.
        r_segment_ohm: of a segment.
        r_end_ohm: in series at the end.
    """
    starts = _PIECE * torch.arange(sums.shape[-1], dtype=sums.dtype, device=sums.device)
    so_far = sums.cumsum(-1)
    total = so_far[..., -1:]
    farther = total - so_far
    mine = starts * sums
    nearer = (mine + moments).cumsum(-1) - moments
    first = r_segment_ohm * (nearer + (starts + 1.0) * farther) + r_end_ohm * total
    return torch.stack([first, r_segment_ohm * farther], -1)


def _kernel(r_segment_ohm: float, like: torch.Tensor) -> torch.Tensor:
    """Within a piece: shared resistances, then the sum and the moment; [cell, node and two]."""
    index = torch.arange(_PIECE, dtype=like.dtype, device=like.device)
    shared = r_segment_ohm * (torch.minimum(index[:, None], index) + 1.0)
    return torch.cat([shared, torch.ones_like(index)[:, None], (index + 1.0)[:, None]], 1)


def _ramp(like: torch.Tensor) -> torch.Tensor:
    """At every node of a piece 1, and its number: [2, node]."""
    index = torch.arange(_PIECE, dtype=like.dtype, device=like.device)
    return torch.stack([torch.ones_like(index), index])
