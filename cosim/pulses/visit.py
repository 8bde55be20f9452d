"""Updates that visit coincidences and nothing else: for each a step, and a number if it is noisy.

A slot of a sample has the bit lines that carry a pulse in it as a list; a row takes, slot by slot
in the order of time, the lists of the slots in which its word line has one. What a cell does is
thereby what the reference does, pulse after pulse, clipped after each; a row with all its samples
stays in the innermost cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.jit import loop, loop_with, part
from cosim.pulses.random_numbers import L, U, hashed, normal

SLOTS = 31
_PULSES = U((1 << SLOTS) - 1)


@loop
def lines_by_slot(
    words: NDArray[np.uint32], starts: NDArray[np.int32], lines: NDArray[np.int32]
) -> int:
    """The lines that have a pulse in each slot of each sample.

    Args:
        words: trains [batch, line].
        starts: result [batch, 32]: where the lines of a slot begin in `lines`, and the next one's.
        lines: result, as long as there are pulses: twice the line's number, 1 more where the
            value is negative.

    Returns:
        How many pulses there are.
    """
    filled = 0
    count = np.empty(SLOTS, np.int32)
    for k in range(words.shape[0]):
        count[:] = 0
        for j in range(words.shape[1]):
            word = U(words[k, j] & _PULSES)
            slot = 0
            while word != U(0):
                count[slot] += np.int32(word & U(1))
                word = U(word >> U(1))
                slot += 1
        place = np.empty(SLOTS, np.int32)
        for slot in range(SLOTS):
            starts[k, slot] = filled
            place[slot] = filled
            filled += count[slot]
        starts[k, SLOTS] = filled
        for j in range(words.shape[1]):
            word = U(words[k, j] & _PULSES)
            entry = np.int32(2 * j + np.int64(words[k, j] >> U(31)))
            slot = 0
            while word != U(0):
                if word & U(1):
                    lines[place[slot]] = entry
                    place[slot] += 1
                word = U(word >> U(1))
                slot += 1
    return filled


@loop
def count_pulses(words: NDArray[np.uint32]) -> int:
    """How many pulses there are in trains [batch, line]."""
    total = 0
    for k in range(words.shape[0]):
        for j in range(words.shape[1]):
            word = U(words[k, j] & _PULSES)
            while word != U(0):
                word = U(word & U(word - U(1)))
                total += 1
    return total


@loop
def reach(words: NDArray[np.uint32], starts: NDArray[np.int32], cols: int) -> tuple[int, int]:
    """How many coincidences a batch has, and how many cells its rows with a pulse have.

    Args:
        words: trains on the word lines [batch, row].
        starts: from `lines_by_slot` of the trains on the bit lines.
        cols: how many bit lines there are.
    """
    coincidences = cells = 0
    for k in range(words.shape[0]):
        for row in range(words.shape[1]):
            word = U(words[k, row] & _PULSES)
            cells += cols if word != U(0) else 0
            slot = 0
            while word != U(0):
                if word & U(1):
                    coincidences += starts[k, slot + 1] - starts[k, slot]
                word = U(word >> U(1))
                slot += 1
    return coincidences, cells


def law(
    cells: NDArray[Any],
    shared: NDArray[np.float64],
    row: int,
    col: int,
    w: float,
    up: bool,
) -> tuple[float, float]:
    """The mean step of a cell and the standard deviation of its noise.

    Args:
        cells: parameters of every cell [row, col, parameter]; the last two are its bounds.
        shared: the law's parameters that are the same in all cells.
        row: which cell.
        col: which cell.
        w: its weight.
        up: the direction of the pulse.
    """
    raise NotImplementedError


def visit(
    w: NDArray[Any],
    cells: NDArray[Any],
    shared: NDArray[np.float64],
    words: NDArray[np.uint32],
    starts: NDArray[np.int32],
    lines: NDArray[np.int32],
    key: np.uint64,
    noisy: bool,
    counts: NDArray[np.int32],
    top: int,
    end: int,
) -> tuple[int, int]:
    """Moves the weights of some rows by the coincidences of a batch.

    Args:
        w: weights [row, col], changed.
        cells: parameters of every cell [row, col, parameter]; the last two are its bounds.
        shared: see `law`.
        words: trains on the word lines [batch, row].
        starts: from `lines_by_slot` of the trains on the bit lines.
        lines: likewise.
        key: of the random numbers.
        noisy: with noise.
        counts: steps of every cell [row, col], which are added; [0, 0] if they are not counted.
        top: first row.
        end: the row after the last one.

    Returns:
        How many steps went up, and how many down.
    """
    ups = downs = 0
    cols = w.shape[1]
    low, high = cells.shape[2] - 2, cells.shape[2] - 1
    counted = counts.shape[0] > 0
    drawn = np.empty(cols, np.float32)
    for row in range(top, end):
        for k in range(words.shape[0]):
            word = words[k, row]
            negative = np.int32(word >> U(31))
            word = U(word & _PULSES)
            slot = 0
            while word != U(0):
                if word & U(1):
                    # Numbers of a slot are next to each other, so that no two cells share one.
                    first = L((k * SLOTS + slot) * w.size + row * cols)
                    begin = starts[k, slot]
                    found = starts[k, slot + 1] - begin
                    if noisy:  # a loop of its own: many numbers at once
                        for j in range(found):
                            counter = L(first + L(lines[begin + j] >> 1))
                            drawn[j] = normal(hashed(key, counter))
                    for j in range(found):
                        entry = lines[begin + j]
                        col = entry >> 1
                        up = (entry & 1) ^ negative
                        now = w[row, col]
                        step, spread = law(cells, shared, row, col, now, up == 1)
                        if noisy:
                            step += spread * drawn[j]
                        moved = w.dtype.type(now + step)
                        w[row, col] = min(max(moved, cells[row, col, low]), cells[row, col, high])
                        ups += up
                        downs += 1 - up
                        if counted:
                            counts[row, col] += np.int32(1)
                word = U(word >> U(1))
                slot += 1
    return ups, downs


def visits_by(own_law: Callable[..., tuple[float, float]], text: str) -> Callable[..., Any]:
    """`visit` with a law in place of `law`.

    Args:
        own_law: takes the arguments of `law`; from `jit.part`.
        text: says what it does, for the cache of compiled loops.
    """
    return loop_with(visit, text, law=own_law)


@part
def _straight(
    cells: NDArray[Any], _shared: Any, row: int, col: int, w: Any, up: bool
) -> tuple[Any, Any]:
    """Parameters: step up at 0, its slope, its noise; the same of the step down; the bounds."""
    first = 0 if up else 3
    return cells[row, col, first] + cells[row, col, first + 1] * w, cells[row, col, first + 2]


@part
def _straight_relative(
    cells: NDArray[Any], _shared: Any, row: int, col: int, w: Any, up: bool
) -> tuple[Any, Any]:
    """As `_straight`, with noise that is a part of the step."""
    first = 0 if up else 3
    step = cells[row, col, first] + cells[row, col, first + 1] * w
    return step, step * cells[row, col, first + 2]


visit_straight = visits_by(_straight, "straight")
visit_straight_relative = visits_by(_straight_relative, "straight, relative")
