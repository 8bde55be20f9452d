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
