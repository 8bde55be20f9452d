"""Open segments: which pieces of an array they cut off, and what makes these solvable.

Two things are wrong with a piece that opens cut off. As a part of a block it may float although the
array ties it down, and then its voltages for currents drawn from it have no bounds. So a shunt to
ground stands at every port that takes a current, and its negative at the port that it is joined
with: the blocks have bounds, and of the array nothing changes. And it may float in the array. Then
it hangs on one of its own open segments, in which no current can flow as it is the only way out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from cosim.nodal.lines import Lines, Ohm

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
# What conducts less than that part of the largest cell ties nothing down: digits end there.
_NOTHING = 1e-14


@dataclass(frozen=True)
class Opens:
    """What the open segments of arrays do; rows counted from above.

    Attributes:
        word_floats: the word-line nodes that nothing drives, [..., row, col].
        bit_floats: the bit-line nodes that nothing drives, likewise.
        word_leaks: the open word-line segments that a floating piece hangs on, likewise.
        bit_leaks: of bit lines, likewise.
        shunt_s: what stands at ports and hangs in leaks, the largest conductance, [..., 1, 1].
    """

    word_floats: torch.Tensor
    bit_floats: torch.Tensor
    word_leaks: torch.Tensor
    bit_leaks: torch.Tensor
    shunt_s: torch.Tensor

    @property
    def cell_floats(self) -> torch.Tensor:
        """The cells through which nothing can flow because of that."""
        return self.word_floats | self.bit_floats


def find_opens(conductance_s: torch.Tensor, lines: Lines) -> tuple[Lines, Opens | None]:
    """The lines, with floating ends as open segments beside them, and what the opens do.

    None where nothing is open but far ends: then every line is driven from its near end.
    """
    if not has_opens(lines):
        return lines, None
    g = conductance_s.detach()
    largest = g.amax((-2, -1), keepdim=True)
    shunt = torch.where(largest > 0, largest, 1e-6)  # cells of nothing: any number
    word, driver = _as_segments(lines.r_wordline_ohm, lines.r_driver_ohm, g, of_words=True)
    bit, sense = _as_segments(lines.r_bitline_ohm, lines.r_sense_ohm, g, of_words=False)
    rows, cols = g.shape[-2:]
    right = _held(lines.r_driver_right_ohm, rows, g)
    top = _held(lines.r_sense_top_ohm, cols, g)
    of_cells = (word.detach().isinf(), bit.detach().isinf(), g > _NOTHING * shunt)
    several = torch.broadcast_shapes(
        *(x.shape[:-2] for x in of_cells), right.shape[:-1], top.shape[:-1]
    )
    open_word, open_bit, conducts = (
        x.expand(*several, rows, cols).reshape(-1, rows, cols).cpu().numpy() for x in of_cells
    )
    right, top = (x.expand(*several, x.shape[-1]).reshape(-1, x.shape[-1]) for x in (right, top))
    found = _floating(open_word, open_bit, conducts, right.cpu().numpy(), top.cpu().numpy())
    word_floats, bit_floats, word_leaks, bit_leaks = (
        torch.from_numpy(x).to(g.device).view(*several, rows, cols) for x in found
    )
    changed = replace(
        lines, r_wordline_ohm=word, r_bitline_ohm=bit, r_driver_ohm=driver, r_sense_ohm=sense
    )
    return changed, Opens(word_floats, bit_floats, word_leaks, bit_leaks, shunt)


def has_opens(lines: Lines) -> bool:
    """Whether anything but far ends is open."""
    near = (lines.r_wordline_ohm, lines.r_driver_ohm, lines.r_bitline_ohm, lines.r_sense_ohm)
    return any(bool(torch.as_tensor(x).detach().isinf().any()) for x in near)


def _as_segments(
    along: Ohm, end: Ohm, like: torch.Tensor, *, of_words: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Segments [..., row, col], open behind an open end, and the ends with 0 there instead."""
    segments, ends = (
        torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (along, end)
    )
    rows, cols = like.shape[-2:]
    floats = ends.isinf().expand(*ends.shape[:-1], rows if of_words else cols)
    first = torch.zeros(rows, cols, dtype=torch.bool, device=like.device)
    if of_words:
        first[:, 0] = True
    else:
        first[-1] = True
    opened = first & floats.unsqueeze(-1 if of_words else -2)
    segments = segments.expand(*segments.shape[:-2], rows, cols)
    return torch.where(opened, torch.inf, segments), ends.masked_fill(ends.isinf(), 0.0)


def _held(value: Ohm | None, count: int, like: torch.Tensor) -> torch.Tensor:
    """Which lines are held at their far ends, [..., line]."""
    ohm = torch.as_tensor(torch.inf if value is None else value, device=like.device).detach()
    return ohm.isfinite().expand(*ohm.shape[:-1], count)


def _floating(
    open_word: Bools, open_bit: Bools, conducts: Bools, right: Bools, top: Bools
) -> tuple[Bools, Bools, Bools, Bools]:
    """Of arrays [array, row, col] the masks of `Opens`; far ends that are held [array, line].

    All drivers and sense nodes are one node. A tree of open segments spans the pieces.
    """
    count = open_word.size
    word: Ints = np.arange(count).reshape(open_word.shape)
    bit = word + count
    ground = 2 * count
    left, below = np.full_like(word, ground), np.full_like(bit, ground)
    left[..., 1:], below[:, :-1] = word[..., :-1], bit[:, 1:]
    held = np.concatenate([word[..., -1][right], bit[:, 0][top]])
    one = [left[~open_word], below[~open_bit], word[conducts], held]
    other = [word[~open_word], bit[~open_bit], bit[conducts], np.full_like(held, ground)]
    first, second = np.concatenate(one), np.concatenate(other)
    joined = sp.coo_matrix((np.ones(first.size), (first, second)), shape=(ground + 1, ground + 1))
    pieces, label = connected_components(joined, directed=False)
    floats = (label != label[ground])[:-1].reshape(2, *word.shape)
    leaks = np.zeros(2 * count, dtype=np.bool_)
    if pieces > 1:
        # An open segment is known by the node at its far side.
        node = np.concatenate([word[open_word], bit[open_bit]])
        behind = np.concatenate([left[open_word], below[open_bit]])
        ends = np.sort(np.stack([label[node], label[behind]]), 0).astype(np.int64)
        _, kept = np.unique(ends[0] * pieces + ends[1], return_index=True)
        kept = kept[ends[0, kept] != ends[1, kept]]
        between = sp.coo_matrix(
            (np.arange(1.0, kept.size + 1), (ends[0, kept], ends[1, kept])), shape=(pieces, pieces)
        )
        tree = minimum_spanning_tree(between.tocsr()).data.astype(np.int64) - 1
        leaks[node[kept[tree]]] = True
    of_words, of_bits = leaks.reshape(2, *word.shape)
    return floats[0], floats[1], of_words, of_bits
