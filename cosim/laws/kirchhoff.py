"""Kirchhoff's current law, checked on what a simulator returned.

Independent of any solver: currents are recomputed from node voltages by Ohm's law and must add
up to nothing at every node inside an array. Where the cells are the user's own only the wires
obey Ohm's law: what a cell takes from its word line must then arrive on its bit line, but for what
a bench of the cell says that it keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from netlists.wires import Wires

Array = NDArray[np.float64]

# A right result leaves rounding errors only; a wrong pivot or a lost node leaves per cents.
TOLERANCE = 1e-6
# Where rounding alone could explain a residual this large, a node check says nothing.
VOID = 1e-3
# Node voltages of a sparse LU are good to some hundred roundings of the largest.
_ROUNDING = 1024 * np.finfo(np.float64).eps
# A table of what cells keep is that good: straight lines between its points.
_LOSS_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class ArrayVoltages:
    """Node voltages of an array, in volts; a first axis of points throughout.

    Args:
        wordline: at the driver ports, [point, row].
        word: word side of each cell, [point, row, col].
        bit: bit side of each cell, [point, row, col].
        bitline: at the sense ports, [point, col].
    """

    wordline: Array
    word: Array
    bit: Array
    bitline: Array


@dataclass(frozen=True, eq=False)
class KirchhoffCheck:
    """What the check found.

    Args:
        residual: largest current that is left over at a node, relative to the largest current of
            the array, [point].
        limit: the largest residual that rounding can explain.
        current_a: current out of each bit line, [point, col].
        sense_residual: largest difference between what the cells of a line send and what its sense
            source measures, relative to the largest, [point]; None where none was given.
        sense_limit: the largest of those that rounding can explain.
    """

    residual: Array
    limit: float
    current_a: Array
    sense_residual: Array | None = None
    sense_limit: float = TOLERANCE

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which points obey the law, [point]; NaN does not, nor what could not be checked.

        Wires so small that rounding drowns the balance of single nodes leave the balance of
        whole bit lines; without that nothing is known.
        """
        nodes = self.residual <= self.limit
        if self.sense_residual is None:
            return nodes & (self.limit <= VOID)
        lines = self.sense_residual <= self.sense_limit
        return lines if self.limit > VOID else nodes & lines

    @property
    def worst(self) -> float:
        """The largest residual that means something."""
        parts = [] if self.limit > VOID else [float(np.nanmax(self.residual))]
        if self.sense_residual is not None:
            parts.append(float(np.nanmax(self.sense_residual)))
        return max(parts, default=float("nan"))


def check_array(
    conductance_s: Array,
    wires: Wires,
    v: ArrayVoltages,
    sense_a: Array | None = None,
    *,
    sensed: Literal["bl", "wl"] = "bl",
    cell_a: Array | None = None,
) -> KirchhoffCheck:
    """Checks every node of an array, and its sensed lines against what their ends measured.

    Args:
        conductance_s: [row, col] in siemens.
        wires: the segment resistances.
        v: the voltages to be checked.
        sense_a: currents through the sources at the ends of the sensed lines, [point, line].
        sensed: which lines these are: bit lines, or word lines of an array that is read backward.
        cell_a: what the cells' own equations give at these voltages, [point, row, col]; None where
            they obey Ohm's law. `conductance_s` then says how much they conduct at most.
    """
    cell = conductance_s * (v.word - v.bit) if cell_a is None else cell_a
    largest = max(float(np.abs(cell).max()), np.finfo(np.float64).tiny)
    left_over = np.zeros(len(cell))
    limit = TOLERANCE
    voltage = max(float(np.abs(v.wordline).max()), float(np.abs(v.bitline).max()))
    # Every line from its far end to its driver or sense node, [point, line, node].
    shape = conductance_s.shape
    for ohm, nodes, cells in (
        (
            np.broadcast_to(wires.r_wordline_ohm, shape)[:, ::-1],
            np.concatenate([v.wordline[:, :, None], v.word], axis=2)[:, :, ::-1],
            -cell[:, :, ::-1],
        ),
        (
            np.broadcast_to(wires.r_bitline_ohm, shape).T,
            np.concatenate([v.bit, v.bitline[:, None, :]], axis=1).transpose(0, 2, 1),
            cell.transpose(0, 2, 1),
        ),
    ):
        if (ohm > 0).any():
            left_over = np.maximum(left_over, _left_over(nodes, cells, ohm))
            limit += _ROUNDING * voltage / float(ohm[ohm > 0].min()) / largest
    out = cell.sum(axis=1)
    if sense_a is None:
        return KirchhoffCheck(left_over / largest, limit, out)
    most = max(float(np.abs(sense_a).max()), largest)
    line_s = conductance_s.sum(axis=0 if sensed == "bl" else 1)
    rounding = _ROUNDING * voltage * float(line_s.max()) / most
    sent = out if sensed == "bl" else -cell.sum(axis=2)
    differing = np.abs(sent - sense_a).max(axis=1) / most
    return KirchhoffCheck(left_over / largest, limit, out, differing, TOLERANCE + rounding)


def _left_over(nodes: Array, cells: Array, ohm: Array) -> Array:
    """Largest current that is left over at a node, [point]; nodes that a short joins are one.

    Args:
        nodes: voltages from the far end of a line to its end, [point, line, cell + 1].
        cells: currents into the line, [point, line, cell].
        ohm: of the segment after every cell, [line, cell]; infinite for an open.
    """
    short = ohm == 0
    along = -np.diff(nodes, axis=2) / np.where(short, np.inf, ohm)
    missing = along - cells.cumsum(axis=2)  # what all cells up to here leave over
    if short.any():  # a short carries whatever it must: its node's balance is the next one's
        for k in range(missing.shape[2]):
            before = missing[:, :, k - 1] if k else 0.0
            missing[:, :, k] = np.where(short[:, k], before, missing[:, :, k])
    at_node = np.diff(missing, axis=2, prepend=0.0)
    return np.asarray(np.abs(at_node).max(axis=(1, 2)))


def check_wires(wires: Wires, v: ArrayVoltages, kept_a: Array | None = None) -> KirchhoffCheck:
    """The check for cells of unknown law: currents from wire segments only.

    Every cell's current is measured twice, by what its word line loses and by what its bit line
    gains; in sum, what enters by the word lines leaves by the bit lines. A cell with a third way
    for its current, such as the bulk of a transistor, keeps a part of it. Where the wires of one
    direction are ideal, or one of their segments, there is one measurement and nothing to compare:
    the residual is then 0, and without bit-line segments `current_a` is NaN.

    Args:
        wires: the segment resistances.
        v: the voltages to be checked.
        kept_a: what cells keep between their ports at these voltages, as their bench says,
            [point, row, col]; None is nothing. What such a table may be off by is no residual.
    """
    points, cols = v.bitline.shape
    word, bit = bool(np.all(wires.r_wordline_ohm)), bool(np.all(wires.r_bitline_ohm))
    unknown = np.full((points, cols), np.nan)
    if bit:
        nodes = np.concatenate([v.bit, v.bitline[:, None, :]], axis=1)
        down = -np.diff(nodes, axis=1) / wires.r_bitline_ohm
    if not (word and bit):
        return KirchhoffCheck(np.zeros(points), TOLERANCE, down[:, -1] if bit else unknown)
    nodes = np.concatenate([v.wordline[:, :, None], v.word], axis=2)
    along = -np.diff(nodes, axis=2) / wires.r_wordline_ohm
    taken = -np.diff(along, axis=2, append=0.0)
    given = np.diff(down, axis=1, prepend=0.0)
    tiny = np.finfo(np.float64).tiny
    largest = max(float(np.abs(given).max()), tiny)
    kept = np.zeros_like(given) if kept_a is None else kept_a
    off = np.abs(taken - given - kept) - _LOSS_SHARE * np.abs(kept).max()
    in_each = np.maximum(off, 0).max(axis=(1, 2)) / largest
    total = max(float(np.abs(down[:, -1]).sum(axis=1).max()), tiny)
    entering, leaving = along[:, :, 0].sum(axis=1), down[:, -1].sum(axis=1)
    off = np.abs(entering - leaving - kept.sum(axis=(1, 2)))
    off -= _LOSS_SHARE * np.abs(kept).sum(axis=(1, 2))
    in_sum = np.maximum(off, 0) / total
    voltage = max(float(np.abs(v.wordline).max()), float(np.abs(v.bitline).max()))
    per_ohm = 1 / float(np.min(wires.r_wordline_ohm)) + 1 / float(np.min(wires.r_bitline_ohm))
    limit = TOLERANCE + _ROUNDING * voltage * per_ohm / largest
    return KirchhoffCheck(np.maximum(in_each, in_sum), limit, down[:, -1])
