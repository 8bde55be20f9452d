"""The nodes of an array as one sparse matrix, for what the joined blocks do not answer: time.

Nodal analysis in conductances: nodes that a resistance of 0 joins are one node, and the voltages of
drivers and sense nodes are known, so the matrix of the others is symmetric and positive
semidefinite. Beside the block solver (`cosim.nodal.hierarchy`) it is slower, and where segments
conduct a millionfold more than cells it loses digits of currents far below the largest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from compact_models.errors import InputError
from cosim.nodal.lines import Lines, Ohm, check_array

Array = NDArray[np.float64]
Nodes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SparseNetwork:
    """The nodes of one array and the conductances between them.

    The unknown nodes come first, then the drivers, row by row, then the sense nodes.

    Attributes:
        laplacian_s: [node, node] in siemens: the currents out of the nodes for their voltages.
        unknown: how many nodes have no given voltage.
        word: the node of every cell on its word line, [row, col].
        bit: the node of every cell on its bit line, [row, col].
        driver_end: the node between a driver's resistance and the first segment, [row].
        sense_end: the node between the last segment and a sense node's resistance, [col].
    """

    laplacian_s: sp.csr_array
    unknown: int
    word: Nodes
    bit: Nodes
    driver_end: Nodes
    sense_end: Nodes


def sparse_network(conductance_s: torch.Tensor, lines: Lines) -> SparseNetwork:
    """The network of one array.

    Args:
        conductance_s: [row, col] in siemens, >= 0, double precision.
        lines: what runs through the array; opens and floating ends leave no element.

    Raises:
        InputError: as `cosim.nodal.lines.check_array`, or several arrays were given.
    """
    check_array(conductance_s, lines)
    if conductance_s.ndim != 2:
        raise InputError(
            "one array at a time",
            where="conductance_s",
            value=tuple(conductance_s.shape),
            allowed="[row, col]",
        )
    rows, cols = conductance_s.shape
    cells = rows * cols
    sizes = (cells, cells, rows, cols, rows, cols)
    word, bit, driver_end, sense_end, driver, sense = np.split(
        np.arange(sum(sizes)), np.cumsum(sizes)[:-1]
    )
    word, bit = word.reshape(rows, cols), bit.reshape(rows, cols)
    g = conductance_s.detach().cpu().numpy()
    elements = [
        (np.column_stack([driver_end, word[:, :-1]]), word, _siemens(lines.r_wordline_ohm, g)),
        (bit, np.vstack([bit[1:], sense_end]), _siemens(lines.r_bitline_ohm, g)),
        (driver, driver_end, _siemens(lines.r_driver_ohm, driver)),
        (sense_end, sense, _siemens(lines.r_sense_ohm, sense)),
    ]
    if lines.r_driver_right_ohm is not None:
        elements.append((driver, word[:, -1], _siemens(lines.r_driver_right_ohm, driver)))
    if lines.r_sense_top_ohm is not None:
        elements.append((bit[0], sense, _siemens(lines.r_sense_top_ohm, sense)))
    a, b, siemens = (
        np.concatenate([x.ravel() for x in part]) for part in zip(*elements, strict=True)
    )
    joined = np.isinf(siemens)
    merged, unknown = _merged(sum(sizes), a[joined], b[joined], rows + cols)
    a, b = np.append(a, word), np.append(b, bit)
    siemens = np.append(np.where(joined, 0.0, siemens), g)
    return SparseNetwork(
        laplacian_s=laplacian(merged[a], merged[b], siemens, unknown + rows + cols),
        unknown=unknown,
        word=merged[word],
        bit=merged[bit],
        driver_end=merged[driver_end],
        sense_end=merged[sense_end],
    )


def laplacian(first: Nodes, second: Nodes, value: Array, count: int) -> sp.csr_array:
    """The nodal matrix [count, count] of two-terminal elements; both ends may be one node."""
    apart = (first != second) & (value > 0)
    a, b, x = first[apart], second[apart], value[apart]
    rows, cols = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
    return sp.coo_array((np.concatenate([x, x, -x, -x]), (rows, cols)), (count, count)).tocsr()


def _siemens(ohm: Ohm, like: Array | Nodes) -> Array:
    """Conductances in the shape of `like`: infinite for a short, 0 for an open."""
    resistance = np.asarray(torch.as_tensor(ohm, dtype=torch.float64).detach().cpu())
    if resistance.ndim > like.ndim:
        raise InputError(
            "one array at a time",
            where="lines",
            value=resistance.shape,
            allowed=f"one value or {list(like.shape)}",
        )
    with np.errstate(divide="ignore", over="ignore"):
        return np.broadcast_to(1.0 / resistance, like.shape)


def _merged(count: int, first: Nodes, second: Nodes, known: int) -> tuple[Nodes, int]:
    """The number of every node after shorts, and how many of them are unknown.

    Of the `count` nodes the last `known` have given voltages; no short joins two of those but
    through a driver or sense node that is the same at both ends of a line.
    """
    pairs = sp.coo_array((np.ones(len(first)), (first, second)), (count, count))
    _, label = connected_components(pairs, directed=False)
    given = label[count - known :]
    free = np.setdiff1d(label, given)
    number = np.empty(label.max() + 1, np.int64)
    number[free] = np.arange(len(free))
    number[given] = len(free) + np.arange(known)
    return number[label], len(free)
