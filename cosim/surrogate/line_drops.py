"""What currents into the lines of an array do to the nodes of these lines.

Two cells of a line share the resistance of the segments between the line's end and the nearer one.
A product with that matrix costs cells times length. Along word lines two running sums are the same
at O(cells). Along bit lines, where the memory lies the other way, they are slow: those are cut into
pieces, which know the sum of the farther ones and the moment of the nearer ones, with small
products within the pieces. For short lines the whole product is the fastest. Lines whose segments
differ, and lines that are trained, take the running sums.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import torch

from cosim.nodal.transfer import bitline_resistances, wordline_resistances

_SHORT = 96  # cells of a line up to which the whole product was measured to be faster
_PIECE = 32  # cells of a piece


@dataclass(frozen=True)
class WordDrops:
    """By how much word lines fall, whose drivers are on the left.

    Args:
        cols: cells of a line.
        segment_ohm: of the segment on the left of every cell, one value or [row, col].
        driver_ohm: in series at the driver, one value or [row].
        live: 1 where a line has a cell and 0 where it is only padded, [..., 1, col]; None for cells
            everywhere.

    Attributes:
        own_ohm: resistance of the path of every cell, [col], or [row, col] where lines differ.
        others_ohm: resistances that it shares with the paths of all others, added up, likewise, or
            [..., 1 or row, col] where lines are padded.
        trained: a resistance has gradients.
    """

    cols: int
    segment_ohm: torch.Tensor
    driver_ohm: torch.Tensor
    live: torch.Tensor | None = None
    own_ohm: torch.Tensor = field(init=False)
    others_ohm: torch.Tensor = field(init=False)
    trained: bool = field(init=False)
    _shared_ohm: torch.Tensor | None = field(init=False)  # of equal lines, [col, col]
    _driven: bool = field(init=False)  # a driver has a resistance

    def __post_init__(self) -> None:
        """Computes what is the same for all conductances."""
        segment, driver = self.segment_ohm, self.driver_ohm
        trained = segment.requires_grad or driver.requires_grad
        equal = segment.ndim == 0 and driver.ndim == 0 and not trained
        ends = driver.unsqueeze(-1) if driver.ndim else driver
        along = segment if segment.ndim else segment.expand(self.cols)
        own = along.cumsum(-1) + ends
        # Sums of what is not negative: a cell without others shares exactly nothing with them.
        live = own.new_ones(self.cols) if self.live is None else self.live
        before = torch.nn.functional.pad(own * live, (1, 0)).cumsum(-1)[..., :-1]
        behind = torch.nn.functional.pad(live, (0, 1)).flip(-1).cumsum(-1).flip(-1)[..., 1:]
        shared = None
        if equal:
            shared = wordline_resistances(self.cols, float(segment), float(driver), segment)
        object.__setattr__(self, "own_ohm", own)
        object.__setattr__(self, "others_ohm", before + behind * own)
        object.__setattr__(self, "trained", trained)
        object.__setattr__(self, "_shared_ohm", shared)
        object.__setattr__(self, "_driven", bool((driver != 0).any()) or trained)

    def fresh(self) -> Self:
        """Itself, or computed again where its resistances may have moved since."""
        return replace(self) if self.trained else self

    @property
    def alike(self) -> bool:
        """All lines and segments are."""
        return self.segment_ohm.ndim == 0 and self.driver_ohm.ndim == 0

    def __call__(self, current: torch.Tensor) -> torch.Tensor:
        """Voltages for currents out of the line at every cell, [..., row, col] both."""
        if self._shared_ohm is not None and self.cols <= _SHORT:
            return current @ self._shared_ohm
        sums = current.cumsum(-1)
        total = sums[..., -1:]
        beyond = torch.sub(total, sums).add_(current)  # through the segment left of each cell
        ends = self.driver_ohm.unsqueeze(-1) if self.driver_ohm.ndim else self.driver_ohm
        if self.segment_ohm.ndim:
            return (beyond * self.segment_ohm).cumsum(-1) + ends * total
        drop = beyond.cumsum_(-1).mul_(self.segment_ohm)
        return drop.addcmul_(total, ends) if self._driven else drop


@dataclass(frozen=True)
class BitDrops:
    """By how much bit lines rise, which end below the last row.

    Args:
        rows: cells of a line.
        segment_ohm: of the segment below every cell, one value or [row, col].
        sense_ohm: in series at the sense node, [col], or [..., col] for stacked arrays.

    Attributes:
        own_ohm: resistance of the path of every cell, [..., row, col].
        trained: a resistance has gradients.
    """

    rows: int
    segment_ohm: torch.Tensor
    sense_ohm: torch.Tensor
    own_ohm: torch.Tensor = field(init=False)
    trained: bool = field(init=False)
    _equal: _EqualBitLines | None = field(init=False)

    def __post_init__(self) -> None:
        """Computes what is the same for all conductances."""
        segment = self.segment_ohm
        trained = segment.requires_grad or self.sense_ohm.requires_grad
        along = segment if segment.ndim else segment.expand(self.rows, 1)
        equal = None
        if not trained and not segment.ndim:
            equal = _EqualBitLines.of(self.rows, float(segment), self.sense_ohm)
        object.__setattr__(
            self, "own_ohm", along.flip(0).cumsum(0).flip(0) + self.sense_ohm.unsqueeze(-2)
        )
        object.__setattr__(self, "trained", trained)
        object.__setattr__(self, "_equal", equal)

    def fresh(self) -> Self:
        """Itself, or computed again where its resistances may have moved since."""
        return replace(self) if self.trained else self

    @property
    def alike(self) -> bool:
        """All segments are; sense nodes may differ."""
        return self.segment_ohm.ndim == 0

    def __call__(self, current: torch.Tensor) -> torch.Tensor:
        """Voltages for currents into the line at every cell, [..., row, col] both."""
        if self._equal is not None:
            return self._equal(current)
        above = current.cumsum(-2)  # through the segment below each cell
        drop = above * self.segment_ohm
        rise = drop.flip(-2).cumsum(-2).flip(-2)
        return rise + self.sense_ohm.unsqueeze(-2) * above[..., -1:, :]


@dataclass(frozen=True)
class _EqualBitLines:
    """Bit lines of equal segments.

    Attributes:
        shared_ohm: by the paths of two cells, without the end, [row, row].
    """

    rows: int
    r_bitline_ohm: float
    sense_ohm: torch.Tensor
    shared_ohm: torch.Tensor
    kernel: torch.Tensor
    ramp: torch.Tensor

    @staticmethod
    def of(rows: int, r_bitline_ohm: float, sense_ohm: torch.Tensor) -> _EqualBitLines:
        """Computes what is the same for all conductances."""
        # The near end of a piece is its last row.
        kernel = _kernel(r_bitline_ohm, sense_ohm)
        kernel = torch.cat([kernel[:, :_PIECE].flip(0, 1), kernel[:, _PIECE:].flip(0)], 1)
        return _EqualBitLines(
            rows,
            r_bitline_ohm,
            sense_ohm,
            bitline_resistances(rows, r_bitline_ohm, sense_ohm),
            kernel.mT.contiguous(),
            _ramp(sense_ohm).flip(1).mT.contiguous(),
        )

    def __call__(self, current: torch.Tensor) -> torch.Tensor:
        """See `BitDrops`."""
        if self.rows <= _SHORT:
            ends = self.sense_ohm.unsqueeze(-2) * current.sum(-2, keepdim=True)
            return self.shared_ohm @ current + ends
        pieces = -(-self.rows // _PIECE)
        filled = torch.nn.functional.pad(current, (0, 0, pieces * _PIECE - self.rows, 0))
        # From the sense end on, as from a driver: the pieces are counted from below.
        by_piece = filled.reshape(-1, pieces, _PIECE, current.shape[-1])
        inside = self.kernel @ by_piece
        sums = inside[:, :, _PIECE:].flip(1).movedim(1, -1)
        ends = self.sense_ohm.expand(*current.shape[:-2], -1).reshape(-1, current.shape[-1], 1)
        carried = _carried(sums[:, 0], sums[:, 1], self.r_bitline_ohm, ends).flip(-2)
        rise = torch.baddbmm(
            inside[:, :, :_PIECE].flatten(0, 1),
            self.ramp.expand(len(by_piece) * pieces, -1, -1),
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
