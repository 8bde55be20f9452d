"""Updates that visit coincidences and nothing else: for each a step, and a number if it is noisy.

A slot of a sample has the bit lines that carry a pulse in it as a list; a row takes, slot by slot
in the order of time, the lists of the slots in which its word line has one. What a cell does is
thereby what the reference does, pulse after pulse, clipped after each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.bit_counts import set_bits
from cosim.pulses.jit import loop, loop_with, part, part_with
from cosim.pulses.random_numbers import L, U, hashed, normal

SLOTS = 31
_TOGETHER = 512
_PULSES = U((1 << SLOTS) - 1)


@loop
def lines_by_slot(
    words: NDArray[np.uint32], bits: NDArray[np.uint32]
) -> tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], int, int, int
]:
    """The bit lines that have a pulse in each slot, and what pulses and cells there are.

    Args:
        words: trains on the word lines [batch, row].
        bits: trains on the bit lines [batch, col].

    Returns:
        Where the lines of a slot begin in the second array, and the next one's, [batch, 32]. The
        lines: twice the number of each, 1 more where its value is negative. How many pulses each
        word line has, [row], and each bit line, [col]. How many pulses all word lines have; how
        many coincidences there are; and how many word lines have a pulse, in all samples.
    """
    cols = bits.shape[1]
    starts = np.zeros((bits.shape[0], SLOTS + 1), np.int32)
    of_word, of_bit = np.zeros(words.shape[1], np.int32), np.zeros(cols, np.int32)
    for k in range(bits.shape[0]):
        for col in range(cols):
            of_bit[col] += np.int32(set_bits(U(bits[k, col] & _PULSES)))
    lines = np.empty(of_bit.sum() + 1, np.int32)  # the last takes what is written and not kept
    pulses = coincidences = active = filled = 0
    for k in range(words.shape[0]):
        used, rows_used = U(0), 0
        for row in range(words.shape[1]):
            used = U(used | words[k, row])
            rows_used += int(U(words[k, row] & _PULSES) != U(0))
            of_word[row] += np.int32(set_bits(U(words[k, row] & _PULSES)))
        active += rows_used
        of_bits = U(0)
        for col in range(cols):
            of_bits = U(of_bits | bits[k, col])
        for slot in range(SLOTS):
            starts[k, slot] = filled
            of_slot = 0
            if U(of_bits >> U(slot)) & U(1):
                for col in range(cols):  # without a branch: what has no pulse is written over
                    lines[filled] = 2 * col + int(bits[k, col] >> U(31))
                    filled += int(U(bits[k, col] >> U(slot)) & U(1))
                of_slot = filled - starts[k, slot]
            if U(used >> U(slot)) & U(1):
                rows = 0
                for row in range(words.shape[1]):
                    rows += int(U(words[k, row] >> U(slot)) & U(1))
                pulses += rows
                coincidences += rows * of_slot
        starts[k, SLOTS] = filled
    return starts, lines[:filled], of_word, of_bit, pulses, coincidences, active


def law(
    cells: NDArray[Any], shared: NDArray[np.float64], cell: int, w: float, up: bool
) -> tuple[float, float]:
    """The mean step of a cell and the standard deviation of its noise.

    Args:
        cells: parameters of every cell [cell, parameter]; the last two are its bounds.
        shared: the law's parameters that are the same in all cells.
        cell: which cell.
        w: its weight.
        up: the direction of the pulse.
    """
    raise NotImplementedError


def make(
    w: NDArray[Any],
    cells: NDArray[Any],
    shared: NDArray[np.float64],
    found: NDArray[np.int64],
    counters: NDArray[np.uint64],
    drawn: NDArray[np.float32],
    key: np.uint64,
    noisy: bool,
    counts: NDArray[np.int32],
) -> int:
    """Makes steps, one after the other, and gives how many of them go up.

    Args:
        w: weights [cell], changed.
        cells: see `law`.
        shared: see `law`.
        found: twice the cell of each step, 1 more if it goes up.
        counters: of the random numbers.
        drawn: room for them.
        key: likewise.
        noisy: with noise.
        counts: steps of every cell [cell], which are added; [0] if they are not counted.
    """
    low, high = cells.shape[1] - 2, cells.shape[1] - 1
    if noisy:
        for j in range(len(found)):
            drawn[j] = normal(hashed(key, counters[j]))
    ups = 0
    for j in range(len(found)):
        cell, up = found[j] >> 1, found[j] & 1
        now = w[cell]
        step, spread = law(cells, shared, cell, now, up == 1)
        if noisy:
            step += spread * drawn[j]
        w[cell] = min(max(w.dtype.type(now + step), cells[cell, low]), cells[cell, high])
        ups += up
    if len(counts):
        for j in range(len(found)):
            counts[found[j] >> 1] += np.int32(1)
    return ups


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
        starts: from `lines_by_slot`.
        lines: likewise.
        key: of the random numbers.
        noisy: with noise.
        counts: steps of every cell [row, col], which are added; [0, 0] if they are not counted.
        top: first row.
        end: the row after the last one.

    Returns:
        How many steps went up, and how many down.
    """
    cols, flat = w.shape[1], w.reshape(-1)
    of_cells, of_counts = cells.reshape(-1, cells.shape[2]), counts.reshape(-1)
    # Coincidences are collected and then made: random numbers come many at once, and the
    # processor fetches the next cells while it computes one.
    found = np.empty(_TOGETHER + cols, np.int64)
    counters = np.empty(_TOGETHER + cols, np.uint64)
    drawn = np.empty(_TOGETHER + cols, np.float32)
    ups = total = collected = 0
    for row in range(top, end):
        for k in range(words.shape[0]):
            word = words[k, row]
            negative = np.int64(word >> U(31))
            word = U(word & _PULSES)
            slot = 0
            while word != U(0):
                if word & U(1):
                    first = row * cols
                    before = (k * SLOTS + slot) * w.size + first  # no two cells share a number
                    begin, count = starts[k, slot], starts[k, slot + 1] - starts[k, slot]
                    for j in range(count):
                        entry = np.int64(lines[begin + j])
                        found[collected + j] = 2 * first + (entry ^ negative)
                        counters[collected + j] = L(before + (entry >> 1))
                    collected += count
                word = U(word >> U(1))
                slot += 1
                if collected < _TOGETHER:
                    continue
                ups += make(
                    flat, of_cells, shared, found[:collected], counters, drawn, key, noisy,
                    of_counts,
                )  # fmt: skip
                total += collected
                collected = 0
    ups += make(
        flat, of_cells, shared, found[:collected], counters, drawn, key, noisy, of_counts
    )  # fmt: skip
    return ups, total + collected - ups


def visits_by(own_law: Callable[..., tuple[float, float]], text: str) -> Callable[..., Any]:
    """`visit` with a law in place of `law`.

    Args:
        own_law: takes the arguments of `law`; from `jit.part`.
        text: says what it does, for the cache of compiled loops.
    """
    return loop_with(visit, text, make=part_with(make, law=own_law))


@part
def _straight(cells: NDArray[Any], _shared: Any, cell: int, w: Any, up: bool) -> tuple[Any, Any]:
    """Parameters: step up at 0, its slope, its noise; the same of the step down; the bounds."""
    first = 0 if up else 3
    return cells[cell, first] + cells[cell, first + 1] * w, cells[cell, first + 2]


@part
def _straight_relative(
    cells: NDArray[Any], _shared: Any, cell: int, w: Any, up: bool
) -> tuple[Any, Any]:
    """As `_straight`, with noise that is a part of the step."""
    first = 0 if up else 3
    step = cells[cell, first] + cells[cell, first + 1] * w
    return step, step * cells[cell, first + 2]


visit_straight = visits_by(_straight, "straight")
visit_straight_relative = visits_by(_straight_relative, "straight, relative")
