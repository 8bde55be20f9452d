"""What an update costs in all cells of a matrix together: cheap enough to be known at every step.

A cell turns v^2 g t into heat. As `cosim.driven.train_pulses` puts trains on lines, every pulse of
a train is applied twice, at half the level: in a slot that steps cells up and in one that steps
them down. Where the other line has a pulse in the same slot the cell sees the whole level, in every
other slot a half: half-selected. A cell whose word line has n pulses, whose bit line m, and that
was asked for a steps up and b down takes

    g [ (n + m + 2 a) E_up + (n + m + 2 b) E_down ] / 4,    E = v^2 t of one pulse,

which is summed over cells without their coincidences being written down. Cells only, by what they
conduct before the update; what drivers, wires and the charging of lines take is not in it. The
scheme of half levels: Gokmen, Vlasov, Front. Neurosci. 10 (2016) 333, doi 10.3389/fnins.2016.00333.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.bit_counts import set_bits
from cosim.pulses.jit import sums
from cosim.pulses.random_numbers import U
from cosim.pulses.trains import Slots
from netlists.pulse import Pulse

_PULSES = U((1 << 31) - 1)
_NONE = np.empty(0)
# What a coincidence takes, and a cell of a word line with a pulse; their ratio is what counts.
_VISIT_NS, _CELL_NS = 8.0, 1.0


@dataclass(frozen=True)
class StraightCells:
    """Cells that conduct g = zero_s + slope_s w."""

    zero_s: float
    slope_s: float


def total_energy_j(
    w: NDArray[Any],
    cells: StraightCells,
    slots: Slots,
    up: Pulse,
    down: Pulse,
    *,
    beside: NDArray[np.float64] | None = None,
) -> float:
    """The heat of all cells of a matrix by the updates of a batch [J].

    Args:
        w: weights before the update [row, col].
        cells: what they conduct.
        slots: of the batch's trains.
        up: what a cell sees at a coincidence that steps it up; its lines carry half of it.
        down: the same of a step down.
        beside: `row_sums` of as many cells on the same word lines whose bit lines rest, such as
            the minus cells of a reference; their heat is in it.
    """
    on_lines, ups, downs, number_up = _sums(
        w,
        _NONE if beside is None else beside,
        slots.of_word,
        slots.of_bit,
        slots.words,
        slots.bits,
        slots.starts,
        slots.lines,
        slots.coincidences,
        slots.active,
    )
    rows, cols = w.shape
    planes = 1 if beside is None else 2
    count = planes * cols * slots.word_pulses + rows * len(slots.lines)
    number_down = slots.coincidences - number_up
    return _heat_j(
        cells.slope_s * on_lines + cells.zero_s * count,
        cells.slope_s * ups + cells.zero_s * number_up,
        cells.slope_s * downs + cells.zero_s * number_down,
        up,
        down,
    )


def row_sums(w: NDArray[Any]) -> NDArray[np.float64]:
    """Weights of every word line's cells together, [row] of [row, col]."""
    found: NDArray[np.float64] = w.sum(1, dtype=np.float64)
    return found


def _heat_j(on_lines: float, ups: float, downs: float, up: Pulse, down: Pulse) -> float:
    of_up, of_down = (one.amplitude_v**2 * one.square_s for one in (up, down))
    return float((on_lines + 2 * ups) * of_up + (on_lines + 2 * downs) * of_down) / 4


@sums
def _sums(
    w: NDArray[Any],
    beside: NDArray[np.float64],
    of_word: NDArray[np.int32],
    of_bit: NDArray[np.int32],
    words: NDArray[np.uint32],
    bits: NDArray[np.uint32],
    starts: NDArray[np.int32],
    lines: NDArray[np.int32],
    coincidences: int,
    active: int,
) -> tuple[float, float, float, int]:
    """Sums of weights, as often as a cell's lines have pulses and as it is stepped.

    Args:
        w: weights [row, col].
        beside: sums of more weights of every word line [row], which bit lines do not reach; or [0].
        of_word: pulses on word lines [row].
        of_bit: pulses on bit lines [col].
        words: trains on the word lines [batch, row].
        bits: trains on the bit lines [batch, col].
        starts: of `lines_by_slot`.
        lines: likewise.
        coincidences: likewise.
        active: likewise.

    Returns:
        By pulses on both lines, by steps up, by steps down; and how many steps go up.
    """
    on_lines = ups = all_steps = 0.0
    number_up = 0
    per_bit = of_bit.astype(np.float64)
    for row in range(len(beside)):
        on_lines += of_word[row] * beside[row]
    for row in range(w.shape[0]):
        pulses = float(of_word[row])
        for col in range(w.shape[1]):
            on_lines += (pulses + per_bit[col]) * w[row, col]
    dense = coincidences * _VISIT_NS > active * w.shape[1] * _CELL_NS
    for k in range(words.shape[0]):
        for row in range(words.shape[1]):
            word = words[k, row]
            rest = U(word & _PULSES)
            if rest == U(0):
                continue
            if dense:  # without branches: many cells at once
                for col in range(w.shape[1]):
                    other = bits[k, col]
                    steps = np.int32(set_bits(U(rest & other)))
                    goes_up = np.int32(U(word ^ other) >> U(31))
                    value = steps * np.float64(w[row, col])
                    all_steps += value
                    ups += goes_up * value
                    number_up += int(goes_up * steps)
                continue
            negative = np.int32(word >> U(31))
            while rest != U(0):
                last = U(rest & U(~rest + U(1)))
                slot = int(set_bits(U(last - U(1))))
                rest = U(rest & ~last)
                for place in range(starts[k, slot], starts[k, slot + 1]):
                    one = lines[place]
                    value = np.float64(w[row, one >> 1])
                    goes_up = (one & 1) ^ negative
                    all_steps += value
                    ups += goes_up * value
                    number_up += goes_up
    return on_lines, ups, all_steps - ups, number_up
