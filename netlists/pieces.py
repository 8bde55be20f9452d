"""The pieces of an array that opens cut off, and which of them hang on nothing.

No current can flow in such a piece and nothing gives it a voltage: a simulator finds its matrix
singular, or, where opens have left a node without any element, does not know the node at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from netlists.crossbar import Crossbar

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """What of an array hangs neither on a driver nor on a sense node.

    Args:
        floating: a node of every such piece that has an element: its name in the array's block.
        bare_wordline: the driver ports that no element touches, [row].
        bare_word: the word sides of cells that none touches, [row, col].
        bare_bit: the bit sides likewise, [row, col].
        bare_bitline: the sense ports likewise, [col].
        live: the cells whose piece has two ends or more, drivers or sense nodes; in others no
            current can flow, [row, col].
    """

    floating: tuple[str, ...]
    bare_wordline: Bools
    bare_word: Bools
    bare_bit: Bools
    bare_bitline: Bools
    live: Bools


def find_pieces(crossbar: Crossbar, driven: Bools, sensed: Bools) -> Pieces:
    """Finds them.

    Args:
        crossbar: the array.
        driven: which word lines have a driver, [row].
        sensed: which bit lines have a sense node, [col].
    """
    rows, cols = crossbar.rows, crossbar.cols
    number = np.arange(rows + 2 * rows * cols + cols)
    wordline, word, bit, bitline = np.split(number, np.cumsum([rows, rows * cols, rows * cols]))
    word, bit = word.reshape(rows, cols), bit.reshape(rows, cols)
    left = np.concatenate([wordline[:, None], word[:, :-1]], axis=1)
    below = np.concatenate([bit[1:], bitline[None]])
    ohm = [
        np.broadcast_to(r, (rows, cols))
        for r in (crossbar.wires.r_wordline_ohm, crossbar.wires.r_bitline_ohm)
    ]
    cell = crossbar.conductance_s > 0
    joined = [np.isfinite(ohm[0]), np.isfinite(ohm[1]), cell]
    ends = [(left, word), (bit, below), (word, bit)]
    one = np.concatenate([a[there] for (a, _), there in zip(ends, joined, strict=True)])
    other = np.concatenate([b[there] for (_, b), there in zip(ends, joined, strict=True)])
    graph = sp.coo_array((np.ones(len(one), bool), (one, other)), shape=(len(number),) * 2)
    count, piece = connected_components(graph, directed=False)
    ties = np.bincount(piece[np.concatenate([wordline[driven], bitline[sensed]])], minlength=count)
    tied = ties > 0
    # A short is no element: it makes two nodes one.
    elements = [joined[0] & (ohm[0] > 0), joined[1] & (ohm[1] > 0), cell]
    has_element = np.zeros(count, bool)
    for (a, _), there in zip(ends, elements, strict=True):
        has_element[piece[a[there]]] = True
    bare = ~(tied | has_element)[piece]
    return Pieces(
        _named(crossbar, piece[word], piece[bit], has_element & ~tied),
        bare[wordline],
        bare[word],
        bare[bit],
        bare[bitline],
        cell & (ties[piece[word]] > 1),
    )


def _named(crossbar: Crossbar, word: Ints, bit: Ints, wanted: Bools) -> tuple[str, ...]:
    """A node of every wanted piece: each element has a cell's word or bit side at an end."""
    left = wanted.copy()
    names = []
    for piece, name in ((word, crossbar.word_node), (bit, crossbar.bit_node)):
        found, place = np.unique(piece, return_index=True)
        for k, at in zip(found.tolist(), place.tolist(), strict=True):
            if left[k]:
                left[k] = False
                names.append(name(*divmod(at, crossbar.cols)))
    return tuple(names)
