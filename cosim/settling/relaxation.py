"""How an array of resistances and capacitances relaxes after a step: a few exponentials per vector.

The nodes obey C dv/dt + Y v = -(Y_d + C_d d/dt) u, with Y and C symmetric and positive, so a step
of the drivers' voltages u leaves x(t) = v(t) - v(end), a sum of as many decaying exponentials as
there are nodes with a capacitance. Those that show are found by projection on a rational Krylov
space, span of products of (Y + s C)^-1 C times x(0) for a few s > 0 in turn (Ruhe, Linear Algebra
Appl. 58 (1984) 391). The same vectors stand on both sides, a congruence as in PRIMA (Odabasioglu,
Celik, Pileggi, IEEE TCAD 17 (1998) 645), so that every reduced model is stable, with real rates.
Moments at s = 0 alone, as in PRIMA, would give the late waveform in few steps and the early one in
hundreds.

The product of basis vectors is that of Y + s C, not of C: nodes may have no capacitance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from cosim.settling.sparse_network import SparseNetwork

Array = NDArray[np.float64]

# Poles of one cycle, beside the slow rate. Measured: 1e-6 in 20 to 50 steps; without the first or
# the last it is up to 80, with a single one more.
_POLES = (1.0, 10.0, 100.0, 1000.0, 10000.0)
# Below this part of the largest, an eigenvalue of the reduced C is rounding: the mode is instant.
_INSTANT = 1e-12
# A new vector of which less than this is left lies in the space.
_NOTHING = 1e-11


@dataclass(frozen=True, eq=False)
class Modes:
    """What relaxes after a step of one vector.

    Attributes:
        rate: of every exponential [1/s], [mode], > 0.
        current_a: its part in the current out of every bit line at t = 0 [A], [col, mode].
    """

    rate: Array
    current_a: Array


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The matrices of one array, cut into nodes with unknown and known voltages.

    Nodes without any path to a driver or sense node, through resistances or capacitances, stay at
    0 V and are left out. Islands, which only capacitances tie to the others, keep the charge of
    the array at rest: none.

    Attributes:
        y: [node, node] in siemens, positive semidefinite; singular where there are islands.
        c: [node, node] in farad, positive semidefinite.
        y_drive, c_drive: [node, row], from the drivers.
        y_out, c_out: [col, node], to the sense nodes.
        y_through, c_through: [col, row], from drivers to sense nodes without a node between.
        islands: [node, island], 1 where a node belongs to the island.
    """

    y: sp.csc_array
    c: sp.csc_array
    y_drive: sp.csc_array
    c_drive: sp.csc_array
    y_out: sp.csr_array
    c_out: sp.csr_array
    y_through: sp.csr_array
    c_through: sp.csr_array
    islands: sp.csc_array
    _factors: dict[float, Any] = field(default_factory=dict)

    def currents(self, nodes_v: Array, drive_v: Array) -> Array:
        """Currents at rest out of the bit lines [A], [col], for node and driver voltages."""
        found: Array = -(self.y_out @ nodes_v + self.y_through @ drive_v)
        return found

    def charges(self, nodes_v: Array, drive_v: Array) -> Array:
        """Charge that a step from rest has sent out of the bit lines through capacitances [C]."""
        found: Array = -(self.c_out @ nodes_v + self.c_through @ drive_v)
        return found

    def at_rest(self, drive_v: Array) -> Array:
        """Voltages of the nodes [V], [node], long after a step from 0 V to `drive_v` [row]."""
        return self._static(-(self.y_drive @ drive_v), -(self.c_drive @ drive_v))

    def missing(self, nodes_v: Array, drive_v: Array) -> Array:
        """-C x(0) [C], [node]: the charge that a step still has to bring when it has been made."""
        found: Array = self.c @ nodes_v + self.c_drive @ drive_v
        return found

    def integral(self, missing_c: Array) -> Array:
        """The integral of -x over time [V s], [node]."""
        return self._static(missing_c, np.zeros_like(missing_c))

    def solve(self, pole: float, rhs: Array) -> Array:
        """(Y + pole C)^-1 rhs; the factors are kept. pole > 0 in 1/s."""
        if pole not in self._factors:
            self._factors[pole] = _factor(self.y + pole * self.c)
        found: Array = self._factors[pole].solve(rhs)
        return found

    def _static(self, current: Array, charge: Array) -> Array:
        """Solves Y v = current, with the sum of C v over every island that of `charge`."""
        if not len(current):
            return current
        v: Array = self._held.solve(current)
        if self.islands.shape[1]:
            left = self.islands.T @ (charge - self.c @ v)
            v = v + self.islands @ self._between_islands.solve(left)
        return v

    @cached_property
    def _held(self) -> Any:
        """Factors of Y with a node of every island held at 0 V; no current flows into those."""
        held = np.zeros(self.y.shape[0])
        held[self.islands.indices[self.islands.indptr[:-1]]] = self.y.diagonal().max() or 1.0
        return _factor(self.y + sp.diags_array(held))

    @cached_property
    def _between_islands(self) -> Any:
        return _factor(self.islands.T @ self.c @ self.islands)


def relaxation(network: SparseNetwork, capacitance_f: sp.csr_array) -> Relaxation:
    """The matrices of an array with capacitances [node, node] between the nodes of its network."""
    y, c = network.laplacian_s, capacitance_f
    unknown, rows = network.unknown, len(network.driver_end)
    tied = _label(abs(y) + abs(c))
    keep = np.flatnonzero(np.isin(tied[:unknown], tied[unknown:]))
    label = _label(y)
    lonely = ~np.isin(label[keep], label[unknown:])
    _, island = np.unique(label[keep][lonely], return_inverse=True)
    islands = sp.coo_array(
        (np.ones(len(island)), (np.flatnonzero(lonely), island)),
        (len(keep), int(island.max(initial=-1)) + 1),
    )
    drive, out = slice(unknown, unknown + rows), slice(unknown + rows, None)
    return Relaxation(
        y=y[keep][:, keep].tocsc(),
        c=c[keep][:, keep].tocsc(),
        y_drive=y[keep, drive].tocsc(),
        c_drive=c[keep, drive].tocsc(),
        y_out=y[out][:, keep].tocsr(),
        c_out=c[out][:, keep].tocsr(),
        y_through=y[out, drive].tocsr(),
        c_through=c[out, drive].tocsr(),
        islands=islands.tocsc(),
    )


class Reduction:
    """A rational Krylov space that grows, and the modes of the array seen in it.

    Args:
        array: the array.
        missing_c: from `Relaxation.missing`, [node], not all 0.
        slowness_s: a time constant that stands for the slow part of the waveform.
        most: the number of vectors up to which it may grow.
    """

    def __init__(self, array: Relaxation, missing_c: Array, slowness_s: float, most: int) -> None:
        # Whole decades, so that vectors share their factors and do not depend on each other.
        decade = 10.0 ** round(-np.log10(slowness_s))
        self._poles = [pole * decade for pole in _POLES]
        self._array = array
        self._missing = missing_c
        self._product = (array.y + self._poles[0] * array.c).tocsr()
        self._next = missing_c
        self._basis = np.empty((most, len(missing_c)))
        self._charges = np.zeros((most, most))  # of the basis against itself
        self._order = 0
        self._turn = 0
        self._in_vain = 0

    @property
    def order(self) -> int:
        """The number of vectors in the space."""
        return self._order

    @property
    def whole(self) -> bool:
        """True if the space cannot grow: it holds the solution, but for rounding."""
        return self._in_vain >= len(self._poles)

    def grow(self, order: int) -> None:
        """Takes vectors into the space until there are so many or there are no more."""
        while self._order < order and not self.whole:
            new = self._array.solve(self._poles[self._turn % len(self._poles)], self._next)
            self._turn += 1
            before = self._length(new)
            known = self._basis[: self._order]
            for _ in range(2):  # once more, for what rounding left
                # Not BLAS: on a busy machine its threads make these short sums many times slower.
                part = np.einsum("kn,n->k", known, self._product @ new)
                new = new - np.einsum("k,kn->n", part, known)
            after = self._length(new)
            if not after > _NOTHING * before:
                self._in_vain += 1
                continue
            self._in_vain = 0
            k = self._order
            self._basis[k] = new / after
            self._order = k + 1
            self._next = self._array.c @ self._basis[k]
            self._charges[k, : k + 1] = np.einsum("kn,n->k", self._basis[: k + 1], self._next)
            self._charges[: k + 1, k] = self._charges[k, : k + 1]

    def modes(self) -> Modes:
        """The modes of the array as far as the space shows them."""
        basis = self._basis[: self._order]
        part, way = np.linalg.eigh(self._charges[: self._order, : self._order])
        # The reduced C is `part`, the reduced Y 1 - pole * part. What does not decay at all is an
        # island's charge, none but for rounding.
        shows = (part > _INSTANT * part.max(initial=0.0)) & (self._poles[0] * part < 1 - _INSTANT)
        part, way = part[shows], way[:, shows]
        rate = 1.0 / part - self._poles[0]
        start = -(way.T @ np.einsum("kn,n->k", basis, self._missing)) / part
        conducted = -(self._array.y_out @ basis.T) @ way
        displaced = (self._array.c_out @ basis.T) @ way
        return Modes(rate, (conducted + rate * displaced) * start)

    def _length(self, vector: Array) -> float:
        return float(np.sqrt(max(float(np.einsum("n,n->", vector, self._product @ vector)), 0.0)))


def _label(matrix: sp.csr_array) -> NDArray[np.int32]:
    found: NDArray[np.int32] = connected_components(matrix, directed=False)[1]
    return found


def _factor(matrix: Any) -> Any:
    """LU of a symmetric positive definite matrix; pivots stay on the diagonal."""
    return splu(
        sp.csc_array(matrix),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
