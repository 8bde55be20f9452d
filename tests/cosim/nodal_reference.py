"""A second route to array currents: the whole nodal matrix in conductances, solved by scipy."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

Array = NDArray[np.float64]


def nodal_currents(
    conductance_s: Array,
    drive_v: Array,
    *,
    r_wordline_ohm: float,
    r_bitline_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: Array | float = 0.0,
    sense_v: Array | None = None,
) -> Array:
    """Currents into the sense nodes, [batch, col]; all four resistances must be positive in sum."""
    rows, cols = conductance_s.shape
    sense = np.broadcast_to(np.asarray(r_sense_ohm, float), (cols,))
    held = np.zeros(cols) if sense_v is None else sense_v

    def word(i: int, j: int) -> int:
        return i * cols + j

    def bit(i: int, j: int) -> int:
        return rows * cols + i * cols + j

    size = 2 * rows * cols
    y = sp.lil_matrix((size, size))
    rhs = np.zeros((size, len(drive_v)))

    def join(a: int, b: int, g: float) -> None:
        y[a, a] += g
        y[b, b] += g
        y[a, b] -= g
        y[b, a] -= g

    for i in range(rows):
        for j in range(cols):
            join(word(i, j), bit(i, j), conductance_s[i, j])
            if j:
                join(word(i, j - 1), word(i, j), 1 / r_wordline_ohm)
            if i:
                join(bit(i - 1, j), bit(i, j), 1 / r_bitline_ohm)
        g = 1 / (r_wordline_ohm + r_driver_ohm)
        y[word(i, 0), word(i, 0)] += g
        rhs[word(i, 0)] += g * drive_v[:, i]
    ends = 1 / (r_bitline_ohm + sense)
    for j in range(cols):
        y[bit(rows - 1, j), bit(rows - 1, j)] += ends[j]
        rhs[bit(rows - 1, j)] += ends[j] * held[j]
    v = spsolve(y.tocsc(), rhs).reshape(size, -1)
    last = np.array([v[bit(rows - 1, j)] for j in range(cols)])
    return np.asarray(((last - held[:, None]) * ends[:, None]).T)


def nodal_state(
    conductance_s: Array,
    drive_v: Array,
    *,
    wordline_ohm: Array,
    bitline_ohm: Array,
    driver_ohm: Array,
    sense_ohm: Array,
    driver_right_ohm: Array | None = None,
    sense_top_ohm: Array | None = None,
    sense_v: Array | None = None,
) -> dict[str, Array]:
    """Node voltages and currents of an array with a resistance per segment, [batch, ...].

    All resistances are positive; infinite ones are left out of the matrix. `drive_v` is [batch,
    row]. Returns `word_v`, `bit_v` and `cell_a` [batch, row, col], `sense_a` [batch, col] and
    `driver_a` [batch, row].
    """
    rows, cols = conductance_s.shape
    held = np.zeros(cols) if sense_v is None else sense_v
    word = np.arange(rows * cols).reshape(rows, cols)
    bit = word + rows * cols
    size = 2 * rows * cols
    a, b, g = [word.ravel()], [bit.ravel()], [conductance_s.ravel()]
    a += [word[:, :-1].ravel(), bit[:-1].ravel()]
    b += [word[:, 1:].ravel(), bit[1:].ravel()]
    g += [1 / wordline_ohm[:, 1:].ravel(), 1 / bitline_ohm[:-1].ravel()]
    first, second, conductance = (np.concatenate(x) for x in (a, b, g))
    y = sp.coo_matrix((-conductance, (first, second)), shape=(size, size)).tocsr()
    y = y + y.T
    diagonal = -np.asarray(y.sum(1)).ravel()
    rhs = np.zeros((size, len(drive_v)))
    ends = [
        (word[:, 0], 1 / (driver_ohm + wordline_ohm[:, 0]), drive_v.T),
        (bit[-1], 1 / (sense_ohm + bitline_ohm[-1]), np.repeat(held[:, None], len(drive_v), 1)),
    ]
    if driver_right_ohm is not None:
        ends.append((word[:, -1], 1 / driver_right_ohm, drive_v.T))
    if sense_top_ohm is not None:
        ends.append((bit[0], 1 / sense_top_ohm, np.repeat(held[:, None], len(drive_v), 1)))
    for nodes, conducts, volts in ends:
        diagonal[nodes] += conducts
        rhs[nodes] += conducts[:, None] * volts
    v = spsolve((y + sp.diags(diagonal)).tocsc(), rhs).reshape(size, -1).T
    word_v, bit_v = v[:, word], v[:, bit]
    into = [conducts * (volts.T - v[:, nodes]) for nodes, conducts, volts in ends]
    return {
        "word_v": word_v,
        "bit_v": bit_v,
        "cell_a": conductance_s * (word_v - bit_v),
        "driver_a": into[0] + (into[2] if driver_right_ohm is not None else 0.0),
        "sense_a": -into[1] - (into[-1] if sense_top_ohm is not None else 0.0),
    }
