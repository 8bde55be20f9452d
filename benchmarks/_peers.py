"""Other ways to the same numbers: scipy's sparse LU, badcrossbar, ngspice."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu

Array = NDArray[np.float64]


def by_sparse_lu(conductance_s: Array, ohm: float) -> Array:
    """T from the whole nodal matrix: the bit lines' last currents for unit voltages of each row."""
    rows, cols = conductance_s.shape
    cells = rows * cols
    word = np.arange(cells).reshape(rows, cols)
    bit = word + cells
    first = np.concatenate([word.ravel(), word[:, :-1].ravel(), bit[:-1].ravel()])
    second = np.concatenate([bit.ravel(), word[:, 1:].ravel(), bit[1:].ravel()])
    wires = np.full(len(first) - cells, 1 / ohm)
    value = np.concatenate([conductance_s.ravel(), wires])
    y = coo_matrix((-value, (first, second)), shape=(2 * cells, 2 * cells)).tocsr()
    y = y + y.T
    diagonal = -np.asarray(y.sum(1)).ravel()
    rhs = np.zeros((2 * cells, rows))
    diagonal[word[:, 0]] += 1 / ohm
    diagonal[bit[-1]] += 1 / ohm
    rhs[word[:, 0], np.arange(rows)] = 1 / ohm
    v = splu((y + diags(diagonal)).tocsc()).solve(rhs)
    return np.asarray(v[bit[-1]].T / ohm)


def badcrossbar() -> Any | None:
    """The module, quiet; None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import badcrossbar as module
        except ImportError:
            return None
    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    logging.getLogger().setLevel(logging.WARNING)  # it takes over the host's logging
    return module


def by_badcrossbar(module: Any, conductance_s: Array, volts: Array, ohm: float) -> Array:
    """Currents [batch, col]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = module.compute(
            volts.T, 1 / conductance_s, r_i=ohm, node_voltages=False, all_currents=False
        )
    return np.asarray(found.currents.output)
